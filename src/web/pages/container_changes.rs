//! Less common things of one container: its settings as JSON, another name, made again.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::container::Reveal;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        names::{ContainerName, ContainerRef},
        secret::hide_secrets,
    },
    ops::{
        Actor, backups, containers,
        redeploy::{self, Changes, Plan},
    },
    web::{
        client::Client,
        input::{Input, Path, Query, flag},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// The settings that match, or all.
#[derive(Template)]
#[template(path = "containers/found.html")]
struct Found {
    search: String,
    text: String,
    lines: Vec<String>,
}

#[derive(Template)]
#[template(path = "containers/inspect.html")]
struct InspectScreen {
    name: String,
    search: String,
    revealed: bool,
    found: Found,
}

impl Screen for InspectScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Settings of {}", self.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/inspect`.
pub(in crate::web) async fn inspect(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<Reveal>,
) -> Result<Response> {
    let details = containers::details(&app, &id).await?;
    let mut shown = details.inspect;
    if query.reveal {
        containers::record_reveal(&app, &actor, &details.container.name).await?;
    } else {
        hide_secrets(&mut shown);
    }
    let search = query.search.trim().to_lowercase();
    let mut lines = Vec::new();
    if !search.is_empty() {
        flatten("", &shown, &mut lines);
        lines.retain(|line| line.to_lowercase().contains(&search));
    }
    let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    let screen = InspectScreen {
        name: details.container.name,
        search: query.search.clone(),
        revealed: query.reveal,
        found: Found { search: query.search.trim().to_owned(), text, lines },
    };
    shell.show(&screen, |screen| render(&screen.found), |_| shown.clone()).await
}

/// `HostConfig.RestartPolicy.Name: "always"`, one line a value.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{key}"), value, lines);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (place, value) in values.iter().enumerate() {
                flatten(&format!("{path}[{place}]"), value, lines);
            }
        }
        value => lines.push(format!("{path}: {value}")),
    }
}

#[derive(Template)]
#[template(path = "containers/rename.html")]
struct RenameScreen {
    old: String,
    backups: usize,
    dialog: bool,
}

impl Screen for RenameScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Rename {}", self.old).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/rename`.
pub(in crate::web) async fn confirm_rename(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
) -> Result<Response> {
    let old = containers::find(&app, &id).await?.name;
    let filter = backups::Filter {
        kind: Some("container".to_owned()),
        container: Some(old.clone()),
        limit: Some(0),
        ..backups::Filter::default()
    };
    let backups = backups::list(&app, &filter).await?.total;
    let dialog = shell.client == Client::Fragment;
    shell.show(&RenameScreen { old, backups, dialog }, render, |_| Value::Null).await
}

/// A new name.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct RenameInput {
    #[serde(alias = "new_name")]
    name: String,
}

/// `POST /containers/{id}/rename` and `POST /api/container/{id}/rename`.
pub(in crate::web) async fn rename(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Input(input): Input<RenameInput>,
) -> Result<Response> {
    let name: ContainerName =
        input.name.trim().parse().map_err(|error| AppError::field("name", format!("{error}")))?;
    containers::rename(&app, &actor, &id, &name).await?;
    let json = json!({ "success": true, "name": name });
    shell.done(Done::new(format!("{id} is called {name} now"), format!("/containers/{name}"), json).leaving())
}

#[derive(Template)]
#[template(path = "containers/redeploy.html")]
struct RedeployScreen {
    plan: Plan,
    dialog: bool,
}

impl Screen for RedeployScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Redeploy {}", self.plan.container.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/redeploy`: what will happen.
pub(in crate::web) async fn confirm_redeploy(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
) -> Result<Response> {
    let plan = redeploy::plan(&app, &id).await?;
    let dialog = shell.client == Client::Fragment;
    shell.show(&RedeployScreen { plan, dialog }, render, |_| Value::Null).await
}

/// How.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct RedeployInput {
    #[serde(deserialize_with = "flag")]
    pull: bool,
    /// `{"80/tcp": "8080"}`.
    port_overrides: Option<BTreeMap<String, Value>>,
    /// A form's fields are called `port-80/tcp`.
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

impl RedeployInput {
    fn changes(self) -> Changes {
        let fields = self.fields.into_iter();
        let fields = fields.filter_map(|(name, port)| Some((name.strip_prefix("port-")?.to_owned(), port)));
        let ports = self.port_overrides.into_iter().flatten().chain(fields).map(|(inside, port)| {
            let port = port.as_str().map_or_else(|| port.to_string(), |text| text.trim().to_owned());
            (inside, port)
        });
        Changes { pull: self.pull, ports: ports.collect() }
    }
}

/// `POST /containers/{id}/redeploy` and `POST /api/container/{id}/redeploy`.
pub(in crate::web) async fn redeploy(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Input(input): Input<RedeployInput>,
) -> Result<Response> {
    let done = redeploy::redeploy(&app, &actor, &id, input.changes()).await?;
    let json = json!({
        "success": true, "container_id": done.container_id, "name": done.name, "warnings": done.warnings,
        "progress_id": done.run,
    });
    let text = format!("{} was made again. {}", done.name, done.warnings.join(" "));
    shell.done(Done::new(text.trim_end(), format!("/containers/{}", done.name), json).leaving())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_path() {
        let mut lines = Vec::new();
        flatten("", &json!({ "a": { "b": [1, { "c": "x" }] }, "e": {} }), &mut lines);
        assert_eq!(lines, ["a.b[0]: 1", "a.b[1].c: \"x\"", "e: {}"]);
    }
}
