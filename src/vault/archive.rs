//! Whole backups as files (see [`crate::model::archive`]): written here, read in `unpack`.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header as TarHeader};

use super::{
    browse::{Browser, other},
    error::VaultError,
    list,
    pack::Pack,
};
use crate::model::{
    archive::{Compression, END, End, FORMAT, HEADER, Header},
    vault::Storage,
};

/// Level of both compressions: quick rather than small, for most of it is compressed already or does not get smaller.
const ZSTD_LEVEL: i32 = 3;

impl Browser {
    /// What the archive of this backup begins with.
    fn header(&self, last: bool) -> Result<Header, VaultError> {
        let unknown = || VaultError::Broken("its own description is not understood".to_owned());
        let backup = list::backup(&self.snapshot, Storage::Local).ok_or_else(unknown)?;
        Ok(Header {
            format: FORMAT,
            program: concat!("Container Monkey ", env!("CARGO_PKG_VERSION")).to_owned(),
            created: backup.created,
            server_name: backup.server_name,
            trigger: backup.trigger,
            meta: backup.meta,
            more: !last,
        })
    }

    /// Writes all of this backup. `last`: no other backup follows in the same archive.
    pub fn archive<W: Write>(&self, out: W, compression: Compression, last: bool) -> io::Result<W> {
        let header = self.header(last).map_err(other)?;
        let out =
            Digested { out: Compressed::new(out, compression)?, hash: Sha256::new(), bytes: 0, mute: false };
        let mut pack = Pack::new(self, out);
        let root = self.find(&crate::model::files::InnerPath::default()).map_err(other)?;
        let root = root.ok_or_else(|| io::Error::other("the backup has no files"))?;
        let text = serde_json::to_vec_pretty(&header)?;
        let created = u64::try_from(header.created.timestamp()).unwrap_or(0);
        let mut own = own(text.len(), created);
        pack.tar.append_data(&mut own, HEADER, text.as_slice())?;
        for child in root.children(self).map_err(other)? {
            let name = child.name().into_owned();
            pack.entry(&child, std::path::Path::new(&name))?;
        }
        let out = pack.tar.get_mut();
        let end = End { bytes: out.bytes, sha256: hex(&out.hash.clone().finalize()) };
        let text = serde_json::to_vec_pretty(&end)?;
        pack.tar.append_data(&mut self::own(text.len(), created), END, text.as_slice())?;
        // What every tar ends with must not stand between two backups.
        pack.tar.get_mut().mute = !last;
        pack.finish()?.out.finish()
    }
}

/// For an entry of the archive itself.
fn own(length: usize, created: u64) -> TarHeader {
    let mut header = TarHeader::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(length as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(created);
    header
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Counts and hashes what is written.
struct Digested<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
    mute: bool,
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.mute {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Compresses what is written.
enum Compressed<W: Write> {
    None(W),
    Zstd(zstd::Encoder<'static, W>),
    Gzip(GzEncoder<W>),
}

impl<W: Write> Compressed<W> {
    fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(out),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::fast())),
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
