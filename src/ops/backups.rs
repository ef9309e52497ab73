//! Backups: request one, list them, look into one, delete.

use std::{cmp::Ordering, collections::HashMap};

use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Actor, containers, perform, vaults};
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

/// Which backups, in which order.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Filter {
    /// In any field.
    pub search: Option<String>,
    /// container, network, stack.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// manual, scheduled, import, safety.
    pub backup_type: Option<String>,
    /// local, s3.
    pub storage: Option<String>,
    /// Server name.
    pub server: Option<String>,
    /// Container name (or of what else was backed up).
    pub container: Option<String>,
    /// Column: created (default), name, server, size, stored_size, state, type.
    pub sort: Option<String>,
    /// asc or desc.
    pub order: Option<String>,
    /// Rows at most.
    pub limit: Option<u32>,
    /// Rows to pass over.
    pub offset: Option<u32>,
}

/// Some backups and how many there are.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rows asked for.
    pub backups: Vec<Backup>,
    /// How many match.
    pub total: usize,
    /// How many there are in the vault.
    pub count: usize,
    /// Names of all servers in the vault, for the filter.
    pub servers: Vec<String>,
    /// Logical bytes of all backups in the vault.
    pub size: u64,
    /// Bytes they take in the vault.
    pub stored_size: u64,
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
        Request::NetworkRestore(request) => {
            json!({ "progress_id": run.id, "backup_id": request.backup })
        }
        Request::Copy(request) => {
            json!({ "progress_id": run.id, "from": request.from, "to": request.to, "what": request.what })
        }
        Request::Verify(request) => {
            json!({ "progress_id": run.id, "backup_id": request.backup, "percent": request.percent })
        }
        Request::NetworkBackup(_) | Request::Prune { .. } | Request::Redeploy { .. } => {
            json!({ "progress_id": run.id })
        }
    }
}

/// Lists the catalog.
pub async fn list(app: &App, filter: &Filter) -> Result<Page> {
    let all = app.db.read(db::backups::all).await?;
    let count = all.len();
    let size = all.iter().map(|backup| backup.size).sum();
    let stored_size = all.iter().map(|backup| backup.stored_size).sum();
    let mut servers: Vec<String> = all.iter().map(|backup| backup.server_name.clone()).collect();
    servers.sort();
    servers.dedup();
    let mut backups: Vec<Backup> = all.into_iter().filter(|backup| filter.matches(backup)).collect();
    let descending = filter.order.as_deref().map_or(filter.sort.is_none(), |order| order == "desc");
    backups.sort_by(|a, b| {
        let order = filter.compare(a, b);
        (if descending { order.reverse() } else { order }).then_with(|| b.created.cmp(&a.created))
    });
    let total = backups.len();
    let from = filter.offset.unwrap_or(0) as usize;
    let most = filter.limit.unwrap_or(u32::MAX) as usize;
    let backups = backups.into_iter().skip(from).take(most).collect();
    Ok(Page { backups, total, count, servers, size, stored_size })
}

impl Filter {
    fn matches(&self, backup: &Backup) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == value)
        };
        let search = self.search.as_deref().unwrap_or_default().to_lowercase();
        let fields = || {
            [
                backup.meta.container.to_lowercase(),
                backup.filename().to_lowercase(),
                backup.server_name.to_lowercase(),
                backup.meta.image.to_lowercase(),
                backup.meta.note.to_lowercase(),
                backup.meta.stack.clone().unwrap_or_default().to_lowercase(),
                backup.trigger.to_string(),
                backup.meta.kind.to_string(),
                backup.meta.state.to_string().replace('_', " "),
                backup.created.format("%Y-%m-%d %H:%M").to_string(),
                backup.id.clone(),
            ]
        };
        is(&self.kind, backup.meta.kind.as_str())
            && is(&self.backup_type, backup.trigger.as_str())
            && is(&self.storage, backup.storage.as_str())
            && is(&self.server, &backup.server_name)
            && is(&self.container, &backup.meta.container)
            && search.split_whitespace().all(|word| fields().iter().any(|field| field.contains(word)))
    }

    fn compare(&self, a: &Backup, b: &Backup) -> Ordering {
        match self.sort.as_deref().unwrap_or("created") {
            "name" => a.meta.container.cmp(&b.meta.container),
            "server" => a.server_name.cmp(&b.server_name),
            "size" => a.size.cmp(&b.size),
            "stored_size" => a.stored_size.cmp(&b.stored_size),
            "state" => a.meta.state.as_str().cmp(b.meta.state.as_str()),
            "type" => a.trigger.as_str().cmp(b.trigger.as_str()),
            _ => a.created.cmp(&b.created),
        }
    }
}

/// Newest usable backup per container of this server, by container name.
pub async fn newest(app: &App) -> Result<HashMap<String, Backup>> {
    newest_of(app, BackupKind::Container).await
}

/// Newest usable backup of each thing of this kind on this server, by name.
pub(super) async fn newest_of(app: &App, kind: BackupKind) -> Result<HashMap<String, Backup>> {
    let server = super::settings::server_name(app).await?;
    let catalog = app.db.read(db::backups::all).await?;
    Ok(newest_in(catalog, &server, kind))
}

/// The same in a catalog that is newest first.
pub(super) fn newest_in(catalog: Vec<Backup>, server: &str, kind: BackupKind) -> HashMap<String, Backup> {
    let mut newest = HashMap::new();
    for backup in catalog {
        if backup.meta.kind == kind && backup.protects(server) {
            newest.entry(backup.meta.container.clone()).or_insert(backup);
        }
    }
    newest
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

/// Deletes a backup from the vault and the catalog.
pub async fn delete(app: &App, actor: &Actor, id: &BackupRef) -> Result<()> {
    let backup = get(app, id).await?;
    let name = backup.filename();
    vaults::forget(app, actor, backup.storage, vec![backup.id], &[name]).await
}

/// Reads the lists of all vaults that are set up again; returns how many backups they hold.
pub async fn refresh(app: &App) -> Result<usize> {
    vaults::retry(app).await
}
