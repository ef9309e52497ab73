//! Restoring one file or folder of a backup.
//!
//! What is there is not touched until the new one is complete beside it: it is made in a work directory in the
//! target's root, and then the two change places. Whoever uses the target meanwhile may be hostile. So the folder is
//! resolved by the kernel with the target as its root and no link on the way, and held by a handle; data is staged
//! through handles; and it is put together by a thread whose whole file system is the work directory.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, open, openat2, renameat, renameat2},
    sched::{CloneFlags, unshare},
    sys::stat::{Mode, fstat, fstatat, mkdirat},
    unistd::{chroot, fchdir, syncfs},
};
use rustic_core::{IndexedFullStatus, Repository, repofile::Node};

use super::{
    RestoreResult, Vault, commit,
    error::VaultError,
    mounts,
    stage::{self, Ground},
    walk::{Named, STAGING, is_staging},
};
use crate::model::{
    files::{Entry, EntryKind, InnerPath, decode, shown},
    progress::{Level, Note, Reporter},
    restore::FilePlace,
};

/// Names in the work directory: the plan with its staged files, what is made of them, and what was there before on
/// file systems that can't let two names change places.
const STAGE: &str = "stage";
const NEW: &str = "new";
const OLD: &str = "old";

/// How often what others do to the target at the same time is answered with another try.
const TRIES: usize = 100;

/// What the restore of a file or folder did.
#[derive(Debug)]
pub struct FileResult {
    /// What was written.
    pub restored: RestoreResult,
    /// The name, encoded, that what was there has now.
    pub kept: Option<String>,
}

/// What is there now, if it may be replaced: opens nothing, changes nothing.
pub fn look_at_place(to: &FilePlace) -> Result<Option<Entry>, VaultError> {
    Place::open(to)?.present()
}

/// Finishes what an interrupted restore of a file had begun, or with `finish` false throws its new data away. True
/// when the new one is in its place.
pub fn resume_file(to: &FilePlace, run: &str, finish: bool) -> Result<bool, VaultError> {
    let Some(work) = Work::find(to, run)? else { return Ok(finish) };
    if !finish {
        work.discard()?;
        return Ok(false);
    }
    let place = Place::open(to)?;
    match work.made()? {
        Some((name, false)) => drop(work.swap(&place, &name)?),
        Some((name, true)) => drop(work.put_by(&place, name.as_bytes())?),
        None => {}
    }
    work.remove(&place)?;
    Ok(true)
}

impl Vault {
    /// Restores one file or folder: makes it beside its place, asks `before_swap`, then puts it there. A folder is
    /// then exactly the backup's.
    pub fn restore_file(
        &self,
        backup: &str,
        path: &InnerPath,
        run: &str,
        to: &FilePlace,
        reporter: &dyn Reporter,
        before_swap: &mut dyn FnMut() -> bool,
    ) -> Result<FileResult, VaultError> {
        let browser = self.browse(backup)?;
        let missing = || VaultError::Place(format!("“{}” is not in this backup.", shown(path.as_str())));
        let found = browser.find(path)?.filter(|_| !path.is_root()).ok_or_else(missing)?;
        let place = Place::open(to)?;
        place.present()?;
        reporter.total_bytes(browser.measure(&found)?.bytes);
        let mut restored = RestoreResult::default();
        let work = Work::make(to, run)?;
        let made = work.build(&browser.repo, &found.0, &place, &mut restored, reporter);
        let go = made.and_then(|made| if before_swap() { Ok(made) } else { Err(VaultError::Refused) });
        let swapped = go.and_then(|made| {
            reporter.step(3, 3, "Putting the data into place");
            work.swap(&place, &made)
        });
        let kept = match swapped {
            Ok(kept) => kept,
            Err(error) => {
                work.discard()?;
                return Err(error);
            }
        };
        if let Err(error) = work.remove(&place) {
            // The new one is in its place: only its work directory is left.
            let text = format!("What was there before could not be removed completely: {error}");
            restored.notes.push(Note { level: Level::Warning, text });
        }
        Ok(FileResult { restored, kept })
    }
}

/// The folder that something goes into, held by a handle.
struct Place<'a> {
    folder: OwnedFd,
    name: Vec<u8>,
    to: &'a FilePlace,
}

