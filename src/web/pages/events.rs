//! Events of the engine: the last day, live.

use std::{borrow::Cow, collections::BTreeSet, convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        Response,
        sse::{Event as Message, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;

use super::parameters;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        event::{Event, EventFilter},
        log::moment,
    },
    ops::{
        Actor,
        events::{self, Told},
    },
    web::{
        client::Client,
        input::Query,
        shell::{Nav, Screen, Shell, render},
        watcher::Watcher,
    },
};

/// Lines that the page begins with and keeps.
const PAGE_EVENTS: usize = 500;
/// How many of them are sent at once.
const TOGETHER: usize = 100;

/// The query of page, stream and API; forms send empty fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct EventQuery {
    since: String,
    until: String,
    #[serde(rename = "type")]
    kind: String,
    action: String,
    search: String,
    limit: Option<usize>,
    after: String,
}

impl EventQuery {
    fn filter(&self, app: &App, no_exec: bool) -> Result<EventFilter> {
        let now = chrono::Utc::now();
        let time = |name: &str, text: &str| {
            let given = Some(text.trim()).filter(|text| !text.is_empty());
            given
                .map(|text| moment(text, app.zone, now).map_err(|why| AppError::field(name, why)))
                .transpose()
        };
        Ok(EventFilter {
            kind: self.kind.clone(),
            action: self.action.clone(),
            search: self.search.trim().to_lowercase(),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            no_exec,
        })
    }
}

/// A line of the list.
struct Line {
    iso: String,
    full: String,
    clock: String,
    mark: (&'static str, &'static str),
    href: String,
    /// Long ids are cut.
    name: String,
    event: Event,
}

impl Line {
    fn of(event: Event, zone: chrono_tz::Tz) -> Self {
        let local = event.time.with_timezone(&zone);
        let mark = match (event.action.as_str(), event.detail.as_str()) {
            ("die", "exit code 0") | ("stop" | "kill", _) => ("", "square"),
            ("die" | "oom", _) | ("health_status", "unhealthy") => ("bad", "triangle-alert"),
            ("start" | "unpause", _) | ("health_status", "healthy") => ("ok", "play"),
            ("destroy" | "delete" | "remove" | "untag" | "prune", _) => ("", "trash-2"),
            ("create" | "pull" | "tag" | "import" | "load", _) => ("", "plus"),
            ("pause", _) => ("", "pause"),
            ("connect", _) => ("", "plug"),
            ("disconnect", _) => ("", "unplug"),
            (action, _) if action.starts_with("exec") => ("", "terminal"),
            _ => ("", "info"),
        };
        let name = super::login::escape(&event.actor.name);
        let href = match event.kind.as_str() {
            "container" if event.action != "destroy" => format!("/containers/{name}"),
            "volume" if event.action != "destroy" => format!("/volumes/{name}"),
            _ => String::new(),
        };
        Self {
            iso: local.to_rfc3339(),
            full: local.format("%-d %b %Y, %H:%M:%S").to_string(),
            clock: local.format("%H:%M:%S").to_string(),
            mark,
            href,
            name: short(&event.actor.name),
            event,
        }
    }
}

/// Images without a name have an id of 64 digits for one.
fn short(name: &str) -> String {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_id = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let end = if is_id { name.len() - 52 } else { name.len() };
    name[..end].to_owned()
}

/// New lines, the newest first.
#[derive(Template)]
#[template(path = "events/lines.html")]
struct Lines {
    lines: Vec<Line>,
    left_out: u64,
}

/// The part that a changed filter replaces.
#[derive(Template)]
#[template(path = "events/results.html")]
struct Results {
    lines: Lines,
    total: usize,
    stream: String,
    again: String,
    problem: Option<String>,
    filtered: bool,
}

#[derive(Template)]
#[template(path = "events/list.html")]
struct EventsScreen {
    query: EventQuery,
    kinds: BTreeSet<String>,
    actions: BTreeSet<String>,
    results: Results,
}

impl Screen for EventsScreen {
    fn title(&self) -> Cow<'_, str> {
        "Events".into()
    }

    fn nav(&self) -> Nav {
        Nav::Events
    }
}

/// `GET /events`.
pub(in crate::web) async fn show(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(query): Query<EventQuery>,
) -> Result<Response> {
    if shell.client == Client::Api {
        return api(actor, State(app), Query(query)).await;
    }
    let all = app.events.recent();
    let after = all.last().map_or(0, Event::nanos);
    let (list, total) = events::list(&app, &query.filter(&app, true)?, PAGE_EVENTS);
    let rest =
        parameters(&[("type", &query.kind), ("action", &query.action), ("search", query.search.trim())]);
    let screen = EventsScreen {
        kinds: all.iter().map(|event| event.kind.clone()).collect(),
        actions: all.into_iter().map(|event| event.action).collect(),
        results: Results {
            lines: Lines {
                lines: list.into_iter().map(|event| Line::of(event, app.zone)).collect(),
                left_out: 0,
            },
            total,
            stream: format!("/events/stream?after={after}{rest}"),
            again: format!("/events?{}", rest.trim_start_matches('&')),
            problem: app.events.problem(),
            filtered: !rest.is_empty(),
        },
        query,
    };
    shell.show(&screen, |screen| render(&screen.results), |_| json!({})).await
}

/// `GET /api/events`: the newest first, out of the last day.
pub(in crate::web) async fn api(
    _: Actor,
    State(app): State<App>,
    Query(query): Query<EventQuery>,
) -> Result<Response> {
    let (list, total) =
        events::list(&app, &query.filter(&app, false)?, query.limit.unwrap_or(1000).clamp(1, 5500));
    let body =
        json!({ "events": list, "total": total, "count": list.len(), "problem": app.events.problem() });
    Ok(crate::web::shell::json_response(axum::http::StatusCode::OK, &body))
}

/// `GET /events/stream`: lines for the page as things happen.
pub(in crate::web) async fn follow(
    Watcher(seat): Watcher,
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Result<Sse<impl Stream<Item = std::result::Result<Message, Infallible>>>> {
    let filter = query.filter(&app, true)?;
    // A browser that connects again says what it saw last.
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&query.after);
    let now = || chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0);
    let after = match seen {
        "" => now(),
        seen => {
            seen.parse().map_err(|_| AppError::field("after", "This is not a place among the events."))?
        }
    };
    let zone = app.zone;
    let messages =
        events::follow(&app, filter, after).ready_chunks(TOGETHER).map(move |told| Ok(message(told, zone)));
    let messages = messages.take_until(seat.over());
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn message(told: Vec<Told>, zone: chrono_tz::Tz) -> Message {
    let mut lines = Lines { lines: Vec::new(), left_out: 0 };
    let mut newest = None;
    for told in told {
        match told {
            Told::Event(event) => {
                newest = Some(event.nanos());
                lines.lines.insert(0, Line::of(event, zone));
            }
            Told::LeftOut(count) => lines.left_out += count,
        }
    }
    let message = Message::default().data(render(&lines).unwrap_or_default());
    match newest {
        Some(newest) => message.id(newest.to_string()),
        None => message,
    }
}
