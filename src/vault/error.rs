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
    /// The server did not allow it.
    #[error("The restore was stopped before anything was replaced.")]
    Refused,
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
        let log = error.display_log();
        let source: Box<dyn std::error::Error + Send + Sync> = log.clone().into();
        if log.contains("No space left on device") || log.contains("StorageFull") {
            return Self::Full { source };
        }
        let mut cause: &dyn std::error::Error = error.as_ref();
        while let Some(next) = cause.source() {
            cause = next;
        }
        let innermost = cause.to_string();
        // rustic's own text is a report of many lines; its first says what happened.
        let line = innermost.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let message = if line.is_empty() { log } else { line.to_owned() };
        Self::Engine { message, source }
    }
}
