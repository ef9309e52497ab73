//! Statistics: who uses what, now and in the last minutes.

use std::{borrow::Cow, cmp::Ordering, fmt::Write, time::Duration};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, containers::Row as ContainerRow, parameters};
use crate::{
    app::App,
    error::Result,
    model::{names::ContainerRef, stats::slices},
    ops::{
        Actor, dashboard,
        stats::{self, HISTORY, Row, Usage},
    },
    web::{
        client::Client,
        format::{memory, size},
        input::{Path, Query as UrlQuery, flag},
        shell::{Nav, Screen, Shell, json_response, render},
    },
};

/// Points of a sparkline.
const POINTS: u64 = 60;

/// How the page is shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Query {
    view: String,
    search: String,
    sort: String,
    order: String,
    #[serde(deserialize_with = "flag")]
    all: bool,
}

/// A container, ready to show.
struct Card {
    row: ContainerRow,
    usage: Option<Shown>,
    why: &'static str,
}

struct Shown {
    cpu: String,
    memory: String,
    limit: String,
    percent: u32,
    network: [String; 2],
    network_total: [String; 2],
    disk: [String; 2],
    disk_total: [String; 2],
    pids: u64,
    spark: Spark,
}

struct Spark {
    class: &'static str,
    area: String,
    line: String,
}

#[derive(Template)]
#[template(path = "statistics/results.html")]
struct Results {
    cards: Vec<Card>,
    total: usize,
    table: bool,
    measuring: bool,
    address: String,
    sort: Sort,
    sums: [String; 4],
}

#[derive(Template)]
#[template(path = "statistics/show.html")]
struct StatisticsScreen {
    results: Results,
    query: Query,
    cores: u64,
    cpu: String,
    memory_used: String,
    memory_total: String,
}

impl Screen for StatisticsScreen {
    fn title(&self) -> Cow<'_, str> {
        "Statistics".into()
    }

    fn nav(&self) -> Nav {
        Nav::Statistics
    }
}

/// `GET /statistics` and `GET /api/statistics`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    UrlQuery(query): UrlQuery<Query>,
) -> Result<Response> {
    let patience = if shell.client == Client::Api { Duration::from_secs(4) } else { Duration::ZERO };
    let rows = stats::complete_rows(&app, patience).await?;
    if shell.client == Client::Api {
        let containers: Vec<_> = rows.iter().map(shape).collect();
        return Ok(json_response(StatusCode::OK, &json!({ "containers": containers })));
    }
    let vitals = dashboard::vitals(&app);
    let screen = StatisticsScreen {
        results: results(&shell, rows, &query),
        cores: vitals.cpu_count,
        cpu: format!("{:.0}%", vitals.cpu_percent),
        memory_used: memory(vitals.memory_used_bytes),
        memory_total: memory(vitals.memory_total_bytes),
        query,
    };
    shell.show(&screen, |screen| render(&screen.results), |_| Value::Null).await
}

/// `POST /api/statistics/refresh`: measuring begins, or goes on.
pub(in crate::web) async fn refresh(_: Actor, State(app): State<App>) -> Response {
    stats::look(&app);
    let body = json!({ "success": true, "message": "Statistics are measured while somebody looks." });
    json_response(StatusCode::OK, &body)
}

/// `GET /api/container/{id}/stats`.
pub(in crate::web) async fn one(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
) -> Result<Response> {
    Ok(json_response(StatusCode::OK, &shape(&stats::one(&app, &id).await?)))
}

/// Two decimals.
fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

/// What is not measured is null.
fn shape(row: &Row) -> Value {
    let container = &row.container;
    let sample = row.usage.as_ref().map(|usage| usage.sample);
    let rate = |place: usize| row.usage.as_ref().and_then(|usage| usage.rates.get(place).copied());
    json!({
        "id": container.id, "name": container.name, "image": container.image, "status": container.status,
        "status_text": container.status_text,
        "cpu_percent": row.usage.as_ref().map(|usage| rounded(usage.cpu_percent)),
        "online_cpus": sample.map(|sample| sample.cpus),
        "memory_used_bytes": sample.map(|sample| sample.memory_used),
        "memory_limit_bytes": sample.map(|sample| sample.memory_limit),
        "memory_percent": sample.map(|sample| rounded(sample.memory_percent())),
        "network_rx_bytes": sample.map(|sample| sample.network_rx),
        "network_tx_bytes": sample.map(|sample| sample.network_tx),
        "block_read_bytes": sample.map(|sample| sample.block_read),
        "block_write_bytes": sample.map(|sample| sample.block_write),
        "pids": sample.map(|sample| sample.pids),
        "network_rx_rate": rate(0), "network_tx_rate": rate(1),
        "block_read_rate": rate(2), "block_write_rate": rate(3),
        "measured": sample.map(|sample| sample.at.to_rfc3339()),
    })
}

