//! One file per noun: screens on top, handlers below.

pub(super) mod api;
pub(super) mod archives;
pub(super) mod audit;
mod audit_words;
pub(super) mod backup_files;
pub(super) mod backups;
pub(super) mod batches;
pub(super) mod bulk;
pub(super) mod changes;
pub(super) mod console;
pub(super) mod container;
pub(super) mod container_actions;
pub(super) mod container_changes;
pub(super) mod containers;
pub(super) mod copies;
pub(super) mod dashboard;
pub(super) mod events;
pub(super) mod explorer;
pub(super) mod file_restores;
mod files;
pub(super) mod first_steps;
pub(super) mod image_pull;
pub(super) mod images;
pub(super) mod imports;
pub(super) mod job;
pub(super) mod jobs;
pub(super) mod login;
pub(super) mod logs;
pub(super) mod marks;
pub(super) mod metrics;
pub(super) mod network_backups;
pub(super) mod network_create;
pub(super) mod networks;
pub(super) mod notifications;
pub(super) mod recovery_kit;
pub(super) mod restores;
pub(super) mod saved_settings;
pub(super) mod schedule;
pub(super) mod schedule_actions;
pub(super) mod schedule_api;
pub(super) mod schedule_input;
pub(super) mod schedule_run;
pub(super) mod schedules;
pub(super) mod settings;
pub(super) mod stacks;
pub(super) mod statistics;
pub(super) mod storage;
pub(super) mod tokens;
pub(super) mod upkeep;
pub(super) mod vault;
pub(super) mod vault_selection;
pub(super) mod verify;
pub(super) mod volume_actions;
pub(super) mod volumes;

/// How a list is sorted, for its head.
pub(super) struct Sort {
    /// The column.
    pub(super) by: String,
    /// Largest first.
    pub(super) descending: bool,
    /// The other parameters of the address, escaped.
    pub(super) rest: String,
}

impl Sort {
    /// The address that sorts by this column; the other way round if it is sorted by it already.
    pub(super) fn href(&self, column: &str) -> String {
        let descending = self.by == column && !self.descending;
        format!("?sort={column}&order={}{}", if descending { "desc" } else { "asc" }, self.rest)
    }
}

/// `&key=value` for each value that is not empty.
pub(super) fn parameters(pairs: &[(&str, &str)]) -> String {
    use std::fmt::Write;
    pairs.iter().filter(|(_, value)| !value.is_empty()).fold(String::new(), |mut text, (key, value)| {
        let _ = write!(text, "&{key}={}", login::escape(value));
        text
    })
}
