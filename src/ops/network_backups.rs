//! Networks in the vault: a network is nothing but its settings, and they are backed up as a job like any other.

use std::{collections::HashMap, time::Duration};

use super::{
    Actor,
    backup_run::{self, Plan, Target},
    backups, networks,
    perform::{Job, Open, Problem},
    runs::{self, RunView},
    settings,
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::{Backup, Kind},
        manifest::{Consistency, FORMAT, Item, ItemKind, Manifest},
        names::{NetworkRef, RunId},
        run::{NetworkBackupRequest, Outcome, Request, Run},
        vault::Storage,
    },
};

/// How long a script waits for the end of such a job before it is told to ask again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts the backup of a network into the queue.
pub async fn request(
    app: &App,
    actor: &Actor,
    id: &NetworkRef,
    storage: Option<Storage>,
    note: &str,
) -> Result<Run> {
    let storage = storage.unwrap_or_else(|| app.vaults.chosen());
    app.vault(storage)?;
    let network = networks::find(app, id).await?;
    if network.built_in {
        return Err(AppError::Conflict(format!(
            "The network {} is built into Docker: every engine has it, so there is nothing to back up.",
            network.name
        )));
    }
    if network.name.parse::<NetworkRef>().is_err() {
        return Err(AppError::Impossible(format!(
            "The name “{}” can't be the name of a folder in the vault. Make a network with another name, with \
             letters, digits, “_”, “.” and “-” in it.",
            network.name
        )));
    }
    let request = NetworkBackupRequest {
        id: network.id,
        name: network.name.clone(),
        storage,
        note: note.chars().take(500).collect(),
    };
    let run = backups::new_run(actor, network.name, Request::NetworkBackup(request));
    backups::enqueue(app, actor, run).await
}

/// How such a job ended, or how it stands when that takes long because others are before it. A failed one is
/// an error.
pub async fn ended(app: &App, id: &RunId) -> Result<RunView> {
    let view = runs::wait(app, id, PATIENCE).await?;
    match &view.run.error {
        Some(why) => Err(AppError::Impossible(why.clone())),
        None => Ok(view),
    }
}

/// Newest usable backup per network of this server, by the network's name.
pub async fn newest(app: &App) -> Result<HashMap<String, Backup>> {
    backups::newest_of(app, Kind::Network).await
}

/// Does the run.
pub(super) async fn run(job: &Job, request: &NetworkBackupRequest) -> Result<Outcome, Problem> {
    job.step("Looking at the network");
    let plan = plan(&job.app, request).await?;
    let target = Target {
        storage: request.storage,
        trigger: job.run.trigger,
        note: request.note.clone(),
        image: false,
        schedule: None,
    };
    let backup = backup_run::write(job, &plan, target, &mut Open).await?;
    Ok(backup_run::outcome(&backup))
}

async fn plan(app: &App, request: &NetworkBackupRequest) -> Result<Plan> {
    let network = match app.docker.network(&request.id).await? {
        // It may have been made again while the job waited.
        None => app.docker.network(&request.name).await?,
        found => found,
    };
    let network =
        network.ok_or_else(|| AppError::NotFound(format!("The network “{}”", request.name).into()))?;
    let manifest = Manifest {
        format: FORMAT,
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        server_name: settings::server_name(app).await?,
        created: chrono::Utc::now(),
        kind: Kind::Network,
        container_name: request.name.clone(),
        consistency: Consistency::Live,
        container: serde_json::Value::Null,
        image: serde_json::Value::Null,
        networks: vec![network],
        volumes: Vec::new(),
        engine: app.docker.facts().await?,
        items: vec![Item {
            kind: ItemKind::Settings,
            name: "Settings".to_owned(),
            path: format!("{}/backup.json", request.name),
            destination: None,
            left_out: None,
        }],
    };
    Ok(Plan { manifest, sources: Vec::new() })
}
