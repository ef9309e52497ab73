//! The audit log: who did what and when; statistics, export, clearing.

use std::borrow::Cow;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    audit_words::{is_about_backup, is_about_container, many, plain, words},
    parameters,
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        audit::{Chain, Fault, Filter, Record, Statistics},
        log::moment,
    },
    ops::{Actor, audit},
    web::{
        audit_export::{self, Format},
        client::Client,
        format::{When, filters, thousands},
        input::{Input, Query},
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

/// Entries of a page.
const PAGE: u32 = 50;
/// Entries that a script gets if it does not say, and at most.
const API: (u32, u32) = (1000, 10_000);
/// What has to be typed.
const PHRASE: &str = "clear log";
/// Words that are looked for at once.
const WORDS: usize = 10;

/// The query of page, export and API; forms send empty fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct AuditQuery {
    operation_type: String,
    status: String,
    user: String,
    container: String,
    container_id: String,
    start_date: String,
    end_date: String,
    search: String,
    limit: Option<u32>,
    offset: Option<u32>,
    format: Option<Format>,
}

impl AuditQuery {
    fn filter(&self, zone: Tz) -> Result<Filter> {
        if !["", "started", "completed", "error"].contains(&self.status.as_str()) {
            return Err(AppError::field("status", "The status is started, completed or error."));
        }
        let words = self.search.split_whitespace().map(str::to_owned);
        Ok(Filter {
            operation: self.operation_type.clone(),
            outcome: self.status.clone(),
            user: self.user.clone(),
            target: self.container_id.trim().to_owned(),
            name: self.container.trim().to_owned(),
            since: limit("start_date", &self.start_date, zone, 0)?,
            until: limit("end_date", &self.end_date, zone, 1)?,
            words: words.take(WORDS).collect(),
        })
    }

    /// All but limit and offset, for an address.
    fn rest(&self) -> String {
        parameters(&[
            ("search", self.search.trim()),
            ("operation_type", &self.operation_type),
            ("status", &self.status),
            ("user", &self.user),
            ("container", &self.container),
            ("container_id", &self.container_id),
            ("start_date", &self.start_date),
            ("end_date", &self.end_date),
        ])
    }
}

/// A day in the page's zone, from its beginning (`later` = 0) or up to the end of it (1), or an exact moment.
fn limit(field: &str, text: &str, zone: Tz, later: u64) -> Result<Option<DateTime<Utc>>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let midnight = day.checked_add_days(Days::new(later)).and_then(|day| day.and_hms_opt(0, 0, 0));
        // Where clocks go forward at midnight the day begins at one.
        let begins =
            |hours| zone.from_local_datetime(&(midnight? + chrono::Duration::hours(hours))).earliest();
        let begins = begins(0).or_else(|| begins(1)).map(|at| at.to_utc());
        return begins.map(Some).ok_or_else(|| AppError::field(field, "This is not a day of the calendar."));
    }
    let nanos = moment(text, zone, Utc::now()).map_err(|why| AppError::field(field, why))?;
    let at = DateTime::from_timestamp_nanos(nanos);
    Ok(Some(if later == 0 { at } else { at + chrono::Duration::milliseconds(1) }))
}

