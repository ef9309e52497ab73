//! What goes wrong with the vault, in words for the user.

use std::path::Path;

/// A failed operation on the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing there.
    #[error("There is no vault in {location}.")]
    Missing {
        /// Where.
        location: String,
    },
    /// Something else is there.
    #[error("{location} is not empty and is not a vault. Nothing in it was touched.")]
    Foreign {
        /// Where.
        location: String,
    },
    /// The key does not open it.
    #[error("The vault can't be opened: the key is wrong. The backups in it are untouched.")]
    WrongPassword,
    /// Written by a later version.
    #[error("The vault in {location} has a newer format than this version understands.")]
    TooNew {
        /// Where.
        location: String,
    },
    /// No such backup.
    #[error("The backup {id} is not in the vault.")]
    NoBackup {
        /// Its id.
        id: String,
    },
    /// Its disk is full.
    #[error("The vault's disk is full. What was in the vault is untouched; free some space and try again.")]
    Full {
        /// The system's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk that is restored to is full.
    #[error("There is not enough space at {path} for the data. Nothing there was changed.")]
    TargetFull {
        /// Where.
        path: String,
    },
    /// A file or directory of this machine.
    #[error("{path}: {cause}")]
    Io {
        /// The path.
        path: String,
        /// Why.
        cause: String,
    },
    /// A backup is not what it should be.
    #[error("The backup can't be used: {0}")]
    Broken(String),
    /// Settings in a format of a later version.
    #[error(
        "These settings were saved by Container Monkey {program}, in a format that this version does not know. Update this \
         server first."
    )]
    NewerSettings {
        /// The version that wrote them.
        program: String,
    },
    /// A directory or file of this machine is not there any more.
    #[error("The path {path}")]
    Absent {
        /// Where it was.
        path: String,
    },
    /// A single file or folder can't go where it should.
    #[error("{0}")]
    Place(String),
    /// A file that is to be imported.
    #[error("This file can't be imported: {0}.")]
    Archive(String),
    /// The server did not allow it.
    #[error("The restore was stopped before anything was replaced.")]
    Refused,
    /// The storage of the vault, such as a bucket.
    #[error("{message}")]
    Storage {
        /// What happened, why, what to do.
        message: String,
        /// The storage's own words.
        detail: String,
    },
    /// An object that should be there is not: lost, or taken by another server's clean-up since it was listed.
    #[error("{message}")]
    Gone {
        /// Which.
        message: String,
        /// The storage's own words.
        detail: String,
    },
    /// The engine.
    #[error("The vault can't be used: {message}")]
    Engine {
        /// The innermost cause, which says most.
        message: String,
        /// All of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl VaultError {
    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::TargetFull { path: path.display().to_string() };
        }
        Self::Io { path: path.display().to_string(), cause: error.to_string() }
    }
}

impl From<Box<rustic_core::RusticError>> for VaultError {
    fn from(error: Box<rustic_core::RusticError>) -> Self {
        if error.is_incorrect_password() {
            return Self::WrongPassword;
        }
        match causes(error.as_ref()).find_map(|cause| cause.downcast_ref()) {
            Some(Self::Storage { message, detail }) => {
                return Self::Storage { message: message.clone(), detail: detail.clone() };
            }
            Some(Self::Gone { message, detail }) => {
                return Self::Gone { message: message.clone(), detail: detail.clone() };
            }
            _ => {}
        }
        let log = error.display_log();
        let missing = causes(error.as_ref()).find_map(|cause| match cause.downcast_ref() {
            Some(object_store::Error::NotFound { path, .. }) => Some(path),
            _ => None,
        });
        if let Some(path) = missing {
            let message = format!("{path} is not there any more, where the vault should have it.");
            return Self::Gone { message, detail: log };
        }
        let source: Box<dyn std::error::Error + Send + Sync> = log.clone().into();
        if log.contains("No space left on device") || log.contains("StorageFull") {
            return Self::Full { source };
        }
        let line = innermost(error.as_ref());
        let message = if line.is_empty() { log } else { line };
        Self::Engine { message, source }
    }
}

/// An error and what caused it, outermost first.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The first line of the innermost cause, which says most: rustic's own text is a report of many lines.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let text = causes(error).last().map(ToString::to_string).unwrap_or_default();
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}
