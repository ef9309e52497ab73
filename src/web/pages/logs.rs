//! Logs of a container: page, live stream, download and API.

use std::{borrow::Cow, convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    containers::{Row, row},
    parameters,
};
use crate::{
    app::App,
    docker::LogStream,
    error::{AppError, Result},
    model::{
        log::{Cursor, LogLine, Source, Wanted, moment},
        names::ContainerRef,
    },
    ops::{
        Actor, containers,
        logs::{self, Batch, PAGE_LINES, Told},
    },
    web::{
        ansi::{Span, plain, spans},
        client::Client,
        input::{Path, Query, flag},
        shell::{Nav, Screen, Shell, render},
        watcher::Watcher,
    },
};

/// What is asked for; a form sends empty fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct LogQuery {
    tail: String,
    since: String,
    from: String,
    until: String,
    source: String,
    search: String,
    #[serde(deserialize_with = "flag")]
    timestamps: bool,
    after: String,
}

impl LogQuery {
    fn wanted(&self, app: &App, tail: u32, most: u32) -> Result<Wanted> {
        let now = chrono::Utc::now();
        let time = |name: &str, text: &str| {
            let given = Some(text.trim()).filter(|text| !text.is_empty());
            given
                .map(|text| moment(text, app.zone, now).map_err(|why| AppError::field(name, why)))
                .transpose()
        };
        let tail = match self.tail.trim() {
            "" => Some(tail),
            "all" => None,
            number => {
                let number: u32 = number.parse().map_err(|_| {
                    AppError::field("tail", "The number of lines is a number, or the word “all”.")
                })?;
                Some(number.min(most))
            }
        };
        let source = match self.source.as_str() {
            "" => None,
            word => Some(word.parse().map_err(|()| {
                AppError::field("source", "The source is stdout or stderr; leave it out for both.")
            })?),
        };
        let from = time("from", &self.from)?;
        Ok(Wanted {
            tail,
            since: from.or(time("since", &self.since)?),
            until: time("until", &self.until)?,
            source,
            search: self.search.trim().to_lowercase(),
        })
    }

    /// The filters as an address takes them.
    fn rest(&self) -> String {
        parameters(&[
            ("since", &self.since),
            ("from", &self.from),
            ("until", &self.until),
            ("source", &self.source),
            ("search", self.search.trim()),
        ])
    }
}

/// A line, ready to be shown.
struct Shown {
    iso: String,
    clock: String,
    stderr: bool,
    spans: Vec<Span>,
    cut: u64,
}

impl Shown {
    fn of(line: &LogLine, zone: chrono_tz::Tz, today: chrono::NaiveDate) -> Self {
        let local = line.when().with_timezone(&zone);
        let format = if local.date_naive() == today { "%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S%.3f" };
        Self {
            iso: local.to_rfc3339(),
            clock: if line.at == 0 { String::new() } else { local.format(format).to_string() },
            stderr: line.source == Source::Stderr,
            spans: spans(&line.text),
            cut: line.cut,
        }
    }
}

#[derive(Template)]
#[template(path = "containers/log_lines.html")]
struct Lines {
    left_out: u64,
    lines: Vec<Shown>,
}

impl Lines {
    fn of(batch: &Batch, zone: chrono_tz::Tz) -> Self {
        let today = chrono::Utc::now().with_timezone(&zone).date_naive();
        Self {
            left_out: batch.left_out,
            lines: batch.lines.iter().map(|line| Shown::of(line, zone, today)).collect(),
        }
    }
}

/// The part that a changed filter replaces.
#[derive(Template)]
#[template(path = "containers/log_results.html")]
struct Results {
    name: String,
    lines: Lines,
    /// Address of what comes next; empty = nothing does.
    stream: String,
    rest: String,
    again: String,
    note: String,
    /// No page more can follow.
    crowded: bool,
}

#[derive(Template)]
#[template(path = "containers/logs.html")]
struct LogsScreen {
    row: Row,
    tab: &'static str,
    query: LogQuery,
    results: Results,
}

impl Screen for LogsScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Logs of {}", self.row.container.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/logs`: the last lines, and from where the rest comes.
pub(in crate::web) async fn show(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<LogQuery>,
) -> Result<Response> {
    if shell.client == Client::Api {
        return api(actor, State(app), Path(id), Query(query)).await;
    }
    let container = containers::find(&app, &id).await?;
    let name = container.name.clone();
    let wanted = query.wanted(&app, 500, PAGE_LINES)?;
    let wanted = Wanted { tail: Some(wanted.tail.unwrap_or(PAGE_LINES)), ..wanted };
    let (batch, note) = match logs::read(&app, &id, &wanted).await {
        Ok(batch) => (batch, String::new()),
        Err(AppError::Impossible(why)) => (Batch::default(), why),
        Err(error) => return Err(error),
    };
    let rest = query.rest();
    let live = note.is_empty() && wanted.until.is_none();
    let crowded = app.watchers.is_full();
    let row = row(&shell, container).await?;
    let screen = LogsScreen {
        row,
        tab: "logs",
        results: Results {
            lines: Lines::of(&batch, app.zone),
            stream: if live && !crowded {
                format!("/containers/{name}/logs/stream?after={}{rest}", batch.cursor)
            } else {
                String::new()
            },
            again: format!("/containers/{name}/logs?tail={}{rest}", wanted.tail.unwrap_or(PAGE_LINES)),
            name,
            rest,
            note,
            crowded: live && crowded,
        },
        query,
    };
    shell.show(&screen, |screen| render(&screen.results), |_| json!({})).await
}

