//! Files of a backup as tar. Owners are numbers, times are exact, extended attributes come along; sockets, which hold
//! nothing, don't.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nix::sys::stat::{major, minor};
use rustic_core::{
    IndexedFullStatus, Repository,
    repofile::{Node, NodeType},
};
use tar::{Builder, EntryType, Header};

use super::{
    browse::{Browser, Content, entry, other},
    error::VaultError,
};

/// The record of a file with several names: how many they are. The others are links to the first.
pub(super) const LINKS: &str = "MONKEY.links";

/// Extended attributes as every `tar` knows them, and (in base64) as those of libarchive do. The first kind breaks
/// readers that split at line ends.
pub(super) const ATTRIBUTE: &str = "SCHILY.xattr.";
/// See [`ATTRIBUTE`].
pub(super) const ATTRIBUTE_BASE64: &str = "LIBARCHIVE.xattr.";

/// Writes a tar.
pub(super) struct Pack<'a, W: Write> {
    browser: &'a Browser,
    pub(super) tar: Builder<W>,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<'a, W: Write> Pack<'a, W> {
    pub(super) fn new(browser: &'a Browser, out: W) -> Self {
        Self { browser, tar: Builder::new(out), links: HashMap::new() }
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.tar.into_inner()
    }

    /// Writes this and all that is in it.
    pub(super) fn entry(&mut self, node: &Node, path: &Path) -> io::Result<()> {
        if matches!(node.node_type, NodeType::Socket) {
            return Ok(());
        }
        if !node.is_dir() && node.meta.links > 1 {
            let group = (node.meta.device_id, node.meta.inode);
            if let Some(first) = self.links.get(&group) {
                return self.tar.append_link(&mut header(node, EntryType::Link, 0), path, first);
            }
            self.links.insert(group, path.to_owned());
        }
        self.records(node)?;
        match &node.node_type {
            NodeType::Dir => {
                let mut header = header(node, EntryType::Directory, 0);
                self.tar.append_data(&mut header, path, io::empty())?;
                for child in self.browser.children(node).map_err(other)? {
                    self.entry(&child, &path.join(&*child.name()))?;
                }
                Ok(())
            }
            NodeType::File => {
                // Not what the entry says: a file that grew while it was backed up is as long as what was read.
                let length = length(&self.browser.repo, node).map_err(other)?;
                let content = Content::new(&self.browser.repo, node, 0).map_err(other)?;
                let mut content = Exactly { content, left: length };
                let mut header = header(node, EntryType::Regular, length);
                self.tar.append_data(&mut header, path, &mut content)
            }
            NodeType::Symlink { .. } => {
                let mut header = header(node, EntryType::Symlink, 0);
                self.tar.append_link(&mut header, path, node.node_type.to_link())
            }
            NodeType::Dev { device } => self.device(node, EntryType::Block, *device, path),
            NodeType::Chardev { device } => self.device(node, EntryType::Char, *device, path),
            NodeType::Fifo | NodeType::Socket => self.device(node, EntryType::Fifo, 0, path),
        }
    }

    /// What has no place in the entry's own header.
    fn records(&mut self, node: &Node) -> io::Result<()> {
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some(time) =
            node.meta.mtime.filter(|time| time.subsec_nanosecond() != 0 || time.as_second() < 0)
        {
            records.push(("mtime".to_owned(), exact(time.as_nanosecond()).into_bytes()));
        }
        if !node.is_dir() && node.meta.links > 1 {
            records.push((LINKS.to_owned(), node.meta.links.to_string().into_bytes()));
        }
        for attribute in &node.meta.extended_attributes {
            if let Some(value) = attribute.value.as_deref() {
                records.push((
                    format!("{ATTRIBUTE_BASE64}{}", attribute.name),
                    STANDARD.encode(value).into_bytes(),
                ));
                records.push((format!("{ATTRIBUTE}{}", attribute.name), value.to_vec()));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        self.tar.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }

    fn device(&mut self, node: &Node, kind: EntryType, device: u64, path: &Path) -> io::Result<()> {
        let mut header = header(node, kind, 0);
        let number = |part: u64| u32::try_from(part).unwrap_or(0);
        header.set_device_major(number(major(device)))?;
        header.set_device_minor(number(minor(device)))?;
        self.tar.append_data(&mut header, path, io::empty())
    }
}

/// Nanoseconds since 1970 as decimal seconds.
fn exact(nanoseconds: i128) -> String {
    let (sign, size) = (if nanoseconds < 0 { "-" } else { "" }, nanoseconds.unsigned_abs());
    format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000)
}

fn header(node: &Node, kind: EntryType, size: u64) -> Header {
    let entry = entry(node);
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(entry.mode);
    header.set_uid(u64::from(entry.uid));
    header.set_gid(u64::from(entry.gid));
    header.set_mtime(u64::try_from(entry.modified).unwrap_or(0));
    header
}

/// Bytes of a file's content.
fn length(repo: &Repository<IndexedFullStatus>, node: &Node) -> Result<u64, VaultError> {
    let content = node.content.iter().flatten();
    content.map(|id| Ok(u64::from(repo.get_index_entry(id)?.data_length()))).sum()
}

/// A file of the promised length. That the vault gives less or more of it is an error, for its length stands in
/// the header already.
struct Exactly<'a> {
    content: Content<'a>,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        let wrong = || io::Error::other("a file has not the length in the vault that its index says");
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(wrong());
        }
        self.left = self.left.checked_sub(read as u64).ok_or_else(wrong)?;
        Ok(read)
    }
}
