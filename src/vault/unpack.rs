//! Reads an archive of ours (see `crate::model::archive`) once, front to back, as the entries of a backup. Whatever is
//! in it is hostile: nothing of it gets a name of its own on this machine's disk.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use rustic_core::{
    ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult, repofile::Node,
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::{
    MANIFEST,
    archive::hex,
    error::VaultError,
    member::{Member, Order, Records},
};
use crate::model::{
    archive::{END, End, FORMAT, HEADER, Header},
    backup::ItemState,
    manifest::{IMAGE_DIR, Manifest},
};

/// What is read of a file at a time, and the longest that is passed on in one piece.
const PIECE: usize = 256 * 1024;

/// Entries that wait to be stored.
const WAITING: usize = 16;

/// The longest description, in bytes.
const DESCRIPTION: u64 = 16 * 1024 * 1024;

/// What comes out of an archive.
pub(super) enum Message {
    /// Another backup begins.
    Begin(Box<Header>),
    /// A file or folder of it.
    Entry(Box<(PathBuf, Node, Option<Content>)>),
    /// All of it was there and is what the archive says.
    End {
        /// Files and folders.
        entries: u64,
    },
    /// The rest can't be used.
    Failed(String),
}

/// The bytes of a file.
pub(super) enum Content {
    /// All of them.
    Bytes(Vec<u8>),
    /// As they come.
    Stream(Receiver<Vec<u8>>),
    /// In a file of ours.
    Spooled(PathBuf),
    /// An entry that is not to be.
    Nothing,
}

impl ReadSourceOpen for Content {
    type Reader = Box<dyn Read + Send>;

    fn open(self) -> RusticResult<Self::Reader> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes))),
            Self::Nothing => Err(RusticError::new(ErrorKind::InputOutput, "an entry that is not to be")),
            Self::Stream(pieces) => Ok(Box::new(Pieces { pieces, piece: io::Cursor::default() })),
            Self::Spooled(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => {
                    Err(RusticError::with_source(ErrorKind::InputOutput, "a file can't be opened", error))
                }
            },
        }
    }
}

/// That the pieces end too early is told by a [`Message::Failed`].
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(buffer)? {
                0 if !buffer.is_empty() => match self.pieces.recv() {
                    Ok(piece) => self.piece = io::Cursor::new(piece),
                    Err(_) => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}

/// One backup of an archive, as rustic reads it.
pub(super) struct Incoming {
    messages: Arc<Mutex<Receiver<Message>>>,
    outcome: Arc<Mutex<Option<Result<u64, String>>>>,
    size: u64,
}

impl Incoming {
    /// `size`: logical bytes, for the progress.
    pub(super) fn new(messages: &Arc<Mutex<Receiver<Message>>>, size: u64) -> Self {
        Self { messages: messages.clone(), outcome: Arc::default(), size }
    }

    /// How many entries there were, if all of it came and is right. To be asked when it was read.
    pub(super) fn outcome(&self) -> Result<u64, VaultError> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stopped = || Err("it was not read to its end".to_owned());
        outcome.unwrap_or_else(stopped).map_err(VaultError::Archive)
    }
}

impl ReadSource for Incoming {
    type Open = Content;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(Some(self.size))
    }

    fn entries(&self) -> Entries {
        Entries { messages: self.messages.clone(), outcome: self.outcome.clone(), beside: None }
    }
}

/// See [`Incoming`].
pub(super) struct Entries {
    messages: Arc<Mutex<Receiver<Message>>>,
    outcome: Arc<Mutex<Option<Result<u64, String>>>>,
    /// Where the last entry was, if its content is still coming.
    beside: Option<PathBuf>,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Content>>;

    fn next(&mut self) -> Option<Self::Item> {
        // rustic asks for the next entry before it reads this one, but what comes next is not known before. An entry
        // that can't be opened it leaves out, so it gets one.
        if let Some(path) = self.beside.take() {
            let node = super::node::own("nothing", rustic_core::repofile::NodeType::File, 0);
            return Some(Ok(ReadSourceEntry { path, node, open: Some(Content::Nothing) }));
        }
        let message = self.messages.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let outcome = match message {
            Ok(Message::Entry(entry)) => {
                let (path, node, open) = *entry;
                self.beside = matches!(open, Some(Content::Stream(_))).then(|| path.clone());
                return Some(Ok(ReadSourceEntry { path, node, open }));
            }
            Ok(Message::End { entries }) => Ok(entries),
            Ok(Message::Failed(why)) => Err(why),
            Ok(Message::Begin(_)) | Err(_) => return None,
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        None
    }
}

/// Begins to read an archive. `spool`: an empty directory for contents that are needed twice.
pub(super) fn read(archive: File, spool: PathBuf) -> Arc<Mutex<Receiver<Message>>> {
    let (out, messages) = sync_channel(WAITING);
    std::thread::spawn(move || {
        let mut unpack = Unpack { out, spool, links: HashMap::new(), pending: Records::default() };
        if let Err(Stop(Some(why))) = unpack.run(archive) {
            let _ = unpack.out.send(Message::Failed(why));
        }
    });
    Arc::new(Mutex::new(messages))
}

/// The first description in an archive of ours; `None` when it is another kind of file.
pub(super) fn header(archive: File) -> Result<Option<Header>, VaultError> {
    let mut archive = Archive::new(decompressed(archive).map_err(|error| unreadable(&error))?);
    let Some(Ok(mut first)) = archive.entries().map_err(|error| unreadable(&error))?.next() else {
        return Ok(None);
    };
    if first.path_bytes().as_ref() != HEADER.as_bytes() {
        return Ok(None);
    }
    let header = understood(&mut first).map_err(|Stop(why)| VaultError::Archive(why.unwrap_or_default()))?;
    Ok(Some(header))
}

fn unreadable(error: &io::Error) -> VaultError {
    VaultError::Archive(format!("it can't be read ({error})"))
}

/// The bytes of a file, whatever it was compressed with.
pub(super) fn decompressed(file: File) -> io::Result<Box<dyn Read + Send>> {
    use io::BufRead as _;
    let mut file = BufReader::with_capacity(PIECE, file);
    let magic = file.fill_buf()?;
    Ok(if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        Box::new(file)
    })
}

