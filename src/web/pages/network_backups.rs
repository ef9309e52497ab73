//! Networks in the vault: back one up, review and start a restore.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::{Backup, State as BackupState},
        names::{BackupRef, NetworkName, NetworkRef},
        restore::NetworkOptions,
        run::Run,
    },
    ops::{
        Actor, backups, network_backups,
        network_restores::{self, Review},
        runs,
    },
    web::{
        api_shapes,
        client::Client,
        format::When,
        input::{Input, Path, flag, storage},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// What may be said with a backup.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Asked {
    note: String,
    /// `local` or `s3`; nothing = the chosen one.
    storage: String,
}

/// `POST /networks/{id}/backup` and `POST /api/network/{id}/backup`. A script gets the file name at once unless
/// other jobs are before it; then it asks for the progress, as with a container.
pub(in crate::web) async fn back_up(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<NetworkRef>,
    Input(asked): Input<Asked>,
) -> Result<Response> {
    let storage = storage(Some(&asked.storage))?;
    let run = network_backups::request(&app, &actor, &id, storage, &asked.note).await?;
    let text = format!("Backing up the network {}", run.subject);
    answer(&shell, &app, run, text, async |_| Ok(json!({}))).await
}

/// A page goes to the job, a script gets its outcome with some more fields.
async fn answer(
    shell: &Shell,
    app: &App,
    run: Run,
    text: String,
    more: impl AsyncFnOnce(&Run) -> Result<Value>,
) -> Result<Response> {
    let address = format!("/jobs/{}", run.id);
    if shell.client != Client::Api {
        return shell.done(Done::new(text, address, Value::Null).accepted());
    }
    let view = network_backups::ended(app, &run.id).await?;
    let (run, ended) = (&view.run, view.run.state.is_final());
    let mut body = json!({
        "success": true, "message": text, "progress_id": run.id, "status": run.state, "network_name": run.subject,
    });
    if !ended {
        body["queue_position"] = json!(view.queue_position);
        return shell.done(Done::new(text, address, body).accepted());
    }
    body["filename"] = json!(run.backup_filename);
    body["backup_id"] = json!(run.backup_id);
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more(run).await?) {
        body.extend(more);
    }
    shell.done(Done::new(text, address, body))
}

/// `GET /api/network-backups`.
pub(in crate::web) async fn list(_: Actor, State(app): State<App>) -> Result<Response> {
    let filter = backups::Filter { kind: Some("network".to_owned()), ..backups::Filter::default() };
    let page = backups::list(&app, &filter).await?;
    let rows: Vec<_> = page.backups.iter().map(api_shapes::backup).collect();
    let body = json!({ "backups": rows, "total": page.total });
    Ok(crate::web::shell::json_response(StatusCode::OK, &body))
}

/// What is being decided: the fields, what they would do, and what is wrong with them.
struct View {
    original: String,
    review: Review,
    form: Form,
    /// What is wrong with the new name.
    bad_name: Option<String>,
}

impl View {
    fn new_name(&self) -> &str {
        if self.form.new_name.is_empty() { &self.review.free_name } else { &self.form.new_name }
    }

    fn renamed(&self) -> bool {
        self.form.name_mode == "new"
    }

    /// What is in the way, by the word for it.
    fn conflict(&self, status: &str) -> Option<&str> {
        let found = self.review.conflicts.iter().find(|conflict| conflict.status == status);
        found.map(|conflict| conflict.message.as_str())
    }

    fn name_problem(&self) -> Option<&str> {
        self.bad_name.as_deref().or_else(|| self.conflict("name_conflict"))
    }
}

/// The plan and the checks at the fields, for htmx.
#[derive(Template)]
#[template(path = "networks/restore_changes.html")]
struct Changes<'a> {
    v: &'a View,
}

#[derive(Template)]
#[template(path = "networks/restore.html")]
struct RestoreScreen {
    backup: Backup,
    when: When,
    v: View,
    /// Why the form came back.
    problem: Option<String>,
}

impl Screen for RestoreScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Restore network {}", self.v.original).into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// The page's form.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    /// `same` or `new`; nothing yet = the first that works.
    name_mode: String,
    new_name: String,
    any_subnet: bool,
}

impl Form {
    /// From its fields.
    pub(super) fn of<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name| field(name).unwrap_or_default().to_owned();
        Self {
            name_mode: text("name-mode"),
            new_name: text("new_name"),
            any_subnet: field("any_subnet") == Some("true"),
        }
    }

    fn options(&self) -> std::result::Result<NetworkOptions, String> {
        let new_name = match self.name_mode.as_str() {
            "new" if self.new_name.trim().is_empty() => return Err("Give the new name.".to_owned()),
            "new" => Some(self.new_name.trim().parse::<NetworkName>().map_err(|error| error.to_string())?),
            _ => None,
        };
        Ok(NetworkOptions { new_name, any_subnet: self.any_subnet })
    }
}

