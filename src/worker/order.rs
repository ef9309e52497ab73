//! What the server and a worker say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use super::look::{After, FilesTask, Glance, Look, Root, Seen};
use crate::model::{
    archive::Header,
    backup::{Backup, Trigger},
    engine::EngineAddress,
    files::{Entry, InnerPath},
    host_path::PathKind,
    manifest::{ImageRecord, Manifest},
    names::ScheduleId,
    progress::{Note, Progress},
    restore::FilePlace,
    saved_settings::{Saved, Settings},
    vault::{Access, Location},
    verify::{Part, Verified},
};

/// One job. The whole of it, with secrets, travels over standard input only.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The vault it is about, if it is about one.
    pub vault: Option<Access>,
    /// The Docker engine.
    pub engine: EngineAddress,
    /// What to do.
    pub task: Task,
}

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Make a new vault. Answer: [`Answer::Done`].
    Create,
    /// See whether the vault's bucket lets us do what a vault needs. Answer: [`Answer::Done`].
    TryStorage,
    /// List all backups and saved settings. Answer: [`Answer::List`].
    List,
    /// Read one backup's manifest. Answer: [`Answer::Manifest`].
    Manifest {
        /// The backup.
        backup: String,
    },
    /// Delete backups. Answer: [`Answer::Done`].
    Forget {
        /// The backups.
        backups: Vec<String>,
    },
    /// Save a server's settings, unless these are there already. Answer: [`Answer::SettingsList`].
    SaveSettings(Box<Settings>),
    /// Read settings. Answer: [`Answer::Settings`].
    ReadSettings {
        /// Id of their snapshot.
        id: String,
    },
    /// Free space. Answer: [`Answer::Pruned`].
    Prune,
    /// Copy backups into another vault. Answer: [`Answer::Copied`].
    Copy {
        /// The backups.
        backups: Vec<String>,
        /// The other vault.
        to: Box<Access>,
    },
    /// Find out whether backups are whole. Answer: [`Answer::Verified`].
    Verify {
        /// Only these; none = all.
        backups: Vec<String>,
        /// The part of the data that is read.
        part: Option<Part>,
    },
    /// Make a backup. Answer: [`Answer::Backup`].
    Backup(Box<BackupTask>),
    /// Load the image of a backup into the engine. Answer: [`Answer::Image`].
    LoadImage {
        /// The backup.
        backup: String,
    },
    /// Say what these paths of the host are. Answer: [`Answer::Probed`].
    Probe {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// Make sure that these paths exist, so that they can be mounted. Answer: [`Answer::Done`].
    MakePaths {
        /// The paths.
        paths: Vec<MakePath>,
    },
    /// Say what a file in the data directory is. Answer: [`Answer::Archive`].
    Inspect {
        /// The file.
        archive: PathBuf,
        /// The name it was given.
        name: String,
    },
    /// Bring the backups of such a file into the vault. Answer: [`Answer::Imported`].
    Import(ImportTask),
    /// Bring files back. Answer: [`Answer::Restored`].
    Restore {
        /// The backup.
        backup: String,
        /// Names the staging directories.
        run: String,
        /// Where to.
        items: Vec<RestoreItem>,
    },
    /// Finish a restore that was interrupted after it began to replace files, or throw its
    /// staged files away if it had not. Answer: [`Answer::Resumed`].
    Resume {
        /// Names the staging directories.
        run: String,
        /// The directories that it staged files in.
        targets: Vec<PathBuf>,
    },
    /// Say what is where a file or folder of a backup is to go. Answer: [`Answer::There`].
    LookAtPlace {
        /// Where to.
        to: FilePlace,
    },
    /// Bring one file or folder back. Answer: [`Answer::FileRestored`].
    RestoreFile {
        /// The backup.
        backup: String,
        /// The file or folder in it.
        path: InnerPath,
        /// Names the work directory.
        run: String,
        /// Where to.
        to: FilePlace,
    },
    /// Finish the restore of a file or folder that was interrupted, or throw its new data away. Answer:
    /// [`Answer::Resumed`].
    ResumeFile {
        /// Names the work directory.
        run: String,
        /// Where to.
        to: FilePlace,
        /// Whether it had begun to replace what is there.
        finish: bool,
    },
    /// Look at files of a volume or backup, once or several times. Answer: [`Answer::Files`]; bytes may follow it.
    Files(FilesTask),
}