fn results(shell: &Shell, rows: Vec<Row>, view: &Query) -> Results {
    let total = rows.len();
    let sum = |place: usize| {
        let rates = rows.iter().filter_map(|row| row.usage.as_ref()?.rates.get(place));
        format!("{}/s", size(rates.sum()))
    };
    let sums = [sum(0), sum(1), sum(2), sum(3)];
    let measuring = rows.iter().any(Row::is_awaited);
    let search = view.search.to_lowercase();
    let mut rows: Vec<Row> = rows
        .into_iter()
        .filter(|row| view.all || !matches!(row.container.status.as_str(), "stopped" | "created" | "dead"))
        .filter(|row| row.container.name.to_lowercase().contains(&search))
        .collect();
    let by = if view.sort.is_empty() { "cpu" } else { view.sort.as_str() };
    let descending = if view.order.is_empty() { by != "name" } else { view.order == "desc" };
    rows.sort_by(|a, b| {
        let order = compare(by, a, b);
        let order = if descending { order.reverse() } else { order };
        // What is not measured stands last, whichever way.
        let measured = b.usage.is_some().cmp(&a.usage.is_some());
        let first = if by == "name" { Ordering::Equal } else { measured };
        first.then(order).then_with(|| a.container.name.cmp(&b.container.name))
    });
    let all = if view.all { "1" } else { "" };
    let rest = parameters(&[("view", &view.view), ("search", &view.search), ("all", all)]);
    let order = if descending { "desc" } else { "asc" };
    Results {
        cards: rows.into_iter().map(|row| card(shell, row)).collect(),
        total,
        table: view.view == "table",
        measuring,
        address: format!("/statistics?sort={by}&order={order}{rest}"),
        sort: Sort { by: by.to_owned(), descending, rest },
        sums,
    }
}

fn compare(by: &str, a: &Row, b: &Row) -> Ordering {
    let key = |row: &Row| -> u64 {
        let Some(usage) = &row.usage else { return 0 };
        match by {
            "memory" => usage.sample.memory_used,
            "network" => usage.rates[0] + usage.rates[1],
            "disk" => usage.rates[2] + usage.rates[3],
            "pids" => usage.sample.pids,
            _ => 0,
        }
    };
    let cpu = |row: &Row| row.usage.as_ref().map_or(0.0, |usage| usage.cpu_percent);
    match by {
        "name" => a.container.name.cmp(&b.container.name),
        "cpu" => cpu(a).total_cmp(&cpu(b)),
        _ => key(a).cmp(&key(b)),
    }
}

fn card(shell: &Shell, row: Row) -> Card {
    let why = match row.container.status.as_str() {
        "running" => "Measuring.",
        "paused" => "Paused, so there is nothing to measure.",
        "restarting" => "It keeps restarting, so there is nothing to measure.",
        _ => "Stopped, so there is nothing to measure.",
    };
    let usage = row.usage.as_ref().map(shown);
    Card { row: ContainerRow::of(shell, row.container, &std::collections::HashMap::new()), usage, why }
}

fn shown(usage: &Usage) -> Shown {
    let sample = &usage.sample;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let percent = sample.memory_percent().round().clamp(0.0, 100.0) as u32;
    let rate = |place: usize| format!("{}/s", size(usage.rates[place]));
    Shown {
        cpu: format!("{:.1}%", usage.cpu_percent),
        memory: memory(sample.memory_used),
        limit: memory(sample.memory_limit),
        percent,
        network: [rate(0), rate(1)],
        network_total: [size(sample.network_rx), size(sample.network_tx)],
        disk: [rate(2), rate(3)],
        disk_total: [size(sample.block_read), size(sample.block_write)],
        pids: sample.pids,
        spark: spark(usage),
    }
}

/// 120 by 32; the highest value of the time shown, but at least 5 percent, is the top.
fn spark(usage: &Usage) -> Spark {
    // Since measuring began, at least a minute.
    let since = usage.history.iter().map(|(age, _)| *age).max().unwrap_or(0).clamp(60, HISTORY);
    let slices = slices(&usage.history, since.next_multiple_of(POINTS), POINTS);
    let highest = slices.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = highest.max(5.0);
    let mut line = String::new();
    let step = 120.0 / f64::from(u32::try_from(POINTS - 1).unwrap_or(1));
    let at = |slice: u64| f64::from(u32::try_from(slice).unwrap_or(0)) * step;
    for (slice, value) in &slices {
        let _ = write!(line, "{:.1},{:.1} ", at(*slice), 30.0 - value / top * 26.0);
    }
    let line = line.trim_end().to_owned();
    let (first, last) = (slices.first().map_or(120.0, |s| at(s.0)), slices.last().map_or(120.0, |s| at(s.0)));
    let cores = f64::from(u32::try_from(usage.sample.cpus).unwrap_or(1));
    let class = if usage.cpu_percent > 80.0 * cores {
        "hot"
    } else if highest < 1.0 {
        "idle"
    } else {
        ""
    };
    Spark { class, area: format!("{first:.1},32 {line} {last:.1},32"), line }
}
