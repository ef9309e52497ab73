//! API tokens.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sqlite::Sqlite};

use super::{
    Connection, DbError,
    schema::{api_tokens, users},
    time, word,
};
use crate::model::token::{Scope, Token};

diesel::joinable!(api_tokens -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(api_tokens, users);

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_tokens, check_for_backend(Sqlite))]
struct Row {
    id: i64,
    name: String,
    scope: String,
    user_id: i64,
    created: i64,
    expires: Option<i64>,
    last_used: Option<i64>,
}

/// `user`: the name of its owner.
fn token((row, user): (Row, String)) -> Result<Token, DbError> {
    Ok(Token {
        id: row.id,
        name: row.name,
        scope: word(&row.scope)?,
        user_id: row.user_id,
        user,
        created: time(row.created),
        expires: row.expires.map(time),
        last_used: row.last_used.map(time),
    })
}

/// A token to keep.
#[derive(Debug, Clone)]
pub struct New {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Its fingerprint.
    pub hash: String,
    /// Whose it is.
    pub user_id: i64,
    /// When it ends.
    pub expires: Option<DateTime<Utc>>,
}

/// All of them, by name.
pub fn all(connection: &mut Connection) -> Result<Vec<Token>, DbError> {
    let rows = api_tokens::table
        .inner_join(users::table)
        .select((Row::as_select(), users::name))
        .order(api_tokens::name);
    rows.load(connection)?.into_iter().map(token).collect()
}

/// Their fingerprints, by number.
pub fn hashes(connection: &mut Connection) -> Result<HashMap<i64, String>, DbError> {
    let rows: Vec<(i64, String)> =
        api_tokens::table.select((api_tokens::id, api_tokens::hash)).load(connection)?;
    Ok(rows.into_iter().collect())
}

/// The one with this fingerprint, expired or not.
pub fn by_hash(connection: &mut Connection, hash: &str) -> Result<Option<Token>, DbError> {
    let row = api_tokens::table
        .inner_join(users::table)
        .filter(api_tokens::hash.eq(hash))
        .select((Row::as_select(), users::name));
    row.first(connection).optional()?.map(token).transpose()
}

/// Keeps a new one; `None` when there is one of this name.
pub fn insert(connection: &mut Connection, new: &New) -> Result<Option<Token>, DbError> {
    let inserted = diesel::insert_into(api_tokens::table)
        .values((
            api_tokens::name.eq(&new.name),
            api_tokens::scope.eq(new.scope.as_str()),
            api_tokens::hash.eq(&new.hash),
            api_tokens::user_id.eq(new.user_id),
            api_tokens::created.eq(Utc::now().timestamp_millis()),
            api_tokens::expires.eq(new.expires.map(|at| at.timestamp_millis())),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    if inserted == 0 { Ok(None) } else { by_hash(connection, &new.hash) }
}

/// Notes that it was used.
pub fn used(connection: &mut Connection, id: i64, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(api_tokens::table.find(id))
        .set(api_tokens::last_used.eq(Some(at.timestamp_millis())))
        .execute(connection)?;
    Ok(())
}

/// Ends it; false when it was not there.
pub fn remove(connection: &mut Connection, id: i64) -> Result<bool, DbError> {
    Ok(diesel::delete(api_tokens::table.find(id)).execute(connection)? > 0)
}
