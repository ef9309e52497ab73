//! What of a container is backed up: every item, and why one is left out.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{capture::Capture, layer::layer_path, volumes::data_path};
use crate::model::{
    host_path::PathKind,
    manifest::{IMAGE_DIR, Item, ItemKind, Manifest},
};

/// Host directories that are never data: archiving them would take the whole host, or the kernel's files.
const NEVER: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/boot"];

/// Host files that only tell the container about the host.
const HOST_FILES: [&str; 4] = ["/etc/localtime", "/etc/timezone", "/etc/resolv.conf", "/etc/machine-id"];

/// What must be known of the host to plan a backup.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The program's own data directory on the host, which is never backed up into itself.
    pub own_data: PathBuf,
    /// What the sources of bind mounts are.
    pub kinds: BTreeMap<PathBuf, PathKind>,
}

/// Sources of a container's bind mounts.
pub fn bind_sources(capture: &Capture) -> Vec<PathBuf> {
    let mounts = capture.container["Mounts"].as_array().into_iter().flatten();
    let binds = mounts.filter(|mount| mount["Type"] == "bind");
    let mut sources: Vec<_> = binds.filter_map(|mount| mount["Source"].as_str()).map(PathBuf::from).collect();
    sources.sort();
    sources.dedup();
    sources
}

/// The items of a backup and where the data of each is: item path and host path.
pub fn plan_items(capture: &Capture, around: &Surroundings) -> (Vec<Item>, Vec<(String, PathBuf)>) {
    let container = &capture.container;
    let name = container["Name"].as_str().unwrap_or_default().trim_start_matches('/');
    let image_name = container["Config"]["Image"].as_str().unwrap_or_default();
    let mut items = vec![
        Item {
            kind: ItemKind::Settings,
            name: "Settings".to_owned(),
            path: format!("{name}/backup.json"),
            destination: None,
            left_out: None,
        },
        Item {
            kind: ItemKind::Image,
            name: image_name.to_owned(),
            path: IMAGE_DIR.to_owned(),
            destination: None,
            left_out: None,
        },
    ];
    let mut sources = Vec::new();
    let mut seen = HashSet::new();
    let mut mounts: Vec<&Value> = container["Mounts"].as_array().into_iter().flatten().collect();
    mounts.sort_by_key(|mount| mount["Destination"].as_str().unwrap_or_default().to_owned());
    let docker_root = capture.engine["info"]["DockerRootDir"].as_str().unwrap_or("/var/lib/docker");
    let docker_root = Path::new(docker_root);
    let mut binds = 0;
    for mount in mounts {
        let destination = mount["Destination"].as_str().map(str::to_owned);
        match mount["Type"].as_str() {
            Some("volume") => {
                let volume = mount["Name"].as_str().unwrap_or_default();
                if seen.insert(volume.to_owned()) {
                    let (item, source) = volume_item(capture, name, volume, destination, around);
                    sources.extend(source.map(|path| (item.path.clone(), path)));
                    items.push(item);
                }
            }
            Some("bind") => {
                let host = mount["Source"].as_str().unwrap_or_default();
                if seen.insert(host.to_owned()) {
                    let (item, source) = bind_item(name, binds, host, destination, around, docker_root);
                    binds += 1;
                    sources.extend(source.map(|path| (item.path.clone(), path)));
                    items.push(item);
                }
            }
            // tmpfs and named pipes hold nothing that lasts.
            _ => {}
        }
    }
    let (item, source) = layer_item(capture, name);
    sources.extend(source.map(|path| (item.path.clone(), path)));
    items.push(item);
    (items, sources)
}

fn layer_item(capture: &Capture, name: &str) -> (Item, Option<PathBuf>) {
    let place = if capture.image.is_null() {
        Err("its image is gone: the whole file system is in the image that is saved instead".to_owned())
    } else {
        layer_path(&capture.container)
    };
    let item = Item {
        kind: ItemKind::Layer,
        name: "Changes in its own file system".to_owned(),
        path: format!("{name}/layer"),
        destination: None,
        left_out: place.as_ref().err().cloned(),
    };
    (item, place.ok())
}

