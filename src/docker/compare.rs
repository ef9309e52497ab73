//! Is the new container like the one in the backup? Compares the settings of
//! both raw inspects; what an engine makes itself (ids, addresses it chose,
//! times, states) is not a setting.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    client::Docker,
    endpoints::{self, is_empty},
    error::DockerError,
    payload::{is_default, network_mode, volumes_from},
    plan::anonymous_in,
};
use crate::model::{difference::Difference, manifest::Manifest, restore::Recreate};

/// Here an empty value is not the same as none.
const EXACT: [&str; 6] = [
    "HostConfig.MaskedPaths",
    "HostConfig.ReadonlyPaths",
    "HostConfig.Init",
    "HostConfig.MemorySwappiness",
    "Config.StopTimeout",
    "HostConfig.OomKillDisable",
];

/// Only the engine's business, or compared in another way.
const IGNORED: [&str; 7] = [
    "Config.Hostname",
    "Config.Image",
    "Config.MacAddress",
    "Config.OnBuild",
    "HostConfig.ContainerIDFile",
    "HostConfig.ConsoleSize",
    "HostConfig.Links",
];

impl Docker {
    /// What differs between the backup and the container `id` that was made from it.
    pub async fn differences(
        &self,
        manifest: &Manifest,
        how: &Recreate,
        id: &str,
    ) -> Result<Vec<Difference>, DockerError> {
        let mut now = self.inspect(id).await?;
        for field in ["NetworkMode", "IpcMode", "PidMode"] {
            let mode = now["HostConfig"][field].as_str().and_then(|mode| mode.strip_prefix("container:"));
            if let Some(other) = mode {
                let name = self.inspect(other).await?["Name"].as_str().unwrap_or_default().to_owned();
                now["HostConfig"][field] = json!(format!("container:{}", name.trim_start_matches('/')));
            }
        }
        Ok(differences(manifest, how, &now))
    }
}

/// What differs between the containers of two backups, the earlier one first.
pub fn manifest_differences(before: &Manifest, after: &Manifest) -> Vec<Difference> {
    let as_it_was = |manifest: &Manifest| Recreate {
        image_id: manifest.container["Image"].as_str().unwrap_or_default().to_owned(),
        ..Recreate::default()
    };
    differences(before, &as_it_was(before), &expected(after, &as_it_was(after)))
}

fn differences(manifest: &Manifest, how: &Recreate, now: &Value) -> Vec<Difference> {
    let was = expected(manifest, how);
    let mut found = Vec::new();
    for part in ["Config", "HostConfig"] {
        let keys = |value: &Value| -> BTreeSet<String> {
            value[part].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
        };
        for key in keys(&was).union(&keys(now)) {
            let field = format!("{part}.{key}");
            // Another engine's own choice.
            let chosen = |value: &Value| is_default(manifest, key, value);
            let both = part == "HostConfig" && chosen(&was[part][key]) && chosen(&now[part][key]);
            if !IGNORED.contains(&field.as_str()) && !both {
                compare(&mut found, &field, &was[part][key], &now[part][key]);
            }
        }
    }
    compare(&mut found, "Config.Hostname", &hostname(&was), &hostname(now));
    let image = |container: &Value| json!(container["Config"]["Image"].as_str().unwrap_or_default());
    compare(&mut found, "Config.Image", &image(&was), &image(now));
    compare(&mut found, "Image", &json!(how.image_id), &now["Image"]);
    compare(&mut found, "HostConfig.Links", &links(&was), &links(now));
    compare(&mut found, "Networks", &networks(&was), &networks(now));
    compare(&mut found, "Mounts", &mounts(&was), &mounts(now));
    found
}

/// The backup's inspect with the decisions of the restore applied.
fn expected(manifest: &Manifest, how: &Recreate) -> Value {
    let mut was = manifest.container.clone();
    was["HostConfig"]["NetworkMode"] = json!(network_mode(manifest));
    for field in ["IpcMode", "PidMode"] {
        let mode = was["HostConfig"][field].as_str().and_then(|mode| mode.strip_prefix("container:"));
        if let Some(id) = mode {
            let name = manifest.engine["container_names"][id].as_str().unwrap_or(id);
            was["HostConfig"][field] = json!(format!("container:{name}"));
        }
    }
    for (port, wanted) in &how.ports {
        for binding in was["HostConfig"]["PortBindings"][port].as_array_mut().into_iter().flatten() {
            binding["HostPort"] = json!(wanted);
        }
    }
    let rename = |name: &str| how.volume_names.get(name).cloned().unwrap_or_else(|| name.to_owned());
    for bind in was["HostConfig"]["Binds"].as_array_mut().into_iter().flatten() {
        if let Some((source, rest)) = bind.as_str().and_then(|text| text.split_once(':')) {
            *bind = json!(format!("{}:{rest}", rename(source)));
        }
    }
    for mount in was["HostConfig"]["Mounts"].as_array_mut().into_iter().flatten() {
        if let Some(source) = mount["Source"].as_str() {
            mount["Source"] = json!(rename(source));
        }
    }
    for mount in was["Mounts"].as_array_mut().into_iter().flatten() {
        if let Some(name) = mount["Name"].as_str() {
            mount["Name"] = json!(rename(name));
        }
    }
    let from = was["HostConfig"]["VolumesFrom"].as_array_mut().into_iter().flatten();
    for entry in from {
        *entry = json!(volumes_from(manifest, entry.as_str().unwrap_or_default()));
    }
    was
}

