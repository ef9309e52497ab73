//! What can be done to one container, with what it is confirmed by.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::containers::Row;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{container::Action, manifest::Consistency, names::ContainerRef},
    ops::{Actor, backups, containers, delete},
    web::{
        input::{Input, Path, Query, choice, flag, storage},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// What may come with an action.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct ActionInput {
    timeout: Option<u32>,
}

/// `POST /containers/{id}/{action}` and `POST /api/container/{id}/{action}`.
pub(in crate::web) async fn act(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path((id, action)): Path<(ContainerRef, String)>,
    Input(input): Input<ActionInput>,
) -> Result<Response> {
    let action: Action = action.parse().map_err(|()| AppError::NotFound("This action".into()))?;
    let container = containers::act(&app, &actor, &id, action, input.timeout).await?;
    let text = format!("{} is {}", container.name, action.done().to_lowercase());
    let json = json!({ "success": true, "message": text, "status": container.status });
    shell.done(Done::new(text, format!("/containers/{}", container.name), json))
}

/// What a deletion is confirmed with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct DeleteInput {
    #[serde(deserialize_with = "flag")]
    delete_volumes: bool,
    #[serde(deserialize_with = "flag")]
    delete_image: bool,
    #[serde(deserialize_with = "flag")]
    force: bool,
    confirm: Option<String>,
}

/// `POST /containers/{id}/delete`: a form, confirmed by the typed name when volumes go with it.
pub(in crate::web) async fn delete_form(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Input(input): Input<DeleteInput>,
) -> Result<Response> {
    let container = containers::find(&app, &id).await?;
    if input.confirm.as_deref() != Some(container.name.as_str()) {
        return Err(AppError::field("confirm", format!("Type “{}” to confirm.", container.name)));
    }
    delete(&actor, &shell, &app, &id, &input).await
}

/// `DELETE /api/container/{id}/delete`.
pub(in crate::web) async fn delete_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<DeleteInput>,
    Input(body): Input<DeleteInput>,
) -> Result<Response> {
    let input = DeleteInput {
        delete_volumes: query.delete_volumes || body.delete_volumes,
        delete_image: query.delete_image || body.delete_image,
        force: query.force || body.force,
        confirm: None,
    };
    delete(&actor, &shell, &app, &id, &input).await
}

async fn delete(
    actor: &Actor,
    shell: &Shell,
    app: &App,
    id: &ContainerRef,
    input: &DeleteInput,
) -> Result<Response> {
    let how = delete::Options {
        delete_volumes: input.delete_volumes,
        delete_image: input.delete_image,
        force: input.force,
    };
    let deleted = delete::delete(app, actor, id, how).await?;
    let volumes = match deleted.volumes.len() {
        0 => String::new(),
        1 => format!(" with its volume {}", deleted.volumes[0]),
        many => format!(" with {many} volumes"),
    };
    let image = deleted.image.as_ref().map(|name| format!(" and the image {name}")).unwrap_or_default();
    let text = format!("{id} is deleted{volumes}{image}. {}", deleted.kept.join(" "));
    let json = json!({
        "success": true, "message": "Container deleted", "deleted_volumes": deleted.volumes,
        "deleted_image": deleted.image, "kept": deleted.kept,
    });
    shell.done(Done::new(text.trim_end(), "/containers", json).leaving())
}

#[derive(Template)]
#[template(path = "containers/delete.html")]
struct DeleteScreen {
    row: Row,
    volumes: Vec<String>,
    images: Vec<String>,
    kept: Vec<String>,
    dialog: bool,
    kill: bool,
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("{} {}", if self.kill { "Kill" } else { "Delete" }, self.row.container.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/delete`: what will go, and what will not.
pub(in crate::web) async fn confirm_delete(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
) -> Result<Response> {
    confirm(&shell, &app, &id, false).await
}

/// `GET /containers/{id}/kill`: what it means.
pub(in crate::web) async fn confirm_action(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path((id, action)): Path<(ContainerRef, String)>,
) -> Result<Response> {
    if action != Action::Kill.as_str() {
        return Err(AppError::NotFound("This page".into()));
    }
    confirm(&shell, &app, &id, true).await
}

async fn confirm(shell: &Shell, app: &App, id: &ContainerRef, kill: bool) -> Result<Response> {
    let all = containers::list(app).await?;
    let container = containers::pick(&all, id)?;
    let newest = backups::newest(app).await?;
    let goes =
        if kill { delete::Exclusive::default() } else { delete::exclusive(app, &all, &[container]).await? };
    let container = container.clone();
    let row = Row::of(shell, container, &newest);
    let dialog = shell.client == crate::web::client::Client::Fragment;
    let screen = DeleteScreen {
        row,
        volumes: goes.volumes,
        images: goes.images.into_values().collect(),
        kept: goes.kept,
        dialog,
        kill,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

#[derive(Template)]
#[template(path = "containers/backup.html")]
struct BackupScreen {
    name: String,
    /// What its label says, else live.
    label: String,
    dialog: bool,
}

impl Screen for BackupScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Back up {}", self.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/backup`: a backup with options.
pub(in crate::web) async fn backup_options(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
) -> Result<Response> {
    let details = containers::details(&app, &id).await?;
    let label = details.inspect["Config"]["Labels"]["container-monkey.consistency"].as_str();
    let screen = BackupScreen {
        name: details.container.name,
        label: label.and_then(|how| how.parse::<Consistency>().ok()).unwrap_or_default().to_string(),
        dialog: shell.client == crate::web::client::Client::Fragment,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// What may be said when asking for a backup; forms send empty fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct BackupInput {
    consistency: Option<String>,
    include_image: Option<Value>,
    include_layer: Option<Value>,
    volumes: Option<Vec<String>>,
    note: Option<String>,
    storage: Option<String>,
}

/// `POST /containers/{id}/backup` and `POST /api/backup/{id}`.
pub(in crate::web) async fn back_up(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Input(input): Input<BackupInput>,
) -> Result<Response> {
    let consistency = choice("consistency", input.consistency.as_deref(), |word| {
        format!("“{word}” is not a way to back up. Use live, pause or stop.")
    })?;
    let decided = |field: &str, given: Option<Value>| match given {
        None | Some(Value::Null) => Ok(None),
        Some(value) => flag(&value)
            .map(Some)
            .map_err(|error: serde_json::Error| AppError::field(field, error.to_string())),
    };
    let options = backups::BackupOptions {
        consistency,
        include_image: decided("include_image", input.include_image)?,
        include_layer: decided("include_layer", input.include_layer)?,
        volumes: input.volumes,
        note: input.note,
        storage: storage(input.storage.as_deref())?,
    };
    let run = backups::request(&app, &actor, &id, options).await?;
    let view = crate::ops::runs::get(&app, &run.id).await?;
    let json = json!({
        "success": true, "message": "Backup queued", "progress_id": run.id, "status": "queued",
        "queue_position": view.queue_position,
    });
    let text = format!("Backing up {}", run.subject);
    shell.done(Done::new(text, format!("/jobs/{}", run.id), json).accepted())
}
