//! Freeing space, while others may write. There are no locks: several servers use one vault at once.
//!
//! A prune takes packs that no backup needs out of the index and marks them; a later prune, a day after, removes
//! them, or brings back those that a backup needs after all. A backup that began before the mark may rely on such a
//! pack, and until the next prune nobody could read it. So each side looks once more after it has written: the
//! backup whether the index it began with is still there, the prune whether there are new backups. Whichever comes
//! second sees the other.

use std::collections::{BTreeSet, HashSet};

use rustic_core::{
    Credentials, LimitOption, NoProgressBars, OpenStatus, PruneOptions, PrunePlan, Repository,
    repofile::{IndexFile, IndexId, SnapshotId},
};

use super::{
    ATTEMPTS, PruneResult, Vault, copy::needs, error::VaultError, pause, repository_in, settled, store::Store,
};
use crate::model::progress::Reporter;

/// How often each side looks again for what came meanwhile.
const ROUNDS: u32 = 5;

/// The index files there were when a backup began.
#[derive(PartialEq, Eq)]
pub(super) struct Index(BTreeSet<IndexId>);

impl Vault {
    /// Frees space that no backup needs; what it marks now goes after a day.
    pub fn prune(&self, reporter: &dyn Reporter) -> Result<PruneResult, VaultError> {
        reporter.step(1, 2, "Looking for data that no backup needs");
        let options = PruneOptions::default();
        let mut before = self.snapshot_ids()?;
        let (repo, plan) = self.plan(&options)?;
        let sizes = plan.stats.size_sum();
        let marked = plan.stats.size_to_delete;
        let freed = marked.remove;
        let later = sizes.remove + sizes.repackrm + plan.stats.size_unref + marked.keep;
        reporter.step(2, 2, "Freeing space");
        repo.prune(&options, plan)?;
        for _ in 0..ROUNDS {
            let after = self.snapshot_ids()?;
            if after.is_subset(&before) {
                break;
            }
            before = after;
            self.bring_back()?;
        }
        Ok(PruneResult { freed, later })
    }

    /// What is to be done. It reads the index before the backups: of one that came in between it knows nothing, and
    /// fails. Then it looks again.
    fn plan(&self, options: &PruneOptions) -> Result<(Repository<OpenStatus>, PrunePlan), VaultError> {
        let mut attempt = 1;
        loop {
            let began = self.index()?;
            let repo = self.without_unfinished()?;
            match repo.prune_plan(options).map(|plan| (repo, plan)).map_err(VaultError::from) {
                Err(error) if attempt < ATTEMPTS => {
                    if !matches!(error, VaultError::Gone { .. }) && self.index()? == began {
                        return Err(error);
                    }
                    pause(attempt);
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The vault without packs that are in no index yet. A prune would mark such a pack as if there were nothing in it,
    /// and when another prune marks it with what is in it, a third one may keep either: the vault would no longer know
    /// what the pack holds.
    fn without_unfinished(&self) -> Result<Repository<OpenStatus>, VaultError> {
        let indexed = settled(|| {
            let mut packs = HashSet::new();
            for index in self.repo.stream_files::<IndexFile>()? {
                let (_, index) = index?;
                packs.extend(index.packs.iter().chain(&index.packs_to_delete).map(|pack| *pack.id));
            }
            Ok(packs)
        })?;
        let store = Store::new(&self.access.location)?.without_unfinished(indexed);
        let (repo, _) = repository_in(store, &self.access, NoProgressBars)?;
        Ok(repo.open(&Credentials::Masterkey(self.repo.key()))?)
    }

    fn snapshot_ids(&self) -> Result<BTreeSet<SnapshotId>, VaultError> {
        Ok(self.repo.list::<SnapshotId>()?.collect())
    }

    /// Brings back marked packs that a backup needs.
    fn bring_back(&self) -> Result<(), VaultError> {
        let options = PruneOptions::default().max_repack(LimitOption::Size(bytesize::ByteSize(0)));
        let (repo, plan) = self.plan(&options)?;
        Ok(repo.prune(&options, plan)?)
    }

    /// To be called before the index is read that a backup relies on.
    pub(super) fn index(&self) -> Result<Index, VaultError> {
        Ok(Index(self.repo.list::<IndexId>()?.collect()))
    }

    /// To be called when a backup's snapshot is written: makes sure that all its data can be found.
    pub(super) fn secure(&self, began: &Index, tree: rustic_core::TreeId) -> Result<(), VaultError> {
        let now = self.index()?;
        if began.0.is_subset(&now.0) {
            return Ok(());
        }
        let mut found = needs(&self.indexed()?, tree);
        for _ in 0..ROUNDS {
            if found.is_ok() {
                break;
            }
            self.bring_back()?;
            found = needs(&self.indexed()?, tree);
        }
        found.map(drop).map_err(|error| VaultError::Storage {
            message: "Data that this backup shares with older ones was cleaned up while it was made. Back up again."
                .to_owned(),
            detail: crate::error::chain(&error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::super::{
        copy::tests::{Ear, back_up, vault},
        settled,
    };
    use crate::vault::{Vault, VaultError};

    #[test]
    fn backups_listings_and_prunes_at_the_same_time_do_not_meet_half_a_vault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let first = vault(path, "vault");
        let open = || Vault::open(&first.access).unwrap();
        let done = AtomicBool::new(false);
        let backups = || {
            let vault = open();
            let mut last: Option<String> = None;
            for round in 0..15_u8 {
                // What is new goes with the next, so that each prune finds something.
                let backup = back_up(&vault, path, "web", &[("same", b"always"), ("new", &[round; 999])]);
                if let Some(last) = last.replace(backup.id) {
                    vault.forget(&[last]).unwrap();
                }
            }
            last.unwrap()
        };
        let prunes = || {
            let vault = open();
            let mut rounds = 0;
            while !done.load(Ordering::SeqCst) {
                vault.prune(&Ear::default()).unwrap();
                vault.list().unwrap();
                rounds += 1;
            }
            rounds
        };
        let last = std::thread::scope(|scope| {
            let pruning = [scope.spawn(prunes), scope.spawn(prunes)];
            let last = scope.spawn(backups).join();
            done.store(true, Ordering::SeqCst);
            assert!(pruning.into_iter().all(|prunes| prunes.join().unwrap() > 1));
            last.unwrap()
        });
        let left: Vec<_> = first.list().unwrap().into_iter().map(|backup| backup.id).collect();
        assert_eq!(left, std::slice::from_ref(&last));
        assert_eq!(first.check(true).unwrap(), Vec::<String>::new());
        assert!(
            first
                .verify(
                    &[last],
                    None,
                    &(Arc::new(Ear::default()) as Arc<dyn crate::model::progress::Reporter>)
                )
                .unwrap()
                .damaged
                .is_empty()
        );
    }

    #[test]
    fn what_stays_gone_is_told() {
        let mut attempts = 0;
        let outcome: Result<(), _> = settled(|| {
            attempts += 1;
            Err(VaultError::Gone { message: "index/1 is gone".to_owned(), detail: String::new() })
        });
        assert_eq!(outcome.unwrap_err().to_string(), "index/1 is gone");
        assert_eq!(attempts, 8);
    }
}
