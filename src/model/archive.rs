//! A backup as a file: one tar, compressed or not, that says by itself what is in it and whether it is whole.
//! The format is described in `docs/archive.md`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::backup::{Backup, Meta, Trigger, words};

/// The format that is written. A reader refuses a higher one.
pub const FORMAT: u32 = 1;

/// The first entry of a backup in an archive: a [`Header`].
pub const HEADER: &str = "container-monkey.json";

/// The last entry of a backup in an archive: an [`End`].
pub const END: &str = "container-monkey.end.json";

/// What the archive begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Name and version of the program that wrote it.
    pub program: String,
    /// When the backup was made.
    pub created: DateTime<Utc>,
    /// Server it comes from.
    pub server_name: String,
    /// Who asked for it.
    pub trigger: Trigger,
    /// What is in it, and how each part ended.
    pub meta: Meta,
    /// Whether another backup follows in the same archive.
    #[serde(default)]
    pub more: bool,
}

impl Header {
    /// Whether this backup is the one in the archive.
    pub fn is_of(&self, backup: &Backup) -> bool {
        self.created == backup.created
            && self.server_name == backup.server_name
            && self.meta.kind == backup.meta.kind
            && self.meta.container == backup.meta.container
    }
}

/// What a backup in an archive ends with. Without it the archive was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Bytes of the uncompressed archive from the backup's first entry to this one.
    pub bytes: u64,
    /// SHA-256 of these bytes, in hex.
    pub sha256: String,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all: `.tar`.
    #[default]
    #[serde(rename = "tar")]
    None,
    /// `.tar.zst`
    #[serde(rename = "tar.zst")]
    Zstd,
    /// `.tar.gz`
    #[serde(rename = "tar.gz")]
    Gzip,
}

words!(Compression { None => "tar", Zstd => "tar.zst", Gzip => "tar.gz" });

impl Compression {
    /// All of them, the most useful first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Gzip, Self::None];
}
