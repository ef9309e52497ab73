//! What a backup is: the manifest (`backup.json`) and its items.
//!
//! Layout of a snapshot, format 1:
//!
//! ```text
//! /.image/image.json               ImageRecord
//! /.image/blobs/<sha256 hex>       image configuration and layers, by content
//! /<container>/backup.json         Manifest
//! /<container>/volumes/<volume>/…  files of a named or anonymous volume
//! /<container>/layer/…             what it changed in its own file system, as the engine's storage driver keeps it
//! /<container>/binds/<index>/…     files of a bind-mounted directory (or binds/<index>/<name> for one file)
//! /<network>/backup.json           Manifest, all there is in the backup of a network
//! ```
//!
//! The image stands outside the container's directory so that backups of other
//! containers with the same image find it at the same path: the engine then
//! takes the earlier backup as a further parent and reads nothing again. A
//! container's name never starts with a dot, so the two cannot collide.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backup::Kind;

/// The manifest's format. A reader refuses a higher one.
pub const FORMAT: u32 = 1;

/// Directory of the image in a snapshot.
pub const IMAGE_DIR: &str = ".image";

/// Everything that is needed to recreate a container, next to its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Version of the program that wrote it.
    pub app_version: String,
    /// Name of the server it comes from.
    pub server_name: String,
    /// When the plan was made.
    pub created: DateTime<Utc>,
    /// What was backed up.
    #[serde(default)]
    pub kind: Kind,
    /// Name of the container, without the leading slash, or of the network.
    pub container_name: String,
    /// How the data was kept still while it was read.
    pub consistency: Consistency,
    /// The raw answer of `GET /containers/{id}/json`. Raw, because typed structs
    /// lose fields that a later engine needs (such as `MacAddress`). `null` in the backup of a network.
    pub container: Value,
    /// The raw answer of `GET /images/{id}/json`; `null` when the image was deleted under the container.
    pub image: Value,
    /// Raw inspects of the networks the container is connected to, or of the one network.
    pub networks: Vec<Value>,
    /// Raw inspects of the volumes it mounts.
    pub volumes: Vec<Value>,
    /// The source engine: `GET /version` as `version`, `GET /info` as `info` (parts), and as
    /// `defaults` the inspect of a never-started container with no settings.
    pub engine: Value,
    /// What was planned, one entry each. How they ended is in the snapshot's [`super::backup::Meta`].
    pub items: Vec<Item>,
}

/// One planned part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// For people: the volume's name, the host path, the image's name.
    pub name: String,
    /// Path inside the snapshot, no leading slash: `web/volumes/data`, `.image`.
    pub path: String,
    /// Where the container sees it, if it is mounted.
    pub destination: Option<String>,
    /// Why it was left out on purpose (tmpfs, socket, `/`, network mount…); `None` = it is backed up.
    pub left_out: Option<String>,
}

/// Kinds of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// The manifest itself.
    Settings,
    /// The image.
    Image,
    /// A volume, named or anonymous.
    Volume,
    /// A bind-mounted host directory or file.
    Bind,
    /// What the container changed in its own file system, outside of its mounts.
    Layer,
}

/// How the container is kept still while its data is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Not at all: the container goes on running.
    #[default]
    Live,
    /// Paused: processes stand still, nothing is flushed.
    Pause,
    /// Stopped and started again afterwards.
    Stop,
}

super::backup::words!(Consistency { Live => "live", Pause => "pause", Stop => "stop" });

/// `.image/image.json`: how to rebuild what `docker load` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The image's id, `sha256:…`.
    pub id: String,
    /// Names to give it (`RepoTags`).
    pub tags: Vec<String>,
    /// Blob with the image configuration (sha256 hex). Empty when `flattened`.
    pub config: String,
    /// Layer blobs, base first (sha256 hex). Repeats are allowed.
    pub layers: Vec<String>,
    /// True when the image itself was gone and this is one layer made by exporting the container.
    pub flattened: bool,
}
