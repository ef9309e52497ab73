//! One action for several containers: a confirmation that names them, then
//! the batch that does it.

use std::{borrow::Cow, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::Value;

use super::batches;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        container::{Action, Container},
        names::ContainerRef,
    },
    ops::{
        Actor, backups,
        bulk::{self, Wish},
        delete::{self, Exclusive},
    },
    web::{
        client::Client,
        input::{Input, Path, flag},
        shell::{Nav, Screen, Shell, render},
    },
};

/// What may come with it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the boxes of a form")]
pub(in crate::web) struct BulkInput {
    #[serde(alias = "ids[]", alias = "id")]
    ids: Vec<ContainerRef>,
    op: String,
    timeout: Option<u32>,
    #[serde(deserialize_with = "flag")]
    delete_volumes: bool,
    #[serde(deserialize_with = "flag")]
    delete_image: bool,
    #[serde(deserialize_with = "flag")]
    force: bool,
    #[serde(deserialize_with = "flag")]
    confirmed: bool,
    confirm: String,
}

impl BulkInput {
    fn wish(&self, op: &str) -> Result<Wish> {
        Ok(match op {
            "backup" => Wish::BackUp,
            "delete" => Wish::Delete(delete::Options {
                delete_volumes: self.delete_volumes,
                delete_image: self.delete_image,
                force: self.force,
            }),
            other => {
                let action =
                    other.parse::<Action>().map_err(|()| AppError::NotFound("This action".into()))?;
                Wish::Act(action, self.timeout)
            }
        })
    }
}

/// One container in a confirmation.
struct Line {
    container: Container,
    refused: Option<String>,
    backup: bool,
}

#[derive(Template)]
#[template(path = "containers/bulk.html")]
struct BulkScreen {
    op: String,
    verb: &'static str,
    icon: &'static str,
    warning: &'static str,
    lines: Vec<Line>,
    goes: Exclusive,
    dialog: bool,
}

impl BulkScreen {
    fn able(&self) -> usize {
        self.lines.iter().filter(|line| line.refused.is_none()).count()
    }

    fn deletes(&self) -> bool {
        self.op == "delete"
    }

    fn harms(&self) -> bool {
        self.deletes() || self.op == "kill"
    }

    fn up(&self) -> bool {
        self.lines.iter().any(|line| line.refused.is_none() && delete::is_up(&line.container))
    }
}

impl Screen for BulkScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("{} {} containers", self.verb, self.lines.len()).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// Verb, icon, and what it means.
fn words(op: &str) -> (&'static str, &'static str, &'static str) {
    match op {
        "backup" => {
            ("Back up", "archive", "They are backed up one after another; only what changed is stored.")
        }
        "start" => ("Start", "play", "They are started one after another."),
        "stop" => ("Stop", "square", "Each gets its time to end, one after another. They stay stopped."),
        "restart" => ("Restart", "rotate-cw", "They are stopped and started again, one after another."),
        "pause" => ("Pause", "pause", "They stand still and answer nobody until they are resumed."),
        "resume" => ("Resume", "play", "They go on where they were paused."),
        "kill" => (
            "Kill",
            "octagon-x",
            "They end at once, without a chance to save what they are working on. Try Stop first.",
        ),
        _ => ("Delete", "trash-2", "This can’t be undone."),
    }
}

/// `POST /containers`: the confirmation, and when that is given, the deed.
pub(in crate::web) async fn post(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(input): Input<BulkInput>,
) -> Result<Response> {
    let wish = input.wish(&input.op)?;
    if shell.client == Client::Api {
        return act(&actor, &shell, &app, &input, wish).await;
    }
    if !input.confirmed {
        return confirm(&shell, &app, &input, wish).await;
    }
    if matches!(wish, Wish::Delete(_)) && input.confirm != "delete" {
        return Err(AppError::field("confirm", "Type “delete” to confirm."));
    }
    act(&actor, &shell, &app, &input, wish).await
}

/// `POST /api/containers/{action}`.
pub(in crate::web) async fn post_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(action): Path<String>,
    Input(input): Input<BulkInput>,
) -> Result<Response> {
    let wish = input.wish(&action)?;
    act(&actor, &shell, &app, &input, wish).await
}

async fn act(actor: &Actor, shell: &Shell, app: &App, input: &BulkInput, wish: Wish) -> Result<Response> {
    let id = bulk::begin(app, actor, &input.ids, wish, "/containers").await?;
    // Scripts get the results; people see them come in.
    let patience = if shell.client == Client::Api { Duration::MAX } else { Duration::from_secs(1) };
    bulk::wait(app, &id, patience).await;
    batches::answer(shell, app, &id).await
}

async fn confirm(shell: &Shell, app: &App, input: &BulkInput, wish: Wish) -> Result<Response> {
    let (all, chosen, unknown) = bulk::choose(app, &input.ids).await?;
    if let Some((_, why)) = unknown.into_iter().next() {
        return Err(AppError::NotFound(why.trim_end_matches(" was not found").to_owned().into()));
    }
    let newest = backups::newest(app).await?;
    let lines: Vec<Line> = chosen
        .iter()
        .map(|container| Line {
            refused: bulk::refused(container, &wish),
            backup: newest.contains_key(&container.name),
            container: container.clone(),
        })
        .collect();
    let goes = if matches!(wish, Wish::Delete(_)) {
        let able: Vec<&Container> =
            lines.iter().filter(|line| line.refused.is_none()).map(|line| &line.container).collect();
        delete::exclusive(app, &all, &able).await?
    } else {
        Exclusive::default()
    };
    let (verb, icon, warning) = words(&input.op);
    let dialog = shell.client == Client::Fragment;
    let screen = BulkScreen { op: input.op.clone(), verb, icon, warning, lines, goes, dialog };
    shell.show(&screen, render, |_| Value::Null).await
}
