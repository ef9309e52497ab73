//! The vault: a restic-format repository, written and read by rustic_core over
//! object_store. Everything here blocks; it runs in worker processes only.
//!
//! What is ours: how a backup is laid out, which errors make it less than
//! complete, and a restore that replaces nothing before the new data is safe.

mod archive;
mod backup;
mod browse;
mod bucket;
mod commit;
mod compare;
mod copy;
mod error;
mod flask;
mod image;
mod import;
mod list;
mod member;
mod mounts;
mod node;
mod pack;
mod present;
mod prune;
mod restore_file;
mod role;
mod settings;
mod source;
mod stage;
mod store;
mod tar_data;
mod unpack;
mod verify;
mod walk;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use browse::{Browser, Found};
use bucket::Content;
pub use bucket::probe;
use chrono::{DateTime, Utc};
pub use commit::resume_commit;
pub use compare::Comparison;
pub use copy::CopyResult;
pub use error::VaultError;
pub use flask::Flask;
pub use import::{Imported, archive_header};
pub use restore_file::{FileResult, look_at_place, resume_file};
use rustic_core::{
    ConfigOptions, Credentials, IndexedFullStatus, KeyOptions, OpenStatus, Repository, RepositoryBackends,
    RepositoryOptions,
};
use store::{LastSnapshot, Store};

use crate::model::{
    backup::{Backup, Trigger},
    manifest::{ImageRecord, Manifest},
    names::ScheduleId,
    progress::Note,
    vault::{Access, Location},
};

/// Tag of every snapshot that is ours.
const TAG: &str = "container-monkey";

/// Name of the manifest in a container's directory.
const MANIFEST: &str = "backup.json";

/// An opened vault.
pub struct Vault {
    access: Access,
    repo: Repository<OpenStatus>,
}

/// What goes into a backup.
#[derive(Debug)]
pub struct BackupPlan {
    /// The manifest with its planned items.
    pub manifest: Manifest,
    /// Who asked for it.
    pub trigger: Trigger,
    /// A note of the user.
    pub note: String,
    /// The schedule that asked for it.
    pub schedule: Option<ScheduleId>,
    /// Where the data is.
    pub sources: Vec<Source>,
    /// Data that comes out of another program's archive, by the item's path.
    tars: Vec<(String, Arc<tar_data::TarData>)>,
    /// When it was made, if that is not now.
    created: Option<DateTime<Utc>>,
    /// Where the image is.
    pub image: ImageSource,
    /// Items that failed before: path and why.
    pub failed: Vec<(String, String)>,
}

impl BackupPlan {
    /// A plan without data.
    pub fn new(manifest: Manifest, trigger: Trigger) -> Self {
        Self {
            manifest,
            trigger,
            note: String::new(),
            schedule: None,
            sources: Vec::new(),
            tars: Vec::new(),
            created: None,
            image: ImageSource::None,
            failed: Vec::new(),
        }
    }
}

/// Data of one item.
#[derive(Debug, Clone)]
pub struct Source {
    /// The item's path in the manifest.
    pub item: String,
    /// A directory, or a single file.
    pub host_path: PathBuf,
}

/// Where the image comes from.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// It is not backed up.
    None,
    /// Files named by their SHA-256.
    Spooled {
        /// The directory.
        dir: PathBuf,
        /// What they are.
        record: ImageRecord,
    },
    /// An earlier backup has it.
    InVault {
        /// That backup.
        backup: String,
    },
}

/// A finished backup.
#[derive(Debug)]
pub struct BackupResult {
    /// As the vault lists it.
    pub backup: Backup,
    /// What to tell.
    pub notes: Vec<Note>,
}

/// One directory or file to bring back.
#[derive(Debug, Clone)]
pub struct RestoreItem {
    /// Path inside the backup, without leading slash.
    pub path: String,
    /// An existing directory, or a file (its directory exists).
    pub target: PathBuf,
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct RestoreResult {
    /// Files written.
    pub written: u64,
    /// Files that were right already.
    pub unchanged: u64,
    /// Entries removed because the backup does not have them.
    pub removed: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What could not be set as it was.
    pub notes: Vec<Note>,
}

/// What pruning did.
#[derive(Debug, Clone, Copy)]
pub struct PruneResult {
    /// Bytes that are free now.
    pub freed: u64,
    /// Bytes that nothing needs any more and that can go after the waiting time.
    pub later: u64,
}

impl Vault {
    /// Makes a new vault. Refuses a place that holds anything.
    pub fn create(access: &Access) -> Result<Self, VaultError> {
        match &access.location {
            Location::Local { path } => make_directory(path)?,
            Location::S3(place) => match Store::new(&access.location)?.content(place)? {
                Content::Nothing => {}
                Content::Vault | Content::Foreign => {
                    return Err(VaultError::Foreign { location: access.location.to_string() });
                }
            },
        }
        let (repo, _) = repository(access)?;
        // Packs of at most 16 MiB: no object comes near the limits of any storage.
        let config = ConfigOptions::default()
            .set_datapack_size(bytesize("16MiB"))
            .set_datapack_growfactor(0_u32)
            .set_treepack_size(bytesize("4MiB"))
            .set_treepack_growfactor(0_u32)
            .set_compression(3);
        let credentials = Credentials::password(access.password.reveal());
        let repo = repo.init(&credentials, &KeyOptions::default(), &config)?;
        Ok(Self { access: access.clone(), repo })
    }

