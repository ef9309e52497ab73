//! What is told outside. Messages are written where something becomes true; here are their words, and the one who
//! carries them out. A message that does not arrive never makes a job fail.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde_json::json;

use super::{channels::SEAL, settings};
use crate::{
    app::App,
    db::{self, notices::Waiting},
    error::{Result, chain},
    model::{
        backup::Trigger,
        human::{duration, size},
        notice::{Event, Notice},
        progress::{Level, Note},
        run::{Kind, Outcome, Run, State},
        schedule_run::ScheduleRun,
    },
    notify::{Message, Target},
};

/// How long is tried to deliver a message.
const LIFE: TimeDelta = TimeDelta::hours(24);

/// The first pause after a failed attempt, seconds; each next one is twice as long.
const FIRST_PAUSE: u64 = 30;

/// The longest pause, seconds.
const LONGEST_PAUSE: u64 = 3600;

/// How many notes of a job stand in a message.
const NOTES: usize = 5;

/// Carries messages out until the server stops.
pub async fn run(app: App) {
    loop {
        let pause = tokio::select! {
            () = app.shutdown.cancelled() => return,
            sent = deliver(&app) => sent.unwrap_or_else(|error| {
                tracing::error!(error = chain(&error), "notifications can't be read; tried again");
                Duration::from_secs(FIRST_PAUSE)
            }),
        };
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.notices.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Sends what is due; how long there is nothing to do.
async fn deliver(app: &App) -> Result<Duration> {
    loop {
        let now = Utc::now();
        let (due, later): (Vec<_>, Vec<_>) =
            app.db.read(db::notices::heads).await?.into_iter().partition(|waiting| waiting.next <= now);
        if due.is_empty() {
            let next = later.iter().map(|waiting| waiting.next).min();
            let pause = next.and_then(|next| (next - now).to_std().ok());
            return Ok(pause.unwrap_or(Duration::from_secs(LONGEST_PAUSE)));
        }
        // A channel that does not answer makes no other one wait.
        for done in join_all(due.into_iter().map(|waiting| deliver_one(app, waiting))).await {
            done?;
        }
    }
}

async fn deliver_one(app: &App, waiting: Waiting) -> Result<()> {
    let sent = send(app, &waiting.address, &waiting.notice, waiting.created).await;
    let now = Utc::now();
    let given_up = now - waiting.created > LIFE;
    let problem = sent.err().map(|why| {
        tracing::warn!(
            channel = waiting.channel,
            attempts = waiting.attempts + 1,
            "a notification did not arrive: {why}"
        );
        if given_up {
            format!("{why}. “{}” was given up after a day.", waiting.notice.title)
        } else {
            why
        }
    });
    app.db
        .write(move |c| {
            db::channels::tried(c, waiting.channel, now, problem.as_deref())?;
            if problem.is_none() || given_up {
                return db::notices::remove(c, waiting.id);
            }
            let pause = (FIRST_PAUSE << waiting.attempts.min(16)).min(LONGEST_PAUSE);
            db::notices::again(c, waiting.id, now + Duration::from_secs(pause))
        })
        .await?;
    Ok(())
}

/// Sends a message. What the server said, either way.
pub(super) async fn send(
    app: &App,
    sealed: &str,
    notice: &Notice,
    at: DateTime<Utc>,
) -> Result<String, String> {
    let Some(address) = app.seal.open(SEAL, sealed) else {
        return Err(
            "The address can't be read any more, because the key that sealed it is gone. Enter it again."
                .to_owned(),
        );
    };
    let target = Target::parse(&address)?;
    let server = settings::server_name(app).await.map_err(|error| error.to_string())?;
    let base = app.config.base_url.as_ref().filter(|_| !notice.path.is_empty());
    let link = base.map(|base| format!("{}{}", base.trim_end_matches('/'), notice.path));
    target.send(&Message { notice, server: &server, at, link: link.as_deref() }).await
}

/// What is told of a job that has ended; nothing where its schedule tells it.
pub(super) fn of_run(run: &Run, outcome: &Outcome, now: DateTime<Utc>) -> Option<Notice> {
    if run.schedule_run.is_some() && (run.kind == Kind::Backup || outcome.state.is_good()) {
        return None;
    }
    // Freeing space by the clock is news only when it fails.
    if run.kind == Kind::Prune && run.trigger == Trigger::Scheduled && outcome.state.is_good() {
        return None;
    }
    let (level, how) = match outcome.state {
        State::Complete => (Level::Info, "is done"),
        State::CompleteWithWarnings => (Level::Warning, "is done, with warnings"),
        State::Partial => (Level::Error, "is not complete"),
        State::Cancelled => (Level::Warning, "was cancelled"),
        State::Failed | State::Queued | State::Running => (Level::Error, "failed"),
    };
    let what = match run.kind {
        Kind::Backup => "Backup",
        Kind::Restore => "Restore",
        Kind::Prune => "Clean-up",
        Kind::Redeploy => "Redeployment",
        Kind::Copy => "Copy",
        Kind::Import => "Import",
        Kind::Verify => "Verification",
    };
    let seconds = run.started.map_or(0, |started| seconds(started, now));
    let mut lines: Vec<String> = outcome.error.iter().cloned().collect();
    lines.extend(notes(&outcome.notes).filter(|line| Some(line) != outcome.error.as_ref()));
    lines.push(format!("It took {}, {}.", duration(seconds), size(outcome.bytes)));
    Some(Notice {
        event: Event::JobEnded,
        level,
        title: format!("{what} of {} {how}", run.subject),
        text: lines.join("\n"),
        path: format!("/jobs/{}", run.id),
        schedule: None,
        facts: json!({
            "progress_id": run.id, "kind": run.kind, "subject": run.subject, "state": outcome.state,
            "error": outcome.error, "backup_id": outcome.backup_id,
            "backup_filename": outcome.backup_filename, "bytes": outcome.bytes, "seconds": seconds,
        }),
    })
}

/// What is told of the run of a schedule: all of it in one message, when it begins (`finished` is `None`) and when it
/// has ended. `failures`: its jobs that made no good backup.
pub(super) fn of_schedule(run: &ScheduleRun, failures: &[&Run]) -> Notice {
    let facts = |ended: serde_json::Value| json!({ "schedule": run.name, "schedule_run": run.id, "containers": run.report.containers, "ended": ended });
    let path = format!("/schedules/runs/{}", run.id);
    let Some(finished) = run.finished else {
        return Notice {
            event: Event::ScheduleStarted,
            level: Level::Info,
            title: format!("{} begins", run.name),
            text: format!("{} containers.", run.report.containers),
            path,
            schedule: Some(run.schedule.clone()),
            facts: facts(serde_json::Value::Null),
        };
    };
    let level = run.report.level();
    let how = match level {
        Level::Info => "went well",
        Level::Warning => "ended with warnings",
        Level::Error => "failed in part",
    };
    let mut lines = vec![format!("{}.", run.report.words())];
    lines.extend(failures.iter().map(|job| match &job.error {
        Some(why) => format!("{}: {why}", job.subject),
        None => format!("{}: {}", job.subject, job.state),
    }));
    lines.extend(notes(&run.report.notes));
    lines.push(format!("It took {}.", duration(seconds(run.started, finished))));
    let report = &run.report;
    Notice {
        event: Event::ScheduleEnded,
        level,
        title: format!("{} {how}", run.name),
        text: lines.join("\n"),
        path,
        schedule: Some(run.schedule.clone()),
        facts: facts(json!({
            "complete": report.complete, "with_warnings": report.with_warnings, "partial": report.partial,
            "failed": report.failed, "cancelled": report.cancelled, "missing": report.missing,
            "removed": report.removed.len(),
        })),
    }
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or(0)
}

/// The first of what is not only for the record, and how many more there are.
fn notes(all: &[Note]) -> impl Iterator<Item = String> {
    let told: Vec<_> = all.iter().filter(|note| note.level != Level::Info).collect();
    let more = told.len().saturating_sub(NOTES);
    let first = told.into_iter().take(NOTES).map(|note| note.text.clone()).collect::<Vec<_>>();
    first.into_iter().chain((more > 0).then(|| format!("… and {more} more.")))
}