/// Adds the field if its two values mean different things.
pub(super) fn compare(found: &mut Vec<Difference>, field: &str, was: &Value, now: &Value) {
    let same = was == now
        || (is_empty(was) && is_empty(now) && !EXACT.contains(&field))
        || (field == "HostConfig.NetworkMode" && default_network(was) == default_network(now))
        || (field == "HostConfig.PidsLimit" && no_limit(was) && no_limit(now))
        || (field == "HostConfig.MemorySwappiness" && unset(was) && unset(now))
        || (field == "HostConfig.OomKillDisable" && is_empty(was) && is_empty(now))
        || (field == "HostConfig.PortBindings" && bindings(was) == bindings(now))
        || unordered(field, was, now);
    if !same {
        found.push(Difference { field: field.to_owned(), was: was.clone(), now: now.clone() });
    }
}

/// `default` and `bridge` are the same network.
fn default_network(mode: &Value) -> &str {
    match mode.as_str() {
        None | Some("default" | "") => "bridge",
        Some(mode) => mode,
    }
}

/// 0, -1 and nothing: no limit.
fn no_limit(value: &Value) -> bool {
    value.is_null() || value.as_i64().is_some_and(|limit| limit <= 0)
}

/// -1 and nothing.
fn unset(value: &Value) -> bool {
    value.is_null() || value.as_i64() == Some(-1)
}

/// An empty list of bindings and one empty binding both mean any free port.
fn bindings(value: &Value) -> Value {
    let mut value = value.clone();
    for (_, list) in value.as_object_mut().into_iter().flatten() {
        if list.as_array().is_none_or(Vec::is_empty) {
            *list = json!([{ "HostIp": "", "HostPort": "" }]);
        }
    }
    value
}

/// The order of these lists means nothing.
fn unordered(field: &str, was: &Value, now: &Value) -> bool {
    let sorted = |value: &Value| {
        let mut list: Vec<String> = value.as_array()?.iter().map(Value::to_string).collect();
        list.sort();
        Some(list)
    };
    let fields = [
        "Config.Env",
        "HostConfig.CapAdd",
        "HostConfig.CapDrop",
        "HostConfig.Ulimits",
        "HostConfig.SecurityOpt",
    ];
    fields.contains(&field) && sorted(was).is_some() && sorted(was) == sorted(now)
}

/// Nothing when it was the engine's choice, or the host's name.
fn hostname(container: &Value) -> Value {
    let id = container["Id"].as_str().unwrap_or_default();
    let name = container["Config"]["Hostname"].as_str().unwrap_or_default();
    let mode = container["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    let foreign =
        mode == "host" || mode.starts_with("container:") || container["HostConfig"]["UTSMode"] == "host";
    if foreign || (name.len() == 12 && id.starts_with(name)) { Value::Null } else { json!(name) }
}

/// Sorted `target:alias`.
fn links(container: &Value) -> Value {
    let list = container["HostConfig"]["Links"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut links: Vec<String> = list
        .map(|link| {
            let (target, alias) = link.split_once(':').unwrap_or((link, link));
            format!("{}:{}", target.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or(alias))
        })
        .collect();
    links.sort();
    json!(links)
}

/// What the user asked of each network.
fn networks(container: &Value) -> Value {
    let mode = container["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
    if mode == "host" || mode == "none" || mode.starts_with("container:") {
        return Value::Null;
    }
    let mut networks = serde_json::Map::new();
    for (name, endpoint) in container["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let mut settings = endpoints::wanted(endpoint, Some(container), 51);
        let mut aliases = endpoints::aliases(endpoint, Some(container));
        aliases.sort();
        settings["Aliases"] = json!(aliases);
        networks.insert(name.clone(), settings);
    }
    networks.sort_keys();
    Value::Object(networks)
}

/// Where what is mounted and how; anonymous volumes by their path alone.
fn mounts(container: &Value) -> Value {
    let mut mounts: Vec<Value> = Vec::new();
    for mount in container["Mounts"].as_array().into_iter().flatten() {
        let name = mount["Name"].as_str().unwrap_or_default();
        let what = if mount["Type"] == "bind" {
            mount["Source"].clone()
        } else if anonymous_in(container, name) {
            json!("anonymous")
        } else {
            json!(name)
        };
        mounts.push(json!([mount["Destination"], mount["Type"], what, mount["RW"], mount["Propagation"]]));
    }
    mounts.sort_by_key(|mount| mount[0].as_str().unwrap_or_default().to_owned());
    json!(mounts)
}
