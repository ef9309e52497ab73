//! Files that become backups: uploaded ones, and those that the Flask application left in the data directory.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use futures::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use super::{
    Actor, backup_run, backups, deletions,
    perform::{Job, Open, Problem, done},
    vaults,
};
use crate::{
    app::App,
    db,
    error::{AppError, Result},
    model::{
        archive::Header,
        backup::Backup,
        human,
        run::{ImportRequest, Kind, Outcome, Request, Run, State},
        vault::Storage,
    },
    worker::order::{Answer, ImportTask, Task},
};

/// A file that was uploaded and is not imported yet. Dropping it deletes it.
#[derive(Debug)]
pub struct Upload {
    id: String,
    name: String,
    path: Option<PathBuf>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes a file as it comes. When it breaks off, or is larger than allowed, nothing of it stays.
pub async fn receive<E: std::fmt::Display>(
    app: &App,
    name: &str,
    mut bytes: impl Stream<Item = std::result::Result<bytes::Bytes, E>> + Unpin,
) -> Result<Upload> {
    let id = ulid::Ulid::new().to_string();
    let path = app.config.uploads_dir().join(&id);
    let full = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => AppError::TooLarge(
            "The disk that uploads are kept on until they are imported is full. Free some space, \
             then upload the file again."
                .to_owned(),
        ),
        _ => AppError::internal(error),
    };
    let mut file = tokio::fs::File::create_new(&path).await.map_err(full)?;
    let upload = Upload { id, name: name.chars().take(300).collect(), path: Some(path) };
    let limit = app.config.upload_limit.map_or(u64::MAX, |limit| limit.0);
    let mut size = 0;
    while let Some(piece) = bytes.next().await {
        let piece =
            piece.map_err(|error| AppError::invalid(format!("The upload of {name} broke off: {error}.")))?;
        size += piece.len() as u64;
        if size > limit {
            hear_out(&mut bytes).await;
            return Err(AppError::TooLarge(format!(
                "{name} is larger than {}, the most that may be uploaded here (MONKEY_UPLOAD_LIMIT).",
                human::size(limit)
            )));
        }
        file.write_all(&piece).await.map_err(full)?;
    }
    file.flush().await.map_err(full)?;
    file.sync_all().await.map_err(full)?;
    if size == 0 {
        return Err(AppError::field("file", "Choose a file: this one is empty.".to_owned()));
    }
    Ok(upload)
}

/// How much of a file that is too large is read, bytes: a client that is cut off while it sends may never hear why.
const HEARD_OUT: usize = 64 * 1024 * 1024;

async fn hear_out<E>(bytes: &mut (impl Stream<Item = std::result::Result<bytes::Bytes, E>> + Unpin)) {
    let mut heard = 0;
    while let Some(Ok(piece)) = bytes.next().await {
        heard += piece.len();
        if heard > HEARD_OUT {
            return;
        }
    }
}

/// Asks for the import of an uploaded file.
pub async fn request(app: &App, actor: &Actor, mut upload: Upload, storage: Option<Storage>) -> Result<Run> {
    let storage = storage.unwrap_or_else(|| app.vaults.chosen());
    let path = upload.path.clone().unwrap_or_default();
    let header = check(app, &path, &upload.name, storage).await?;
    let request = ImportRequest { storage, upload: Some(upload.id.clone()), name: upload.name.clone() };
    let run = backups::new_run(actor, header.meta.container, Request::Import(request));
    // From here on the run owns the file.
    upload.path = None;
    let deleted = path.clone();
    backups::enqueue(app, actor, run).await.inspect_err(|_| drop(std::fs::remove_file(deleted)))
}

/// A file that the Flask application left.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What finds the backup that was made of it, as long as that is in a vault.
    pub imported: Option<String>,
}

/// Archives and networks that the Flask application left in `<data>/backups`, by name.
pub async fn found(app: &App) -> Result<Vec<Found>> {
    let mut found = files(app);
    if found.is_empty() {
        return Ok(found);
    }
    let (runs, backups) =
        app.db.read(|c| Ok((db::runs::of_kind(c, Kind::Import)?, db::backups::all(c)?))).await?;
    for run in &runs {
        let Request::Import(request) = &run.request else { continue };
        let Some(file) = found.iter_mut().find(|file| file.name == request.name) else { continue };
        let made = |backup: &&Backup| {
            backup.storage == request.storage && run.backup_id.as_deref() == Some(backup.id.as_str())
        };
        if request.upload.is_none()
            && let Some(backup) = backups.iter().find(made)
        {
            file.imported = Some(backup.reference());
        }
    }
    Ok(found)
}

