//! The audit log: who did what, to what, and how it ended.

use chrono::{DateTime, Duration, Utc};
use diesel::{
    Connection as _,
    connection::DefaultLoadingMode,
    dsl::{count_star, sql},
    prelude::*,
    sql_types::{BigInt, Nullable},
    sqlite::Sqlite,
};

use super::{Connection, DbError, schema::audit, time, to_json};
use crate::model::audit::{Chain, Filter, Record, Statistics};

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
    /// More, as JSON. Never secrets.
    pub details: serde_json::Value,
}

/// Columns in their order.
#[derive(Queryable, Selectable)]
#[diesel(table_name = audit, check_for_backend(Sqlite))]
struct Row {
    id: i64,
    at: i64,
    operation: String,
    actor: String,
    address: String,
    target: String,
    outcome: String,
    error: Option<String>,
    details: String,
    hash: String,
}

impl From<Row> for Record {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: time(row.at),
            operation: row.operation,
            actor: row.actor,
            address: row.address,
            target: row.target,
            outcome: row.outcome,
            error: row.error,
            details: row.details,
            hash: row.hash,
        }
    }
}

/// Writes one entry and links it to the one before. Inside [`super::Db::write`], so that nobody comes between.
pub fn record(connection: &mut Connection, entry: &Entry<'_>) -> Result<(), DbError> {
    let mut record = Record {
        id: 0,
        at: time(Utc::now().timestamp_millis()),
        operation: entry.operation.to_owned(),
        actor: entry.actor.to_owned(),
        address: entry.address.to_owned(),
        target: entry.target.to_owned(),
        outcome: entry.outcome.to_owned(),
        error: entry.error.map(str::to_owned),
        details: to_json(&entry.details)?,
        hash: String::new(),
    };
    record.hash = record.digest(&last_hash(connection)?);
    diesel::insert_into(audit::table)
        .values((
            audit::at.eq(record.at.timestamp_millis()),
            audit::operation.eq(record.operation),
            audit::actor.eq(record.actor),
            audit::address.eq(record.address),
            audit::target.eq(record.target),
            audit::outcome.eq(record.outcome),
            audit::error.eq(record.error),
            audit::details.eq(record.details),
            audit::hash.eq(record.hash),
        ))
        .execute(connection)?;
    Ok(())
}

/// Hash of the newest entry; empty before the first one.
fn last_hash(connection: &mut Connection) -> Result<String, DbError> {
    let hash = audit::table.order(audit::id.desc()).select(audit::hash).first(connection);
    Ok(hash.optional()?.unwrap_or_default())
}

/// Some of the wanted entries, newest first, and how many are wanted.
pub fn page(
    connection: &mut Connection,
    filter: &Filter,
    limit: u32,
    offset: u32,
) -> Result<(Vec<Record>, u64), DbError> {
    let rows: Vec<Row> = wanted(filter)
        .select(Row::as_select())
        .order(audit::id.desc())
        .limit(limit.into())
        .offset(offset.into())
        .load(connection)?;
    let total = wanted(filter).select(count_star()).first::<i64>(connection)?;
    Ok((rows.into_iter().map(Record::from).collect(), number(total)))
}

/// Wanted entries with a lower number than `before`, newest first.
pub fn older(
    connection: &mut Connection,
    filter: &Filter,
    before: i64,
    limit: u32,
) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = wanted(filter)
        .select(Row::as_select())
        .filter(audit::id.lt(before))
        .order(audit::id.desc())
        .limit(limit.into())
        .load(connection)?;
    Ok(rows.into_iter().map(Record::from).collect())
}

