//! A run: one job from the moment somebody asked for it until its outcome.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    backup::{Trigger, words},
    files::shown,
    manifest::Consistency,
    names::{RunId, ScheduleId, ScheduleRunId},
    progress::Note,
    restore,
    vault::Storage,
    verify::VerifyRequest,
};

/// One row of the history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Its id, also the API's `progress_id`.
    pub id: RunId,
    /// What kind of job.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Who asked.
    pub trigger: Trigger,
    /// The user's name, or "schedule".
    pub requested_by: String,
    /// Address of the client it was asked from; empty = the program itself.
    #[serde(default)]
    pub address: String,
    /// Name of the container (or what it is about).
    pub subject: String,
    /// What exactly was asked.
    pub request: Request,
    /// When it was asked.
    pub created: DateTime<Utc>,
    /// When work began.
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// The backup it made, or restored.
    pub backup_id: Option<String>,
    /// File name of that backup.
    pub backup_filename: Option<String>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// Bytes handled.
    pub bytes: u64,
    /// What the server must know if it dies meanwhile.
    pub journal: Journal,
    /// The run of a schedule that it belongs to.
    #[serde(default)]
    pub schedule_run: Option<ScheduleRunId>,
}

/// Kinds of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Back up a container or a network.
    Backup,
    /// Restore a container or a network.
    Restore,
    /// Free space that no backup needs any more.
    Prune,
    /// Make a container again.
    Redeploy,
    /// Copy backups into the other vault.
    Copy,
    /// Find out whether backups are whole.
    Verify,
    /// Bring the backups of a file into a vault.
    Import,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for its turn.
    Queued,
    /// Being done.
    Running,
    /// All of it is done.
    Complete,
    /// Done; some files could not be read, or some settings differ.
    CompleteWithWarnings,
    /// A planned item is missing.
    Partial,
    /// Nothing usable came out of it.
    Failed,
    /// Stopped by a person.
    Cancelled,
}

impl Run {
    /// One that waits for its turn, asked for by hand. `by`: the user's name and address.
    pub fn queued(by: (&str, &str), subject: String, request: Request, created: DateTime<Utc>) -> Self {
        Self {
            id: RunId::generate(),
            kind: request.kind(),
            state: State::Queued,
            trigger: Trigger::Manual,
            requested_by: by.0.to_owned(),
            address: by.1.to_owned(),
            subject,
            request,
            created,
            started: None,
            finished: None,
            backup_id: None,
            backup_filename: None,
            error: None,
            bytes: 0,
            journal: Journal::default(),
            schedule_run: None,
        }
    }

    /// What it is about, for people: the subject, or one file of it.
    pub fn what(&self) -> String {
        match &self.request {
            Request::RestoreFile(request) => {
                format!("{} of {}", shown(request.options.path.name()), self.subject)
            }
            _ => self.subject.clone(),
        }
    }

    /// How it ended, in one line for people; empty while it has not ended.
    pub fn headline(&self) -> String {
        let what = self.what();
        let (done, partly, undone) = match self.kind {
            Kind::Backup => (
                format!("{what} is backed up"),
                format!("Only a part of {what} is backed up"),
                format!("{what} could not be backed up"),
            ),
            Kind::Restore => (
                format!("{what} is back"),
                format!("Only a part of {what} is back"),
                format!("{what} could not be restored"),
            ),
            Kind::Redeploy => (
                format!("{what} was made again"),
                format!("Only a part of {what} was made again"),
                format!("{what} could not be redeployed"),
            ),
            Kind::Prune => (
                "The vault is cleaned up".to_owned(),
                "The vault is cleaned up in part".to_owned(),
                "The vault could not be cleaned up".to_owned(),
            ),
            Kind::Copy => (
                "All of it is in the other vault".to_owned(),
                "Only a part is in the other vault".to_owned(),
                "Nothing could be copied".to_owned(),
            ),
            // What is damaged fails it.
            Kind::Verify => (
                "Nothing is damaged".to_owned(),
                "Only a part could be verified".to_owned(),
                "The verification found damage, or could not be done".to_owned(),
            ),
            Kind::Import => (
                format!("{what} is imported"),
                format!("What is imported of {what} is only a part"),
                format!("{what} could not be imported"),
            ),
        };
        match self.state {
            State::Queued | State::Running => String::new(),
            State::Complete => done,
            State::CompleteWithWarnings => format!("{done}, with warnings"),
            State::Partial => partly,
            State::Failed => undone,
            State::Cancelled => {
                "Cancelled. What it had begun was taken back; earlier backups are untouched".to_owned()
            }
        }
    }

    /// Whether it is about a network, not a container.
    pub const fn is_of_network(&self) -> bool {
        matches!(self.request, Request::NetworkBackup(_) | Request::NetworkRestore(_))
    }

    /// Whether it is about the container of this name.
    pub fn is_of_container(&self, name: &str) -> bool {
        let of_vault = matches!(
            self.request,
            Request::Prune { .. } | Request::Copy(_) | Request::Verify(_) | Request::Import(_)
        );
        self.subject == name && !self.is_of_network() && !of_vault
    }
}

