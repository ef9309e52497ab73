//! The catalog: the vaults' lists, kept so that pages need not open a vault.

mod page;

use std::collections::HashSet;

use diesel::{prelude::*, upsert::excluded};

pub use page::{newest, page, sums};

use super::{Connection, DbError, bytes, deleted_backups, json, marks, schema::backups, to_json, word};
use crate::model::{backup::Backup, manifest::Manifest, names::ScheduleId, vault::Storage};

/// All of them, newest first. It reads the JSON of every backup: lists and sums have queries of their own.
pub fn all(connection: &mut Connection) -> Result<Vec<Backup>, DbError> {
    let rows = backups::table
        .order((backups::created.desc(), backups::id, backups::storage))
        .select(backups::backup)
        .load::<String>(connection)?;
    let mut all: Vec<Backup> = rows.iter().map(|row| json(row)).collect::<Result<_, _>>()?;
    marks::put_on(connection, &mut all)?;
    Ok(all)
}

/// Backups whose id starts with `prefix` (hex) or whose file name is `name`, in this vault or in any; at most
/// two, so that the caller sees when it is not unique. Of one that is in both vaults it is the local one.
pub fn matching(
    connection: &mut Connection,
    storage: Option<Storage>,
    name: &str,
) -> Result<Vec<Backup>, DbError> {
    let query = || {
        let mut query = backups::table.order((backups::id, backups::storage)).into_boxed();
        if let Some(storage) = storage {
            query = query.filter(backups::storage.eq(storage.as_str()));
        }
        // Each of the two may be there twice.
        query.select(backups::backup).limit(4)
    };
    let mut rows: Vec<String> = query().filter(backups::filename.eq(name)).load(connection)?;
    let hex = name.len() >= 8 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if rows.is_empty() && hex {
        // All that begin with it, as an index finds them: no digit comes after “f”.
        let first = name.to_ascii_lowercase();
        let end = format!("{first}g");
        rows = query().filter(backups::id.ge(first)).filter(backups::id.lt(end)).load(connection)?;
    }
    let mut found: Vec<Backup> = rows.iter().map(|row| json(row)).collect::<Result<_, _>>()?;
    found.dedup_by(|later, first| later.id == first.id);
    found.truncate(2);
    marks::put_on(connection, &mut found)?;
    Ok(found)
}

/// The manifest, if it was read before.
pub fn manifest(connection: &mut Connection, backup: &Backup) -> Result<Option<Manifest>, DbError> {
    let row = backups::table.find((backup.storage.as_str(), &backup.id));
    let text = row.select(backups::manifest).first::<Option<String>>(connection);
    text.optional()?.flatten().map(|text| json(&text)).transpose()
}

/// Keeps a manifest that was read from the vault.
pub fn keep_manifest(
    connection: &mut Connection,
    backup: &Backup,
    manifest: &Manifest,
) -> Result<(), DbError> {
    diesel::update(backups::table.find((backup.storage.as_str(), &backup.id)))
        .set(backups::manifest.eq(Some(to_json(manifest)?)))
        .execute(connection)?;
    Ok(())
}

/// All that this schedule made, newest first.
pub fn of_schedule(connection: &mut Connection, schedule: &ScheduleId) -> Result<Vec<Backup>, DbError> {
    let rows = backups::table
        .filter(backups::schedule.eq(schedule.as_str()))
        .order((backups::created.desc(), backups::id, backups::storage))
        .select(backups::backup)
        .load::<String>(connection)?;
    let mut all: Vec<Backup> = rows.iter().map(|row| json(row)).collect::<Result<_, _>>()?;
    marks::put_on(connection, &mut all)?;
    Ok(all)
}

/// The vaults that hold backups of this schedule; of those with these ids, where some are given.
pub fn storages_of_schedule(
    connection: &mut Connection,
    schedule: &ScheduleId,
    ids: Option<&[&str]>,
) -> Result<Vec<Storage>, DbError> {
    let mut rows = backups::table.filter(backups::schedule.eq(schedule.as_str())).into_boxed();
    if let Some(ids) = ids {
        rows = rows.filter(backups::id.eq_any(ids.to_vec()));
    }
    let storages: Vec<String> =
        rows.select(backups::storage).distinct().order(backups::storage).load(connection)?;
    storages.iter().map(|text| word(text)).collect()
}

/// Whether there is one with this id in this vault.
pub fn exists(connection: &mut Connection, storage: Storage, id: &str) -> Result<bool, DbError> {
    let row = backups::table.find((storage.as_str(), id));
    Ok(diesel::select(diesel::dsl::exists(row)).get_result(connection)?)
}

/// Adds or changes one.
pub fn upsert(connection: &mut Connection, backup: &Backup) -> Result<(), DbError> {
    let note = marks::note_of(connection, backup.storage, &backup.id)?;
    put(connection, backup, note.as_deref())
}