impl Order {
    /// Whether it talks to something that is not on this machine.
    pub fn needs_network(&self) -> bool {
        let away = |access: &Access| matches!(access.location, Location::S3(_));
        let other = match &self.task {
            Task::Copy { to, .. } => away(to),
            _ => false,
        };
        other
            || self.vault.as_ref().is_some_and(away)
            || (self.task.needs_docker() && self.engine.is_remote())
    }
}

impl Task {
    /// Whether it works with the vault.
    pub const fn needs_vault(&self) -> bool {
        match self {
            Self::Probe { .. }
            | Self::MakePaths { .. }
            | Self::Resume { .. }
            | Self::LookAtPlace { .. }
            | Self::ResumeFile { .. } => false,
            Self::Files(task) => task.root.storage().is_some(),
            _ => true,
        }
    }

    /// Whether it talks to the engine.
    pub const fn needs_docker(&self) -> bool {
        match self {
            Self::Backup(task) => task.image_of.is_some(),
            Self::LoadImage { .. } => true,
            _ => false,
        }
    }

    /// Whether somebody waits for it before a page, so that it is done at once.
    pub const fn is_quick(&self) -> bool {
        matches!(
            self,
            Self::Probe { .. }
                | Self::MakePaths { .. }
                | Self::LookAtPlace { .. }
                | Self::Inspect { .. }
                | Self::Files(_)
        )
    }

    /// Every path of the host that it works with. A worker in a container sees no others.
    pub fn host_paths(&mut self) -> Vec<(&mut PathBuf, Need)> {
        match self {
            Self::Backup(task) => task.sources.iter_mut().map(|(_, path)| (path, Need::Read)).collect(),
            Self::Probe { paths } => paths.iter_mut().map(|path| (path, Need::Read)).collect(),
            Self::Files(FilesTask { root: Root::Host(path), .. }) => vec![(path, Need::Read)],
            Self::Files(FilesTask { root: Root::Comparison { after: After::Now(paths), .. }, .. }) => {
                paths.iter_mut().map(|path| (path, Need::Read)).collect()
            }
            Self::MakePaths { paths } => paths
                .iter_mut()
                .map(|make| (&mut make.path, if make.file { Need::MakeFile } else { Need::Make }))
                .collect(),
            Self::Restore { items, .. } => items
                .iter_mut()
                .map(|item| {
                    let need = if is_file(&item.path) { Need::WriteFile } else { Need::Write };
                    (&mut item.target, need)
                })
                .collect(),
            Self::LookAtPlace { to } => vec![(&mut to.root, Need::Read)],
            Self::RestoreFile { to, .. } | Self::ResumeFile { to, .. } => vec![(&mut to.root, Need::Write)],
            Self::Resume { targets, .. } => targets.iter_mut().map(|path| (path, Need::Write)).collect(),
            Self::Create
            | Self::TryStorage
            | Self::List
            | Self::Manifest { .. }
            | Self::Forget { .. }
            | Self::SaveSettings(_)
            | Self::ReadSettings { .. }
            | Self::Prune
            | Self::Copy { .. }
            | Self::Verify { .. }
            | Self::Inspect { .. }
            | Self::Import(_)
            | Self::LoadImage { .. }
            | Self::Files(_) => Vec::new(),
        }
    }
}

/// See [`Task::Backup`].
#[derive(Debug, Serialize, Deserialize)]
pub struct BackupTask {
    /// What is planned.
    pub manifest: Manifest,
    /// Who asked.
    pub trigger: Trigger,
    /// A note of the user.
    pub note: String,
    /// The schedule that asked for it.
    pub schedule: Option<ScheduleId>,
    /// Where the data is: item path and host path.
    pub sources: Vec<(String, PathBuf)>,
    /// The container's id when the image goes in.
    pub image_of: Option<String>,
    /// An empty directory of this job, for the exported image.
    pub spool: PathBuf,
}

/// See [`Task::Import`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportTask {
    /// The file, in the data directory.
    pub archive: PathBuf,
    /// The name it was given.
    pub name: String,
    /// An empty directory of this job, in the data directory.
    pub spool: PathBuf,
}

