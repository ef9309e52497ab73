//! Files that become backups.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::{Multipart, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{run::Run, vault::Storage},
    ops::{Actor, imports},
    vaults,
    web::{
        client::Client,
        format::filters,
        input::{Input, storage},
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

#[derive(Template)]
#[template(path = "vault/upload.html")]
struct UploadScreen {
    storages: Vec<Storage>,
    chosen: Storage,
    /// Bytes.
    limit: Option<u64>,
    /// What the Flask application left.
    found: Vec<imports::Found>,
    /// What became of each file that was sent: its name, the job, or why there is none.
    told: Vec<(String, std::result::Result<String, String>)>,
}

impl UploadScreen {
    /// Whether one of those that were left can still be imported.
    fn has_new(&self) -> bool {
        self.found.iter().any(|file| file.imported.is_none())
    }
}

impl Screen for UploadScreen {
    fn title(&self) -> Cow<'_, str> {
        "Upload backups".into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

async fn screen(app: &App) -> Result<UploadScreen> {
    let there = |storage: &Storage| app.vaults.of(*storage).state() != vaults::State::Absent;
    Ok(UploadScreen {
        storages: Storage::ALL.into_iter().filter(there).collect(),
        chosen: app.vaults.chosen(),
        limit: app.config.upload_limit.map(|limit| limit.0),
        found: imports::found(app).await?,
        told: Vec::new(),
    })
}

/// `GET /vault/upload`.
pub(in crate::web) async fn form(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    shell.show(&screen(&app).await?, render, |_| Value::Null).await
}

/// `POST /vault/upload` and `POST /api/upload-backup`: a form with one or more files and, before them, the storage.
pub(in crate::web) async fn upload(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    mut form: Multipart,
) -> Result<Response> {
    let broken = |error: axum::extract::multipart::MultipartError| AppError::invalid(error.body_text());
    let mut target = None;
    let mut told: Vec<(String, Result<Run>)> = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let Some(name) = field.file_name().map(str::to_owned) else {
            if field.name() == Some("storage") {
                target = storage(Some(&field.text().await.map_err(broken)?))?;
            }
            continue;
        };
        // A form without a chosen file sends one without a name.
        if !name.is_empty() {
            let run = one(&app, &actor, &name, field, target).await;
            let stop = matches!(&run, Err(AppError::Invalid { .. } | AppError::TooLarge(_)));
            told.push((name, run));
            if stop {
                break;
            }
        }
    }
    answer(&app, &shell, told).await
}

/// `GET /api/found-archives`: what the Flask application left.
pub(in crate::web) async fn found(_: Actor, State(app): State<App>) -> Result<Response> {
    Ok(json_response(StatusCode::OK, &json!({ "archives": imports::found(&app).await? })))
}

/// Which of them.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::web) struct Chosen {
    #[serde(alias = "name")]
    names: Vec<String>,
    storage: Option<String>,
}

/// `POST /vault/upload/found` and `POST /api/found-archives`.
pub(in crate::web) async fn import_found(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(chosen): Input<Chosen>,
) -> Result<Response> {
    let target = storage(chosen.storage.as_deref())?;
    let mut told = Vec::new();
    for name in chosen.names {
        let run = imports::request_found(&app, &actor, &name, target).await;
        told.push((name, run));
    }
    answer(&app, &shell, told).await
}

async fn one(
    app: &App,
    actor: &Actor,
    name: &str,
    field: axum::extract::multipart::Field<'_>,
    storage: Option<Storage>,
) -> Result<Run> {
    let upload = imports::receive(app, name, field).await?;
    imports::request(app, actor, upload, storage).await
}

async fn answer(app: &App, shell: &Shell, mut told: Vec<(String, Result<Run>)>) -> Result<Response> {
    if told.is_empty() {
        return Err(AppError::field("file", "Choose a file.".to_owned()));
    }
    if told.len() == 1 || told.iter().all(|(_, run)| run.is_ok()) {
        let runs: Vec<Run> = told.drain(..).map(|(_, run)| run).collect::<Result<_>>()?;
        return queued(shell, &runs);
    }
    let said = |run: &Result<Run>| match run {
        Ok(run) => Ok(run.id.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let told: Vec<_> = told.iter().map(|(name, run)| (name.clone(), said(run))).collect();
    if shell.client == Client::Api {
        let rows: Vec<Value> = told
            .iter()
            .map(|(name, run)| match run {
                Ok(run) => json!({ "name": name, "progress_id": run }),
                Err(why) => json!({ "name": name, "error": why }),
            })
            .collect();
        return Ok(json_response(StatusCode::ACCEPTED, &json!({ "success": false, "runs": rows })));
    }
    let mut answer =
        shell.show(&UploadScreen { told, ..screen(app).await? }, render, |_| Value::Null).await?;
    *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(answer.into_response())
}

fn queued(shell: &Shell, runs: &[Run]) -> Result<Response> {
    let rows: Vec<Value> =
        runs.iter().map(|run| json!({ "progress_id": run.id, "name": run.subject })).collect();
    let (text, address, id) = match runs {
        [run] => ("The import is queued".to_owned(), format!("/jobs/{}", run.id), json!(run.id)),
        runs => (format!("{} imports are queued", runs.len()), "/jobs".to_owned(), Value::Null),
    };
    let json =
        json!({ "success": true, "message": text, "progress_id": id, "status": "queued", "runs": rows });
    shell.done(Done::new(text, address, json).accepted())
}
