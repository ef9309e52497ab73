//! Schedules.

use diesel::prelude::*;

use super::{Connection, DbError, json, schema::schedules, time, to_json, word};
use crate::model::{names::ScheduleId, schedule::Schedule};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schedules, check_for_backend(diesel::sqlite::Sqlite))]
struct Row {
    id: String,
    name: String,
    enabled: bool,
    plan: String,
    created: i64,
    since: i64,
}

impl Row {
    fn schedule(self) -> Result<Schedule, DbError> {
        Ok(Schedule {
            id: word(&self.id)?,
            enabled: self.enabled,
            plan: json(&self.plan)?,
            created: time(self.created),
            since: time(self.since),
        })
    }

    fn of(schedule: &Schedule) -> Result<Self, DbError> {
        Ok(Self {
            id: schedule.id.to_string(),
            name: schedule.plan.name.clone(),
            enabled: schedule.enabled,
            plan: to_json(&schedule.plan)?,
            created: schedule.created.timestamp_millis(),
            since: schedule.since.timestamp_millis(),
        })
    }
}

/// All, the oldest first.
pub fn all(connection: &mut Connection) -> Result<Vec<Schedule>, DbError> {
    let rows = schedules::table.order(schedules::id).select(Row::as_select()).load(connection)?;
    rows.into_iter().map(Row::schedule).collect()
}

/// How many there are.
pub fn count(connection: &mut Connection) -> Result<usize, DbError> {
    let count: i64 = schedules::table.count().get_result(connection)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// One.
pub fn get(connection: &mut Connection, id: &ScheduleId) -> Result<Option<Schedule>, DbError> {
    let row = schedules::table.find(id.as_str()).select(Row::as_select()).first(connection);
    row.optional()?.map(Row::schedule).transpose()
}

/// Whether another one has this name, whatever its case.
pub fn name_taken(connection: &mut Connection, name: &str, but: &ScheduleId) -> Result<bool, DbError> {
    let others = schedules::table.filter(schedules::name.eq(name)).filter(schedules::id.ne(but.as_str()));
    Ok(others.count().get_result::<i64>(connection)? > 0)
}

/// Adds one.
pub fn insert(connection: &mut Connection, schedule: &Schedule) -> Result<(), DbError> {
    diesel::insert_into(schedules::table).values(Row::of(schedule)?).execute(connection)?;
    Ok(())
}

/// Writes a changed one back; false when it is gone.
pub fn update(connection: &mut Connection, schedule: &Schedule) -> Result<bool, DbError> {
    let row = Row::of(schedule)?;
    let changed = diesel::update(schedules::table.find(schedule.id.as_str())).set(row).execute(connection)?;
    Ok(changed > 0)
}

/// Deletes one; false when it is gone.
pub fn delete(connection: &mut Connection, id: &ScheduleId) -> Result<bool, DbError> {
    Ok(diesel::delete(schedules::table.find(id.as_str())).execute(connection)? > 0)
}
