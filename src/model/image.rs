//! Images as the pages and the API show them.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// One image. Field names are those of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// `name:tag`, all of them.
    pub tags: Vec<String>,
    /// `name@sha256:…` of the registries it came from.
    pub digests: Vec<String>,
    /// Bytes, with layers that other images share.
    pub size: u64,
    /// When it was built.
    pub created: Option<DateTime<Utc>>,
    /// Whether a container was made from it, running or not.
    pub in_use: bool,
    /// Names of these containers.
    pub containers: Vec<String>,
    /// Container Monkey runs from it.
    pub is_self: bool,
    /// No name leads to it, and no container uses it.
    pub dangling: bool,
}

impl Image {
    /// The twelve digits that people use.
    pub fn short_id(&self) -> &str {
        let hex = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        hex.get(..12).unwrap_or(hex)
    }

    /// What people call it: its first tag, else the repository it was pulled from, else its id.
    pub fn name(&self) -> String {
        let digest = self.digests.first().and_then(|digest| digest.split('@').next());
        match (self.tags.first(), digest) {
            (Some(tag), _) => tag.clone(),
            (None, Some(repository)) => format!("{repository} (no tag)"),
            (None, None) => self.short_id().to_owned(),
        }
    }
}
