//! Restoring files, first half: everything that differs is written beside its
//! target, in full, before anything is replaced. A vault that cannot be read, a
//! full disk or a kill in this half leave the target exactly as it was.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{BufWriter, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use nix::fcntl::OFlag;
use rustic_core::{
    BlobId, IndexedFull, Repository,
    repofile::{BlobType, Node},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    RestoreItem, RestoreResult, Vault, commit,
    error::VaultError,
    list, mounts,
    walk::{Named, STAGING},
};
use crate::model::progress::Reporter;

/// Threads that fetch and write data. Each holds one blob (at most 8 MiB).
const THREADS: usize = 4;

/// So many blobs are fetched at a time: what is known of them stays in memory meanwhile.
const BATCH: usize = 50_000;

/// Runs of zeros of this length become holes.
const HOLE: usize = 64 * 1024;

/// One line of the plan, which a later process can carry out without the vault.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Step {
    /// Make (or keep) a directory; it has exactly these entries.
    Directory { path: Name, node: Node, children: Option<Vec<Name>> },
    /// Make a file: staged under this number, or right already.
    File { path: Name, node: Node, staged: Option<u64> },
    /// Make a hard link to a file of this plan.
    Link { path: Name, to: Name },
    /// Make a symbolic link, device, pipe or socket.
    Special { path: Name, node: Node },
    /// The last line; without it the plan is not complete.
    End,
}

/// A path relative to the target; bytes, because names need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Name(#[serde(with = "hex_bytes")] pub(super) Vec<u8>);

impl Name {
    fn of(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsStr::from_bytes(&self.0))
    }
}

mod hex_bytes {
    //! Bytes as text: printable ASCII stays readable, the rest is escaped.
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&bytes.escape_ascii().to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        unescape(&text).ok_or_else(|| serde::de::Error::custom("bad escape"))
    }

    /// The reverse of `u8::escape_ascii`.
    fn unescape(text: &str) -> Option<Vec<u8>> {
        let mut bytes = text.bytes();
        let mut out = Vec::with_capacity(text.len());
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            out.push(match bytes.next()? {
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                b'x' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            });
        }
        Some(out)
    }

    #[cfg(test)]
    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (1..=255).collect();
        assert_eq!(unescape(&all.escape_ascii().to_string()), Some(all));
    }
}

/// A file to fetch.
struct Fetch {
    staged: PathBuf,
    shown: String,
    blobs: Vec<(BlobId, u64)>,
}

/// One item while it is staged.
struct Stage<'a, S> {
    repo: &'a Repository<S>,
    /// Directory that the plan's paths are relative to.
    base: PathBuf,
    /// What the base is called towards people.
    named: Named,
    staging: PathBuf,
    plan: BufWriter<File>,
    /// Files that are to be fetched, and how many blobs they have.
    fetches: Vec<Fetch>,
    blobs: usize,
    /// Number of the next staged file.
    next: u64,
    reporter: &'a dyn Reporter,
    /// First file of each group of hard links.
    links: HashMap<(u64, u64), PathBuf>,
    result: &'a mut RestoreResult,
}

impl Vault {
    /// Brings files back: stages all items, asks `before_commit`, then puts all of them into place.
    /// The contents of a directory are then exactly those of the backup.
    pub fn restore(
        &self,
        id: &str,
        items: &[RestoreItem],
        run: &str,
        reporter: &dyn Reporter,
        before_commit: &mut dyn FnMut() -> bool,
    ) -> Result<RestoreResult, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repo = self.indexed()?;
        let mut result = RestoreResult::default();
        let known = list::backup(&snapshot, self.access.location.storage())
            .map(|backup| backup.meta.items)
            .unwrap_or_default();
        let wanted = known.iter().filter(|known| items.iter().any(|item| item.path == known.path));
        reporter.total_bytes(wanted.map(|known| known.bytes).sum());
        let staged = items.iter().try_for_each(|item| {
            let node = repo.node_from_path(snapshot.tree, Path::new(&item.path))?;
            stage(&repo, &node, item, run, &mut result, reporter)
        });
        let go = match staged {
            Ok(()) if before_commit() => Ok(()),
            Ok(()) => Err(VaultError::Refused),
            Err(error) => Err(error),
        };
        if let Err(error) = go {
            for item in items {
                commit::discard(&item.target, run)?;
            }
            return Err(error);
        }
        reporter.step(3, 3, "Putting the data into place");
        for item in items {
            commit::commit(&item.target, run, &mut result)?;
        }
        Ok(result)
    }
}

/// Where an item is staged: inside the target, or beside it when it is a single file.
pub(super) fn staging(target: &Path, run: &str) -> (PathBuf, PathBuf) {
    let base = if target.is_dir() { target } else { target.parent().unwrap_or(target) };
    (base.to_owned(), base.join(format!("{STAGING}{run}")))
}

/// Where one item is staged and what for.
pub(super) struct Ground {
    /// Directory that the plan's paths are relative to.
    pub(super) base: PathBuf,
    /// An empty directory for the plan and the staged files.
    pub(super) staging: PathBuf,
    /// Name in the base of what is no directory.
    pub(super) name: PathBuf,
    /// What is restored, towards people.
    pub(super) named: Named,
}

