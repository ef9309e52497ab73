//! One job: how far it is, how it ended, what to do next. A stream of the
//! changing part keeps the page fresh; scripts get the same as JSON events.

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
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;

use super::{
    jobs::{heading, left, seconds, state, took},
    login::escape,
};
use crate::{
    app::App,
    error::Result,
    model::{
        files::shown,
        names::RunId,
        progress::{Level, Progress},
        run::{Kind, Request, Run, State as RunState},
    },
    ops::{
        Actor,
        runs::{self, RunView},
    },
    web::{
        api_shapes,
        client::Client,
        format::{When, duration, filters, size},
        input::Path,
        shell::{Done, Nav, Screen, Shell, render},
        watcher::Watcher,
    },
};

/// The part of the page that changes, with its heading.
#[derive(Template)]
#[template(path = "jobs/live.html")]
struct Live {
    run: Run,
    heading: String,
    when: When,
    state: (&'static str, &'static str, &'static str),
    progress: Option<Progress>,
    percent: Option<u8>,
    left: Option<String>,
    so_far: String,
    position: usize,
    log: Vec<(String, &'static str, String)>,
    warnings: usize,
    took: String,
    facts: Vec<(&'static str, String)>,
}

impl Live {
    fn of(shell: &Shell, view: RunView) -> Self {
        let now = chrono::Utc::now();
        let run = view.run;
        let warnings = view.log.iter().filter(|(_, note)| note.level == Level::Warning).count();
        let log = view.log.into_iter().map(|(at, note)| {
            let class = match note.level {
                Level::Info => "",
                Level::Warning => "warn",
                Level::Error => "bad",
            };
            (shell.when(at).clock, class, note.text)
        });
        Self {
            heading: heading(&run),
            when: shell.when(run.created),
            state: state(&run),
            percent: view.progress.as_ref().and_then(Progress::percent),
            left: left(&run, view.progress.as_ref(), now),
            so_far: run.started.map(|started| duration(seconds(started, now))).unwrap_or_default(),
            position: view.queue_position,
            log: log.collect(),
            warnings,
            took: took(&run),
            facts: facts(shell, &run),
            progress: view.progress,
            run,
        }
    }

    /// What is read aloud: each step, and each ten percent of it.
    fn spoken(&self) -> String {
        let step = self.progress.as_ref().map_or("", |progress| progress.step.as_str());
        match self.percent {
            _ if self.run.state.is_final() => self.state.2.to_owned(),
            Some(percent) => format!("{step}, {} percent", percent / 10 * 10),
            None => step.to_owned(),
        }
    }

    /// The backup that a restore reads.
    fn source(&self) -> Option<&str> {
        match &self.run.request {
            Request::Restore(request) => Some(&request.backup),
            Request::NetworkRestore(request) => Some(&request.backup),
            Request::RestoreFile(request) => Some(&request.backup),
            Request::Backup(_)
            | Request::NetworkBackup(_)
            | Request::Redeploy { .. }
            | Request::Copy(_)
            | Request::Verify(_)
            | Request::Import(_)
            | Request::Prune { .. } => None,
        }
    }

    /// Where a restore can be reviewed again.
    fn review(&self) -> Option<String> {
        let page = format!("/vault/{}/restore", self.source()?);
        Some(match &self.run.request {
            Request::RestoreFile(request) => {
                format!("{page}-files?path={}", escape(&request.options.path.absolute()))
            }
            _ => page,
        })
    }

    /// How a backup was asked for, so that it can be asked for again: address, field names and values.
    fn again(&self) -> Option<(String, Vec<(&'static str, String)>)> {
        let subject = escape(&self.run.subject);
        match &self.run.request {
            Request::Backup(request) => Some((
                format!("/containers/{subject}/backup"),
                vec![
                    ("consistency", json!(request.consistency).as_str().unwrap_or_default().to_owned()),
                    ("include_image", request.include_image.to_string()),
                    ("include_layer", request.include_layer.to_string()),
                    ("note", request.note.clone()),
                ],
            )),
            Request::NetworkBackup(request) => {
                let fields = vec![("note", request.note.clone()), ("storage", request.storage.to_string())];
                Some((format!("/networks/{subject}/backup"), fields))
            }
            _ => None,
        }
    }

    fn usable(&self) -> bool {
        self.run.state.is_good()
    }
}

fn facts(shell: &Shell, run: &Run) -> Vec<(&'static str, String)> {
    let mut facts =
        vec![("Asked for by", run.requested_by.clone()), ("Asked", shell.when(run.created).zoned)];
    if let Some(started) = run.started {
        facts.push(("Started", shell.when(started).zoned));
    }
    if let Some(finished) = run.finished {
        facts.push(("Ended", shell.when(finished).zoned));
    }
    if run.bytes > 0 {
        facts.push(("Data", size(run.bytes)));
    }
    if let Request::Backup(request) = &run.request {
        if let Some(how) = request.consistency {
            facts.push(("Its data is", api_shapes::consistency(how).to_owned()));
        }
        if !request.include_image {
            facts.push(("Image", "left out".to_owned()));
        }
        if !request.include_layer {
            facts.push(("Changes in its own file system", "left out".to_owned()));
        }
        facts.push(("Note", request.note.clone()));
    }
    if let Request::RestoreFile(request) = &run.request {
        facts.push(("File", shown(&request.options.path.absolute())));
    }
    if let Request::NetworkBackup(request) = &run.request {
        facts.push(("Note", request.note.clone()));
    }
    facts.push(("Job", run.id.to_string()));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

#[derive(Template)]
#[template(path = "jobs/show.html")]
struct JobScreen {
    live: Live,
}

impl Screen for JobScreen {
    fn title(&self) -> Cow<'_, str> {
        self.live.heading.as_str().into()
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
    let screen = JobScreen { live: Live::of(&shell, view) };
    shell.show(&screen, |screen| render(&screen.live), |_| json).await
}

/// `GET /jobs/{id}/live`: the part that changes, for polling where streams do not come through.
pub(in crate::web) async fn live(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let view = runs::get(&app, &id).await?;
    Ok(Html(render(&Live::of(&shell, view))?).into_response())
}

/// `GET /jobs/{id}/events`: the job as it changes, until it or the server ends. htmx gets the part of
/// the page, scripts get `progress` events; `end` is the last one for both.
pub(in crate::web) async fn events(
    Watcher(seat): Watcher,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    runs::get(&app, &id).await?;
    let until = app.shutdown.clone().cancelled_owned();
    let shown = views(app, id).flat_map(move |view| stream::iter(event(&shell, view))).map(Ok);
    let shown = shown.take_until(until).take_until(seat.over());
    Ok(Sse::new(shown).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn event(shell: &Shell, view: RunView) -> Vec<Event> {
    let last = view.run.state.is_final();
    let json = api_shapes::progress(&view).to_string();
    let shown = if shell.client == Client::Fragment {
        // An event's data has no carriage returns; HTML does not need them.
        render(&Live::of(shell, view)).ok().map(|html| Event::default().data(html.replace('\r', " ")))
    } else {
        Some(Event::default().event("progress").data(&json))
    };
    let end = last.then(|| Event::default().event("end").data(json));
    shown.into_iter().chain(end).collect()
}

/// The run now, and again whenever something changed. Ends with the run.
fn views(app: App, id: RunId) -> impl Stream<Item = RunView> {
    let first: Option<(App, RunId, bool)> = Some((app, id, false));
    stream::unfold(first, |state| async move {
        let (app, id, waits) = state?;
        if waits {
            changed(app.live.watch(&id)).await;
        }
        let view = runs::get(&app, &id).await.ok()?;
        let next = (!view.run.state.is_final()).then_some((app, id, true));
        Some((view, next))
    })
}

/// Waits for news of a running job, at most two seconds and at least a quarter of one.
async fn changed(news: Option<Receiver<Progress>>) {
    tokio::time::sleep(Duration::from_millis(250)).await;
    let wait = async {
        match news {
            // An error: the run has just ended.
            Some(mut news) => drop(news.changed().await),
            None => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
}

#[derive(Template)]
#[template(path = "jobs/cancel.html")]
struct CancelScreen {
    run: Run,
    heading: String,
    dialog: bool,
}

impl Screen for CancelScreen {
    fn title(&self) -> Cow<'_, str> {
        "Cancel a job".into()
    }

    fn nav(&self) -> Nav {
        Nav::Jobs
    }
}

/// `GET /jobs/{id}/cancel`: what it means.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let run = runs::get(&app, &id).await?.run;
    let screen = CancelScreen { heading: heading(&run), run, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `POST /jobs/{id}/cancel` and `POST /api/backup-progress/{id}/cancel`.
pub(in crate::web) async fn cancel(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    runs::cancel(&app, &actor, &id).await?;
    let text = "The job is being cancelled";
    shell.done(Done::new(text, format!("/jobs/{id}"), json!({ "success": true })).leaving())
}
