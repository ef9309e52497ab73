//! One entry of a tar as one of a backup. Paths, orders and sizes in an archive are not to be believed.

use std::{
    ffi::{OsStr, OsString},
    io::Read,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Component, Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustic_core::{
    jiff::Timestamp,
    repofile::{Metadata, Node, NodeType},
};
use serde_json::{Value, json};
use tar::{Entry, EntryType};

use super::{
    node::{is_foreign, to_go},
    pack::{ATTRIBUTE, ATTRIBUTE_BASE64, LINKS},
};

/// The longest set of records before an entry, in bytes. An attribute has at most 64 KiB.
const RECORDS: u64 = 4 * 1024 * 1024;

/// What stands before an entry about it.
#[derive(Default)]
pub(super) struct Records {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    time: Option<Timestamp>,
    links: u64,
    attributes: Vec<(String, Vec<u8>)>,
}

impl Records {
    /// Takes the entry in if it is about the next one, and says whether it is.
    pub(super) fn take_in(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<bool, String> {
        let kind = entry.header().entry_type();
        let about = [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink];
        if !about.contains(&kind) {
            return Ok(false);
        }
        if entry.size() > RECORDS {
            return Err("it has a name or attribute that is far too long".to_owned());
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| format!("it is damaged or was cut off ({error})"))?;
        if kind == EntryType::XHeader {
            self.parse(&bytes).ok_or("it has attributes that are not understood")?;
            return Ok(true);
        }
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        let name = if kind == EntryType::GNULongName { &mut self.path } else { &mut self.target };
        *name = Some(bytes);
        Ok(true)
    }

    /// Records of the form `<length> <name>=<value>\n` (POSIX.1-2001, pax). A value may hold anything, line ends too.
    fn parse(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
            bytes = &bytes[length..];
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (std::str::from_utf8(&record[..equals]).ok()?, &record[equals + 1..]);
            match name {
                "path" => self.path = Some(value.to_vec()),
                "linkpath" => self.target = Some(value.to_vec()),
                "mtime" => self.time = Some(time(std::str::from_utf8(value).ok()?)?),
                LINKS => self.links = std::str::from_utf8(value).ok()?.parse().ok()?,
                // A length in its header was read already, so another one can't be true.
                "size" => return None,
                _ => {
                    if let Some(name) = name.strip_prefix(ATTRIBUTE_BASE64) {
                        self.attribute(name, STANDARD.decode(value).ok()?);
                    } else if let Some(name) = name.strip_prefix(ATTRIBUTE) {
                        self.attribute(name, value.to_vec());
                    }
                }
            }
        }
        Some(())
    }

    fn attribute(&mut self, name: &str, value: Vec<u8>) {
        let known = self.attributes.iter().any(|(known, _)| known == name);
        if !known && !is_foreign(OsStr::new(name)) {
            self.attributes.push((name.to_owned(), value));
        }
    }
}

/// Seconds with a fraction.
fn time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i32 = digits.parse().ok()?;
    Timestamp::new(seconds, if whole.starts_with('-') { -nanos } else { nanos }).ok()
}

/// An entry.
pub(super) struct Member {
    /// Relative, of plain names.
    pub(super) path: PathBuf,
    pub(super) kind: EntryType,
    /// What a link points to. Of a hard link: a path like `path`.
    pub(super) target: PathBuf,
    /// Bytes of a file.
    pub(super) size: u64,
    /// How many names the file has.
    pub(super) links: u64,
    meta: Metadata,
    device: u64,
}

impl Member {
    /// Understands an entry of an archive of ours.
    pub(super) fn of(entry: &Entry<'_, impl Read>, records: Records) -> Result<Self, String> {
        Self::read(entry, records, plain)
    }

    /// Understands an entry of another program, whose names may begin with `./`; the top folder's is empty then.
    pub(super) fn dotted(entry: &Entry<'_, impl Read>, records: Records) -> Result<Self, String> {
        Self::read(entry, records, |path| {
            let mut path = path;
            while let Some(rest) = path.strip_prefix(b"./") {
                path = rest;
            }
            if path.is_empty() || path == b"." { Some(PathBuf::new()) } else { plain(path) }
        })
    }

