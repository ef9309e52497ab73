//! The engine's events of the last day, in memory. The engine itself forgets
//! them after a few hundred, so one stream is kept open and shared by all.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{TimeDelta, Utc};
use tokio::sync::broadcast;

use crate::model::event::Event;

/// How many are kept; commands in containers, which health checks make, have a share of their own.
const KEPT: usize = 5000;
const KEPT_EXEC: usize = 500;
/// How far a viewer may be behind.
const BEHIND: usize = 256;

/// The events.
#[derive(Clone)]
pub struct EventLog(Arc<Inner>);

struct Inner {
    kept: Mutex<Kept>,
    news: broadcast::Sender<Event>,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Event>,
    execs: VecDeque<Event>,
    problem: Option<String>,
    /// Names of containers by id.
    names: HashMap<String, String>,
}

impl Kept {
    /// A container that joins or leaves a network is told by its id only: says its name.
    fn name(&mut self, mut event: Event) -> Event {
        match (event.kind.as_str(), event.action.as_str()) {
            ("container", "destroy") => {
                self.names.remove(&event.actor.id);
            }
            ("container", _) => self.know(&event.actor.id, &event.actor.name),
            ("network", "connect" | "disconnect") => {
                let id = &event.detail;
                let short = id.get(..12).unwrap_or(id);
                event.detail = self.names.get(id).cloned().unwrap_or_else(|| format!("container {short}"));
            }
            _ => {}
        }
        event
    }

    fn know(&mut self, id: &str, name: &str) {
        if self.names.len() < KEPT || self.names.contains_key(id) {
            self.names.insert(id.to_owned(), name.to_owned());
        }
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self(Arc::new(Inner { kept: Mutex::default(), news: broadcast::Sender::new(BEHIND) }))
    }
}

impl EventLog {
    /// Remembers an event and tells it to all viewers.
    pub fn keep(&self, event: Event) {
        let event = {
            let mut kept = self.kept();
            let event = kept.name(event);
            let kept = &mut *kept;
            let (list, most) =
                if event.is_exec() { (&mut kept.execs, KEPT_EXEC) } else { (&mut kept.events, KEPT) };
            let day_ago = Utc::now() - TimeDelta::days(1);
            while list.len() >= most || list.front().is_some_and(|old| old.time < day_ago) {
                list.pop_front();
            }
            list.push_back(event.clone());
            event
        };
        // Nobody may be watching.
        let _ = self.0.news.send(event);
    }

    /// Tells the names of containers, by id.
    pub fn know<'a>(&self, names: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let mut kept = self.kept();
        for (id, name) in names {
            kept.know(id, name);
        }
    }

    /// All of the last day, the oldest first.
    pub fn recent(&self) -> Vec<Event> {
        let day_ago = Utc::now() - TimeDelta::days(1);
        let kept = self.kept();
        let mut all: Vec<_> =
            kept.events.iter().chain(&kept.execs).filter(|event| event.time >= day_ago).cloned().collect();
        drop(kept);
        all.sort_by_key(Event::nanos);
        all
    }

    /// What comes from now on.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.news.subscribe()
    }

    /// Why no events come, if so.
    pub fn problem(&self) -> Option<String> {
        self.kept().problem.clone()
    }

    /// Remembers why no events come.
    pub fn set_problem(&self, problem: Option<String>) {
        self.kept().problem = problem;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Actor;

    fn event(kind: &str, action: &str, id: &str, name: &str, detail: &str) -> Event {
        Event {
            time: Utc::now(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), name: name.to_owned() },
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn containers_in_networks_are_told_by_name() {
        let log = EventLog::default();
        log.know([("1111111111111111", "db")]);
        log.keep(event("network", "connect", "n", "net", "1111111111111111"));
        log.keep(event("container", "rename", "1111111111111111", "database", ""));
        log.keep(event("network", "connect", "n", "net", "1111111111111111"));
        log.keep(event("container", "destroy", "1111111111111111", "database", ""));
        log.keep(event("network", "disconnect", "n", "net", "1111111111111111"));
        let told: Vec<_> = log.recent().into_iter().filter(|event| event.kind == "network").collect();
        let details: Vec<_> = told.iter().map(|event| event.detail.as_str()).collect();
        assert_eq!(details, ["db", "database", "container 111111111111"]);
    }
}
