//! Looks at files of a volume (those of a backup: see `backup_files`): lists a folder, reads the beginning of a file,
//! sends a file. Nothing here writes.
//!
//! Whatever is in the volume is hostile. Paths are resolved by the kernel with
//! the volume as the root (`openat2`), so no link, wherever it points and
//! whenever it is changed, leads out of it. What is opened is first looked at
//! through a handle that opens nothing (`O_PATH`), and read through that same
//! handle: a pipe or device is never touched, and nobody can put one in between.

use std::{
    cmp::Reverse,
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::Receiver,
};

use nix::{
    dir::{Dir, Type},
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2, readlinkat},
    sys::stat::{FileStat, Mode, fstat, fstatat},
};

use super::{
    archive, backup_files,
    order::{Answer, Event, Failure, FailureKind, FilesTask, Glance, Look, Root, Seen},
    report::Report,
};
use crate::{
    model::{
        files::{
            ByteRange, Entry, EntryKind, Excerpt, InnerPath, Listing, SortBy, StreamHead, Window, encode,
        },
        vault::Access,
    },
    vault::{Browser, Comparison},
};

/// Bytes of one piece.
const PIECE: usize = 64 * 1024;

/// What is looked at, made ready.
pub(super) enum Opened {
    Host(PathBuf),
    Backup(Box<Browser>),
    /// With the paths of the host, where a backup is compared with these.
    Comparison(Box<Comparison>, Vec<PathBuf>),
}

/// Does the task, and what is asked for after it. A failure before the first byte is an answer; one after it leaves
/// the last piece out.
pub(super) fn serve(task: FilesTask, vault: Option<&Access>, lines: &Receiver<String>) -> ExitCode {
    let FilesTask { root, path, look, more } = task;
    let opened = match root {
        Root::Host(root) => Ok(Opened::Host(root)),
        Root::Backup { id, .. } => {
            backup_files::open(vault, &id).map(|browser| Opened::Backup(Box::new(browser)))
        }
        Root::Comparison { before, after, .. } => backup_files::open_two(vault, &before, after),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            Report::send(&Event::Answer(Box::new(Err(failure))));
            return ExitCode::SUCCESS;
        }
    };
    let answer_to = |glance: &Glance| match &opened {
        Opened::Host(root) => answer_to(root, glance),
        Opened::Backup(browser) => backup_files::answer_to(browser, glance),
        Opened::Comparison(comparison, sources) => backup_files::compare(comparison, sources, glance),
    };
    let mut next = Some(Glance { path, look });
    while let Some(glance) = next.take() {
        if let Err(failure) = answer_to(&glance) {
            Report::send(&Event::Answer(Box::new(Err(failure))));
        }
        if more && let Ok(line) = lines.recv() {
            let Ok(glance) = serde_json::from_str(&line) else {
                eprintln!("this is not a work order");
                return ExitCode::from(2);
            };
            next = Some(glance);
        }
    }
    ExitCode::SUCCESS
}

fn answer_to(root: &Path, glance: &Glance) -> Result<(), Failure> {
    let place = Place::open(root, &glance.path)?;
    match &glance.look {
        Look::List(window) => answer(Seen::Listing(place.list(*window)?)),
        Look::Read { limit } => answer(Seen::Excerpt(place.read(*limit)?)),
        Look::Archive { .. } => return Err(wrong_kind(&glance.path, EntryKind::Dir, "a backup")),
        Look::Measure | Look::Compare(_) => {
            let message = "Only files of a backup are measured and compared.".to_owned();
            return Err(failure(FailureKind::Other, message, &"a volume"));
        }
        Look::Send { prefix, .. } if EntryKind::of_mode(place.stat.st_mode) == EntryKind::Dir => {
            let folder = place.folder()?;
            answer(Seen::Stream(StreamHead { size: None, part: None, ..place.head() }));
            finish(Pieces::begin().and_then(|out| archive::pack(folder, prefix, out)).and_then(Pieces::end));
        }
        Look::Send { range, if_tag, .. } => place.send(*range, if_tag.as_deref())?,
    }
    Ok(())
}

