//! One container's page.

use std::{borrow::Cow, collections::HashMap};

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::containers::Row;
use crate::{
    app::App,
    error::Result,
    model::{
        backup::Backup,
        names::ContainerRef,
        secret::{hide_secrets, is_secret},
    },
    ops::{Actor, backups, containers, runs},
    web::{
        api_shapes,
        format::{When, filters},
        input::{Path, Query, flag},
        shell::{Nav, Screen, Shell, render},
    },
};

#[derive(Template)]
#[template(path = "containers/show.html")]
struct ContainerScreen {
    row: Row,
    tab: &'static str,
    mounts: Vec<(String, String, String, bool)>,
    networks: Vec<(String, String, String, String)>,
    env: Vec<(String, String, bool)>,
    labels: Vec<String>,
    command: String,
    facts: Vec<(&'static str, String)>,
    backups: Vec<(Backup, When)>,
    inspect: String,
    revealed: bool,
}

impl Screen for ContainerScreen {
    fn title(&self) -> Cow<'_, str> {
        self.row.container.name.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// Whether secrets are shown, and what is looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Reveal {
    #[serde(deserialize_with = "flag")]
    pub(super) reveal: bool,
    pub(super) search: String,
}

/// `GET /containers/{id}` and `GET /api/container/{id}/details`.
pub(in crate::web) async fn show(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(reveal): Query<Reveal>,
) -> Result<Response> {
    let details = containers::details(&app, &id).await?;
    if reveal.reveal {
        containers::record_reveal(&app, &actor, &details.container.name).await?;
    }
    let newest = backups::newest(&app).await?;
    let filter = backups::Filter {
        kind: Some("container".to_owned()),
        container: Some(details.container.name.clone()),
        ..backups::Filter::default()
    };
    let page = backups::list(&app, &filter).await?;
    let backups: Vec<_> = page
        .backups
        .into_iter()
        .map(|backup| (shell.when(backup.created), backup))
        .map(|(w, b)| (b, w))
        .collect();
    let active = runs::active(&app).await?;
    let (mut screen, inspect) = container_screen(&shell, details, &newest, backups, reveal.reveal);
    screen.row = screen.row.with_job(&shell, &active);
    let part = |screen: &ContainerScreen| render(screen);
    shell.show(&screen, part, |screen| api_shapes::details(&screen.row.container, &inspect)).await
}

fn container_screen(
    shell: &Shell,
    details: containers::Details,
    newest: &HashMap<String, Backup>,
    backups: Vec<(Backup, When)>,
    revealed: bool,
) -> (ContainerScreen, Value) {
    let inspect = details.inspect;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mounts = inspect["Mounts"].as_array().into_iter().flatten().map(|mount| {
        let name = mount["Name"].as_str().or(mount["Source"].as_str()).unwrap_or_default().to_owned();
        (text(&mount["Destination"]), text(&mount["Type"]), name, mount["RW"].as_bool() != Some(false))
    });
    let networks = inspect["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let networks = networks.map(|(name, endpoint)| {
        // Docker adds the short id by itself.
        let mut aliases = words(&endpoint["Aliases"]);
        aliases.retain(|alias| details.container.id.get(..12) != Some(alias));
        let aliases = aliases.join(", ");
        (name.clone(), text(&endpoint["IPAddress"]), text(&endpoint["Gateway"]), aliases)
    });
    let config = &inspect["Config"];
    let host = &inspect["HostConfig"];
    let env = words(&config["Env"]).into_iter().map(|entry| {
        let (name, value) = entry.split_once('=').unwrap_or((&entry, ""));
        let secret = is_secret(name);
        let value = if secret && !revealed { String::new() } else { value.to_owned() };
        (name.to_owned(), value, secret)
    });
    let labels = config["Labels"].as_object().into_iter().flatten();
    let limit = host["Memory"].as_u64().filter(|bytes| *bytes > 0);
    // What has not happened yet is in the year 1.
    let time = |value: &Value| {
        let at = value.as_str().and_then(|time| time.parse::<DateTime<Utc>>().ok());
        at.filter(|at| at.timestamp() > 0).map(|at| shell.when(at).full).unwrap_or_default()
    };
    let state = &inspect["State"];
    let ended = if state["Running"] == true { String::new() } else { time(&state["FinishedAt"]) };
    let exit_code = if ended.is_empty() { String::new() } else { state["ExitCode"].to_string() };
    let facts = vec![
        ("Image", text(&config["Image"])),
        ("Image id", text(&inspect["Image"]).chars().take(19).collect()),
        ("Created", time(&inspect["Created"])),
        ("Started", time(&state["StartedAt"])),
        ("Ended", ended),
        ("Exit code", exit_code),
        ("Restart policy", text(&host["RestartPolicy"]["Name"])),
        ("Network mode", text(&host["NetworkMode"])),
        ("User", text(&config["User"])),
        ("Memory limit", limit.map(crate::web::format::memory).unwrap_or_default()),
    ];
    let facts = facts.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut shown = inspect.clone();
    if !revealed {
        hide_secrets(&mut shown);
    }
    let screen = ContainerScreen {
        tab: "overview",
        mounts: mounts.collect(),
        networks: networks.collect(),
        env: env.collect(),
        labels: labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect(),
        command: words(&config["Entrypoint"])
            .into_iter()
            .chain(words(&config["Cmd"]))
            .collect::<Vec<_>>()
            .join(" "),
        facts,
        backups,
        inspect: serde_json::to_string_pretty(&shown).unwrap_or_default(),
        revealed,
        row: Row::of(shell, details.container, newest),
    };
    (screen, inspect)
}
