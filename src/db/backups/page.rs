//! Pages of the catalog, searched, filtered, sorted and summed up by SQLite.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    Connection as _,
    dsl::{exists, not, sql},
    prelude::*,
    sql_types::{BigInt, Text},
    sqlite::Sqlite,
};

use super::super::{
    Connection, DbError, json, marks,
    schema::{backups, marks as marks_table},
    word,
};
use crate::model::{
    backup::{Backup, Kind, State, Trigger},
    backup_list::{Column, Filter, Page, Sum, Sums},
};

diesel::define_sql_function! {
    /// Where the second text begins in the first, from 1; 0 = nowhere.
    fn instr(text: Text, part: Text) -> Integer;
}

/// So many rows are fetched by their ids at once.
const CHUNK: usize = 500;

/// The text that a search looks into: all fields, in small letters. No word that is looked for goes over the end of
/// a field. `note`: the one that a person gave it later.
pub(super) fn text(backup: &Backup, note: Option<&str>) -> String {
    let meta = &backup.meta;
    let fields = [
        meta.container.clone(),
        backup.filename(),
        backup.server_name.clone(),
        meta.image.clone(),
        note.unwrap_or(&meta.note).to_owned(),
        meta.stack.clone().unwrap_or_default(),
        backup.trigger.to_string(),
        meta.kind.to_string(),
        meta.state.to_string().replace('_', " "),
        backup.storage.to_string(),
        backup.created.format("%Y-%m-%d %H:%M").to_string(),
        backup.id.clone(),
    ];
    fields.join("\n").to_lowercase()
}

/// A page of those that match, how many match, and what all there are come to.
pub fn page(connection: &mut Connection, filter: &Filter) -> Result<Page, DbError> {
    // All from one state of the database.
    connection.transaction(|connection| {
        let total: i64 = wanted(filter).count().get_result(connection)?;
        let mut keys =
            wanted(filter).order(sql::<Text>(&order(filter))).select((backups::storage, backups::id));
        if let Some(limit) = filter.limit {
            keys = keys.limit(limit.into());
        }
        if let Some(offset) = filter.offset {
            // SQLite knows no offset without a limit; a negative one is none.
            keys = keys.limit(filter.limit.map_or(-1, Into::into)).offset(offset.into());
        }
        let keys: Vec<(String, String)> = keys.load(connection)?;
        Ok(Page {
            backups: fetch(connection, &keys)?,
            total: usize::try_from(total).unwrap_or(0),
            sums: sums(connection)?,
        })
    })
}

/// These backups, in this order. Sorting their JSON along with the keys would be slow.
fn fetch(connection: &mut Connection, keys: &[(String, String)]) -> Result<Vec<Backup>, DbError> {
    let mut list = Vec::with_capacity(keys.len());
    for keys in keys.chunks(CHUNK) {
        let ids = keys.iter().map(|(_, id)| id.as_str());
        let rows: Vec<(String, String, String)> = backups::table
            .filter(backups::id.eq_any(ids))
            .select((backups::storage, backups::id, backups::backup))
            .load(connection)?;
        let rows: HashMap<(String, String), String> =
            rows.into_iter().map(|(storage, id, text)| ((storage, id), text)).collect();
        for text in keys.iter().filter_map(|key| rows.get(key)) {
            list.push(json(text)?);
        }
    }
    marks::put_on(connection, &mut list)?;
    Ok(list)
}