fn wanted(filter: &Filter) -> audit::BoxedQuery<'static, Sqlite> {
    let mut query = audit::table.into_boxed();
    if !filter.operation.is_empty() {
        query = query.filter(audit::operation.eq(filter.operation.clone()));
    }
    if !filter.outcome.is_empty() {
        query = query.filter(audit::outcome.eq(filter.outcome.clone()));
    }
    if !filter.user.is_empty() {
        query = query.filter(audit::actor.eq(filter.user.clone()));
    }
    if !filter.target.is_empty() {
        let by_name = audit::target.eq(filter.target.clone());
        let is_id = filter.target.len() >= 12 && filter.target.bytes().all(|byte| byte.is_ascii_hexdigit());
        query = if is_id {
            let by_id = part(&format!("\"container_id\":\"{}", filter.target));
            query.filter(by_name.or(audit::details.like(by_id).escape('\\')))
        } else {
            query.filter(by_name)
        };
    }
    if !filter.name.is_empty() {
        query = query.filter(audit::target.like(part(&filter.name)).escape('\\'));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit::at.ge(since.timestamp_millis()));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit::at.lt(until.timestamp_millis()));
    }
    for word in &filter.words {
        let like = part(word);
        let error =
            audit::error.is_not_null().and(audit::error.assume_not_null().like(like.clone()).escape('\\'));
        query = query.filter(
            audit::target
                .like(like.clone())
                .escape('\\')
                .or(audit::operation.like(like.clone()).escape('\\'))
                .or(audit::actor.like(like.clone()).escape('\\'))
                .or(audit::address.like(like.clone()).escape('\\'))
                .or(audit::details.like(like).escape('\\'))
                .or(error),
        );
    }
    query
}

/// A pattern for texts that hold `text`.
fn part(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// Names of all users in the log, at most 200.
pub fn users(connection: &mut Connection) -> Result<Vec<String>, DbError> {
    let names = audit::table.filter(audit::actor.ne("")).select(audit::actor).distinct();
    Ok(names.order(audit::actor).limit(200).load(connection)?)
}

/// Counts, as of `now`.
pub fn statistics(connection: &mut Connection, now: DateTime<Utc>) -> Result<Statistics, DbError> {
    let by_operation: Vec<(String, i64)> =
        audit::table.group_by(audit::operation).select((audit::operation, count_star())).load(connection)?;
    let by_outcome: Vec<(String, i64)> =
        audit::table.group_by(audit::outcome).select((audit::outcome, count_star())).load(connection)?;
    let since = |days: i64| audit::at.ge((now - Duration::days(days)).timestamp_millis());
    let count = |connection: &mut Connection, days| {
        audit::table.filter(since(days)).select(count_star()).first::<i64>(connection)
    };
    let errors = audit::table.filter(since(7)).filter(audit::outcome.eq("error")).select(count_star());
    let oldest = audit::table.order(audit::id).select(audit::at).first::<i64>(connection).optional()?;
    let counts = |list: Vec<(String, i64)>| list.into_iter().map(|(name, n)| (name, number(n))).collect();
    Ok(Statistics {
        total: by_outcome.iter().map(|(_, count)| number(*count)).sum(),
        oldest: oldest.map(time),
        last_24_hours: number(count(connection, 1)?),
        last_7_days: number(count(connection, 7)?),
        errors_7_days: number(errors.first::<i64>(connection)?),
        by_operation: counts(by_operation),
        by_outcome: counts(by_outcome),
    })
}

/// Reads the whole log and says whether it is still what was written.
pub fn chain(connection: &mut Connection) -> Result<Chain, DbError> {
    // Both from one state of the database.
    connection.transaction(|connection| {
        let mut chain = Chain::default();
        let rows = audit::table
            .order(audit::id)
            .select(Row::as_select())
            .load_iter::<Row, DefaultLoadingMode>(connection)?;
        for row in rows {
            chain.look(&row?.into());
        }
        let highest = sql::<Nullable<BigInt>>("(SELECT seq FROM sqlite_sequence WHERE name = 'audit')");
        let highest: Option<i64> = diesel::select(highest).get_result(connection)?;
        chain.end(highest.unwrap_or(0));
        Ok(chain)
    })
}

/// Deletes all entries and begins a new chain with `entry`, which gets the last hash of the old one among its
/// details; returns how many there were.
pub fn clear(connection: &mut Connection, mut entry: Entry<'_>) -> Result<u64, DbError> {
    let last = last_hash(connection)?;
    let deleted = diesel::delete(audit::table).execute(connection)?;
    entry.details = serde_json::json!({ "deleted": deleted, "last_hash": last });
    record(connection, &entry)?;
    Ok(u64::try_from(deleted).unwrap_or(0))
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
