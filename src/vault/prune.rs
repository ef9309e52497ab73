//! Freeing space, while others may write. There are no locks: several servers use one vault at once.
//!
//! A prune takes packs that no backup needs out of the index and marks them; a later prune, a day after, removes
//! them, or brings back those that a backup needs after all. A backup that began before the mark may rely on such a
//! pack, and until the next prune nobody could read it. So each side looks once more after it has written: the
//! backup whether the index it began with is still there, the prune whether there are new backups. Whichever comes
//! second sees the other.

use std::collections::BTreeSet;

use rustic_core::{
    LimitOption, PruneOptions,
    repofile::{IndexId, SnapshotId},
};

use super::{PruneResult, Vault, copy::needs, error::VaultError};
use crate::model::progress::Reporter;

/// How often a prune looks again for backups that came meanwhile.
const ROUNDS: u32 = 5;

/// The index files there were when a backup began.
pub(super) struct Index(BTreeSet<IndexId>);

impl Vault {
    /// Frees space that no backup needs; what it marks now goes after a day.
    pub fn prune(&self, reporter: &dyn Reporter) -> Result<PruneResult, VaultError> {
        reporter.step(1, 2, "Looking for data that no backup needs");
        let options = PruneOptions::default();
        let mut before = self.snapshot_ids()?;
        let plan = self.repo.prune_plan(&options)?;
        let sizes = plan.stats.size_sum();
        let freed = sizes.remove + sizes.repackrm + plan.stats.size_unref;
        reporter.step(2, 2, "Freeing space");
        self.repo.prune(&options, plan)?;
        for _ in 0..ROUNDS {
            let after = self.snapshot_ids()?;
            if after.is_subset(&before) {
                break;
            }
            before = after;
            self.bring_back()?;
        }
        Ok(PruneResult { freed })
    }

    fn snapshot_ids(&self) -> Result<BTreeSet<SnapshotId>, VaultError> {
        Ok(self.repo.list::<SnapshotId>()?.collect())
    }

    /// Brings back marked packs that a backup needs.
    fn bring_back(&self) -> Result<(), VaultError> {
        let options = PruneOptions::default().max_repack(LimitOption::Size(bytesize::ByteSize(0)));
        let plan = self.repo.prune_plan(&options)?;
        Ok(self.repo.prune(&options, plan)?)
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
        if needs(&self.again()?.to_indexed()?, tree).is_ok() {
            return Ok(());
        }
        self.bring_back()?;
        needs(&self.again()?.to_indexed()?, tree).map(drop).map_err(|error| VaultError::Storage {
            message: "Data that this backup shares with older ones was cleaned up while it was made. Back up again."
                .to_owned(),
            detail: crate::error::chain(&error),
        })
    }
}
