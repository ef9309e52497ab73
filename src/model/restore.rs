//! What a person decides about a restore, and what it will do.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    files::{InnerPath, decode, encode},
    names::{ContainerName, NetworkName, VolumeName},
};

/// The decisions, as a form or JSON sends them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Another name for the container; its volumes get new names as well unless `volumes` says otherwise.
    pub new_name: Option<ContainerName>,
    /// For every existing volume that `volumes` does not name: true = overwrite, false = keep what is there.
    pub overwrite_volumes: Option<bool>,
    /// Decisions per volume or bind.
    pub volumes: Vec<VolumeChoice>,
    /// Container port (`80/tcp`) to host port.
    pub port_overrides: BTreeMap<String, String>,
    /// Start it afterwards; default: as it was.
    pub start: Option<bool>,
    /// Replace an existing container of that name.
    pub replace: bool,
    /// Back up what is overwritten first; default true.
    pub safety_backup: Option<bool>,
}

/// What a person decides about the restore of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkOptions {
    /// Another name for it.
    pub new_name: Option<NetworkName>,
    /// The engine chooses its subnet; else it gets the one in the backup.
    pub any_subnet: bool,
}

/// What a person decides about the restore of one file or folder out of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileOptions {
    /// The file or folder in the backup: `web/volumes/data/etc/app.conf`.
    pub path: InnerPath,
    /// Into this volume; `None` = where it was.
    pub volume: Option<VolumeName>,
    /// The folder in the volume; of no meaning where it goes where it was.
    pub folder: InnerPath,
    /// What is there stays beside it under another name; else it is removed.
    pub keep: bool,
    /// Stop containers that use the target meanwhile; `None` = those that run.
    pub stop: Option<bool>,
}

impl Default for FileOptions {
    fn default() -> Self {
        let (path, folder) = Default::default();
        Self { path, volume: None, folder, keep: true, stop: None }
    }
}

/// Where a file or folder out of a backup goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// A directory of the host that is never left: of a volume, or a host path.
    pub root: PathBuf,
    /// The folder in it.
    pub folder: InnerPath,
    /// The name it gets there, encoded.
    pub name: String,
    /// The name, encoded, under which what is there stays; `None` = it is removed.
    pub kept: Option<String>,
}

/// The longest name in bytes that gets a stamp behind it and still is one: 255, the stamp, and a number if it is taken.
const LONGEST: usize = 255 - 23 - 5;

/// What is replaced at this time is called `<name>.before-<time>` then. Names are encoded.
pub fn kept_name(name: &str, at: DateTime<Utc>) -> String {
    let mut bytes = decode(name);
    bytes.truncate(LONGEST);
    bytes.extend(at.format(".before-%Y%m%d-%H%M%S").to_string().bytes());
    encode(&bytes)
}

/// What to do with one volume or bind that exists already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeChoice {
    /// The volume's name or the bind's host path, as in the manifest's item.
    pub name: String,
    /// What to do.
    pub action: VolumeAction,
    /// The new volume's name for [`VolumeAction::New`].
    #[serde(default)]
    pub new_name: Option<VolumeName>,
}

/// See [`VolumeChoice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeAction {
    /// Make its contents exactly those of the backup.
    Overwrite,
    /// Leave it alone and fill a new volume.
    New,
    /// Leave it alone and mount it as it is.
    Skip,
}

/// How to build the container from its manifest: the decisions applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recreate {
    /// Name of the new container.
    pub name: String,
    /// Container port (`80/tcp`) to host port.
    pub ports: BTreeMap<String, String>,
    /// Volumes that get another name: old to new. Others keep theirs.
    pub volume_names: BTreeMap<String, String>,
    /// The image id in this engine (differs from the manifest's in another image store).
    pub image_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_keeps_a_name_that_fits() {
        let at = "2026-02-03T04:05:06Z".parse().unwrap();
        assert_eq!(kept_name("app.conf", at), "app.conf.before-20260203-040506");
        let long = kept_name(&"\u{EFFC}".repeat(255), at);
        assert_eq!(decode(&long).len(), 250);
        assert!(long.ends_with(".before-20260203-040506"));
    }
}
