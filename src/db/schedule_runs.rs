//! Runs of schedules. A slot is taken by inserting its row: the index lets nobody take it twice.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{Connection, DbError, json, schema::schedule_runs, time, to_json, word};
use crate::model::{
    names::{ScheduleId, ScheduleRunId},
    schedule_run::{Report, ScheduleRun},
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = schedule_runs, check_for_backend(diesel::sqlite::Sqlite))]
struct Row {
    id: String,
    schedule: String,
    name: String,
    slot: Option<i64>,
    cause: String,
    requested_by: String,
    started: i64,
    finished: Option<i64>,
    report: String,
}

impl Row {
    fn run(self) -> Result<ScheduleRun, DbError> {
        Ok(ScheduleRun {
            id: word(&self.id)?,
            schedule: word(&self.schedule)?,
            name: self.name,
            slot: self.slot.map(time),
            cause: word(&self.cause)?,
            requested_by: self.requested_by,
            started: time(self.started),
            finished: self.finished.map(time),
            report: json(&self.report)?,
        })
    }

    fn of(run: &ScheduleRun) -> Result<Self, DbError> {
        Ok(Self {
            id: run.id.to_string(),
            schedule: run.schedule.to_string(),
            name: run.name.clone(),
            slot: run.slot.map(|slot| slot.timestamp_millis()),
            cause: run.cause.to_string(),
            requested_by: run.requested_by.clone(),
            started: run.started.timestamp_millis(),
            finished: run.finished.map(|at| at.timestamp_millis()),
            report: to_json(&run.report)?,
        })
    }
}

/// Adds one; with a slot that is taken already it fails.
pub fn insert(connection: &mut Connection, run: &ScheduleRun) -> Result<(), DbError> {
    diesel::insert_into(schedule_runs::table).values(Row::of(run)?).execute(connection)?;
    Ok(())
}

/// One.
pub fn get(connection: &mut Connection, id: &ScheduleRunId) -> Result<Option<ScheduleRun>, DbError> {
    let row = schedule_runs::table.find(id.as_str()).select(Row::as_select()).first(connection);
    row.optional()?.map(Row::run).transpose()
}

/// The newest slot of this schedule that was taken and is not after `horizon`.
pub fn newest_slot(
    connection: &mut Connection,
    schedule: &ScheduleId,
    horizon: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let slots = schedule_runs::table
        .filter(schedule_runs::schedule.eq(schedule.as_str()))
        .filter(schedule_runs::slot.le(horizon.timestamp_millis()));
    let newest: Option<i64> = slots.select(diesel::dsl::max(schedule_runs::slot)).first(connection)?;
    Ok(newest.map(time))
}

/// The newest ones of a schedule, newest first.
pub fn latest(
    connection: &mut Connection,
    schedule: &ScheduleId,
    count: u32,
) -> Result<Vec<ScheduleRun>, DbError> {
    let rows = schedule_runs::table
        .filter(schedule_runs::schedule.eq(schedule.as_str()))
        .order(schedule_runs::id.desc())
        .limit(count.into())
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// Those that have not ended, oldest first.
pub fn unfinished(connection: &mut Connection) -> Result<Vec<ScheduleRun>, DbError> {
    let rows = schedule_runs::table
        .filter(schedule_runs::finished.is_null())
        .order(schedule_runs::id)
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// Writes what came of it; with `finished` it has ended. False when it had ended before.
pub fn report(
    connection: &mut Connection,
    id: &ScheduleRunId,
    report: &Report,
    finished: Option<DateTime<Utc>>,
) -> Result<bool, DbError> {
    let open = schedule_runs::table.find(id.as_str()).filter(schedule_runs::finished.is_null());
    let changed = diesel::update(open)
        .set((
            schedule_runs::report.eq(to_json(report)?),
            schedule_runs::finished.eq(finished.map(|at| at.timestamp_millis())),
        ))
        .execute(connection)?;
    Ok(changed > 0)
}
