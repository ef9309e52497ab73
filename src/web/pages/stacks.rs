//! Stacks: containers that belong together.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{batches, containers::Row, login::escape};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{backup::Backup, stack::Kind},
    ops::{
        Actor, backups, bulk,
        stacks::{self, Stack, Wish},
    },
    web::{
        client::Client,
        input::{Input, Path, Query, flag},
        shell::{Nav, Screen, Shell, render},
    },
};

/// A stack, ready to show.
struct Card {
    stack: Stack,
    rows: Vec<Row>,
}

impl Card {
    fn of(shell: &Shell, stack: Stack, newest: &HashMap<String, Backup>) -> Self {
        let rows =
            stack.containers.iter().map(|container| Row::of(shell, container.clone(), newest)).collect();
        Self { stack, rows }
    }

    fn protected(&self) -> usize {
        self.rows.iter().filter(|row| row.backup.is_some()).count()
    }

    /// Class and dot.
    fn state(&self) -> (&'static str, &'static str) {
        match self.stack.status() {
            "running" => ("ok", ""),
            "stopped" => ("off", "ring"),
            _ => ("warn", "tri"),
        }
    }

    fn kind(&self) -> &'static str {
        if self.stack.kind == Kind::Swarm { "Swarm" } else { "Compose" }
    }

    /// Whether it can be started and stopped from here.
    fn managed(&self) -> bool {
        self.stack.kind == Kind::Compose || !self.stack.swarm.is_empty()
    }

    fn can_start(&self) -> bool {
        match self.stack.kind {
            Kind::Compose => self.stack.running() < self.stack.containers.len(),
            Kind::Swarm => self.stack.scaled_down().next().is_some(),
        }
    }

    fn can_stop(&self) -> bool {
        match self.stack.kind {
            Kind::Compose => self.stack.running() > 0,
            Kind::Swarm => self.stack.swarm.iter().any(|service| service.desired > 0),
        }
    }

    /// "2 of 3": what runs of what should, and in words of what.
    fn count(&self) -> String {
        if self.stack.swarm.is_empty() {
            return format!("{} of {}", self.stack.running(), self.stack.containers.len());
        }
        let running: u64 = self.stack.swarm.iter().map(|service| service.running).sum();
        let desired: u64 = self.stack.swarm.iter().map(|service| service.desired).sum();
        format!("{running} of {desired}")
    }

    /// `/stacks/<name>/`.
    fn path(&self) -> String {
        format!("/stacks/{}/", escape(&self.stack.name))
    }

    /// Services with the rows of their containers.
    fn services(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.rows.iter().map(|row| (service(row), row))
    }
}

fn service(row: &Row) -> &str {
    row.container.stack_info.as_ref().map_or("", |info| info.service.as_str())
}

#[derive(Template)]
#[template(path = "stacks/results.html")]
struct Results {
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "stacks/list.html")]
struct StacksScreen {
    results: Results,
}

impl Screen for StacksScreen {
    fn title(&self) -> Cow<'_, str> {
        "Stacks".into()
    }

    fn nav(&self) -> Nav {
        Nav::Stacks
    }
}

fn shape(stack: &Stack) -> Value {
    let containers: Vec<_> = stack
        .containers
        .iter()
        .map(|container| {
            let service = container.stack_info.as_ref().map(|info| &info.service);
            json!({
                "id": container.id, "name": container.name, "service": service, "status": container.status,
                "health": container.health, "is_self": container.is_self,
            })
        })
        .collect();
    json!({
        "name": stack.name, "kind": stack.kind, "type": stack.kind, "status": stack.status(),
        "services": stack.services, "containers": containers, "networks": stack.networks,
        "volumes": stack.volumes, "swarm_services": stack.swarm, "running": stack.running(),
        "services_count": stack.services.len(), "containers_count": stack.containers.len(),
    })
}

/// `GET /stacks` and `GET /api/stacks`.
pub(in crate::web) async fn list(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let stacks = stacks::list(&app).await?;
    let newest = backups::newest(&app).await?;
    let json = json!({ "stacks": stacks.iter().map(shape).collect::<Vec<_>>() });
    let cards = stacks.into_iter().map(|stack| Card::of(&shell, stack, &newest)).collect();
    let screen = StacksScreen { results: Results { cards } };
    shell.show(&screen, |screen| render(&screen.results), |_| json).await
}

/// What comes with an action.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct StackInput {
    #[serde(deserialize_with = "flag")]
    delete_volumes: bool,
    confirm: String,
}

fn wish(action: &str, volumes: bool) -> Result<Wish> {
    Ok(match action {
        "start" => Wish::Start,
        "stop" => Wish::Stop,
        "restart" => Wish::Restart,
        "backup" => Wish::BackUp,
        "delete" => Wish::Delete { volumes },
        _ => return Err(AppError::NotFound("This action".into())),
    })
}

/// `POST /stacks/{name}/{action}` and `POST /api/stack/{name}/{action}`.
pub(in crate::web) async fn act(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path((name, action)): Path<(String, String)>,
    Input(input): Input<StackInput>,
) -> Result<Response> {
    let wish = wish(&action, input.delete_volumes)?;
    if matches!(wish, Wish::Delete { .. }) && shell.client != Client::Api && input.confirm != name {
        return Err(AppError::field("confirm", format!("Type “{name}” to confirm.")));
    }
    begin(&actor, &shell, &app, &name, wish).await
}

/// `DELETE /api/stack/{name}/delete`.
pub(in crate::web) async fn delete_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<StackInput>,
    Input(body): Input<StackInput>,
) -> Result<Response> {
    let wish = Wish::Delete { volumes: query.delete_volumes || body.delete_volumes };
    begin(&actor, &shell, &app, &name, wish).await
}

async fn begin(actor: &Actor, shell: &Shell, app: &App, name: &str, wish: Wish) -> Result<Response> {
    let id = stacks::begin(app, actor, name, wish).await?;
    let patience = if shell.client == Client::Api { Duration::MAX } else { Duration::from_secs(1) };
    bulk::wait(app, &id, patience).await;
    batches::answer(shell, app, &id).await
}

#[derive(Template)]
#[template(path = "stacks/confirm.html")]
struct ConfirmScreen {
    card: Card,
    action: String,
    verb: &'static str,
    /// What its containers use and did not make.
    kept: Vec<String>,
    dialog: bool,
}

impl Screen for ConfirmScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("{} stack {}", self.verb, self.card.stack.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Stacks
    }
}

/// `GET /stacks/{name}/{action}`: what it means.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path((name, action)): Path<(String, String)>,
) -> Result<Response> {
    let verb = match wish(&action, false)? {
        Wish::Stop => "Stop",
        Wish::Restart => "Restart",
        Wish::Delete { .. } => "Remove",
        _ => return Err(AppError::NotFound("This page".into())),
    };
    let stack = stacks::find(&app, &name).await?;
    let newest = backups::newest(&app).await?;
    let mounts = stack.containers.iter().flat_map(|container| &container.volumes);
    let named = mounts.filter(|mount| mount.kind == "volume" && mount.name.len() < 64);
    let mut kept: Vec<String> =
        named.filter(|mount| !stack.volumes.contains(&mount.name)).map(|mount| mount.name.clone()).collect();
    kept.sort();
    kept.dedup();
    let dialog = shell.client == Client::Fragment;
    let screen = ConfirmScreen { card: Card::of(&shell, stack, &newest), action, verb, kept, dialog };
    shell.show(&screen, render, |_| Value::Null).await
}
