//! A backup as the vault lists it. All of it stands in the snapshot itself, so
//! that the catalog can be rebuilt from the vault alone.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{names::ScheduleId, vault::Storage};

/// The small JSON in the snapshot's `description`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// [`super::manifest::FORMAT`].
    pub format: u32,
    /// Container, network or stack.
    pub kind: Kind,
    /// Name of what was backed up: of the container, or of the network.
    pub container: String,
    /// Compose project, if any.
    #[serde(default)]
    pub stack: Option<String>,
    /// How it ended. [`State::Unfinished`] while it is being written.
    pub state: State,
    /// Image reference as the user gave it.
    #[serde(default)]
    pub image: String,
    /// Image id (`sha256:…`) when `.image` is in this snapshot, else empty.
    #[serde(default)]
    pub image_id: String,
    /// The image was gone, and `.image` is the file system of this one container instead: of no use to others.
    #[serde(default)]
    pub flattened: bool,
    /// Number of files, directories and other entries.
    #[serde(default)]
    pub files: u64,
    /// Logical size of volumes and binds in bytes (without the image).
    #[serde(default)]
    pub data_bytes: u64,
    /// Logical size of the image in bytes.
    #[serde(default)]
    pub image_bytes: u64,
    /// Number of warnings.
    #[serde(default)]
    pub warnings: u64,
    /// How each planned item ended, in the manifest's order.
    #[serde(default)]
    pub items: Vec<ItemOutcome>,
    /// A note of the user.
    #[serde(default)]
    pub note: String,
    /// The schedule that asked for it; only its rules ever delete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleId>,
}

/// How a planned item ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemOutcome {
    /// Path inside the snapshot, as in the manifest.
    pub path: String,
    /// Whether all of it is in the snapshot.
    pub state: ItemState,
    /// Logical bytes.
    pub bytes: u64,
    /// Entries.
    pub files: u64,
    /// What is missing or noteworthy; empty when nothing is.
    #[serde(default)]
    pub message: String,
}

/// State of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// All of it.
    Saved,
    /// Saved, but named files could not be read.
    Warnings,
    /// Left out on purpose.
    LeftOut,
    /// Not, or not usably, in the snapshot.
    Failed,
}

/// What was backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A container.
    #[default]
    Container,
    /// A network.
    Network,
    /// A stack.
    Stack,
}

/// Who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person or a script.
    Manual,
    /// A schedule.
    Scheduled,
    /// An upload.
    Import,
    /// A restore, before it overwrote something.
    Safety,
}

/// State of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every planned item is in it.
    Complete,
    /// Every planned item is in it, but some files could not be read.
    CompleteWithWarnings,
    /// An item failed.
    Partial,
    /// The worker died after the data was written and before the outcome was.
    Unfinished,
}

impl State {
    /// Whether it can be relied on: every planned item is in it.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithWarnings)
    }
}

/// A backup in the vault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Snapshot id, 64 hex digits.
    pub id: String,
    /// The vault it is in.
    #[serde(default)]
    pub storage: Storage,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Server it comes from (snapshot `hostname`).
    pub server_name: String,
    /// Who asked for it (a tag).
    pub trigger: Trigger,
    /// What the snapshot's description says.
    pub meta: Meta,
    /// Logical size of everything in it, bytes.
    pub size: u64,
    /// Bytes this backup added to the vault.
    pub stored_size: u64,
    /// How long it took, seconds.
    pub duration_seconds: f64,
    /// Somebody said that it must stay. Known to this server only, not to the vault.
    #[serde(default)]
    pub pinned: bool,
    /// When it was last looked at whether it is whole.
    #[serde(default)]
    pub verified: Option<DateTime<Utc>>,
    /// What was found to be lost of it.
    #[serde(default)]
    pub damage: Option<String>,
}

impl Backup {
    /// The name scripts use: `<container>_<YYYYMMDD>_<HHMMSS>_<id8>.tar` (UTC).
    pub fn filename(&self) -> String {
        let time = self.created.format("%Y%m%d_%H%M%S");
        // Names of networks may hold what has no place in an address.
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let name = self.meta.container.replace(|c| !plain(c), "_");
        format!("{name}_{time}_{}.tar", &self.id[..8.min(self.id.len())])
    }

    /// What finds exactly this one, also when a copy of it is in the other vault; see
    /// [`super::names::BackupRef`].
    pub fn reference(&self) -> String {
        match self.storage {
            Storage::Local => self.id.clone(),
            Storage::S3 => format!("s3:{}", self.id),
        }
    }

    /// Whether both are the same backup, in two vaults. A snapshot's id is another in each of them.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        self.created == other.created
            && self.server_name == other.server_name
            && self.meta.kind == other.meta.kind
            && self.meta.container == other.meta.container
    }

    /// Whether it protects something of this server: it can be relied on, and is not what a restore set aside.
    pub fn protects(&self, server: &str) -> bool {
        self.meta.state.is_good() && self.server_name == server && self.trigger != Trigger::Safety
    }

    /// For tests: made by hand on the server “nas”, on local storage, of no size.
    #[cfg(test)]
    pub(crate) fn sample(id: String, container: &str, created: DateTime<Utc>, state: State) -> Self {
        let meta = Meta {
            format: 1,
            kind: Kind::Container,
            container: container.to_owned(),
            stack: None,
            state,
            image: String::new(),
            image_id: String::new(),
            flattened: false,
            files: 0,
            data_bytes: 0,
            image_bytes: 0,
            warnings: 0,
            items: Vec::new(),
            note: String::new(),
            schedule: None,
        };
        Self {
            id,
            storage: Storage::Local,
            created,
            server_name: "nas".to_owned(),
            trigger: Trigger::Manual,
            meta,
            size: 0,
            stored_size: 0,
            duration_seconds: 0.0,
            pinned: false,
            verified: None,
            damage: None,
        }
    }
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $type {
            /// The word used in the API, the database and tags.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl std::str::FromStr for $type {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words!(Kind { Container => "container", Network => "network", Stack => "stack" });
words!(Trigger { Manual => "manual", Scheduled => "scheduled", Import => "import", Safety => "safety" });
words!(State {
    Complete => "complete",
    CompleteWithWarnings => "complete_with_warnings",
    Partial => "partial",
    Unfinished => "unfinished",
});
