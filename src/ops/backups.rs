//! Backups: request one, list them, look into one, delete.

use std::collections::HashMap;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Actor, containers, perform, vaults};
pub use crate::model::backup_list::{Filter, Page, Sums};
use crate::{
    app::App,
    db::{self, audit::Entry},
    docker,
    error::{AppError, Result},
    model::{
        backup::{Backup, Kind as BackupKind},
        manifest::{Consistency, Manifest},
        names::{BackupRef, ContainerRef},
        run::{BackupRequest, Request, Run},
        secret::hide_secrets,
        vault::Storage,
    },
    worker::order::{Answer, Task},
};

/// What may be said when asking for a backup.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BackupOptions {
    /// How to keep it still; default: the container's label, else not at all.
    pub consistency: Option<Consistency>,
    /// Default true.
    pub include_image: Option<bool>,
    /// Default true.
    pub include_layer: Option<bool>,
    /// Only these volumes.
    pub volumes: Option<Vec<String>>,
    /// A note.
    pub note: Option<String>,
    /// The vault; default: the one that is chosen for new backups.
    pub storage: Option<Storage>,
}

/// What is in a backup.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The catalog's row.
    pub backup: Backup,
    /// The manifest.
    pub manifest: Manifest,
    /// Equivalent command.
    pub docker_run_command: String,
    /// Equivalent compose file.
    pub docker_compose: String,
}

impl Preview {
    fn of(backup: Backup, manifest: Manifest) -> Self {
        Self {
            docker_run_command: docker::docker_run_command(&manifest),
            docker_compose: docker::compose_file(&manifest),
            backup,
            manifest,
        }
    }

    /// The same without the values that look secret.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        hide_secrets(&mut self.manifest.container);
        Self::of(self.backup, self.manifest)
    }
}

/// Puts a backup into the queue.
pub async fn request(app: &App, actor: &Actor, id: &ContainerRef, options: BackupOptions) -> Result<Run> {
    let storage = options.storage.unwrap_or_else(|| app.vaults.chosen());
    app.vault(storage)?;
    let container = containers::find(app, id).await?;
    if let Some(volumes) = &options.volumes {
        let unknown = volumes
            .iter()
            .find(|wanted| !container.volumes.iter().any(|mount| mount.name.as_str() == wanted.as_str()));
        if let Some(unknown) = unknown {
            return Err(AppError::field("volumes", format!("{} has no volume “{unknown}”.", container.name)));
        }
    }
    let request = BackupRequest {
        container: container.name.clone(),
        consistency: options.consistency,
        include_image: options.include_image.unwrap_or(true),
        include_layer: options.include_layer.unwrap_or(true),
        volumes: options.volumes,
        note: options.note.unwrap_or_default().chars().take(500).collect(),
        storage: Some(storage),
        schedule: None,
    };
    let run = new_run(actor, container.name, Request::Backup(request));
    enqueue(app, actor, run).await
}

/// A run that waits for its turn.
pub(super) fn new_run(actor: &Actor, subject: String, request: Request) -> Run {
    Run::queued((&actor.name, &actor.address), subject, request, Utc::now())
}

/// Writes the run and its audit entry, then hands it to the queue.
pub(super) async fn enqueue(app: &App, actor: &Actor, run: Run) -> Result<Run> {
    let (row, actor) = (run.clone(), actor.clone());
    app.db
        .write(move |c| {
            db::runs::insert(c, &row)?;
            let details = asked(&row);
            let operation = perform::operation(&row);
            let entry = Entry { outcome: "started", details, ..actor.entry(operation, &row.subject) };
            db::audit::record(c, &entry)
        })
        .await?;
    app.queue.push(&run.id).await?;
    Ok(run)
}

