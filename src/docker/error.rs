//! What goes wrong between us and the engine, in words for the user.

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// No answer at all.
    #[error(
        "Docker does not answer at {address}: {cause}. Is the engine running, and is its socket mounted?"
    )]
    Unreachable {
        /// Socket or address.
        address: String,
        /// Why.
        cause: String,
    },
    /// 404; what was not found.
    #[error("{0} was not found")]
    NotFound(String),
    /// 409; the engine's words.
    #[error("Docker refused: {0}")]
    Conflict(String),
    /// Any other refusal.
    #[error("Docker refused ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// It took too long.
    #[error("Docker did not answer within {seconds} s ({what})")]
    Timeout {
        /// What was asked.
        what: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The engine said something that cannot be understood, or the stream broke.
    #[error("Docker's answer could not be used: {0}")]
    Answer(String),
    /// A file of ours could not be written or read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// `DOCKER_HOST` is not understood.
    #[error("“{0}” is not an address of a Docker engine. Use unix:///path or tcp://host:port.")]
    Address(String),
    /// An address with TLS, without what TLS needs.
    #[error(
        "This Docker engine wants TLS. Name the directory with ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, and set \
         DOCKER_TLS_VERIFY=1."
    )]
    NoCertificates,
    /// The certificates for the engine cannot be used; which and why.
    #[error("The certificates for the Docker engine can't be used: {0}")]
    Certificates(String),
    /// It was created but does not stay up.
    #[error("{0}")]
    NotReady(String),
}

impl DockerError {
    /// The engine did not answer: the same call may work later.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. })
    }

    /// From a status and the engine's `{"message": …}`.
    pub(super) fn of_status(status: u16, body: &[u8]) -> Self {
        let message = serde_json::from_slice::<serde_json::Value>(body)
            .ok()
            .and_then(|value| value["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(300).collect());
        match status {
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            _ => Self::Refused { status, message },
        }
    }

    pub(super) fn of_bollard(error: bollard::errors::Error, address: &str) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::of_status(status_code, format!("{{\"message\":{message:?}}}").as_bytes())
            }
            Error::RequestTimeoutError => Self::Timeout { what: "a request".to_owned(), seconds: 120 },
            Error::HyperResponseError { err } => {
                Self::Unreachable { address: address.to_owned(), cause: err.to_string() }
            }
            other => Self::Unreachable { address: address.to_owned(), cause: other.to_string() },
        }
    }
}
