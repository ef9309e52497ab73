//! What the audit log's entries are called for people.

/// How one operation is shown.
pub(super) struct Words {
    /// Its icon.
    pub(super) icon: &'static str,
    /// In the filter: "Manual backups".
    pub(super) many: &'static str,
    /// Before the target: "Backup of".
    pub(super) one: &'static str,
}

/// Operation, icon, name in the filter, words before the target.
const KNOWN: [(&str, &str, &str, &str); 60] = [
    ("backup_manual", "archive", "Manual backups", "Backup of"),
    ("backup_scheduled", "calendar-clock", "Scheduled backups", "Scheduled backup of"),
    ("restore", "archive-restore", "Restores", "Restore of"),
    ("restore_files", "archive-restore", "Restored files", "Restore of files of"),
    ("delete_backup", "trash-2", "Deleted backups", "Backup deleted:"),
    ("undelete_backup", "archive-restore", "Undeleted backups", "Backup brought back:"),
    ("remove_backup", "trash-2", "Backups gone for good", "Deleted backup gone for good:"),
    ("download_backup", "download", "Downloaded backups", "Backup downloaded:"),
    ("upload_backup", "upload", "Uploaded backups", "Backup uploaded:"),
    ("copy_backup", "copy", "Copied backups", "Copy of"),
    ("pin_backup", "lock", "Pinned backups", "Backup pinned:"),
    ("unpin_backup", "lock", "Unpinned backups", "Backup unpinned:"),
    ("note_backup", "pencil", "Notes of backups", "Note of the backup"),
    ("verify", "shield-check", "Verifications", "Verification of"),
    ("cleanup", "trash-2", "Retention clean-ups", "Clean-up of old backups,"),
    ("prune", "trash-2", "Vault clean-ups", "Clean-up of the vault"),
    ("cancel_job", "ban", "Cancelled jobs", "Cancellation of the job of"),
    ("change_schedule", "calendar-clock", "Changed schedules", "Change of the schedule"),
    ("login", "user", "Sign-ins", "Sign-in"),
    ("logout", "log-out", "Sign-outs", "Sign-out"),
    ("change_user", "user", "Changed users", "Change of the user"),
    ("change_settings", "settings", "Changed settings", "Change of the setting"),
    ("change_storage", "hard-drive", "Changed storage", "Change of the storage"),
    ("vault_key", "key-round", "Shown vault keys", "Vault key shown"),
    ("save_settings", "save", "Saved settings", "Settings saved in the vault:"),
    ("download_settings", "download", "Downloaded settings", "Settings downloaded"),
    ("restore_settings", "archive-restore", "Restored settings", "Settings brought back of"),
    ("token_create", "webhook", "New API tokens", "New API token"),
    ("token_revoke", "webhook", "Revoked API tokens", "API token revoked:"),
    ("channel_create", "bell", "New notification channels", "New notification channel"),
    ("channel_change", "bell", "Changed notification channels", "Change of the notification channel"),
    ("channel_delete", "bell", "Deleted notification channels", "Notification channel deleted:"),
    ("channel_test", "send", "Notification tests", "Test message to"),
    ("audit_export", "download", "Exported audit logs", "Audit log exported"),
    ("audit_clear", "trash-2", "Cleared audit logs", "Audit log cleared"),
    ("show_secrets", "eye", "Shown secrets", "Secrets shown of"),
    ("console_open", "terminal", "Opened consoles", "Console opened in"),
    ("console_close", "terminal", "Closed consoles", "Console closed in"),
    ("container_exec", "terminal", "Commands in containers", "Command run in"),
    ("container_start", "play", "Started containers", "Start of"),
    ("container_stop", "square", "Stopped containers", "Stop of"),
    ("container_kill", "octagon-x", "Killed containers", "Kill of"),
    ("container_restart", "rotate-cw", "Restarted containers", "Restart of"),
    ("container_pause", "pause", "Paused containers", "Pause of"),
    ("container_resume", "play", "Resumed containers", "Resumption of"),
    ("container_rename", "pencil", "Renamed containers", "Renaming of"),
    ("container_delete", "trash-2", "Deleted containers", "Deletion of"),
    ("container_redeploy", "refresh-cw", "Redeployed containers", "Redeployment of"),
    ("volume_create", "hard-drive", "New volumes", "New volume"),
    ("volume_delete", "trash-2", "Deleted volumes", "Deletion of the volume"),
    ("backup_download", "download", "Downloads from backups", "Download from the backup of"),
    ("volume_download", "download", "Downloads from volumes", "Download from the volume"),
    ("cleanup_images", "trash-2", "Image clean-ups", "Clean-up of"),
    ("cleanup_helpers", "trash-2", "Helper clean-ups", "Clean-up of"),
    ("image_delete", "trash-2", "Deleted images", "Deletion of the image"),
    ("network_delete", "trash-2", "Deleted networks", "Deletion of the network"),
    ("stack_start", "layers", "Started stacks", "Start of the stack"),
    ("stack_stop", "layers", "Stopped stacks", "Stop of the stack"),
    ("stack_restart", "layers", "Restarted stacks", "Restart of the stack"),
    ("stack_delete", "layers", "Removed stacks", "Removal of the stack"),
];

/// The words of an operation; `None` for one that has none, which is then shown as it is.
pub(super) fn words(operation: &str) -> Option<Words> {
    let (_, icon, many, one) = KNOWN.iter().find(|(known, ..)| *known == operation)?;
    Some(Words { icon, many, one })
}

/// The name of an operation in the filter.
pub(super) fn many(operation: &str) -> String {
    words(operation).map_or_else(|| plain(operation), |words| words.many.to_owned())
}

/// `image_pull` → "Image pull".
pub(super) fn plain(word: &str) -> String {
    let text = word.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Whether the target of an operation is a container.
pub(super) fn is_about_container(operation: &str) -> bool {
    ["backup_", "container_", "console_"].iter().any(|prefix| operation.starts_with(prefix))
        || ["restore", "restore_files", "show_secrets"].contains(&operation)
}

/// Whether the target of an operation is a backup's file name.
pub(super) fn is_about_backup(operation: &str) -> bool {
    operation.ends_with("_backup")
}
