//! The catalog: the vault's list, kept so that pages need not open the vault.

use std::collections::HashSet;

use diesel::prelude::*;

use super::{Connection, DbError, json, schema::backups, to_json};
use crate::model::{backup::Backup, manifest::Manifest};

/// All of them, newest first.
pub fn all(connection: &mut Connection) -> Result<Vec<Backup>, DbError> {
    let rows = backups::table
        .order((backups::created.desc(), backups::id))
        .select(backups::backup)
        .load::<String>(connection)?;
    rows.iter().map(|row| json(row)).collect()
}

/// Backups whose id starts with `prefix` (hex) or whose file name is `name`; at most two, so that
/// the caller sees when it is not unique.
pub fn matching(connection: &mut Connection, name: &str) -> Result<Vec<Backup>, DbError> {
    let by_name = backups::table.filter(backups::filename.eq(name)).select(backups::backup);
    let mut rows: Vec<String> = by_name.limit(2).load(connection)?;
    let hex = name.len() >= 8 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if rows.is_empty() && hex {
        let by_id = backups::table.filter(backups::id.like(format!("{name}%"))).select(backups::backup);
        rows = by_id.limit(2).load(connection)?;
    }
    rows.iter().map(|row| json(row)).collect()
}

/// The manifest, if it was read before.
pub fn manifest(connection: &mut Connection, id: &str) -> Result<Option<Manifest>, DbError> {
    let text = backups::table.find(id).select(backups::manifest).first::<Option<String>>(connection);
    text.optional()?.flatten().map(|text| json(&text)).transpose()
}

/// Keeps a manifest that was read from the vault.
pub fn keep_manifest(connection: &mut Connection, id: &str, manifest: &Manifest) -> Result<(), DbError> {
    diesel::update(backups::table.find(id))
        .set(backups::manifest.eq(Some(to_json(manifest)?)))
        .execute(connection)?;
    Ok(())
}

/// Adds or changes one.
pub fn upsert(connection: &mut Connection, backup: &Backup) -> Result<(), DbError> {
    let row = (
        backups::filename.eq(backup.filename()),
        backups::container.eq(&backup.meta.container),
        backups::server.eq(&backup.server_name),
        backups::created.eq(backup.created.timestamp_millis()),
        backups::backup.eq(to_json(backup)?),
    );
    diesel::insert_into(backups::table)
        .values((backups::id.eq(&backup.id), row.clone()))
        .on_conflict(backups::id)
        .do_update()
        .set(row)
        .execute(connection)?;
    Ok(())
}

/// Ids of all of them.
pub fn ids(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    Ok(backups::table.select(backups::id).load(connection)?)
}

/// Makes the catalog equal to the vault's list; manifests that were read stay. Only those that were `known`
/// before the vault was listed may go: others were made meanwhile.
pub fn replace_all(connection: &mut Connection, known: &[String], list: &[Backup]) -> Result<(), DbError> {
    let present: HashSet<&str> = list.iter().map(|backup| backup.id.as_str()).collect();
    for id in known.iter().filter(|id| !present.contains(id.as_str())) {
        remove(connection, id)?;
    }
    list.iter().try_for_each(|backup| upsert(connection, backup))
}

/// Forgets one.
pub fn remove(connection: &mut Connection, id: &str) -> Result<(), DbError> {
    diesel::delete(backups::table.find(id)).execute(connection)?;
    Ok(())
}
