//! What is different between two backups of a vault, or between a backup and what is on this machine: both trees are
//! gone through by name, side by side. What two backups share is not read at all. In hand are one folder of each
//! depth and the changes asked for, however many files there are.

use std::{cmp::Ordering, iter::Peekable, os::unix::ffi::OsStrExt, path::PathBuf, vec::IntoIter};

use rustic_core::repofile::{Node, NodeType, SnapshotFile};

use super::{
    Vault,
    browse::{Browser, entry},
    error::VaultError,
    node::permissions,
    present::Present,
};
use crate::model::{
    changes::{Aspect, Change, ChangeKind, Changes, Pair, Spot, State, Sum, Wanted},
    files::{InnerPath, Measure, encode},
};

/// So many problems are named; more are counted.
const NAMED: usize = 50;

/// Two states of the same thing, with the vault's index in hand.
pub struct Comparison {
    before: Browser,
    after: Option<SnapshotFile>,
}

impl Vault {
    /// Makes ready to compare a backup with a later one, or with what is on this machine.
    pub fn compare(&self, before: &str, after: Option<&str>) -> Result<Comparison, VaultError> {
        let after = after.map(|id| self.snapshot(id)).transpose()?;
        Ok(Comparison { before: self.browse(before)?, after })
    }
}

impl Comparison {
    /// What differs. `sources`: paths of this machine that the pairs name by their place.
    pub fn changes(&self, sources: &[PathBuf], wanted: &Wanted) -> Result<Changes, VaultError> {
        let mut search = Search { wanted, found: Changes::default(), problems: Problems::default(), pair: 0 };
        for (place, pair) in wanted.pairs.iter().enumerate() {
            search.pair = place;
            self.pair(pair, sources, &mut search)?;
        }
        let Problems { named, more } = search.problems;
        Ok(Changes { problems: named, more_problems: more, ..search.found })
    }

    fn pair(&self, pair: &Pair, sources: &[PathBuf], search: &mut Search<'_>) -> Result<(), VaultError> {
        let backup = Tree::Backup(&self.before);
        let was = pair.before.as_ref().map(|path| self.top(&self.before.snapshot, path)).transpose()?;
        match (&pair.after, &self.after) {
            (None, _) => search.compare(&[backup, backup], was, None),
            (Some(Spot::Backup(path)), Some(after)) => {
                search.compare(&[backup, backup], was, Some(self.top(after, path)?))
            }
            (Some(Spot::Host(source)), None) => {
                let path = sources.get(*source);
                let path =
                    path.ok_or_else(|| VaultError::Place("The order names no such path.".to_owned()))?;
                let present = Present::open(path)?;
                search.compare(&[backup, Tree::Host(&present)], was, Some(present.node()?))
            }
            (Some(_), _) => {
                Err(VaultError::Place("A part is compared with neither of the two states.".to_owned()))
            }
        }
    }

    /// The top of a part. What the backup says to hold must be there.
    fn top(&self, snapshot: &SnapshotFile, path: &InnerPath) -> Result<Node, VaultError> {
        let found = self.before.find_in(snapshot.tree, path)?;
        let missing = || VaultError::Broken(format!("{} is not in it", path.as_str()));
        Ok(found.ok_or_else(missing)?.0)
    }
}

/// Where one of the two states is.
#[derive(Clone, Copy)]
enum Tree<'a> {
    Backup(&'a Browser),
    Host(&'a Present),
}

impl Tree<'_> {
    /// What is in a folder, by name; `None` when that can't be found out, which is a problem then.
    fn children(
        self,
        folder: &Node,
        path: &InnerPath,
        problems: &mut Problems,
    ) -> Result<Option<Vec<Known>>, VaultError> {
        let browser = match self {
            Self::Backup(browser) => browser,
            Self::Host(present) => return Ok(present.children(path, problems)),
        };
        let nodes = browser.children(folder)?.into_iter();
        let mut known: Vec<_> =
            nodes.map(|node| Known { name: node.name().as_bytes().to_vec(), node: Some(node) }).collect();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(known))
    }

    /// A file or folder with all that is in it.
    fn state(self, node: &Node, path: &InnerPath, problems: &mut Problems) -> Result<State, VaultError> {
        let mut measure = measure(node);
        let mut left = vec![(node.clone(), path.clone())];
        while let Some((folder, path)) = left.pop().filter(|(node, _)| node.is_dir()) {
            for known in self.children(&folder, &path, problems)?.into_iter().flatten() {
                let Some(node) = known.node else { continue };
                add(&mut measure, self::measure(&node));
                if node.is_dir() {
                    left.push((node, path.join(&encode(&known.name))));
                }
            }
        }
        Ok(State { entry: entry(node), measure })
    }
}

