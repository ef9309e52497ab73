//! The audit log: who did what, to what, and how it ended.

use chrono::Utc;
use diesel::prelude::*;

use super::{Connection, DbError, schema::audit, to_json};

/// One entry to write.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// `backup_manual`, `restore`, `delete_backup`, `container_stop`, `login`…
    pub operation: &'a str,
    /// User's name.
    pub actor: &'a str,
    /// Client's address.
    pub address: &'a str,
    /// What it was done to.
    pub target: &'a str,
    /// `started`, `completed`, `error`.
    pub outcome: &'a str,
    /// Why it failed.
    pub error: Option<&'a str>,
    /// More, as JSON.
    pub details: serde_json::Value,
}

/// Writes one entry.
pub fn record(connection: &mut Connection, entry: &Entry<'_>) -> Result<(), DbError> {
    diesel::insert_into(audit::table)
        .values((
            audit::at.eq(Utc::now().timestamp_millis()),
            audit::operation.eq(entry.operation),
            audit::actor.eq(entry.actor),
            audit::address.eq(entry.address),
            audit::target.eq(entry.target),
            audit::outcome.eq(entry.outcome),
            audit::error.eq(entry.error),
            audit::details.eq(to_json(&entry.details)?),
        ))
        .execute(connection)?;
    Ok(())
}
