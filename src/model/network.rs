//! Networks as the pages and the API show them.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::Serialize;

/// One network. Field names are those of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, under its name in the API")]
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
    /// Container Monkey is in it.
    pub is_self: bool,
    /// Every engine has it; it can't be deleted.
    pub built_in: bool,
    /// Stack it belongs to.
    pub stack: Option<String>,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
}

/// Whether any of our subnets shares addresses with any of theirs. What is not a subnet overlaps with nothing.
pub fn overlap(ours: &[String], theirs: &[String]) -> bool {
    let pair = |a: &str, b: &str| match (a.parse::<IpNet>(), b.parse::<IpNet>()) {
        (Ok(a), Ok(b)) => a.contains(&b.network()) || b.contains(&a.network()),
        _ => false,
    };
    ours.iter().any(|a| theirs.iter().any(|b| pair(a, b)))
}