/// Why reading ends early: for the user, or because nobody listens any more.
struct Stop(Option<String>);

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self(Some(format!("it is damaged or was cut off ({error})")))
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop(Some(why.into())))
}

/// A description in an archive.
fn understood<T: DeserializeOwned>(entry: &mut tar::Entry<'_, impl Read>) -> Result<T, Stop> {
    if entry.size() > DESCRIPTION {
        return refuse("its description is far too long");
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text)?;
    serde_json::from_slice(&text)
        .or_else(|error| refuse(format!("its description is not understood ({error})")))
}

struct Unpack {
    out: SyncSender<Message>,
    spool: PathBuf,
    /// Files with several names: what the first name is, and where its content is kept.
    links: HashMap<PathBuf, (Node, PathBuf)>,
    pending: Records,
}

/// The backup that is being read.
struct Current {
    container: String,
    /// Parts that should be in it and were not seen yet.
    missing: HashSet<PathBuf>,
    order: Order,
    entries: u64,
    /// Whether another one follows.
    more: bool,
}

impl Unpack {
    fn run(&mut self, archive: File) -> Result<(), Stop> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let reader = Watched { inner: decompressed(archive)?, seen: seen.clone() };
        let mut archive = Archive::new(reader);
        // Several backups, and what was compressed in several pieces, are one stream.
        archive.set_ignore_zeros(true);
        let mut current: Option<Current> = None;
        let mut more = true;
        for entry in archive.entries()?.raw(true) {
            let mut entry = match entry {
                Ok(entry) => entry,
                // Only the zeros at the end are not whole.
                Err(_) if !more && current.is_none() => break,
                Err(error) => return Err(error.into()),
            };
            if self.pending.take_in(&mut entry).map_err(|why| Stop(Some(why)))? {
                continue;
            }
            let member =
                Member::of(&entry, std::mem::take(&mut self.pending)).map_err(|why| Stop(Some(why)))?;
            match (&mut current, member.path.as_os_str().as_bytes()) {
                (None, path) if path == HEADER.as_bytes() => {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).restart();
                    let header: Header = understood(&mut entry)?;
                    current = Some(begin(&header)?);
                    self.send(Message::Begin(Box::new(header)))?;
                }
                (None, _) => return refuse("it is not an archive of Container Monkey"),
                (Some(backup), path) if path == END.as_bytes() => {
                    let (bytes, sha256) = seen.lock().unwrap_or_else(PoisonError::into_inner).so_far();
                    let end: End = understood(&mut entry)?;
                    if end.bytes != bytes || end.sha256 != sha256 {
                        return refuse("its content is not what was written: it was damaged on the way");
                    }
                    if let Some(path) = backup.missing.iter().min() {
                        return refuse(format!("{} should be in it and is not", path.display()));
                    }
                    more = backup.more;
                    self.send(Message::End { entries: backup.entries })?;
                    current = None;
                    self.links.clear();
                }
                (Some(backup), _) => self.member(backup, &member, &mut entry)?,
            }
        }
        if current.is_some() || more {
            return refuse("it was cut off: its end is missing");
        }
        Ok(())
    }

    fn send(&self, message: Message) -> Result<(), Stop> {
        self.out.send(message).map_err(|_| Stop(None))
    }

    fn member(
        &mut self,
        backup: &mut Current,
        member: &Member,
        entry: &mut tar::Entry<'_, impl Read>,
    ) -> Result<(), Stop> {
        backup.order.follow(&member.path, member.is_dir()).map_err(|why| Stop(Some(why)))?;
        let first =
            member.path.components().next().map(|name| name.as_os_str().to_owned()).unwrap_or_default();
        if first != IMAGE_DIR && first.as_bytes() != backup.container.as_bytes() {
            return refuse(format!("{} does not belong into it", member.path.display()));
        }
        backup.missing.remove(&member.path);
        backup.entries += 1;
        let path = Path::new("/").join(&member.path);
        let (node, content) = match member.kind {
            EntryType::Regular => {
                let Some(content) = self.content(backup, member, entry)? else {
                    return self.stream(path, member.node(), entry);
                };
                let node = member.node();
                if let (true, Content::Spooled(kept)) = (member.links > 1, &content) {
                    self.links.insert(member.path.clone(), (node.clone(), kept.clone()));
                }
                (node, Some(content))
            }
            EntryType::Link => {
                let Some((node, kept)) = self.links.get(&member.target) else {
                    return refuse(format!(
                        "{} is a second name of a file that is not there",
                        member.path.display()
                    ));
                };
                (member.named(node), Some(Content::Spooled(kept.clone())))
            }
            _ => (member.node(), None),
        };
        self.send(Message::Entry(Box::new((path, node, content))))
    }

    /// The content of a file, unless it is long and better passed on in pieces.
    fn content(
        &self,
        backup: &Current,
        member: &Member,
        entry: &mut tar::Entry<'_, impl Read>,
    ) -> Result<Option<Content>, Stop> {
        if member.links > 1 {
            let kept = self.spool.join(self.links.len().to_string());
            let copied = io::copy(entry, &mut File::create(&kept)?)?;
            return if copied == member.size {
                Ok(Some(Content::Spooled(kept)))
            } else {
                refuse("it was cut off")
            };
        }
        let is_manifest = member.path == Path::new(&backup.container).join(MANIFEST);
        if is_manifest && member.size > DESCRIPTION {
            return refuse("its description is far too long");
        }
        if !is_manifest && member.size > PIECE as u64 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if is_manifest {
            check(&bytes, &backup.container)?;
        }
        Ok(Some(Content::Bytes(bytes)))
    }

    /// Passes a long file on in pieces.
    fn stream(&self, path: PathBuf, node: Node, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), Stop> {
        let (pieces, content) = sync_channel(4);
        self.send(Message::Entry(Box::new((path, node, Some(Content::Stream(content))))))?;
        let mut left = entry.size();
        let mut wanted = true;
        while left > 0 {
            let mut piece = Vec::with_capacity(PIECE);
            let read = entry.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if read == 0 {
                return refuse("it was cut off");
            }
            left -= read as u64;
            // Nobody wants the content of a file that could not be stored; what that means is found out at the end.
            wanted = wanted && pieces.send(piece).is_ok();
        }
        Ok(())
    }
}

