//! How far a request for several things is, with a result for each.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{Html, IntoResponse, Response},
};
use serde_json::{Value, json};

use super::jobs;
use crate::{
    app::App,
    error::Result,
    model::{
        batch::{Batch, ItemState},
        names::RunId,
        run::Run,
    },
    ops::{Actor, bulk},
    web::{
        client::Client,
        input::Path,
        shell::{Nav, Screen, Shell, json_response, render, see_other},
    },
};

/// An item, ready to show.
struct Line {
    name: String,
    /// Class, icon, word.
    state: (&'static str, &'static str, &'static str),
    text: String,
    run: Option<RunId>,
}

#[derive(Template)]
#[template(path = "batches/live.html")]
struct Live {
    id: RunId,
    lines: Vec<Line>,
    ended: bool,
    failed: usize,
}

#[derive(Template)]
#[template(path = "batches/show.html")]
struct BatchScreen {
    title: String,
    back: String,
    live: Live,
    dialog: bool,
}

impl Screen for BatchScreen {
    fn title(&self) -> Cow<'_, str> {
        self.title.as_str().into()
    }

    fn nav(&self) -> Nav {
        match self.back.as_str() {
            "/stacks" => Nav::Stacks,
            "/images" => Nav::Images,
            "/vault" => Nav::Vault,
            _ => Nav::Containers,
        }
    }
}

fn live(batch: &Batch, runs: &[Run]) -> Live {
    let lines: Vec<Line> = batch
        .items
        .iter()
        .map(|item| {
            let run = item.run.as_ref().and_then(|id| runs.iter().find(|run| run.id == *id));
            let state = match (item.state, run) {
                (_, Some(run)) => jobs::state(run),
                (ItemState::Waiting, None) => ("off", "clock", "Waiting"),
                (ItemState::Working, None) => ("run", "loader-circle", "Working"),
                (ItemState::Queued, None) => ("off", "clock", "Queued"),
                (ItemState::Done, None) => ("ok", "circle-check", "Done"),
                (ItemState::Failed, None) => ("bad", "circle-x", "Not done"),
            };
            let text = run.and_then(|run| run.error.clone()).unwrap_or_else(|| item.text.clone());
            Line { name: item.name.clone(), state, text, run: item.run.clone() }
        })
        .collect();
    let failed = lines.iter().filter(|line| line.state.0 == "bad").count();
    let ended = batch.ended && runs.iter().all(|run| run.state.is_final());
    Live { id: batch.id.clone(), lines, ended, failed }
}

/// Per item; `success` only when nothing failed.
fn shape(batch: &Batch, runs: &[Run]) -> Value {
    let results: Vec<_> = batch
        .items
        .iter()
        .map(|item| {
            let failed = item.state == ItemState::Failed;
            let run = item.run.as_ref().and_then(|id| runs.iter().find(|run| run.id == *id));
            json!({
                "id": item.id, "name": item.name, "success": !failed, "state": item.state,
                "message": if failed { "" } else { item.text.as_str() },
                "error": failed.then_some(&item.text), "progress_id": item.run,
                "job": run.map(|run| json!({
                    "status": run.state, "error": run.error, "backup_id": run.backup_id,
                })),
            })
        })
        .collect();
    let runs: Vec<_> = batch
        .items
        .iter()
        .filter_map(|item| item.run.as_ref().map(|run| json!({ "progress_id": run, "name": item.name })))
        .collect();
    json!({
        "success": batch.ended && batch.failed() == 0, "batch_id": batch.id, "title": batch.title,
        "ended": batch.ended, "results": results, "runs": runs,
    })
}

/// Answers with a batch that was just begun: to scripts `200`, `202` when jobs go on with it, `207`
/// when an item failed.
pub(super) async fn answer(shell: &Shell, app: &App, id: &RunId) -> Result<Response> {
    let (batch, runs) = bulk::get(app, id).await?;
    match shell.client {
        Client::Api => {
            let status = if batch.failed() > 0 {
                StatusCode::MULTI_STATUS
            } else if runs.is_empty() {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            };
            Ok(json_response(status, &shape(&batch, &runs)))
        }
        Client::Page => see_other(&format!("/batches/{id}")),
        Client::Fragment => {
            let live = live(&batch, &runs);
            let screen = BatchScreen { title: batch.title, back: batch.back, live, dialog: true };
            let mut response = Html(render(&screen)?).into_response();
            let trigger = HeaderValue::from_static("job-changed, list-changed");
            response.headers_mut().insert(HeaderName::from_static("hx-trigger"), trigger);
            Ok(response)
        }
    }
}

/// `GET /batches/{id}` and `GET /api/batches/{id}`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let (batch, runs) = bulk::get(&app, &id).await?;
    let json = shape(&batch, &runs);
    let live = live(&batch, &runs);
    let ended = live.ended;
    let screen = BatchScreen { title: batch.title, back: batch.back, live, dialog: false };
    let mut response = shell.show(&screen, |screen| render(&screen.live), |_| json).await?;
    if shell.client == Client::Fragment && ended {
        let trigger = HeaderValue::from_static("job-changed, list-changed");
        response.headers_mut().insert(HeaderName::from_static("hx-trigger"), trigger);
    }
    Ok(response)
}
