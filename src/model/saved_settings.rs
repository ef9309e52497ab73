//! What a server is set to, as it is kept in a vault: enough to set up another one like it. Secrets stand in it as
//! they are: it is only ever in a vault, which is encrypted, or with who gave the password again.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    names::ScheduleId,
    notice::Wish,
    schedule::Plan,
    secret::Secret,
    token::Scope,
    vault::{S3Location, Storage},
};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// All settings of a server. Not in it: the audit log, and what the vault's list tells anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// The data directory it is about, whatever its server is called.
    pub instance: String,
    /// Name of the server.
    pub server: String,
    /// Schedules, the oldest first.
    #[serde(default)]
    pub schedules: Vec<SavedSchedule>,
    /// Notification channels, by name.
    #[serde(default)]
    pub channels: Vec<SavedChannel>,
    /// Where new backups go.
    #[serde(default)]
    pub chosen: Storage,
    /// The bucket with what opens it and the vault in it.
    #[serde(default)]
    pub bucket: Option<Bucket>,
    /// Who may sign in.
    #[serde(default)]
    pub users: Vec<SavedUser>,
    /// API tokens, by name.
    #[serde(default)]
    pub tokens: Vec<SavedToken>,
    /// Pins and notes of backups.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// Whether monitoring may read figures, as set on the page.
    #[serde(default)]
    pub metrics: bool,
    /// The token that it must send, as set on the page.
    #[serde(default)]
    pub metrics_token: Option<Secret>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSchedule {
    /// Its id, by which its backups know it.
    pub id: ScheduleId,
    /// Whether it runs on its own.
    pub enabled: bool,
    /// What the user chose.
    pub plan: Plan,
}

/// A notification channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// What the user calls it.
    pub name: String,
    /// Where it is, with what is secret of it.
    pub address: Secret,
    /// How much it hears.
    pub wish: Wish,
    /// Only about this schedule.
    #[serde(default)]
    pub schedule: Option<ScheduleId>,
    /// Whether it hears anything.
    pub enabled: bool,
}

/// A bucket with a vault in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Where, and as whom.
    pub place: S3Location,
    /// What opens the vault.
    pub vault_key: Secret,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUser {
    /// Its name.
    pub name: String,
    /// Argon2id hash (PHC string).
    pub password_hash: Secret,
    /// The password is the one that everybody knows.
    pub default_password: bool,
}

/// An API token, of which nobody knows more than its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedToken {
    /// What its owner called it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Its fingerprint.
    pub hash: Secret,
    /// Name of its owner.
    pub user: String,
    /// From when on it is refused; `None` = never.
    #[serde(default)]
    pub expires: Option<DateTime<Utc>>,
}

/// What people said of a backup after it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its vault.
    pub storage: Storage,
    /// Its id there.
    pub id: String,
    /// It must stay.
    pub pinned: bool,
    /// What it is for; `None` = as was said when it was made.
    #[serde(default)]
    pub note: Option<String>,
}

impl Settings {
    /// The same for the same settings, as hex.
    pub fn digest(&self) -> String {
        // It fails for no value of this type.
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// What can be told without opening it.
    pub fn summary(&self) -> Summary {
        Summary {
            kind: SummaryKind::Settings,
            format: self.format,
            program: self.program.clone(),
            instance: self.instance.clone(),
            digest: self.digest(),
            schedules: self.schedules.len(),
            channels: self.channels.len(),
            users: self.users.len(),
            tokens: self.tokens.len(),
            marks: self.marks.len(),
        }
    }
}

/// The small JSON in the snapshot's `description`. No container's backup is read as one, for the `kind` differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Always the same word.
    pub kind: SummaryKind,
    /// See [`Settings::format`].
    pub format: u32,
    /// See [`Settings::program`].
    pub program: String,
    /// See [`Settings::instance`].
    pub instance: String,
    /// See [`Settings::digest`].
    pub digest: String,
    /// How many schedules.
    pub schedules: usize,
    /// How many notification channels.
    pub channels: usize,
    /// How many users.
    pub users: usize,
    /// How many API tokens.
    pub tokens: usize,
    /// How many backups with a pin or a note.
    pub marks: usize,
}

/// See [`Summary::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummaryKind {
    /// Settings of a server.
    Settings,
}

/// Settings in a vault, as its list tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The vault.
    pub storage: Storage,
    /// Id of the snapshot.
    pub id: String,
    /// Name that the server had.
    pub server: String,
    /// When they were saved.
    pub saved: DateTime<Utc>,
    /// What is in them.
    pub summary: Summary,
}

impl Saved {
    /// Vault and id, for addresses.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.storage, self.id)
    }

    /// In words: "3 schedules, 1 channel".
    pub fn words(&self) -> String {
        let parts = [
            (self.summary.schedules, "schedule", "schedules"),
            (self.summary.channels, "channel", "channels"),
            (self.summary.tokens, "API token", "API tokens"),
            (self.summary.marks, "pin or note", "pins and notes"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        if parts.is_empty() { "no schedules, no channels".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Settings of a server with nothing but a channel.
    pub(crate) fn sample(instance: &str, channel: &str) -> Settings {
        Settings {
            format: FORMAT,
            program: "1.0.0".to_owned(),
            instance: instance.to_owned(),
            server: "nas".to_owned(),
            schedules: Vec::new(),
            channels: vec![SavedChannel {
                name: channel.to_owned(),
                address: Secret::new("ntfy://ntfy.sh/secret-topic"),
                wish: Wish::Warning,
                schedule: None,
                enabled: true,
            }],
            chosen: Storage::Local,
            bucket: None,
            users: Vec::new(),
            tokens: Vec::new(),
            marks: Vec::new(),
            metrics: false,
            metrics_token: None,
        }
    }

    #[test]
    fn the_digest_tells_settings_apart_and_nothing_else() {
        let one = sample("a", "phone");
        let text = serde_json::to_string(&one).unwrap();
        let again: Settings = serde_json::from_str(&text).unwrap();
        assert_eq!((one.digest(), &one), (again.digest(), &again));
        assert_ne!(one.digest(), sample("a", "mail").digest());
        assert!(!format!("{one:?}").contains("secret-topic"));
    }

    #[test]
    fn what_is_in_it_is_told_in_words() {
        let saved = |summary| Saved {
            storage: Storage::S3,
            id: "0123".to_owned(),
            server: "nas".to_owned(),
            saved: DateTime::UNIX_EPOCH,
            summary,
        };
        let mut summary = sample("a", "phone").summary();
        assert_eq!(saved(summary.clone()).words(), "1 channel");
        summary.schedules = 3;
        assert_eq!(saved(summary.clone()).words(), "3 schedules, 1 channel");
        (summary.schedules, summary.channels) = (0, 0);
        assert_eq!(saved(summary).words(), "no schedules, no channels");
    }
}
