//! Backups as files: whole ones out of the vault, one or several in one archive.

use std::io;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{Actor, backups, containers::record, vaults::unexpected};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        archive::Compression,
        backup::{Backup, State},
        backup_list::Filter,
        files::InnerPath,
        names::{BackupRef, RunId},
    },
    worker::{
        order::{Answer, FilesTask, Look, Root, Seen},
        readers::Bytes,
    },
};

/// So many backups go into one archive at most.
const MOST: usize = 1000;

/// An archive that is being sent.
pub struct Archive {
    /// What it is called.
    pub filename: String,
    /// Its bytes. An error on the way ends them early.
    pub bytes: Bytes,
}

/// Packs these backups, one after the other, as they are read. The first is known to be readable when this returns.
pub async fn pack(app: &App, actor: &Actor, ids: &[BackupRef], compression: Compression) -> Result<Archive> {
    let chosen = find(app, ids).await?;
    let Some((first, rest)) = chosen.split_first() else {
        return Err(AppError::field("ids", "Choose a backup.".to_owned()));
    };
    let filename = match rest {
        [] => format!("{}.{compression}", first.filename().trim_end_matches(".tar")),
        _ => format!("{}_backups_{}.{compression}", chosen.len(), chrono::Utc::now().format("%Y%m%d_%H%M%S")),
    };
    let bytes = one(app, first, compression, rest.is_empty()).await?;
    for backup in &chosen {
        let details = json!({
            "backup_id": backup.id, "backup_filename": backup.filename(), "storage_location": backup.storage,
            "format": compression,
        });
        record(app, actor, "download_backup", &backup.meta.container, None, details).await?;
    }
    let count = rest.len();
    let rest: Vec<_> = rest.to_vec();
    let app = app.clone();
    let others = stream::iter(rest.into_iter().enumerate()).then(move |(index, backup)| {
        let app = app.clone();
        async move {
            let next = one(&app, &backup, compression, index + 1 == count).await;
            next.map_err(|error| io::Error::other(error.to_string()))
        }
    });
    Ok(Archive { filename, bytes: bytes.chain(others.try_flatten()).boxed() })
}

/// These backups, each once.
async fn find(app: &App, ids: &[BackupRef]) -> Result<Vec<Backup>> {
    few(ids.len())?;
    let mut chosen: Vec<Backup> = Vec::new();
    for id in ids {
        let backup = backups::get(app, id).await?;
        if backup.meta.state == State::Unfinished {
            return Err(AppError::Impossible(format!(
                "The backup of {} was interrupted while it was made, so it can't be downloaded.",
                backup.meta.container
            )));
        }
        add(&mut chosen, backup);
    }
    Ok(chosen)
}

/// Adds it, unless a copy of it is among them.
fn add(chosen: &mut Vec<Backup>, backup: Backup) {
    if !chosen.iter().any(|other| other.is_copy_of(&backup)) {
        chosen.push(backup);
    }
}

fn few(count: usize) -> Result<()> {
    if count > MOST {
        return Err(AppError::field("ids", format!("Choose at most {MOST} backups at a time.")));
    }
    Ok(())
}

/// Begins a download for a script of the Flask application, of these backups or of all that are whole; each once.
pub async fn prepare(app: &App, actor: &Actor, wanted: &[BackupRef]) -> Result<(RunId, Vec<Backup>)> {
    let chosen = if wanted.is_empty() { all(app).await? } else { find(app, wanted).await? };
    if chosen.is_empty() {
        return Err(AppError::Nothing("No backups found to download"));
    }
    let refs: Result<Vec<BackupRef>, _> = chosen.iter().map(|backup| backup.reference().parse()).collect();
    let id = app.downloads.begin(actor.id, refs.map_err(AppError::internal)?);
    Ok((id, chosen))
}

async fn all(app: &App) -> Result<Vec<Backup>> {
    let list = backups::list(app, &Filter::default()).await?.backups;
    let mut chosen: Vec<Backup> = Vec::new();
    for backup in list.into_iter().filter(|backup| backup.meta.state != State::Unfinished) {
        add(&mut chosen, backup);
    }
    few(chosen.len())?;
    Ok(chosen)
}

async fn one(app: &App, backup: &Backup, compression: Compression, last: bool) -> Result<Bytes> {
    app.vault(backup.storage)?;
    let task = FilesTask {
        root: Root::Backup { storage: backup.storage, id: backup.id.clone() },
        path: InnerPath::default(),
        look: Look::Archive { compression, last },
        more: false,
    };
    match app.stream(task).await? {
        (Answer::Files(Seen::Stream(_)), bytes) => Ok(bytes),
        _ => Err(unexpected().into()),
    }
}
