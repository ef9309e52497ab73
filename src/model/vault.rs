//! Where a vault is and what opens it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{backup::words, secret::Secret};

/// What a worker needs to open a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Where it is.
    pub location: Location,
    /// The repository's password.
    pub password: Secret,
    /// Where a copy of what is read again and again is kept; for a vault that is far away.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

impl Access {
    /// Without a cache.
    pub const fn new(location: Location, password: Secret) -> Self {
        Self { location, password, cache: None }
    }
}

/// Where a vault can be. There is at most one of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// The data directory of this server.
    #[default]
    Local,
    /// A bucket of an S3 server.
    S3,
}

words!(Storage { Local => "local", S3 => "s3" });

impl Storage {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Local, Self::S3];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Local => Self::S3,
            Self::S3 => Self::Local,
        }
    }

    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Local => "Local",
            Self::S3 => "S3",
        }
    }
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
    /// A bucket.
    S3(S3Location),
}

impl Location {
    /// Which of the two.
    pub const fn storage(&self) -> Storage {
        match self {
            Self::Local { .. } => Storage::Local,
            Self::S3(_) => Storage::S3,
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { path } => write!(f, "{}", path.display()),
            Self::S3(s3) => write!(f, "{s3}"),
        }
    }
}

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Location {
    /// The bucket. It is never made by us.
    pub bucket: String,
    /// Its region, such as `eu-central-1`.
    pub region: String,
    /// `https://host[:port]`; `None` = Amazon's. `http://` is spoken only where it says so.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What the keys of the vault's objects begin with, without slashes at its ends; empty = the whole bucket.
    #[serde(default)]
    pub prefix: String,
    /// `https://host/bucket` instead of `https://bucket.host`.
    #[serde(default)]
    pub path_style: bool,
    /// Certificates (PEM) of an authority that is trusted besides the known ones.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// As whom.
    pub credentials: S3Credentials,
}

impl S3Location {
    /// As it is written down: who gives the keys of a role is not this place's business.
    #[must_use]
    pub fn without_source(&self) -> Self {
        let mut place = self.clone();
        if let S3Credentials::Instance { source } = &mut place.credentials {
            **source = RoleSource::default();
        }
        place
    }

    /// Whether both mean the same objects, whoever asks for them.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.bucket == other.bucket && self.endpoint == other.endpoint && self.prefix == other.prefix
    }
}

impl std::fmt::Display for S3Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

/// As whom a bucket is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum S3Credentials {
    /// With a key of one's own.
    Keys {
        /// Its public half.
        access_key: String,
        /// Its secret half.
        secret_key: Secret,
    },
    /// With the role of the machine (EC2, ECS, EKS).
    Instance {
        /// Who gives its keys. It is not kept: the server's environment says it anew at each start.
        #[serde(default)]
        source: Box<RoleSource>,
    },
    /// As anybody.
    Anonymous,
}

/// Who gives a machine the keys of its role. They last for hours, so that whoever needs them asks again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RoleSource {
    /// The metadata service of a machine (EC2, IMDSv2).
    Metadata {
        /// Its address, `http://host[:port]`; `None` = Amazon's.
        #[serde(default)]
        endpoint: Option<String>,
    },
    /// The agent that runs containers as tasks (ECS).
    Task {
        /// Path at its address. Who knows it gets the keys.
        path: Secret,
    },
    /// The agent beside a pod (EKS Pod Identity).
    Pod {
        /// Its address.
        url: String,
        /// File with the token that it asks for.
        token_file: String,
    },
    /// The security token service, for a token that another authority gave (web identity).
    WebIdentity {
        /// File with the token.
        token_file: String,
        /// The role, `arn:aws:iam::…`.
        role: String,
        /// What the session is called in Amazon's logs.
        session: Option<String>,
        /// The service's address; `None` = Amazon's in the bucket's region.
        endpoint: Option<String>,
    },
}

impl Default for RoleSource {
    fn default() -> Self {
        Self::Metadata { endpoint: None }
    }
}
