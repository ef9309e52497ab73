//! One run of a schedule: what came of it, in one place.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    names::{ScheduleId, ScheduleRunId},
    progress::{Level, Note},
    run::{Run, State},
    schedule::Cause,
    vault::Storage,
};

/// One time that a schedule ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRun {
    /// Its id.
    pub id: ScheduleRunId,
    /// The schedule; it may be gone.
    pub schedule: ScheduleId,
    /// The schedule's name at that time.
    pub name: String,
    /// The slot it was for; `None` = somebody asked.
    pub slot: Option<DateTime<Utc>>,
    /// Why it ran.
    pub cause: Cause,
    /// The user's name, or "schedule".
    pub requested_by: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When its backups had ended and old ones were removed.
    pub finished: Option<DateTime<Utc>>,
    /// What came of it.
    pub report: Report,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// How many containers it was to back up.
    pub containers: usize,
    /// Backups with everything in them.
    pub complete: usize,
    /// Backups in which some files are missing.
    pub with_warnings: usize,
    /// Backups in which whole parts are missing.
    pub partial: usize,
    /// Containers without a backup.
    pub failed: usize,
    /// Backups that were cancelled.
    pub cancelled: usize,
    /// Containers that were selected and not there.
    pub missing: usize,
    /// What is being removed; written before it is done, so that it is finished whatever dies meanwhile.
    pub removing: Vec<Removed>,
    /// Old backups that were removed.
    pub removed: Vec<Removed>,
    /// What there is to tell.
    pub notes: Vec<Note>,
}

/// A backup that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its id.
    pub id: String,
    /// Its file name.
    pub filename: String,
    /// Its container.
    pub container: String,
    /// The vault.
    #[serde(default)]
    pub storage: Storage,
}

impl Report {
    /// Counts how these backups ended.
    pub fn count(&mut self, runs: &[Run]) {
        let ended = |state: State| runs.iter().filter(|run| run.state == state).count();
        self.containers = runs.len();
        self.complete = ended(State::Complete);
        self.with_warnings = ended(State::CompleteWithWarnings);
        self.partial = ended(State::Partial);
        self.failed = ended(State::Failed);
        self.cancelled = ended(State::Cancelled);
    }

    /// The worst there is to tell.
    pub fn level(&self) -> Level {
        let told = |level: Level| self.notes.iter().any(|note| note.level == level);
        if self.failed + self.partial > 0 || told(Level::Error) {
            Level::Error
        } else if self.with_warnings + self.cancelled + self.missing > 0 || told(Level::Warning) {
            Level::Warning
        } else {
            Level::Info
        }
    }

    /// In words: "12 complete, 1 with warnings, 1 failed; 14 old backups removed".
    pub fn words(&self) -> String {
        let counts = [
            (self.complete, "complete"),
            (self.with_warnings, "with warnings"),
            (self.partial, "partial"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.missing, "not there"),
        ];
        let parts = counts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        let backups = if parts.is_empty() { "nothing to back up".to_owned() } else { parts.join(", ") };
        match self.removed.len() {
            0 => backups,
            1 => format!("{backups}; 1 old backup removed"),
            many => format!("{backups}; {many} old backups removed"),
        }
    }
}