    fn read(
        entry: &Entry<'_, impl Read>,
        records: Records,
        plain: impl Fn(&[u8]) -> Option<PathBuf>,
    ) -> Result<Self, String> {
        let header = entry.header();
        let odd = |error: std::io::Error| format!("it is damaged ({error})");
        let path = records.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = plain(&path).ok_or_else(|| {
            format!(
                "it has an entry called “{}”",
                crate::model::files::shown(&String::from_utf8_lossy(&path))
            )
        })?;
        let kind = match header.entry_type() {
            EntryType::Continuous => EntryType::Regular,
            kind => kind,
        };
        let format = match kind {
            EntryType::Regular | EntryType::Link => 0o100_000,
            EntryType::Directory => 0o040_000,
            EntryType::Symlink => 0o120_000,
            EntryType::Char => 0o020_000,
            EntryType::Block => 0o060_000,
            EntryType::Fifo => 0o010_000,
            other => return Err(format!("{} is of an unknown kind ({other:?})", path.display())),
        };
        let target = records.target.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
        let target = match (kind, target.unwrap_or_default()) {
            (EntryType::Link, target) => plain(&target).ok_or("it has a link that leads out of it")?,
            (_, target) => PathBuf::from(OsString::from_vec(target)),
        };
        let size = if kind == EntryType::Regular { entry.size() } else { 0 };
        let id =
            |id: std::io::Result<u64>| u32::try_from(id.map_err(odd)?).map_err(|error| error.to_string());
        let seconds = i64::try_from(header.mtime().map_err(odd)?).unwrap_or(0);
        let time = records.time.or_else(|| Timestamp::new(seconds, 0).ok());
        let attributes = records.attributes.into_iter();
        let attributes: Value = attributes
            .map(|(name, value)| json!({ "name": name, "value": STANDARD.encode(value) }))
            .collect();
        let mode = header.mode().map_err(odd)? & 0o7777;
        let meta = Metadata {
            mode: Some(to_go(format | mode)),
            mtime: time,
            atime: time,
            ctime: time,
            uid: Some(id(header.uid())?),
            gid: Some(id(header.gid())?),
            size,
            links: u64::from(kind != EntryType::Directory),
            extended_attributes: serde_json::from_value(attributes).map_err(|error| error.to_string())?,
            ..Metadata::default()
        };
        let number =
            |number: std::io::Result<Option<u32>>| number.map_err(odd).map(Option::unwrap_or_default);
        let device = match kind {
            EntryType::Char | EntryType::Block => nix::sys::stat::makedev(
                u64::from(number(header.device_major())?),
                u64::from(number(header.device_minor())?),
            ),
            _ => 0,
        };
        Ok(Self { path, kind, target, size, links: records.links, meta, device })
    }

