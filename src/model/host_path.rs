//! What a path of the host is, as far as backup and restore care.

use serde::{Deserialize, Serialize};

/// Kinds of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Nothing there.
    Missing,
    /// A directory without entries.
    EmptyDirectory,
    /// A directory with entries, or one that cannot be looked into.
    Directory,
    /// A file without content.
    EmptyFile,
    /// A file.
    File,
    /// A socket.
    Socket,
    /// A device or pipe.
    Special,
    /// It cannot be looked at.
    Unknown,
}

impl PathKind {
    /// Whether something would be lost if it were replaced. What cannot be looked at counts as filled.
    pub const fn is_filled(self) -> bool {
        !matches!(self, Self::Missing | Self::EmptyDirectory | Self::EmptyFile)
    }

    /// A file, with or without content.
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::EmptyFile)
    }
}
