//! The files of a backup, without bringing them back: found, listed, read, packed.

use std::{
    cmp::Reverse,
    ffi::OsStr,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use rustic_core::{
    IndexedFullStatus, Repository, TreeId,
    jiff::Timestamp,
    repofile::{Node, NodeType, SnapshotFile},
    vfs::OpenFile,
};

use super::{Vault, error::VaultError, node, pack::Pack};
use crate::model::files::{Entry, EntryKind, InnerPath, Listing, Measure, SortBy, Window, encode};

/// Bytes that are read at once.
const PIECE: usize = 1024 * 1024;

/// One backup, with the vault's index in hand.
pub struct Browser {
    pub(super) repo: Repository<IndexedFullStatus>,
    pub(super) snapshot: SnapshotFile,
}

/// A file or folder of it.
pub struct Found(pub(super) Node);

impl Vault {
    /// Makes ready to look into a backup.
    pub fn browse(&self, backup: &str) -> Result<Browser, VaultError> {
        Ok(Browser { snapshot: self.snapshot(backup)?, repo: self.indexed()? })
    }
}

impl Found {
    pub(super) fn children(&self, browser: &Browser) -> Result<Vec<Node>, VaultError> {
        browser.children(&self.0)
    }

    /// As it is listed.
    pub fn entry(&self) -> Entry {
        entry(&self.0)
    }
}

impl Browser {
    /// What is at this path; `None` when nothing is.
    pub fn find(&self, path: &InnerPath) -> Result<Option<Found>, VaultError> {
        self.find_in(self.snapshot.tree, path)
    }

    /// What is at this path in a tree of the same vault.
    pub(super) fn find_in(&self, tree: TreeId, path: &InnerPath) -> Result<Option<Found>, VaultError> {
        let mut node = node::own("", NodeType::Dir, 0);
        node.subtree = Some(tree);
        for name in path.bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let inside = self.children(&node)?;
            let Some(next) = inside.into_iter().find(|child| child.name().as_bytes() == name) else {
                return Ok(None);
            };
            node = next;
        }
        Ok(Some(Found(node)))
    }

    /// Part of a folder, folders first.
    pub fn list(&self, folder: &Found, window: Window) -> Result<Listing, VaultError> {
        let mut rows: Vec<Entry> = self.children(&folder.0)?.iter().map(entry).collect();
        let key = |row: &Entry| {
            let order = match window.sort {
                SortBy::Name => 0,
                SortBy::Size => i64::try_from(row.size).unwrap_or(i64::MAX),
                SortBy::Modified => row.modified,
            };
            (order, row.name.to_ascii_lowercase(), row.name.clone())
        };
        let below = |row: &Entry| row.kind != EntryKind::Dir;
        if window.descending {
            rows.sort_by_cached_key(|row| (below(row), Reverse(key(row))));
        } else {
            rows.sort_by_cached_key(|row| (below(row), key(row)));
        }
        let (total, folders) = (rows.len(), rows.iter().filter(|row| !below(row)).count());
        let entries = rows.into_iter().skip(window.offset).take(window.limit).collect();
        Ok(Listing { entries, total, folders })
    }

    /// How many files there are in all of a folder, and their bytes.
    pub fn measure(&self, found: &Found) -> Result<Measure, VaultError> {
        let mut measure = Measure::default();
        let mut left = vec![found.0.clone()];
        while let Some(node) = left.pop() {
            if node.is_dir() {
                left.extend(self.children(&node)?);
            } else {
                measure.files += 1;
                measure.bytes += node.meta.size;
            }
        }
        Ok(measure)
    }

    /// The bytes of a file from there on.
    pub fn reader(&self, file: &Found, start: u64) -> Result<impl Read, VaultError> {
        Content::new(&self.repo, &file.0, start)
    }

    /// The same for the same backup, and another for every other.
    pub fn tag(&self) -> String {
        self.snapshot.id.to_hex().as_str()[..32].to_owned()
    }

    /// Writes a folder and all that is in it as tar; names begin with `prefix`. Extended attributes come along;
    /// sockets, which hold nothing, don't.
    pub fn pack<W: Write>(&self, folder: &Found, prefix: &[u8], out: W) -> io::Result<W> {
        let mut pack = Pack::new(self, out);
        pack.entry(&folder.0, Path::new(OsStr::from_bytes(prefix)))?;
        pack.finish()
    }

    pub(super) fn children(&self, folder: &Node) -> Result<Vec<Node>, VaultError> {
        let Some(tree) = &folder.subtree else { return Ok(Vec::new()) };
        let nodes = self.repo.get_tree(tree)?.nodes;
        // A hostile backup must not name what is not in it.
        let odd = |name: &[u8]| name.is_empty() || name == b"." || name == b".." || name.contains(&b'/');
        match nodes.iter().find(|child| odd(child.name().as_bytes())) {
            Some(child) => {
                Err(VaultError::Broken(format!("it has an entry called “{}”", child.name().display())))
            }
            None => Ok(nodes),
        }
    }
}

pub(super) fn entry(node: &Node) -> Entry {
    let kind = match node.node_type {
        NodeType::Dir => EntryKind::Dir,
        NodeType::File => EntryKind::File,
        NodeType::Symlink { .. } => EntryKind::Symlink,
        NodeType::Fifo => EntryKind::Fifo,
        NodeType::Socket => EntryKind::Socket,
        NodeType::Dev { .. } | NodeType::Chardev { .. } => EntryKind::Device,
    };
    let link = (kind == EntryKind::Symlink).then(|| node.node_type.to_link());
    Entry {
        name: encode(node.name().as_bytes()),
        kind,
        size: node.meta.size,
        mode: node::permissions(node.meta.mode.unwrap_or(0)),
        uid: node.meta.uid.unwrap_or(0),
        gid: node.meta.gid.unwrap_or(0),
        modified: node.meta.mtime.map_or(0, Timestamp::as_second),
        target: link.map(|target| encode(target.as_os_str().as_bytes())),
    }
}

/// A file of the vault as a reader.
pub(super) struct Content<'a> {
    repo: &'a Repository<IndexedFullStatus>,
    file: OpenFile,
    at: usize,
    piece: bytes::Bytes,
}

impl<'a> Content<'a> {
    pub(super) fn new(
        repo: &'a Repository<IndexedFullStatus>,
        node: &Node,
        start: u64,
    ) -> Result<Self, VaultError> {
        let at = usize::try_from(start).unwrap_or(usize::MAX);
        Ok(Self { repo, file: repo.open_file(node)?, at, piece: bytes::Bytes::new() })
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let piece = self.repo.read_file_at(&self.file, self.at, PIECE);
            self.piece = piece.map_err(|error| other(error.into()))?;
            self.at += self.piece.len();
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

pub(super) fn other(error: VaultError) -> io::Error {
    io::Error::other(error)
}
