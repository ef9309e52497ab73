//! Several things asked for at once and done one after the other, each with its own result.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{backup::words, names::RunId};

/// One request for several things.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its id.
    pub id: RunId,
    /// What is done, for people: "Stop 3 containers".
    pub title: String,
    /// The page it was asked from.
    pub back: String,
    /// When it was asked.
    pub created: DateTime<Utc>,
    /// The things, in the order in which they are done.
    pub items: Vec<Item>,
    /// Nothing more will happen. Backups go on in the queue after that.
    pub ended: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Full id of the container or backup, as far as it was found.
    pub id: String,
    /// Name of the container, network, volume or backup.
    pub name: String,
    /// How far it is.
    pub state: ItemState,
    /// What was done, or why not; empty until then.
    pub text: String,
    /// The job that goes on with it.
    pub run: Option<RunId>,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Its turn comes later.
    Waiting,
    /// It is its turn.
    Working,
    /// Done.
    Done,
    /// Not done; the text says why.
    Failed,
    /// Done by a job that waits in the queue or runs.
    Queued,
}

words!(ItemState {
    Waiting => "waiting",
    Working => "working",
    Done => "done",
    Failed => "failed",
    Queued => "queued",
});

impl Item {
    /// One whose turn has not come yet.
    pub fn waiting(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            state: ItemState::Waiting,
            text: String::new(),
            run: None,
        }
    }

    /// One that is not even begun.
    pub fn refused(wanted: &str, why: String) -> Self {
        Self { state: ItemState::Failed, text: why, ..Self::waiting("", wanted) }
    }
}

impl Batch {
    /// How many failed.
    pub fn failed(&self) -> usize {
        self.items.iter().filter(|item| item.state == ItemState::Failed).count()
    }
}
