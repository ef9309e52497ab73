//! Settings of servers: small snapshots beside the backups, which they never count among. They hold what a server
//! needs to be set up again, secrets included: like everything here they are encrypted with the vault's key.

use std::{path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use rustic_core::{
    BackupOptions, Credentials, NoProgressBars, ParentOptions, SnapshotOptions, StringList,
    repofile::{NodeType, SnapshotFile, SnapshotId},
};

use super::{
    TAG, Vault,
    error::VaultError,
    node, repository_with, settled,
    source::{Part, Source},
};
use crate::model::{
    saved_settings::{FORMAT, Saved, Settings},
    vault::Storage,
};

/// Tag of these snapshots, beside [`TAG`].
const KIND: &str = "settings";

/// Their directory and their only file.
const DIRECTORY: &str = "container-monkey-settings";
const FILE: &str = "settings.json";

/// So many are kept of each server; older ones go when a new one is saved.
const KEPT: usize = 10;

impl Vault {
    /// All settings that are in the vault, newest first. Reads only the snapshots' own files.
    pub fn saved_settings(&self) -> Result<Vec<Saved>, VaultError> {
        Ok(saved(&self.snapshots()?, self.access.location.storage()))
    }

    /// Saves settings unless the newest of this server are the same; what is in the vault then.
    pub fn save_settings(&self, settings: &Settings) -> Result<Vec<Saved>, VaultError> {
        let summary = settings.summary();
        let before = self.saved_settings()?;
        let newest = before.iter().find(|saved| saved.summary.instance == settings.instance);
        if newest.is_some_and(|newest| newest.summary.digest == summary.digest) {
            return Ok(before);
        }
        let broken = |error: serde_json::Error| VaultError::Broken(error.to_string());
        let text = serde_json::to_vec_pretty(settings).map_err(broken)?;
        let root = Path::new("/").join(DIRECTORY);
        let file = node::own(FILE, NodeType::File, text.len() as u64);
        let parts = vec![
            Part::Directory(root.clone(), node::own(DIRECTORY, NodeType::Dir, 0)),
            Part::Text(root.join(FILE), file, Arc::new(text)),
        ];
        let mut tags = StringList::default();
        for tag in [TAG, KIND] {
            tags.add(tag.to_owned());
        }
        let snapshot = SnapshotOptions::default()
            .label(DIRECTORY.to_owned())
            .host(settings.server.clone())
            .command(format!("container-monkey {}", settings.program))
            .description(serde_json::to_string(&summary).map_err(broken)?)
            .tags(vec![tags])
            .to_snapshot()?;
        let (repo, index) = settled(|| {
            let (repo, _) = repository_with(&self.access, NoProgressBars)?;
            let index = self.index()?;
            Ok((repo.open(&Credentials::Masterkey(self.repo.key()))?.to_indexed_ids()?, index))
        })?;
        let mut options = BackupOptions::default();
        options.parent_opts = ParentOptions::default().force(true);
        let written = repo.archive(&options, &Source { parts }, snapshot, &[root])?;
        if let Err(error) = self.secure(&index, written.tree) {
            repo.delete_snapshots(&[written.id])?;
            return Err(error);
        }
        let after = self.saved_settings()?;
        let own = after.iter().filter(|saved| saved.summary.instance == settings.instance);
        let old: Vec<String> = own.skip(KEPT).map(|saved| saved.id.clone()).collect();
        let gone: Vec<SnapshotId> =
            old.iter().filter_map(|id| Some(id.parse::<rustic_core::Id>().ok()?.into())).collect();
        self.repo.delete_snapshots(&gone)?;
        Ok(after.into_iter().filter(|saved| !old.contains(&saved.id)).collect())
    }

    /// Reads settings. Those of a newer format are refused: what it says might mean something else.
    pub fn read_settings(&self, id: &str) -> Result<Settings, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repo = self.indexed()?;
        let node = repo.node_from_snapshot_and_path(&snapshot, &format!("{DIRECTORY}/{FILE}"))?;
        let mut text = Vec::new();
        repo.dump(&node, &mut text)?;
        parse(&text)
    }
}