/// `GET /api/container/{id}/logs`: text, at most 8 MB.
pub(in crate::web) async fn api(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<LogQuery>,
) -> Result<Response> {
    let wanted = query.wanted(&app, 100, 100_000)?;
    let batch = logs::read(&app, &id, &wanted).await?;
    let text: String = batch.lines.iter().map(|line| text(line, query.timestamps)).collect();
    let body = json!({
        "success": true, "logs": text, "lines": batch.lines.len(), "truncated": batch.left_out > 0,
        "cursor": batch.cursor.to_string(),
    });
    Ok(crate::web::shell::json_response(axum::http::StatusCode::OK, &body))
}

/// A line as text, without escape sequences.
fn text(line: &LogLine, timestamps: bool) -> String {
    let time = if timestamps {
        line.when().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true) + " "
    } else {
        String::new()
    };
    let more = if line.cut > 0 { format!(" … {} bytes more", line.cut) } else { String::new() };
    format!("{time}{}{more}\n", plain(&line.text))
}

/// `GET /containers/{id}/logs/download`: all of it as a file, as fast as it is taken.
pub(in crate::web) async fn download(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<LogQuery>,
) -> Result<Response> {
    let wanted = query.wanted(&app, u32::MAX, u32::MAX)?;
    let wanted = Wanted { tail: wanted.tail.filter(|lines| *lines < u32::MAX), ..wanted };
    let name = containers::find(&app, &id).await?.name;
    let log = logs::open(&app, &id, &wanted).await?;
    let lines = file(log, wanted).take_until(app.shutdown.clone().cancelled_owned());
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}.log\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CONTENT_DISPOSITION, disposition.map_err(AppError::internal)?),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

fn file(log: LogStream, wanted: Wanted) -> impl Stream<Item = Result<Bytes, crate::docker::DockerError>> {
    stream::try_unfold((log, wanted), |(mut log, wanted)| async move {
        let Some(lines) = log.next().await? else { return Ok(None) };
        let lines = lines.iter().filter(|line| wanted.matches(line));
        let text: String = lines.map(|line| text(line, true)).collect();
        Ok(Some((Bytes::from(text), (log, wanted))))
    })
}

/// What the page says about the stream.
#[derive(Template)]
#[template(path = "containers/log_state.html")]
struct StateLine<'a> {
    class: &'static str,
    icon: &'static str,
    text: &'a str,
    again: Option<&'a str>,
}

/// `GET /containers/{id}/logs/stream`: new lines as they are written, through restarts of the container.
pub(in crate::web) async fn follow(
    Watcher(seat): Watcher,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    headers: HeaderMap,
    Query(query): Query<LogQuery>,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    let wanted = query.wanted(&app, PAGE_LINES, PAGE_LINES)?;
    // A browser that connects again says what it saw last.
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&query.after);
    let cursor = match seen {
        "" => Cursor::default(),
        seen => seen.parse().map_err(|_| AppError::field("after", "This is not a place in a log."))?,
    };
    let again = format!("/containers/{id}/logs?{}", query.rest().trim_start_matches('&'));
    let zone = app.zone;
    let (told, end) = logs::follow(app.clone(), id, wanted, cursor);
    let last = stream::once(end).filter_map(|end| async { end.ok().flatten() });
    let events =
        ReceiverStream::new(told).chain(last).flat_map(move |told| stream::iter(events(told, zone, &again)));
    let until = app.shutdown.clone().cancelled_owned();
    let events = events.map(Ok).take_until(until).take_until(seat.over());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn events(told: Told, zone: chrono_tz::Tz, again: &str) -> Vec<Event> {
    let state = |class, icon, text: &str, again| {
        let line = render(&StateLine { class, icon, text, again }).unwrap_or_default();
        Event::default().data(line)
    };
    match told {
        Told::Lines(batch) => {
            let lines = render(&Lines::of(&batch, zone)).unwrap_or_default();
            vec![Event::default().id(batch.cursor.to_string()).data(lines)]
        }
        Told::Following => vec![state("live", "", "Following", None)],
        Told::Waiting(why) => vec![state("muted", "clock", &why, None)],
        Told::End(why) => {
            vec![state("muted", "unplug", &why, Some(again)), Event::default().event("end").data("end")]
        }
    }
}
