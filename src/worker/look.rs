//! The part of a work order that only looks at files, and what is answered to it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{
    archive::Compression,
    changes::{Changes, Wanted},
    files::{ByteRange, Entry, Excerpt, InnerPath, Listing, Measure, StreamHead, Window},
    vault::Storage,
};

/// See [`super::order::Task::Files`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FilesTask {
    /// What is never left.
    pub root: Root,
    /// Path inside of it.
    pub path: InnerPath,
    /// What to do there.
    pub look: Look,
    /// Whether it is to wait for another [`Glance`], a line each, until standard input ends.
    #[serde(default)]
    pub more: bool,
}

/// Whose files are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// Directory on the host that is never left, whatever links in it say.
    Host(PathBuf),
    /// A backup in the vault.
    Backup {
        /// The vault.
        storage: Storage,
        /// Its id there.
        id: String,
    },
    /// A backup in the vault, and what it is compared with.
    Comparison {
        /// The vault.
        storage: Storage,
        /// The backup's id there.
        before: String,
        /// What came after it.
        after: After,
    },
}

/// What a backup is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// Another one in the same vault, by its id.
    Backup(String),
    /// What these paths of the host hold now.
    Now(Vec<PathBuf>),
}

impl Root {
    /// The vault that it takes.
    pub const fn storage(&self) -> Option<Storage> {
        match self {
            Self::Host(_) => None,
            Self::Backup { storage, .. } | Self::Comparison { storage, .. } => Some(*storage),
        }
    }

    /// Whether it holds files of the host, which may be deleted and made again.
    pub const fn is_on_host(&self) -> bool {
        matches!(self, Self::Host(_) | Self::Comparison { after: After::Now(_), .. })
    }
}

/// The next look at the same volume or backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Glance {
    /// Path inside of it.
    pub path: InnerPath,
    /// What to do there.
    pub look: Look,
}

/// What to do with a file or folder. None of them changes anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// List a folder. Answer: [`Seen::Listing`].
    List(Window),
    /// Read the beginning of a text file. Answer: [`Seen::Excerpt`].
    Read {
        /// Bytes at most.
        limit: u64,
    },
    /// Say what a file or folder of a backup is and how much. Answer: [`Seen::Measured`].
    Measure,
    /// Say what differs, of a [`Root::Comparison`]. Answer: [`Seen::Changes`].
    Compare(Wanted),
    /// Send all of a backup as an archive. Answer: [`Seen::Stream`], then the bytes.
    Archive {
        /// How it is compressed.
        compression: Compression,
        /// Whether no other backup follows in the same archive.
        last: bool,
    },
    /// Send a file, or a folder as tar. Answer: [`Seen::Stream`], then the bytes.
    Send {
        /// Only this part of a file.
        range: Option<ByteRange>,
        /// Only if the file's tag is still this one; else all of it.
        if_tag: Option<String>,
        /// First part of the names in an archive, encoded like a path.
        prefix: String,
    },
}

/// See [`super::order::Answer::Files`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Part of a folder.
    Listing(Listing),
    /// The beginning of a file.
    Excerpt(Excerpt),
    /// A file or folder, and how much is in it.
    Measured {
        /// What it is.
        entry: Entry,
        /// All that is in it.
        measure: Measure,
    },
    /// What differs.
    Changes(Changes),
    /// Pieces of bytes follow this line, each after its length as four bytes, most significant first. They
    /// are all there when an empty piece has come.
    Stream(StreamHead),
}
