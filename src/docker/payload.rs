//! The create payload, built from the raw inspect of the old container: copied
//! field by field unless a rule says otherwise. Pure; the rules are explained
//! where they stand, each was found on engines 20.10 to 28.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    endpoints::{self, is_empty},
    plan::anonymous_in,
    podman,
};
use crate::model::{manifest::Manifest, restore::Recreate};

/// What to send.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Payload {
    /// Body of `POST /containers/create`.
    pub(super) body: Value,
    /// Networks to connect afterwards: an engine before 25 takes only one in the body.
    pub(super) connect: Vec<(String, Value)>,
    /// Networks the container is to be in at the end.
    pub(super) networks: Vec<String>,
}

/// About the engine that will create it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// Minor API version.
    pub(super) api: u32,
    /// Engine version, such as `20.10.24`.
    pub(super) version: &'a str,
}

/// Builds the payload; `image` is what to send as `Image`.
pub(super) fn payload(manifest: &Manifest, how: &Recreate, image: &str, target: Target<'_>) -> Payload {
    let source = &manifest.container;
    let mode = network_mode(manifest);
    let shared = mode.starts_with("container:");
    let own_network = !shared && mode != "host" && mode != "none";
    let mut body = config(manifest, &mode, image, target.api);
    let mut host = host_config(manifest, how, &mode, target);

    let endpoints = source["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
    let mut wanted: BTreeMap<String, Value> = BTreeMap::new();
    if own_network {
        for (name, endpoint) in &endpoints {
            wanted.insert(name.clone(), endpoints::wanted(endpoint, Some(source), target.api));
        }
    }
    let main = match mode.as_str() {
        "default" | "bridge" if wanted.contains_key(podman::BRIDGE) && !wanted.contains_key("bridge") => {
            podman::BRIDGE
        }
        "default" => "bridge",
        mode => mode,
    };
    if let Some(mac) = source["Config"]["MacAddress"].as_str().filter(|mac| !mac.is_empty())
        && own_network
    {
        if target.api < 44 {
            body.insert("MacAddress".to_owned(), json!(mac));
        } else if let Some(endpoint) = wanted.get_mut(main) {
            endpoint["MacAddress"] = json!(mac);
        }
    }
    if target.api >= 48 {
        interface_sysctls(&mut host, wanted.get_mut(main));
    }
    let networks = wanted.keys().cloned().collect();
    let mut connect = Vec::new();
    if target.api < 44 {
        // The one network of the body must be the one of NetworkMode.
        let first = wanted.remove(main);
        connect.extend(wanted);
        wanted = first.map(|endpoint| (main.to_owned(), endpoint)).into_iter().collect();
    }
    if !wanted.is_empty() {
        body.insert("NetworkingConfig".to_owned(), json!({ "EndpointsConfig": wanted }));
    }
    if own_network {
        ports(&mut host, how);
    }
    body.insert("HostConfig".to_owned(), Value::Object(host));
    Payload { body: Value::Object(body), connect, networks }
}

/// `NetworkMode` with names instead of ids.
pub(super) fn network_mode(manifest: &Manifest) -> String {
    let mode = manifest.container["HostConfig"]["NetworkMode"].as_str().unwrap_or("default");
    if let Some(network) = manifest.networks.iter().find(|network| network["Id"] == mode) {
        return network["Name"].as_str().unwrap_or(mode).to_owned();
    }
    by_name(manifest, mode)
}

/// `container:<id>` → `container:<name>`: the engine turns names into ids, and the id will be another.
pub(super) fn by_name(manifest: &Manifest, mode: &str) -> String {
    match mode.strip_prefix("container:") {
        Some(id) => format!("container:{}", container_name(manifest, id)),
        None => mode.to_owned(),
    }
}

/// `<id or name>[:options]` → `<name>[:options]`.
pub(super) fn volumes_from(manifest: &Manifest, entry: &str) -> String {
    let (id, options) = entry.split_once(':').map_or((entry, None), |(id, rest)| (id, Some(rest)));
    let name = container_name(manifest, id);
    options.map_or_else(|| name.to_owned(), |options| format!("{name}:{options}"))
}

fn container_name<'a>(manifest: &'a Manifest, id: &'a str) -> &'a str {
    manifest.engine["container_names"][id].as_str().unwrap_or(id)
}

fn config(manifest: &Manifest, mode: &str, image: &str, api: u32) -> Map<String, Value> {
    let source = &manifest.container;
    let mut config = source["Config"].as_object().cloned().unwrap_or_default();
    config.insert("Image".to_owned(), json!(image));
    config.remove("MacAddress");
    config.remove("OnBuild");
    let id = source["Id"].as_str().unwrap_or_default();
    let hostname = config.get("Hostname").and_then(Value::as_str).unwrap_or_default();
    let generated = hostname.len() == 12 && id.starts_with(hostname);
    let host = &source["HostConfig"];
    let shared = mode.starts_with("container:");
    // The engine refuses these with a shared network, and a host's network shows the old host's name.
    if generated || shared || mode == "host" || host["UTSMode"] == "host" {
        config.remove("Hostname");
    }
    if shared {
        config.remove("Domainname");
        config.remove("ExposedPorts");
    }
    // Nothing would bring the image's entry point back in front of the command; [""] clears it.
    let image_has_entrypoint = !is_empty(&manifest.image["Config"]["Entrypoint"]);
    if config.get("Entrypoint").is_none_or(Value::is_null) && image_has_entrypoint {
        config.insert("Entrypoint".to_owned(), json!([""]));
    }
    if api < 44
        && let Some(check) = config.get_mut("Healthcheck").and_then(Value::as_object_mut)
    {
        check.remove("StartInterval");
    }
    config.retain(|_, value| !value.is_null());
    config
}

fn host_config(manifest: &Manifest, how: &Recreate, mode: &str, target: Target<'_>) -> Map<String, Value> {
    let source = &manifest.container["HostConfig"];
    let mut host = source.as_object().cloned().unwrap_or_default();
    host.insert("NetworkMode".to_owned(), json!(mode));
    for field in ["IpcMode", "PidMode"] {
        if let Some(value) = source[field].as_str() {
            host.insert(field.to_owned(), json!(by_name(manifest, value)));
        }
    }
    host.remove("ContainerIDFile");
    if target.api >= 42 {
        host.remove("KernelMemory");
        host.remove("KernelMemoryTCP");
    }
    if let Some(links) = source["Links"].as_array() {
        host.insert("Links".to_owned(), links.iter().filter_map(Value::as_str).map(link).collect());
    }
    if let Some(from) = source["VolumesFrom"].as_array() {
        let from = from.iter().filter_map(Value::as_str).map(|entry| volumes_from(manifest, entry));
        host.insert("VolumesFrom".to_owned(), from.collect());
    }
    if let Some(binds) = source["Binds"].as_array() {
        let binds = binds.iter().filter_map(Value::as_str).map(|bind| rename_bind(bind, how));
        host.insert("Binds".to_owned(), binds.collect());
    }
    if let Some(mounts) = source["Mounts"].as_array() {
        host.insert(
            "Mounts".to_owned(),
            mounts.iter().map(|mount| mount_of(mount, how, target.api)).collect(),
        );
    }
    // What the engine chose itself, another engine chooses anew: an old list would undo its fixes.
    if manifest.engine["version"]["Version"] != target.version {
        for field in ["MaskedPaths", "ReadonlyPaths", "CgroupnsMode", "Runtime"] {
            if is_default(manifest, field, &source[field]) {
                host.remove(field);
            }
        }
    }
    host.retain(|_, value| !value.is_null());
    host
}

/// `/target:/self/alias` → `target:alias`.
pub(super) fn link(link: &str) -> String {
    let (target, alias) = link.split_once(':').unwrap_or((link, link));
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    format!("{}:{alias}", target.trim_start_matches('/'))
}

fn rename_bind(bind: &str, how: &Recreate) -> String {
    let (source, rest) = bind.split_once(':').unwrap_or((bind, ""));
    match how.volume_names.get(source) {
        Some(name) => format!("{name}:{rest}"),
        None => bind.to_owned(),
    }
}

/// Drops options of other mount types, which newer engines refuse.
fn mount_of(mount: &Value, how: &Recreate, api: u32) -> Value {
    let mut mount = mount.clone();
    if let Some(name) = mount["Source"].as_str().and_then(|source| how.volume_names.get(source)) {
        mount["Source"] = json!(name);
    }
    let kind = mount["Type"].as_str().unwrap_or_default().to_owned();
    if let Some(fields) = mount.as_object_mut() {
        let foreign = [
            ("BindOptions", "bind"),
            ("VolumeOptions", "volume"),
            ("TmpfsOptions", "tmpfs"),
            ("ImageOptions", "image"),
        ];
        for (field, owner) in foreign {
            if kind != owner {
                fields.remove(field);
            }
        }
        if api < 44
            && let Some(options) = fields.get_mut("BindOptions").and_then(Value::as_object_mut)
        {
            options.remove("ReadOnlyNonRecursive");
            options.remove("ReadOnlyForceRecursive");
        }
    }
    mount
}

/// What engines set where nothing is asked for. Their lists of paths only grow at the end, but for paths of
/// single processors, which differ between hosts.
pub(super) fn is_default(manifest: &Manifest, field: &str, value: &Value) -> bool {
    let list = |first: &[&str]| {
        let paths: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let further = |path: &&str| {
            ["/proc/interrupts", "/sys/devices/virtual/powercap"].contains(path)
                || path.ends_with("/thermal_throttle")
        };
        paths.len() >= first.len()
            && paths[..first.len()] == *first
            && paths[first.len()..].iter().all(further)
    };
    match field {
        "MaskedPaths" => list(&MASKED),
        "ReadonlyPaths" => list(&READONLY),
        "CgroupnsMode" => {
            let second = manifest.engine["info"]["CgroupVersion"] == "2";
            *value == if second { "private" } else { "host" }
        }
        "Runtime" => *value == "runc",
        _ => false,
    }
}

/// The lists of engine 20.10.
const MASKED: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// From 1.48 on, settings of one interface are refused here and belong to its endpoint. The first one's go
/// to the main network.
fn interface_sysctls(host: &mut Map<String, Value>, main: Option<&mut Value>) {
    let Some(sysctls) = host.get_mut("Sysctls").and_then(Value::as_object_mut) else { return };
    let mut moved = Vec::new();
    sysctls.retain(|name, value| {
        let of_interface = name.starts_with("net.") && name.contains(".eth");
        if of_interface && name.contains(".eth0.") {
            let value = value.as_str().unwrap_or_default();
            moved.push(format!("{}={value}", name.replacen(".eth0.", ".IFNAME.", 1)));
        }
        !of_interface
    });
    if let (Some(endpoint), false) = (main, moved.is_empty()) {
        endpoint["DriverOpts"]["com.docker.network.endpoint.sysctls"] = json!(moved.join(","));
    }
}

fn ports(host: &mut Map<String, Value>, how: &Recreate) {
    let Some(bindings) = host.get_mut("PortBindings").and_then(Value::as_object_mut) else { return };
    for (port, list) in bindings {
        if let Some(wanted) = how.ports.get(port) {
            // Nothing bound means any free port.
            if list.as_array().is_none_or(Vec::is_empty) {
                *list = json!([{ "HostIp": "", "HostPort": "" }]);
            }
            for binding in list.as_array_mut().into_iter().flatten() {
                binding["HostPort"] = json!(wanted);
            }
        }
    }
}

/// Anonymous volumes of the old container with where they are mounted: hash → path.
pub(super) fn anonymous(container: &Value, engine: &Value) -> Vec<(String, String)> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    mounts
        .filter(|mount| mount["Type"] == "volume")
        .filter_map(|mount| Some((mount["Name"].as_str()?, mount["Destination"].as_str()?)))
        .filter(|(name, _)| anonymous_in(container, name) && engine["owners"][*name].is_null())
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect()
}
