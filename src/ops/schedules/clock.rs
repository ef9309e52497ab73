//! The clock: looks what is due, now and again. It sleeps until the next slot, but at most half a minute, because
//! the machine may sleep, too, and its clock may be set.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    claim::{self, By, Claimed},
    ending, finished,
};
use crate::{
    app::App,
    db,
    error::{Result, chain},
    model::{
        backup::Trigger,
        names::{RunId, ScheduleId},
        run::State,
    },
};

/// The longest sleep.
const LONGEST: Duration = Duration::from_secs(30);

/// Runs until the server stops.
pub async fn run(app: App) {
    let mut problem: Option<String> = None;
    loop {
        // What could not be delivered waits in the table of runs.
        let again = problem.is_some();
        let done = async {
            if again {
                deliver(&app, waiting(&app).await?).await?;
            }
            tick(&app, Utc::now()).await
        };
        let said = done.await.err().map(|error| chain(&error));
        if let Some(text) = said.as_ref().filter(|text| problem.as_ref() != Some(text)) {
            tracing::error!(error = text, "schedules can't do what is due; tried again");
        }
        problem = said;
        let pause = pause(&app).await;
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.schedules.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Ends what has ended and starts what is due at this moment. One at a time.
pub async fn tick(app: &App, now: DateTime<Utc>) -> Result<()> {
    let _alone = app.scheduling.lock().await;
    for run in ending::settle(app, now).await? {
        finished(app, &run);
        app.notices.notify_one();
    }
    let due = app.db.read(move |c| due(c, now)).await?;
    if due.is_empty() {
        return Ok(());
    }
    // Without the engine nobody knows what is selected: it stays due.
    let all = app.docker.containers().await?;
    for id in due {
        let all = all.clone();
        let claimed = app.db.write(move |c| claim::claim(c, &id, &By::Clock, &all, now)).await?;
        if let Claimed::Runs(run, ids) = claimed {
            tracing::info!(schedule = run.name, schedule_run = %run.id, backups = ids.len(), "a schedule runs");
            if ids.is_empty() {
                app.schedules.notify_one();
            }
            app.notices.notify_one();
            deliver(app, ids).await?;
        }
    }
    Ok(())
}

fn due(c: &mut db::Connection, now: DateTime<Utc>) -> Result<Vec<ScheduleId>, db::DbError> {
    let mut due = Vec::new();
    for schedule in db::schedules::all(c)? {
        if claim::due(c, &schedule, now)?.is_some() {
            due.push(schedule.id);
        }
    }
    Ok(due)
}

/// Hands them to the queue.
pub(super) async fn deliver(app: &App, ids: Vec<RunId>) -> Result<()> {
    for id in ids {
        app.queue.push(&id).await?;
    }
    Ok(())
}

async fn waiting(app: &App) -> Result<Vec<RunId>> {
    let queued = app.db.read(|c| db::runs::in_states(c, &[State::Queued])).await?;
    Ok(queued.into_iter().filter(|run| run.trigger == Trigger::Scheduled).map(|run| run.id).collect())
}

async fn pause(app: &App) -> Duration {
    let now = Utc::now();
    let next = app.db.read(move |c| {
        let mut next: Option<DateTime<Utc>> = None;
        for schedule in db::schedules::all(c)? {
            let taken = claim::taken(c, &schedule, now)?;
            next = schedule.next(taken, now).into_iter().chain(next).min();
        }
        Ok(next)
    });
    let Ok(Some(next)) = next.await else { return LONGEST };
    // What is due and could not be done is tried again after the longest sleep.
    (next - now).to_std().ok().filter(|left| !left.is_zero()).map_or(LONGEST, |left| left.min(LONGEST))
}