pub(super) fn answer(seen: Seen) {
    Report::send(&Event::Answer(Box::new(Ok(Answer::Files(seen)))));
}

/// After the answer a failure can only be told by ending without the last piece.
pub(super) fn finish(done: std::io::Result<()>) {
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(4);
    }
}

/// Standard output as a stream of pieces. Nothing but [`Pieces::end`] says that all of it was sent.
pub(super) struct Pieces(BufWriter<Piece>);

/// Writes whatever it is given as one piece.
struct Piece(File);

impl Write for Piece {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let bytes = bytes.get(..bytes.len().min(PIECE)).unwrap_or_default();
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Pieces {
    pub(super) fn begin() -> std::io::Result<Self> {
        // Not through the line buffer of the standard library.
        let out = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self(BufWriter::with_capacity(PIECE, Piece(out.into()))))
    }

    pub(super) fn end(self) -> std::io::Result<()> {
        let piece = self.0.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let mut out = piece.0;
        out.write_all(&[0; 4])?;
        out.flush()
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // An empty piece would be the end.
        if bytes.is_empty() { Ok(0) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A file or folder, held but not opened.
struct Place<'a> {
    handle: OwnedFd,
    stat: FileStat,
    path: &'a InnerPath,
}

impl<'a> Place<'a> {
    fn open(root: &Path, path: &'a InnerPath) -> Result<Self, Failure> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(root, flags, Mode::empty()).map_err(no_root)?;
        // Deleted since this process was given it: it would look empty.
        if fstat(&root).map_err(no_root)?.st_nlink == 0 {
            return Err(refused(path, Errno::ENOENT));
        }
        let bytes = path.bytes();
        let relative: &[u8] = if bytes.is_empty() { b"." } else { &bytes };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // Something was renamed meanwhile: the kernel asks to try again.
        let mut tries = (0..100)
            .map(|_| openat2(&root, relative, how))
            .skip_while(|opened| matches!(opened, Err(Errno::EAGAIN)));
        let handle = tries.next().unwrap_or(Err(Errno::EAGAIN)).map_err(|error| refused(path, error))?;
        let stat = fstat(&handle).map_err(|error| refused(path, error))?;
        Ok(Self { handle, stat, path })
    }

    fn entry(&self) -> Entry {
        entry(self.path.name().to_owned(), &self.stat, None)
    }

    /// Opens what the handle holds, whatever has happened to its name.
    fn reopen(&self, flags: OFlag) -> Result<OwnedFd, Failure> {
        let own = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let opened =
            open(own.as_str(), flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty());
        opened.map_err(|error| refused(self.path, error))
    }

    fn folder(&self) -> Result<OwnedFd, Failure> {
        match EntryKind::of_mode(self.stat.st_mode) {
            EntryKind::Dir => self.reopen(OFlag::O_RDONLY | OFlag::O_DIRECTORY),
            other => Err(wrong_kind(self.path, other, "a folder")),
        }
    }

    fn file(&self) -> Result<File, Failure> {
        match EntryKind::of_mode(self.stat.st_mode) {
            EntryKind::File => Ok(self.reopen(OFlag::O_RDONLY)?.into()),
            other => Err(wrong_kind(self.path, other, "a file")),
        }
    }

    fn list(&self, window: Window) -> Result<Listing, Failure> {
        let failed = |error| refused(self.path, error);
        let mut dir = Dir::from_fd(self.folder()?).map_err(failed)?;
        let mut rows = Vec::new();
        for found in dir.iter() {
            let found = found.map_err(failed)?;
            let name = found.file_name();
            if ![b".".as_slice(), b".."].contains(&name.to_bytes()) {
                rows.push((name.to_owned(), found.file_type()));
            }
        }
        let stat = |name: &std::ffi::CStr| fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
        // Not every file system says with the name what it is; size and time are never with it.
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|(name, told)| {
                let known = told.filter(|_| window.sort == SortBy::Name);
                let stat = if known.is_none() { stat(&name) } else { None };
                let folder = match (known, &stat) {
                    (Some(kind), _) => kind == Type::Directory,
                    (None, Some(stat)) => EntryKind::of_mode(stat.st_mode) == EntryKind::Dir,
                    (None, None) => false,
                };
                let order = match window.sort {
                    SortBy::Name => 0,
                    SortBy::Size => stat.map_or(0, |stat| stat.st_size),
                    SortBy::Modified => stat.map_or(0, |stat| stat.st_mtime),
                };
                (!folder, order, name)
            })
            .collect();
        let folders = rows.iter().filter(|row| !row.0).count();
        let name = |name: &std::ffi::CString| (name.as_bytes().to_ascii_lowercase(), name.clone());
        if window.descending {
            rows.sort_by_cached_key(|row| (row.0, Reverse((row.1, name(&row.2)))));
        } else {
            rows.sort_by_cached_key(|row| (row.0, row.1, name(&row.2)));
        }
        let total = rows.len();
        let page = rows.iter().skip(window.offset).take(window.limit);
        let entries = page.filter_map(|(_, _, name)| {
            let stat = stat(name)?;
            let link = (EntryKind::of_mode(stat.st_mode) == EntryKind::Symlink)
                .then(|| readlinkat(&dir, name.as_c_str()));
            let target = link
                .and_then(Result::ok)
                .map(|target| encode(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str())));
            Some(entry(encode(name.as_bytes()), &stat, target))
        });
        Ok(Listing { entries: entries.collect(), total, folders })
    }

