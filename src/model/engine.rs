//! Which Docker engine, and how it is reached.

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// Where the socket is if nobody says otherwise.
const USUAL: &str = "unix:///var/run/docker.sock";

/// The engine, as `DOCKER_HOST` and its companions name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineAddress {
    /// `unix:///path`, `tcp://host:port`; `None` = the usual socket.
    pub host: Option<String>,
    /// With TLS on both sides.
    pub tls: Option<EngineTls>,
}

/// What `DOCKER_CERT_PATH` holds, as PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineTls {
    /// `ca.pem`: the only authority that is trusted.
    pub authority: String,
    /// `cert.pem`.
    pub certificate: String,
    /// `key.pem`.
    pub key: Secret,
}

impl EngineAddress {
    /// Its address.
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or(USUAL)
    }

    /// Whether it is reached over a network.
    pub fn is_remote(&self) -> bool {
        !self.host().starts_with("unix://")
    }
}
