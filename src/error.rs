//! What can go wrong while answering a request.
//!
//! `Display` is read by the user, `source()` by whoever reads the log. Status
//! and words live here; rendering and the one log line live in `web::errors`.

use std::{borrow::Cow, collections::BTreeMap, error::Error};

type Cause = Box<dyn Error + Send + Sync>;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// 404.
    #[error("{0} was not found")]
    NotFound(Cow<'static, str>),
    /// 404: there is none of what it would be done with.
    #[error("{0}")]
    Nothing(&'static str),
    /// 401.
    #[error("Authentication required")]
    Unauthenticated,
    /// 401: an API token that opens nothing.
    #[error(
        "This API token is not valid: it is wrong, was revoked or has expired. Make a new one in the settings."
    )]
    BadToken,
    /// 403.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// 400, with what is wrong per field.
    #[error("{message}")]
    Invalid {
        /// The whole story.
        message: String,
        /// Field name to sentence.
        fields: BTreeMap<String, String>,
    },
    /// 409.
    #[error("{0}")]
    Conflict(String),
    /// 409 of a restore, with what conflicts.
    #[error("{message}")]
    RestoreConflict {
        /// `volume_conflict`, `name_conflict`, `port_conflict`, `network_conflict`.
        status: &'static str,
        /// The sentence.
        message: String,
        /// Volumes (and bind paths) that exist.
        existing_volumes: Vec<String>,
    },
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 415: a file that can't be shown as text.
    #[error("{message}")]
    NotText {
        /// What it is and what to do.
        message: String,
        /// Its bytes.
        size: u64,
    },
    /// 422.
    #[error("{0}")]
    Impossible(String),
    /// 429; seconds until the next try.
    #[error("Too many requests. Try again in {0} s.")]
    TooMany(u64),
    /// 503: Docker or the vault does not answer.
    #[error("{message}")]
    Unavailable {
        /// Which one, why, what to do.
        message: String,
        /// For the log.
        #[source]
        source: Option<Cause>,
    },
    /// 405.
    #[error("This address does not answer that kind of request")]
    MethodNotAllowed,
    /// 500.
    #[error("Something went wrong inside Container Monkey. Nothing was lost; the log says more.")]
    Internal(#[source] Cause),
}

impl AppError {
    /// A wrong field.
    pub fn field(name: &str, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self::Invalid { message: sentence.clone(), fields: BTreeMap::from([(name.to_owned(), sentence)]) }
    }

    /// A bad request that is not about one field.
    pub fn invalid(sentence: impl Into<String>) -> Self {
        Self::Invalid { message: sentence.into(), fields: BTreeMap::new() }
    }

    /// Our own fault.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// Something we depend on is away.
    pub fn unavailable(message: impl Into<String>, cause: Option<Cause>) -> Self {
        Self::Unavailable { message: message.into(), source: cause }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) | Self::Nothing(_) => 404,
            Self::Unauthenticated | Self::BadToken => 401,
            Self::Forbidden(_) => 403,
            Self::Invalid { .. } => 400,
            Self::Conflict(_) | Self::RestoreConflict { .. } => 409,
            Self::TooLarge(_) => 413,
            Self::NotText { .. } => 415,
            Self::Impossible(_) => 422,
            Self::TooMany(_) => 429,
            Self::Unavailable { .. } => 503,
            Self::MethodNotAllowed => 405,
            Self::Internal(_) => 500,
        }
    }
}

/// Results of requests.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// An error with all its causes, for the log.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

impl From<crate::db::DbError> for AppError {
    fn from(error: crate::db::DbError) -> Self {
        Self::internal(error)
    }
}

impl From<crate::jobs::QueueError> for AppError {
    fn from(error: crate::jobs::QueueError) -> Self {
        Self::internal(error)
    }
}

impl From<crate::docker::DockerError> for AppError {
    fn from(error: crate::docker::DockerError) -> Self {
        use crate::docker::DockerError;
        match &error {
            DockerError::NotFound(what) => Self::NotFound(what.clone().into()),
            DockerError::Conflict(message) => Self::Conflict(message.clone()),
            DockerError::Refused { .. } => Self::Impossible(error.to_string()),
            _ => Self::unavailable(error.to_string(), Some(Box::new(error))),
        }
    }
}

impl From<crate::worker::order::Failure> for AppError {
    fn from(failure: crate::worker::order::Failure) -> Self {
        use crate::worker::order::FailureKind;
        match failure.kind {
            FailureKind::BackupMissing => Self::NotFound("That backup".into()),
            FailureKind::FileMissing => Self::NotFound(failure.message.into()),
            FailureKind::VaultMissing
            | FailureKind::Vault
            | FailureKind::WrongKey
            | FailureKind::Foreign
            | FailureKind::Storage
            | FailureKind::Docker => Self::unavailable(failure.message.clone(), Some(Box::new(failure))),
            _ => Self::Impossible(failure.message),
        }
    }
}