    /// Opens an existing vault.
    pub fn open(access: &Access) -> Result<Self, VaultError> {
        let location = access.location.to_string();
        let content = match &access.location {
            Location::Local { path } => directory_content(path),
            Location::S3(place) => Store::new(&access.location)?.content(place)?,
        };
        match content {
            Content::Vault => {}
            Content::Nothing => return Err(VaultError::Missing { location }),
            Content::Foreign => return Err(VaultError::Foreign { location }),
        }
        let (repo, _) = repository(access)?;
        let repo = repo.open(&Credentials::password(access.password.reveal()))?;
        if repo.config().version > 2 {
            return Err(VaultError::TooNew { location });
        }
        Ok(Self { access: access.clone(), repo })
    }

    /// With its index, as it is now.
    fn indexed(&self) -> Result<Repository<IndexedFullStatus>, VaultError> {
        settled(|| Ok(self.again()?.to_indexed()?))
    }

    /// Opens it once more: rustic's states consume each other.
    fn again(&self) -> Result<Repository<OpenStatus>, VaultError> {
        let (repo, _) = repository(&self.access)?;
        // The key is known, so that scrypt need not run again.
        Ok(repo.open(&Credentials::Masterkey(self.repo.key()))?)
    }
}

/// How often what others remove meanwhile is read again.
const ATTEMPTS: u32 = 8;

/// Reads what is listed first and opened then, such as the index. Another server's clean-up may take files in between,
/// whose successors are there already: then it is read again.
fn settled<T>(mut read: impl FnMut() -> Result<T, VaultError>) -> Result<T, VaultError> {
    let mut attempt = 1;
    loop {
        match read() {
            Err(VaultError::Gone { .. }) if attempt < ATTEMPTS => {
                pause(attempt);
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Lets others finish what they are at.
fn pause(attempt: u32) {
    std::thread::sleep(Duration::from_millis(20) * attempt);
}

fn directory_content(path: &Path) -> Content {
    // A disk of its own has that directory from the start.
    let ours = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.map_or(true, |entry| entry.file_name() != "lost+found")
    };
    let empty = || std::fs::read_dir(path).is_ok_and(|mut entries| !entries.any(ours));
    if path.join("config").exists() {
        Content::Vault
    } else if !path.exists() || empty() {
        Content::Nothing
    } else {
        Content::Foreign
    }
}

fn make_directory(path: &Path) -> Result<(), VaultError> {
    let mut entries = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(VaultError::io(path, &error)),
    };
    entries.retain(|entry| entry.file_name() != "lost+found");
    if !entries.is_empty() {
        return Err(VaultError::Foreign { location: path.display().to_string() });
    }
    std::fs::create_dir_all(path).map_err(|error| VaultError::io(path, &error))
}

fn bytesize(text: &str) -> bytesize::ByteSize {
    text.parse().unwrap_or_default()
}

fn repository(access: &Access) -> Result<(Repository<()>, LastSnapshot), VaultError> {
    repository_with(access, rustic_core::NoProgressBars)
}

fn repository_with(
    access: &Access,
    bars: impl rustic_core::ProgressBars,
) -> Result<(Repository<()>, LastSnapshot), VaultError> {
    repository_in(Store::new(&access.location)?, access, bars)
}

fn repository_in(
    store: Store,
    access: &Access,
    bars: impl rustic_core::ProgressBars,
) -> Result<(Repository<()>, LastSnapshot), VaultError> {
    let last_snapshot = store.last_snapshot();
    let backends = RepositoryBackends::new(Arc::new(store), None);
    // What a bucket is asked for again and again is kept here, encrypted as it is there. The default place would be
    // the home directory.
    let options = match &access.cache {
        Some(directory) => RepositoryOptions::default().cache_dir(directory.clone()),
        None => RepositoryOptions::default().no_cache(true),
    };
    Ok((Repository::new_with_progress(&options, &backends, bars)?, last_snapshot))
}