    fn read(&self, limit: u64) -> Result<Excerpt, Failure> {
        let mut bytes = Vec::new();
        let read = self.file()?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(self.path, &error))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let truncated = bytes.len() > limit;
        bytes.truncate(limit);
        let (content, utf8) = text(&bytes, truncated);
        Ok(Excerpt { entry: self.entry(), content, utf8, truncated })
    }

    fn head(&self) -> StreamHead {
        let size = u64::try_from(self.stat.st_size).unwrap_or(0);
        let (seconds, nanos, inode) = (self.stat.st_mtime, self.stat.st_mtime_nsec, self.stat.st_ino);
        StreamHead {
            size: Some(size),
            part: Some((0, size)),
            partial: false,
            tag: format!("{inode:x}-{size:x}-{seconds:x}.{nanos:x}"),
            modified: seconds,
        }
    }

    fn send(&self, range: Option<ByteRange>, if_tag: Option<&str>) -> Result<(), Failure> {
        let mut file = self.file()?;
        let mut head = self.head();
        if let Some(range) = range.filter(|_| if_tag.is_none_or(|tag| tag == head.tag)) {
            head.part = range.within(head.size.unwrap_or(0));
            head.partial = true;
        }
        let (start, length) = head.part.unwrap_or((0, 0));
        file.seek(SeekFrom::Start(start)).map_err(|error| unreadable(self.path, &error))?;
        answer(Seen::Stream(head));
        finish(copy(&mut file, length));
        Ok(())
    }
}

fn copy(file: &mut File, length: u64) -> std::io::Result<()> {
    let mut out = Pieces::begin()?;
    let copied = std::io::copy(&mut file.take(length), &mut out)?;
    if copied < length {
        return Err(std::io::Error::other("the file became shorter while it was read"));
    }
    out.end()
}

