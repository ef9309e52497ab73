//! Restores of one file or folder out of a backup: review what one would do, request it.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Actor,
    backups::{self, Preview},
    files::{self, Source},
    restores,
    review::Conflict,
    volumes,
};
use crate::{
    app::App,
    docker,
    error::{AppError, Result},
    model::{
        backup::Kind,
        container::{Container, Status},
        files::{Entry, InnerPath, Measure, encode, shown},
        manifest::{Item, ItemKind, Manifest},
        names::BackupRef,
        restore::{FileOptions, FilePlace},
        run::{FileRestoreRequest, Request, Run},
        volume::Volume,
    },
    worker::order::{Answer, FailureKind, Task, is_file},
};

/// What the restore of a file or folder would do.
#[derive(Debug, Clone, Serialize)]
pub struct FileReview {
    /// The file or folder in the backup, with a leading slash.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// How much it is.
    pub measure: Measure,
    /// Where it was.
    pub origin: Target,
    /// Where it goes; `None` when that is not on this host.
    pub target: Option<Target>,
    /// What is there now.
    pub present: Option<Entry>,
    /// Containers that use the target.
    pub used_by: Vec<User>,
    /// Whether those that run are stopped meanwhile.
    pub stop: bool,
    /// What is there stays beside it.
    pub keep: bool,
    /// What is in the way.
    pub conflicts: Vec<Conflict>,
    /// Volumes that it can go into.
    pub volumes: Vec<String>,
}

impl FileReview {
    /// Whether a container that can be stopped runs.
    pub fn is_in_use(&self) -> bool {
        self.used_by.iter().any(User::can_stop)
    }
}

/// A volume or host path, and a file or folder in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// `volume` or `bind`.
    pub kind: &'static str,
    /// The volume's name, or the host path.
    pub name: String,
    /// Path inside of it, with a leading slash; empty when the host path is the file itself.
    pub path: String,
}

impl Target {
    /// For people.
    pub fn words(&self) -> String {
        let what = if self.kind == "volume" { "volume" } else { "host path" };
        match self.path.as_str() {
            "" => format!("{what} {}", self.name),
            path => format!("{what} {}, {}", self.name, shown(path)),
        }
    }
}

/// A container that uses the target.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// Its id.
    #[serde(skip)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// It is the program's own, which is never stopped.
    pub is_self: bool,
}

impl User {
    const fn can_stop(&self) -> bool {
        self.running && !self.is_self
    }
}

/// A review with what it is about.
pub struct Planned {
    /// The backup.
    pub preview: Preview,
    /// What would happen.
    pub review: FileReview,
    /// Where it goes, for the worker.
    pub(super) place: Option<FilePlace>,
    /// The containers, as they were.
    pub(super) containers: Vec<Container>,
}