/// `note`: the one that a person gave it later.
fn put(connection: &mut Connection, backup: &Backup, note: Option<&str>) -> Result<(), DbError> {
    let row = (
        backups::filename.eq(backup.filename()),
        backups::kind.eq(backup.meta.kind.as_str()),
        backups::container.eq(&backup.meta.container),
        backups::server.eq(&backup.server_name),
        backups::triggered_by.eq(backup.trigger.as_str()),
        backups::state.eq(backup.meta.state.as_str()),
        backups::schedule.eq(backup.meta.schedule.as_ref().map(ScheduleId::as_str)),
        backups::created.eq(backup.created.timestamp_millis()),
        backups::size.eq(bytes(backup.size)),
        backups::stored_size.eq(bytes(backup.stored_size)),
        backups::search.eq(page::text(backup, note)),
        backups::backup.eq(to_json(backup)?),
    );
    // A list that is read again is mostly what it was.
    let changed =
        backups::backup.ne(excluded(backups::backup)).or(backups::search.ne(excluded(backups::search)));
    let insert = diesel::insert_into(backups::table)
        .values((backups::storage.eq(backup.storage.as_str()), backups::id.eq(&backup.id), row.clone()))
        .on_conflict((backups::storage, backups::id))
        .do_update()
        .set(row);
    diesel::query_dsl::methods::FilterDsl::filter(insert, changed).execute(connection)?;
    Ok(())
}

/// Lets a search find the note that a person gave a backup.
pub(super) fn note_changed(
    connection: &mut Connection,
    storage: Storage,
    id: &str,
    note: &str,
) -> Result<(), DbError> {
    let row = backups::table.find((storage.as_str(), id));
    let text: Option<String> = row.select(backups::backup).first(connection).optional()?;
    let Some(text) = text else { return Ok(()) };
    let backup: Backup = json(&text)?;
    diesel::update(row).set(backups::search.eq(page::text(&backup, Some(note)))).execute(connection)?;
    Ok(())
}

/// Ids of all in one vault.
pub fn ids(connection: &mut Connection, storage: Storage) -> Result<Vec<String>, DbError> {
    let rows = backups::table.filter(backups::storage.eq(storage.as_str()));
    Ok(rows.select(backups::id).load(connection)?)
}

/// Makes the catalog equal to the list of one vault; manifests that were read stay. Only those that were `known`
/// before the vault was listed may go: others were made meanwhile. Deleted ones stay out.
pub fn replace_all(
    connection: &mut Connection,
    storage: Storage,
    known: &[String],
    list: &[Backup],
) -> Result<(), DbError> {
    let present: HashSet<&str> = list.iter().map(|backup| backup.id.as_str()).collect();
    for id in known.iter().filter(|id| !present.contains(id.as_str())) {
        remove(connection, storage, id)?;
    }
    let deleted = deleted_backups::still_there(connection, storage, list)?;
    let notes = marks::notes(connection, storage)?;
    let mut listed = list.iter().filter(|backup| !deleted.contains(&backup.id));
    listed.try_for_each(|backup| put(connection, backup, notes.get(&backup.id).map(String::as_str)))
}

/// Forgets one.
pub fn remove(connection: &mut Connection, storage: Storage, id: &str) -> Result<(), DbError> {
    diesel::delete(backups::table.find((storage.as_str(), id))).execute(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{db::Db, model::backup::State};

    fn backup(storage: Storage, id: &str) -> Backup {
        let created = chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(i64::from(id.ends_with('1')));
        Backup { storage, ..Backup::sample(id.to_owned(), "web", created, State::Complete) }
    }

    #[tokio::test]
    async fn a_backup_in_both_vaults_is_found_in_either_and_first_in_the_local_one() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("test.db")).unwrap();
        let (copied, other) = ("aaaaaaaa00000000", "aaaaaaaa11111111");
        let rows = [(Storage::S3, copied), (Storage::Local, copied), (Storage::S3, other)];
        let found = db
            .write(move |c| {
                for (storage, id) in rows {
                    upsert(c, &backup(storage, id))?;
                }
                // The list of one vault says nothing about the other.
                let known = ids(c, Storage::Local)?;
                replace_all(c, Storage::Local, &known, &[backup(Storage::Local, copied)])?;
                let name = backup(Storage::Local, copied).filename();
                Ok([
                    matching(c, None, copied)?,
                    matching(c, Some(Storage::S3), copied)?,
                    matching(c, None, &name)?,
                    matching(c, None, other)?,
                    matching(c, None, "aaaaaaaa")?,
                    matching(c, Some(Storage::Local), "aaaaaaaa")?,
                    all(c)?,
                ])
            })
            .await
            .unwrap();
        let found = found.map(|list| list.iter().map(|b| (b.storage, b.id.clone())).collect::<Vec<_>>());
        let row = |storage, id: &str| (storage, id.to_owned());
        assert_eq!(found[0], [row(Storage::Local, copied)]);
        assert_eq!(found[1], [row(Storage::S3, copied)]);
        assert_eq!(found[2], [row(Storage::Local, copied)]);
        assert_eq!(found[3], [row(Storage::S3, other)]);
        assert_eq!(found[4].len(), 2, "not unique");
        assert_eq!(found[5], [row(Storage::Local, copied)]);
        assert_eq!(found[6].len(), 3);
    }
}
