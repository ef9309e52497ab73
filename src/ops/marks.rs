//! Backups that must stay, and notes of people.

use serde_json::json;

use super::{Actor, backups};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{backup::Backup, names::BackupRef},
};

/// The longest note, characters.
const LONGEST: usize = 500;

/// Protects a backup against retention and deletion, or no longer.
pub async fn pin(app: &App, actor: &Actor, id: &BackupRef, pinned: bool) -> Result<Backup> {
    let storage = backups::get(app, id).await?.storage;
    // A clean-up that has decided already is waited for: either it sees the pin, or the backup is gone.
    let _alone = app.vaults.of(storage).catalog.lock().await;
    let backup = backups::get(app, id).await?;
    let (marked, actor) = (backup.clone(), actor.clone());
    app.db
        .write(move |c| {
            if marked.pinned == pinned {
                return Ok(());
            }
            db::marks::pin(c, marked.storage, &marked.id, pinned)?;
            let operation = if pinned { "pin_backup" } else { "unpin_backup" };
            let details = json!({ "backup_id": marked.id, "storage_location": marked.storage });
            db::audit::record(c, &Entry { details, ..actor.entry(operation, &marked.filename()) })
        })
        .await?;
    Ok(Backup { pinned, ..backup })
}

/// Says what a backup is for; empty = nothing.
pub async fn note(app: &App, actor: &Actor, id: &BackupRef, note: &str) -> Result<Backup> {
    let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
    if note.chars().count() > LONGEST || note.chars().any(char::is_control) {
        return Err(AppError::field("note", format!("A note has at most {LONGEST} characters.")));
    }
    let backup = backups::get(app, id).await?;
    let (marked, actor, text) = (backup.clone(), actor.clone(), note.clone());
    app.db
        .write(move |c| {
            db::marks::note(c, marked.storage, &marked.id, &text)?;
            let details = json!({
                "backup_id": marked.id, "storage_location": marked.storage,
                "before": marked.meta.note, "after": text,
            });
            db::audit::record(c, &Entry { details, ..actor.entry("note_backup", &marked.filename()) })
        })
        .await?;
    let mut backup = backup;
    backup.meta.note = note;
    Ok(backup)
}
