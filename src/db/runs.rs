//! Runs and their notes. State changes are compare-and-set, so that a job that
//! is delivered twice is done once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{
    Connection, DbError, bytes, json,
    schema::{run_notes, runs},
    time, to_json, word,
};
use crate::model::{
    names::{RunId, ScheduleRunId},
    progress::{Level, Note},
    run::{Journal, Kind, Outcome, Run, State},
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = runs, check_for_backend(diesel::sqlite::Sqlite))]
struct Row {
    id: String,
    kind: String,
    state: String,
    triggered_by: String,
    requested_by: String,
    subject: String,
    request: String,
    journal: String,
    unsettled: bool,
    created: i64,
    started: Option<i64>,
    finished: Option<i64>,
    backup_id: Option<String>,
    backup_filename: Option<String>,
    error: Option<String>,
    bytes: i64,
    address: String,
    schedule_run: Option<String>,
}

impl Row {
    fn run(self) -> Result<Run, DbError> {
        Ok(Run {
            id: word(&self.id)?,
            kind: word(&self.kind)?,
            state: word(&self.state)?,
            trigger: word(&self.triggered_by)?,
            requested_by: self.requested_by,
            address: self.address,
            subject: self.subject,
            request: json(&self.request)?,
            created: time(self.created),
            started: self.started.map(time),
            finished: self.finished.map(time),
            backup_id: self.backup_id,
            backup_filename: self.backup_filename,
            error: self.error,
            bytes: u64::try_from(self.bytes).unwrap_or(0),
            journal: json(&self.journal)?,
            schedule_run: self.schedule_run.map(|id| word(&id)).transpose()?,
        })
    }

    fn of(run: &Run) -> Result<Self, DbError> {
        Ok(Self {
            id: run.id.to_string(),
            kind: run.kind.to_string(),
            state: run.state.to_string(),
            triggered_by: run.trigger.to_string(),
            requested_by: run.requested_by.clone(),
            subject: run.subject.clone(),
            request: to_json(&run.request)?,
            journal: to_json(&run.journal)?,
            unsettled: run.journal != Journal::default(),
            created: run.created.timestamp_millis(),
            started: run.started.map(|at| at.timestamp_millis()),
            finished: run.finished.map(|at| at.timestamp_millis()),
            backup_id: run.backup_id.clone(),
            backup_filename: run.backup_filename.clone(),
            error: run.error.clone(),
            bytes: bytes(run.bytes),
            address: run.address.clone(),
            schedule_run: run.schedule_run.as_ref().map(ToString::to_string),
        })
    }
}

/// Adds a run.
pub fn insert(connection: &mut Connection, run: &Run) -> Result<(), DbError> {
    diesel::insert_into(runs::table).values(Row::of(run)?).execute(connection)?;
    Ok(())
}

/// One run.
pub fn get(connection: &mut Connection, id: &RunId) -> Result<Option<Run>, DbError> {
    let row = runs::table.find(id.as_str()).select(Row::as_select()).first(connection);
    row.optional()?.map(Row::run).transpose()
}

