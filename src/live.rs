//! Progress of running jobs, in memory: one watch channel per run, so that a
//! slow reader sees the newest value and never a queue.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::model::{names::RunId, progress::Progress};

/// Run id → progress.
#[derive(Clone, Default)]
pub struct Live(Arc<Mutex<HashMap<RunId, watch::Sender<Progress>>>>);

impl Live {
    /// Begins a run; the sender is fed while it lasts.
    pub fn begin(&self, id: &RunId) -> watch::Sender<Progress> {
        let sender = watch::Sender::new(Progress::default());
        self.map().insert(id.clone(), sender.clone());
        sender
    }

    /// Ends a run; watchers see their channel close.
    pub fn end(&self, id: &RunId) {
        self.map().remove(id);
    }

    /// Watches a running run.
    pub fn watch(&self, id: &RunId) -> Option<watch::Receiver<Progress>> {
        self.map().get(id).map(watch::Sender::subscribe)
    }

    /// The newest progress of a running run.
    pub fn now(&self, id: &RunId) -> Option<Progress> {
        self.map().get(id).map(|sender| sender.borrow().clone())
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, watch::Sender<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