impl<'a> Place<'a> {
    fn open(to: &'a FilePlace) -> Result<Self, VaultError> {
        let name = decode(&to.name);
        let odd = name.is_empty() || [b".".as_slice(), b".."].contains(&name.as_slice());
        let own = to.folder.is_root() && is_staging(OsStr::from_bytes(&name));
        if odd || own || name.contains(&b'/') {
            return Err(VaultError::Place(format!("“{}” can't be the name of a file.", shown(&to.name))));
        }
        let root = open_root(&to.root)?;
        let bytes = to.folder.bytes();
        let relative: &[u8] = if bytes.is_empty() { b"." } else { &bytes };
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let folder = open_below(&root, relative, how).map_err(|error| no_folder(to, error))?;
        Ok(Self { folder, name, to })
    }

    /// What has the name now; refuses what can't be replaced.
    fn present(&self) -> Result<Option<Entry>, VaultError> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC);
        let found = match open_below(&self.folder, self.name.as_slice(), how) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
            Ok(found) => found,
        };
        let stat = fstat(&found).map_err(|error| self.failed(error))?;
        // A file can't be one: that would have been another file system.
        if EntryKind::of_mode(stat.st_mode) == EntryKind::Dir {
            mounts::refuse(&through(&found), &self.known())?;
        }
        Ok(Some(Entry {
            name: self.to.name.clone(),
            kind: EntryKind::of_mode(stat.st_mode),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: stat.st_mtime,
            target: None,
        }))
    }

    /// For people.
    fn known(&self) -> PathBuf {
        let folder = self.to.root.join(OsStr::from_bytes(&self.to.folder.bytes()));
        folder.join(OsStr::from_bytes(&self.name))
    }

    fn failed(&self, error: Errno) -> VaultError {
        let name = shown(&self.to.name);
        VaultError::Place(match error {
            Errno::EXDEV | Errno::EBUSY => format!(
                "“{name}” is the place where another file system is mounted, which can't be replaced. Restore \
                 what is in it, or restore it into another folder."
            ),
            Errno::EPERM | Errno::EACCES => format!(
                "“{name}” can't be replaced: permission denied. It may be protected from changes (chattr +i), or \
                 Container Monkey does not run as root."
            ),
            Errno::EROFS => format!("“{name}” can't be written: its file system is mounted read-only."),
            other => format!("“{name}” can't be put into its place: {}.", other.desc()),
        })
    }
}

