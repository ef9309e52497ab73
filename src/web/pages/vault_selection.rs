//! Several backups at once: a confirmation that names them, then the batch that deletes them.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::Value;

use super::batches;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{backup::Backup, backup_list::Filter, names::BackupRef},
    ops::{Actor, backups, bulk, deletions, upkeep},
    web::{
        client::Client,
        format::{When, filters},
        input::Input,
        shell::{Nav, Screen, Shell, render},
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
    let name = |backup: &Backup| format!("{}, {}", backup.meta.container, shell.when(backup.created).full);
    let id = deletions::begin(&app, &actor, &chosen.ids, name).await?;
    // Scripts get the results; people see them come in.
    let patience = if shell.client == Client::Api { Duration::MAX } else { Duration::from_secs(1) };
    bulk::wait(&app, &id, patience).await;
    batches::answer(&shell, &app, &id).await
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
    let screen = DeleteScreen {
        last: last(app, &lines).await?,
        free: shell.when(upkeep::free_from(app, shell.now).await?),
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