fn parse(text: &[u8]) -> Result<Settings, VaultError> {
    let odd =
        |error: serde_json::Error| VaultError::Broken(format!("its {FILE} is not understood ({error})"));
    let value: serde_json::Value = serde_json::from_slice(text).map_err(odd)?;
    let format = value["format"].as_u64().unwrap_or(0);
    if format > u64::from(FORMAT) {
        let program = value["program"].as_str().unwrap_or("a newer version").to_owned();
        return Err(VaultError::NewerSettings { program });
    }
    serde_json::from_value(value).map_err(odd)
}

/// Those of these snapshots that are settings, newest first.
pub(super) fn saved(snapshots: &[SnapshotFile], storage: Storage) -> Vec<Saved> {
    let one = |snapshot: &SnapshotFile| {
        if !snapshot.tags.contains(TAG) || !snapshot.tags.contains(KIND) {
            return None;
        }
        let stamp = snapshot.time.timestamp();
        let nanos = u32::try_from(stamp.subsec_nanosecond()).unwrap_or(0);
        Some(Saved {
            storage,
            id: snapshot.id.to_hex().as_str().to_owned(),
            server: snapshot.hostname.clone(),
            saved: DateTime::<Utc>::from_timestamp(stamp.as_second(), nanos)?,
            summary: serde_json::from_str(snapshot.description.as_deref()?).ok()?,
        })
    };
    let mut all: Vec<Saved> = snapshots.iter().filter_map(one).collect();
    all.sort_by_key(|saved| std::cmp::Reverse(saved.saved));
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::copy::tests::{Ear, back_up, vault},
        *,
    };
    use crate::model::{progress::Reporter, saved_settings::tests::sample};

    #[test]
    fn settings_are_kept_beside_backups_and_come_back_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let vault = vault(directory.path(), "a");
        let backup = back_up(&vault, directory.path(), "web", &[("file", b"kept")]);
        let settings = sample("one", "phone");
        let first = vault.save_settings(&settings).unwrap();
        assert_eq!((first.len(), first[0].server.as_str()), (1, "nas"));
        // The same once more is not saved, another server's is.
        assert_eq!(vault.save_settings(&settings).unwrap(), first);
        assert_eq!(vault.save_settings(&sample("two", "phone")).unwrap().len(), 2);

        let list = vault.list().unwrap();
        assert_eq!(list.iter().map(|one| &one.id).collect::<Vec<_>>(), [&backup.id], "they are no backups");
        // They are needed like backups: a clean-up takes nothing of them, and a check looks at them.
        vault.prune(&Ear::default()).unwrap();
        assert_eq!(vault.check(true).unwrap(), [""; 0]);
        assert_eq!(vault.read_settings(&first[0].id).unwrap(), settings);
        let ear: Arc<dyn Reporter> = Arc::new(Ear::default());
        let verified = vault.verify(&[], None, &ear).unwrap();
        assert_eq!((verified.backups.len(), verified.problems.len()), (1, 0));
    }

    #[test]
    fn the_newest_ten_of_each_server_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let vault = vault(directory.path(), "a");
        vault.save_settings(&sample("other", "phone")).unwrap();
        for number in 0..KEPT + 2 {
            vault.save_settings(&sample("one", &format!("channel-{number}"))).unwrap();
        }
        let all = vault.saved_settings().unwrap();
        assert_eq!(all.len(), KEPT + 1);
        assert_eq!(all.last().unwrap().summary.instance, "other", "the oldest of all, but another server's");
        let newest = vault.read_settings(&all[0].id).unwrap();
        assert_eq!(newest.channels[0].name, format!("channel-{}", KEPT + 1));
    }

    #[test]
    fn a_newer_format_is_refused_with_what_to_do() {
        let mut value = serde_json::to_value(sample("one", "phone")).unwrap();
        value["format"] = serde_json::json!(FORMAT + 1);
        value["program"] = serde_json::json!("9.0.0");
        let error = parse(value.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("9.0.0") && error.contains("Update"), "{error}");
    }
}
