//! The end of a schedule's run: when all its backups have ended, the old backups go that its rules do not keep, and
//! then the space is freed. In steps that can be done again by whoever comes next, if somebody dies between them:
//! what will go is written down before it goes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    app::App,
    db::{self, Connection, DbError, audit::Entry},
    error::Result,
    model::{
        backup::{Backup, Trigger},
        names::{RunId, ScheduleId, ScheduleRunId},
        progress::{Level, Note},
        retention::{Scope, decide},
        run::{CopyRequest, CopyWhat, Kind, Request, Run},
        schedule::Schedule,
        schedule_run::{Removed, Report, ScheduleRun},
        vault::Storage,
    },
    ops::{notices, settings, upkeep::prune, vaults},
};

use super::clock::deliver;

/// Brings every run of a schedule to its end whose backups have ended; returns those.
pub(super) async fn settle(app: &App, now: DateTime<Utc>) -> Result<Vec<ScheduleRun>> {
    let mut ended = Vec::new();
    for run in app.db.read(db::schedule_runs::unfinished).await? {
        let id = run.id.clone();
        if !app.db.read(move |c| backups_ended(c, &id)).await? {
            continue;
        }
        if let Some(run) = end_one(app, &run, now).await? {
            ended.push(run);
        }
    }
    Ok(ended)
}

async fn end_one(app: &App, run: &ScheduleRun, now: DateTime<Utc>) -> Result<Option<ScheduleRun>> {
    let server = settings::server_name(app).await?;
    let (id, schedule) = (run.id.clone(), run.schedule.clone());
    let storages = app.db.read(move |c| storages(c, &id, &schedule)).await?;
    let (mut usable, mut problems) = (Vec::new(), Vec::new());
    for storage in storages {
        // What somebody removed with other tools must not count as a newer good one.
        match vaults::refresh(app, storage).await {
            Ok(_) => usable.push(storage),
            Err(failure) => problems.push((storage, failure.message)),
        }
    }
    let mut alone = Vec::new();
    for storage in &usable {
        alone.push(app.vaults.of(*storage).catalog.lock().await);
    }
    let id = run.id.clone();
    let planned = app.db.write(move |c| plan_removal(c, &id, &server, now)).await?;
    for storage in usable {
        if let Err(why) = remove(app, storage, &planned).await {
            problems.push((storage, why));
        }
    }
    let id = run.id.clone();
    let (run, prunes) = app.db.write(move |c| end(c, &id, &problems, now)).await?;
    drop(alone);
    deliver(app, prunes).await?;
    Ok(run)
}

