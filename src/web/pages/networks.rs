//! Networks: the list, deleting one.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, parameters};
use crate::{
    app::App,
    error::Result,
    model::{names::NetworkRef, network::Network},
    ops::{Actor, network_backups, networks},
    web::{
        client::Client,
        format::When,
        input::{Path, Query},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// The changing part of the list.
#[derive(Template)]
#[template(path = "networks/results.html")]
struct Results {
    rows: Vec<Row>,
    total: usize,
    sort: Sort,
    address: String,
}

/// A network with what the list says about it.
struct Row {
    network: Network,
    /// Why it can't be deleted.
    refused: Option<String>,
    /// Its newest usable backup.
    backup: Option<(String, When)>,
}

#[derive(Template)]
#[template(path = "networks/list.html")]
struct ListScreen {
    results: Results,
    filter: Filter,
    summary: String,
}

impl Screen for ListScreen {
    fn title(&self) -> Cow<'_, str> {
        "Networks".into()
    }

    fn nav(&self) -> Nav {
        Nav::Networks
    }
}

/// The list's query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Filter {
    search: String,
    show: String,
    driver: String,
    sort: String,
    order: String,
}

impl Filter {
    fn matches(&self, network: &Network) -> bool {
        let shown = match self.show.as_str() {
            "own" => !network.built_in,
            "built_in" => network.built_in,
            "used" => !network.containers.is_empty(),
            "unused" => network.containers.is_empty() && !network.built_in,
            _ => true,
        };
        let search = self.search.to_lowercase();
        let mut fields = vec![network.name.to_lowercase(), network.driver.clone(), network.id.clone()];
        fields.extend(network.subnets.iter().cloned());
        fields.extend(network.containers.iter().map(|name| name.to_lowercase()));
        fields.extend(network.stack.iter().map(|name| name.to_lowercase()));
        shown
            && (self.driver.is_empty() || self.driver == network.driver)
            && search.split_whitespace().all(|word| fields.iter().any(|field| field.contains(word)))
    }
}

/// `GET /networks` and `GET /api/networks`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Response> {
    let newest = network_backups::newest(&app).await?;
    let backup = |network: &Network| {
        let backup = newest.get(&network.name).filter(|_| !network.built_in)?;
        Some((backup.reference(), shell.when(backup.created)))
    };
    let screen = screen(networks::list(&app).await?, backup, filter);
    let json = |screen: &ListScreen| {
        let row = |row: &Row| {
            let mut body = json!(row.network);
            body["last_backup"] = json!(row.backup.as_ref().map(|(_, when)| &when.iso));
            body
        };
        let rows: Vec<_> = screen.results.rows.iter().map(row).collect();
        json!({ "networks": rows, "total": screen.results.total })
    };
    shell.show(&screen, |screen| render(&screen.results), json).await
}

fn screen(
    all: Vec<Network>,
    backup: impl Fn(&Network) -> Option<(String, When)>,
    filter: Filter,
) -> ListScreen {
    let total = all.len();
    let built_in = all.iter().filter(|network| network.built_in).count();
    let summary = format!("{total} networks: {} yours, {built_in} built into Docker.", total - built_in);
    let mut rows: Vec<_> = all
        .into_iter()
        .filter(|network| filter.matches(network))
        .map(|network| Row { refused: networks::refused(&network), backup: backup(&network), network })
        .collect();
    let by = if filter.sort.is_empty() { "name".to_owned() } else { filter.sort.clone() };
    rows.sort_by_cached_key(|Row { network, backup, .. }| {
        let key = match by.as_str() {
            "driver" => network.driver.clone(),
            "scope" => network.scope.clone(),
            "subnet" => by_number(&network.subnet),
            "backup" => backup.as_ref().map(|(_, when)| when.iso.clone()).unwrap_or_default(),
            "containers" => format!("{:06}", network.containers.len()),
            _ => String::new(),
        };
        (key, network.name.to_lowercase(), network.id.clone())
    });
    let descending = filter.order == "desc";
    if descending {
        rows.reverse();
    }
    let rest = parameters(&[("search", &filter.search), ("show", &filter.show), ("driver", &filter.driver)]);
    let order = if descending { "desc" } else { "asc" };
    let address = format!("/networks?sort={by}&order={order}{rest}");
    ListScreen {
        results: Results { rows, total, sort: Sort { by, descending, rest }, address },
        filter,
        summary,
    }
}

/// So that 172.20.0.0 comes after 172.3.0.0.
fn by_number(subnet: &str) -> String {
    let parts: Vec<String> = subnet.split(['.', '/', ':']).map(|part| format!("{part:0>5}")).collect();
    parts.join(".")
}

#[derive(Template)]
#[template(path = "networks/delete.html")]
struct DeleteScreen {
    network: Network,
    refused: Option<String>,
    /// When its newest usable backup was made.
    backed_up: Option<When>,
    dialog: bool,
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Delete network {}", self.network.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Networks
    }
}

/// `GET /networks/{id}/delete`.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<NetworkRef>,
) -> Result<Response> {
    let network = networks::find(&app, &id).await?;
    let refused = networks::refused(&network);
    let newest = network_backups::newest(&app).await?;
    let backed_up = newest.get(&network.name).map(|backup| shell.when(backup.created));
    let screen = DeleteScreen { network, refused, backed_up, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `POST /networks/{id}/delete` and `DELETE /api/network/{id}/delete`.
pub(in crate::web) async fn delete(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<NetworkRef>,
) -> Result<Response> {
    let network = networks::delete(&app, &actor, &id).await?;
    let text = format!("The network {} is deleted", network.name);
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, "/networks", json).leaving())
}
