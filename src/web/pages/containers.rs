//! The containers page.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{Sort, parameters};
use crate::{
    app::App,
    error::Result,
    model::{
        backup::Backup,
        container::{Action, Container, Status},
    },
    ops::{Actor, backups, containers},
    web::{
        api_shapes,
        format::When,
        input::Query,
        shell::{Nav, Screen, Shell, render},
    },
};

/// A row of the list.
pub(in crate::web) struct Row {
    pub(in crate::web) container: Container,
    pub(in crate::web) backup: Option<(When, String)>,
}

impl Row {
    pub(super) fn of(shell: &Shell, container: Container, newest: &HashMap<String, Backup>) -> Self {
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
    networks: Vec<String>,
    images: Vec<String>,
    summary: String,
}

impl ListScreen {
    /// Name, label, word for all, present value, values.
    fn more_filters(&self) -> [(&str, &str, &str, &str, &[String]); 2] {
        [
            ("network", "Network", "All networks", &self.filter.network, &self.networks),
            ("image", "Image", "All images", &self.filter.image, &self.images),
        ]
    }
}

/// Each once, in order.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    values.collect::<BTreeSet<_>>().into_iter().collect()
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
    image: String,
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
            && (self.image.is_empty() || [&container.image, &container.image_info.id].contains(&&self.image))
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
    let stacks = distinct(all.iter().filter_map(|c| c.stack_info.as_ref().map(|stack| stack.name.clone())));
    let networks = distinct(all.iter().flat_map(|container| container.networks.iter().cloned()));
    let images = distinct(all.iter().map(|container| container.image.clone()));
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
        ("image", &filter.image),
    ]);
    let order = if descending { "desc" } else { "asc" };
    let address = format!("/containers?sort={by}&order={order}{rest}");
    let results = Results { rows, total, sort: Sort { by, descending, rest }, address };
    ListScreen { results, filter, stacks, networks, images, summary }
}
