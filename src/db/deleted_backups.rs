//! Backups that were deleted and are still in the vault. They stand here instead of in the catalog, so that no list and
//! no rule sees them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{
    Connection, DbError, backups, json,
    schema::{backups as catalog, deleted_backups},
    time,
};
use crate::model::{backup::Backup, backup_list::Deleted, vault::Storage};

/// All of them, the newest deletion first.
pub fn all(connection: &mut Connection) -> Result<Vec<Deleted>, DbError> {
    let rows = deleted_backups::table
        .order((deleted_backups::deleted.desc(), deleted_backups::id, deleted_backups::storage))
        .select((deleted_backups::deleted, deleted_backups::deleted_by, deleted_backups::backup))
        .load::<(i64, String, String)>(connection)?;
    rows.into_iter().map(|(at, by, text)| Ok(Deleted { backup: json(&text)?, at: time(at), by })).collect()
}

/// How many there are.
pub fn count(connection: &mut Connection) -> Result<usize, DbError> {
    let count: i64 = deleted_backups::table.count().get_result(connection)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Takes one out of the catalog; false when it is not there.
pub fn take(
    connection: &mut Connection,
    storage: Storage,
    id: &str,
    at: DateTime<Utc>,
    by: &str,
) -> Result<bool, DbError> {
    let row = catalog::table.find((storage.as_str(), id)).select((catalog::backup, catalog::manifest));
    let Some((backup, manifest)) = row.first::<(String, Option<String>)>(connection).optional()? else {
        return Ok(false);
    };
    diesel::replace_into(deleted_backups::table)
        .values((
            deleted_backups::storage.eq(storage.as_str()),
            deleted_backups::id.eq(id),
            deleted_backups::deleted.eq(at.timestamp_millis()),
            deleted_backups::deleted_by.eq(by),
            deleted_backups::backup.eq(backup),
            deleted_backups::manifest.eq(manifest),
        ))
        .execute(connection)?;
    backups::remove(connection, storage, id)?;
    Ok(true)
}

/// Puts one back into the catalog; `None` when it is not here.
pub fn give_back(connection: &mut Connection, storage: Storage, id: &str) -> Result<Option<Backup>, DbError> {
    let row = deleted_backups::table.find((storage.as_str(), id));
    let found = row.select((deleted_backups::backup, deleted_backups::manifest));
    let Some((backup, manifest)) = found.first::<(String, Option<String>)>(connection).optional()? else {
        return Ok(None);
    };
    let backup: Backup = json(&backup)?;
    backups::upsert(connection, &backup)?;
    if let Some(manifest) = manifest {
        backups::keep_manifest(connection, &backup, &json(&manifest)?)?;
    }
    diesel::delete(row).execute(connection)?;
    Ok(Some(backup))
}

/// Forgets one that is not in the vault any more.
pub fn remove(connection: &mut Connection, storage: Storage, id: &str) -> Result<(), DbError> {
    diesel::delete(deleted_backups::table.find((storage.as_str(), id))).execute(connection)?;
    Ok(())
}

/// Ids of those that are in this vault's list; the others are gone, and forgotten.
pub(super) fn still_there(
    connection: &mut Connection,
    storage: Storage,
    list: &[Backup],
) -> Result<HashSet<String>, DbError> {
    let rows = deleted_backups::table.filter(deleted_backups::storage.eq(storage.as_str()));
    let ids: Vec<String> = rows.select(deleted_backups::id).load(connection)?;
    let present: HashSet<&str> = list.iter().map(|backup| backup.id.as_str()).collect();
    let (there, gone): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| present.contains(id.as_str()));
    gone.iter().try_for_each(|id| remove(connection, storage, id))?;
    Ok(there.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{db::Db, model::backup::State};

    #[tokio::test]
    async fn a_deleted_backup_is_in_no_list_until_it_is_brought_back() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("test.db")).unwrap();
        let at = time(1_700_000_000_000);
        let backup = |id: &str| Backup::sample(id.repeat(32), "web", at, State::Complete);
        let (one, two) = (backup("01"), backup("02"));
        let (id, list) = (one.id.clone(), vec![one.clone(), two.clone()]);
        db.write(move |c| {
            let storage = Storage::Local;
            backups::replace_all(c, storage, &[], &list)?;
            assert!(take(c, storage, &id, at, "admin")?);
            assert!(!take(c, storage, &id, at, "admin")?);
            // The vault still has it.
            let known = backups::ids(c, storage)?;
            backups::replace_all(c, storage, &known, &list)?;
            assert_eq!(backups::all(c)?, std::slice::from_ref(&two));
            assert_eq!(backups::matching(c, None, &id)?, []);
            let deleted = all(c)?;
            assert_eq!(
                (deleted[0].backup.clone(), deleted[0].at, deleted[0].by.as_str()),
                (one, at, "admin")
            );
            assert_eq!(give_back(c, storage, &id)?.map(|backup| backup.id).as_deref(), Some(id.as_str()));
            assert_eq!(give_back(c, storage, &id)?, None);
            assert_eq!((backups::all(c)?.len(), count(c)?), (2, 0));
            // Somebody else took it out of the vault.
            assert!(take(c, storage, &id, at, "admin")?);
            backups::replace_all(c, storage, &[], &list[1..])?;
            assert_eq!((backups::all(c)?, count(c)?), (vec![two], 0));
            Ok(())
        })
        .await
        .unwrap();
    }
}
