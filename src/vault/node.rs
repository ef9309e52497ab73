//! Files of this machine as nodes of a backup and back: modes, times, extended
//! attributes. Modes are stored as Go's `os.FileMode`, as restic does.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::Metadata as FileMetadata,
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustic_core::{
    jiff::Timestamp,
    repofile::{Metadata, Node, NodeType},
};

/// Go's bits for what is not a permission (`io/fs/fs.go`).
const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const FIFO: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const CHAR: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;

/// Extended attributes that belong to the machine, not to the data.
const FOREIGN: [&str; 3] = ["security.selinux", "security.ima", "security.evm"];

/// Those of the kernel's overlay file system that say what a container changed: that a directory hides the image's one
/// of the same name, that it was renamed, that only a file's attributes changed. Its others are notes about this disk
/// (Linux, Documentation/filesystems/overlayfs.rst).
const OVERLAY: [&[u8]; 3] = [b"opaque", b"redirect", b"metacopy"];

/// The node for what `path` is. The attributes that could not be read are the second part.
pub(super) fn of_file(path: &Path, name: &OsStr, meta: &FileMetadata) -> io::Result<(Node, Vec<String>)> {
    let kind = meta.file_type();
    let node_type = if kind.is_dir() {
        NodeType::Dir
    } else if kind.is_symlink() {
        NodeType::from_link(&std::fs::read_link(path)?)
    } else if kind.is_block_device() {
        NodeType::Dev { device: meta.rdev() }
    } else if kind.is_char_device() {
        NodeType::Chardev { device: meta.rdev() }
    } else if kind.is_fifo() {
        NodeType::Fifo
    } else if kind.is_socket() {
        NodeType::Socket
    } else {
        NodeType::File
    };
    let (attributes, mut problems) = attributes(path)?;
    let time = |seconds: i64, nanos: i64| Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)).ok();
    let mtime = time(meta.mtime(), meta.mtime_nsec());
    if mtime.is_none() {
        problems.push("its time".to_owned());
    }
    let links = if kind.is_dir() { 0 } else { meta.nlink() };
    let metadata = Metadata {
        mode: Some(to_go(meta.mode())),
        mtime,
        // Reading changes the access time; with it every backup would be a new tree.
        atime: mtime,
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        uid: Some(meta.uid()),
        gid: Some(meta.gid()),
        user: None,
        group: None,
        inode: meta.ino(),
        device_id: if links > 1 { meta.dev() } else { 0 },
        size: if kind.is_file() { meta.len() } else { 0 },
        links,
        extended_attributes: serde_json::from_value(attributes).map_err(io::Error::other)?,
    };
    Ok((Node::new_node(name, node_type, metadata), problems))
}

/// A directory or file of our own, always with the same times, so that it is recognised.
pub(super) fn own(name: &str, node_type: NodeType, size: u64) -> Node {
    let directory = matches!(node_type, NodeType::Dir);
    let metadata = Metadata {
        mode: Some(if directory { DIR | 0o700 } else { 0o600 }),
        mtime: Some(Timestamp::UNIX_EPOCH),
        atime: Some(Timestamp::UNIX_EPOCH),
        ctime: Some(Timestamp::UNIX_EPOCH),
        uid: Some(0),
        gid: Some(0),
        size,
        links: u64::from(!directory),
        ..Metadata::default()
    };
    Node::new_node(OsStr::new(name), node_type, metadata)
}

/// As JSON, the only way to make rustic's type, which it does not export.
fn attributes(path: &Path) -> io::Result<(serde_json::Value, Vec<String>)> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if unsupported(&error) => return Ok((serde_json::json!([]), Vec::new())),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    let mut problems = Vec::new();
    for name in names.filter(|name| !is_foreign(name)) {
        match (xattr::get(path, &name), name.to_str()) {
            (Ok(Some(value)), Some(text)) => {
                found.insert(text.to_owned(), STANDARD.encode(value));
            }
            (Ok(None), _) => {}
            (Ok(Some(_)), None) => problems.push(format!("attribute {} (its name)", name.to_string_lossy())),
            (Err(error), _) => problems.push(format!("attribute {} ({error})", name.to_string_lossy())),
        }
    }
    let found = found.into_iter().map(|(name, value)| serde_json::json!({ "name": name, "value": value }));
    Ok((found.collect(), problems))
}

/// Attributes that neither a backup takes nor a restore removes.
pub(super) fn is_foreign(name: &OsStr) -> bool {
    let of_overlay = name.as_bytes().strip_prefix(b"trusted.overlay.");
    FOREIGN.iter().any(|foreign| name.as_bytes() == foreign.as_bytes())
        || of_overlay.is_some_and(|name| !OVERLAY.contains(&name))
}

pub(super) fn unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(nix::errno::Errno::ENOTSUP as i32)
}

/// Unix mode → Go mode.
pub(super) fn to_go(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => DIR,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHAR,
        0o010_000 => FIFO,
        0o140_000 => SOCKET,
        _ => 0,
    };
    let bit = |unix: u32, go: u32| if mode & unix == 0 { 0 } else { go };
    (mode & 0o777) | kind | bit(0o4000, SETUID) | bit(0o2000, SETGID) | bit(0o1000, STICKY)
}

/// Permission bits of a Go mode, with set-id and sticky bits.
pub(super) fn permissions(go: u32) -> u32 {
    let bit = |go_bit: u32, unix: u32| if go & go_bit == 0 { 0 } else { unix };
    (go & 0o777) | bit(SETUID, 0o4000) | bit(SETGID, 0o2000) | bit(STICKY, 0o1000)
}

/// Names of the attributes a node has.
pub(super) fn attribute_names(node: &Node) -> Vec<OsString> {
    node.meta.extended_attributes.iter().map(|attribute| OsString::from(&attribute.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_survive_the_way_to_go_and_back() {
        for mode in [0o100_644, 0o104_755, 0o042_775, 0o041_777, 0o020_620, 0o140_700] {
            assert_eq!(permissions(to_go(mode)), mode & 0o7777, "{mode:o}");
        }
        assert_eq!(to_go(0o020_000) & (DEVICE | CHAR), DEVICE | CHAR);
    }

    #[test]
    fn what_a_container_changed_is_kept_and_notes_about_the_disk_are_not() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["opaque", "origin", "impure", "redirect", "nlink"] {
            xattr::set(directory.path(), format!("trusted.overlay.{name}"), b"y").unwrap();
        }
        let meta = directory.path().metadata().unwrap();
        let (node, problems) = of_file(directory.path(), OsStr::new("d"), &meta).unwrap();
        assert_eq!(attribute_names(&node), ["trusted.overlay.opaque", "trusted.overlay.redirect"]);
        assert_eq!(problems, Vec::<String>::new());
    }
}
