//! Restoring files, second half: the staged files take their places. Needs no
//! vault and no space, and can be carried out again from its plan after a crash.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, BufRead, BufReader},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::sys::{
    stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat},
    time::TimeSpec,
};
use rustic_core::{
    jiff::Timestamp,
    repofile::{Node, NodeType},
};

use super::{
    RestoreResult,
    error::VaultError,
    mounts, node,
    stage::{Name, Step, staging},
    walk::Named,
};
use crate::model::progress::{Level, Note};

/// Finishes what an interrupted restore left in `target`: true when its files were put into place,
/// false when it had not come that far and its staged files were thrown away.
pub fn resume_commit(target: &Path, run: &str) -> Result<bool, VaultError> {
    let (_, staging) = staging(target, run);
    if !staging.exists() {
        return Ok(false);
    }
    if !is_complete(&staging) {
        discard(target, run)?;
        return Ok(false);
    }
    commit(target, run, &mut RestoreResult::default())?;
    Ok(true)
}

/// Throws staged files away.
pub(super) fn discard(target: &Path, run: &str) -> Result<(), VaultError> {
    let (_, staging) = staging(target, run);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VaultError::io(&staging, &error)),
        _ => Ok(()),
    }
}

fn is_complete(staging: &Path) -> bool {
    let last = File::open(staging.join("plan"))
        .map(|plan| BufReader::new(plan).lines().map_while(Result::ok).last());
    matches!(last, Ok(Some(line)) if matches!(serde_json::from_str(&line), Ok(Step::End)))
}

struct Commit<'a> {
    base: PathBuf,
    staging: PathBuf,
    /// What is restored, towards people.
    named: Named,
    /// Directories get their times last, when nothing is put into them any more.
    directories: Vec<(PathBuf, Node)>,
    result: &'a mut RestoreResult,
}

/// Carries the plan out.
pub(super) fn commit(target: &Path, run: &str, result: &mut RestoreResult) -> Result<(), VaultError> {
    let (base, staging) = staging(target, run);
    // Another one than when it was staged, after a restart.
    if target.exists() {
        mounts::refuse(target, target)?;
    }
    let named = Named::plain(&base);
    carry_out(base, &staging, named, result)
}

/// Puts what stands in `staging` into place below `base`.
pub(super) fn carry_out(
    base: PathBuf,
    staging: &Path,
    named: Named,
    result: &mut RestoreResult,
) -> Result<(), VaultError> {
    let failed = |error: io::Error| VaultError::io(staging, &error);
    let plan = File::open(staging.join("plan")).map_err(failed)?;
    // A worker that outlived its server may be at it: wait for it, then there is nothing left to do.
    plan.lock().map_err(failed)?;
    if !staging.exists() {
        return Ok(());
    }
    let mut commit = Commit { base, staging: staging.to_owned(), named, directories: Vec::new(), result };
    for line in BufReader::new(plan).lines() {
        let line = line.map_err(failed)?;
        let step = serde_json::from_str(&line).map_err(|error| VaultError::Broken(error.to_string()))?;
        commit.step(step)?;
    }
    for (path, node) in std::mem::take(&mut commit.directories).into_iter().rev() {
        // The staging directory goes before the times of the directory it is in are set.
        if path == commit.base {
            sync(&commit.staging)?;
            fs::remove_dir_all(&commit.staging).map_err(failed)?;
        }
        commit.metadata(&path, &node);
    }
    if commit.staging.exists() {
        fs::remove_dir_all(&commit.staging).map_err(failed)?;
    }
    sync(&commit.base)
}

fn sync(directory: &Path) -> Result<(), VaultError> {
    let failed = |error: io::Error| VaultError::io(directory, &error);
    let open = File::open(directory).map_err(failed)?;
    nix::unistd::syncfs(&open).map_err(|error| failed(error.into()))
}

