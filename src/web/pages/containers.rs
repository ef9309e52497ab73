//! The containers page, one container's page, and what can be done to one.

use std::{borrow::Cow, collections::HashMap};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, parameters};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::Backup,
        container::{Action, Container, Status},
        manifest::Consistency,
        names::ContainerRef,
    },
    ops::{Actor, backups, containers},
    web::{
        api_shapes,
        format::{When, filters},
        input::{Input, Path, Query, flag},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// A row of the list.
pub(in crate::web) struct Row {
    pub(in crate::web) container: Container,
    pub(in crate::web) backup: Option<(When, String)>,
}

impl Row {
    fn of(shell: &Shell, container: Container, newest: &HashMap<String, Backup>) -> Self {
        let backup =
            newest.get(&container.name).map(|backup| (shell.when(backup.created), backup.id.clone()));
        Self { container, backup }
    }

    /// Class, dot and word of its state.
    pub(in crate::web) fn state(&self) -> (&'static str, &'static str, &'static str) {
        match (self.container.status, self.container.health.as_deref()) {
            (Status::Running, Some("healthy")) => ("ok", "", "Healthy"),
            (Status::Running, Some("unhealthy")) => ("bad", "tri", "Unhealthy"),
            (Status::Running, Some("starting")) => ("info", "", "Starting"),
            (Status::Running, _) => ("ok", "", "Running"),
            (Status::Paused, _) => ("warn", "bars", "Paused"),
            (Status::Restarting, _) => ("warn", "tri", "Restarting"),
            (Status::Created, _) => ("off", "ring", "Created"),
            (Status::Stopped, _) => ("off", "ring", "Stopped"),
            (Status::Removing, _) => ("off", "ring", "Being removed"),
            (Status::Dead, _) => ("bad", "tri", "Dead"),
        }
    }

    pub(in crate::web) fn ports(&self) -> String {
        let published = self.container.port_mappings.iter().filter(|port| !port.host.is_empty());
        published.map(|port| port.display.clone()).collect::<Vec<_>>().join(", ")
    }

    /// What can be done, with why not.
    pub(in crate::web) fn actions(&self) -> Vec<(Action, &'static str, &'static str, Option<&'static str>)> {
        let own = "Container Monkey runs in it";
        let of = |action: Action, icon, label| {
            let refused = action.refused_in(self.container.status);
            (action, icon, label, if self.container.is_self { Some(own) } else { refused })
        };
        vec![
            of(Action::Start, "play", "Start"),
            of(Action::Stop, "square", "Stop"),
            of(Action::Restart, "rotate-cw", "Restart"),
            of(Action::Pause, "pause", "Pause"),
            of(Action::Resume, "play", "Resume"),
        ]
    }

    pub(in crate::web) fn running(&self) -> bool {
        matches!(self.container.status, Status::Running | Status::Paused | Status::Restarting)
    }

    pub(in crate::web) fn short_id(&self) -> &str {
        self.container.id.get(..12).unwrap_or(&self.container.id)
    }
}

/// The changing part of the list.
#[derive(Template)]
#[template(path = "containers/results.html")]
struct Results {
    rows: Vec<Row>,
    total: usize,
    sort: Sort,
    address: String,
}

#[derive(Template)]
#[template(path = "containers/list.html")]
struct ListScreen {
    results: Results,
    filter: Filter,
    stacks: Vec<String>,
    summary: String,
}

impl Screen for ListScreen {
    fn title(&self) -> Cow<'_, str> {
        "Containers".into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// The list's query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Filter {
    search: String,
    status: String,
    network: String,
    stack: String,
    sort: String,
    order: String,
}

impl Filter {
    fn matches(&self, container: &Container) -> bool {
        let search = self.search.to_lowercase();
        let fields = || {
            let ports = container.port_mappings.iter().map(|port| port.display.clone());
            let mut fields = vec![
                container.name.to_lowercase(),
                container.image.to_lowercase(),
                container.ip_address.clone(),
                container.id.clone(),
                container.stack_info.as_ref().map(|stack| stack.display.to_lowercase()).unwrap_or_default(),
            ];
            fields.extend(ports);
            fields
        };
        let stack = container.stack_info.as_ref().map(|stack| stack.name.as_str()).unwrap_or_default();
        let status = self.status.is_empty()
            || self.status == container.status.as_str()
            || container.health.as_deref() == Some(self.status.as_str());
        status
            && (self.network.is_empty() || container.networks.contains(&self.network))
            && (self.stack.is_empty() || self.stack == stack)
            && search.split_whitespace().all(|word| fields().iter().any(|field| field.contains(word)))
    }
}

/// `GET /containers` and `GET /api/containers`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Response> {
    let all = containers::list(&app).await?;
    let newest = backups::newest(&app).await?;
    let screen = screen(&shell, all, &newest, filter);
    let part = |screen: &ListScreen| render(&screen.results);
    shell.show(&screen, part, |screen| api_shapes::containers(&screen.results.rows)).await
}

