//! Lists of backups: which ones, in which order, and what is known of all of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    backup::{Backup, words},
    vault::Storage,
};

/// Which backups, in which order. Empty fields choose nothing, as those of a form.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Filter {
    /// Words that all stand somewhere in the names, image, note, stack, date, id…
    pub search: Option<String>,
    /// container, network, stack.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// manual, scheduled, import, safety.
    pub backup_type: Option<String>,
    /// local, s3.
    pub storage: Option<String>,
    /// Server name.
    pub server: Option<String>,
    /// Container name (or of what else was backed up).
    pub container: Option<String>,
    /// complete, complete_with_warnings, partial, unfinished; or damaged: those of which something is lost, which are
    /// in none of the other states then.
    pub state: Option<String>,
    /// Column: created (default), name, server, size, stored_size, state, type, storage, verified.
    pub sort: Option<String>,
    /// asc or desc.
    pub order: Option<String>,
    /// Rows at most.
    pub limit: Option<u32>,
    /// Rows to pass over.
    pub offset: Option<u32>,
}

/// What a list can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Column {
    /// When it was made.
    #[default]
    Created,
    /// What was backed up.
    Name,
    /// Where it comes from.
    Server,
    /// Logical bytes.
    Size,
    /// Bytes it added to the vault.
    StoredSize,
    /// How it ended, or that it is damaged.
    State,
    /// Who asked for it.
    Type,
    /// The vault.
    Storage,
    /// When it was last verified; never comes first.
    Verified,
}

words!(Column {
    Created => "created",
    Name => "name",
    Server => "server",
    Size => "size",
    StoredSize => "stored_size",
    State => "state",
    Type => "type",
    Storage => "storage",
    Verified => "verified",
});

impl Filter {
    /// The word for backups of which something is lost, among the states.
    pub const DAMAGED: &'static str = "damaged";

    /// The column it is sorted by; one that is not known is as none.
    pub fn column(&self) -> Column {
        self.sort.as_deref().and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    /// Whether the largest come first: the newest do, where nothing else is said.
    pub fn descending(&self) -> bool {
        self.order.as_deref().map_or(self.sort.is_none(), |order| order == "desc")
    }

    /// The words that are looked for, in small letters.
    pub fn words(&self) -> Vec<String> {
        let text = self.search.as_deref().unwrap_or_default().to_lowercase();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// A field in which something was chosen.
    pub fn chosen(field: Option<&String>) -> Option<&str> {
        field.map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// Some backups and how many there are.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The rows asked for.
    pub backups: Vec<Backup>,
    /// How many match.
    pub total: usize,
    /// All there are.
    pub sums: Sums,
}

/// A backup that somebody deleted and that is still in the vault.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted {
    /// The backup.
    pub backup: Backup,
    /// When it was deleted.
    pub at: DateTime<Utc>,
    /// Who deleted it.
    pub by: String,
}

/// Backups of one server in one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// The vault.
    pub storage: Storage,
    /// The server.
    pub server: String,
    /// How many there are.
    pub count: usize,
    /// Logical bytes of all of them.
    pub size: u64,
    /// Bytes they take in the vault.
    pub stored_size: u64,
}

/// What all backups come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(pub Vec<Sum>);

impl Sums {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(|sum| sum.count).sum()
    }

    /// Logical bytes of all of them.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|sum| sum.size).sum()
    }

    /// Bytes they take in the vaults.
    pub fn stored_size(&self) -> u64 {
        self.0.iter().map(|sum| sum.stored_size).sum()
    }

    /// Those of one vault.
    #[must_use]
    pub fn of(&self, storage: Storage) -> Self {
        Self(self.0.iter().filter(|sum| sum.storage == storage).cloned().collect())
    }

    /// Names of all servers, in their order.
    pub fn servers(&self) -> Vec<String> {
        let mut servers: Vec<String> = self.0.iter().map(|sum| sum.server.clone()).collect();
        servers.sort();
        servers.dedup();
        servers
    }
}
