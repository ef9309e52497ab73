//! What is on this machine now of a container that was backed up: its settings, and where its data is.

use std::path::PathBuf;

use serde_json::Value;

use super::{host_paths, settings};
use crate::{
    app::App,
    docker::{self, Capture, DockerError, Surroundings},
    error::Result,
    model::{
        backup::Kind,
        host_path::PathKind,
        manifest::{Item, ItemKind, Manifest},
    },
    worker::place::Place,
};

/// What is there now.
pub(super) struct Present {
    /// The container as a backup of now would have it; `None` when it does not exist.
    pub(super) manifest: Option<Manifest>,
    /// Its data, and then what else the backup has of which it is known where it would be.
    pub(super) data: Vec<Data>,
}

/// A part of the data, as a backup of now would have it.
pub(super) struct Data {
    /// The part.
    pub(super) item: Item,
    /// Where it is on the host, if it is there.
    pub(super) path: Option<PathBuf>,
    /// Whether the container that exists uses it.
    pub(super) in_use: bool,
}

/// Whether there may be something to compare the backup with: the container or network itself, or one of its volumes.
pub(super) async fn may_be(app: &App, manifest: &Manifest) -> bool {
    let find = async {
        let name = &manifest.container_name;
        if manifest.kind == Kind::Network {
            return Ok(network(app, name).await?.is_some());
        }
        if matches!(app.place().await?, Place::Elsewhere(_)) {
            return Ok(false);
        }
        if container(app, manifest).await?.is_some() {
            return Ok(true);
        }
        for item in manifest.items.iter().filter(|item| item.kind == ItemKind::Volume) {
            if app.docker.volume(&item.name).await?.is_some() {
                return Ok(true);
            }
        }
        Ok::<_, DockerError>(false)
    };
    find.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "whether a backup's container is there can't be found out");
        false
    })
}

/// The network of this very name; the engine also takes the beginning of an id for one.
pub(super) async fn network(app: &App, name: &str) -> Result<Option<Value>, DockerError> {
    Ok(app.docker.network(name).await?.filter(|network| network["Name"] == name))
}

/// The container of the backup's name, or the same one under another name.
async fn container(app: &App, manifest: &Manifest) -> Result<Option<String>, DockerError> {
    let id = manifest.container["Id"].as_str().unwrap_or_default();
    for wanted in [manifest.container_name.as_str(), id].into_iter().filter(|wanted| !wanted.is_empty()) {
        if let Some((container, _)) = app.docker.container(wanted).await?
            && (container.name == manifest.container_name || container.id == id)
        {
            return Ok(Some(container.name));
        }
    }
    Ok(None)
}

/// Looks at it.
pub(super) async fn look(app: &App, manifest: &Manifest) -> Result<Present> {
    let capture = match container(app, manifest).await? {
        Some(name) => Some(app.docker.capture(&name).await?),
        None => None,
    };
    let left = Capture {
        container: manifest.container.clone(),
        image: manifest.image.clone(),
        networks: Vec::new(),
        volumes: volumes(app, manifest).await?,
        engine: app.docker.facts().await?,
    };
    let captures: Vec<&Capture> = capture.iter().chain([&left]).collect();
    let kinds = host_paths::probe(app, paths(&captures)).await?;
    let around = Surroundings { own_data: app.place().await?.data_on_host(&app.config.data), kinds };
    let mut data = capture.as_ref().map(|capture| plan(capture, &around, true)).unwrap_or_default();
    let here = manifest.server_name == settings::server_name(app).await?;
    let is_known = |item: &Item| match item.kind {
        ItemKind::Volume => true,
        // On another server the same path is something else.
        ItemKind::Bind => here,
        // Of the old container's own file system nothing is left.
        _ => false,
    };
    let of_backup = plan(&left, &around, false).into_iter().filter(|it| is_known(&it.item));
    for other in of_backup {
        if !data.iter().any(|it| it.item.kind == other.item.kind && it.item.name == other.item.name) {
            data.push(other);
        }
    }
    let manifest = capture.map(|capture| Manifest {
        container_name: capture.container["Name"]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        container: capture.container,
        image: capture.image,
        networks: capture.networks,
        volumes: capture.volumes,
        engine: capture.engine,
        ..manifest.clone()
    });
    Ok(Present { manifest, data })
}

/// The data that a backup of this would have.
fn plan(capture: &Capture, around: &Surroundings, in_use: bool) -> Vec<Data> {
    let (items, sources) = docker::plan_items(capture, around);
    let place = |item: &Item| {
        // The plan gives a volume that the engine does not know a path as well.
        let known = item.kind != ItemKind::Volume
            || capture.volumes.iter().any(|volume| volume["Name"] == item.name.as_str());
        let source = sources.iter().find(|(path, _)| *path == item.path);
        let path = source.map(|(_, path)| path.clone()).filter(|_| known);
        path.filter(|path| around.kinds.get(path) != Some(&PathKind::Missing))
    };
    let data = items.into_iter().filter(|item| !matches!(item.kind, ItemKind::Settings | ItemKind::Image));
    data.map(|item| Data { path: place(&item), item, in_use }).collect()
}

/// The backup's volumes, as far as the engine knows them.
async fn volumes(app: &App, manifest: &Manifest) -> Result<Vec<Value>> {
    let mut volumes = Vec::new();
    for item in manifest.items.iter().filter(|item| item.kind == ItemKind::Volume) {
        volumes.extend(app.docker.volume(&item.name).await?);
    }
    Ok(volumes)
}

/// Where their data is.
fn paths(captures: &[&Capture]) -> Vec<PathBuf> {
    let volumes = captures.iter().flat_map(|capture| capture.volumes.iter().filter_map(docker::data_path));
    let mut paths: Vec<PathBuf> =
        captures.iter().flat_map(|capture| docker::bind_sources(capture)).chain(volumes).collect();
    paths.sort();
    paths.dedup();
    paths
}
