//! The files of a foreign tar as part of a backup. Such a tar comes in any order, so it is kept, unpacked by nobody, and
//! its entries are put in order. None of its names becomes one on this machine's disk.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustic_core::repofile::{Node, NodeType};
use tar::{Archive, EntryType};

use super::member::{Member, Records, group};

/// So many entries are understood at most: what is known of them is kept in memory.
const ENTRIES: usize = 5_000_000;

/// Bytes that must stay free on the disk.
const SPARE: u64 = 256 * 1024 * 1024;

/// A tar whose entries are in the order of a backup.
#[derive(Debug)]
pub(super) struct TarData {
    pub(super) file: PathBuf,
    pub(super) entries: Vec<TarEntry>,
}

/// One file or folder.
#[derive(Debug, Clone)]
pub(super) struct TarEntry {
    /// Relative; empty for the top folder.
    pub(super) path: PathBuf,
    pub(super) node: Node,
    /// Where a file's content is in the tar: first byte and length.
    pub(super) content: Option<(u64, u64)>,
}

impl TarData {
    /// Keeps an uncompressed tar in this file and looks through it.
    pub(super) fn read(mut tar: impl Read, file: PathBuf) -> Result<Self, String> {
        keep(&mut tar, &file).map_err(|error| format!("its data is damaged or can't be kept ({error})"))?;
        let entries = look(&file)?;
        Ok(Self { file, entries })
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> u64 {
        self.entries.iter().filter_map(|entry| entry.content).map(|(_, size)| size).sum()
    }
}

/// Copies to a file, as long as the disk has room.
pub(super) fn keep(from: &mut impl Read, file: &Path) -> io::Result<()> {
    let mut out = File::create_new(file)?;
    let mut piece = vec![0; 1024 * 1024];
    let mut unchecked = u64::MAX;
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return out.flush();
        }
        unchecked = unchecked.saturating_add(read as u64);
        if unchecked > SPARE / 4 {
            let free = nix::sys::statvfs::fstatvfs(&out)?;
            if free.blocks_available() as u64 * free.fragment_size() as u64 <= SPARE {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            unchecked = 0;
        }
        out.write_all(&piece[..read])?;
    }
}

type Found = BTreeMap<Vec<OsString>, TarEntry>;

fn look(file: &Path) -> Result<Vec<TarEntry>, String> {
    let damaged = |error: io::Error| format!("its data is damaged ({error})");
    let opened = File::open(file).map_err(damaged)?;
    let mut found = Found::new();
    let mut names: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let mut records = Records::default();
    for entry in Archive::new(opened).entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        if records.take_in(&mut entry)? || entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let member = Member::dotted(&entry, std::mem::take(&mut records))?;
        if member.kind == EntryType::Link {
            names.entry(member.target).or_default().push(member.path);
            continue;
        }
        let content = (member.kind == EntryType::Regular).then(|| (entry.raw_file_position(), member.size));
        found.insert(steps(&member.path), TarEntry { node: member.node(), path: member.path, content });
        if found.len() > ENTRIES {
            return Err(format!("it has more than {ENTRIES} entries"));
        }
    }
    for (first, others) in names {
        link(&mut found, &first, others)?;
    }
    complete(&mut found)?;
    Ok(found.into_values().collect())
}

fn steps(path: &Path) -> Vec<OsString> {
    path.components().map(|name| name.as_os_str().to_owned()).collect()
}

/// Gives a file its other names.
fn link(found: &mut Found, first: &Path, others: Vec<PathBuf>) -> Result<(), String> {
    let missing = || format!("{} has a second name and is not there", first.display());
    let entry = found.get_mut(&steps(first)).filter(|entry| entry.content.is_some()).ok_or_else(missing)?;
    entry.node.meta.links = others.len() as u64 + 1;
    (entry.node.meta.inode, entry.node.meta.device_id) = (group(first), 1);
    let (meta, content) = (entry.node.meta.clone(), entry.content);
    for path in others {
        let name = path.file_name().unwrap_or_default();
        let node = Node::new_node(name, NodeType::File, meta.clone());
        found.insert(steps(&path), TarEntry { path, node, content });
    }
    Ok(())
}

/// Adds folders that are only in the names of what is in them.
fn complete(found: &mut Found) -> Result<(), String> {
    let above: Vec<PathBuf> = found
        .values()
        .flat_map(|entry| entry.path.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>())
        .chain([PathBuf::new()])
        .collect();
    for path in above {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = || {
            let mut node = super::node::own(&name, NodeType::Dir, 0);
            node.meta.mode = Some(super::node::to_go(0o040_755));
            TarEntry { path: path.clone(), node, content: None }
        };
        let known = found.entry(steps(&path)).or_insert_with(folder);
        if !known.node.is_dir() {
            return Err(format!("{} is a file and a folder in it", path.display()));
        }
    }
    let long =
        |entry: &&TarEntry| entry.path.components().any(|name| name.as_os_str().as_bytes().len() > 255);
    found.values().find(long).map_or(Ok(()), |_| Err("it has a name that is too long".to_owned()))
}
