//! Files of this machine as they are now, beside those of a backup. Nothing is read but what they are. Whatever is in
//! a volume is hostile: no link in it is followed, whenever it is put there.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::{Mode, fstat},
};
use rustic_core::repofile::Node;

use super::{
    compare::{Known, Problems},
    error::VaultError,
    node,
    walk::{shown, sorted},
};
use crate::model::files::InnerPath;

/// A directory that is never left, or a file.
pub(super) struct Present {
    root: OwnedFd,
    path: PathBuf,
}

impl Present {
    /// The path may be a link, as that of a bind mount may.
    pub(super) fn open(path: &Path) -> Result<Self, VaultError> {
        let failed = |error| match error {
            Errno::ENOENT | Errno::ENOTDIR => VaultError::Absent { path: shown(path) },
            other => VaultError::io(path, &other.into()),
        };
        let root = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
        // Deleted since this process was given it: it would look empty.
        if fstat(&root).map_err(failed)?.st_nlink == 0 {
            return Err(failed(Errno::ENOENT));
        }
        Ok(Self { root, path: path.to_owned() })
    }

    /// What it is itself.
    pub(super) fn node(&self) -> Result<Node, VaultError> {
        let meta = fs::metadata(&self.path);
        let node = meta.and_then(|meta| node::of_file(&self.path, OsStr::new(""), &meta));
        Ok(node.map_err(|error| VaultError::io(&self.path, &error))?.0)
    }

    /// What is in a folder, by name; `None` when that can't be found out, which is a problem then.
    pub(super) fn children(&self, folder: &InnerPath, problems: &mut Problems) -> Option<Vec<Known>> {
        let name = |path: &InnerPath| shown(&self.path.join(OsStr::from_bytes(&path.bytes())));
        let opened = self.folder(folder).map_err(io::Error::from);
        let listed = opened.and_then(|opened| {
            let reached = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
            Ok((sorted(&reached, folder.is_root())?, reached, opened))
        });
        let (names, reached, _opened) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                problems.add(format!("{} can't be read: {}.", name(folder), words(&error)));
                return None;
            }
        };
        let known = names.into_iter().rev().filter_map(|entry| {
            let inside = folder.join(&crate::model::files::encode(entry.as_bytes()));
            let path = reached.join(&entry);
            let found = fs::symlink_metadata(&path).and_then(|meta| node::of_file(&path, &entry, &meta));
            let node = match found {
                Ok((node, missing)) => {
                    for what in missing {
                        problems.add(format!("{}: {what} could not be read.", name(&inside)));
                    }
                    Some(node)
                }
                // It went while the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => {
                    problems.add(format!("{} can't be looked at: {}.", name(&inside), words(&error)));
                    None
                }
            };
            Some(Known { name: entry.as_bytes().to_vec(), node })
        });
        Some(known.collect())
    }

    fn folder(&self, folder: &InnerPath) -> Result<OwnedFd, Errno> {
        let bytes = folder.bytes();
        let relative: &[u8] = if bytes.is_empty() { b"." } else { &bytes };
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.root, relative, how)
    }
}

fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => "it changed while it was compared".to_owned(),
        Some(Errno::ENOSYS) => {
            "looking into folders safely needs Linux 5.6 or newer (the system call openat2)".to_owned()
        }
        Some(error) => error.desc().to_owned(),
        None => error.to_string(),
    }
}