fn stage<S: IndexedFull + Sync>(
    repo: &Repository<S>,
    node: &Node,
    item: &RestoreItem,
    run: &str,
    result: &mut RestoreResult,
    reporter: &dyn Reporter,
) -> Result<(), VaultError> {
    if node.is_dir() && !item.target.is_dir() {
        return Err(VaultError::Io {
            path: item.target.display().to_string(),
            cause: "the backup has a directory for it, but here it is not one".to_owned(),
        });
    }
    if item.target.exists() {
        mounts::refuse(&item.target, &item.target)?;
    }
    let (base, staging) = staging(&item.target, run);
    let failed = |error: std::io::Error| VaultError::io(&staging, &error);
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(failed)?;
    }
    fs::create_dir(&staging).map_err(failed)?;
    let name = item.target.file_name().map(PathBuf::from).unwrap_or_default();
    let named = Named::plain(&base);
    stage_on(repo, node, Ground { base, staging, name, named }, result, reporter)
}

/// Writes the plan and all data that differs, and sees to it that both are on the disk.
pub(super) fn stage_on<S: IndexedFull + Sync>(
    repo: &Repository<S>,
    node: &Node,
    ground: Ground,
    result: &mut RestoreResult,
    reporter: &dyn Reporter,
) -> Result<(), VaultError> {
    let Ground { base, staging, name, named } = ground;
    let failed = |error: std::io::Error| VaultError::io(&staging, &error);
    let plan = File::create_new(staging.join("plan")).map_err(failed)?;
    let mut stage = Stage {
        repo,
        base,
        named,
        staging: staging.clone(),
        plan: BufWriter::new(plan),
        fetches: Vec::new(),
        blobs: 0,
        next: 0,
        reporter,
        links: HashMap::new(),
        result,
    };
    if node.is_dir() {
        stage.directory(Path::new(""), node)?;
    } else {
        stage.entry(&name, node)?;
    }
    stage.fetch()?;
    stage.write(&Step::End)?;
    let mut plan = stage.plan;
    plan.flush().and_then(|()| plan.get_ref().sync_all()).map_err(failed)?;
    // Everything staged is on disk before the first file is replaced.
    let directory = File::open(&staging).map_err(failed)?;
    nix::unistd::syncfs(&directory).map_err(|error| failed(error.into()))?;
    Ok(())
}

impl<S: IndexedFull + Sync> Stage<'_, S> {
    fn write(&mut self, step: &Step) -> Result<(), VaultError> {
        serde_json::to_writer(&mut self.plan, step)
            .map_err(std::io::Error::from)
            .and_then(|()| self.plan.write_all(b"\n"))
            .map_err(|error| VaultError::io(&self.staging, &error))
    }

    fn directory(&mut self, path: &Path, node: &Node) -> Result<(), VaultError> {
        let tree = match &node.subtree {
            Some(id) => self.repo.get_tree(id)?.nodes,
            None => Vec::new(),
        };
        let names = tree.iter().map(|child| Name(child.name().as_bytes().to_vec())).collect();
        let bare = Node { subtree: None, ..node.clone() };
        self.write(&Step::Directory { path: Name::of(path), node: bare, children: Some(names) })?;
        for child in &tree {
            let name = child.name().into_owned();
            // A hostile backup must not reach outside.
            if name.is_empty() || name == "." || name == ".." || name.as_bytes().contains(&b'/') {
                return Err(VaultError::Broken(format!("it has an entry called “{}”", name.display())));
            }
            let path = path.join(&name);
            if child.is_dir() { self.directory(&path, child)? } else { self.entry(&path, child)? }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, node: &Node) -> Result<(), VaultError> {
        if !node.is_dir() && node.meta.links > 1 {
            let group = (node.meta.device_id, node.meta.inode);
            if let Some(first) = self.links.get(&group) {
                let to = Name::of(first);
                self.reporter.add_bytes(node.meta.size);
                return self.write(&Step::Link { path: Name::of(path), to });
            }
            self.links.insert(group, path.to_owned());
        }
        if !node.is_file() {
            return self.write(&Step::Special { path: Name::of(path), node: node.clone() });
        }
        let content = node.content.iter().flatten();
        let blobs = content
            .map(|id| {
                let entry = self.repo.get_index_entry(id)?;
                Ok((BlobId::from(*id), u64::from(entry.data_length())))
            })
            .collect::<Result<Vec<_>, VaultError>>()?;
        let bare = Node { content: None, ..node.clone() };
        let host = self.base.join(path);
        // A file that belongs to a group of hard links is always written anew, so that it leaves others alone.
        let staged = if node.meta.links <= 1 && unchanged(&host, &blobs) {
            self.result.unchanged += 1;
            self.reporter.add_bytes(node.meta.size);
            None
        } else {
            let number = self.next;
            self.next += 1;
            self.blobs += blobs.len().max(1);
            let staged = self.staging.join(number.to_string());
            self.fetches.push(Fetch { staged, shown: self.named.shown(&host), blobs });
            Some(number)
        };
        self.write(&Step::File { path: Name::of(path), node: bare, staged })?;
        if self.blobs >= BATCH { self.fetch() } else { Ok(()) }
    }

    /// Fetches what was collected.
    fn fetch(&mut self) -> Result<(), VaultError> {
        let fetches = std::mem::take(&mut self.fetches);
        self.blobs = 0;
        fetch(self.repo, &fetches, self.reporter)?;
        self.result.written += fetches.len() as u64;
        self.result.bytes +=
            fetches.iter().flat_map(|fetch| &fetch.blobs).map(|(_, size)| *size).sum::<u64>();
        Ok(())
    }
}

