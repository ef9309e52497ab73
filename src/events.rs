//! The engine's events of the last day, in memory. The engine itself forgets
//! them after a few hundred, so one stream is kept open and shared by all.

use std::{
    collections::VecDeque,
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
}

impl Default for EventLog {
    fn default() -> Self {
        Self(Arc::new(Inner { kept: Mutex::default(), news: broadcast::Sender::new(BEHIND) }))
    }
}

impl EventLog {
    /// Remembers an event and tells it to all viewers.
    pub fn keep(&self, event: Event) {
        {
            let mut kept = self.kept();
            let (list, most) =
                if event.is_exec() { (&mut kept.execs, KEPT_EXEC) } else { (&mut kept.events, KEPT) };
            let day_ago = Utc::now() - TimeDelta::days(1);
            while list.len() >= most || list.front().is_some_and(|old| old.time < day_ago) {
                list.pop_front();
            }
            list.push_back(event.clone());
        }
        // Nobody may be watching.
        let _ = self.0.news.send(event);
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
