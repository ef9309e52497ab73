//! Packs a folder of a volume into a tar stream. Goes down by open folders, not
//! by names, so that nothing that is renamed or linked meanwhile leads out.

use std::{
    collections::HashMap,
    ffi::{CString, OsStr},
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::stat::{FileStat, Mode, fstat, fstatat, major, minor},
};
use tar::{Builder, EntryType, Header};

use super::files::Pieces;
use crate::model::files::{EntryKind, decode};

/// A file up to this size is read before its header is written, so that one that changes meanwhile
/// does no harm.
const SMALL: u64 = 1024 * 1024;

/// So many files with several names are remembered; further ones are packed once per name.
const REMEMBERED: usize = 100_000;

/// Writes the folder and all that is in it; names begin with `prefix`. Sockets are left out: they
/// hold nothing. What vanishes meanwhile is not there; what can't be read is an error.
pub(super) fn pack(folder: OwnedFd, prefix: &str, out: Pieces) -> io::Result<Pieces> {
    let mut pack = Pack { tar: Builder::new(out), links: HashMap::new() };
    let stat = fstat(&folder)?;
    pack.folder(folder, &stat, Path::new(OsStr::from_bytes(&decode(prefix))))?;
    pack.tar.into_inner()
}

struct Pack {
    tar: Builder<Pieces>,
    links: HashMap<(u64, u64), PathBuf>,
}

impl Pack {
    fn folder(&mut self, folder: OwnedFd, stat: &FileStat, path: &Path) -> io::Result<()> {
        let mut header = header(stat, EntryType::Directory, 0);
        self.tar.append_data(&mut header, path, io::empty())?;
        let mut dir = Dir::from_fd(folder)?;
        let mut names = Vec::new();
        for found in dir.iter() {
            let name = found?.file_name().to_owned();
            if ![b".".as_slice(), b".."].contains(&name.as_bytes()) {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let inner = path.join(OsStr::from_bytes(name.as_bytes()));
            let packed = self.entry(&dir, &name, &inner);
            packed.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", inner.display())))?;
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, name: &CString, path: &Path) -> io::Result<()> {
        let Some(stat) = gone(fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW))? else {
            return Ok(());
        };
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        match EntryKind::of_mode(stat.st_mode) {
            EntryKind::Dir => {
                let opened = openat(dir, name.as_c_str(), flags | OFlag::O_DIRECTORY, Mode::empty());
                match gone(opened)? {
                    Some(folder) => self.folder(folder, &stat, path),
                    None => Ok(()),
                }
            }
            EntryKind::File => match gone(openat(dir, name.as_c_str(), flags, Mode::empty()))? {
                Some(file) => self.file(file.into(), path),
                None => Ok(()),
            },
            EntryKind::Symlink => match gone(readlinkat(dir, name.as_c_str()))? {
                Some(target) => {
                    let mut header = header(&stat, EntryType::Symlink, 0);
                    self.tar.append_link(&mut header, path, target)
                }
                None => Ok(()),
            },
            EntryKind::Fifo => self.special(&stat, EntryType::Fifo, path),
            EntryKind::Device if stat.st_mode & 0o170_000 == 0o060_000 => {
                self.special(&stat, EntryType::Block, path)
            }
            EntryKind::Device => self.special(&stat, EntryType::Char, path),
            EntryKind::Socket => Ok(()),
        }
    }

    fn special(&mut self, stat: &FileStat, kind: EntryType, path: &Path) -> io::Result<()> {
        let mut header = header(stat, kind, 0);
        let number = |part: u64| u32::try_from(part).unwrap_or(0);
        header.set_device_major(number(major(stat.st_rdev)))?;
        header.set_device_minor(number(minor(stat.st_rdev)))?;
        self.tar.append_data(&mut header, path, io::empty())
    }

    fn file(&mut self, mut file: File, path: &Path) -> io::Result<()> {
        // Of what was opened, not of what had this name a moment ago.
        let stat = fstat(&file)?;
        if EntryKind::of_mode(stat.st_mode) != EntryKind::File {
            return Ok(());
        }
        let key = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&key) {
                let mut header = header(&stat, EntryType::Link, 0);
                return self.tar.append_link(&mut header, path, first);
            }
            if self.links.len() < REMEMBERED {
                self.links.insert(key, path.to_owned());
            }
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut beginning = Vec::new();
        (&mut file).take(SMALL).read_to_end(&mut beginning)?;
        let read = beginning.len() as u64;
        // All of it is in hand, however long it was said to be.
        let size = if read < SMALL { read } else { size.max(read) };
        let mut header = header(&stat, EntryType::Regular, size);
        let rest = Exactly { file, left: size - read };
        self.tar.append_data(&mut header, path, beginning.as_slice().chain(rest))
    }
}

/// The rest of a file; that it ends too early is an error, for its length was promised.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// What has vanished, or became something else, between its name and its opening is not there.
fn gone<T>(result: nix::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR | Errno::ENXIO | Errno::EINVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn header(stat: &FileStat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header
}
