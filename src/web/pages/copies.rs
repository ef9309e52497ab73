//! Copies of backups in the other vault.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::{AppError, Result},
    model::{names::BackupRef, run::Run},
    ops::{Actor, copies},
    web::{
        input::{Input, Path, storage},
        shell::{Done, Shell},
    },
};

/// Which backups are copied: some, or all that have no copy yet.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    #[serde(alias = "id")]
    ids: Vec<String>,
    /// The vault whose new backups are copied, where no ids are given.
    from: Option<String>,
}

/// `POST /vault/copies` and `POST /api/backups/copy`.
pub(in crate::web) async fn copy_many(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(wanted): Input<Wanted>,
) -> Result<Response> {
    let run = match storage(wanted.from.as_deref())? {
        Some(from) if wanted.ids.is_empty() => copies::request_new(&app, &actor, from).await?,
        _ => {
            let bad = |error: crate::model::names::BadName| AppError::field("ids", error.to_string());
            let ids: Vec<BackupRef> =
                wanted.ids.iter().map(|id| id.parse().map_err(bad)).collect::<Result<_>>()?;
            copies::request(&app, &actor, &ids).await?
        }
    };
    queued(&shell, &run)
}

/// `POST /vault/{id}/copy` and `POST /api/backup/{id}/copy`.
pub(in crate::web) async fn copy(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    queued(&shell, &copies::request(&app, &actor, &[id]).await?)
}

fn queued(shell: &Shell, run: &Run) -> Result<Response> {
    let json =
        json!({ "success": true, "message": "Copy queued", "progress_id": run.id, "status": "queued" });
    shell.done(Done::new("The copy is queued", format!("/jobs/{}", run.id), json).accepted())
}