impl State {
    /// Whether all of it was done, at most with warnings.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithWarnings)
    }

    /// True when nothing more will happen.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Request {
    /// Back up a container.
    Backup(BackupRequest),
    /// Restore a backup.
    Restore(RestoreRequest),
    /// Back up a network.
    NetworkBackup(NetworkBackupRequest),
    /// Restore the backup of a network.
    NetworkRestore(NetworkRestoreRequest),
    /// Restore one file or folder of a backup.
    RestoreFile(FileRestoreRequest),
    /// Free space.
    Prune {
        /// In this vault.
        #[serde(default)]
        storage: Storage,
    },
    /// Make a container again.
    Redeploy {
        /// Its image was fetched first.
        pull: bool,
    },
    /// Copy backups into the other vault.
    Copy(CopyRequest),
    /// Find out whether backups are whole.
    Verify(VerifyRequest),
    /// Bring the backups of a file into a vault.
    Import(ImportRequest),
}

impl Request {
    /// What kind of job it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Backup(_) | Self::NetworkBackup(_) => Kind::Backup,
            Self::Restore(_) | Self::NetworkRestore(_) | Self::RestoreFile(_) => Kind::Restore,
            Self::Prune { .. } => Kind::Prune,
            Self::Redeploy { .. } => Kind::Redeploy,
            Self::Copy(_) => Kind::Copy,
            Self::Verify(_) => Kind::Verify,
            Self::Import(_) => Kind::Import,
        }
    }
}

const fn yes() -> bool {
    true
}

/// Back up one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// The container's name (names survive a recreation, ids do not).
    pub container: String,
    /// How to keep it still; `None` = as its label says, else not at all.
    #[serde(default)]
    pub consistency: Option<Consistency>,
    /// Whether the image goes in.
    pub include_image: bool,
    /// Whether what it changed in its own file system goes in.
    #[serde(default = "yes")]
    pub include_layer: bool,
    /// Only these volumes; `None` = all.
    #[serde(default)]
    pub volumes: Option<Vec<String>>,
    /// A note of the user.
    #[serde(default)]
    pub note: String,
    /// The vault it goes into; `None` = the one that is chosen for new backups when it is made.
    #[serde(default)]
    pub storage: Option<Storage>,
    /// The schedule that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleId>,
}

/// Back up one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBackupRequest {
    /// Its id: an engine may have several of one name.
    pub id: String,
    /// Its name, for the case that it was made again meanwhile.
    pub name: String,
    /// Which vault it goes into.
    pub storage: Storage,
    /// A note of the user.
    #[serde(default)]
    pub note: String,
}

/// Restore the backup of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRestoreRequest {
    /// The backup's id.
    pub backup: String,
    /// The decisions.
    pub options: restore::NetworkOptions,
}

/// Copy backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// The vault they are in.
    pub from: Storage,
    /// The vault they go into.
    pub to: Storage,
    /// Which.
    pub what: CopyWhat,
}

/// Bring the backups of a file into a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The vault.
    pub storage: Storage,
    /// The file's name in the directory of uploads, from where it goes when it was imported or could not be; `None`: it
    /// is among the Flask application's, and stays.
    pub upload: Option<String>,
    /// The name it was given.
    pub name: String,
}

/// Which backups are copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "which")]
pub enum CopyWhat {
    /// These.
    Backups {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Those of this server that are not there yet, when the job begins.
    New {
        /// Only what this schedule made.
        schedule: Option<ScheduleId>,
    },
}

/// Restore one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// The backup: its [`super::backup::Backup::reference`].
    pub backup: String,
    /// The decisions.
    pub options: restore::Options,
}

/// Restore one file or folder of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRestoreRequest {
    /// The backup: its [`super::backup::Backup::reference`].
    pub backup: String,
    /// The decisions.
    pub options: restore::FileOptions,
}

/// Written before each step that a crash must not leave undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// Containers this run stopped or paused, to be brought back.
    pub quiesced: Vec<Quiesced>,
    /// Container moved out of the way.
    pub set_aside: Option<SetAside>,
    /// Networks (by name, by id where that is known), volumes and containers this run created (to be removed if
    /// it fails).
    pub created_networks: Vec<String>,
    /// See `created_networks`.
    pub created_volumes: Vec<String>,
    /// See `created_networks`.
    pub created_containers: Vec<String>,
    /// Name of the container that is being created: it may exist already and not be in `created_containers` yet.
    pub creating: Option<String>,
    /// Directories that may hold staged files of this run.
    pub staging: Vec<String>,
    /// Where this run puts a file or folder of a backup.
    pub placing: Option<restore::FilePlace>,
    /// True once existing data began to be replaced: files go on into place, never back.
    pub committing: bool,
}

/// A container that was stopped or paused by a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiesced {
    /// Container id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Paused (true) or stopped (false).
    pub paused: bool,
}

/// A container that was renamed so that another can take its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Container id.
    pub id: String,
    /// The name it had.
    pub name: String,
    /// The name it has meanwhile.
    pub temporary_name: String,
    /// Whether it was running.
    pub was_running: bool,
    /// Its networks with the endpoint settings to connect it again: name and raw JSON.
    pub networks: Vec<(String, serde_json::Value)>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// A final state.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    /// The backup it made.
    pub backup_id: Option<String>,
    /// Its file name.
    pub backup_filename: Option<String>,
    /// Bytes handled.
    pub bytes: u64,
    /// Notes for the log, in order.
    pub notes: Vec<Note>,
}

words!(Kind { Backup => "backup", Restore => "restore", Prune => "prune", Redeploy => "redeploy", Copy => "copy", Verify => "verify", Import => "import" });
words!(State {
    Queued => "queued",
    Running => "running",
    Complete => "complete",
    CompleteWithWarnings => "complete_with_warnings",
    Partial => "partial",
    Failed => "error",
    Cancelled => "cancelled",
});
