//! API tokens.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{
    Connection, DbError,
    schema::{api_tokens, users},
    time, word,
};
use crate::model::token::{Scope, Token};

diesel::joinable!(api_tokens -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(api_tokens, users);

type Row = (i64, String, String, i64, String, i64, Option<i64>, Option<i64>);

type Columns = (
    api_tokens::id,
    api_tokens::name,
    api_tokens::scope,
    api_tokens::user_id,
    users::name,
    api_tokens::created,
    api_tokens::expires,
    api_tokens::last_used,
);

const COLUMNS: Columns = (
    api_tokens::id,
    api_tokens::name,
    api_tokens::scope,
    api_tokens::user_id,
    users::name,
    api_tokens::created,
    api_tokens::expires,
    api_tokens::last_used,
);

fn token((id, name, scope, user_id, user, created, expires, last_used): Row) -> Result<Token, DbError> {
    Ok(Token {
        id,
        name,
        scope: word(&scope)?,
        user_id,
        user,
        created: time(created),
        expires: expires.map(time),
        last_used: last_used.map(time),
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
    let rows = api_tokens::table.inner_join(users::table).select(COLUMNS).order(api_tokens::name);
    rows.load::<Row>(connection)?.into_iter().map(token).collect()
}

/// The one with this fingerprint, expired or not.
pub fn by_hash(connection: &mut Connection, hash: &str) -> Result<Option<Token>, DbError> {
    let row = api_tokens::table.inner_join(users::table).filter(api_tokens::hash.eq(hash)).select(COLUMNS);
    row.first::<Row>(connection).optional()?.map(token).transpose()
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