impl Commit<'_> {
    fn step(&mut self, step: Step) -> Result<(), VaultError> {
        match step {
            Step::Directory { path, node, children } => self.directory(&path, node, children),
            Step::File { path, node, staged } => self.file(&path, &node, staged),
            Step::Link { path, to } => self.link(&path, &to),
            Step::Special { path, node } => self.special(&path, &node),
            Step::End => Ok(()),
        }
    }

    fn directory(&mut self, name: &Name, node: Node, children: Option<Vec<Name>>) -> Result<(), VaultError> {
        let path = self.at(name);
        let failed = |error: io::Error| VaultError::io(&path, &error);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) if path == self.base => {}
            Ok(_) => {
                fs::remove_file(&path).map_err(failed)?;
                fs::create_dir(&path).map_err(failed)?;
            }
            Err(_) => fs::create_dir(&path).map_err(failed)?,
        }
        if let Some(children) = children {
            let wanted: HashSet<&OsStr> = children.iter().map(|child| OsStr::from_bytes(&child.0)).collect();
            self.remove_others(&path, &wanted)?;
        }
        self.directories.push((path, node));
        Ok(())
    }

    /// Removes what the backup does not have.
    fn remove_others(&mut self, path: &Path, wanted: &HashSet<&OsStr>) -> Result<(), VaultError> {
        let failed = |error: io::Error| VaultError::io(path, &error);
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let extra = entry.path();
            if wanted.contains(entry.file_name().as_os_str()) || extra == self.staging {
                continue;
            }
            let is_dir = entry.file_type().map_err(failed)?.is_dir();
            let removed = if is_dir { fs::remove_dir_all(&extra) } else { fs::remove_file(&extra) };
            match removed {
                Ok(()) => self.result.removed += 1,
                Err(error) => self.warn(&extra, "could not be removed", &error),
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &Name, node: &Node, staged: Option<u64>) -> Result<(), VaultError> {
        let path = self.at(name);
        if let Some(number) = staged {
            let staged = self.staging.join(number.to_string());
            // Already in place when this is the second try.
            if staged.exists() {
                clear_directory(&path)?;
                self.metadata(&staged, node);
                fs::rename(&staged, &path).map_err(|error| VaultError::io(&path, &error))?;
                return Ok(());
            }
        }
        self.metadata(&path, node);
        Ok(())
    }

    fn link(&mut self, name: &Name, to: &Name) -> Result<(), VaultError> {
        let (path, first) = (self.at(name), self.at(to));
        let inode = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        if inode(&path).is_some() && inode(&path) == inode(&first) {
            return Ok(());
        }
        remove(&path)?;
        fs::hard_link(&first, &path).map_err(|error| VaultError::io(&path, &error))
    }

    fn special(&mut self, name: &Name, node: &Node) -> Result<(), VaultError> {
        let path = self.at(name);
        if !same_kind(&path, &node.node_type) {
            remove(&path)?;
            if let Err(error) = make(&path, node) {
                self.warn(&path, "could not be made", &error);
                return Ok(());
            }
        }
        self.metadata(&path, node);
        Ok(())
    }

    /// Owner, mode, attributes and times. What cannot be set is told, never passed over.
    fn metadata(&mut self, path: &Path, node: &Node) {
        let meta = &node.meta;
        if let Err(error) = std::os::unix::fs::lchown(path, meta.uid, meta.gid) {
            self.warn(path, "its owner could not be set", &error);
        }
        if let (Some(mode), false) = (meta.mode, node.is_symlink()) {
            let permissions = fs::Permissions::from_mode(node::permissions(mode));
            if let Err(error) = fs::set_permissions(path, permissions) {
                self.warn(path, "its mode could not be set", &error);
            }
        }
        self.attributes(path, node);
        if let Some(mtime) = meta.mtime {
            let time = spec(mtime);
            let atime = meta.atime.map_or(time, spec);
            let set = utimensat(nix::fcntl::AT_FDCWD, path, &atime, &time, UtimensatFlags::NoFollowSymlink);
            if let Err(error) = set {
                self.warn(path, "its time could not be set", &error.into());
            }
        }
    }

    fn attributes(&mut self, path: &Path, node: &Node) {
        let wanted: HashSet<OsString> = node::attribute_names(node).into_iter().collect();
        let present: Vec<OsString> = match xattr::list(path) {
            Ok(names) => names.collect(),
            Err(_) if wanted.is_empty() => return,
            Err(error) => return self.warn(path, "its attributes could not be read", &error),
        };
        for extra in present.iter().filter(|name| !wanted.contains(*name) && !node::is_foreign(name)) {
            if let Err(error) = xattr::remove(path, extra) {
                self.warn(path, "an attribute could not be removed", &error);
            }
        }
        for attribute in &node.meta.extended_attributes {
            let value = attribute.value.as_deref().unwrap_or_default();
            if xattr::get(path, &attribute.name).ok().flatten().as_deref() == Some(value) {
                continue;
            }
            if let Err(error) = xattr::set(path, &attribute.name, value) {
                self.warn(path, &format!("its attribute {} could not be set", attribute.name), &error);
            }
        }
    }

    fn at(&self, name: &Name) -> PathBuf {
        if name.0.is_empty() { self.base.clone() } else { self.base.join(name.path()) }
    }

    fn warn(&mut self, path: &Path, what: &str, error: &io::Error) {
        if self.result.notes.len() < 200 {
            let text = format!("{}: {what} ({error}).", self.named.shown(path));
            self.result.notes.push(Note { level: Level::Warning, text });
        }
    }
}

fn spec(time: Timestamp) -> TimeSpec {
    // jiff rounds towards zero; the kernel wants nanoseconds from 0 up.
    let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    TimeSpec::new(seconds, nanos.into())
}

/// A directory in the way of a file goes; a file is replaced by the rename.
fn clear_directory(path: &Path) -> Result<(), VaultError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        fs::remove_dir_all(path).map_err(|error| VaultError::io(path, &error))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), VaultError> {
    clear_directory(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VaultError::io(path, &error)),
        _ => Ok(()),
    }
}

fn same_kind(path: &Path, wanted: &NodeType) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    if meta.nlink() > 1 {
        // What is set on it would be set on others, too.
        return false;
    }
    let kind = meta.file_type();
    match wanted {
        NodeType::Symlink { .. } => {
            kind.is_symlink() && fs::read_link(path).is_ok_and(|target| target == wanted.to_link())
        }
        NodeType::Dev { device } => kind.is_block_device() && meta.rdev() == *device,
        NodeType::Chardev { device } => kind.is_char_device() && meta.rdev() == *device,
        NodeType::Fifo => kind.is_fifo(),
        NodeType::Socket => kind.is_socket(),
        NodeType::File | NodeType::Dir => false,
    }
}

fn make(path: &Path, node: &Node) -> io::Result<()> {
    let special = |kind: SFlag, device: u64| {
        mknod(path, kind, Mode::from_bits_truncate(0o600), device).map_err(io::Error::from)
    };
    match &node.node_type {
        NodeType::Symlink { .. } => std::os::unix::fs::symlink(node.node_type.to_link(), path),
        NodeType::Dev { device } => special(SFlag::S_IFBLK, *device),
        NodeType::Chardev { device } => special(SFlag::S_IFCHR, *device),
        NodeType::Fifo => special(SFlag::S_IFIFO, 0),
        NodeType::Socket => special(SFlag::S_IFSOCK, 0),
        NodeType::File | NodeType::Dir => Ok(()),
    }
}
