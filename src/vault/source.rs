//! What rustic reads: manifest, image and data as one tree of entries.
//!
//! rustic drops what it cannot read with a log line only. So nothing here
//! fails silently: the walk and every reader write into the item's record, and
//! the backup's state is decided from the records.

use std::{
    collections::VecDeque,
    fs::OpenOptions,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::Arc,
};

use nix::fcntl::OFlag;
use rustic_core::{
    ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult, repofile::Node,
};

use super::{
    tar_data::TarData,
    walk::{Record, Walk, shown, size},
};

/// One stretch of the tree, in order.
#[derive(Clone)]
pub(super) enum Part {
    /// A directory of our own.
    Directory(PathBuf, Node),
    /// A small file from memory.
    Text(PathBuf, Node, Arc<Vec<u8>>),
    /// A file of ours on disk (an image blob).
    File(PathBuf, Node, PathBuf, Arc<Record>),
    /// A file whose content an earlier backup has: it must never be opened.
    Known(PathBuf, Node, Arc<Record>),
    /// Files of the user.
    Data(PathBuf, PathBuf, Arc<Record>),
    /// Files of the user, out of another program's archive.
    Tar(PathBuf, Arc<TarData>, Arc<Record>),
}

/// The whole tree.
pub(super) struct Source {
    pub(super) parts: Vec<Part>,
}

impl ReadSource for Source {
    type Open = Open;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        let of = |part: &Part| match part {
            Part::Directory(..) => 0,
            Part::Text(_, node, _) | Part::File(_, node, _, _) | Part::Known(_, node, _) => node.meta.size,
            Part::Data(_, host, _) => size(host),
            Part::Tar(_, data, _) => data.size(),
        };
        Ok(Some(self.parts.iter().map(of).sum()))
    }

    fn entries(&self) -> Entries {
        Entries { parts: self.parts.iter().cloned().collect(), walk: None, tar: None }
    }
}

/// See [`Source`].
pub(super) struct Entries {
    parts: VecDeque<Part>,
    walk: Option<(Walk, Arc<Record>)>,
    tar: Option<(PathBuf, Arc<TarData>, usize, Arc<Record>)>,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Open>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((walk, record)) = &mut self.walk {
                match walk.next(record) {
                    Some(found) => {
                        record.count(found.node.meta.size);
                        let open = found.node.is_file().then(|| Open::File {
                            path: found.host,
                            size: found.node.meta.size,
                            record: record.clone(),
                        });
                        return Some(Ok(ReadSourceEntry { path: found.path, node: found.node, open }));
                    }
                    None => self.walk = None,
                }
            }
            if let Some(entry) = self.tar_entry() {
                return Some(Ok(entry));
            }
            let (path, node, open) = match self.parts.pop_front()? {
                Part::Data(path, host, record) => {
                    self.walk = Some((Walk::new(path, host), record));
                    continue;
                }
                Part::Tar(path, data, record) => {
                    self.tar = Some((path, data, 0, record));
                    continue;
                }
                Part::Directory(path, node) => (path, node, None),
                Part::Text(path, node, text) => (path, node, Some(Open::Text(text))),
                Part::File(path, node, host, record) => {
                    record.count(node.meta.size);
                    let size = node.meta.size;
                    (path, node, Some(Open::File { path: host, size, record }))
                }
                Part::Known(path, node, record) => {
                    record.count(node.meta.size);
                    (path, node, Some(Open::Known(record)))
                }
            };
            return Some(Ok(ReadSourceEntry { path, node, open }));
        }
    }
}

impl Entries {
    /// The next entry of the tar in hand.
    fn tar_entry(&mut self) -> Option<ReadSourceEntry<Open>> {
        let (root, data, next, record) = self.tar.as_mut()?;
        let Some(entry) = data.entries.get(*next) else {
            self.tar = None;
            return None;
        };
        *next += 1;
        record.count(entry.node.meta.size);
        let top = entry.path.as_os_str().is_empty();
        let path = if top { root.clone() } else { root.join(&entry.path) };
        let mut node = entry.node.clone();
        if top {
            // It is called as its place in the backup.
            node = Node::new_node(path.file_name().unwrap_or_default(), node.node_type, node.meta);
        }
        let open = entry.content.map(|(offset, size)| Open::Slice {
            path: data.file.clone(),
            offset,
            size,
            record: record.clone(),
        });
        Some(ReadSourceEntry { path, node, open })
    }
}

/// How to read an entry.
pub(super) enum Open {
    Text(Arc<Vec<u8>>),
    File { path: PathBuf, size: u64, record: Arc<Record> },
    Known(Arc<Record>),
    Slice { path: PathBuf, offset: u64, size: u64, record: Arc<Record> },
}

impl ReadSourceOpen for Open {
    type Reader = Reader;

    fn open(self) -> RusticResult<Reader> {
        match self {
            Self::Text(text) => Ok(Reader::Text(text, 0)),
            Self::Known(record) => {
                let why = "The vault no longer has all of the image that an earlier backup saved. Verify the vault.";
                record.fail(why.to_owned());
                Err(RusticError::new(ErrorKind::InputOutput, why))
            }
            Self::Slice { path, offset, size, record } => {
                let opened = std::fs::File::open(&path).and_then(|mut file| {
                    file.seek(SeekFrom::Start(offset))?;
                    Ok(file)
                });
                match opened {
                    Ok(file) => {
                        Ok(Reader::File { file: file.take(size), path, expected: size, read: 0, record })
                    }
                    Err(error) => {
                        record.fail(format!("What was unpacked can't be read ({error})."));
                        Err(RusticError::with_source(ErrorKind::InputOutput, "a file can't be opened", error))
                    }
                }
            }
            Self::File { path, size, record } => {
                let opened = OpenOptions::new()
                    .read(true)
                    // Not through a link that took the file's place, and never waiting for a pipe.
                    .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits())
                    .open(&path);
                let file = opened.and_then(|file| {
                    if file.metadata()?.is_file() {
                        Ok(file)
                    } else {
                        Err(io::Error::other("it changed its kind"))
                    }
                });
                match file {
                    Ok(file) => {
                        // As long as it is; it may have grown.
                        Ok(Reader::File { file: file.take(u64::MAX), path, expected: size, read: 0, record })
                    }
                    Err(error) => {
                        let why = match error.kind() {
                            io::ErrorKind::NotFound => "it disappeared while it was read".to_owned(),
                            _ => error.to_string(),
                        };
                        record.warn(format!("{} is not in the backup: {why}.", shown(&path)));
                        Err(RusticError::with_source(ErrorKind::InputOutput, "a file can't be opened", error))
                    }
                }
            }
        }
    }
}

/// Reads an entry and records what goes wrong.
pub(super) enum Reader {
    Text(Arc<Vec<u8>>, usize),
    File { file: io::Take<std::fs::File>, path: PathBuf, expected: u64, read: u64, record: Arc<Record> },
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Text(text, at) => {
                let count = (&text[*at..]).read(buffer)?;
                *at += count;
                Ok(count)
            }
            Self::File { file, path, expected, read, record } => match file.read(buffer) {
                Ok(0) if !buffer.is_empty() => {
                    if *read != *expected && *expected != u64::MAX {
                        record.warn(format!(
                            "{} changed while it was read: {expected} bytes at first, {read} in the backup.",
                            shown(path)
                        ));
                        *expected = u64::MAX;
                    }
                    Ok(0)
                }
                Ok(count) => {
                    *read += count as u64;
                    Ok(count)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
                Err(error) => {
                    record.warn(format!("{} is not in the backup: {error}.", shown(path)));
                    Err(error)
                }
            },
        }
    }
}
