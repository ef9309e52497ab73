//! Verifying a backup or a vault.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{names::BackupRef, run::Run, vault::Storage},
    ops::{Actor, verify},
    vaults,
    web::{
        client::Client,
        input::{Input, Path, storage},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

#[derive(Template)]
#[template(path = "vault/verify.html")]
struct VerifyScreen {
    storages: Vec<Storage>,
    dialog: bool,
}

impl Screen for VerifyScreen {
    fn title(&self) -> Cow<'_, str> {
        "Verify the vault".into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// `GET /vault/verify`.
pub(in crate::web) async fn form(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let set_up = |storage: &Storage| app.vaults.of(*storage).state() != vaults::State::Absent;
    let storages = Storage::ALL.into_iter().filter(set_up).collect();
    let screen = VerifyScreen { storages, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// What is to be verified.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    storage: Option<String>,
    percent: Percent,
}

/// A number, or the text of a form.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Percent {
    Number(u32),
    Text(String),
}

impl Default for Percent {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Percent {
    pub(super) fn number(&self) -> Result<u32> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| AppError::field("percent", "Give a whole number from 0 to 100.")),
        }
    }
}

/// `POST /vault/verify`.
pub(in crate::web) async fn vault(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(wanted): Input<Wanted>,
) -> Result<Response> {
    let storage = storage(wanted.storage.as_deref())?.unwrap_or_default();
    queued(&shell, &verify::vault(&app, &actor, storage, wanted.percent.number()?).await?)
}

/// `POST /api/vaults/{storage}/verify`.
pub(in crate::web) async fn vault_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(word): Path<String>,
    Input(wanted): Input<Wanted>,
) -> Result<Response> {
    let storage = storage(Some(&word))?.unwrap_or_default();
    queued(&shell, &verify::vault(&app, &actor, storage, wanted.percent.number()?).await?)
}

/// `POST /vault/{id}/verify` and `POST /api/backup/{id}/verify`.
pub(in crate::web) async fn one(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    queued(&shell, &verify::one(&app, &actor, &id).await?)
}

/// Several backups.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Chosen {
    #[serde(alias = "ids[]", alias = "id")]
    ids: Vec<BackupRef>,
}

/// `POST /vault/-/verify` and `POST /api/backups/verify`.
pub(in crate::web) async fn some(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(chosen): Input<Chosen>,
) -> Result<Response> {
    let runs = verify::some(&app, &actor, &chosen.ids).await?;
    let (text, to) = match runs.as_slice() {
        [run] => ("The verification is queued".to_owned(), format!("/jobs/{}", run.id)),
        runs => (format!("{} verifications are queued", runs.len()), "/jobs".to_owned()),
    };
    let list: Vec<_> = runs.iter().map(|run| json!({ "progress_id": run.id, "name": run.subject })).collect();
    let json = json!({ "success": true, "message": text, "runs": list });
    shell.done(Done::new(text, to, json).accepted())
}

fn queued(shell: &Shell, run: &Run) -> Result<Response> {
    let json = json!({
        "success": true, "message": "Verification queued", "progress_id": run.id, "status": "queued",
    });
    shell.done(Done::new("The verification is queued", format!("/jobs/{}", run.id), json).accepted())
}
