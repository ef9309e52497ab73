//! Volumes as the pages and the API show them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// A backup is old after this many days.
pub const STALE_DAYS: i64 = 7;

/// One row of the list. Field names are those of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Where the engine keeps it.
    pub mountpoint: String,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether a container mounts it, running or not.
    pub in_use: bool,
    /// Names of the containers that mount it.
    pub containers: Vec<String>,
    /// Stack it belongs to.
    pub stack: Option<String>,
    /// Bytes it takes, as last measured; `None` when it was not measured.
    pub size_bytes: Option<u64>,
    /// It holds this program's own data.
    pub is_self: bool,
    /// Whether its files can be looked at.
    pub browsable: bool,
    /// How well it is protected.
    pub protection: Protection,
    /// The newest good backup that holds it.
    pub backup: Option<Held>,
    /// Why the newest backup of its container left it out.
    pub left_out: Option<String>,
}

/// A backup that holds a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The backup.
    pub id: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Bytes of the volume in it.
    pub bytes: u64,
}

/// Whether its data can be brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// By a backup of the last days.
    Protected,
    /// By an old one.
    Stale,
    /// Left out of its container's backups.
    LeftOut,
    /// Not at all.
    Unprotected,
}

super::backup::words!(Protection {
    Protected => "protected",
    Stale => "stale",
    LeftOut => "left_out",
    Unprotected => "unprotected",
});