/// Those of these ids that there are, in no order.
pub fn some(connection: &mut Connection, ids: &[String]) -> Result<Vec<Run>, DbError> {
    let rows = runs::table.filter(runs::id.eq_any(ids)).select(Row::as_select()).load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// Newest first, and how many there are.
pub fn page(connection: &mut Connection, limit: u32, offset: u32) -> Result<(Vec<Run>, usize), DbError> {
    let rows = runs::table
        .order(runs::id.desc())
        .limit(limit.into())
        .offset(offset.into())
        .select(Row::as_select())
        .load(connection)?;
    let total: i64 = runs::table.count().get_result(connection)?;
    let list = rows.into_iter().map(Row::run).collect::<Result<_, _>>()?;
    Ok((list, usize::try_from(total).unwrap_or(0)))
}

/// All in one of these states, oldest first.
pub fn in_states(connection: &mut Connection, states: &[State]) -> Result<Vec<Run>, DbError> {
    let words: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    let rows = runs::table
        .filter(runs::state.eq_any(words))
        .order(runs::id)
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// All of a kind, oldest first.
pub fn of_kind(connection: &mut Connection, kind: Kind) -> Result<Vec<Run>, DbError> {
    let rows = runs::table
        .filter(runs::kind.eq(kind.to_string()))
        .order(runs::id)
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// All of one run of a schedule, in their order.
pub fn of_schedule_run(connection: &mut Connection, id: &ScheduleRunId) -> Result<Vec<Run>, DbError> {
    let rows = runs::table
        .filter(runs::schedule_run.eq(id.as_str()))
        .order(runs::id)
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// Ended ones whose journal still names something to be brought back, oldest first.
pub fn unsettled(connection: &mut Connection) -> Result<Vec<Run>, DbError> {
    let rows = runs::table
        .filter(runs::unsettled.eq(true))
        .filter(runs::state.ne(State::Running.as_str()))
        .order(runs::id)
        .select(Row::as_select())
        .load(connection)?;
    rows.into_iter().map(Row::run).collect()
}

/// `queued` → `running`; `None` when it is not queued any more.
pub fn begin(connection: &mut Connection, id: &RunId) -> Result<Option<Run>, DbError> {
    let queued = runs::table.find(id.as_str()).filter(runs::state.eq(State::Queued.as_str()));
    let changed = diesel::update(queued)
        .set((runs::state.eq(State::Running.as_str()), runs::started.eq(Some(Utc::now().timestamp_millis()))))
        .execute(connection)?;
    if changed == 0 { Ok(None) } else { get(connection, id) }
}

/// `queued` → `cancelled`; false when it had begun or ended.
pub fn cancel_queued(connection: &mut Connection, id: &RunId) -> Result<bool, DbError> {
    let queued = runs::table.find(id.as_str()).filter(runs::state.eq(State::Queued.as_str()));
    let changed = diesel::update(queued)
        .set((
            runs::state.eq(State::Cancelled.as_str()),
            runs::finished.eq(Some(Utc::now().timestamp_millis())),
        ))
        .execute(connection)?;
    Ok(changed > 0)
}

/// `running` → `queued`, for a backup that a stop of the server interrupted.
pub fn requeue(connection: &mut Connection, id: &RunId) -> Result<(), DbError> {
    diesel::update(runs::table.find(id.as_str()).filter(runs::state.eq(State::Running.as_str())))
        .set((runs::state.eq(State::Queued.as_str()), runs::started.eq(None::<i64>)))
        .execute(connection)?;
    Ok(())
}

/// `running` → final, with its notes. Does nothing to a run that is not running.
pub fn finish(connection: &mut Connection, id: &RunId, outcome: &Outcome) -> Result<bool, DbError> {
    let running = runs::table.find(id.as_str()).filter(runs::state.eq(State::Running.as_str()));
    let changed = diesel::update(running)
        .set((
            runs::state.eq(outcome.state.as_str()),
            runs::finished.eq(Some(Utc::now().timestamp_millis())),
            runs::error.eq(&outcome.error),
            runs::backup_id.eq(&outcome.backup_id),
            runs::backup_filename.eq(&outcome.backup_filename),
            runs::bytes.eq(bytes(outcome.bytes)),
        ))
        .execute(connection)?;
    for note in &outcome.notes {
        add_note(connection, id, note)?;
    }
    Ok(changed > 0)
}

/// Writes the journal. Call it *before* the step it speaks of.
pub fn set_journal(connection: &mut Connection, id: &RunId, journal: &Journal) -> Result<(), DbError> {
    diesel::update(runs::table.find(id.as_str()))
        .set((runs::journal.eq(to_json(journal)?), runs::unsettled.eq(*journal != Journal::default())))
        .execute(connection)?;
    Ok(())
}

/// Adds a line to the run's log.
pub fn add_note(connection: &mut Connection, id: &RunId, note: &Note) -> Result<(), DbError> {
    let level = match note.level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    diesel::insert_into(run_notes::table)
        .values((
            run_notes::run_id.eq(id.as_str()),
            run_notes::at.eq(Utc::now().timestamp_millis()),
            run_notes::level.eq(level),
            run_notes::text.eq(&note.text),
        ))
        .execute(connection)?;
    Ok(())
}

/// The run's log, oldest first; at most 2,000 lines.
pub fn notes(connection: &mut Connection, id: &RunId) -> Result<Vec<(DateTime<Utc>, Note)>, DbError> {
    let rows: Vec<(i64, String, String)> = run_notes::table
        .filter(run_notes::run_id.eq(id.as_str()))
        .order(run_notes::id)
        .limit(2000)
        .select((run_notes::at, run_notes::level, run_notes::text))
        .load(connection)?;
    let note = |(at, level, text): (i64, String, String)| {
        let level = match level.as_str() {
            "warning" => Level::Warning,
            "error" => Level::Error,
            _ => Level::Info,
        };
        (time(at), Note { level, text })
    };
    Ok(rows.into_iter().map(note).collect())
}
