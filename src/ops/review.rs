//! What a restore would do, before it does anything: every conflict with what
//! exists on this host is found here and explained.

mod connections;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

pub use connections::{NetworkPlan, PortPlan};
use connections::{network_plan, ports};

use super::host_paths;
use crate::{
    app::App,
    docker::VolumeSummary,
    error::Result,
    model::{
        backup::{Backup, ItemState},
        container::{Container, Status},
        host_path::PathKind,
        manifest::{Item, ItemKind, Manifest},
        network::Network,
        restore::{Options, VolumeAction, VolumeChoice},
    },
};

/// What a restore with these decisions would do.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// Name the container will have.
    pub name: String,
    /// A container of that name exists: its id and state word.
    pub existing_container: Option<(String, String)>,
    /// A name for it that is not taken.
    pub free_name: String,
    /// Volumes and binds, in the manifest's order.
    pub data: Vec<DataPlan>,
    /// Bytes that the container had changed in its own file system, if the backup has them.
    pub layer: Option<u64>,
    /// Published ports with what holds them.
    pub ports: Vec<PortPlan>,
    /// Networks.
    pub networks: Vec<NetworkPlan>,
    /// The image.
    pub image: ImagePlan,
    /// Whether it will be started.
    pub start: bool,
    /// Things that stop the restore until they are decided.
    pub conflicts: Vec<Conflict>,
    /// Things worth knowing.
    pub warnings: Vec<String>,
}

/// One volume or bind.
#[derive(Debug, Clone, Serialize)]
pub struct DataPlan {
    /// Path inside the backup.
    pub path: String,
    /// `volume` or `bind`.
    pub kind: &'static str,
    /// Volume name or host path in the backup.
    pub name: String,
    /// Where the container sees it.
    pub destination: String,
    /// It exists on this host (binds: exists and is not an empty directory).
    pub exists: bool,
    /// Containers that use it now.
    pub used_by: Vec<String>,
    /// create, overwrite, new, skip, or ask.
    pub action: &'static str,
    /// Name it will have.
    pub target: String,
    /// Bytes in the backup.
    pub bytes: u64,
    /// Why it is not in the backup, if so.
    pub missing: Option<String>,
    /// It is not in the backup although it should be.
    pub failed: bool,
    /// An anonymous volume: the new container makes its own.
    pub anonymous: bool,
    /// The host path that a bind, or a volume that points elsewhere, needs and that is not there.
    #[serde(skip)]
    pub absent: Option<PathBuf>,
}

impl DataPlan {
    /// For people.
    pub fn what(&self) -> &'static str {
        if self.kind == "volume" { "Volume" } else { "Host path" }
    }
}

/// The image.
#[derive(Debug, Clone, Serialize)]
pub struct ImagePlan {
    /// As the user gave it.
    pub reference: String,
    /// `sha256:…`.
    pub id: String,
    /// This engine has it.
    pub present: bool,
    /// The backup has it.
    pub in_backup: bool,
}

/// Something that must be decided first.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    /// `name_conflict`, `volume_conflict`, `port_conflict`, `network_conflict`, `image_missing`.
    pub status: &'static str,
    /// The sentence.
    pub message: String,
}

/// What exists on this host.
struct Host {
    containers: Vec<Container>,
    volumes: Vec<VolumeSummary>,
    networks: Vec<Network>,
    /// What the paths are that the container wants to mount.
    kinds: BTreeMap<PathBuf, PathKind>,
}

impl Host {
    async fn look(app: &App, manifest: &Manifest) -> Result<Self> {
        let paths = manifest.items.iter().filter(|item| item.left_out.is_none());
        let paths = paths.filter_map(|item| host_path(manifest, item)).collect();
        let (containers, volumes, networks, kinds) = tokio::join!(
            app.docker.containers(),
            app.docker.volumes(),
            app.docker.networks(),
            host_paths::probe(app, paths)
        );
        Ok(Self { containers: containers?, volumes: volumes?, networks: networks?, kinds: kinds? })
    }

    /// Whether something would be lost if the path were replaced.
    fn is_filled(&self, path: &Path) -> bool {
        self.kinds.get(path).is_some_and(|kind| kind.is_filled())
    }
}

/// The path of the host that a bind, or a volume that points elsewhere, is.
fn host_path(manifest: &Manifest, item: &Item) -> Option<PathBuf> {
    match item.kind {
        ItemKind::Bind => Some(PathBuf::from(&item.name)),
        ItemKind::Volume => {
            let inspect = manifest.volumes.iter().find(|volume| volume["Name"] == item.name.as_str())?;
            crate::docker::bind_device(inspect)
        }
        ItemKind::Settings | ItemKind::Image | ItemKind::Layer => None,
    }
}

