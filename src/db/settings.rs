//! Key and value settings.

use diesel::prelude::*;

use super::{Connection, DbError, schema::settings};

/// The value of `key`.
pub fn get(connection: &mut Connection, key: &str) -> Result<Option<String>, DbError> {
    let value = settings::table.find(key).select(settings::value).first(connection);
    Ok(value.optional()?)
}

/// Sets `key`; `None` removes it.
pub fn set(connection: &mut Connection, key: &str, value: Option<&str>) -> Result<(), DbError> {
    match value {
        Some(value) => diesel::replace_into(settings::table)
            .values((settings::key.eq(key), settings::value.eq(value)))
            .execute(connection)?,
        None => diesel::delete(settings::table.find(key)).execute(connection)?,
    };
    Ok(())
}
