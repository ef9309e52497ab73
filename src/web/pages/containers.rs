//! The containers page.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::DateTime;
use serde::Deserialize;

use super::{Sort, jobs::Underway, parameters};
use crate::{
    app::App,
    error::Result,
    model::{
        backup::Backup,
        container::{Action, Container, PortMapping, Status},
        progress::Progress,
        run::Run,
    },
    ops::{Actor, backups, containers, runs},
    web::{
        api_shapes,
        format::When,
        input::Query,
        shell::{Nav, Screen, Shell, render},
    },
};

/// A backup older than this many days is stale.
pub(super) const STALE_DAYS: i64 = 7;

/// A row of the list.
pub(in crate::web) struct Row {
    pub(in crate::web) container: Container,
    pub(in crate::web) created: Option<When>,
    pub(in crate::web) backup: Option<(When, String)>,
    /// The newest good backup is older than a week.
    pub(in crate::web) stale: bool,
    /// The job about it that waits or runs.
    pub(in crate::web) underway: Option<Underway>,
}

impl Row {
    pub(super) fn of(shell: &Shell, container: Container, newest: &HashMap<String, Backup>) -> Self {
        let newest = newest.get(&container.name);
        Self {
            backup: newest.map(|backup| (shell.when(backup.created), backup.id.clone())),
            stale: newest.is_some_and(|backup| (shell.now - backup.created).num_days() >= STALE_DAYS),
            underway: None,
            created: DateTime::from_timestamp(container.created, 0).map(|at| shell.when(at)),
            container,
        }
    }

    /// With the job that is about it.
    pub(super) fn with_job(mut self, shell: &Shell, active: &[(Run, Option<Progress>)]) -> Self {
        let job = active.iter().find(|(run, _)| run.is_of_container(&self.container.name));
        self.underway = job.map(|(run, progress)| Underway::of(run, progress.as_ref(), shell.now));
        self
    }

    /// Class, icon and word of how safe it is.
    pub(in crate::web) fn protection(&self) -> (&'static str, &'static str, &'static str) {
        match (&self.backup, self.stale) {
            (None, _) => ("off", "shield-off", "unprotected"),
            (Some(_), true) => ("warn", "shield-alert", "stale"),
            (Some(_), false) => ("ok", "shield-check", "protected"),
        }
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

    /// Ports of this server: "8080, 2222".
    pub(in crate::web) fn ports(&self) -> String {
        let published = self.published().map(|port| port.display.split(':').next().unwrap_or_default());
        published.collect::<Vec<_>>().join(", ")
    }

    /// With the ports inside: "8080:80, 2222:22".
    pub(in crate::web) fn mappings(&self) -> String {
        self.published().map(|port| port.display.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn published(&self) -> impl Iterator<Item = &PortMapping> {
        self.container.port_mappings.iter().filter(|port| !port.host.is_empty())
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

    /// Why it can't be killed; `None` = it can.
    pub(in crate::web) fn kill_refused(&self) -> Option<&'static str> {
        let own = self.container.is_self.then_some("Container Monkey runs in it");
        own.or_else(|| Action::Kill.refused_in(self.container.status))
    }

    /// How long it has been so, without what the state says anyway: "41 days", "3 weeks ago".
    pub(in crate::web) fn since(&self) -> &str {
        let text = &self.container.status_text;
        match text.strip_prefix("Up ") {
            Some(up) => up.split(" (").next().unwrap_or(up),
            None => text.rsplit_once(") ").map_or("", |(_, ago)| ago),
        }
    }

    pub(in crate::web) fn running(&self) -> bool {
        matches!(self.container.status, Status::Running | Status::Paused | Status::Restarting)
    }

    pub(in crate::web) fn short_id(&self) -> &str {
        self.container.id.get(..12).unwrap_or(&self.container.id)
    }
}

/// The row of one container, for a page that is about it.
pub(super) async fn row(shell: &Shell, container: Container) -> Result<Row> {
    let (newest, active) = (backups::newest(&shell.app).await?, runs::active(&shell.app).await?);
    Ok(Row::of(shell, container, &newest).with_job(shell, &active))
}

/// The changing part of the list.
#[derive(Template)]
#[template(path = "containers/results.html")]
struct Results {
    rows: Vec<Row>,
    total: usize,
    sort: Sort,
    address: String,
    /// A job is about one of them: look again soon.
    busy: bool,
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
    /// protected, stale, unprotected.
    protection: String,
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
    let active = runs::active(&app).await?;
    let screen = screen(&shell, all, &newest, &active, filter);
    // With the sentence above the list, which counts.
    let part = |screen: &ListScreen| {
        let summary = format!(
            "<hx-partial hx-target=\"#summary\" hx-swap=\"innerHTML\">{}</hx-partial>",
            screen.summary
        );
        Ok(render(&screen.results)? + &summary)
    };
    shell.show(&screen, part, |screen| api_shapes::containers(&screen.results.rows)).await
}

fn screen(
    shell: &Shell,
    all: Vec<Container>,
    newest: &HashMap<String, Backup>,
    active: &[(Run, Option<Progress>)],
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
    // The one that is asked for may be named by its id.
    let asked = Some(filter.image.clone()).filter(|image| !image.is_empty());
    let images = distinct(all.iter().map(|container| container.image.clone()).chain(asked));
    let mut rows: Vec<Row> = all
        .into_iter()
        .filter(|container| filter.matches(container))
        .map(|container| Row::of(shell, container, newest).with_job(shell, active))
        .filter(|row| filter.protection.is_empty() || filter.protection == row.protection().2)
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
        ("protection", &filter.protection),
        ("image", &filter.image),
    ]);
    let order = if descending { "desc" } else { "asc" };
    let address = format!("/containers?sort={by}&order={order}{rest}");
    let busy = rows.iter().any(|row| row.underway.is_some());
    let results = Results { rows, total, sort: Sort { by, descending, rest }, address, busy };
    ListScreen { results, filter, stacks, networks, images, summary }
}
