//! Files of a volume as the explorer shows them, and how their paths travel.
//!
//! Names on Linux are bytes, and text can't hold all of them. A path in an
//! address, in JSON or in an order is therefore text in which a byte that is no
//! UTF-8 stands as the character U+EF00 + byte. A name that really has one of
//! these 128 private characters gets its bytes written the same way, so nothing
//! is lost or mixed up, and ordinary names stay what they are.

use serde::{Deserialize, Serialize};

/// U+EF80 to U+EFFF stand for the bytes 80 to FF.
const STAND_IN: u32 = 0xEF00;

/// Bytes as text; see the module.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let stand_in = |byte: u8| char::from_u32(STAND_IN + u32::from(byte)).unwrap_or('\u{FFFD}');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if byte_of(character).is_some() {
                let mut buffer = [0; 4];
                text.extend(character.encode_utf8(&mut buffer).bytes().map(stand_in));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().copied().map(stand_in));
    }
    text
}

/// The bytes of an encoded text.
pub fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The byte that this character stands for.
fn byte_of(character: char) -> Option<u8> {
    let byte = u32::from(character).checked_sub(STAND_IN)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// For people: what can't be shown as text becomes a replacement character.
pub fn shown(text: &str) -> String {
    let odd = |character: char| byte_of(character).is_some() || character.is_control() || is_bidi(character);
    text.chars().map(|character| if odd(character) { '\u{FFFD}' } else { character }).collect()
}

/// Characters that turn the reading direction could make a name look like another one.
fn is_bidi(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
}

/// Why a path was refused, for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPath(&'static str);

/// A path inside a volume: names joined by `/`, no empty one, no `.` or `..`. The root is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InnerPath(String);

impl InnerPath {
    /// Encoded, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As the system knows it.
    pub fn bytes(&self) -> Vec<u8> {
        decode(&self.0)
    }

    /// Whether it is the volume itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// With a leading slash, as the API shows it.
    pub fn absolute(&self) -> String {
        format!("/{}", self.0)
    }

    /// The last name, encoded; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The folder it is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let parent = self.0.rsplit_once('/').map_or("", |(parent, _)| parent);
        (!self.is_root()).then(|| Self(parent.to_owned()))
    }

    /// One of the names in it.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        if self.is_root() { Self(name.to_owned()) } else { Self(format!("{}/{name}", self.0)) }
    }

    /// Each name on the way with the path that leads to it, outermost first.
    pub fn steps(&self) -> Vec<(String, Self)> {
        let mut path = Self::default();
        let names = self.0.split('/').filter(|name| !name.is_empty());
        names
            .map(|name| {
                path = path.join(name);
                (shown(name), path.clone())
            })
            .collect()
    }
}

impl TryFrom<String> for InnerPath {
    type Error = BadPath;

    fn try_from(text: String) -> Result<Self, BadPath> {
        if text.contains('\0') {
            return Err(BadPath("A path can't hold a zero byte."));
        }
        let names: Vec<&str> = text.split('/').filter(|name| !["", "."].contains(name)).collect();
        if names.contains(&"..") {
            return Err(BadPath("A path can't go up with “..”. Name the folder itself."));
        }
        Ok(Self(names.join("/")))
    }
}

impl From<InnerPath> for String {
    fn from(path: InnerPath) -> Self {
        path.0
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

impl EntryKind {
    /// What the upper bits of a mode (`st_mode`) say.
    pub const fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o040_000 => Self::Dir,
            0o100_000 => Self::File,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            _ => Self::Device,
        }
    }
}

super::backup::words!(EntryKind {
    Dir => "dir",
    File => "file",
    Symlink => "symlink",
    Fifo => "fifo",
    Socket => "socket",
    Device => "device",
});

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, encoded.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file; what the file system says for others.
    pub size: u64,
    /// Permission bits with setuid, setgid and sticky: `0o4755`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970; may be negative.
    pub modified: i64,
    /// Where a link points to, encoded.
    pub target: Option<String>,
}

impl Entry {
    /// `-rwxr-xr-x`.
    pub fn permissions(&self) -> String {
        let kind = match self.kind {
            EntryKind::Dir => 'd',
            EntryKind::File => '-',
            EntryKind::Symlink => 'l',
            EntryKind::Fifo => 'p',
            EntryKind::Socket => 's',
            EntryKind::Device => 'c',
        };
        let mut text = String::from(kind);
        for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = self.mode >> shift;
            text.push(if bits & 4 != 0 { 'r' } else { '-' });
            text.push(if bits & 2 != 0 { 'w' } else { '-' });
            text.push(match (self.mode & special != 0, bits & 1 != 0) {
                (true, true) => letter,
                (true, false) => letter.to_ascii_uppercase(),
                (false, true) => 'x',
                (false, false) => '-',
            });
        }
        text
    }
}

/// How much a file or folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measure {
    /// Files, links and the like; folders are not counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How a folder is sorted; folders always come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// By name.
    #[default]
    Name,
    /// By size.
    Size,
    /// By time of the last change.
    Modified,
}

