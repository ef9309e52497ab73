//! What scripts of the Flask application prepare to download, in memory. Nothing is made ahead: the archive is packed while
//! it is sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::model::names::{BackupRef, RunId};

/// How many are remembered; the oldest go first.
const KEEP: usize = 100;

/// How long one is remembered.
const LIFE: Duration = Duration::from_hours(1);

/// The newest ones.
#[derive(Clone, Default)]
pub struct Downloads(Arc<Mutex<VecDeque<Download>>>);

/// Chosen backups.
#[derive(Debug, Clone)]
pub struct Download {
    id: RunId,
    /// Id of the user who chose them.
    owner: i64,
    began: Instant,
    /// The backups.
    pub backups: Vec<BackupRef>,
    /// What the archive is called, once it was asked for.
    pub filename: Option<String>,
}

impl Downloads {
    /// Begins one.
    pub fn begin(&self, owner: i64, backups: Vec<BackupRef>) -> RunId {
        let id = RunId::generate();
        let mut all = self.all();
        all.push_front(Download { id: id.clone(), owner, began: Instant::now(), backups, filename: None });
        all.truncate(KEEP);
        id
    }

    /// As it is now; `None` when it is over, or another user's.
    pub fn get(&self, owner: i64, id: &RunId) -> Option<Download> {
        self.all().iter().find(|download| download.is(owner, id)).cloned()
    }

    /// Names its archive, once; the name. `None` as above.
    pub fn name(&self, owner: i64, id: &RunId, filename: String) -> Option<String> {
        let mut all = self.all();
        let download = all.iter_mut().find(|download| download.is(owner, id))?;
        Some(download.filename.get_or_insert(filename).clone())
    }

    /// Forgets it.
    pub fn end(&self, owner: i64, id: &RunId) {
        self.all().retain(|download| !download.is(owner, id));
    }

    fn all(&self) -> std::sync::MutexGuard<'_, VecDeque<Download>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|download| download.began.elapsed() < LIFE);
        all
    }
}

impl Download {
    fn is(&self, owner: i64, id: &RunId) -> bool {
        self.owner == owner && self.id == *id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_its_owner_s_and_not_for_ever() {
        let downloads = Downloads::default();
        let id = downloads.begin(1, vec!["0123456789".parse().unwrap()]);
        assert!(downloads.get(1, &id).is_some_and(|download| download.filename.is_none()));
        assert!(downloads.get(2, &id).is_none() && downloads.name(2, &id, "a.tar.gz".to_owned()).is_none());
        downloads.end(2, &id);
        for name in ["a.tar.gz", "b.tar.gz"] {
            assert_eq!(downloads.name(1, &id, name.to_owned()).as_deref(), Some("a.tar.gz"));
        }
        for _ in 0..KEEP {
            assert!(downloads.get(1, &id).is_some());
            downloads.begin(2, Vec::new());
        }
        assert!(downloads.get(1, &id).is_none(), "the oldest is forgotten");
        let id = downloads.begin(1, Vec::new());
        downloads.0.lock().unwrap()[0].began = Instant::now().checked_sub(LIFE).unwrap();
        assert!(downloads.get(1, &id).is_none(), "an hour is over");
    }
}
