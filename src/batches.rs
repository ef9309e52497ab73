//! Requests for several things at once, in memory: what they do is in the audit
//! log and among the jobs; this only tells the people who asked how far it is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::Utc;

use crate::model::{
    batch::{Batch, Item, ItemState},
    names::RunId,
};

/// How many are remembered.
const KEEP: usize = 100;

/// The newest ones.
#[derive(Clone, Default)]
pub struct Batches(Arc<Mutex<VecDeque<Batch>>>);

impl Batches {
    /// Begins one.
    pub fn begin(&self, title: String, back: String, items: Vec<Item>) -> RunId {
        let id = RunId::generate();
        let batch = Batch { id: id.clone(), title, back, created: Utc::now(), items, ended: false };
        let mut all = self.all();
        all.push_front(batch);
        all.truncate(KEEP);
        id
    }

    /// Changes the item at this place.
    pub fn set(&self, id: &RunId, place: usize, state: ItemState, text: String, run: Option<RunId>) {
        self.change(id, |batch| {
            if let Some(item) = batch.items.get_mut(place) {
                (item.state, item.text, item.run) = (state, text, run);
            }
        });
    }

    /// Nothing more will happen.
    pub fn end(&self, id: &RunId) {
        self.change(id, |batch| batch.ended = true);
    }

    /// As it is now; `None` when it is too old, or from before a restart.
    pub fn get(&self, id: &RunId) -> Option<Batch> {
        self.all().iter().find(|batch| batch.id == *id).cloned()
    }

    fn change(&self, id: &RunId, how: impl FnOnce(&mut Batch)) {
        if let Some(batch) = self.all().iter_mut().find(|batch| batch.id == *id) {
            how(batch);
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, VecDeque<Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
