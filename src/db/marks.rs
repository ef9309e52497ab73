//! What people say of backups: that one must stay, and what it is for. The vault does not know it: a snapshot never
//! changes.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{Connection, DbError, schema::marks};
use crate::model::{backup::Backup, vault::Storage};

/// Adds to each backup what was said of it.
pub(super) fn put_on(connection: &mut Connection, backups: &mut [Backup]) -> Result<(), DbError> {
    let rows = marks::table.load::<(String, String, bool, Option<String>)>(connection)?;
    let mut known: HashMap<(String, String), (bool, Option<String>)> =
        rows.into_iter().map(|(storage, id, pinned, note)| ((storage, id), (pinned, note))).collect();
    for backup in backups {
        let key = (backup.storage.to_string(), backup.id.clone());
        if let Some((pinned, note)) = known.remove(&key) {
            backup.pinned = pinned;
            if let Some(note) = note {
                backup.meta.note = note;
            }
        }
    }
    Ok(())
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
    Ok(())
}
