//! Schedules: what users do with them, and what they show. The clock is in `clock`, taking what is due in `claim`,
//! the end of a run with its clean-up in `ending`.

mod claim;
pub mod clean_up;
pub mod clock;
mod ending;
pub mod warnings;
#[cfg(test)]
mod year_tests;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::json;

use self::claim::{By, Claimed};
use super::Actor;
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        backup::Backup,
        container::Container,
        names::{ScheduleId, ScheduleRunId},
        progress::Level,
        run::Run,
        schedule::{Chosen, Plan, Schedule},
        schedule_run::ScheduleRun,
        timing::Timing,
    },
};

/// The most schedules.
pub(super) const MOST: usize = 200;

/// A schedule with what is known now.
#[derive(Debug, Clone)]
pub struct View {
    /// The schedule.
    pub schedule: Schedule,
    /// Its newest slot that was taken.
    pub taken: Option<DateTime<Utc>>,
    /// Its next slot; in the past while it is overdue. `None` when it is switched off.
    pub next: Option<DateTime<Utc>>,
    /// Its newest run.
    pub last: Option<ScheduleRun>,
}

impl View {
    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        self.last.as_ref().is_some_and(|run| run.finished.is_none())
    }
}

/// All, the oldest first.
pub async fn list(app: &App, now: DateTime<Utc>) -> Result<Vec<View>> {
    let views = app.db.read(move |c| {
        let all = db::schedules::all(c)?;
        all.into_iter().map(|schedule| view(c, schedule, now)).collect::<Result<Vec<_>, _>>()
    });
    Ok(views.await?)
}

/// One.
pub async fn get(app: &App, id: &ScheduleId, now: DateTime<Utc>) -> Result<View> {
    let wanted = id.clone();
    let found = app.db.read(move |c| match db::schedules::get(c, &wanted)? {
        Some(schedule) => view(c, schedule, now).map(Some),
        None => Ok(None),
    });
    found.await?.ok_or_else(gone)
}

fn view(c: &mut db::Connection, schedule: Schedule, now: DateTime<Utc>) -> Result<View, db::DbError> {
    let taken = claim::taken(c, &schedule, now)?;
    let last = db::schedule_runs::latest(c, &schedule.id, 1)?.pop();
    Ok(View { next: schedule.next(taken, now), taken, last, schedule })
}

fn gone() -> AppError {
    AppError::NotFound("This schedule".into())
}

/// A run of a schedule with its jobs.
pub async fn run(app: &App, id: &ScheduleRunId) -> Result<(ScheduleRun, Vec<Run>)> {
    let wanted = id.clone();
    let (run, jobs) = app
        .db
        .read(move |c| Ok((db::schedule_runs::get(c, &wanted)?, db::runs::of_schedule_run(c, &wanted)?)))
        .await?;
    Ok((run.ok_or(AppError::NotFound("This run of a schedule".into()))?, jobs))
}

/// The newest runs of a schedule, newest first.
pub async fn history(app: &App, id: &ScheduleId, count: u32) -> Result<Vec<ScheduleRun>> {
    let wanted = id.clone();
    Ok(app.db.read(move |c| db::schedule_runs::latest(c, &wanted, count)).await?)
}

/// What a plan means with these containers.
pub fn chosen(plan: &Plan, all: &[Container]) -> Chosen {
    plan.selection.choose(all)
}

/// Makes one. It is switched on.
pub async fn create(app: &App, actor: &Actor, plan: Plan, now: DateTime<Utc>) -> Result<Schedule> {
    let schedule = Schedule {
        id: ScheduleId::generate(),
        enabled: true,
        plan: checked(plan)?,
        created: now,
        since: now,
    };
    let (new, actor) = (schedule.clone(), actor.clone());
    let made = app
        .db
        .write(move |c| {
            if db::schedules::count(c)? >= MOST {
                return Ok(Err(AppError::Conflict(format!("There are {MOST} schedules already."))));
            }
            if db::schedules::name_taken(c, &new.plan.name, &new.id)? {
                return Ok(Err(name_taken(&new.plan.name)));
            }
            db::schedules::insert(c, &new)?;
            record(c, &actor, &new, "created")?;
            Ok(Ok(()))
        })
        .await?;
    made?;
    app.schedules.notify_one();
    Ok(schedule)
}

/// Gives it another plan. With other times, slots that passed before are not owed.
pub async fn change(
    app: &App,
    actor: &Actor,
    id: &ScheduleId,
    plan: Plan,
    now: DateTime<Utc>,
) -> Result<Schedule> {
    let plan = checked(plan)?;
    update(app, actor, id, "changed", move |schedule| {
        if schedule.plan.timing != plan.timing || schedule.plan.zone != plan.zone {
            schedule.since = now;
        }
        schedule.plan = plan;
    })
    .await
}

/// Switches it on or off. What is missed while it is off is not made up for.
pub async fn set_enabled(
    app: &App,
    actor: &Actor,
    id: &ScheduleId,
    enabled: bool,
    now: DateTime<Utc>,
) -> Result<Schedule> {
    update(app, actor, id, if enabled { "resumed" } else { "paused" }, move |schedule| {
        if enabled && !schedule.enabled {
            schedule.since = now;
        }
        schedule.enabled = enabled;
    })
    .await
}

