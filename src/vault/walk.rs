//! Walking real files: depth first, names sorted bytewise, symbolic links never
//! followed. Every error is recorded; none is only logged.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustic_core::repofile::Node;

use super::node;
use crate::model::progress::{Level, Note};

/// How many files are named; more are only counted.
const NAMED: usize = 200;

/// Names of staging directories begin like this; see `stage`.
pub(super) const STAGING: &str = ".container-monkey-";

/// What happened to one item while it was read.
#[derive(Debug, Default)]
pub(super) struct Record {
    files: AtomicU64,
    bytes: AtomicU64,
    warnings: AtomicU64,
    notes: Mutex<Vec<Note>>,
    failed: Mutex<Option<String>>,
}

impl Record {
    pub(super) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One entry is missing, or not as it was.
    pub(super) fn warn(&self, text: String) {
        self.warnings.fetch_add(1, Ordering::Relaxed);
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NAMED {
            notes.push(Note { level: Level::Warning, text });
        }
    }

    /// The item as a whole is not usable.
    pub(super) fn fail(&self, why: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The named files, and how many more there were.
    pub(super) fn take_notes(&self) -> Vec<Note> {
        let mut notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        let more = self.warnings().saturating_sub(notes.len() as u64);
        if more > 0 {
            notes.push(Note { level: Level::Warning, text: format!("{more} more files have a warning.") });
        }
        notes
    }
}

/// An entry that was found.
pub(super) struct Found {
    /// Path in the backup.
    pub(super) path: PathBuf,
    /// Path on this machine.
    pub(super) host: PathBuf,
    /// What it is.
    pub(super) node: Node,
}

/// Walks one directory (or is one file).
pub(super) struct Walk {
    /// Directories that are being walked, each with what is left of it, last name first.
    stack: Vec<(PathBuf, PathBuf, Vec<OsString>)>,
    first: Option<(PathBuf, PathBuf)>,
}

impl Walk {
    /// `path` in the backup, `host` on this machine.
    pub(super) fn new(path: PathBuf, host: PathBuf) -> Self {
        Self { stack: Vec::new(), first: Some((path, host)) }
    }

    /// The next entry; what cannot be looked at goes into the record.
    pub(super) fn next(&mut self, record: &Record) -> Option<Found> {
        if let Some((path, host)) = self.first.take() {
            match self.visit(&path, &host, true, record) {
                Ok(found) => return Some(found),
                Err(why) => {
                    record.fail(format!("{} can't be read: {why}.", host.display()));
                    return None;
                }
            }
        }
        loop {
            let (path, host, names) = self.stack.last_mut()?;
            let Some(name) = names.pop() else {
                self.stack.pop();
                continue;
            };
            let (path, host) = (path.join(&name), host.join(&name));
            match self.visit(&path, &host, false, record) {
                Ok(found) => return Some(found),
                Err(why) => record.warn(format!("{} is not in the backup: {why}.", shown(&host))),
            }
        }
    }

    fn visit(&mut self, path: &Path, host: &Path, root: bool, record: &Record) -> Result<Found, String> {
        let words = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => "it disappeared while it was read".to_owned(),
            _ => error.to_string(),
        };
        // A bind's source may be a link; below it none is followed.
        let meta = if root { fs::metadata(host) } else { fs::symlink_metadata(host) }.map_err(words)?;
        let name = path.file_name().unwrap_or(OsStr::new("/"));
        let (node, problems) = node::of_file(host, name, &meta).map_err(words)?;
        for problem in problems {
            record.warn(format!("{}: {problem} could not be read.", shown(host)));
        }
        if meta.is_dir() {
            let names = sorted(host, root).map_err(words)?;
            self.stack.push((path.to_owned(), host.to_owned(), names));
        }
        Ok(Found { path: path.to_owned(), host: host.to_owned(), node })
    }
}

/// Names in a directory, in reverse order; without staging directories where it is the root of an item.
pub(super) fn sorted(host: &Path, root: bool) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(host)? {
        let name = entry?.file_name();
        if !(root && is_staging(&name)) {
            names.push(name);
        }
    }
    names.sort_by(|a, b| b.as_bytes().cmp(a.as_bytes()));
    Ok(names)
}

/// A directory in which a restore stages files: never data.
pub(super) fn is_staging(name: &OsStr) -> bool {
    let run = name.as_bytes().strip_prefix(STAGING.as_bytes());
    run.is_some_and(|run| run.len() == 26 && run.iter().all(u8::is_ascii_alphanumeric))
}

/// Logical bytes of the regular files below, for the estimate of the time left.
pub(super) fn size(host: &Path) -> u64 {
    let Ok(meta) = fs::metadata(host) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let mut total = 0;
    let mut directories = vec![host.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => directories.push(entry.path()),
                Ok(meta) if meta.is_file() => total += meta.len(),
                _ => {}
            }
        }
    }
    total
}

/// A path for people: no control characters, no endless names.
pub(super) fn shown(path: &Path) -> String {
    let text: String = path.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().count() <= 300 { text } else { text.chars().take(299).chain(['…']).collect() }
}

/// A path that is reached by another one than it is known by.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// How it is reached.
    pub(super) real: PathBuf,
    /// How people know it.
    pub(super) known: PathBuf,
}

impl Named {
    /// One that is reached as it is known.
    pub(super) fn plain(path: &Path) -> Self {
        Self { real: path.to_owned(), known: path.to_owned() }
    }

    /// A path below, for people.
    pub(super) fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.real) {
            Ok(rest) if rest.as_os_str().is_empty() => shown(&self.known),
            Ok(rest) => shown(&self.known.join(rest)),
            Err(_) => shown(path),
        }
    }
}