/// Looks at what an archive says of a backup.
fn begin(header: &Header) -> Result<Current, Stop> {
    if header.format > FORMAT || header.meta.format > crate::model::manifest::FORMAT {
        return refuse("it was written by a newer Container Monkey; import it with that version");
    }
    let container = header.meta.container.clone();
    let plain = !container.is_empty() && !container.starts_with('.') && !container.contains(['/', '\0']);
    if !plain || container == HEADER || container == END {
        return refuse("it has no usable name");
    }
    let there = |state| matches!(state, ItemState::Saved | ItemState::Warnings);
    let items = header.meta.items.iter().filter(|item| there(item.state));
    let missing: HashSet<PathBuf> = items.map(|item| PathBuf::from(&item.path)).collect();
    if !missing.contains(&Path::new(&container).join(MANIFEST)) {
        return refuse("its settings are not in it");
    }
    Ok(Current { container, missing, order: Order::default(), entries: 0, more: header.more })
}

/// Whether this is the manifest of that container.
fn check(manifest: &[u8], container: &str) -> Result<(), Stop> {
    let manifest: Manifest = match serde_json::from_slice(manifest) {
        Ok(manifest) => manifest,
        Err(error) => return refuse(format!("its settings are not understood ({error})")),
    };
    if manifest.format > crate::model::manifest::FORMAT {
        return refuse("it was written by a newer Container Monkey; import it with that version");
    }
    if manifest.container_name == container {
        Ok(())
    } else {
        refuse("its settings are those of another container")
    }
}

/// Bytes of a tar's block. What was read of an archive when an entry's header was is that header's position and a block.
const BLOCK: usize = 512;

/// Count and hash of what was read, but for the last block.
#[derive(Default)]
struct Seen {
    hash: Sha256,
    bytes: u64,
    last: Vec<u8>,
}

impl Seen {
    /// From the last block on.
    fn restart(&mut self) {
        (self.hash, self.bytes) = (Sha256::new(), 0);
    }

    /// Before the last block.
    fn so_far(&self) -> (u64, String) {
        (self.bytes, hex(&self.hash.clone().finalize()))
    }

    fn add(&mut self, read: &[u8]) {
        self.last.extend_from_slice(read);
        let old = self.last.len().saturating_sub(BLOCK);
        self.hash.update(&self.last[..old]);
        self.bytes += old as u64;
        self.last.drain(..old);
    }
}

/// Tells [`Seen`] what is read.
struct Watched<R> {
    inner: R,
    seen: Arc<Mutex<Seen>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..count]);
        Ok(count)
    }
}