/// An entry as a line.
struct Line {
    record: Record,
    when: When,
    mark: (&'static str, &'static str),
    title: Cow<'static, str>,
    badge: (&'static str, &'static str, Cow<'static, str>),
    /// "by admin from 192.168.1.20".
    meta: String,
    job: Option<String>,
    details: Vec<(String, String)>,
}

impl Line {
    fn of(shell: &Shell, record: Record) -> Self {
        let known = words(&record.operation);
        let badge = match record.outcome.as_str() {
            "completed" => ("ok", "check", "Completed".into()),
            "error" => ("bad", "circle-x", "Error".into()),
            "started" => ("", "play", "Started".into()),
            other => ("", "info", plain(other).into()),
        };
        let class = match record.outcome.as_str() {
            "completed" => "ok",
            "error" => "bad",
            _ => "run",
        };
        let by = if record.actor.is_empty() { "Container Monkey" } else { &record.actor };
        let from =
            if record.address.is_empty() { String::new() } else { format!(" from {}", record.address) };
        let details = record.details();
        Self {
            when: shell.when(record.at),
            mark: (class, known.as_ref().map_or("info", |words| words.icon)),
            title: known.map_or_else(|| plain(&record.operation).into(), |words| words.one.into()),
            badge,
            meta: format!("by {by}{from}"),
            job: details["progress_id"].as_str().map(str::to_owned),
            details: pairs(&details),
            record,
        }
    }
}

/// Names and values that say something.
fn pairs(details: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(list) => {
            let parts = list.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let fields = details.as_object().into_iter().flatten().filter(|(name, _)| *name != "progress_id");
    fields.map(|(name, value)| (plain(name), text(value))).filter(|(_, value)| !value.is_empty()).collect()
}

/// The entries of one day.
struct Day {
    title: String,
    lines: Vec<Line>,
}

/// "Today, 14 March".
fn day_title(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> String {
    let (day, today) = (at.with_timezone(&zone).date_naive(), now.with_timezone(&zone).date_naive());
    match (today - day).num_days() {
        0 => day.format("Today, %-d %B").to_string(),
        1 => day.format("Yesterday, %-d %B").to_string(),
        _ => day.format("%-d %B %Y").to_string(),
    }
}

/// The part that a changed filter replaces.
#[derive(Template)]
#[template(path = "audit/results.html")]
struct Results {
    days: Vec<Day>,
    total: u64,
    from: u64,
    to: u64,
    rest: String,
    previous: Option<u32>,
    next: Option<u32>,
}

#[derive(Template)]
#[template(path = "audit/list.html")]
struct AuditScreen {
    query: AuditQuery,
    statistics: Statistics,
    since: Option<When>,
    /// Value and name of each operation there is.
    operations: Vec<(String, String)>,
    users: Vec<String>,
    results: Results,
}

impl Screen for AuditScreen {
    fn title(&self) -> Cow<'_, str> {
        "Audit log".into()
    }

    fn nav(&self) -> Nav {
        Nav::Audit
    }
}

/// `GET /audit` and `GET /api/audit-logs`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Response> {
    let (usual, most) = if shell.client == Client::Api { API } else { (PAGE, API.0) };
    let limit = query.limit.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        return Err(AppError::field("limit", format!("The limit is a number from 1 to {most}.")));
    }
    let offset = query.offset.unwrap_or(0);
    let (records, total) = audit::list(&app, &query.filter(app.zone)?, limit, offset).await?;
    if shell.client == Client::Api {
        let logs: Vec<_> = records.iter().map(entry).collect();
        let body = json!({ "logs": logs, "total": total, "limit": limit, "offset": offset });
        return Ok(json_response(StatusCode::OK, &body));
    }
    let results = results(&shell, &query, records, (total, limit, offset));
    if shell.client == Client::Fragment {
        return Ok(Html(render(&results)?).into_response());
    }
    let statistics = audit::statistics(&app).await?;
    let operations = statistics.by_operation.keys().map(|name| (name.clone(), many(name)));
    let mut operations: Vec<_> = operations.collect();
    operations.sort_by(|(_, a), (_, b)| a.cmp(b));
    let users = audit::users(&app).await?;
    let since = statistics.oldest.map(|at| shell.when(at));
    let screen = AuditScreen { query, statistics, since, operations, users, results };
    shell.page(&screen, StatusCode::OK).await
}

fn results(shell: &Shell, query: &AuditQuery, records: Vec<Record>, numbers: (u64, u32, u32)) -> Results {
    let (total, limit, offset) = numbers;
    let mut days: Vec<Day> = Vec::new();
    let shown = records.len() as u64;
    for record in records {
        let title = day_title(record.at, shell.now, shell.app.zone);
        let line = Line::of(shell, record);
        match days.last_mut().filter(|day| day.title == title) {
            Some(day) => day.lines.push(line),
            None => days.push(Day { title, lines: vec![line] }),
        }
    }
    let (from, to) = (u64::from(offset) + 1, u64::from(offset) + shown);
    let size = if limit == PAGE { String::new() } else { format!("&limit={limit}") };
    Results {
        days,
        total,
        from,
        to,
        rest: format!("{}{size}", query.rest()),
        previous: (offset > 0).then(|| offset.saturating_sub(limit)),
        next: (to < total).then(|| offset.saturating_add(limit)),
    }
}

/// One of `GET /api/audit-logs`.
pub(in crate::web) fn entry(record: &Record) -> Value {
    let details = record.details();
    let container = is_about_container(&record.operation).then_some(record.target.as_str());
    let file = is_about_backup(&record.operation).then_some(record.target.as_str());
    json!({
        "id": record.id, "timestamp": record.at.to_rfc3339(), "operation_type": record.operation,
        "container_id": details["container_id"], "container_name": container,
        "backup_filename": file.or(details["backup_filename"].as_str()), "target": record.target,
        "status": record.outcome, "error_message": record.error, "user": record.actor,
        "address": record.address, "details": details, "hash": record.hash,
    })
}

