//! Jobs: what runs, what waits, what has been, and one job with its log.

use std::{borrow::Cow, convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;

use crate::{
    app::App,
    error::Result,
    model::{
        names::RunId,
        progress::{Level, Progress},
        run::{Kind, Run, State as RunState},
    },
    ops::{
        Actor,
        runs::{self, RunView},
    },
    web::{
        api_shapes,
        format::{When, duration, filters, size},
        input::{Path, Query},
        shell::{Done, JobPill, Nav, Screen, Shell, VitalsPart, render},
    },
};

/// "Backing up web".
pub(in crate::web) fn heading(run: &Run) -> String {
    match (run.kind, run.state.is_final()) {
        (Kind::Backup, false) => format!("Backing up {}", run.subject),
        (Kind::Restore, false) => format!("Restoring {}", run.subject),
        (Kind::Backup, true) => format!("Back up {}", run.subject),
        (Kind::Restore, true) => format!("Restore {}", run.subject),
        (Kind::Redeploy, false) => format!("Redeploying {}", run.subject),
        (Kind::Redeploy, true) => format!("Redeploy {}", run.subject),
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

fn took(run: &Run) -> String {
    match (run.started, run.finished) {
        (Some(started), Some(finished)) => {
            duration(u64::try_from((finished - started).num_seconds()).unwrap_or(0))
        }
        _ => String::new(),
    }
}

/// A row of the history.
struct Row {
    run: Run,
    heading: String,
    state: (&'static str, &'static str, &'static str),
    when: When,
    took: String,
    percent: Option<u8>,
    detail: String,
}

impl Row {
    fn of(shell: &Shell, run: Run, progress: Option<&Progress>) -> Self {
        Self {
            heading: heading(&run),
            state: state(&run),
            when: shell.when(run.finished.unwrap_or(run.created)),
            took: took(&run),
            percent: progress.and_then(Progress::percent),
            detail: progress.map(detail).unwrap_or_default(),
            run,
        }
    }
}

/// "Reading data: 84.2 of 138 GB, 142 MB/s, about 6 min left".
fn detail(progress: &Progress) -> String {
    let mut parts = vec![progress.step.clone()];
    if progress.bytes_total > 0 {
        parts.push(format!("{} of {}", size(progress.bytes_done), size(progress.bytes_total)));
    } else if progress.bytes_done > 0 {
        parts.push(size(progress.bytes_done));
    }
    if progress.rate > 0 {
        parts.push(format!("{}/s", size(progress.rate)));
    }
    if let Some(left) = progress.eta_seconds().filter(|left| *left > 2) {
        parts.push(format!("about {} left", duration(left)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

#[derive(Template)]
#[template(path = "jobs/results.html")]
struct Results {
    active: Vec<Row>,
    finished: Vec<Row>,
    total: usize,
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
            previous: (offset > 0).then(|| offset.saturating_sub(limit)),
            next: ((offset + shown) as usize).lt(&total).then_some(offset + limit),
        },
    };
    shell.show(&screen, |screen| render(&screen.results), |_| json).await
}

#[derive(Template)]
#[template(path = "jobs/live.html")]
struct Live {
    run: Run,
    state: (&'static str, &'static str, &'static str),
    progress: Option<Progress>,
    percent: Option<u8>,
    left: Option<String>,
    position: usize,
    log: Vec<(String, &'static str, String)>,
    took: String,
    bytes: String,
}

impl Live {
    fn of(shell: &Shell, view: RunView) -> Self {
        let log = view.log.into_iter().map(|(at, note)| {
            let class = match note.level {
                Level::Info => "",
                Level::Warning => "warn",
                Level::Error => "bad",
            };
            (shell.when(at).clock, class, note.text)
        });
        Self {
            state: state(&view.run),
            percent: view.progress.as_ref().and_then(Progress::percent),
            left: view.progress.as_ref().and_then(Progress::eta_seconds).map(duration),
            position: view.queue_position,
            log: log.collect(),
            took: took(&view.run),
            bytes: if view.run.bytes > 0 { size(view.run.bytes) } else { String::new() },
            progress: view.progress,
            run: view.run,
        }
    }
}

#[derive(Template)]
#[template(path = "jobs/show.html")]
struct JobScreen {
    live: Live,
    heading: String,
    when: When,
}

impl Screen for JobScreen {
    fn title(&self) -> Cow<'_, str> {
        self.heading.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Jobs
    }
}

/// `GET /jobs/{id}` and `GET /api/runs/{id}`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let view = runs::get(&app, &id).await?;
    let json = api_shapes::run_with_log(&view);
    let screen = JobScreen {
        heading: heading(&view.run),
        when: shell.when(view.run.created),
        live: Live::of(&shell, view),
    };
    shell.show(&screen, |screen| render(&screen.live), |_| json).await
}

/// `GET /jobs/{id}/live`: the part that changes, for polling.
pub(in crate::web) async fn live(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let view = runs::get(&app, &id).await?;
    Ok(Html(render(&Live::of(&shell, view))?).into_response())
}

/// `GET /jobs/{id}/events`: progress as it comes, until the job or the server ends.
pub(in crate::web) async fn events(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    let view = runs::get(&app, &id).await?;
    let shape = |view: &RunView| api_shapes::progress(view).to_string();
    let first = Event::default().event("progress").data(shape(&view));
    let watched = app.live.watch(&id).map(WatchStream::new);
    let run = view.run;
    let changes = stream::iter(watched).flatten().map(move |progress| {
        let view = RunView { run: run.clone(), progress: Some(progress), log: Vec::new(), queue_position: 0 };
        Event::default().event("progress").data(api_shapes::progress(&view).to_string())
    });
    let (last_app, last_id) = (app.clone(), id);
    let last = stream::once(async move {
        // The channel closes just after the outcome was written.
        let view = runs::get(&last_app, &last_id).await;
        let text = view.map_or_else(|_| "{}".to_owned(), |view| api_shapes::progress(&view).to_string());
        Event::default().event("end").data(text)
    });
    let all = stream::once(async { first }).chain(changes).chain(last).map(Ok);
    let until = app.shutdown.clone().cancelled_owned();
    Ok(Sse::new(all.take_until(until)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// `POST /jobs/{id}/cancel` and `POST /api/backup-progress/{id}/cancel`.
pub(in crate::web) async fn cancel(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    runs::cancel(&app, &actor, &id).await?;
    shell.done(Done::new("The job is being cancelled", format!("/jobs/{id}"), json!({ "success": true })))
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
