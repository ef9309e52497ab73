//! Taking what is due: the slot, the queued backups and their audit entries are written in one transaction, so that
//! each happens exactly once, whatever dies when. The queue only delivers them, as often as it likes.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    db::{self, Connection, DbError, audit::Entry},
    model::{
        backup::Trigger,
        container::Container,
        names::{RunId, ScheduleId, ScheduleRunId},
        progress::{Level, Note},
        run::{BackupRequest, Request, Run},
        schedule::{Cause, Due, Schedule},
        schedule_run::{Report, ScheduleRun},
    },
    ops::notices,
};

/// Who starts it.
#[derive(Debug, Clone)]
pub(super) enum By {
    /// The clock.
    Clock,
    /// A user, with their address.
    User(String, String),
}

impl By {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Clock => "schedule",
            Self::User(name, _) => name,
        }
    }

    fn address(&self) -> &str {
        match self {
            Self::Clock => "",
            Self::User(_, address) => address,
        }
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Claimed {
    /// It runs: what is to be delivered.
    Runs(Box<ScheduleRun>, Vec<RunId>),
    /// Its former run has not ended.
    Busy,
    /// There is nothing to do, or no such schedule.
    Nothing,
}

/// Whether this schedule owes something, as far as can be told without the engine.
pub(super) fn due(
    c: &mut Connection,
    schedule: &Schedule,
    now: DateTime<Utc>,
) -> Result<Option<Due>, DbError> {
    Ok(schedule.due(taken(c, schedule, now)?, now))
}

/// Its newest slot that was taken, as far as the clock was right then.
pub(super) fn taken(
    c: &mut Connection,
    schedule: &Schedule,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    db::schedule_runs::newest_slot(c, &schedule.id, Schedule::horizon(now))
}

/// Takes what the schedule owes, or starts it because a user asks. To be called inside a transaction.
pub(super) fn claim(
    c: &mut Connection,
    id: &ScheduleId,
    by: &By,
    all: &[Container],
    now: DateTime<Utc>,
) -> Result<Claimed, DbError> {
    let Some(schedule) = db::schedules::get(c, id)? else { return Ok(Claimed::Nothing) };
    let due = match by {
        By::User(..) => None,
        By::Clock => match due(c, &schedule, now)? {
            None => return Ok(Claimed::Nothing),
            due => due,
        },
    };
    let unfinished = db::schedule_runs::unfinished(c)?;
    if let Some(former) = unfinished.into_iter().find(|run| run.schedule == *id) {
        if let Some(due) = due {
            note_skipped(c, former, &schedule, &due)?;
        }
        return Ok(Claimed::Busy);
    }
    let chosen = schedule.plan.selection.choose(all);
    let mut notes: Vec<Note> = due.iter().filter_map(|due| explain(&schedule, due)).collect();
    notes.extend(chosen.missing.iter().map(|text| Note { level: Level::Warning, text: text.clone() }));
    if chosen.containers.is_empty() {
        notes.push(warning("No container is selected that is there. Nothing was backed up.".to_owned()));
    }
    let run = ScheduleRun {
        id: ScheduleRunId::generate(),
        schedule: id.clone(),
        name: schedule.plan.name.clone(),
        slot: due.as_ref().map(|due| due.slot),
        cause: match &due {
            None => Cause::Now,
            Some(due) if due.late => Cause::CatchUp,
            Some(_) => Cause::Slot,
        },
        requested_by: by.name().to_owned(),
        started: now,
        finished: None,
        report: Report {
            containers: chosen.containers.len(),
            missing: chosen.missing.len(),
            notes,
            ..Report::default()
        },
    };
    db::schedule_runs::insert(c, &run)?;
    db::notices::post(c, &notices::of_schedule(&run, &[]), now)?;
    let ids = RunId::generate_many(chosen.containers.len());
    for (id, container) in ids.iter().zip(&chosen.containers) {
        queue(c, &schedule, &run, by, id, container)?;
    }
    Ok(Claimed::Runs(Box::new(run), ids))
}

fn queue(
    c: &mut Connection,
    schedule: &Schedule,
    run: &ScheduleRun,
    by: &By,
    id: &RunId,
    container: &str,
) -> Result<(), DbError> {
    let request = BackupRequest {
        container: container.to_owned(),
        consistency: schedule.plan.consistency,
        include_image: true,
        include_layer: schedule.plan.include_layer,
        volumes: None,
        note: String::new(),
        storage: schedule.plan.storage,
        schedule: Some(schedule.id.clone()),
    };
    let by = (by.name(), by.address());
    let backup = Run {
        id: id.clone(),
        trigger: Trigger::Scheduled,
        schedule_run: Some(run.id.clone()),
        ..Run::queued(by, container.to_owned(), Request::Backup(request), run.started)
    };
    db::runs::insert(c, &backup)?;
    let entry = Entry {
        operation: "backup_scheduled",
        actor: by.0,
        address: by.1,
        target: container,
        outcome: "started",
        error: None,
        details: json!({ "progress_id": id, "schedule": run.name, "schedule_run": run.id, "cause": run.cause }),
    };
    db::audit::record(c, &entry)
}

fn warning(text: String) -> Note {
    Note { level: Level::Warning, text }
}

/// Why it is late.
fn explain(schedule: &Schedule, due: &Due) -> Option<Note> {
    let slot = wall(schedule, due.slot);
    let text = match (due.late, due.missed) {
        (false, 0) => return None,
        (true, 0) => format!("The run of {slot} was missed and is made up for now."),
        (_, 1) => format!("The run of {slot} and 1 before it were missed. One run makes up for both."),
        (_, missed) => {
            format!("The run of {slot} and {missed} before it were missed. One run makes up for all of them.")
        }
    };
    Some(warning(text))
}

fn wall(schedule: &Schedule, slot: DateTime<Utc>) -> String {
    slot.with_timezone(&schedule.plan.zone).format("%-d %b %Y, %H:%M").to_string()
}

/// A run that never overlaps itself says once which slot it made wait.
fn note_skipped(
    c: &mut Connection,
    former: ScheduleRun,
    schedule: &Schedule,
    due: &Due,
) -> Result<(), DbError> {
    let text = format!(
        "This run was still going on at {}, when the next one was due. That one runs once, after this.",
        wall(schedule, due.slot)
    );
    if former.report.notes.iter().any(|note| note.text == text) {
        return Ok(());
    }
    let mut report = former.report;
    report.notes.push(warning(text));
    db::schedule_runs::report(c, &former.id, &report, None)?;
    Ok(())
}
