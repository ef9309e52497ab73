//! Where a vault is and what opens it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// What a worker needs to open a vault.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    /// Where it is.
    pub location: Location,
    /// The repository's password.
    pub password: Secret,
}

/// Where a vault is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Location {
    /// A directory on this machine.
    Local {
        /// The repository's directory.
        path: PathBuf,
    },
}
