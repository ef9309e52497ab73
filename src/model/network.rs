//! Networks as the pages and the API show them.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// One network. Field names are those of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// `local`, `swarm` or `global`.
    pub scope: String,
    /// Without a way out.
    pub internal: bool,
    /// Whether IPv6 is on.
    pub ipv6: bool,
    /// First subnet, or empty.
    pub subnet: String,
    /// First gateway, or empty.
    pub gateway: String,
    /// All subnets.
    pub subnets: Vec<String>,
    /// Names of the containers that are in it, running or not.
    pub containers: Vec<String>,
    /// Every engine has it; it can't be deleted.
    pub built_in: bool,
    /// Stack it belongs to.
    pub stack: Option<String>,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
}
