//! Runs: history, progress, cancel.

use std::time::Duration;

use chrono::{DateTime, Utc};

use serde_json::json;

use super::Actor;
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        names::RunId,
        progress::{Note, Progress},
        run::{Kind, Run, State},
    },
};

/// A run with what is known now.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The row.
    pub run: Run,
    /// Progress while it runs.
    pub progress: Option<Progress>,
    /// Its log: when and what.
    pub log: Vec<(DateTime<Utc>, Note)>,
    /// Place in the queue from 1; 0 = not queued.
    pub queue_position: usize,
}

/// Newest first, and how many there are.
pub async fn list(app: &App, limit: u32, offset: u32) -> Result<(Vec<Run>, usize)> {
    Ok(app.db.read(move |c| db::runs::page(c, limit, offset)).await?)
}

/// Queued and running ones, running first.
pub async fn active(app: &App) -> Result<Vec<(Run, Option<Progress>)>> {
    let mut runs = app.db.read(|c| db::runs::in_states(c, &[State::Queued, State::Running])).await?;
    runs.sort_by_key(|run| run.state == State::Queued);
    Ok(runs
        .into_iter()
        .map(|run| {
            let progress = app.live.now(&run.id);
            (run, progress)
        })
        .collect())
}

/// One with its log.
pub async fn get(app: &App, id: &RunId) -> Result<RunView> {
    let wanted = id.clone();
    let (run, log, queued) = app
        .db
        .read(move |c| {
            let queued = db::runs::in_states(c, &[State::Queued])?;
            Ok((db::runs::get(c, &wanted)?, db::runs::notes(c, &wanted)?, queued))
        })
        .await?;
    let run = run.ok_or(AppError::NotFound("That job".into()))?;
    let queue_position = queued.iter().position(|other| other.id == run.id).map_or(0, |index| index + 1);
    Ok(RunView { progress: app.live.now(&run.id), run, log, queue_position })
}

/// Waits until it has ended, at most for so long; how it stands then.
pub async fn wait(app: &App, id: &RunId, most: Duration) -> Result<RunView> {
    let until = tokio::time::Instant::now() + most;
    loop {
        let view = get(app, id).await?;
        if view.run.state.is_final() || tokio::time::Instant::now() >= until {
            return Ok(view);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Stops it: a queued one at once, a running one by stopping its worker. What it had begun is undone.
pub async fn cancel(app: &App, actor: &Actor, id: &RunId) -> Result<()> {
    let view = get(app, id).await?;
    if view.run.state.is_final() {
        return Err(AppError::Conflict("This job has ended already.".to_owned()));
    }
    if view.run.kind == Kind::Restore && view.run.journal.committing {
        return Err(AppError::Conflict(
            "This restore is putting the data into place and can't be cancelled any more. It takes a moment."
                .to_owned(),
        ));
    }
    if view.run.kind == Kind::Redeploy {
        return Err(AppError::Conflict(
            "A redeployment can’t be cancelled. It takes a moment; if the new container does not run, the old one \
             comes back."
                .to_owned(),
        ));
    }
    let (wanted, actor, kind, subject) = (id.clone(), actor.clone(), view.run.kind, view.run.subject);
    let was_queued = app
        .db
        .write(move |c| {
            let details = json!({ "progress_id": wanted, "kind": kind });
            db::audit::record(c, &Entry { details, ..actor.entry("cancel_job", &subject) })?;
            db::runs::cancel_queued(c, &wanted)
        })
        .await?;
    if was_queued && view.run.schedule_run.is_some() {
        app.schedules.notify_one();
    }
    if !was_queued && let Some(token) = app.running_token(id) {
        token.cancel();
    }
    Ok(())
}
