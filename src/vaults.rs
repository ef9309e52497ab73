//! What opens each vault, or why it cannot be opened, in memory. How that is found out is `ops::vaults`' and
//! `ops::storage`'s business.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::vault::{Access, Storage};

/// Both vaults.
#[derive(Debug, Default)]
pub struct Vaults {
    local: Vault,
    s3: Vault,
    chosen: Mutex<Storage>,
}

/// One vault.
#[derive(Debug, Default)]
pub struct Vault {
    state: Mutex<State>,
    /// Why its storage could not be used when it was last asked.
    trouble: Mutex<Option<String>>,
    /// Why this server's settings could not be saved in it.
    unsaved: Mutex<Option<String>>,
    /// Held while the catalog is made equal to the vault, or backups are deleted.
    pub catalog: tokio::sync::Mutex<()>,
}

/// Whether a vault can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// It is not set up.
    #[default]
    Absent,
    /// It is, as far as known.
    Ready(Access),
    /// It is set up and must not be used; the sentence says why.
    Refused(String),
    /// It is there and untouched, but this server does not have the key that opens it; the sentence says so.
    Locked(String),
}

impl Vaults {
    /// One of them.
    pub const fn of(&self, storage: Storage) -> &Vault {
        match storage {
            Storage::Local => &self.local,
            Storage::S3 => &self.s3,
        }
    }

    /// Where new backups go.
    pub fn chosen(&self) -> Storage {
        *lock(&self.chosen)
    }

    /// Changes where new backups go.
    pub fn choose(&self, storage: Storage) {
        *lock(&self.chosen) = storage;
    }
}

impl Vault {
    /// How it is now.
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Remembers how it is.
    pub fn set(&self, state: State) {
        *lock(&self.state) = state;
        self.set_trouble(None);
    }

    /// Why its storage could not be used when it was last asked; it may be back by now.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Remembers whether its storage could be used.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    /// Why this server's settings could not be saved in it when that was last tried.
    pub fn unsaved(&self) -> Option<String> {
        lock(&self.unsaved).clone()
    }

    /// Remembers whether this server's settings could be saved; true when that is news.
    pub fn set_unsaved(&self, why: Option<String>) -> bool {
        let mut unsaved = lock(&self.unsaved);
        let news = *unsaved != why;
        *unsaved = why;
        news
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