/// The page for these decisions, and the decisions as the restore takes them.
async fn screen(
    shell: &Shell,
    app: &App,
    id: &BackupRef,
    mut form: Form,
) -> Result<(RestoreScreen, NetworkOptions)> {
    if form.name_mode.is_empty() {
        // What can be done at once is chosen before anybody chose.
        let review = network_restores::review(app, id, &NetworkOptions::default()).await?.1;
        if review.exists { "new" } else { "same" }.clone_into(&mut form.name_mode);
        form.new_name = review.free_name;
        form.any_subnet = !review.overlaps.is_empty();
    }
    let (options, bad_name) = match form.options() {
        Ok(options) => (options, None),
        Err(why) => (NetworkOptions { any_subnet: form.any_subnet, ..NetworkOptions::default() }, Some(why)),
    };
    let (preview, review) = network_restores::review(app, id, &options).await?;
    let screen = RestoreScreen {
        when: shell.when(preview.backup.created),
        v: View { original: preview.manifest.container_name, review, form, bad_name },
        backup: preview.backup,
        problem: None,
    };
    Ok((screen, options))
}

/// The review page; with fields in the query, the plan for them.
pub(super) async fn review(shell: &Shell, app: &App, id: &BackupRef, form: Form) -> Result<Response> {
    let (screen, _) = screen(shell, app, id, form).await?;
    shell.show(&screen, |screen| render(&Changes { v: &screen.v }), |screen| json!(screen.v.review)).await
}

/// Starts the restore that the form asks for, or shows the form again with what is wrong.
pub(super) async fn start(
    actor: &Actor,
    shell: &Shell,
    app: &App,
    id: &BackupRef,
    form: Form,
) -> Result<Response> {
    let (screen, options) = screen(shell, app, id, form).await?;
    if let Some(why) = screen.v.bad_name.clone() {
        if shell.client == Client::Api {
            return Err(AppError::field("new_name", why));
        }
        return again(shell, screen, StatusCode::UNPROCESSABLE_ENTITY, why).await;
    }
    match begin(actor, shell, app, id, options).await {
        Err(AppError::RestoreConflict { message, .. }) if shell.client != Client::Api => {
            again(shell, screen, StatusCode::CONFLICT, message).await
        }
        Err(AppError::Impossible(message)) if shell.client != Client::Api => {
            again(shell, screen, StatusCode::UNPROCESSABLE_ENTITY, message).await
        }
        other => other,
    }
}

async fn again(shell: &Shell, screen: RestoreScreen, status: StatusCode, why: String) -> Result<Response> {
    shell.again(&RestoreScreen { problem: Some(why), ..screen }, status).await
}

/// Puts it into the queue.
pub(super) async fn begin(
    actor: &Actor,
    shell: &Shell,
    app: &App,
    id: &BackupRef,
    options: NetworkOptions,
) -> Result<Response> {
    let run = network_restores::request(app, actor, id, options).await?;
    let position = runs::get(app, &run.id).await?.queue_position;
    let json = json!({
        "success": true, "message": "Restore queued", "progress_id": run.id, "status": "queued",
        "queue_position": position, "network_name": run.subject,
    });
    let text = format!("Restoring the network {}", run.subject);
    shell.done(Done::new(text, format!("/jobs/{}", run.id), json).accepted().leaving())
}

/// `POST /api/network/restore`.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct ApiInput {
    #[serde(alias = "id", alias = "backup_id")]
    filename: BackupRef,
    #[serde(default)]
    new_name: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    any_subnet: bool,
}

/// `POST /api/network/restore`: answers when the network is there, or with 202 when other jobs are before it.
pub(in crate::web) async fn restore(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(input): Input<ApiInput>,
) -> Result<Response> {
    let new_name = input.new_name.filter(|name| !name.is_empty());
    let new_name = new_name.map(|name| name.parse()).transpose();
    let new_name = new_name
        .map_err(|error: crate::model::names::BadName| AppError::field("new_name", error.to_string()))?;
    let options = NetworkOptions { new_name, any_subnet: input.any_subnet };
    let run = network_restores::request(&app, &actor, &input.filename, options).await?;
    let text = format!("Restoring the network {}", run.subject);
    answer(&shell, &app, run, text, async |run| {
        Ok(json!({ "network_id": network_restores::id_of(&app, &run.subject).await? }))
    })
    .await
}