/// A file by itself; nothing for a folder.
fn measure(node: &Node) -> Measure {
    if node.is_dir() { Measure::default() } else { Measure { files: 1, bytes: node.meta.size } }
}

fn add(sum: &mut Measure, more: Measure) {
    sum.files += more.files;
    sum.bytes += more.bytes;
}

/// An entry of a folder.
pub(super) struct Known {
    pub(super) name: Vec<u8>,
    /// `None`: it can't be looked at, so nothing is said of it.
    pub(super) node: Option<Node>,
}

/// What could not be compared.
#[derive(Default)]
pub(super) struct Problems {
    named: Vec<String>,
    more: u64,
}

impl Problems {
    pub(super) fn add(&mut self, text: String) {
        if self.named.len() < NAMED {
            self.named.push(text);
        } else {
            self.more += 1;
        }
    }
}

/// A folder that is gone through, with what is left of it in both states.
struct Folder {
    path: InnerPath,
    before: Peekable<IntoIter<Known>>,
    after: Peekable<IntoIter<Known>>,
}

impl Folder {
    fn new(path: InnerPath, before: Vec<Known>, after: Vec<Known>) -> Self {
        Self { path, before: before.into_iter().peekable(), after: after.into_iter().peekable() }
    }

    /// The next name, as it was and as it is.
    fn next(&mut self) -> Option<(Option<Known>, Option<Known>)> {
        let order = match (self.before.peek(), self.after.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => was.name.cmp(&is.name),
        };
        let was = if order.is_le() { self.before.next() } else { None };
        let is = if order.is_ge() { self.after.next() } else { None };
        Some((was, is))
    }
}

struct Search<'a> {
    wanted: &'a Wanted,
    found: Changes,
    problems: Problems,
    /// The part that is compared.
    pair: usize,
}

