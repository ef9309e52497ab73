//! What happened in the engine, as the page and the API show it.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub time: DateTime<Utc>,
    /// `container`, `image`, `volume`, `network`, `daemon`…
    #[serde(rename = "type")]
    pub kind: String,
    /// `start`, `die`, `health_status`…
    pub action: String,
    /// To what.
    pub actor: Actor,
    /// More, in words: an exit code, a signal, a health state.
    pub detail: String,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// Full id; a name where that is the id.
    pub id: String,
    /// Name, as people know it.
    pub name: String,
}

impl Event {
    /// Nanoseconds since 1970; tells events apart.
    pub fn nanos(&self) -> i64 {
        self.time.timestamp_nanos_opt().unwrap_or(0)
    }

    /// A command inside a container. Health checks make thousands of them a day.
    pub fn is_exec(&self) -> bool {
        self.action.starts_with("exec_")
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this type; empty = all.
    pub kind: String,
    /// Only this action; empty = all.
    pub action: String,
    /// Only with this text in a name, id, action or type, in lower case.
    pub search: String,
    /// Not before.
    pub since: Option<i64>,
    /// Not after.
    pub until: Option<i64>,
    /// Without commands inside containers, unless `action` asks for them.
    pub no_exec: bool,
}

impl EventFilter {
    /// Whether the event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let at = event.nanos();
        let fields = [&event.actor.name, &event.actor.id, &event.action, &event.kind, &event.detail];
        (self.kind.is_empty() || self.kind == event.kind)
            && (self.action.is_empty() || self.action == event.action)
            && !(self.no_exec && self.action.is_empty() && event.is_exec())
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at <= until)
            && (self.search.is_empty()
                || fields.iter().any(|field| field.to_lowercase().contains(&self.search)))
    }
}