/// What was asked, for the audit log.
fn asked(run: &Run) -> Value {
    match &run.request {
        Request::Backup(request) => json!({
            "progress_id": run.id, "storage_location": request.storage, "consistency": request.consistency,
            "volumes": request.volumes, "include_image": request.include_image,
            "include_layer": request.include_layer,
        }),
        Request::Restore(request) => json!({ "progress_id": run.id, "backup_id": request.backup }),
        Request::RestoreFile(request) => json!({
            "progress_id": run.id, "backup_id": request.backup, "path": request.options.path.absolute(),
            "volume": request.options.volume, "folder": request.options.folder.absolute(),
            "keep": request.options.keep,
        }),
        Request::NetworkRestore(request) => {
            json!({ "progress_id": run.id, "backup_id": request.backup })
        }
        Request::Copy(request) => {
            json!({ "progress_id": run.id, "from": request.from, "to": request.to, "what": request.what })
        }
        Request::Verify(request) => {
            json!({ "progress_id": run.id, "backup_ids": request.backups, "percent": request.percent })
        }
        Request::Import(request) => {
            json!({ "progress_id": run.id, "file": request.name, "storage_location": request.storage })
        }
        Request::NetworkBackup(_) | Request::Prune { .. } | Request::Redeploy { .. } => {
            json!({ "progress_id": run.id })
        }
    }
}

/// Lists the catalog.
pub async fn list(app: &App, filter: &Filter) -> Result<Page> {
    let filter = filter.clone();
    Ok(app.db.read(move |c| db::backups::page(c, &filter)).await?)
}

/// How many that were deleted can be brought back.
pub async fn deleted(app: &App) -> Result<usize> {
    Ok(app.db.read(db::deleted_backups::count).await?)
}

/// What all backups come to.
pub async fn sums(app: &App) -> Result<Sums> {
    Ok(app.db.read(db::backups::sums).await?)
}

/// Newest usable backup per container of this server, by container name.
pub async fn newest(app: &App) -> Result<HashMap<String, Backup>> {
    newest_of(app, BackupKind::Container).await
}

/// Newest usable backup of each thing of this kind on this server, by name.
pub(super) async fn newest_of(app: &App, kind: BackupKind) -> Result<HashMap<String, Backup>> {
    let server = super::settings::server_name(app).await?;
    let found = app.db.read(move |c| db::backups::newest(c, &server, kind, None)).await?;
    Ok(by_name(found))
}

/// Each by the name of what it holds.
pub(super) fn by_name(backups: Vec<Backup>) -> HashMap<String, Backup> {
    backups.into_iter().map(|backup| (backup.meta.container.clone(), backup)).collect()
}

/// One backup, by id, unique prefix of it, or file name.
pub async fn get(app: &App, id: &BackupRef) -> Result<Backup> {
    let wanted = id.clone();
    let find = move |c: &mut db::Connection| {
        let (storage, name) = wanted.parts();
        db::backups::matching(c, storage, name)
    };
    let mut found = app.db.read(find).await?;
    match (found.pop(), found.is_empty()) {
        (Some(backup), true) => Ok(backup),
        (None, _) => Err(AppError::NotFound(format!("The backup “{id}”").into())),
        (Some(_), false) => {
            Err(AppError::Conflict(format!("Several backups match “{id}”. Use the whole id.")))
        }
    }
}

/// One backup with its manifest, which is read from the vault the first time.
pub async fn preview(app: &App, id: &BackupRef) -> Result<Preview> {
    let backup = get(app, id).await?;
    let wanted = backup.clone();
    let known = app.db.read(move |c| db::backups::manifest(c, &wanted)).await?;
    let manifest = match known {
        Some(manifest) => manifest,
        None => match app.ask_vault(backup.storage, Task::Manifest { backup: backup.id.clone() }).await? {
            Answer::Manifest(manifest) => {
                let (row, kept) = (backup.clone(), manifest.clone());
                app.db.write(move |c| db::backups::keep_manifest(c, &row, &kept)).await?;
                *manifest
            }
            _ => return Err(vaults::unexpected().into()),
        },
    };
    Ok(Preview::of(backup, manifest))
}

/// Reads the lists of all vaults that are set up again; returns how many backups they hold.
pub async fn refresh(app: &App) -> Result<usize> {
    vaults::retry(app).await
}
