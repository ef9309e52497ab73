//! Whether the vault's data is whole, and if not, which files of which backups are lost. rustic says which packs are
//! bad; what of them is in which file is told here. Nothing is repaired.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustic_core::{
    CheckOptions, Credentials, Id, IndexedFull, IndexedTree, NoProgressBars, OpenStatus, Progress,
    ProgressBars, ProgressType, ReadSubsetOption, Repository, RusticProgress, TreeId,
    repofile::{IndexFile, IndexId, Node, NodeType, SnapshotFile},
};

use super::{ATTEMPTS, Vault, error::VaultError, list, repository_in, settled, store::Store};
use crate::model::{
    progress::Reporter,
    verify::{Damaged, Part, Verified},
};

/// So many files of a backup are named; more are counted.
const NAMED: usize = 50;

/// So many findings of rustic are kept.
const FINDINGS: usize = 100;

/// What rustic finds wrong.
#[derive(Default)]
struct Findings {
    /// In its words.
    problems: Vec<String>,
    /// The packs it is about.
    bad: HashSet<Id>,
    /// Index files that can't be read.
    hidden: HashSet<Id>,
}

/// Tells how much has been read. rustic has bars for other bytes, too.
#[derive(Clone)]
struct Reading {
    reporter: Arc<dyn Reporter>,
    steps: u32,
    read: Arc<AtomicU64>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading")
    }
}

impl ProgressBars for Reading {
    fn progress(&self, kind: ProgressType, title: &str) -> Progress {
        match kind {
            ProgressType::Bytes if title.contains("pack data") => Progress::new(self.clone()),
            _ => Progress::hidden(),
        }
    }
}

impl RusticProgress for Reading {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, bytes: u64) {
        self.reporter.step(self.steps - 1, self.steps, "Reading data");
        // After others have cleaned up, it is read again.
        self.reporter.total_bytes(self.read.load(Ordering::Relaxed) + bytes);
    }

    fn set_title(&self, _: &str) {}

    fn inc(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        self.reporter.add_bytes(bytes);
    }

    fn finish(&self) {}
}