/// Works out what a restore would do.
pub async fn review(app: &App, backup: &Backup, manifest: &Manifest, options: &Options) -> Result<Review> {
    let host = Host::look(app, manifest).await?;
    let name = options.new_name.as_ref().map_or_else(|| manifest.container_name.clone(), ToString::to_string);
    let existing = host.containers.iter().find(|container| container.name == name);
    let mut conflicts = Vec::new();
    let mut warnings = Vec::new();
    if let Some(existing) = existing {
        let removes_itself = options.replace
            && existing.status != Status::Created
            && app.docker.inspect(&existing.id).await?["HostConfig"]["AutoRemove"] == true;
        name_conflict(existing, options.replace, removes_itself, &mut conflicts);
    }
    let data: Vec<_> =
        manifest.items.iter().filter_map(|item| data_plan(&host, backup, manifest, options, item)).collect();
    data_conflicts(&data, &name, &mut conflicts, &mut warnings);
    let replaced = existing.filter(|_| options.replace).map(|container| container.id.as_str());
    let ports = ports(&host, manifest, options, replaced);
    for port in &ports {
        if let Some(holder) = &port.taken_by {
            conflicts.push(Conflict {
                status: "port_conflict",
                message: format!("Port {} is taken by {holder}. Choose another one.", port.host_port),
            });
        }
    }
    let networks = manifest.networks.iter().map(|network| network_plan(&host, manifest, network)).collect();
    for network in &networks {
        let network: &NetworkPlan = network;
        if let (true, Some(problem)) = (network.action == "conflict", &network.problem) {
            conflicts.push(Conflict { status: "network_conflict", message: problem.clone() });
        }
    }
    let image = image_plan(app, backup, manifest).await?;
    if !image.present && !image.in_backup {
        conflicts.push(Conflict {
            status: "image_missing",
            message: format!(
                "The image {} is neither on this host nor in the backup. Load or pull it, then try again.",
                image.reference
            ),
        });
    }
    let state = &manifest.container["State"];
    let ran = state["Running"].as_bool() == Some(true) || state["Restarting"].as_bool() == Some(true);
    let taken = |candidate: &str| host.containers.iter().any(|other| other.name == candidate);
    Ok(Review {
        free_name: unused(&format!("{}-restored", manifest.container_name), taken),
        existing_container: existing.map(|c| (c.id.clone(), c.status.to_string())),
        start: options.start.unwrap_or(ran),
        layer: layer(backup, manifest),
        name,
        data,
        ports,
        networks,
        image,
        conflicts,
        warnings,
    })
}

fn layer(backup: &Backup, manifest: &Manifest) -> Option<u64> {
    let item = manifest.items.iter().find(|item| item.kind == ItemKind::Layer && item.left_out.is_none())?;
    let outcome = backup.meta.items.iter().find(|outcome| outcome.path == item.path)?;
    (outcome.state != ItemState::Failed).then_some(outcome.bytes)
}

fn name_conflict(existing: &Container, replace: bool, removes_itself: bool, conflicts: &mut Vec<Conflict>) {
    let message = if existing.is_self {
        "This is the container Container Monkey runs in; it can't be replaced from here.".to_owned()
    } else if removes_itself {
        // It could not be kept until the new one runs.
        format!(
            "{} was started with --rm: Docker deletes it as soon as it stops. Stop it yourself first, or give a new \
             name.",
            existing.name
        )
    } else if replace {
        return;
    } else {
        format!("A container named {} exists. Replace it, or give a new name.", existing.name)
    };
    conflicts.push(Conflict { status: "name_conflict", message });
}

fn data_plan(
    host: &Host,
    backup: &Backup,
    manifest: &Manifest,
    options: &Options,
    item: &Item,
) -> Option<DataPlan> {
    let kind = match item.kind {
        ItemKind::Volume => "volume",
        ItemKind::Bind => "bind",
        ItemKind::Settings | ItemKind::Image | ItemKind::Layer => return None,
    };
    let outcome = backup.meta.items.iter().find(|outcome| outcome.path == item.path);
    let missing = match (&item.left_out, outcome) {
        (Some(why), _) => Some(why.clone()),
        (None, Some(outcome)) if outcome.state == ItemState::Failed => Some(outcome.message.clone()),
        _ => None,
    };
    let anonymous = kind == "volume" && crate::docker::is_anonymous(manifest, &item.name);
    let path = host_path(manifest, item);
    let borrowed = (kind == "volume").then(|| borrowed(host, manifest, &item.name)).flatten();
    let exists = if kind == "volume" {
        let known = host.volumes.iter().any(|volume| volume.name == item.name);
        borrowed.is_some()
            || (!anonymous && (known || path.as_ref().is_some_and(|path| host.is_filled(path))))
    } else {
        path.as_ref().is_some_and(|path| host.is_filled(path))
    };
    let absent = path.filter(|path| host.kinds.get(path) == Some(&PathKind::Missing));
    let live = borrowed.as_ref().unwrap_or(&item.name);
    let used_by = host
        .containers
        .iter()
        .filter(|container| container.volumes.iter().any(|mount| mount.name == *live))
        .map(|container| container.name.clone())
        .collect();
    let choice = options.volumes.iter().find(|choice| choice.name == item.name);
    let renamable = kind == "volume" && borrowed.is_none();
    let (action, target) = decide(host, options, choice, item, renamable, exists, missing.is_some());
    let (action, target) = match borrowed {
        // Whoever mounts another's volume under another name goes on sharing it.
        Some(live) if action == "ask" && options.new_name.is_some() => ("skip", live),
        Some(live) => (action, live),
        None => (action, target),
    };
    // A new volume never fills one that exists.
    let taken = action == "new" && host.volumes.iter().any(|volume| volume.name == target);
    let action = if taken { "ask" } else { action };
    Some(DataPlan {
        path: item.path.clone(),
        kind,
        name: item.name.clone(),
        destination: item.destination.clone().unwrap_or_default(),
        exists,
        used_by,
        action,
        target,
        bytes: outcome.map_or(0, |outcome| outcome.bytes),
        failed: missing.is_some() && item.left_out.is_none(),
        missing,
        anonymous,
        absent,
    })
}

