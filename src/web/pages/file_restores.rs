//! Restoring one file or folder out of a backup: what is there, what will happen, the start of the job.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::login::escape;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::Backup,
        files::{Entry, EntryKind, InnerPath, shown},
        names::{BackupRef, VolumeName},
        restore::{FileOptions, kept_name},
    },
    ops::{
        Actor,
        file_restores::{self, FileReview},
        runs,
    },
    web::{
        client::Client,
        format::{When, size},
        input::{Input, Path, Query, flag},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// The page's form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Form {
    path: InnerPath,
    /// `volume`, else where it was.
    to: String,
    volume: String,
    folder: String,
    #[serde(deserialize_with = "flag")]
    replace: bool,
    #[serde(deserialize_with = "flag")]
    stop: bool,
    /// Whether it was filled in: a box that is not ticked sends nothing.
    #[serde(deserialize_with = "flag")]
    asked: bool,
}

impl Form {
    fn options(&self) -> Result<FileOptions> {
        let volume = (self.to == "volume").then(|| volume(&self.volume)).transpose()?;
        Ok(FileOptions {
            path: self.path.clone(),
            volume,
            folder: folder(&self.folder)?,
            keep: !self.replace,
            stop: self.asked.then_some(self.stop),
        })
    }
}

fn volume(name: &str) -> Result<VolumeName> {
    if name.trim().is_empty() {
        return Err(AppError::field("volume", "Choose a volume."));
    }
    name.trim().parse().map_err(|error| AppError::field("volume", format!("{error}")))
}

fn folder(path: &str) -> Result<InnerPath> {
    let path = InnerPath::try_from(path.trim().to_owned());
    path.map_err(|error| AppError::field("folder", error.to_string()))
}

/// What is known while it is decided.
struct View {
    id: String,
    name: String,
    review: FileReview,
    form: Form,
    /// What is there now, in words.
    present: Option<String>,
    kept: String,
}

impl View {
    fn is_into_volume(&self) -> bool {
        self.form.to == "volume"
    }

    fn folder(&self) -> &str {
        if self.form.folder.is_empty() { "/" } else { &self.form.folder }
    }

    /// What is restored, in words: "1 file, 4 KB".
    fn amount(&self) -> String {
        let measure = self.review.measure;
        let files = if measure.files == 1 { "1 file".to_owned() } else { format!("{} files", measure.files) };
        match self.review.entry.kind {
            EntryKind::Dir => format!("folder with {files}, {}", size(measure.bytes)),
            EntryKind::File => size(measure.bytes),
            kind => kind.to_string(),
        }
    }

    fn deletes_folder(&self) -> bool {
        !self.review.keep && self.review.present.as_ref().is_some_and(|entry| entry.kind == EntryKind::Dir)
    }

    /// A file that is mounted by itself, which a running container goes on seeing as it was.
    fn is_mounted_file(&self) -> bool {
        self.review.target.as_ref().is_some_and(|target| target.path.is_empty())
    }
}

#[derive(Template)]
#[template(path = "restore/file_plan.html")]
struct Plan<'a> {
    v: &'a View,
}

#[derive(Template)]
#[template(path = "restore/file.html")]
struct FileRestoreScreen {
    backup: Backup,
    when: When,
    changed: Option<When>,
    above: String,
    v: View,
    problem: Option<String>,
}

impl Screen for FileRestoreScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Restore {}", self.v.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

fn in_words(shell: &Shell, entry: &Entry) -> String {
    let what = match entry.kind {
        EntryKind::Dir => "a folder".to_owned(),
        EntryKind::File => format!("a file of {}", size(entry.size)),
        EntryKind::Symlink => "a link".to_owned(),
        other => format!("a {other}"),
    };
    match DateTime::from_timestamp(entry.modified, 0) {
        Some(at) => format!("{what}, changed {}", shell.when(at).full),
        None => what,
    }
}

async fn screen(shell: &Shell, app: &App, id: &BackupRef, form: Form) -> Result<FileRestoreScreen> {
    let planned = file_restores::review(app, id, &form.options()?).await?;
    let (backup, review) = (planned.preview.backup, planned.review);
    let name = review.target.as_ref().and_then(|target| target.path.rsplit('/').next()).unwrap_or_default();
    let name = if name.is_empty() { form.path.name() } else { name };
    let id = backup.reference();
    let parent = form.path.parent().unwrap_or_default().absolute();
    Ok(FileRestoreScreen {
        when: shell.when(backup.created),
        changed: DateTime::from_timestamp(review.entry.modified, 0).map(|at| shell.when(at)),
        above: format!("/vault/{id}/files?path={}", escape(&parent)),
        backup,
        v: View {
            present: review.present.as_ref().map(|entry| in_words(shell, entry)),
            kept: shown(&kept_name(name, Utc::now())),
            name: shown(form.path.name()),
            id,
            review,
            form,
        },
        problem: None,
    })
}

/// `GET /vault/{id}/restore-files` and `GET /api/backup/{id}/restore-files`: with fields in the query, the plan for
/// them.
pub(in crate::web) async fn review(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(form): Query<Form>,
) -> Result<Response> {
    let screen = screen(&shell, &app, &id, form).await?;
    shell.show(&screen, |screen| render(&Plan { v: &screen.v }), |screen| json!(screen.v.review)).await
}

/// `POST /vault/{id}/restore-files`: what can't be done comes back as the same form with all choices kept.
pub(in crate::web) async fn start(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(form): Input<Form>,
) -> Result<Response> {
    match begin(&actor, &shell, &app, &id, form.options()?).await {
        Err(AppError::RestoreConflict { message, .. }) if shell.client != Client::Api => {
            let screen = screen(&shell, &app, &id, form).await?;
            shell.again(&FileRestoreScreen { problem: Some(message), ..screen }, StatusCode::CONFLICT).await
        }
        other => other,
    }
}

/// `POST /api/backup/{id}/restore-files`.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct ApiInput {
    path: InnerPath,
    #[serde(default)]
    volume: Option<String>,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    keep: Option<bool>,
    #[serde(default)]
    stop: Option<bool>,
}

/// `POST /api/backup/{id}/restore-files`.
pub(in crate::web) async fn start_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(input): Input<ApiInput>,
) -> Result<Response> {
    let options = FileOptions {
        path: input.path,
        volume: input.volume.as_deref().map(volume).transpose()?,
        folder: folder(&input.folder)?,
        keep: input.keep.unwrap_or(true),
        stop: input.stop,
    };
    begin(&actor, &shell, &app, &id, options).await
}

async fn begin(
    actor: &Actor,
    shell: &Shell,
    app: &App,
    id: &BackupRef,
    options: FileOptions,
) -> Result<Response> {
    let name = shown(options.path.name());
    let run = file_restores::request(app, actor, id, options).await?;
    let position = runs::get(app, &run.id).await?.queue_position;
    let json = json!({
        "success": true, "message": "Restore queued", "progress_id": run.id, "status": "queued",
        "queue_position": position, "container_name": run.subject,
    });
    let text = format!("Restoring {name}");
    shell.done(Done::new(text, format!("/jobs/{}", run.id), json).accepted().leaving())
}
