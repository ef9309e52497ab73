//! Whether the vault's data is whole, and if not, which files of which backups are lost. rustic says which packs are
//! bad; what of them is in which file is told here. Nothing is repaired.

use std::collections::HashSet;

use rustic_core::{
    CheckOptions, Id, IndexedFull, IndexedTree, ReadSubsetOption, Repository, TreeId,
    repofile::{Node, NodeType, SnapshotFile},
};

use super::{ATTEMPTS, Vault, error::VaultError, list, settled};
use crate::model::{
    progress::Reporter,
    verify::{Damaged, Part, Verified},
};

/// So many files of a backup are named; more are counted.
const NAMED: usize = 50;

/// So many findings of rustic are kept.
const FINDINGS: usize = 100;

impl Vault {
    /// Looks at the structure of all backups, or of these where some are given, and reads this part of their data.
    pub fn verify(
        &self,
        backups: &[String],
        part: Option<Part>,
        reporter: &dyn Reporter,
    ) -> Result<Verified, VaultError> {
        reporter.step(1, 2, if part.is_some() { "Reading data" } else { "Looking at the structure" });
        let snapshots = match backups {
            [] => self.snapshots()?,
            ids => ids.iter().map(|id| self.snapshot(id)).collect::<Result<_, _>>()?,
        };
        let storage = self.access.location.storage();
        let backups: Vec<_> = snapshots
            .iter()
            .filter_map(|snapshot| Some((snapshot, list::backup(snapshot, storage)?)))
            .collect();
        let mut options = CheckOptions::default().read_data(part.is_some());
        if let Some(part) = part {
            options = options.read_data_subset(ReadSubsetOption::IdSubSet((part.turn, part.of)));
        }
        let trees: Vec<_> = snapshots.iter().map(|snapshot| snapshot.tree).collect();
        let (problems, bad) = self.findings(options, &trees)?;
        let mut verified = Verified {
            backups: backups.iter().map(|(_, backup)| backup.id.clone()).collect(),
            ..Verified::default()
        };
        if problems.is_empty() {
            return Ok(verified);
        }
        reporter.step(2, 2, "Looking which files are lost");
        let mut search = Search { bad, whole: HashSet::new() };
        let repo = self.indexed()?;
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

    /// What rustic finds wrong, in its words, and the packs it is about. When another server cleaned up meanwhile, it
    /// is looked at again: packs that went are no damage.
    fn findings(
        &self,
        options: CheckOptions,
        trees: &[TreeId],
    ) -> Result<(Vec<String>, HashSet<Id>), VaultError> {
        let (mut problems, mut bad) = (Vec::new(), HashSet::new());
        for _ in 0..ATTEMPTS {
            (problems, bad) = (Vec::new(), HashSet::new());
            let index = self.index()?;
            let results = settled(|| Ok(self.repo.check_with_trees(options, trees.to_vec())?))?;
            // The type of the findings has no name outside of rustic; their words do.
            for (_, error) in results.0.iter().filter(|(level, _)| format!("{level:?}") == "Error") {
                problems.push(error.to_string());
                bad.extend(pack(&format!("{error:?}")));
            }
            if problems.is_empty() || self.index()? == index {
                break;
            }
        }
        Ok((problems, bad))
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