fn screen(
    shell: &Shell,
    all: Vec<Container>,
    newest: &HashMap<String, Backup>,
    filter: Filter,
) -> ListScreen {
    let count = |status| all.iter().filter(|container| container.status == status).count();
    let protected = all.iter().filter(|container| newest.contains_key(&container.name)).count();
    let total = all.len();
    let summary = match total {
        0 => "This Docker engine has no containers yet.".to_owned(),
        _ => format!(
            "{} running, {} stopped, {} paused. {protected} of {total} have a backup.",
            count(Status::Running),
            count(Status::Stopped) + count(Status::Created),
            count(Status::Paused)
        ),
    };
    let mut stacks: Vec<_> =
        all.iter().filter_map(|c| c.stack_info.as_ref().map(|stack| stack.name.clone())).collect();
    stacks.sort();
    stacks.dedup();
    let mut rows: Vec<Row> = all
        .into_iter()
        .filter(|container| filter.matches(container))
        .map(|container| Row::of(shell, container, newest))
        .collect();
    let by = if filter.sort.is_empty() { "name".to_owned() } else { filter.sort.clone() };
    rows.sort_by_cached_key(|row| {
        let container = &row.container;
        let name = container.name.to_lowercase();
        let key = match by.as_str() {
            "state" => format!("{:?}", container.status),
            "stack" => container.stack_info.as_ref().map_or("~".to_owned(), |stack| stack.display.clone()),
            "image" => container.image.clone(),
            "created" => format!("{:020}", container.created),
            "backup" => newest.get(&container.name).map(|b| b.created.to_rfc3339()).unwrap_or_default(),
            _ => String::new(),
        };
        (key, name)
    });
    let descending = filter.order == "desc";
    if descending {
        rows.reverse();
    }
    let rest = parameters(&[
        ("search", &filter.search),
        ("status", &filter.status),
        ("network", &filter.network),
        ("stack", &filter.stack),
    ]);
    let order = if descending { "desc" } else { "asc" };
    let address = format!("/containers?sort={by}&order={order}{rest}");
    let results = Results { rows, total, sort: Sort { by, descending, rest }, address };
    ListScreen { results, filter, stacks, summary }
}

#[derive(Template)]
#[template(path = "containers/show.html")]
struct ContainerScreen {
    row: Row,
    mounts: Vec<(String, String, String, bool)>,
    networks: Vec<(String, String, String, String)>,
    env: Vec<(String, String, bool)>,
    labels: Vec<String>,
    command: String,
    facts: Vec<(&'static str, String)>,
    backups: Vec<(Backup, When)>,
    inspect: String,
    revealed: bool,
    volumes: Vec<String>,
}

impl Screen for ContainerScreen {
    fn title(&self) -> Cow<'_, str> {
        self.row.container.name.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// Whether secrets are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Reveal {
    #[serde(deserialize_with = "flag")]
    reveal: bool,
}

/// `GET /containers/{id}` and `GET /api/container/{id}/details`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(reveal): Query<Reveal>,
) -> Result<Response> {
    let details = containers::details(&app, &id).await?;
    let newest = backups::newest(&app).await?;
    let filter =
        backups::Filter { container: Some(details.container.name.clone()), ..backups::Filter::default() };
    let page = backups::list(&app, &filter).await?;
    let backups: Vec<_> = page
        .backups
        .into_iter()
        .map(|backup| (shell.when(backup.created), backup))
        .map(|(w, b)| (b, w))
        .collect();
    let screen = container_screen(&shell, details, &newest, backups, reveal.reveal);
    let inspect = screen.1;
    let part = |screen: &ContainerScreen| render(screen);
    shell.show(&screen.0, part, |screen| api_shapes::details(&screen.row.container, &inspect)).await
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
        let aliases = words(&endpoint["Aliases"]).join(", ");
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
    let created = inspect["Created"].as_str().and_then(|time| time.parse().ok());
    let facts = vec![
        ("Image", text(&config["Image"])),
        ("Image id", text(&inspect["Image"]).chars().take(19).collect()),
        ("Created", created.map(|at| shell.when(at).full).unwrap_or_default()),
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
    let volumes = details.container.volumes.iter().filter(|mount| mount.kind == "volume");
    let screen = ContainerScreen {
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
        volumes: volumes.map(|mount| mount.name.clone()).collect(),
        row: Row::of(shell, details.container, newest),
    };
    (screen, inspect)
}

/// Names of variables whose values are not shown unless asked for.
fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["PASS", "SECRET", "TOKEN", "KEY", "PWD", "CREDENTIAL", "AUTH", "PRIVATE", "DSN"]
        .iter()
        .any(|word| name.contains(word))
        && name != "PWD"
}

