//! Jobs: what runs, what waits, what has been, and the parts of the top bar.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    error::Result,
    model::{
        names::RunId,
        progress::Progress,
        run::{Kind, Run, State as RunState},
    },
    ops::{Actor, runs},
    web::{
        api_shapes,
        format::{When, duration, filters, size},
        input::{Path, Query},
        shell::{JobPill, Nav, Screen, Shell, VitalsPart, render},
    },
};

/// "Backing up web".
pub(in crate::web) fn heading(run: &Run) -> String {
    let what = if run.is_of_network() { format!("network {}", run.subject) } else { run.what() };
    match (run.kind, run.state.is_final()) {
        (Kind::Backup, false) => format!("Backing up {what}"),
        (Kind::Restore, false) => format!("Restoring {what}"),
        (Kind::Backup, true) => format!("Back up {what}"),
        (Kind::Restore, true) => format!("Restore {what}"),
        (Kind::Redeploy, false) => format!("Redeploying {what}"),
        (Kind::Redeploy, true) => format!("Redeploy {what}"),
        (Kind::Copy, false) => format!("Copying {what}"),
        (Kind::Copy, true) => format!("Copy {what}"),
        (Kind::Verify, false) => format!("Verifying {what}"),
        (Kind::Verify, true) => format!("Verify {what}"),
        (Kind::Import, false) => format!("Importing {what}"),
        (Kind::Import, true) => format!("Import {what}"),
        (Kind::Prune, _) => "Clean up the vault".to_owned(),
    }
}

/// Class, icon and words of a state.
pub(super) fn state(run: &Run) -> (&'static str, &'static str, &'static str) {
    match run.state {
        RunState::Queued => ("off", "clock", "Waiting"),
        RunState::Running => ("run", "loader-circle", "Running"),
        RunState::Complete => ("ok", "circle-check", "Complete"),
        RunState::CompleteWithWarnings => ("warn", "triangle-alert", "Complete with warnings"),
        RunState::Partial => ("bad", "triangle-alert", "Partial"),
        RunState::Failed => ("bad", "circle-x", "Failed"),
        RunState::Cancelled => ("off", "ban", "Cancelled"),
    }
}

/// From its start to its end; empty before.
pub(super) fn took(run: &Run) -> String {
    match (run.started, run.finished) {
        (Some(started), Some(finished)) => duration(seconds(started, finished)),
        _ => String::new(),
    }
}

/// Whole seconds from one moment to a later one.
pub(super) fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or(0)
}

/// Time left in words. Nothing in the first seconds: the speed says nothing yet.
pub(super) fn left(run: &Run, progress: Option<&Progress>, now: DateTime<Utc>) -> Option<String> {
    let settled = run.started.is_some_and(|started| seconds(started, now) >= 5);
    progress?.eta_seconds().filter(|left| settled && *left > 2).map(duration)
}

/// What a row of a list says about a job that waits or runs.
pub(in crate::web) struct Underway {
    pub(in crate::web) id: RunId,
    pub(in crate::web) running: bool,
    pub(in crate::web) step: String,
    pub(in crate::web) percent: Option<u8>,
    /// "84.2 GB of 138 GB, 142 MB/s, about 6 min left".
    pub(in crate::web) numbers: String,
}

impl Underway {
    pub(super) fn of(run: &Run, progress: Option<&Progress>, now: DateTime<Utc>) -> Self {
        let step = progress.map(|progress| progress.step.clone()).filter(|step| !step.is_empty());
        Self {
            id: run.id.clone(),
            running: run.state == RunState::Running,
            step: step.unwrap_or_else(|| "Starting".to_owned()),
            percent: progress.and_then(Progress::percent),
            numbers: numbers(run, progress, now),
        }
    }
}

fn numbers(run: &Run, progress: Option<&Progress>, now: DateTime<Utc>) -> String {
    let Some(progress) = progress else { return String::new() };
    let mut parts = Vec::new();
    if progress.bytes_total > 0 {
        parts.push(format!("{} of {}", size(progress.bytes_done), size(progress.bytes_total)));
    } else if progress.bytes_done > 0 {
        parts.push(size(progress.bytes_done));
    }
    if progress.rate > 0 {
        parts.push(format!("{}/s", size(progress.rate)));
    }
    if let Some(left) = left(run, Some(progress), now) {
        parts.push(format!("about {left} left"));
    }
    parts.join(", ")
}