    pub(super) fn is_dir(&self) -> bool {
        self.kind == EntryType::Directory
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// As an entry of a backup, without its content.
    pub(super) fn node(&self) -> Node {
        let kind = match self.kind {
            EntryType::Directory => NodeType::Dir,
            EntryType::Symlink => NodeType::from_link(&self.target),
            EntryType::Char => NodeType::Chardev { device: self.device },
            EntryType::Block => NodeType::Dev { device: self.device },
            EntryType::Fifo => NodeType::Fifo,
            _ => NodeType::File,
        };
        let mut meta = self.meta.clone();
        if self.links > 1 {
            meta.links = self.links;
            (meta.inode, meta.device_id) = (group(&self.path), 1);
        }
        Node::new_node(self.name(), kind, meta)
    }

    /// The same file under this entry's name.
    pub(super) fn named(&self, file: &Node) -> Node {
        Node::new_node(self.name(), NodeType::File, file.meta.clone())
    }
}

/// A number for a file with several names, from the first of them.
pub(super) fn group(path: &Path) -> u64 {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(path.as_os_str().as_bytes());
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A relative path of plain names.
fn plain(path: &[u8]) -> Option<PathBuf> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    let names = path.components().all(|component| matches!(component, Component::Normal(_)));
    // Neither `a//b` nor `a/./b`, of which the components say nothing.
    let bytes = path.as_os_str().as_bytes();
    let whole = bytes.split(|byte| *byte == b'/').all(|name| !name.is_empty() && name != b".");
    (names && whole && !bytes.contains(&0)).then_some(path)
}

/// That entries come as in a backup: folders before what is in them, names in order.
#[derive(Default)]
pub(super) struct Order {
    /// The folders that are open, each with its last name.
    open: Vec<OsString>,
    last: Vec<Option<OsString>>,
}

impl Order {
    /// Takes the next entry.
    pub(super) fn follow(&mut self, path: &Path, folder: bool) -> Result<(), String> {
        let wrong = || Err(format!("{} is not where it should be in it", path.display()));
        let names: Vec<_> = path.components().map(|component| component.as_os_str().to_owned()).collect();
        let Some((name, above)) = names.split_last() else { return wrong() };
        if self.open.get(..above.len()) != Some(above) || (above.is_empty() && !folder) {
            return wrong();
        }
        self.open.truncate(above.len());
        self.last.resize(above.len() + 1, None);
        let last = self.last.last_mut().and_then(|last| last.replace(name.clone()));
        if last.is_some_and(|last| last.as_bytes() >= name.as_bytes()) {
            return wrong();
        }
        if folder {
            self.open.push(name.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_taken() {
        for (path, good) in
            [("a/b", true), ("a/", true), ("ä", true), ("", false), ("/a", false), ("a/../b", false)]
        {
            assert_eq!(plain(path.as_bytes()).is_some(), good, "{path}");
        }
        for path in ["..", ".", "./a", "a//b", "a/./b", "a/.", "a\0b"] {
            assert!(plain(path.as_bytes()).is_none(), "{path}");
        }
    }

    #[test]
    fn entries_come_in_the_order_of_a_backup() {
        let follow = |paths: &[&str]| {
            let mut order = Order::default();
            let mut paths = paths.iter();
            paths.all(|path| order.follow(Path::new(path.trim_end_matches('/')), path.ends_with('/')).is_ok())
        };
        assert!(follow(&[".image/", ".image/a", "web/", "web/a/", "web/a/x", "web/b", "web/c/", "web/c/a"]));
        assert!(!follow(&["web"]), "nothing but folders at the top");
        assert!(!follow(&["web/", "web/b", "web/a"]), "out of order");
        assert!(!follow(&["web/", "web/a", "web/a"]), "twice");
        assert!(!follow(&["web/", "web/a/x"]), "no folder");
        assert!(!follow(&["web/", "web/a/", "web/b/", "web/a/x"]), "a folder that is closed");
        assert!(!follow(&["web/", "web/a", "web/a/x"]), "a file as a folder");
    }

    #[test]
    fn records_hold_any_bytes() {
        let mut records = Records::default();
        let value = b"a\nb=c\0";
        let mut text = b"25 SCHILY.xattr.user.x=".to_vec();
        text.extend_from_slice(value);
        let length = text.len() + 1;
        text[..2].copy_from_slice(length.to_string().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(b"30 mtime=1700000000.123456789\n");
        records.parse(&text).unwrap();
        assert_eq!(records.attributes, [("user.x".to_owned(), value.to_vec())]);
        assert_eq!(records.time.unwrap().as_nanosecond(), 1_700_000_000_123_456_789);
        assert_eq!(time("-1.5").unwrap().as_nanosecond(), -1_500_000_000);
        for bad in ["", "x", "9999999 a=b\n", "6 a=b", "3 a=b\n", "12 size=123\n"] {
            assert!(bad.is_empty() || Records::default().parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