fn files(app: &App) -> Vec<Found> {
    let files = std::fs::read_dir(app.config.flask_backups()).into_iter().flatten().flatten();
    let mut found: Vec<Found> = files
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let size = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
            is_flask(&name).then_some(Found { name, size, imported: None })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// `<container>_<YYYYMMDD>_<HHMMSS>.tar.gz` or `network_<name>_<YYYYMMDD>_<HHMMSS>.json`.
fn is_flask(name: &str) -> bool {
    let network = name.strip_prefix("network_").and_then(|name| name.strip_suffix(".json"));
    let Some(stem) = name.strip_suffix(".tar.gz").or(network) else { return false };
    let mut parts = stem.rsplitn(3, '_');
    let digits = |part: Option<&str>, length| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let stamped = digits(parts.next(), 6) && digits(parts.next(), 8);
    let of = parts.next().unwrap_or_default();
    stamped && !of.is_empty() && of != "all_backups"
}

/// Asks for the import of one of [`found`].
pub async fn request_found(app: &App, actor: &Actor, name: &str, storage: Option<Storage>) -> Result<Run> {
    if !files(app).iter().any(|found| found.name == name) {
        return Err(AppError::NotFound(format!("The archive “{name}”").into()));
    }
    let storage = storage.unwrap_or_else(|| app.vaults.chosen());
    let header = check(app, &app.config.flask_backups().join(name), name, storage).await?;
    let request = ImportRequest { storage, upload: None, name: name.to_owned() };
    backups::enqueue(app, actor, backups::new_run(actor, header.meta.container, Request::Import(request)))
        .await
}

/// What is in the file, unless it is in the vault already.
async fn check(app: &App, path: &Path, name: &str, storage: Storage) -> Result<Header> {
    app.vault(storage)?;
    let answer =
        app.ask_vault(storage, Task::Inspect { archive: path.to_owned(), name: name.to_owned() }).await?;
    let Answer::Archive(header) = answer else { return Err(vaults::unexpected().into()) };
    let all = app.db.read(db::backups::all).await?;
    // Of several backups in one file those that are there are passed over; one alone is a mistake to tell.
    match all.iter().find(|backup| backup.storage == storage && header.is_of(backup)) {
        Some(known) if !header.more => Err(AppError::Conflict(format!(
            "This backup is in the vault already, as {}. Nothing was imported.",
            known.filename()
        ))),
        _ => Ok(*header),
    }
}

/// Does the run.
pub(super) async fn run(job: &Job, request: &ImportRequest) -> Result<Outcome, Problem> {
    let archive = path(&job.app, request);
    let spool = job.app.config.tmp_dir().join(job.run.id.as_str());
    let task = ImportTask { archive: archive.clone(), name: request.name.clone(), spool: spool.clone() };
    let heard = job.work_in(request.storage, Task::Import(task), &mut Open).await;
    let _ = std::fs::remove_dir_all(&spool);
    if request.upload.is_some() {
        let _ = std::fs::remove_file(&archive);
    }
    // Also after a failure: what was imported before it is there.
    let listed = vaults::refresh(&job.app, request.storage).await;
    let heard = heard.map_err(Problem::Worker)?;
    listed.map_err(Problem::Worker)?;
    let warned = heard.warned;
    let Answer::Imported { backups, known } = heard.answer else {
        return Err(Problem::Worker(vaults::unexpected()));
    };
    // What somebody deleted is in the vault for a while: who brings it again wants it back.
    deletions::keep(job, request.storage, |backup| known.contains(&backup.id)).await?;
    if let ([backup], false) = (backups.as_slice(), warned) {
        return Ok(backup_run::outcome(backup));
    }
    let last = backups.last();
    let whole = backups.iter().all(|backup| backup.meta.state.is_good());
    let state = match (whole, warned) {
        (false, _) => State::Partial,
        (true, true) => State::CompleteWithWarnings,
        (true, false) => State::Complete,
    };
    Ok(Outcome {
        backup_id: last.map(|backup| backup.id.clone()),
        backup_filename: last.map(Backup::filename),
        bytes: backups.iter().map(|backup| backup.size).sum(),
        ..done(state)
    })
}

fn path(app: &App, request: &ImportRequest) -> PathBuf {
    match &request.upload {
        Some(id) => app.config.uploads_dir().join(id),
        None => app.config.flask_backups().join(&request.name),
    }
}

/// Deletes uploads that nobody waits for: they broke off, or the program ended meanwhile. Called once, before runs begin.
pub async fn sweep(app: &App) -> Result<()> {
    let waiting = app.db.read(|c| db::runs::in_states(c, &[State::Queued])).await?;
    let needed: HashSet<_> = waiting
        .iter()
        .filter_map(|run| match &run.request {
            Request::Import(request) => Some(path(app, request)),
            _ => None,
        })
        .collect();
    let files = std::fs::read_dir(app.config.uploads_dir()).into_iter().flatten().flatten();
    for file in files.filter(|file| !needed.contains(&file.path())) {
        let _ = std::fs::remove_file(file.path());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_flask;

    #[test]
    fn the_flask_applications_files_are_known_by_their_names() {
        for name in [
            "web_20261123_233326.tar.gz",
            "scheduled_a_b_20261123_233326.tar.gz",
            "network_n_20261123_233517.json",
        ] {
            assert!(is_flask(name), "{name}");
        }
        for name in [
            "web_20261123_233326.tar.gz.json",
            "web.tar.gz",
            "_20261123_233326.tar.gz",
            "all_backups_20261123_233326.tar.gz",
            "settings_20261123_233326.json",
            "web_2026112_233326.tar.gz",
        ] {
            assert!(!is_flask(name), "{name}");
        }
    }
}