/// What a task does with a path of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Reads it; it may be missing.
    Read,
    /// Writes into the directory.
    Write,
    /// Replaces the file.
    WriteFile,
    /// Makes the directory if it is missing.
    Make,
    /// Makes the file if it is missing.
    MakeFile,
}

/// Whether an item is a single file: its path in the backup ends with the file's name.
pub fn is_file(item_path: &str) -> bool {
    item_path.split('/').count() > 3
}

/// See [`Task::MakePaths`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakePath {
    /// The path on the host.
    pub path: PathBuf,
    /// A file (true) or a directory (false).
    pub file: bool,
}

/// One directory or file to bring back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestoreItem {
    /// Path inside the backup.
    pub path: String,
    /// Where to, on the host.
    pub target: PathBuf,
}

/// A line from the worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// For the run's log.
    Note(Note),
    /// It waits here for one line, `go`.
    Waiting(Gate),
    /// It is done; the last line.
    Answer(Box<Result<Answer, Failure>>),
}

/// Where a worker waits for the server's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Before it reads the container's data.
    Read,
    /// Before it replaces existing data. Once let through it finishes, even if the server dies.
    Replace,
}

/// What came out of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Done, nothing to tell.
    Done,
    /// All that is in the vault.
    List {
        /// Backups, newest first.
        backups: Vec<Backup>,
        /// Settings of servers, newest first.
        settings: Vec<Saved>,
    },
    /// All settings that are in the vault, newest first.
    SettingsList(Vec<Saved>),
    /// Settings of a server.
    Settings(Box<Settings>),
    /// The manifest.
    Manifest(Box<Manifest>),
    /// The backup, as the vault lists it.
    Backup(Box<Backup>),
    /// The image's id in this engine and what was loaded.
    Image {
        /// `sha256:…`.
        id: String,
        /// What the backup says about it.
        record: ImageRecord,
    },
    /// What the paths are, in the order they were named.
    Probed(Vec<PathKind>),
    /// What was seen of a volume's files.
    Files(Seen),
    /// Files are back.
    Restored(Restored),
    /// What is where a file or folder is to go.
    There(Option<Entry>),
    /// A file or folder is back.
    FileRestored {
        /// What was written.
        restored: Restored,
        /// The name, encoded, that what was there has now.
        kept: Option<String>,
    },
    /// Space was freed.
    Pruned {
        /// Bytes that are free now.
        freed: u64,
        /// Bytes that nothing needs any more and that can go a day later.
        later: u64,
    },
    /// Backups were copied.
    Copied {
        /// So many are in the other vault and were not before.
        copied: u64,
        /// So many could not be copied.
        failed: u64,
        /// Bytes that the other vault has more.
        added: u64,
        /// Ids there of those that were there already.
        known: Vec<String>,
    },
    /// What the first backup in the file is.
    Archive(Box<Header>),
    /// What came of a file.
    Imported {
        /// Backups that are in the vault now and were not before.
        backups: Vec<Backup>,
        /// Ids of those in the file that were in the vault already.
        known: Vec<String>,
    },
    /// What was found of backups.
    Verified(Verified),
    /// True when an interrupted restore was finished, false when it was undone.
    Resumed {
        /// See above.
        finished: bool,
    },
}

/// See [`Answer::Restored`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Restored {
    /// Files written.
    pub written: u64,
    /// Files that were right already.
    pub unchanged: u64,
    /// Entries removed because the backup does not have them.
    pub removed: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Why it could not be done.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// For the user.
    pub message: String,
    /// For the log.
    pub detail: String,
}

/// Kinds of failures that the server treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No vault there.
    VaultMissing,
    /// The key does not open the vault.
    WrongKey,
    /// Something that is no vault is in its place.
    Foreign,
    /// The vault's storage does not answer, or refuses us. It may do better later.
    Storage,
    /// The vault cannot be opened or used.
    Vault,
    /// No such backup.
    BackupMissing,
    /// No such file in the volume.
    FileMissing,
    /// A file that can't be imported.
    Archive,
    /// Docker did not do it.
    Docker,
    /// The worker itself died or was killed.
    Worker,
    /// Somebody cancelled it.
    Cancelled,
    /// Anything else, such as a directory that cannot be read.
    Other,
}