fn open_root(root: &Path) -> Result<OwnedFd, VaultError> {
    let failed = |error: Errno| {
        VaultError::Place(match error {
            Errno::ENOENT | Errno::ENOTDIR => format!("{} is not on this host any more.", root.display()),
            Errno::EACCES | Errno::EPERM => format!(
                "{} can't be opened: permission denied. Container Monkey must run as root to restore files.",
                root.display()
            ),
            other => format!("{} can't be opened: {}.", root.display(), other.desc()),
        })
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = open(root, flags, Mode::empty()).map_err(failed)?;
    // Deleted since this process was given it.
    if fstat(&opened).map_err(failed)?.st_nlink == 0 {
        return Err(failed(Errno::ENOENT));
    }
    Ok(opened)
}

/// Follows no link, goes neither out nor into what is mounted there: a rename would not, either.
fn open_below(root: impl AsFd, path: &[u8], how: OpenHow) -> Result<OwnedFd, Errno> {
    let how = how.resolve(
        ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    // Something was renamed meanwhile: the kernel asks to try again.
    let mut tries = (0..TRIES)
        .map(|_| openat2(root.as_fd(), path, how))
        .skip_while(|opened| matches!(opened, Err(Errno::EAGAIN)));
    tries.next().unwrap_or(Err(Errno::EAGAIN))
}

fn no_folder(to: &FilePlace, error: Errno) -> VaultError {
    let folder = shown(to.folder.as_str());
    VaultError::Place(match error {
        Errno::ENOENT => format!("The folder “{folder}” is not there. Make it first, or choose another one."),
        Errno::ENOTDIR => format!("“{folder}” is not a folder. Choose another one."),
        Errno::ELOOP => format!(
            "On the way to the folder “{folder}” there is a link, which is not followed. Name the folder that it \
             points to."
        ),
        Errno::EXDEV => format!(
            "Another file system is mounted on the way to “{folder}”, so nothing can be moved there in one step. \
             Choose another folder."
        ),
        Errno::ENOSYS => {
            "Restoring files safely needs Linux 5.6 or newer (the system call openat2).".to_owned()
        }
        other => format!("The folder “{folder}” can't be opened: {}.", other.desc()),
    })
}

/// The work directory of one run, in the target's root: a backup leaves it out there. Locked while it is worked in.
struct Work {
    root: OwnedFd,
    name: String,
    directory: File,
    /// The root, for people.
    known: PathBuf,
}

impl Work {
    fn make(to: &FilePlace, run: &str) -> Result<Self, VaultError> {
        let root = open_root(&to.root)?;
        let name = format!("{STAGING}{run}");
        mkdirat(&root, name.as_str(), Mode::S_IRWXU)
            .map_err(|error| VaultError::io(&to.root.join(&name), &error.into()))?;
        Self::find(to, run)?.ok_or_else(|| VaultError::io(&to.root.join(&name), &Errno::ENOENT.into()))
    }

    fn find(to: &FilePlace, run: &str) -> Result<Option<Self>, VaultError> {
        let root = open_root(&to.root)?;
        let name = format!("{STAGING}{run}");
        let failed = |error: std::io::Error| VaultError::io(&to.root.join(&name), &error);
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let directory: File = match open_below(&root, name.as_bytes(), how) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
            Ok(directory) => directory.into(),
        };
        // A worker that outlived its server may be at it: wait for it, then there is nothing left to do.
        directory.lock().map_err(failed)?;
        if directory.metadata().map_err(failed)?.nlink() == 0 {
            return Ok(None);
        }
        Ok(Some(Self { root, name, directory, known: to.root.clone() }))
    }

    fn failed(&self, error: impl Into<std::io::Error>) -> VaultError {
        VaultError::io(&self.known, &error.into())
    }

    /// Makes the new one, complete and on the disk. Returns its name, in which its inode stands.
    fn build(
        &self,
        repo: &Repository<IndexedFullStatus>,
        node: &Node,
        place: &Place<'_>,
        result: &mut RestoreResult,
        reporter: &dyn Reporter,
    ) -> Result<String, VaultError> {
        reporter.step(2, 3, "Reading data from the vault");
        let known = place.known();
        let named = |real: PathBuf| Named { real, known: known.clone() };
        let staging = self.folder(STAGE)?;
        let folder = if node.is_dir() { Some(self.folder(NEW)?) } else { None };
        let base = folder.as_ref().map_or_else(|| through(&self.directory), through);
        let real = if node.is_dir() { base.clone() } else { base.join(NEW) };
        let ground = Ground { base, staging: through(&staging), name: NEW.into(), named: named(real) };
        stage::stage_on(repo, node, ground, result, reporter).map_err(|error| told_as(error, &known))?;
        let new = Path::new("/").join(NEW);
        let base = if node.is_dir() { new.clone() } else { "/".into() };
        let put_together = || commit::carry_out(base, &Path::new("/").join(STAGE), named(new), result);
        self.confined(put_together)?.map_err(|error| told_as(error, &known))?;
        let inode = self.inode(NEW)?;
        let made = format!("{NEW}-{inode}");
        renameat(&self.directory, NEW, &self.directory, made.as_str()).map_err(|error| self.failed(error))?;
        syncfs(&self.directory).map_err(|error| self.failed(error))?;
        Ok(made)
    }

    /// Makes a directory in it and opens it.
    fn folder(&self, name: &str) -> Result<OwnedFd, VaultError> {
        mkdirat(&self.directory, name, Mode::S_IRWXU).map_err(|error| self.failed(error))?;
        let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        open_below(&self.directory, name.as_bytes(), how).map_err(|error| self.failed(error))
    }

    fn inode(&self, name: &str) -> Result<u64, VaultError> {
        let stat = fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        stat.map(|stat| stat.st_ino).map_err(|error| self.failed(error))
    }

    /// Does something in a thread to which the work directory is all there is of the file system.
    fn confined<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, VaultError> {
        let confine = || {
            unshare(CloneFlags::CLONE_FS)?;
            fchdir(&self.directory)?;
            chroot(".")
        };
        let done = std::thread::scope(|scope| scope.spawn(|| confine().map(|()| work())).join());
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Errno::EPERM)) => Err(VaultError::Place(
                "Restoring single files needs the right to confine the job to the target (chroot): Container Monkey \
                 must run as root."
                    .to_owned(),
            )),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.failed(std::io::Error::other("the thread panicked"))),
        }
    }

    /// The new one's name, and whether what was there before has it now; `None` when neither is here.
    fn made(&self) -> Result<Option<(String, bool)>, VaultError> {
        for entry in fs::read_dir(through(&self.directory)).map_err(|error| self.failed(error))? {
            let name = entry.map_err(|error| self.failed(error))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let inode = name.strip_prefix(NEW).and_then(|rest| rest.strip_prefix('-')?.parse::<u64>().ok());
            if let Some(inode) = inode {
                return Ok(Some((name.to_owned(), self.inode(name)? != inode)));
            }
        }
        Ok(None)
    }

    /// Puts the new one into its place. What was there goes to the name that is wanted for it, which is returned, or
    /// into the work directory.
    fn swap(&self, place: &Place<'_>, made: &str) -> Result<Option<String>, VaultError> {
        let (from, to) = (&self.directory, &place.folder);
        let name = place.name.as_slice();
        for _ in 0..TRIES {
            match rename_free(from, made.as_bytes(), to, name) {
                Ok(()) => return Ok(None),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(place.failed(error)),
            }
            match renameat2(from, made, to, name, RenameFlags::RENAME_EXCHANGE) {
                // It vanished meanwhile.
                Err(Errno::ENOENT) => {}
                Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                    return self.swap_slowly(place, made);
                }
                Err(error) => return Err(place.failed(error)),
                Ok(()) => {
                    let put_by = self.put_by(place, made.as_bytes());
                    if put_by.is_err() {
                        renameat2(from, made, to, name, RenameFlags::RENAME_EXCHANGE)
                            .map_err(|error| place.failed(error))?;
                    }
                    return put_by;
                }
            }
        }
        Err(place.failed(Errno::EAGAIN))
    }

    /// In two steps, where the file system can't do it in one.
    fn swap_slowly(&self, place: &Place<'_>, made: &str) -> Result<Option<String>, VaultError> {
        let failed = |error| place.failed(error);
        renameat(&place.folder, place.name.as_slice(), &self.directory, OLD).map_err(failed)?;
        let kept = rename_free(&self.directory, made.as_bytes(), &place.folder, &place.name)
            .map_err(failed)
            .and_then(|()| self.put_by(place, OLD.as_bytes()));
        if kept.is_err() {
            // Back, if the new one is not in its place.
            let _ = rename_free(&self.directory, OLD.as_bytes(), &place.folder, &place.name);
        }
        kept
    }

    /// Gives what was there before the name that is wanted for it, or the first numbered one that is free.
    fn put_by(&self, place: &Place<'_>, old: &[u8]) -> Result<Option<String>, VaultError> {
        let Some(wanted) = &place.to.kept else { return Ok(None) };
        let numbered = (2..1000).map(|number| format!("{wanted}-{number}"));
        for name in std::iter::once(wanted.clone()).chain(numbered) {
            match rename_free(&self.directory, old, &place.folder, &decode(&name)) {
                Ok(()) => return Ok(Some(name)),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(place.failed(error)),
            }
        }
        Err(place.failed(Errno::EEXIST))
    }

    /// Throws the new one away. What was there before is never in here then; if it is, nothing is removed.
    fn discard(&self) -> Result<(), VaultError> {
        let old = fstatat(&self.directory, OLD, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
        if old || self.made()?.is_some_and(|(_, exchanged)| exchanged) {
            return Err(VaultError::Place(format!(
                "What was there before is in {}; move it back from there.",
                self.known.join(&self.name).display()
            )));
        }
        self.clear()
    }

    /// Removes it, with what was replaced if that is not kept. All of it is on the disk then.
    fn remove(&self, place: &Place<'_>) -> Result<(), VaultError> {
        if place.to.kept.is_some() && fstatat(&self.directory, OLD, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
            self.put_by(place, OLD.as_bytes())?;
        }
        syncfs(&place.folder).map_err(|error| self.failed(error))?;
        self.clear()
    }

    fn clear(&self) -> Result<(), VaultError> {
        let path = through(&self.root).join(&self.name);
        // Mounted meanwhile, in what was replaced.
        mounts::refuse(&path, &self.known.join(&self.name))?;
        fs::remove_dir_all(path).map_err(|error| self.failed(error))
    }
}

/// The path that leads to what a handle holds, whatever has happened to its name.
fn through(handle: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// Renames unless the new name is taken.
fn rename_free(from: impl AsFd, name: &[u8], to: impl AsFd, new: &[u8]) -> Result<(), Errno> {
    match renameat2(from.as_fd(), name, to.as_fd(), new, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {}
        done => return done,
    }
    match fstatat(to.as_fd(), new, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => renameat(from.as_fd(), name, to.as_fd(), new),
        Ok(_) => Err(Errno::EEXIST),
        Err(error) => Err(error),
    }
}

/// Paths of this process say nothing to people.
fn told_as(error: VaultError, known: &Path) -> VaultError {
    let path = known.display().to_string();
    match error {
        VaultError::TargetFull { .. } => VaultError::TargetFull { path },
        VaultError::Io { cause, .. } => VaultError::Io { path, cause },
        other => other,
    }
}

#[cfg(test)]
#[path = "restore_file_tests.rs"]
mod tests;
