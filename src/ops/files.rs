//! Looks at the files of a volume or of a backup. The server itself reads none
//! of them: a worker does, which never leaves the volume or backup.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::{Actor, containers::record, vaults::unexpected, volumes};
use crate::{
    app::App,
    docker,
    error::{AppError, Result},
    model::{
        backup::Backup,
        files::{ByteRange, Entry, Excerpt, InnerPath, Listing, Measure, StreamHead, Window},
        names::VolumeName,
        volume::Volume,
    },
    worker::{
        order::{Answer, FilesTask, Look, Root, Seen},
        readers::Bytes,
    },
};

/// Bytes of a text file that are shown.
pub const SHOWN: u64 = 256 * 1024;

/// How long a folder may take; a network drive that is away would take for ever.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whose files are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A volume that [`volume`] gave.
    Volume(&'a Volume),
    /// A backup in the vault.
    Backup(&'a Backup),
}

impl Source<'_> {
    fn name(&self) -> String {
        match self {
            Self::Volume(volume) => volume.name.clone(),
            Self::Backup(backup) => backup.filename(),
        }
    }

    /// What an archive of all of it is called, without ending.
    pub fn archive_name(&self) -> String {
        match self {
            Self::Volume(_) => self.name(),
            Self::Backup(_) => self.name().trim_end_matches(".tar").to_owned(),
        }
    }

    async fn root(&self, app: &App) -> Result<Root> {
        let volume = match self {
            Self::Backup(backup) => {
                app.vault(backup.storage)?;
                return Ok(Root::Backup { storage: backup.storage, id: backup.id.clone() });
            }
            Self::Volume(volume) => volume,
        };
        let inspect = app.docker.volume(&volume.name).await?;
        let inspect =
            inspect.ok_or_else(|| AppError::NotFound(format!("The volume “{}”", volume.name).into()))?;
        docker::data_path(&inspect).map(Root::Host).ok_or_else(|| {
            AppError::Impossible(format!(
                "The files of {} are not on this machine: its driver {} keeps them elsewhere.",
                volume.name, volume.driver
            ))
        })
    }
}

/// Part of a folder.
pub async fn list(app: &App, source: Source<'_>, path: &InnerPath, window: Window) -> Result<Listing> {
    match ask(app, source, path, Look::List(window)).await? {
        Seen::Listing(listing) => Ok(listing),
        _ => Err(unexpected().into()),
    }
}

/// What a file or folder of a backup is, and how much.
pub(super) async fn measure(app: &App, source: Source<'_>, path: &InnerPath) -> Result<(Entry, Measure)> {
    match ask(app, source, path, Look::Measure).await? {
        Seen::Measured { entry, measure } => Ok((entry, measure)),
        _ => Err(unexpected().into()),
    }
}

/// The beginning of a file.
pub async fn read(app: &App, source: Source<'_>, path: &InnerPath) -> Result<Excerpt> {
    match ask(app, source, path, Look::Read { limit: SHOWN }).await? {
        Seen::Excerpt(excerpt) => Ok(excerpt),
        _ => Err(unexpected().into()),
    }
}

/// A file, or the part of it that was asked for, or a folder as tar whose names begin with its own.
/// With `if_tag` the part only if the file is still the same.
pub async fn send(
    app: &App,
    source: Source<'_>,
    path: &InnerPath,
    range: Option<ByteRange>,
    if_tag: Option<String>,
) -> Result<(StreamHead, Bytes)> {
    let prefix = if path.is_root() { source.archive_name() } else { path.name().to_owned() };
    let task = task(app, source, path, Look::Send { range, if_tag, prefix }).await?;
    match app.stream(task).await? {
        (Answer::Files(Seen::Stream(head)), bytes) => Ok((head, bytes)),
        _ => Err(unexpected().into()),
    }
}

/// Writes into the audit log that data left the server. A continued download is one download.
pub async fn record_download(app: &App, actor: &Actor, source: Source<'_>, path: &InnerPath) -> Result<()> {
    let path = path.absolute();
    match source {
        Source::Volume(volume) => {
            record(app, actor, "volume_download", &volume.name, None, json!({ "path": path })).await
        }
        Source::Backup(backup) => {
            let details = json!({ "path": path, "backup_id": backup.id, "storage_location": backup.storage });
            record(app, actor, "backup_download", &backup.meta.container, None, details).await
        }
    }
}

/// A volume whose files may be looked at.
pub async fn volume(app: &App, name: &VolumeName) -> Result<Volume> {
    let volume = volumes::get(app, name).await?;
    if volume.is_self {
        return Err(AppError::Forbidden(
            "This volume holds Container Monkey's own data with the keys of the vault. It is not shown here."
                .into(),
        ));
    }
    Ok(volume)
}

async fn task(app: &App, source: Source<'_>, path: &InnerPath, look: Look) -> Result<FilesTask> {
    Ok(FilesTask { root: source.root(app).await?, path: path.clone(), look, more: false })
}

async fn ask(app: &App, source: Source<'_>, path: &InnerPath, look: Look) -> Result<Seen> {
    let task = task(app, source, path, look).await?;
    match timeout(PATIENCE, app.look(task)).await {
        Ok(answer) => match answer? {
            Answer::Files(seen) => Ok(seen),
            _ => Err(unexpected().into()),
        },
        Err(_) => Err(AppError::unavailable(
            format!("{} did not answer within {} s. Is its disk there?", source.name(), PATIENCE.as_secs()),
            None,
        )),
    }
}
