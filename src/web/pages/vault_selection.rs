//! Several backups at once: a confirmation that names them, then the batch that deletes them; and bringing back those
//! that were deleted.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::batches;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::Backup,
        backup_list::{Deleted, Filter},
        names::{BackupRef, RunId},
    },
    ops::{Actor, backups, bulk, deletions, upkeep},
    web::{
        api_shapes,
        client::Client,
        format::{When, filters},
        input::Input,
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// Several backups, and the typed confirmation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Chosen {
    #[serde(alias = "ids[]", alias = "id", alias = "filenames")]
    ids: Vec<BackupRef>,
    confirm: Option<String>,
}

/// What will go.
#[derive(Template)]
#[template(path = "vault/delete_many.html")]
struct DeleteScreen {
    lines: Vec<(Backup, When)>,
    /// Those that stay, and why.
    kept: Vec<(Backup, When, &'static str)>,
    /// Containers and networks of which nothing is left.
    last: Vec<String>,
    /// Logical bytes of what goes.
    bytes: u64,
    /// Until when they can be brought back, where they can.
    until: Option<When>,
    /// When their space is free.
    free: When,
    /// What to type: the name of one, a phrase for several.
    phrase: String,
    dialog: bool,
}

impl DeleteScreen {
    fn action(&self) -> String {
        match self.lines.as_slice() {
            [(backup, _)] => format!("/vault/{}/delete", backup.reference()),
            _ => "/vault/-/delete".to_owned(),
        }
    }
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        "Delete backups".into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// What is typed to delete several.
fn phrase(count: usize) -> String {
    format!("delete {count} backups")
}

/// `POST /vault/-/delete` asks first and deletes when confirmed; `POST /api/backups/delete` deletes.
pub(in crate::web) async fn delete(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(chosen): Input<Chosen>,
) -> Result<Response> {
    match &chosen.confirm {
        _ if shell.client == Client::Api => {}
        None => return ask(&shell, &app, &chosen.ids).await,
        Some(typed) if *typed == phrase(chosen.ids.len()) => {}
        Some(_) => {
            let text = format!("Type “{}” to confirm.", phrase(chosen.ids.len()));
            return Err(AppError::field("confirm", text));
        }
    }
    let id = deletions::begin(&app, &actor, &chosen.ids, name(&shell)).await?;
    results(&shell, &app, &id).await
}

/// `DELETE /api/backups/delete-all`.
pub(in crate::web) async fn delete_all(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    let id = deletions::begin_all(&app, &actor, name(&shell)).await?;
    results(&shell, &app, &id).await
}

/// What people call a backup.
fn name(shell: &Shell) -> impl Fn(&Backup) -> String {
    move |backup| format!("{}, {}", backup.meta.container, shell.when(backup.created).full)
}

async fn results(shell: &Shell, app: &App, id: &RunId) -> Result<Response> {
    // Scripts get the results; people see them come in.
    let patience = if shell.client == Client::Api { Duration::MAX } else { Duration::from_secs(1) };
    bulk::wait(app, id, patience).await;
    batches::answer(shell, app, id).await
}

async fn ask(shell: &Shell, app: &App, ids: &[BackupRef]) -> Result<Response> {
    let (chosen, unknown) = deletions::choose(app, ids).await?;
    if let Some((id, _)) = unknown.first() {
        return Err(AppError::NotFound(format!("The backup “{id}”").into()));
    }
    let (mut lines, mut kept) = (Vec::new(), Vec::new());
    for backup in chosen {
        let when = shell.when(backup.created);
        match deletions::refused(&backup) {
            Some(why) => kept.push((backup, when, why)),
            None => lines.push((backup, when)),
        }
    }
    let phrase = match lines.as_slice() {
        [(backup, _)] => backup.meta.container.clone(),
        _ => phrase(lines.len()),
    };
    let settings = upkeep::settings(app).await?;
    let screen = DeleteScreen {
        last: last(app, &lines).await?,
        until: (settings.keep_deleted > 0).then(|| shell.when(settings.keeps_until(shell.now))),
        free: shell.when(settings.free_from(shell.now, app.zone)),
        bytes: lines.iter().map(|(backup, _)| backup.size).sum(),
        lines,
        kept,
        phrase,
        dialog: shell.client == Client::Fragment,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// Names of what would be left without any backup.
async fn last(app: &App, lines: &[(Backup, When)]) -> Result<Vec<String>> {
    let mut going: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for (backup, _) in lines {
        let meta = &backup.meta;
        *going.entry((&meta.container, meta.kind.as_str(), &backup.server_name)).or_default() += 1;
    }
    let mut last = Vec::new();
    for ((name, kind, server), count) in going {
        let filter = Filter {
            kind: Some(kind.to_owned()),
            container: Some(name.to_owned()),
            server: Some(server.to_owned()),
            limit: Some(0),
            ..Filter::default()
        };
        if backups::list(app, &filter).await?.total <= count {
            last.push(name.to_owned());
        }
    }
    Ok(last)
}

/// A deleted backup, ready to show.
struct Row {
    backup: Backup,
    when: When,
    deleted: When,
    by: String,
    until: When,
}

#[derive(Template)]
#[template(path = "vault/deleted.html")]
struct DeletedScreen {
    rows: Vec<Row>,
}

impl Screen for DeletedScreen {
    fn title(&self) -> Cow<'_, str> {
        "Deleted backups".into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// `GET /vault/-/deleted` and `GET /api/backups/deleted`.
pub(in crate::web) async fn deleted(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let row = |(deleted, until): (Deleted, _)| Row {
        when: shell.when(deleted.backup.created),
        deleted: shell.when(deleted.at),
        by: deleted.by,
        until: shell.when(until),
        backup: deleted.backup,
    };
    let rows = deletions::kept(&app).await?.into_iter().map(row).collect();
    let json = |screen: &DeletedScreen| {
        let shape = |row: &Row| {
            let mut body = api_shapes::backup(&row.backup);
            body["deleted"] = json!(row.deleted.iso);
            body["deleted_by"] = json!(row.by);
            body["kept_until"] = json!(row.until.iso);
            body
        };
        let list: Vec<_> = screen.rows.iter().map(shape).collect();
        json!({ "total": list.len(), "backups": list })
    };
    shell.show(&DeletedScreen { rows }, render, json).await
}

/// `POST /vault/-/undelete` and `POST /api/backups/undelete`.
pub(in crate::web) async fn undelete(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(chosen): Input<Chosen>,
) -> Result<Response> {
    let back = deletions::undelete(&app, &actor, &chosen.ids).await?;
    let text = match back.as_slice() {
        [one] => {
            format!("The backup of {} from {} is back", one.meta.container, shell.when(one.created).full)
        }
        many => format!("{} backups are back", many.len()),
    };
    let ids: Vec<_> = back.iter().map(|backup| &backup.id).collect();
    let json = json!({ "success": true, "message": text, "ids": ids });
    shell.done(Done::new(text, "/vault", json).leaving())
}