/// What another container's anonymous volume is called now, if this one borrows it.
fn borrowed(host: &Host, manifest: &Manifest, name: &str) -> Option<String> {
    let (owner, path) = crate::docker::owner(manifest, name)?;
    let owner = host.containers.iter().find(|container| container.name == owner)?;
    owner.volumes.iter().find(|mount| mount.destination == path).map(|mount| mount.name.clone())
}

fn decide(
    host: &Host,
    options: &Options,
    choice: Option<&VolumeChoice>,
    item: &Item,
    volume: bool,
    exists: bool,
    missing: bool,
) -> (&'static str, String) {
    let same = item.name.clone();
    if missing {
        // Nothing to bring back: an existing one is mounted as it is, else Docker makes it empty.
        return (if exists { "skip" } else { "create" }, same);
    }
    if !exists && choice.is_none_or(|choice| choice.action != VolumeAction::New) {
        return ("create", same);
    }
    match choice.map(|choice| choice.action) {
        Some(VolumeAction::Overwrite) => ("overwrite", same),
        Some(VolumeAction::Skip) => ("skip", same),
        Some(VolumeAction::New) if volume => {
            let given = choice.and_then(|choice| choice.new_name.as_ref()).map(ToString::to_string);
            ("new", given.unwrap_or_else(|| free_name(host, options, &item.name)))
        }
        Some(VolumeAction::New) => ("ask", same),
        // Under another name the live container's data is never touched unless it is said.
        None if options.new_name.is_some() && volume && options.overwrite_volumes.is_none() => {
            ("new", free_name(host, options, &item.name))
        }
        None => match options.overwrite_volumes {
            Some(true) => ("overwrite", same),
            Some(false) => ("skip", same),
            None => ("ask", same),
        },
    }
}

/// A volume name that is not taken.
fn free_name(host: &Host, options: &Options, name: &str) -> String {
    let suffix = options.new_name.as_ref().map_or("restored", |name| name.as_str());
    let taken = |candidate: &str| host.volumes.iter().any(|volume| volume.name == candidate);
    unused(&format!("{name}-{suffix}"), taken)
}

/// The name, or the first numbered one that is not taken.
pub(super) fn unused(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|candidate| !taken(candidate)).unwrap_or_default()
}

fn data_conflicts(data: &[DataPlan], name: &str, conflicts: &mut Vec<Conflict>, warnings: &mut Vec<String>) {
    let asked: Vec<_> =
        data.iter().filter(|plan| plan.action == "ask").map(|plan| plan.target.as_str()).collect();
    if !asked.is_empty() {
        conflicts.push(Conflict {
            status: "volume_conflict",
            message: format!(
                "Data is already there: {}. Decide whether to overwrite it, keep it, or use a new volume.",
                asked.join(", ")
            ),
        });
    }
    for plan in data {
        if plan.action == "new" && data.iter().any(|other| other.name == plan.target) {
            conflicts.push(Conflict {
                status: "volume_conflict",
                message: format!(
                    "The volume {} can't become {}: that one is part of the backup.",
                    plan.name, plan.target
                ),
            });
        }
        if let Some(why) = &plan.missing {
            warnings.push(format!("{} is not in the backup: {why}", plan.name));
        }
        let others: Vec<_> = plan.used_by.iter().filter(|user| *user != name).map(String::as_str).collect();
        if plan.action == "overwrite" && !others.is_empty() {
            warnings.push(format!(
                "{} is also used by {}, which is stopped meanwhile.",
                plan.name,
                others.join(", ")
            ));
        }
    }
}

async fn image_plan(app: &App, backup: &Backup, manifest: &Manifest) -> Result<ImagePlan> {
    let id = manifest.container["Image"].as_str().unwrap_or_default().to_owned();
    let present = app.docker.image(&id).await?.is_some();
    let reference = manifest.container["Config"]["Image"].as_str().unwrap_or_default().to_owned();
    Ok(ImagePlan { reference, id, present, in_backup: !backup.meta.image_id.is_empty() })
}