fn volume_item(
    capture: &Capture,
    container: &str,
    volume: &str,
    destination: Option<String>,
    around: &Surroundings,
) -> (Item, Option<PathBuf>) {
    let inspect = capture.volumes.iter().find(|inspect| inspect["Name"] == volume);
    let source = inspect.and_then(data_path);
    let left_out = match (inspect, &source) {
        (None, _) => None,
        (Some(inspect), None) => Some(elsewhere(inspect)),
        (_, Some(path)) if touches(path, &around.own_data) => {
            Some("it holds Container Monkey's own data, with the vault in it".to_owned())
        }
        _ => None,
    };
    let item = Item {
        kind: ItemKind::Volume,
        name: volume.to_owned(),
        path: format!("{container}/volumes/{volume}"),
        destination,
        left_out: left_out.clone(),
    };
    // A volume that the engine does not know any more keeps its place, so that the backup says it failed.
    let source =
        source.or_else(|| inspect.is_none().then(|| PathBuf::from("/var/lib/docker/volumes").join(volume)));
    (item, source.filter(|_| left_out.is_none()))
}

/// Never prints the options: they may hold passwords.
fn elsewhere(inspect: &Value) -> String {
    let driver = inspect["Driver"].as_str().unwrap_or_default();
    match inspect["Options"]["type"].as_str() {
        Some("tmpfs") => "it lives in memory only".to_owned(),
        Some(kind) if driver == "local" => format!("its data is elsewhere ({kind})"),
        _ => format!("its driver {driver} keeps the data elsewhere"),
    }
}

fn bind_item(
    container: &str,
    index: usize,
    host: &str,
    destination: Option<String>,
    around: &Surroundings,
    docker_root: &Path,
) -> (Item, Option<PathBuf>) {
    let path = Path::new(host);
    let left_out = not_data(path, around, docker_root);
    let file = around.kinds.get(path).is_some_and(|kind| kind.is_file());
    let item_path = match path.file_name() {
        // A single file stands in a directory of its own, under its own name.
        Some(name) if file => format!("{container}/binds/{index}/{}", name.to_string_lossy()),
        _ => format!("{container}/binds/{index}"),
    };
    let item = Item {
        kind: ItemKind::Bind,
        name: host.to_owned(),
        path: item_path,
        destination,
        left_out: left_out.clone(),
    };
    (item, left_out.is_none().then(|| path.to_owned()))
}

fn not_data(path: &Path, around: &Surroundings, docker_root: &Path) -> Option<String> {
    let text = path.to_string_lossy();
    if path == Path::new("/") {
        return Some("it is the whole host".to_owned());
    }
    if HOST_FILES.contains(&text.as_ref()) {
        return Some("it belongs to the host".to_owned());
    }
    // The kind of file first: a socket under /run is best called a socket.
    match around.kinds.get(path) {
        Some(PathKind::Socket) => return Some("it is a socket".to_owned()),
        Some(PathKind::Special) => return Some("it is a device or pipe".to_owned()),
        _ => {}
    }
    if NEVER.iter().any(|never| path.starts_with(never)) {
        return Some("it belongs to the host's system".to_owned());
    }
    if path.starts_with(docker_root) || docker_root.starts_with(path) {
        return Some("it is Docker's own directory".to_owned());
    }
    touches(path, &around.own_data)
        .then(|| "it holds Container Monkey's own data, with the vault in it".to_owned())
}

fn touches(path: &Path, own_data: &Path) -> bool {
    path.starts_with(own_data) || own_data.starts_with(path)
}

/// Whether a volume of a backup is anonymous: mounted, but named in none of the container's settings.
/// The new container makes its own, so that `docker rm -v` still removes it.
pub fn is_anonymous(manifest: &Manifest, volume: &str) -> bool {
    anonymous_in(&manifest.container, volume) && owner(manifest, volume).is_none()
}

/// The container, and its mount's path, whose anonymous volume this one borrows.
pub fn owner<'a>(manifest: &'a Manifest, volume: &str) -> Option<(&'a str, &'a str)> {
    let owner = &manifest.engine["owners"][volume];
    Some((owner["container"].as_str()?, owner["path"].as_str()?))
}

pub(super) fn anonymous_in(container: &Value, volume: &str) -> bool {
    let hash = volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit());
    let host = &container["HostConfig"];
    let in_binds = host["Binds"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|bind| bind.split(':').next() == Some(volume));
    let in_mounts = host["Mounts"].as_array().into_iter().flatten().any(|mount| mount["Source"] == volume);
    hash && !in_binds && !in_mounts
}