/// The item that a path in a backup belongs to, if it can be restored by itself: what is inside of a volume or a host
/// path, or a host path that is a file.
fn item_of<'a>(manifest: &'a Manifest, path: &InnerPath) -> Result<&'a Item> {
    let refuse = |text: String| Err(AppError::Impossible(text));
    let inside = |item: &&Item| {
        path.as_str().strip_prefix(&item.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let Some(item) = manifest.items.iter().find(inside) else {
        return refuse(
            "This is not a file or folder of a volume or host path. The backup's own folders come back with a whole \
             restore."
                .to_owned(),
        );
    };
    match item.kind {
        ItemKind::Volume | ItemKind::Bind if path.as_str() != item.path || is_file(&item.path) => Ok(item),
        ItemKind::Volume | ItemKind::Bind => refuse(format!(
            "This is all of {}. Restore the backup to bring it back, or choose a file or folder in it.",
            item.name
        )),
        ItemKind::Layer => refuse(
            "What the container changed in its own file system comes back with a whole restore. Single files of it can \
             be downloaded."
                .to_owned(),
        ),
        ItemKind::Settings | ItemKind::Image => refuse(
            "Settings and image come back with a whole restore. Their files can be downloaded.".to_owned(),
        ),
    }
}

/// Whether a path of a backup can be restored by itself, as far as its form says.
pub fn is_restorable(path: &InnerPath) -> bool {
    let names: Vec<&str> = path.as_str().split('/').collect();
    names.len() > 3 && ["volumes", "binds"].contains(&names[1])
}

/// Where an item's file was.
fn origin(item: &Item, path: &InnerPath) -> Target {
    let inner = path.as_str().strip_prefix(&item.path).unwrap_or_default().to_owned();
    let kind = if item.kind == ItemKind::Volume { "volume" } else { "bind" };
    Target { kind, name: item.name.clone(), path: inner }
}

/// What a restore would do.
pub async fn review(app: &App, id: &BackupRef, options: &FileOptions) -> Result<Planned> {
    let preview = restores::readable(app, id, Kind::Container).await?;
    let path = &options.path;
    let item = item_of(&preview.manifest, path)?;
    let origin = origin(item, path);
    let (entry, measure) = files::measure(app, Source::Backup(&preview.backup), path).await?;
    let (containers, volumes) = tokio::try_join!(containers(app), volumes::list(app))?;
    let wanted = match &options.volume {
        None => origin.clone(),
        Some(volume) => Target {
            kind: "volume",
            name: volume.to_string(),
            path: options.folder.join(path.name()).absolute(),
        },
    };
    let mut conflicts = Vec::new();
    let place = match place(app, &wanted, &volumes, path.name()).await? {
        Ok(place) => Some(place),
        Err(conflict) => {
            conflicts.push(conflict);
            None
        }
    };
    let present = match &place {
        Some(place) => look(app, place, &mut conflicts).await?,
        None => None,
    };
    let used_by: Vec<User> = if place.is_some() { users(&containers, &wanted) } else { Vec::new() };
    let review = FileReview {
        path: path.absolute(),
        entry,
        measure,
        origin,
        target: place.is_some().then_some(wanted),
        present,
        stop: options.stop.unwrap_or(true) && used_by.iter().any(User::can_stop),
        used_by,
        keep: options.keep,
        conflicts,
        volumes: volumes.into_iter().filter(|it| it.browsable).map(|it| it.name).collect(),
    };
    Ok(Planned { preview, review, place, containers })
}

async fn containers(app: &App) -> Result<Vec<Container>> {
    Ok(app.docker.containers().await?)
}

/// The directory of the host that is written in, or why there is none.
async fn place(
    app: &App,
    target: &Target,
    volumes: &[Volume],
    name: &str,
) -> Result<std::result::Result<FilePlace, Conflict>> {
    let conflict = |status, message| Ok(Err(Conflict { status, message }));
    let own = || {
        let text = "This is where Container Monkey keeps its own data and the vault. Choose another place.";
        conflict("own_data", text.to_owned())
    };
    let inner =
        InnerPath::try_from(target.path.clone()).map_err(|error| AppError::invalid(error.to_string()))?;
    let (root, inner) = if target.kind == "volume" {
        let Some(volume) = volumes.iter().find(|volume| volume.name == target.name) else {
            let text = format!("The volume {} is not on this host. Choose another one.", target.name);
            return conflict("target_missing", text);
        };
        if volume.is_self {
            return own();
        }
        let inspect = app.docker.volume(&volume.name).await?;
        let Some(root) = inspect.as_ref().and_then(docker::data_path) else {
            let text = format!(
                "The files of {} are not on this machine: its driver {} keeps them elsewhere. Choose another volume.",
                volume.name, volume.driver
            );
            return conflict("target_elsewhere", text);
        };
        (root, inner)
    } else {
        // The source may be a link; it stays one.
        let path = std::fs::canonicalize(&target.name).unwrap_or_else(|_| PathBuf::from(&target.name));
        match path.parent() {
            // The host path is the file itself.
            Some(parent) if inner.is_root() => {
                (parent.to_owned(), InnerPath::default().join(&last(&path, name)))
            }
            _ => (path, inner),
        }
    };
    let data = app.place().await?.data_on_host(&app.config.data);
    let (folder, name) = (inner.parent().unwrap_or_default(), inner.name().to_owned());
    let whole = root.join(OsStr::from_bytes(&inner.bytes()));
    if whole.starts_with(&data) || data.starts_with(&whole) {
        return own();
    }
    Ok(Ok(FilePlace { root, folder, name, kept: None }))
}

/// The name that a path ends with, encoded.
fn last(path: &Path, otherwise: &str) -> String {
    let name = path.file_name().map(|name| encode(name.as_bytes()));
    name.unwrap_or_else(|| otherwise.to_owned())
}

/// What is there now. What can't be replaced is a conflict.
async fn look(app: &App, place: &FilePlace, conflicts: &mut Vec<Conflict>) -> Result<Option<Entry>> {
    match app.ask_worker(Task::LookAtPlace { to: place.clone() }).await {
        Ok(Answer::There(present)) => Ok(present),
        Ok(_) => Err(super::vaults::unexpected().into()),
        Err(failure) if failure.kind == FailureKind::Other => {
            conflicts.push(Conflict { status: "target_conflict", message: failure.message });
            Ok(None)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Containers that use the volume, or a host path that is, holds or is in the target's.
fn users(containers: &[Container], target: &Target) -> Vec<User> {
    let (volume, wanted) = (target.kind == "volume", Path::new(&target.name));
    let overlaps = |mounted: &Path| mounted.starts_with(wanted) || wanted.starts_with(mounted);
    let uses = |container: &&Container| {
        container.volumes.iter().any(|mount| {
            if volume {
                mount.kind == "volume" && mount.name == target.name
            } else {
                mount.kind == "bind" && overlaps(Path::new(&mount.name))
            }
        })
    };
    containers
        .iter()
        .filter(uses)
        .map(|container| User {
            id: container.id.clone(),
            name: container.name.clone(),
            running: matches!(container.status, Status::Running | Status::Restarting),
            is_self: container.is_self,
        })
        .collect()
}

/// Puts a restore into the queue; conflicts are refused before anything is touched.
pub async fn request(app: &App, actor: &Actor, id: &BackupRef, options: FileOptions) -> Result<Run> {
    let planned = review(app, id, &options).await?;
    restores::refuse_unfinished(&planned.preview)?;
    refuse(&planned.review)?;
    let backup = planned.preview.backup;
    let request = FileRestoreRequest { backup: backup.reference(), options };
    let run = backups::new_run(actor, backup.meta.container, Request::RestoreFile(request));
    backups::enqueue(app, actor, run).await
}

pub(super) fn refuse(review: &FileReview) -> Result<()> {
    match review.conflicts.first() {
        None => Ok(()),
        Some(conflict) => Err(AppError::RestoreConflict {
            status: conflict.status,
            message: conflict.message.clone(),
            existing_volumes: Vec::new(),
        }),
    }
}
