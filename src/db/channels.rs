//! Who is told.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{
    Connection, DbError,
    schema::{channels, notices},
    time, word,
};
use crate::model::notice::Channel;

#[derive(Queryable, Selectable)]
#[diesel(table_name = channels, check_for_backend(diesel::sqlite::Sqlite))]
struct Row {
    id: i64,
    name: String,
    kind: String,
    shown: String,
    wish: String,
    schedule: Option<String>,
    enabled: bool,
    last: Option<i64>,
    problem: Option<String>,
}

impl Row {
    fn channel(self, waiting: usize) -> Result<Channel, DbError> {
        Ok(Channel {
            id: self.id,
            name: self.name,
            kind: word(&self.kind)?,
            shown: self.shown,
            wish: word(&self.wish)?,
            schedule: self.schedule.as_deref().map(word).transpose()?,
            enabled: self.enabled,
            last: self.last.map(time),
            problem: self.problem,
            waiting,
        })
    }
}

/// All, by name.
pub fn all(connection: &mut Connection) -> Result<Vec<Channel>, DbError> {
    let waiting = notices::table
        .group_by(notices::channel)
        .select((notices::channel, diesel::dsl::count_star()))
        .load::<(i64, i64)>(connection)?;
    let waiting: HashMap<i64, i64> = waiting.into_iter().collect();
    let rows = channels::table.order(channels::name).select(Row::as_select()).load(connection)?;
    let count = |id: i64| waiting.get(&id).and_then(|count| usize::try_from(*count).ok()).unwrap_or(0);
    rows.into_iter()
        .map(|row| {
            let waiting = count(row.id);
            row.channel(waiting)
        })
        .collect()
}

/// Its sealed address.
pub fn address(connection: &mut Connection, id: i64) -> Result<Option<String>, DbError> {
    let address = channels::table.find(id).select(channels::address).first(connection);
    Ok(address.optional()?)
}

/// Whether another one has this name.
pub fn name_taken(connection: &mut Connection, name: &str, id: Option<i64>) -> Result<bool, DbError> {
    // The column's collation knows no case.
    let found: Option<i64> =
        channels::table.filter(channels::name.eq(name)).select(channels::id).first(connection).optional()?;
    Ok(found.is_some_and(|found| Some(found) != id))
}

/// Keeps a new one with its sealed address; its number.
pub fn insert(connection: &mut Connection, channel: &Channel, address: &str) -> Result<i64, DbError> {
    diesel::insert_into(channels::table)
        .values((
            channels::name.eq(&channel.name),
            channels::kind.eq(channel.kind.as_str()),
            channels::address.eq(address),
            channels::shown.eq(&channel.shown),
            channels::wish.eq(channel.wish.as_str()),
            channels::schedule.eq(channel.schedule.as_ref().map(ToString::to_string)),
            channels::enabled.eq(channel.enabled),
        ))
        .execute(connection)?;
    let mine = channels::table.filter(channels::name.eq(&channel.name));
    Ok(mine.select(channels::id).first(connection)?)
}

/// Changes it; `address`: a new one, sealed. What waits for one that is switched off is dropped.
pub fn update(connection: &mut Connection, channel: &Channel, address: Option<&str>) -> Result<(), DbError> {
    diesel::update(channels::table.find(channel.id))
        .set((
            channels::name.eq(&channel.name),
            channels::kind.eq(channel.kind.as_str()),
            address.map(|address| channels::address.eq(address)),
            channels::shown.eq(&channel.shown),
            channels::wish.eq(channel.wish.as_str()),
            channels::schedule.eq(channel.schedule.as_ref().map(ToString::to_string)),
            channels::enabled.eq(channel.enabled),
        ))
        .execute(connection)?;
    if !channel.enabled {
        diesel::delete(notices::table.filter(notices::channel.eq(channel.id))).execute(connection)?;
    }
    Ok(())
}

/// Notes how the last message went.
pub fn tried(
    connection: &mut Connection,
    id: i64,
    at: DateTime<Utc>,
    problem: Option<&str>,
) -> Result<(), DbError> {
    diesel::update(channels::table.find(id))
        .set((channels::last.eq(Some(at.timestamp_millis())), channels::problem.eq(problem)))
        .execute(connection)?;
    Ok(())
}

/// Removes it with what waits for it.
pub fn remove(connection: &mut Connection, id: i64) -> Result<(), DbError> {
    diesel::delete(channels::table.find(id)).execute(connection)?;
    Ok(())
}
