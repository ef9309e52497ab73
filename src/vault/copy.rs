//! Copying backups into another vault. rustic skips data that its source lacks, and knows the target as it was at
//! the start; so both ends are looked at here: nothing is called copied that could not be restored from there.

use std::collections::HashSet;
use std::sync::Arc;

use rustic_core::{
    Credentials, DataId, IndexedFull, IndexedTree, Repository, TreeId,
    repofile::{NodeType, SnapshotFile},
};

use super::{Vault, backup::Bars, error::VaultError, list, repository_with, settled};
use crate::model::{
    backup::Backup,
    progress::{Level, Note, Reporter},
};

/// So many backups at a time: the target's index is read once before and once after each portion, and a copy that is
/// interrupted begins again with its portion, whose data is there already.
const PORTION: usize = 32;

/// What a copy did.
#[derive(Debug, Default, Clone)]
pub struct CopyResult {
    /// Backups that are in the other vault now and were not before.
    pub copied: u64,
    /// Backups that could not be copied; a note says why.
    pub failed: u64,
    /// Bytes that the other vault has more.
    pub added: u64,
    /// Ids there of those that were there already.
    pub known: Vec<String>,
}

/// All pieces of data that a backup consists of.
#[derive(Default)]
pub(super) struct Needs {
    trees: HashSet<TreeId>,
    data: HashSet<DataId>,
}

impl Vault {
    /// Copies these backups into another vault. Those that are there already are passed over. One that is damaged
    /// here is not copied: a note names it, and the others go on.
    pub fn copy_to(
        &self,
        to: &Self,
        ids: &[String],
        reporter: &Arc<dyn Reporter>,
    ) -> Result<CopyResult, VaultError> {
        let mut result = CopyResult::default();
        let there: Vec<Backup> = to.list()?;
        let mut wanted = Vec::new();
        for id in ids {
            let snapshot = self.snapshot(id)?;
            let backup = list::backup(&snapshot, self.access.location.storage())
                .ok_or_else(|| VaultError::Broken("its own description is not understood".to_owned()))?;
            if let Some(known) = there.iter().find(|other| other.is_copy_of(&backup)) {
                result.known.push(known.id.clone());
                reporter.note(note(Level::Info, format!("{} is there already.", backup.filename())));
            } else {
                wanted.push((snapshot, backup));
            }
        }
        let source = self.indexed()?;
        let portions = u32::try_from(wanted.len().div_ceil(PORTION)).unwrap_or(u32::MAX);
        for (number, portion) in (1..).zip(wanted.chunks(PORTION)) {
            let names: Vec<_> = portion.iter().map(|(_, backup)| backup.meta.container.as_str()).collect();
            reporter.step(number, portions, &format!("Copying {}", summary(&names)));
            to.take(&source, portion, reporter, &mut result)?;
        }
        Ok(result)
    }

    /// Takes a portion of another vault's backups.
    fn take<S: IndexedFull>(
        &self,
        source: &Repository<S>,
        portion: &[(SnapshotFile, Backup)],
        reporter: &Arc<dyn Reporter>,
        result: &mut CopyResult,
    ) -> Result<(), VaultError> {
        let target = settled(|| {
            let bars = Bars { reporter: reporter.clone(), knows_total: true };
            let (target, _) = repository_with(&self.access, bars)?;
            Ok(target.open(&Credentials::Masterkey(self.repo.key()))?.to_indexed()?)
        })?;
        let mut new = Needs::default();
        let (mut snapshots, mut added) = (Vec::new(), 0);
        for (snapshot, backup) in portion {
            match needs(source, snapshot.tree) {
                Ok(needs) => {
                    let bytes = new.add(source, &target, &needs);
                    added += bytes;
                    let mut snapshot = snapshot.clone();
                    if let Some(summary) = &mut snapshot.summary {
                        summary.data_added_packed = bytes;
                    }
                    snapshots.push((snapshot, backup, needs));
                }
                Err(error) => {
                    result.failed += 1;
                    let text = format!("{} is damaged and was not copied. {error}", backup.filename());
                    reporter.note(note(Level::Error, text));
                }
            }
        }
        reporter.total_bytes(added);
        source.copy(&target, snapshots.iter().map(|(snapshot, ..)| snapshot))?;
        drop(target);

        // A clean-up that ran here meanwhile may have taken data that was there when we looked.
        let arrived = self.indexed()?;
        let list = self.list()?;
        for (_, backup, needs) in &snapshots {
            let copy = list.iter().find(|copy| copy.is_copy_of(backup));
            let missing = needs.missing(&arrived);
            match copy {
                Some(_) if missing == 0 => result.copied += 1,
                Some(copy) => {
                    self.forget(std::slice::from_ref(&copy.id))?;
                    result.failed += 1;
                    let text = format!(
                        "{} was copied, but {missing} pieces of its data were cleaned up meanwhile. The copy was \
                         removed; copy it again.",
                        backup.filename()
                    );
                    reporter.note(note(Level::Error, text));
                }
                None => {
                    result.failed += 1;
                    let text = format!("{} did not arrive in the other vault.", backup.filename());
                    reporter.note(note(Level::Error, text));
                }
            }
        }
        result.added += added;
        Ok(())
    }
}

impl Needs {
    /// Adds what the target lacks; returns its size in the vault, in bytes.
    fn add<S: IndexedFull, T: IndexedFull>(
        &mut self,
        source: &Repository<S>,
        target: &Repository<T>,
        other: &Self,
    ) -> u64 {
        let mut bytes = 0;
        for id in &other.trees {
            if target.get_index_entry(id).is_err() && self.trees.insert(*id) {
                bytes += source.get_index_entry(id).map_or(0, |entry| u64::from(entry.location.length));
            }
        }
        for id in &other.data {
            if target.get_index_entry(id).is_err() && self.data.insert(*id) {
                bytes += source.get_index_entry(id).map_or(0, |entry| u64::from(entry.location.length));
            }
        }
        bytes
    }

    /// How many of them a vault lacks.
    fn missing<S: IndexedFull>(&self, repo: &Repository<S>) -> usize {
        let trees = self.trees.iter().filter(|id| repo.get_index_entry(*id).is_err()).count();
        trees + self.data.iter().filter(|id| repo.get_index_entry(*id).is_err()).count()
    }
}

/// Everything below this tree; an error if the vault lacks any of it.
pub(super) fn needs<S: IndexedFull + IndexedTree>(
    repo: &Repository<S>,
    root: TreeId,
) -> Result<Needs, VaultError> {
    let mut needs = Needs::default();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if !needs.trees.insert(id) {
            continue;
        }
        for node in repo.get_tree(&id)?.nodes {
            match node.node_type {
                NodeType::Dir => open.extend(node.subtree),
                NodeType::File => needs.data.extend(node.content.into_iter().flatten()),
                _ => {}
            }
        }
    }
    match needs.missing(repo) {
        0 => Ok(needs),
        count => Err(VaultError::Broken(format!("{count} pieces of its data are not in the vault"))),
    }
}

fn summary(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn note(level: Level, text: String) -> Note {
    Note { level, text }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
pub(super) mod tests;
