//! Pinning backups, and their notes.

use axum::{extract::State, response::Response};
use serde::Deserialize;

use crate::{
    app::App,
    error::Result,
    model::{backup::Backup, names::BackupRef},
    ops::{Actor, marks},
    web::{
        api_shapes,
        input::{Input, Path},
        shell::{Done, Shell},
    },
};

/// `POST /vault/{id}/pin` and `POST /api/backup/{id}/pin`.
pub(in crate::web) async fn pin(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    let backup = marks::pin(&app, &actor, &id, true).await?;
    answer(&shell, &backup, "The backup is pinned: no rule and nobody deletes it until it is unpinned")
}

/// `POST /vault/{id}/unpin` and `POST /api/backup/{id}/unpin`.
pub(in crate::web) async fn unpin(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    let backup = marks::pin(&app, &actor, &id, false).await?;
    answer(&shell, &backup, "The backup is no longer pinned")
}

/// What a backup is for.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct NoteInput {
    note: String,
}

/// `POST /vault/{id}/note` and `POST /api/backup/{id}/note`.
pub(in crate::web) async fn note(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(input): Input<NoteInput>,
) -> Result<Response> {
    let backup = marks::note(&app, &actor, &id, &input.note).await?;
    answer(&shell, &backup, "The note is saved")
}

fn answer(shell: &Shell, backup: &Backup, text: &str) -> Result<Response> {
    let mut json = api_shapes::backup(backup);
    json["success"] = true.into();
    shell.done(Done::new(text, format!("/vault/{}", backup.reference()), json).leaving())
}