/// Removes those of the list that are in this vault; the sentence says why it could not be. To be called with the
/// catalog locked.
pub(super) async fn remove(app: &App, storage: Storage, list: &[Removed]) -> Result<(), String> {
    let here = list.iter().filter(|removed| removed.storage == storage);
    let ids: Vec<_> = here.map(|removed| removed.id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    vaults::remove(app, storage, ids).await.map_err(|failure| failure.message)
}

/// The vaults that hold backups of its schedule; none when it has no good backup, because then nothing goes.
fn storages(
    c: &mut Connection,
    id: &ScheduleRunId,
    schedule: &ScheduleId,
) -> Result<BTreeSet<Storage>, DbError> {
    if saved(&db::runs::of_schedule_run(c, id)?).is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(db::backups::storages_of_schedule(c, schedule, None)?.into_iter().collect())
}

/// Whether none of its backups is queued or running.
pub(super) fn backups_ended(c: &mut Connection, id: &ScheduleRunId) -> Result<bool, DbError> {
    Ok(db::runs::of_schedule_run(c, id)?.iter().all(|run| run.state.is_final()))
}

/// Containers of which it has a good backup.
fn saved(runs: &[Run]) -> Vec<String> {
    let good = runs.iter().filter(|run| run.kind == Kind::Backup && run.state.is_good());
    good.map(|run| run.subject.clone()).collect()
}

/// Writes down what will go and returns it.
pub(super) fn plan_removal(
    c: &mut Connection,
    id: &ScheduleRunId,
    server: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Removed>, DbError> {
    let Some(run) = db::schedule_runs::get(c, id)? else { return Ok(Vec::new()) };
    let containers = saved(&db::runs::of_schedule_run(c, id)?);
    let all = db::backups::of_schedule(c, &run.schedule)?;
    let planned = match db::schedules::get(c, &run.schedule)? {
        Some(schedule) => going(&all, server, &schedule, &containers, now),
        // It was deleted meanwhile: its backups stay.
        None => Vec::new(),
    };
    // Planned by somebody who died meanwhile. What is gone went by that plan. About what is still there the rules have
    // spoken anew: the schedule, or what else there is, may be another by now.
    let mut removing = Vec::new();
    for removed in &run.report.removing {
        if !db::backups::exists(c, removed.storage, &removed.id)? {
            removing.push(removed.clone());
        }
    }
    removing.extend(planned.iter().cloned());
    db::schedule_runs::report(c, id, &Report { removing, ..run.report }, None)?;
    Ok(planned)
}

/// What the schedule's rules do not keep. `all`: its backups.
pub(super) fn going(
    all: &[Backup],
    server: &str,
    schedule: &Schedule,
    containers: &[String],
    now: DateTime<Utc>,
) -> Vec<Removed> {
    let pinned = super::pinned(all);
    let scope = Scope { server, schedule: &schedule.id, containers, pinned: &pinned };
    let decisions = decide(all, scope, &schedule.plan.rules, schedule.plan.zone, now);
    let goes = decisions.iter().filter(|decision| decision.goes());
    goes.map(|decision| Removed {
        id: decision.backup.id.clone(),
        filename: decision.backup.filename(),
        container: decision.backup.meta.container.clone(),
        storage: decision.backup.storage,
    })
    .collect()
}

/// Writes the end: what came of it, what was removed with its audit entries, and jobs that copy what is new and
/// free the space.
/// `problems`: the vaults in which nothing, or not everything, could be removed.
pub(super) fn end(
    c: &mut Connection,
    id: &ScheduleRunId,
    problems: &[(Storage, String)],
    now: DateTime<Utc>,
) -> Result<(Option<ScheduleRun>, Vec<RunId>), DbError> {
    let Some(mut run) = db::schedule_runs::get(c, id)? else { return Ok((None, Vec::new())) };
    let runs = db::runs::of_schedule_run(c, id)?;
    run.report.count(&runs);
    let failed = |removed: &Removed| problems.iter().any(|(storage, _)| removed.storage == *storage);
    let (stuck, removed): (Vec<_>, Vec<_>) =
        std::mem::take(&mut run.report.removing).into_iter().partition(failed);
    for (storage, why) in problems {
        let text = format!("Old backups on {} storage could not be removed. {why}", storage.label());
        run.report.notes.push(Note { level: Level::Error, text });
    }
    run.report.removed = removed;
    run.finished = Some(now);
    if !db::schedule_runs::report(c, id, &run.report, run.finished)? {
        return Ok((None, Vec::new()));
    }
    let failures: Vec<&Run> = runs.iter().filter(|run| !run.state.is_good()).collect();
    db::notices::post(c, &notices::of_schedule(&run, &failures), now)?;
    let by = Tidier { actor: &run.requested_by, schedule: &run.name, run: Some(id) };
    for (storage, why) in problems {
        let here: Vec<_> = stuck.iter().filter(|removed| removed.storage == *storage).cloned().collect();
        record(c, &by, &here, Some(why))?;
    }
    let mut jobs = queue_copies(c, &by, &run, &runs, now)?;
    jobs.extend(forget(c, &by, &run.report.removed, now)?);
    Ok((Some(run), jobs))
}

/// Jobs that copy what the schedule has made into the other vault, if its plan says so and it has made something.
/// Everything that has no copy yet goes, so that a run makes up for one whose copy failed.
fn queue_copies(
    c: &mut Connection,
    by: &Tidier<'_>,
    run: &ScheduleRun,
    runs: &[Run],
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, DbError> {
    let Some(schedule) = db::schedules::get(c, &run.schedule)?.filter(|schedule| schedule.plan.copy) else {
        return Ok(Vec::new());
    };
    let good = runs.iter().filter(|run| run.state.is_good());
    let made: Vec<&str> = good.filter_map(|run| run.backup_id.as_deref()).collect();
    let storages = db::backups::storages_of_schedule(c, &schedule.id, Some(&made))?;
    let copy = |from: Storage| {
        let what = CopyWhat::New { schedule: Some(schedule.id.clone()) };
        let request = Request::Copy(CopyRequest { from, to: from.other(), what });
        queue(c, by, ("copy_backup", format!("Backups of {}", schedule.plan.name)), request, now)
    };
    storages.into_iter().map(copy).collect()
}

/// Who removes backups.
pub(super) struct Tidier<'a> {
    /// The user's name, or "schedule".
    pub(super) actor: &'a str,
    /// The schedule's name.
    pub(super) schedule: &'a str,
    /// Its run.
    pub(super) run: Option<&'a ScheduleRunId>,
}

/// Takes what was removed out of the catalog, with audit entries and jobs that free the space; these are to be
/// delivered.
pub(super) fn forget(
    c: &mut Connection,
    by: &Tidier<'_>,
    removed: &[Removed],
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, DbError> {
    removed.iter().try_for_each(|removed| db::backups::remove(c, removed.storage, &removed.id))?;
    record(c, by, removed, None)?;
    let storages: BTreeSet<Storage> = removed.iter().map(|removed| removed.storage).collect();
    let cause = by.run.map_or(prune::Cause::Person, prune::Cause::Schedule);
    let mut prunes = Vec::new();
    for storage in storages {
        prunes.extend(prune::after_deletion(c, (by.actor, ""), cause, storage, now)?);
    }
    Ok(prunes)
}

/// One audit entry per container.
pub(super) fn record(
    c: &mut Connection,
    by: &Tidier<'_>,
    removed: &[Removed],
    problem: Option<&str>,
) -> Result<(), DbError> {
    let mut by_container: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for removed in removed {
        by_container.entry(&removed.container).or_default().push(&removed.filename);
    }
    if by_container.is_empty() && problem.is_some() {
        by_container.insert(by.schedule, Vec::new());
    }
    for (container, names) in by_container {
        let details = match problem {
            None => json!({
                "schedule": by.schedule, "schedule_run": by.run, "deleted_count": names.len(),
                "deleted_backups": names,
            }),
            Some(_) => json!({ "schedule": by.schedule, "schedule_run": by.run, "to_delete": names }),
        };
        let entry = Entry {
            operation: "cleanup",
            actor: by.actor,
            address: "",
            target: container,
            outcome: if problem.is_some() { "error" } else { "completed" },
            error: problem,
            details,
        };
        db::audit::record(c, &entry)?;
    }
    Ok(())
}

/// Writes down a job with its audit entry. `what`: the operation and the subject.
fn queue(
    c: &mut Connection,
    by: &Tidier<'_>,
    what: (&str, String),
    request: Request,
    now: DateTime<Utc>,
) -> Result<RunId, DbError> {
    let (operation, subject) = what;
    let run = Run {
        trigger: Trigger::Scheduled,
        schedule_run: by.run.cloned(),
        ..Run::queued((by.actor, ""), subject, request, now)
    };
    db::runs::insert(c, &run)?;
    let entry = Entry {
        operation,
        actor: by.actor,
        address: "",
        target: &run.subject,
        outcome: "started",
        error: None,
        details: json!({ "progress_id": run.id, "schedule_run": by.run }),
    };
    db::audit::record(c, &entry)?;
    Ok(run.id)
}

/// Containers of these backups.
pub(super) fn containers_of(all: &[Backup]) -> Vec<String> {
    let names: BTreeSet<_> = all.iter().map(|backup| backup.meta.container.clone()).collect();
    names.into_iter().collect()
}