impl Vault {
    /// Looks at the structure of all backups, or of these where some are given, and reads this part of their data.
    pub fn verify(
        &self,
        backups: &[String],
        part: Option<Part>,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Verified, VaultError> {
        let steps = if part.is_some() { 3 } else { 2 };
        reporter.step(1, steps, "Looking at the structure");
        let snapshots = match backups {
            [] => self.snapshots()?,
            ids => ids.iter().map(|id| self.snapshot(id)).collect::<Result<_, _>>()?,
        };
        let storage = self.access.location.storage();
        let backups: Vec<_> = snapshots
            .iter()
            .filter_map(|snapshot| Some((snapshot, list::backup(snapshot, storage)?)))
            .collect();
        let mut verified = Verified {
            backups: backups.iter().map(|(_, backup)| backup.id.clone()).collect(),
            ..Verified::default()
        };
        let trees: Vec<TreeId> = snapshots.iter().map(|snapshot| snapshot.tree).collect();
        let bars = Reading { reporter: reporter.clone(), steps, read: Arc::default() };
        let mut options = CheckOptions::default().read_data(part.is_some());
        if let Some(part) = part {
            options = options.read_data_subset(ReadSubsetOption::IdSubSet((part.turn, part.of)));
        }
        let Findings { problems, bad, hidden } = self.findings(options, &trees, &bars)?;
        verified.read = bars.read.load(Ordering::Relaxed);
        if problems.is_empty() {
            return Ok(verified);
        }
        reporter.step(steps, steps, "Looking which files are lost");
        let mut search = Search { bad, whole: HashSet::new() };
        let repo = settled(|| Ok(self.without(&hidden, NoProgressBars)?.to_indexed()?))?;
        for (snapshot, backup) in &backups {
            let mut damaged = Damaged {
                backup: backup.id.clone(),
                filename: backup.filename(),
                files: Vec::new(),
                more: 0,
            };
            search.look(&repo, snapshot, &mut damaged);
            if !damaged.files.is_empty() {
                verified.damaged.push(damaged);
            }
        }
        verified.problems = problems.into_iter().take(FINDINGS).collect();
        Ok(verified)
    }

    /// What is wrong. When another server cleaned up meanwhile, it is looked at again: packs that went are no damage.
    fn findings(
        &self,
        options: CheckOptions,
        trees: &[TreeId],
        bars: &Reading,
    ) -> Result<Findings, VaultError> {
        let mut found = Findings::default();
        for _ in 0..ATTEMPTS {
            let index = self.index()?;
            found = Findings { hidden: self.unreadable_index()?, ..Findings::default() };
            for id in &found.hidden {
                let hex = id.to_hex();
                found.problems.push(format!(
                    "The index file {} can't be read. The data that it lists can't be found without it, but may \
                     still be there: “restic repair index” makes the index anew.",
                    &hex.as_str()[..8]
                ));
            }
            let check = || {
                let repo = self.without(&found.hidden, bars.clone())?;
                Ok(repo.check_with_trees(options, trees.to_vec())?)
            };
            let results = settled(check)?;
            // The type of the findings has no name outside of rustic; their words do.
            for (_, error) in results.0.iter().filter(|(level, _)| format!("{level:?}") == "Error") {
                found.problems.push(error.to_string());
                found.bad.extend(pack(&format!("{error:?}")));
            }
            if found.problems.is_empty() || self.index()? == index {
                break;
            }
        }
        Ok(found)
    }

    /// Index files that are there and can't be read, such as cut ones: nothing at all can be read with them.
    fn unreadable_index(&self) -> Result<HashSet<Id>, VaultError> {
        let mut unreadable = HashSet::new();
        for id in self.repo.list::<IndexId>()? {
            if let Err(error) = self.repo.get_file::<IndexFile>(&id) {
                // A prune may have put others in its place; a storage that does not answer says nothing about it.
                let error = VaultError::from(error);
                if matches!(error, VaultError::Storage { .. }) {
                    return Err(error);
                }
                if self.repo.list::<IndexId>()?.any(|other| other == id) {
                    unreadable.insert(*id);
                }
            }
        }
        Ok(unreadable)
    }

    /// Opened once more, as if these files were not there.
    fn without(
        &self,
        hidden: &HashSet<Id>,
        bars: impl ProgressBars,
    ) -> Result<Repository<OpenStatus>, VaultError> {
        let store = Store::new(&self.access.location)?.hiding(hidden.clone());
        let (repo, _) = repository_in(store, &self.access, bars)?;
        Ok(repo.open(&Credentials::Masterkey(self.repo.key()))?)
    }
}

/// The pack that a finding is about, out of its `Debug`: only there stands the whole id.
fn pack(finding: &str) -> Option<Id> {
    let (_, rest) = finding.split_once("{ id: ")?;
    rest.strip_prefix("PackId(").unwrap_or(rest).get(..64)?.parse().ok()
}

/// Looks for files whose data is in bad packs, or nowhere.
struct Search {
    bad: HashSet<Id>,
    /// Folders in which nothing is lost; most backups share most of theirs.
    whole: HashSet<TreeId>,
}

impl Search {
    fn look<S: IndexedFull + IndexedTree>(
        &mut self,
        repo: &Repository<S>,
        snapshot: &SnapshotFile,
        damaged: &mut Damaged,
    ) {
        self.folder(repo, snapshot.tree, "", damaged);
    }

    /// Whether all below this folder is whole.
    fn folder<S: IndexedFull + IndexedTree>(
        &mut self,
        repo: &Repository<S>,
        id: TreeId,
        path: &str,
        damaged: &mut Damaged,
    ) -> bool {
        if self.whole.contains(&id) {
            return true;
        }
        let lost = !repo.get_index_entry(&id).is_ok_and(|entry| !self.bad.contains(&*entry.pack));
        let tree = if lost { None } else { repo.get_tree(&id).ok() };
        let Some(tree) = tree else {
            add(damaged, format!("{path}/"));
            return false;
        };
        let mut whole = true;
        for node in &tree.nodes {
            let path = format!("{path}/{}", node.name().to_string_lossy());
            whole &= match (&node.node_type, node.subtree) {
                (NodeType::Dir, Some(subtree)) => self.folder(repo, subtree, &path, damaged),
                (NodeType::File, _) if self.is_lost(repo, node) => {
                    add(damaged, path);
                    false
                }
                _ => true,
            };
        }
        if whole {
            self.whole.insert(id);
        }
        whole
    }

    fn is_lost<S: IndexedFull>(&self, repo: &Repository<S>, node: &Node) -> bool {
        node.content
            .iter()
            .flatten()
            .any(|id| !repo.get_index_entry(id).is_ok_and(|entry| !self.bad.contains(&*entry.pack)))
    }
}

fn add(damaged: &mut Damaged, path: String) {
    if damaged.files.len() < NAMED {
        damaged.files.push(path);
    } else {
        damaged.more += 1;
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