fn wanted(filter: &Filter) -> backups::BoxedQuery<'static, Sqlite> {
    let mut query = backups::table.into_boxed();
    let chosen = |field: &Option<String>| Filter::chosen(field.as_ref()).map(str::to_owned);
    if let Some(kind) = chosen(&filter.kind) {
        query = query.filter(backups::kind.eq(kind));
    }
    if let Some(by) = chosen(&filter.backup_type) {
        query = query.filter(backups::triggered_by.eq(by));
    }
    if let Some(storage) = chosen(&filter.storage) {
        query = query.filter(backups::storage.eq(storage));
    }
    if let Some(server) = chosen(&filter.server) {
        query = query.filter(backups::server.eq(server));
    }
    if let Some(container) = chosen(&filter.container) {
        query = query.filter(backups::container.eq(container));
    }
    if let Some(state) = chosen(&filter.state) {
        let damaged = exists(
            marks_table::table
                .filter(marks_table::storage.eq(backups::storage))
                .filter(marks_table::id.eq(backups::id))
                .filter(marks_table::damage.is_not_null()),
        );
        query = if state == Filter::DAMAGED {
            query.filter(damaged)
        } else {
            query.filter(backups::state.eq(state)).filter(not(damaged))
        };
    }
    for word in filter.words() {
        query = query.filter(instr(backups::search, word).gt(0));
    }
    query
}

/// The order in SQL; what is equal stands newest first.
fn order(filter: &Filter) -> String {
    const MARK: &str = "FROM marks WHERE marks.storage = backups.storage AND marks.id = backups.id";
    let way = if filter.descending() { "DESC" } else { "ASC" };
    let column = match filter.column() {
        Column::Created => return format!("backups.created {way}, backups.id {way}, backups.storage {way}"),
        Column::Name => "backups.container".to_owned(),
        Column::Server => "backups.server".to_owned(),
        Column::Size => "backups.size".to_owned(),
        Column::StoredSize => "backups.stored_size".to_owned(),
        Column::State => {
            format!("coalesce((SELECT 'damaged' {MARK} AND marks.damage IS NOT NULL), backups.state)")
        }
        Column::Type => "backups.triggered_by".to_owned(),
        Column::Storage => "backups.storage".to_owned(),
        Column::Verified => format!("coalesce((SELECT marks.verified {MARK}), 0)"),
    };
    format!("{column} {way}, backups.created DESC, backups.id, backups.storage")
}

/// What all backups come to.
pub fn sums(connection: &mut Connection) -> Result<Sums, DbError> {
    let rows: Vec<(String, String, i64, i64, i64)> = backups::table
        .group_by((backups::storage, backups::server))
        .select((
            backups::storage,
            backups::server,
            sql::<BigInt>("count(*)"),
            sql::<BigInt>("sum(size)"),
            sql::<BigInt>("sum(stored_size)"),
        ))
        .load(connection)?;
    let sum = |(storage, server, count, size, stored_size): (String, String, i64, i64, i64)| {
        Ok(Sum {
            storage: word(&storage)?,
            server,
            count: usize::try_from(count).unwrap_or(0),
            size: u64::try_from(size).unwrap_or(0),
            stored_size: u64::try_from(stored_size).unwrap_or(0),
        })
    };
    rows.into_iter().map(sum).collect::<Result<_, _>>().map(Sums)
}

/// The newest backup of each thing of this kind that protects it on this server, see [`Backup::protects`].
/// `until`: none that was made later.
pub fn newest(
    connection: &mut Connection,
    server: &str,
    kind: Kind,
    until: Option<DateTime<Utc>>,
) -> Result<Vec<Backup>, DbError> {
    let good = [State::Complete, State::CompleteWithWarnings].map(State::as_str);
    let mut query = backups::table
        .filter(backups::server.eq(server))
        .filter(backups::kind.eq(kind.as_str()))
        .filter(backups::state.eq_any(good))
        .filter(backups::triggered_by.ne(Trigger::Safety.as_str()))
        .group_by(backups::container)
        // Beside `max`, SQLite gives the other columns of the row that has it.
        .select((sql::<Text>("storage"), sql::<Text>("id"), sql::<BigInt>("max(created)")))
        .into_boxed();
    if let Some(until) = until {
        query = query.filter(backups::created.le(until.timestamp_millis()));
    }
    let rows: Vec<(String, String, i64)> = query.load(connection)?;
    let keys: Vec<(String, String)> = rows.into_iter().map(|(storage, id, _)| (storage, id)).collect();
    fetch(connection, &keys)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