fn entry(name: String, stat: &FileStat, target: Option<String>) -> Entry {
    Entry {
        name,
        kind: EntryKind::of_mode(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: stat.st_mtime,
        target,
    }
}

/// Text, if it is text, and whether it is UTF-8. A character cut in two at the end is dropped.
pub(super) fn text(bytes: &[u8], cut: bool) -> (Option<String>, bool) {
    // Text has no control characters but these; programs and pictures are full of them.
    let odd = |byte: &u8| *byte < 0x20 && !b"\t\n\r\x08\x0b\x0c\x1b".contains(byte);
    if bytes.iter().any(odd) {
        return (None, false);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), true),
        Err(error) if cut && error.error_len().is_none() => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            (Some(String::from_utf8_lossy(whole).into_owned()), true)
        }
        Err(_) => (Some(String::from_utf8_lossy(bytes).into_owned()), false),
    }
}

pub(super) fn failure(kind: FailureKind, message: String, detail: &dyn std::fmt::Display) -> Failure {
    Failure { kind, message, detail: detail.to_string() }
}

pub(super) fn shown(path: &InnerPath) -> String {
    if path.is_root() {
        "the top folder".to_owned()
    } else {
        format!("“{}”", crate::model::files::shown(path.as_str()))
    }
}

/// The volume itself can't be reached.
fn no_root(error: Errno) -> Failure {
    let message = match error {
        Errno::EACCES | Errno::EPERM => {
            "The files of this volume can't be read: permission denied. Container Monkey must run as root \
             to read volumes where Docker keeps them."
                .to_owned()
        }
        Errno::ENOENT | Errno::ENOTDIR => {
            "The files of this volume are not where Docker says. Is its disk mounted, and does Docker run on \
             the same machine as Container Monkey?"
                .to_owned()
        }
        other => format!("The files of this volume can't be read: {}.", other.desc()),
    };
    failure(FailureKind::Other, message, &error)
}

fn refused(path: &InnerPath, error: Errno) -> Failure {
    let what = shown(path);
    match error {
        Errno::ENOENT | Errno::ENOTDIR => {
            failure(FailureKind::FileMissing, format!("{what} in this volume"), &error)
        }
        Errno::ELOOP => {
            failure(FailureKind::Other, format!("The links on the way to {what} can't be followed."), &error)
        }
        Errno::ENAMETOOLONG => {
            failure(FailureKind::Other, format!("The path to {what} is too long."), &error)
        }
        Errno::ENOSYS => failure(
            FailureKind::Other,
            "Looking into volumes safely needs Linux 5.6 or newer (the system call openat2).".to_owned(),
            &error,
        ),
        other => failure(FailureKind::Other, format!("{what} can't be opened: {}.", other.desc()), &error),
    }
}

pub(super) fn unreadable(path: &InnerPath, error: &std::io::Error) -> Failure {
    failure(FailureKind::Other, format!("{} can't be read: {error}.", shown(path)), error)
}

pub(super) fn wrong_kind(path: &InnerPath, kind: EntryKind, wanted: &str) -> Failure {
    let is = match kind {
        EntryKind::Dir => "a folder",
        EntryKind::File => "a file",
        EntryKind::Symlink => "a link; open what it points to instead",
        EntryKind::Fifo => "a named pipe, which holds nothing",
        EntryKind::Socket => "a socket, which holds nothing",
        EntryKind::Device => "a device and is not opened",
    };
    failure(FailureKind::Other, format!("{} is not {wanted}: it is {is}.", shown(path)), &"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_other_files() {
        assert_eq!(text(b"a\tb\n", false), (Some("a\tb\n".to_owned()), true));
        assert!(text("gr\u{fc}n".as_bytes(), false).1);
        assert_eq!(text(b"gr\xfcn", false), (Some("gr\u{FFFD}n".to_owned()), false));
        assert_eq!(text(b"\x7fELF\x02\x01\x01\x00", false).0, None);
        // Cut in the middle of a character.
        assert_eq!(text(b"ab\xc3", true), (Some("ab".to_owned()), true));
        assert_eq!(text(b"", false), (Some(String::new()), true));
    }
}