/// `GET /api/audit-logs/statistics`.
pub(in crate::web) async fn statistics(_: Actor, State(app): State<App>) -> Result<Response> {
    let found = audit::statistics(&app).await?;
    let body = json!({
        "total_logs": found.total, "last_24_hours": found.last_24_hours, "last_7_days": found.last_7_days,
        "errors_7_days": found.errors_7_days, "by_operation": found.by_operation, "by_status": found.by_outcome,
        "oldest": found.oldest.map(|at| at.to_rfc3339()),
        // As the Flask application called them.
        "last_24h": found.last_24_hours, "last_7d": found.last_7_days,
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// Whether the log is what was written.
#[derive(Template)]
#[template(path = "audit/chain.html")]
struct ChainPart {
    chain: Chain,
    broken: Option<String>,
}

#[derive(Template)]
#[template(path = "audit/check.html")]
struct ChainScreen {
    part: ChainPart,
}

impl Screen for ChainScreen {
    fn title(&self) -> Cow<'_, str> {
        "Audit log".into()
    }

    fn nav(&self) -> Nav {
        Nav::Audit
    }
}

/// `GET /audit/chain` and `GET /api/audit-logs/chain`.
pub(in crate::web) async fn chain(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let chain = audit::chain(&app).await?;
    let broken = chain.broken.map(|(id, at, fault)| {
        let at = at.map(|at| format!(" of {}", shell.when(at).zoned)).unwrap_or_default();
        match fault {
            Fault::Changed => format!(
                "Entry {id}{at} does not follow from the one before it: it was changed, or what stood before it was."
            ),
            Fault::Missing => format!("Entries are missing, beginning with number {id}."),
        }
    });
    let json = json!({
        "intact": broken.is_none(), "entries": chain.entries, "unchained": chain.unchained,
        "faults": chain.faults, "broken_at": chain.broken.map(|(id, ..)| id), "message": broken,
        "last_id": chain.last.as_ref().map(|(id, _)| id), "last_hash": chain.last.as_ref().map(|(_, hash)| hash),
    });
    let screen = ChainScreen { part: ChainPart { chain, broken } };
    shell.show(&screen, |screen| render(&screen.part), |_| json).await
}

/// `GET /audit/export` and `GET /api/audit-logs/export`.
pub(in crate::web) async fn export(
    actor: Actor,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Response> {
    let format = query.format.unwrap_or_default();
    let batches = audit::export(&app, &actor, &query.filter(app.zone)?).await?;
    let body = audit_export::write(batches.boxed(), format);
    let day = Utc::now().with_timezone(&app.zone).format("%Y-%m-%d");
    let name = format!("attachment; filename=\"audit-log-{day}.{}\"", format.ending());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.kind())),
        (header::CONTENT_DISPOSITION, HeaderValue::try_from(name).map_err(AppError::internal)?),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

#[derive(Template)]
#[template(path = "audit/clear.html")]
struct ClearScreen {
    statistics: Statistics,
    since: Option<When>,
    phrase: &'static str,
    dialog: bool,
}

impl Screen for ClearScreen {
    fn title(&self) -> Cow<'_, str> {
        "Clear the audit log".into()
    }

    fn nav(&self) -> Nav {
        Nav::Audit
    }
}

/// `GET /audit/clear`: what will go.
pub(in crate::web) async fn confirm(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let statistics = audit::statistics(&app).await?;
    let since = statistics.oldest.map(|at| shell.when(at));
    let dialog = shell.client == Client::Fragment;
    let screen = ClearScreen { statistics, since, phrase: PHRASE, dialog };
    shell.show(&screen, render, |_| Value::Null).await
}

/// The typed confirmation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Confirmed {
    confirm: String,
}

/// `POST /audit/clear`.
pub(in crate::web) async fn clear_form(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(confirmed): Input<Confirmed>,
) -> Result<Response> {
    if confirmed.confirm.trim() != PHRASE {
        return Err(AppError::field("confirm", format!("Type “{PHRASE}” to confirm.")));
    }
    clear(&actor, &shell, &app).await
}

/// `DELETE /api/audit-logs/clear`.
pub(in crate::web) async fn clear_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    clear(&actor, &shell, &app).await
}

async fn clear(actor: &Actor, shell: &Shell, app: &App) -> Result<Response> {
    let deleted = audit::clear(app, actor).await?;
    let text = format!("The audit log is cleared: {} entries", thousands(deleted));
    let json = json!({ "success": true, "deleted_count": deleted, "message": text });
    shell.done(Done::new(text, "/audit", json).leaving())
}
