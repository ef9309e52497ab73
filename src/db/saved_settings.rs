//! Which settings of servers are in the vaults, so that pages need not open a vault. Like the catalog of backups it
//! can be made anew from the vaults at any time.

use super::{Connection, DbError, json, settings, to_json};
use crate::model::{saved_settings::Saved, vault::Storage};

fn key(storage: Storage) -> String {
    format!("vault.{storage}.settings")
}

/// Those in one vault, newest first.
pub fn of(connection: &mut Connection, storage: Storage) -> Result<Vec<Saved>, DbError> {
    settings::get(connection, &key(storage))?.map_or(Ok(Vec::new()), |text| json(&text))
}

/// Those in all vaults, newest first.
pub fn all(connection: &mut Connection) -> Result<Vec<Saved>, DbError> {
    let mut all = Vec::new();
    for storage in Storage::ALL {
        all.extend(of(connection, storage)?);
    }
    all.sort_by_key(|saved: &Saved| std::cmp::Reverse(saved.saved));
    Ok(all)
}

/// Remembers what is in one vault.
pub fn set(connection: &mut Connection, storage: Storage, list: &[Saved]) -> Result<(), DbError> {
    let text = if list.is_empty() { None } else { Some(to_json(&list)?) };
    settings::set(connection, &key(storage), text.as_deref())
}
