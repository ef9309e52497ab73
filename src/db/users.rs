//! Users.

use chrono::Utc;
use diesel::prelude::*;

use super::{Connection, DbError, schema::users};
use crate::model::{secret::Secret, user::User};

type Row = (i64, String, String, bool);

fn user((id, name, hash, default_password): Row) -> User {
    User { id, name, password_hash: Secret::new(hash), default_password }
}

const COLUMNS: (users::id, users::name, users::password_hash, users::default_password) =
    (users::id, users::name, users::password_hash, users::default_password);

/// The user with this name, whatever its case.
pub fn by_name(connection: &mut Connection, name: &str) -> Result<Option<User>, DbError> {
    let row = users::table.filter(users::name.eq(name)).select(COLUMNS).first::<Row>(connection);
    Ok(row.optional()?.map(user))
}

/// The user with this id.
pub fn by_id(connection: &mut Connection, id: i64) -> Result<Option<User>, DbError> {
    let row = users::table.find(id).select(COLUMNS).first::<Row>(connection);
    Ok(row.optional()?.map(user))
}

/// All of them, the oldest first.
pub fn all(connection: &mut Connection) -> Result<Vec<User>, DbError> {
    let rows = users::table.order(users::id).select(COLUMNS).load::<Row>(connection)?;
    Ok(rows.into_iter().map(user).collect())
}

/// Whether there is any user.
pub fn any(connection: &mut Connection) -> Result<bool, DbError> {
    Ok(users::table.count().get_result::<i64>(connection)? > 0)
}

/// Adds a user.
pub fn insert(
    connection: &mut Connection,
    name: &str,
    hash: &Secret,
    default_password: bool,
) -> Result<(), DbError> {
    diesel::insert_into(users::table)
        .values((
            users::name.eq(name),
            users::password_hash.eq(hash.reveal()),
            users::default_password.eq(default_password),
            users::created.eq(Utc::now().timestamp_millis()),
        ))
        .execute(connection)?;
    Ok(())
}

/// Writes a changed user back.
pub fn update(connection: &mut Connection, user: &User) -> Result<(), DbError> {
    diesel::update(users::table.find(user.id))
        .set((
            users::name.eq(&user.name),
            users::password_hash.eq(user.password_hash.reveal()),
            users::default_password.eq(user.default_password),
        ))
        .execute(connection)?;
    Ok(())
}