fn hide_secrets(inspect: &mut Value) {
    for entry in inspect["Config"]["Env"].as_array_mut().into_iter().flatten() {
        if let Some((name, _)) = entry.as_str().and_then(|text| text.split_once('='))
            && is_secret(name)
        {
            *entry = json!(format!("{name}=***"));
        }
    }
}

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
    let done = match action {
        Action::Start => "is started",
        Action::Stop => "is stopped",
        Action::Kill => "is killed",
        Action::Restart => "is restarted",
        Action::Pause => "is paused",
        Action::Resume => "runs again",
    };
    let text = format!("{} {done}", container.name);
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
    let how = containers::DeleteOptions { delete_volumes: input.delete_volumes, force: input.force };
    let deleted = containers::delete(app, actor, id, &how).await?;
    let volumes = match deleted.len() {
        0 => String::new(),
        1 => format!(" with its volume {}", deleted[0]),
        many => format!(" with {many} volumes"),
    };
    let json = json!({ "success": true, "message": "Container deleted", "deleted_volumes": deleted });
    shell.done(Done::new(format!("{id} is deleted{volumes}"), "/containers", json).leaving())
}

#[derive(Template)]
#[template(path = "containers/delete.html")]
struct DeleteScreen {
    row: Row,
    volumes: Vec<String>,
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

/// `GET /containers/{id}/delete` and `…/kill`: what will go, and what will not.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path((id, what)): Path<(ContainerRef, String)>,
) -> Result<Response> {
    let kill = match what.as_str() {
        "kill" => true,
        "delete" => false,
        _ => return Err(AppError::NotFound("This page".into())),
    };
    let all = containers::list(&app).await?;
    let container = containers::find(&app, &id).await?;
    let newest = backups::newest(&app).await?;
    let own = container.volumes.iter().filter(|mount| mount.kind == "volume");
    let only = own.filter(|mount| {
        !all.iter()
            .any(|other| other.id != container.id && other.volumes.iter().any(|m| m.name == mount.name))
    });
    let volumes = only.map(|mount| mount.name.clone()).collect();
    let row = Row::of(&shell, container, &newest);
    let dialog = shell.client == crate::web::client::Client::Fragment;
    let screen = DeleteScreen { row, volumes, dialog, kill };
    shell.show(&screen, render, |_| Value::Null).await
}

/// What may be said when asking for a backup; forms send empty fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct BackupInput {
    consistency: Option<String>,
    include_image: Option<Value>,
    volumes: Option<Vec<String>>,
    note: Option<String>,
}

/// `POST /containers/{id}/backup` and `POST /api/backup/{id}`.
pub(in crate::web) async fn back_up(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Input(input): Input<BackupInput>,
) -> Result<Response> {
    let consistency = match input.consistency.as_deref() {
        None | Some("") => None,
        Some("live") => Some(Consistency::Live),
        Some("pause") => Some(Consistency::Pause),
        Some("stop") => Some(Consistency::Stop),
        Some(other) => {
            let why = format!("“{other}” is not a way to back up. Use live, pause or stop.");
            return Err(AppError::field("consistency", why));
        }
    };
    let include_image = match input.include_image {
        None | Some(Value::Null) => None,
        Some(value) => Some(
            flag(&value)
                .map_err(|error: serde_json::Error| AppError::field("include_image", error.to_string()))?,
        ),
    };
    let options =
        backups::BackupOptions { consistency, include_image, volumes: input.volumes, note: input.note };
    let run = backups::request(&app, &actor, &id, options).await?;
    let view = crate::ops::runs::get(&app, &run.id).await?;
    let json = json!({
        "success": true, "message": "Backup queued", "progress_id": run.id, "status": "queued",
        "queue_position": view.queue_position,
    });
    let text = format!("Backing up {}", run.subject);
    shell.done(Done::new(text, format!("/jobs/{}", run.id), json).accepted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["DB_PASSWORD", "api_key", "JWT_SECRET", "GITHUB_TOKEN", "MYSQL_PWD"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PATH", "TZ", "PWD", "DB_HOST"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
