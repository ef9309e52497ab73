//! Backups: request one, list, look into, delete.
use super::Actor;
use crate::{
    app::App,
    error::Result,
    model::{
        backup::{Backup, ItemOutcome},
        manifest::{Consistency, Manifest},
        names::{BackupRef, ContainerRef},
        run::Run,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
/// What may be said when asking for a backup.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BackupOptions {
    /// How to keep it still.
    pub consistency: Option<Consistency>,
    /// Default true.
    pub include_image: Option<bool>,
    /// Only these volumes.
    pub volumes: Option<Vec<String>>,
    /// A note.
    pub note: Option<String>,
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
    /// Container name.
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
/// Puts a backup into the queue.
pub async fn request(app: &App, actor: &Actor, id: &ContainerRef, options: BackupOptions) -> Result<Run> {
    todo!()
}
/// Lists the catalog.
pub async fn list(app: &App, filter: &Filter) -> Result<Page> {
    todo!()
}
/// Newest usable backup per container of this server, by container name.
pub async fn newest(app: &App) -> Result<std::collections::HashMap<String, Backup>> {
    todo!()
}
/// One backup.
pub async fn get(app: &App, id: &BackupRef) -> Result<Backup> {
    todo!()
}
/// One backup with its manifest.
pub async fn preview(app: &App, id: &BackupRef) -> Result<Preview> {
    todo!()
}
/// Deletes a backup from the vault and the catalog.
pub async fn delete(app: &App, actor: &Actor, id: &BackupRef) -> Result<()> {
    todo!()
}
/// Reads the vault's list again; returns how many backups it holds.
pub async fn refresh(app: &App) -> Result<usize> {
    todo!()
}