impl Search<'_> {
    /// Goes through a part as it was and as it is.
    fn compare(
        &mut self,
        trees: &[Tree<'_>; 2],
        was: Option<Node>,
        is: Option<Node>,
    ) -> Result<(), VaultError> {
        let top = |node: Option<Node>| {
            node.map(|node| Known { name: Vec::new(), node: Some(node) }).into_iter().collect()
        };
        let mut folders = vec![Folder::new(InnerPath::default(), top(was), top(is))];
        while let Some(folder) = folders.last_mut() {
            let Some((was, is)) = folder.next() else {
                folders.pop();
                continue;
            };
            let name = was.as_ref().or(is.as_ref()).map(|known| encode(&known.name)).unwrap_or_default();
            let path = folder.path.join(&name);
            match (was.map(|known| known.node), is.map(|known| known.node)) {
                (Some(Some(was)), Some(Some(is))) => folders.extend(self.both(trees, path, &was, &is)?),
                (Some(Some(was)), None) => {
                    let state = trees[0].state(&was, &path, &mut self.problems)?;
                    self.tell(path, ChangeKind::Removed, Some(state), None, Vec::new());
                }
                (None, Some(Some(is))) => {
                    let state = trees[1].state(&is, &path, &mut self.problems)?;
                    self.tell(path, ChangeKind::Added, None, Some(state), Vec::new());
                }
                // One of them can't be looked at.
                _ => {}
            }
        }
        Ok(())
    }

    /// What is there before and after; the folder, if what is in it is to be compared, too.
    fn both(
        &mut self,
        trees: &[Tree<'_>; 2],
        path: InnerPath,
        was: &Node,
        is: &Node,
    ) -> Result<Option<Folder>, VaultError> {
        let two_backups = matches!(trees[1], Tree::Backup(_));
        let aspects = aspects(was, is, two_backups);
        let folders = was.is_dir() && is.is_dir();
        if !aspects.is_empty() {
            let alone = |node: &Node| State { entry: entry(node), measure: measure(node) };
            let (before, after) = if folders {
                (alone(was), alone(is))
            } else {
                let before = trees[0].state(was, &path, &mut self.problems)?;
                (before, trees[1].state(is, &path, &mut self.problems)?)
            };
            self.tell(path.clone(), ChangeKind::Changed, Some(before), Some(after), aspects);
        }
        let shared = two_backups && was.subtree == is.subtree;
        if !folders || shared {
            return Ok(None);
        }
        let before = trees[0].children(was, &path, &mut self.problems)?;
        let after = trees[1].children(is, &path, &mut self.problems)?;
        Ok(before.zip(after).map(|(before, after)| Folder::new(path, before, after)))
    }

    fn tell(
        &mut self,
        path: InnerPath,
        kind: ChangeKind,
        before: Option<State>,
        after: Option<State>,
        aspects: Vec<Aspect>,
    ) {
        let place = self.found.count(self.wanted.kind);
        let sum: &mut Sum = match kind {
            ChangeKind::Added => &mut self.found.added,
            ChangeKind::Changed => &mut self.found.changed,
            ChangeKind::Removed => &mut self.found.removed,
        };
        sum.rows += 1;
        for (sum, state) in [(&mut sum.before, &before), (&mut sum.after, &after)] {
            add(sum, state.as_ref().map(|state| state.measure).unwrap_or_default());
        }
        let is_wanted = self.wanted.kind.is_none_or(|wanted| wanted == kind);
        if is_wanted && place >= self.wanted.offset && self.found.rows.len() < self.wanted.limit {
            self.found.rows.push(Change { pair: self.pair, path, kind, before, after, aspects });
        }
    }
}

/// In what two entries of the same name differ. Content is compared between backups only: a backup itself takes a file
/// of this machine for unchanged when size and time are what they were. A folder's time tells only that something in
/// it came or went.
fn aspects(was: &Node, is: &Node, two_backups: bool) -> Vec<Aspect> {
    let mut found = Vec::new();
    match (&was.node_type, &is.node_type) {
        (NodeType::File, NodeType::File) => {
            let contents = [was, is].map(|node| node.content.as_deref().unwrap_or_default());
            let same = was.meta.size == is.meta.size && (!two_backups || contents[0] == contents[1]);
            found.extend((!same).then_some(Aspect::Content));
        }
        (NodeType::Symlink { .. }, NodeType::Symlink { .. }) => {
            let same = was.node_type.to_link() == is.node_type.to_link();
            found.extend((!same).then_some(Aspect::Target));
        }
        (before, after) if before != after => return vec![Aspect::Type],
        _ => {}
    }
    let mode = |node: &Node| permissions(node.meta.mode.unwrap_or(0));
    let owner = |node: &Node| (node.meta.uid.unwrap_or(0), node.meta.gid.unwrap_or(0));
    let attributes = |node: &Node| {
        let mut attributes: Vec<_> = node.meta.extended_attributes.clone();
        attributes.sort();
        attributes
    };
    let timed = !was.is_dir() && !is_whiteout(was);
    let time = timed && found.is_empty() && was.meta.mtime != is.meta.mtime;
    found.extend((mode(was) != mode(is)).then_some(Aspect::Mode));
    found.extend((owner(was) != owner(is)).then_some(Aspect::Owner));
    found.extend((attributes(was) != attributes(is)).then_some(Aspect::Attributes));
    found.extend(time.then_some(Aspect::Time));
    found
}

/// A storage driver's mark that something is deleted, made anew with each container: a character device 0/0, or a file
/// of that name (Linux, Documentation/filesystems/overlayfs.rst; OCI image layer, Whiteouts).
fn is_whiteout(node: &Node) -> bool {
    match node.node_type {
        NodeType::Chardev { device } => device == 0,
        NodeType::File => node.meta.size == 0 && node.name().as_bytes().starts_with(b".wh."),
        _ => false,
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
