//! Volumes: list with what uses and protects them, make, delete.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use chrono::Utc;
use serde_json::{Value, json};

use super::{Actor, containers::record, settings, volume_sizes};
use crate::{
    app::App,
    db,
    docker::VolumeSummary,
    error::{AppError, Result},
    model::{
        backup::{Backup, ItemState},
        container::Container,
        names::VolumeName,
        volume::{Held, Protection, STALE_DAYS, Volume},
    },
};

/// Labels that name the stack of a volume.
const STACK: [&str; 2] = ["com.docker.compose.project", "com.docker.stack.namespace"];

/// All volumes, in two questions to the engine.
pub async fn list(app: &App) -> Result<Vec<Volume>> {
    let (volumes, containers) = tokio::try_join!(app.docker.volumes(), app.docker.containers())?;
    let server = settings::server_name(app).await?;
    let backups = app.db.read(db::backups::all).await?;
    let held = held(&backups, &server);
    let sizes = volume_sizes::now().known.map(|(sizes, _)| sizes).unwrap_or_default();
    let data = app.place().await?.data_on_host(&app.config.data);
    Ok(volumes.into_iter().map(|volume| row(volume, &containers, &held, &sizes, &data)).collect())
}

/// One of them.
pub async fn get(app: &App, name: &VolumeName) -> Result<Volume> {
    let volume = list(app).await?.into_iter().find(|volume| volume.name == name.as_str());
    volume.ok_or_else(|| missing(name.as_str()))
}

/// Several of them, in the order of the names; fails when one is not there.
pub async fn get_all(app: &App, names: &[VolumeName]) -> Result<Vec<Volume>> {
    let mut all: HashMap<String, Volume> =
        list(app).await?.into_iter().map(|volume| (volume.name.clone(), volume)).collect();
    names.iter().map(|name| all.remove(name.as_str()).ok_or_else(|| missing(name.as_str()))).collect()
}

fn missing(name: &str) -> AppError {
    AppError::NotFound(format!("The volume “{name}”").into())
}

/// What the newest usable backups say about each volume: which holds it, or why it was left out.
#[derive(Default)]
struct Known {
    held: Option<Held>,
    left_out: Option<String>,
}

fn held(backups: &[Backup], server: &str) -> HashMap<String, Known> {
    let mut volumes: HashMap<String, Known> = HashMap::new();
    // Newest first.
    for backup in backups {
        if !backup.protects(server) {
            continue;
        }
        let folder = format!("{}/volumes/", backup.meta.container);
        for item in &backup.meta.items {
            let Some(volume) = item.path.strip_prefix(&folder) else { continue };
            let known = volumes.entry(volume.to_owned()).or_default();
            match item.state {
                ItemState::Saved | ItemState::Warnings if known.held.is_none() => {
                    let (id, created, bytes) = (backup.id.clone(), backup.created, item.bytes);
                    known.held = Some(Held { id, created, bytes });
                }
                ItemState::LeftOut if known.held.is_none() => {
                    known.left_out.get_or_insert_with(|| item.message.clone());
                }
                _ => {}
            }
        }
    }
    volumes
}

fn row(
    volume: VolumeSummary,
    containers: &[Container],
    held: &HashMap<String, Known>,
    sizes: &HashMap<String, u64>,
    data: &Path,
) -> Volume {
    let users: Vec<&Container> = containers
        .iter()
        .filter(|container| {
            container.volumes.iter().any(|mount| mount.kind == "volume" && mount.name == volume.name)
        })
        .collect();
    let by_label = STACK.iter().find_map(|label| volume.labels.get(*label).cloned());
    let by_user = || users.iter().find_map(|user| user.stack_info.as_ref().map(|stack| stack.name.clone()));
    let known = held.get(&volume.name);
    let backup = known.and_then(|known| known.held.clone());
    let left_out = known.and_then(|known| known.left_out.clone());
    let protection = match (&backup, &left_out) {
        (Some(held), _) if (Utc::now() - held.created).num_days() < STALE_DAYS => Protection::Protected,
        (Some(_), _) => Protection::Stale,
        (None, Some(_)) => Protection::LeftOut,
        (None, None) => Protection::Unprotected,
    };
    let is_self = holds_own_data(&volume, data);
    Volume {
        size_bytes: sizes.get(&volume.name).copied(),
        in_use: !users.is_empty(),
        stack: by_label.or_else(by_user),
        containers: users.iter().map(|user| user.name.clone()).collect(),
        browsable: volume.data.is_some() && !is_self,
        name: volume.name,
        driver: volume.driver,
        mountpoint: volume.mountpoint,
        created: volume.created,
        labels: volume.labels,
        is_self,
        protection,
        backup,
        left_out,
    }
}

/// `data` as the host names it.
fn holds_own_data(volume: &VolumeSummary, data: &Path) -> bool {
    volume.data.as_deref().is_some_and(|path| path.starts_with(data) || data.starts_with(path))
}

/// Makes a volume; what its driver is told may make it another one than an empty directory here.
pub async fn create(
    app: &App,
    actor: &Actor,
    name: &VolumeName,
    driver: &str,
    options: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> Result<()> {
    if name.as_str().len() < 2 {
        return Err(AppError::field("name", "Docker wants two characters or more."));
    }
    let wanted = json!({ "Driver": driver, "Options": options, "Labels": labels });
    let made = app.docker.create_volume(&wanted, Some(name.as_str())).await;
    let problem = made.as_ref().err().map(ToString::to_string);
    // Values may be secrets: the password of a network drive.
    let details = json!({ "driver": driver, "options": options.keys().collect::<Vec<_>>() });
    record(app, actor, "volume_create", name.as_str(), problem, details).await?;
    Ok(made?)
}

/// Deletes volumes for good. Looks at all of them before it touches the first one.
pub async fn delete(app: &App, actor: &Actor, names: &[VolumeName]) -> Result<()> {
    let volumes = get_all(app, names).await?;
    let problems: Vec<String> = volumes.iter().filter_map(refused).collect();
    if !problems.is_empty() {
        return Err(AppError::Conflict(format!("{} Nothing was deleted.", problems.join(" "))));
    }
    let mut deleted: Vec<&str> = Vec::new();
    for volume in &volumes {
        let removed = app.docker.remove_volume(&volume.name).await;
        let problem = removed.as_ref().err().map(ToString::to_string);
        record(app, actor, "volume_delete", &volume.name, problem.clone(), Value::Null).await?;
        match removed {
            Ok(()) => deleted.push(&volume.name),
            Err(error) if deleted.is_empty() => return Err(error.into()),
            Err(error) => {
                let gone = deleted.join(", ");
                return Err(AppError::Conflict(format!(
                    "{gone} {} deleted. The volume {} is still there: {error}",
                    if deleted.len() == 1 { "is" } else { "are" },
                    volume.name
                )));
            }
        }
    }
    Ok(())
}

/// Why a volume can't be deleted.
pub fn refused(volume: &Volume) -> Option<String> {
    let name = &volume.name;
    if volume.is_self {
        return Some(format!("The volume {name} holds Container Monkey's own data."));
    }
    match volume.containers.as_slice() {
        [] => None,
        [one] => Some(format!("The volume {name} is used by the container {one}. Delete that first.")),
        many => {
            Some(format!("The volume {name} is used by {}. Delete these containers first.", many.join(", ")))
        }
    }
}