/// Which entries of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Order.
    pub sort: SortBy,
    /// Largest first.
    pub descending: bool,
    /// Entries to pass over.
    pub offset: usize,
    /// Entries at most.
    pub limit: usize,
}

/// Part of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    /// The entries asked for.
    pub entries: Vec<Entry>,
    /// How many there are.
    pub total: usize,
    /// How many of them are folders.
    pub folders: usize,
}

/// The beginning of a file, if it is text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The file itself.
    pub entry: Entry,
    /// The text; `None` when it is not text.
    pub content: Option<String>,
    /// Whether all of it was UTF-8; else other bytes were replaced.
    pub utf8: bool,
    /// Whether the file goes on.
    pub truncated: bool,
}

/// What a browser asks of a file: the first and the last byte, either may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// First byte; `None` = count from the end.
    pub first: Option<u64>,
    /// Last byte, or with no `first` how many from the end.
    pub last: Option<u64>,
}

impl ByteRange {
    /// Reads `bytes=0-99`. Several ranges, other units and nonsense are ignored, as HTTP allows.
    pub fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| match text.trim() {
            "" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        let range = Self { first: number(first)?, last: number(last)? };
        match (range.first, range.last) {
            (None, None) => None,
            (Some(first), Some(last)) if last < first => None,
            _ => Some(range),
        }
    }

    /// Start and length in a file of this size; `None` when nothing of it is there.
    pub fn within(self, size: u64) -> Option<(u64, u64)> {
        let (start, end) = match (self.first, self.last) {
            (Some(first), last) => (first, last.map_or(size, |last| last.saturating_add(1).min(size))),
            (None, last) => (size.saturating_sub(last.unwrap_or(0)), size),
        };
        (start < end).then(|| (start, end - start))
    }
}

/// What comes before the bytes of a file or archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// Size of the whole file; `None` for an archive, which is as long as it gets.
    pub size: Option<u64>,
    /// Where the bytes begin and how many follow; `None` = the range asked for is not in the file.
    pub part: Option<(u64, u64)>,
    /// Whether this is a part because a part was asked for.
    pub partial: bool,
    /// Changes whenever the file does.
    pub tag: String,
    /// Seconds since 1970.
    pub modified: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives_as_text() {
        let mut odd: Vec<Vec<u8>> = vec![
            b"plain name.txt".to_vec(),
            "größe".as_bytes().to_vec(),
            b"latin-1 \xfc.txt".to_vec(),
            b"\xff\xfe\x80".to_vec(),
            "\u{EF80}\u{EFFF} private".as_bytes().to_vec(),
            b"cut \xe2\x82".to_vec(),
            b"surrogate \xed\xa0\x80".to_vec(),
        ];
        odd.push((1..=255).collect());
        for bytes in odd {
            let text = encode(&bytes);
            assert_eq!(decode(&text), bytes, "{text:?}");
        }
        assert_eq!(encode("größe/a b".as_bytes()), "größe/a b");
        assert_eq!(encode(b"\xfc"), "\u{EFFC}");
        assert_eq!(shown(&encode(b"\xfc\n")), "\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn paths_never_go_up() {
        for bad in ["..", "/..", "a/../b", "a/..", "../../etc/passwd", "a\0b", "./../x"] {
            assert!(InnerPath::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        let path = InnerPath::try_from("//a/./b//c/".to_owned()).unwrap();
        assert_eq!(path.as_str(), "a/b/c");
        assert_eq!(path.name(), "c");
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(InnerPath::default().parent(), None);
        assert_eq!(InnerPath::try_from("...".to_owned()).unwrap().as_str(), "...");
        // A byte that stands for itself is never a dot or a slash.
        assert!((0x80..=0xff).all(|byte: u32| ![b'.', b'/'].contains(&u8::try_from(byte).unwrap())));
    }

    #[test]
    fn ranges_follow_http() {
        let part = |text, size| ByteRange::parse(text).and_then(|range| range.within(size));
        assert_eq!(part("bytes=0-99", 1000), Some((0, 100)));
        assert_eq!(part("bytes=900-", 1000), Some((900, 100)));
        assert_eq!(part("bytes=-10", 1000), Some((990, 10)));
        assert_eq!(part("bytes=-2000", 1000), Some((0, 1000)));
        assert_eq!(part("bytes=0-5000", 1000), Some((0, 1000)));
        assert_eq!(part("bytes=1000-", 1000), None);
        for odd in ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=-", "bytes=0-1,5-6"] {
            assert_eq!(ByteRange::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn permissions_read_as_ls_writes_them() {
        let entry = |kind, mode| Entry {
            name: String::new(),
            kind,
            size: 0,
            mode,
            uid: 0,
            gid: 0,
            modified: 0,
            target: None,
        };
        assert_eq!(entry(EntryKind::File, 0o644).permissions(), "-rw-r--r--");
        assert_eq!(entry(EntryKind::Dir, 0o1777).permissions(), "drwxrwxrwt");
        assert_eq!(entry(EntryKind::File, 0o4644).permissions(), "-rwSr--r--");
    }
}
