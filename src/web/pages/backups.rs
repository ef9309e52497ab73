//! One backup: what is in it, its settings, deleting it.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::container::Reveal;
use super::login::escape;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::{Backup, ItemOutcome, ItemState, Kind},
        manifest::{Item, ItemKind, Manifest},
        names::BackupRef,
        restore::{NetworkOptions, Options},
        vault::Storage,
    },
    ops::{Actor, backups, containers, deletions, network_restores, restores, upkeep},
    vaults,
    web::{
        api_shapes,
        client::Client,
        format::{When, duration, filters, size},
        input::{Input, Path, Query},
        shell::{Done, Nav, Screen, Shell, render},
    },
    worker::order::is_file,
};

/// An item with how it ended, for the page.
struct Line {
    icon: &'static str,
    class: &'static str,
    text: String,
    detail: String,
    /// Where its files can be looked at.
    files: Option<String>,
}

#[derive(Template)]
#[template(path = "vault/show.html")]
struct BackupScreen {
    backup: Backup,
    when: When,
    items: Vec<Line>,
    facts: Vec<(&'static str, String)>,
    run_command: String,
    compose: String,
    settings: String,
    revealed: bool,
    /// The other vault, where it is set up.
    copy_to: Option<Storage>,
}

impl Screen for BackupScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("{} of {}", self.backup.meta.container, self.when.full).into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// `GET /vault/{id}`.
pub(in crate::web) async fn show(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(Reveal { reveal, .. }): Query<Reveal>,
) -> Result<Response> {
    let mut preview = backups::preview(&app, &id).await?;
    if reveal {
        containers::record_reveal(&app, &actor, &preview.backup.meta.container).await?;
    } else {
        preview = preview.without_secrets();
    }
    let backup = preview.backup;
    let outcome = |path: &str| backup.meta.items.iter().find(|outcome| outcome.path == path);
    let items = preview.manifest.items.iter().map(|item| line(&backup, item, outcome(&item.path))).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a job")]
    let took = backup.duration_seconds.max(0.0) as u64;
    let network = backup.meta.kind == Kind::Network;
    let read_how = api_shapes::consistency(preview.manifest.consistency).to_owned();
    let driver = preview.manifest.networks.first().filter(|_| network);
    let facts = vec![
        ("Server", backup.server_name.clone()),
        ("Size", format!("{}, {}", size(backup.size), files(backup.meta.files))),
        ("New in this one", format!("{} stored", size(backup.stored_size))),
        ("Took", duration(took)),
        ("Image", backup.meta.image.clone()),
        ("Data was", if network { String::new() } else { read_how }),
        ("Driver", driver.and_then(|it| it["Driver"].as_str()).unwrap_or_default().to_owned()),
        ("Stack", backup.meta.stack.clone().unwrap_or_default()),
        ("Verified", backup.verified.map(|at| shell.when(at).full).unwrap_or_default()),
        ("Id", backup.id[..16].to_owned()),
    ];
    let other = backup.storage.other();
    let screen = BackupScreen {
        copy_to: (app.vaults.of(other).state() != vaults::State::Absent).then_some(other),
        when: shell.when(backup.created),
        items,
        facts: facts.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        run_command: preview.docker_run_command,
        compose: preview.docker_compose,
        settings: serde_json::to_string_pretty(settings(&preview.manifest)).unwrap_or_default(),
        revealed: reveal,
        backup,
    };
    shell.show(&screen, render, |screen| api_shapes::backup(&screen.backup)).await
}

/// The raw settings of what was backed up.
fn settings(manifest: &Manifest) -> &Value {
    match (manifest.kind, manifest.networks.first()) {
        (Kind::Network, Some(network)) => network,
        _ => &manifest.container,
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn line(backup: &Backup, item: &Item, outcome: Option<&ItemOutcome>) -> Line {
    let what = match item.kind {
        ItemKind::Settings if backup.meta.kind == Kind::Network => "Network settings".to_owned(),
        ItemKind::Settings => "Container settings".to_owned(),
        ItemKind::Image => format!("Image {}", item.name),
        ItemKind::Volume => format!("Volume {}", item.name),
        ItemKind::Bind => format!("Host path {}", item.name),
        ItemKind::Layer => item.name.clone(),
    };
    let bytes = outcome.map_or(0, |outcome| outcome.bytes);
    let files = outcome.map_or(0, |outcome| outcome.files);
    let text = match item.kind {
        ItemKind::Settings => what,
        ItemKind::Image => format!("{what}, {}", size(bytes)),
        _ if item.left_out.is_some() => what,
        _ if files == 1 => format!("{what}, {} in one entry", size(bytes)),
        _ => format!("{what}, {} in {files} entries", size(bytes)),
    };
    let (icon, class, detail) = match outcome.map(|outcome| (outcome.state, outcome.message.clone())) {
        Some((ItemState::Saved, _)) => ("check", "ok", String::new()),
        Some((ItemState::Warnings, message)) => ("triangle-alert", "warn", message),
        Some((ItemState::LeftOut, message)) => ("minus", "", format!("left out: {message}")),
        Some((ItemState::Failed, message)) => ("circle-x", "bad", format!("missing: {message}")),
        None => ("circle-x", "bad", "not known".to_owned()),
    };
    // The settings stand on this page, without secrets unless they are asked for.
    let there = item.kind != ItemKind::Settings
        && outcome.is_some_and(|it| matches!(it.state, ItemState::Saved | ItemState::Warnings));
    let page = if is_file(&item.path) { "file" } else { "files" };
    let files = there.then(|| format!("/vault/{}/{page}?path=/{}", backup.reference(), escape(&item.path)));
    Line { icon, class, text, detail, files }
}

/// `GET /api/backup/{id}/preview`.
pub(in crate::web) async fn preview(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    let iso = |backup: &Backup| shell.when(backup.created).iso;
    let body = if backups::get(&app, &id).await?.meta.kind == Kind::Network {
        let (preview, review) = network_restores::review(&app, &id, &NetworkOptions::default()).await?;
        api_shapes::network_preview(&preview, &review, &iso(&preview.backup))
    } else {
        let (preview, review) = restores::review(&app, &id, &Options::default()).await?;
        api_shapes::preview(&preview, &review, &iso(&preview.backup))
    };
    Ok(crate::web::shell::json_response(axum::http::StatusCode::OK, &body))
}

#[derive(Template)]
#[template(path = "vault/delete.html")]
struct DeleteScreen {
    backup: Backup,
    when: When,
    others: usize,
    /// Until when it can be brought back, where it can.
    until: Option<When>,
    /// When its space is free.
    free: When,
    dialog: bool,
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        "Delete backup".into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// `GET /vault/{id}/delete`: what will go.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    let backup = backups::get(&app, &id).await?;
    let filter = backups::Filter {
        kind: Some(backup.meta.kind.to_string()),
        container: Some(backup.meta.container.clone()),
        server: Some(backup.server_name.clone()),
        ..backups::Filter::default()
    };
    let others = backups::list(&app, &filter).await?.total.saturating_sub(1);
    let when = shell.when(backup.created);
    let settings = upkeep::settings(&app).await?;
    let until = (settings.keep_deleted > 0).then(|| shell.when(settings.keeps_until(shell.now)));
    let free = shell.when(settings.free_from(shell.now, app.zone));
    let screen = DeleteScreen { backup, when, others, until, free, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// The typed confirmation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Confirmed {
    confirm: String,
}

/// `POST /vault/{id}/delete`.
pub(in crate::web) async fn delete_form(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(confirmed): Input<Confirmed>,
) -> Result<Response> {
    let backup = backups::get(&app, &id).await?;
    if confirmed.confirm != backup.meta.container {
        return Err(AppError::field("confirm", format!("Type “{}” to confirm.", backup.meta.container)));
    }
    delete(&actor, &shell, &app, &id).await
}

/// `DELETE /api/backup/{id}`.
pub(in crate::web) async fn delete_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    delete(&actor, &shell, &app, &id).await
}

async fn delete(actor: &Actor, shell: &Shell, app: &App, id: &BackupRef) -> Result<Response> {
    let until = deletions::one(app, actor, id).await?.map(|until| shell.when(until));
    let json = json!({
        "success": true, "message": "Backup deleted", "kept_until": until.as_ref().map(|until| &until.iso),
    });
    let text = until.map_or("The backup is deleted".to_owned(), |until| {
        format!("The backup is deleted. Until {} it can be brought back.", until.full)
    });
    shell.done(Done::new(text, "/vault", json).leaving())
}