/// Whether a file has this content already: compared by hash, not by its times.
fn unchanged(host: &Path, blobs: &[(BlobId, u64)]) -> bool {
    let opened =
        OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(host);
    let Ok(mut file) = opened else { return false };
    let size: u64 = blobs.iter().map(|(_, size)| *size).sum();
    match file.metadata() {
        Ok(meta) if meta.is_file() && meta.len() == size && meta.nlink() == 1 => {}
        _ => return false,
    }
    let mut buffer = Vec::new();
    blobs.iter().all(|(id, size)| {
        buffer.resize(usize::try_from(*size).unwrap_or(0), 0);
        let read = file.read_exact(&mut buffer).is_ok();
        read && Sha256::digest(&buffer).escape_hex() == id.to_hex().as_str()
    })
}

trait EscapeHex {
    fn escape_hex(&self) -> String;
}

impl<T: AsRef<[u8]>> EscapeHex for T {
    fn escape_hex(&self) -> String {
        use std::fmt::Write as _;
        self.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Fetches all files, several blobs at a time.
fn fetch<S: IndexedFull + Sync>(
    repo: &Repository<S>,
    fetches: &[Fetch],
    reporter: &dyn Reporter,
) -> Result<(), VaultError> {
    // Pieces in the order of the vault's trees: neighbours are mostly in the same pack.
    let mut pieces: Vec<(usize, u64, BlobId)> = Vec::new();
    for (index, fetch) in fetches.iter().enumerate() {
        let mut offset = 0;
        for (blob, size) in &fetch.blobs {
            pieces.push((index, offset, *blob));
            offset += size;
        }
    }
    // Empty files have no piece.
    for fetch in fetches.iter().filter(|fetch| fetch.blobs.is_empty()) {
        create(fetch)?;
    }
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let problem: Mutex<Option<VaultError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut open: Option<(usize, File)> = None;
                while !stop.load(Ordering::Relaxed) {
                    let Some((index, offset, blob)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    if let Err(error) =
                        piece(repo, &fetches[*index], &mut open, (*index, *offset, blob), reporter)
                    {
                        stop.store(true, Ordering::Relaxed);
                        problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    problem.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn piece<S: IndexedFull>(
    repo: &Repository<S>,
    fetch: &Fetch,
    open: &mut Option<(usize, File)>,
    (index, offset, blob): (usize, u64, &BlobId),
    reporter: &dyn Reporter,
) -> Result<(), VaultError> {
    let data = repo.get_blob_cached(blob, BlobType::Data).map_err(|error| {
        let error = VaultError::from(error);
        VaultError::Broken(format!("{} can't be read from the vault ({error})", fetch.shown))
    })?;
    let file = match open {
        Some((known, file)) if *known == index => file,
        _ => &mut open.insert((index, create(fetch)?)).1,
    };
    write_sparse(file, &data, offset).map_err(|error| VaultError::io(Path::new(&fetch.shown), &error))?;
    reporter.add_bytes(data.len() as u64);
    Ok(())
}

/// Opens a staged file, in its full length from the start.
fn create(fetch: &Fetch) -> Result<File, VaultError> {
    let failed = |error: std::io::Error| VaultError::io(Path::new(&fetch.shown), &error);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&fetch.staged)
        .map_err(failed)?;
    let size = fetch.blobs.iter().map(|(_, size)| *size).sum();
    if file.metadata().map_err(failed)?.len() != size {
        file.set_len(size).map_err(failed)?;
    }
    Ok(file)
}

/// Writes all but long runs of zeros: the file is as long as it should be and zero from the start.
fn write_sparse(file: &File, data: &[u8], offset: u64) -> std::io::Result<()> {
    let mut at = 0;
    while at < data.len() {
        let end = data.len().min(at + HOLE);
        if data[at..end].iter().any(|byte| *byte != 0) {
            // As one write with what follows, up to the next run of zeros.
            let mut until = end;
            while until < data.len() {
                let next = data.len().min(until + HOLE);
                if data[until..next].iter().all(|byte| *byte == 0) {
                    break;
                }
                until = next;
            }
            file.write_all_at(&data[at..until], offset + at as u64)?;
            at = until;
        } else {
            at = end;
        }
    }
    Ok(())
}
