//! What is known of backups beside what is in the vault: that one must stay, what it is for, whether it is whole. A
//! snapshot never changes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{Connection, DbError, schema::marks, time, word};
use crate::model::{backup::Backup, saved_settings::Mark, vault::Storage, verify::Verified};

#[derive(Queryable, Selectable)]
#[diesel(table_name = marks, check_for_backend(diesel::sqlite::Sqlite))]
struct Row {
    storage: String,
    id: String,
    pinned: bool,
    note: Option<String>,
    verified: Option<i64>,
    damage: Option<String>,
}

/// So many are asked for by their ids; more are read with all others.
const FEW: usize = 500;

/// Adds to each backup what is known of it.
pub(super) fn put_on(connection: &mut Connection, backups: &mut [Backup]) -> Result<(), DbError> {
    let mut rows = marks::table.select(Row::as_select()).into_boxed();
    if backups.len() <= FEW {
        let ids: Vec<String> = backups.iter().map(|backup| backup.id.clone()).collect();
        rows =
            rows.filter(marks::storage.eq_any(Storage::ALL.map(Storage::as_str)).and(marks::id.eq_any(ids)));
    }
    let rows: Vec<Row> = rows.load(connection)?;
    let mut known: HashMap<(String, String), Row> =
        rows.into_iter().map(|row| ((row.storage.clone(), row.id.clone()), row)).collect();
    for backup in backups {
        let Some(row) = known.remove(&(backup.storage.to_string(), backup.id.clone())) else { continue };
        backup.pinned = row.pinned;
        backup.verified = row.verified.map(time);
        backup.damage = row.damage;
        if let Some(note) = row.note {
            backup.meta.note = note;
        }
    }
    Ok(())
}

/// What people said of backups, of all vaults.
pub fn said(connection: &mut Connection) -> Result<Vec<Mark>, DbError> {
    let rows: Vec<Row> = marks::table
        .filter(marks::pinned.eq(true).or(marks::note.is_not_null()))
        .order((marks::storage, marks::id))
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter()
        .map(|row| Ok(Mark { storage: word(&row.storage)?, id: row.id, pinned: row.pinned, note: row.note }))
        .collect()
}

/// Keeps what was found. `all_data`: all their data was read; without that, nobody knows whether damage that was found
/// before is gone.
pub fn verified(
    connection: &mut Connection,
    storage: Storage,
    found: &Verified,
    all_data: bool,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let at = marks::verified.eq(Some(at.timestamp_millis()));
    let damages: HashMap<&str, String> =
        found.damaged.iter().map(|damaged| (damaged.backup.as_str(), damaged.words())).collect();
    for id in &found.backups {
        let damage = damages.get(id.as_str());
        diesel::insert_into(marks::table)
            .values((
                marks::storage.eq(storage.as_str()),
                marks::id.eq(id),
                marks::pinned.eq(false),
                at,
                marks::damage.eq(damage),
            ))
            .on_conflict((marks::storage, marks::id))
            .do_update()
            .set((at, (all_data || damage.is_some()).then_some(marks::damage.eq(damage))))
            .execute(connection)?;
    }
    Ok(())
}

/// The note that a person gave this backup after it was made.
pub(super) fn note_of(
    connection: &mut Connection,
    storage: Storage,
    id: &str,
) -> Result<Option<String>, DbError> {
    let note = marks::table.find((storage.as_str(), id)).select(marks::note).first(connection);
    Ok(note.optional()?.flatten())
}

/// All of these notes, by id.
pub(super) fn notes(
    connection: &mut Connection,
    storage: Storage,
) -> Result<HashMap<String, String>, DbError> {
    let noted = marks::table.filter(marks::storage.eq(storage.as_str())).filter(marks::note.is_not_null());
    let rows =
        noted.select((marks::id, marks::note.assume_not_null())).load::<(String, String)>(connection)?;
    Ok(rows.into_iter().collect())
}

/// Whether it must stay.
pub fn is_pinned(connection: &mut Connection, storage: Storage, id: &str) -> Result<bool, DbError> {
    let pinned = marks::table.find((storage.as_str(), id)).select(marks::pinned).first(connection);
    Ok(pinned.optional()?.unwrap_or(false))
}

/// Says whether it must stay.
pub fn pin(connection: &mut Connection, storage: Storage, id: &str, pinned: bool) -> Result<(), DbError> {
    diesel::insert_into(marks::table)
        .values((marks::storage.eq(storage.as_str()), marks::id.eq(id), marks::pinned.eq(pinned)))
        .on_conflict((marks::storage, marks::id))
        .do_update()
        .set(marks::pinned.eq(pinned))
        .execute(connection)?;
    Ok(())
}

/// Says what it is for.
pub fn note(connection: &mut Connection, storage: Storage, id: &str, note: &str) -> Result<(), DbError> {
    diesel::insert_into(marks::table)
        .values((
            marks::storage.eq(storage.as_str()),
            marks::id.eq(id),
            marks::pinned.eq(false),
            marks::note.eq(Some(note)),
        ))
        .on_conflict((marks::storage, marks::id))
        .do_update()
        .set(marks::note.eq(Some(note)))
        .execute(connection)?;
    super::backups::note_changed(connection, storage, id, note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        db::Db,
        model::{backup::State, verify::Damaged},
    };

    #[tokio::test]
    async fn damage_is_over_only_when_all_data_was_read() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("test.db")).unwrap();
        let found = |files: &[&str]| Verified {
            backups: vec!["ab".to_owned()],
            damaged: files
                .iter()
                .map(|file| Damaged {
                    backup: "ab".to_owned(),
                    filename: String::new(),
                    files: vec![(*file).to_owned()],
                    more: 0,
                })
                .collect(),
            ..Verified::default()
        };
        let look = |files: &[&str], all_data: bool| {
            let (found, db) = (found(files), db.clone());
            async move {
                db.write(move |c| {
                    verified(c, Storage::Local, &found, all_data, Utc::now())?;
                    let mut list = [Backup::sample("ab".to_owned(), "web", Utc::now(), State::Complete)];
                    put_on(c, &mut list)?;
                    Ok(list[0].damage.clone())
                })
                .await
                .unwrap()
            }
        };
        assert_eq!(look(&["/a"], true).await.as_deref(), Some("/a"));
        assert_eq!(look(&[], false).await.as_deref(), Some("/a"), "the structure says nothing about data");
        assert_eq!(look(&["/b"], false).await.as_deref(), Some("/b"));
        assert_eq!(look(&[], true).await, None);
    }
}