/// A row of the history.
struct Row {
    run: Run,
    heading: String,
    state: (&'static str, &'static str, &'static str),
    when: When,
    took: String,
    underway: Underway,
}

impl Row {
    fn of(shell: &Shell, run: Run, progress: Option<&Progress>) -> Self {
        Self {
            heading: heading(&run),
            state: state(&run),
            when: shell.when(run.finished.unwrap_or(run.created)),
            took: took(&run),
            underway: Underway::of(&run, progress, shell.now),
            run,
        }
    }
}

#[derive(Template)]
#[template(path = "jobs/results.html")]
struct Results {
    active: Vec<Row>,
    finished: Vec<Row>,
    /// Index of the first one that waits.
    waits_from: usize,
    total: usize,
    address: String,
    previous: Option<u32>,
    next: Option<u32>,
}

#[derive(Template)]
#[template(path = "jobs/list.html")]
struct JobsScreen {
    results: Results,
}

impl Screen for JobsScreen {
    fn title(&self) -> Cow<'_, str> {
        "Jobs".into()
    }

    fn nav(&self) -> Nav {
        Nav::Jobs
    }
}

/// Which part of the history.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct PageQuery {
    limit: Option<u32>,
    offset: Option<u32>,
}

/// `GET /jobs` and `GET /api/runs`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(page): Query<PageQuery>,
) -> Result<Response> {
    let (limit, offset) = (page.limit.unwrap_or(50).clamp(1, 500), page.offset.unwrap_or(0));
    let (all, total) = runs::list(&app, limit, offset).await?;
    let active = runs::active(&app).await?;
    let json = json!({ "runs": all.iter().map(api_shapes::run).collect::<Vec<_>>(), "total": total });
    let shown = u32::try_from(all.len()).unwrap_or(0);
    let screen = JobsScreen {
        results: Results {
            waits_from: active.iter().filter(|(run, _)| run.state == RunState::Running).count(),
            active: active
                .into_iter()
                .map(|(run, progress)| Row::of(&shell, run, progress.as_ref()))
                .collect(),
            finished: all
                .into_iter()
                .filter(|run| run.state.is_final())
                .map(|run| Row::of(&shell, run, None))
                .collect(),
            total,
            address: format!("/jobs?limit={limit}&offset={offset}"),
            previous: (offset > 0).then(|| offset.saturating_sub(limit)),
            next: ((offset + shown) as usize).lt(&total).then_some(offset + limit),
        },
    };
    shell.show(&screen, |screen| render(&screen.results), |_| json).await
}

/// `GET /fragments/vitals`.
pub(in crate::web) async fn vitals(_: Actor, State(app): State<App>) -> Result<Response> {
    Ok(Html(render(&VitalsPart::of(app.vitals.now()))?).into_response())
}

/// `GET /fragments/jobpill`.
pub(in crate::web) async fn pill(_: Actor, State(app): State<App>) -> Result<Response> {
    Ok(Html(render(&JobPill::now(&app).await?)?).into_response())
}

/// `GET /api/backup-progress/{id}`.
pub(in crate::web) async fn progress(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let view = runs::get(&app, &id).await?;
    Ok(crate::web::shell::json_response(axum::http::StatusCode::OK, &api_shapes::progress(&view)))
}

/// `GET /api/backup/status`.
pub(in crate::web) async fn status(_: Actor, State(app): State<App>) -> Result<Response> {
    let active = runs::active(&app).await?;
    let running = active.iter().find(|(run, _)| run.state == RunState::Running).map(|(run, _)| run);
    let waiting = active.len() - usize::from(running.is_some());
    let body: Value = match running {
        Some(run) => json!({
            "status": "busy", "current_backup": run.subject, "progress_id": run.id, "queue_size": waiting,
        }),
        None => json!({ "status": if waiting > 0 { "busy" } else { "idle" }, "queue_size": waiting }),
    };
    Ok(crate::web::shell::json_response(axum::http::StatusCode::OK, &body))
}
