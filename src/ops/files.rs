//! Looks at the files of a volume. The server itself reads none of them: a
//! worker does, with the volume as its root.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::{Actor, containers::record, vaults::unexpected, volumes};
use crate::{
    app::App,
    docker,
    error::{AppError, Result},
    model::{
        files::{ByteRange, Excerpt, InnerPath, Listing, StreamHead, Window},
        names::VolumeName,
        volume::Volume,
    },
    worker::{
        order::{Answer, FilesTask, Look, Seen},
        readers::Bytes,
    },
};

/// Bytes of a text file that are shown.
pub const SHOWN: u64 = 256 * 1024;

/// How long a folder may take; a network drive that is away would take for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Part of a folder.
pub async fn list(app: &App, volume: &Volume, path: &InnerPath, window: Window) -> Result<Listing> {
    match ask(app, volume, path, Look::List(window)).await? {
        Seen::Listing(listing) => Ok(listing),
        _ => Err(unexpected().into()),
    }
}

/// The beginning of a file.
pub async fn read(app: &App, volume: &Volume, path: &InnerPath) -> Result<Excerpt> {
    match ask(app, volume, path, Look::Read { limit: SHOWN }).await? {
        Seen::Excerpt(excerpt) => Ok(excerpt),
        _ => Err(unexpected().into()),
    }
}

/// A file, or the part of it that was asked for, or a folder as tar whose names begin with its own.
/// With `if_tag` the part only if the file is still the same.
pub async fn send(
    app: &App,
    volume: &Volume,
    path: &InnerPath,
    range: Option<ByteRange>,
    if_tag: Option<String>,
) -> Result<(StreamHead, Bytes)> {
    let prefix = if path.is_root() { volume.name.as_str() } else { path.name() }.to_owned();
    let task = task(app, volume, path, Look::Send { range, if_tag, prefix }).await?;
    match app.stream(task).await? {
        (Answer::Files(Seen::Stream(head)), bytes) => Ok((head, bytes)),
        _ => Err(unexpected().into()),
    }
}

/// Writes into the audit log that data left the server. A continued download is one download.
pub async fn record_download(app: &App, actor: &Actor, volume: &Volume, path: &InnerPath) -> Result<()> {
    let details = json!({ "path": path.absolute() });
    record(app, actor, "volume_download", &volume.name, None, details).await
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

async fn task(app: &App, volume: &Volume, path: &InnerPath, look: Look) -> Result<FilesTask> {
    let inspect = app.docker.volume(&volume.name).await?;
    let inspect =
        inspect.ok_or_else(|| AppError::NotFound(format!("The volume “{}”", volume.name).into()))?;
    let root = docker::data_path(&inspect).ok_or_else(|| {
        AppError::Impossible(format!(
            "The files of {} are not on this machine: its driver {} keeps them elsewhere.",
            volume.name, volume.driver
        ))
    })?;
    Ok(FilesTask { root, path: path.clone(), look, more: false })
}

async fn ask(app: &App, volume: &Volume, path: &InnerPath, look: Look) -> Result<Seen> {
    let task = task(app, volume, path, look).await?;
    match timeout(PATIENCE, app.look(task)).await {
        Ok(answer) => match answer? {
            Answer::Files(seen) => Ok(seen),
            _ => Err(unexpected().into()),
        },
        Err(_) => Err(AppError::unavailable(
            format!("{} did not answer within {} s. Is its disk there?", volume.name, PATIENCE.as_secs()),
            None,
        )),
    }
}