async fn update(
    app: &App,
    actor: &Actor,
    id: &ScheduleId,
    what: &'static str,
    change: impl FnOnce(&mut Schedule) + Send + 'static,
) -> Result<Schedule> {
    let (id, actor) = (id.clone(), actor.clone());
    let changed = app
        .db
        .write(move |c| {
            let Some(mut schedule) = db::schedules::get(c, &id)? else { return Ok(Err(gone())) };
            let before = schedule.clone();
            change(&mut schedule);
            if db::schedules::name_taken(c, &schedule.plan.name, &id)? {
                return Ok(Err(name_taken(&schedule.plan.name)));
            }
            if schedule != before {
                db::schedules::update(c, &schedule)?;
                record(c, &actor, &schedule, what)?;
            }
            Ok(Ok(schedule))
        })
        .await?;
    app.schedules.notify_one();
    changed
}

/// Deletes it. Its backups stay, and no rule deletes them any more.
pub async fn delete(app: &App, actor: &Actor, id: &ScheduleId) -> Result<Schedule> {
    let (id, actor) = (id.clone(), actor.clone());
    let deleted = app
        .db
        .write(move |c| {
            let Some(schedule) = db::schedules::get(c, &id)? else { return Ok(None) };
            db::schedules::delete(c, &id)?;
            record(c, &actor, &schedule, "deleted")?;
            Ok(Some(schedule))
        })
        .await?;
    deleted.ok_or_else(gone)
}

/// Runs it now, also when it is switched off.
pub async fn run_now(
    app: &App,
    actor: &Actor,
    id: &ScheduleId,
    now: DateTime<Utc>,
) -> Result<(ScheduleRun, Vec<Run>)> {
    let storage = get(app, id, now).await?.schedule.plan.storage;
    app.vault(storage.unwrap_or_else(|| app.vaults.chosen()))?;
    let all = app.docker.containers().await?;
    let _alone = app.scheduling.lock().await;
    let (wanted, by) = (id.clone(), By::User(actor.name.clone(), actor.address.clone()));
    let claimed = app.db.write(move |c| claim::claim(c, &wanted, &by, &all, now)).await?;
    match claimed {
        Claimed::Nothing => Err(gone()),
        Claimed::Busy => Err(AppError::Conflict(
            "This schedule is running already. Wait until it has ended, or cancel its jobs.".to_owned(),
        )),
        Claimed::Runs(started, ids) => {
            if ids.is_empty() {
                app.schedules.notify_one();
            }
            app.notices.notify_one();
            clock::deliver(app, ids).await?;
            run(app, &started.id).await
        }
    }
}

/// Ids of those that must stay.
fn pinned(all: &[Backup]) -> HashSet<String> {
    all.iter().filter(|backup| backup.pinned).map(|backup| backup.id.clone()).collect()
}

/// Called once for each run of a schedule that has ended.
fn finished(_: &App, run: &ScheduleRun) {
    let (name, words) = (&run.name, run.report.words());
    if run.report.level() == Level::Info {
        tracing::info!(schedule = name, schedule_run = %run.id, "a schedule ran: {words}");
    } else {
        tracing::warn!(schedule = name, schedule_run = %run.id, "a schedule ran: {words}");
    }
}

/// Tidies a plan and says what is wrong with it, at the fields.
fn checked(mut plan: Plan) -> Result<Plan> {
    plan.name = plan.name.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Timing::Weekly { weekdays, .. } = &mut plan.timing {
        weekdays.sort_unstable();
        weekdays.dedup();
    }
    let problems = problems(&plan);
    if problems.is_empty() {
        return Ok(plan);
    }
    let message = problems.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join(" ");
    let fields = problems.into_iter().map(|(field, why)| (field.to_owned(), why)).collect();
    Err(AppError::Invalid { message, fields })
}

/// What is wrong with a plan: fields and sentences.
pub fn problems(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if plan.name.trim().is_empty() {
        problems.push(("name", "Give it a name.".to_owned()));
    } else if plan.name.chars().count() > 60 || plan.name.chars().any(char::is_control) {
        problems.push(("name", "A name has at most 60 characters.".to_owned()));
    }
    problems.extend(plan.timing.check().err());
    problems.extend(plan.rules.check().err());
    problems
}

fn name_taken(name: &str) -> AppError {
    AppError::field("name", format!("There is a schedule called {name} already."))
}

fn record(c: &mut db::Connection, actor: &Actor, schedule: &Schedule, what: &str) -> Result<(), db::DbError> {
    let plan = &schedule.plan;
    let details = json!({
        "what": what, "schedule": schedule.id, "enabled": schedule.enabled, "when": plan.timing.words(),
        "time_zone": plan.zone.name(), "containers": plan.selection.words(), "keep": plan.rules.words(),
    });
    db::audit::record(c, &Entry { details, ..actor.entry("change_schedule", &plan.name) })
}
