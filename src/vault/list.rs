//! Looking into the vault: what backups there are, their manifests, forgetting and checking them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rustic_core::{
    CheckOptions,
    repofile::{SnapshotFile, SnapshotId},
};

use super::{MANIFEST, TAG, Vault, error::VaultError, settings, settled};
use crate::model::{
    backup::{Backup, ItemState, Meta, State, Trigger},
    manifest::{IMAGE_DIR, Manifest},
    saved_settings::Saved,
    vault::Storage,
};

impl Vault {
    /// All backups, newest first. Reads only the snapshots' own files.
    pub fn list(&self) -> Result<Vec<Backup>, VaultError> {
        Ok(self.backups_of(&self.snapshots()?))
    }

    fn backups_of(&self, snapshots: &[SnapshotFile]) -> Vec<Backup> {
        // A worker that was killed between writing the outcome and removing the unfinished
        // snapshot leaves both.
        let replaced: HashSet<_> = snapshots.iter().filter_map(|snapshot| snapshot.original).collect();
        let storage = self.access.location.storage();
        let mut list: Vec<_> = snapshots
            .iter()
            .filter(|snapshot| !replaced.contains(&snapshot.id))
            .filter_map(|snapshot| backup(snapshot, storage))
            .collect();
        list.sort_by_key(|backup: &Backup| std::cmp::Reverse(backup.created));
        list
    }

    /// All backups and all settings of servers, each newest first.
    pub fn contents(&self) -> Result<(Vec<Backup>, Vec<Saved>), VaultError> {
        let snapshots = self.snapshots()?;
        let settings = settings::saved(&snapshots, self.access.location.storage());
        Ok((self.backups_of(&snapshots), settings))
    }

    /// All snapshots, those of other programs too.
    pub(super) fn snapshots(&self) -> Result<Vec<SnapshotFile>, VaultError> {
        settled(|| Ok(self.repo.get_all_snapshots()?))
    }

    /// The snapshot of a backup.
    pub(super) fn snapshot(&self, id: &str) -> Result<SnapshotFile, VaultError> {
        let missing = || VaultError::NoBackup { id: id.to_owned() };
        let parsed: rustic_core::Id = id.parse().map_err(|_| missing())?;
        let exists = self.repo.list::<SnapshotId>()?.any(|other| *other == parsed);
        if !exists {
            return Err(missing());
        }
        match self.repo.get_snapshots(&[id]).map_err(VaultError::from) {
            Ok(mut found) => found.pop().ok_or_else(missing),
            Err(VaultError::Gone { .. }) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    /// Reads a backup's manifest.
    pub fn manifest(&self, id: &str) -> Result<Manifest, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repo = self.indexed()?;
        let path = format!("{}/{MANIFEST}", snapshot.label);
        let node = repo.node_from_snapshot_and_path(&snapshot, &path)?;
        let mut text = Vec::new();
        repo.dump(&node, &mut text)?;
        serde_json::from_slice(&text)
            .map_err(|error| VaultError::Broken(format!("its {MANIFEST} is not understood ({error})")))
    }

    /// The newest backup that holds the image with this id whole.
    pub fn find_image(&self, image_id: &str) -> Result<Option<String>, VaultError> {
        let holds = |backup: &Backup| {
            let saved = |item: &crate::model::backup::ItemOutcome| {
                item.path == IMAGE_DIR && item.state == ItemState::Saved
            };
            backup.meta.image_id == image_id
                && !backup.meta.flattened
                && backup.meta.state != State::Unfinished
                && backup.meta.items.iter().any(saved)
        };
        Ok(self.list()?.into_iter().find(holds).map(|backup| backup.id))
    }

    /// Deletes backups; their data goes with the next prune. One that is not there any more is deleted already.
    pub fn forget(&self, ids: &[String]) -> Result<(), VaultError> {
        let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let there = self.repo.list::<SnapshotId>()?;
        let ids: Vec<_> = there.filter(|id| wanted.contains(id.to_hex().as_str())).collect();
        self.repo.delete_snapshots(&ids)?;
        Ok(())
    }

    /// Checks structure, or with `read_data` every byte; returns what is wrong.
    pub fn check(&self, read_data: bool) -> Result<Vec<String>, VaultError> {
        let results = self.repo.check(CheckOptions::default().read_data(read_data))?;
        Ok(results.0.iter().map(|(level, error)| format!("{level:?}: {error}")).collect())
    }
}

/// A snapshot as a backup; `None` when it is not one of ours.
pub(super) fn backup(snapshot: &SnapshotFile, storage: Storage) -> Option<Backup> {
    if !snapshot.tags.contains(TAG) {
        return None;
    }
    let meta: Meta = serde_json::from_str(snapshot.description.as_deref()?).ok()?;
    let trigger = snapshot.tags.iter().find_map(|tag| tag.parse().ok()).unwrap_or(Trigger::Manual);
    let summary = snapshot.summary.as_ref();
    let stamp = snapshot.time.timestamp();
    Some(Backup {
        id: snapshot.id.to_hex().as_str().to_owned(),
        storage,
        created: DateTime::<Utc>::from_timestamp(
            stamp.as_second(),
            u32::try_from(stamp.subsec_nanosecond()).unwrap_or(0),
        )?,
        server_name: snapshot.hostname.clone(),
        trigger,
        size: meta.data_bytes + meta.image_bytes,
        stored_size: summary.map_or(0, |summary| summary.data_added_packed),
        pinned: false,
        verified: None,
        damage: None,
        duration_seconds: summary.map_or(0.0, |summary| summary.total_duration),
        meta,
    })
}
