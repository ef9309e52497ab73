//! The compose file.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{
    joined, main_network,
    settings::{duration, seccomp_profile, settings, words},
};
use crate::{
    docker::{networks::is_built_in, plan::is_anonymous},
    model::manifest::Manifest,
};

/// The compose file, with its networks and volumes as external ones.
pub(super) fn compose_file(manifest: &Manifest) -> String {
    let (container, name) = (&manifest.container, &manifest.container_name);
    let config = &container["Config"];
    let service = config["Labels"]["com.docker.compose.service"].as_str().unwrap_or(name);
    let mut body = Map::new();
    body.insert("image".to_owned(), config["Image"].clone());
    body.insert("container_name".to_owned(), json!(name));
    for setting in settings(manifest).into_iter().filter(|setting| !setting.key.is_empty()) {
        match (body.get_mut(setting.key), setting.value) {
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (_, value) => drop(body.insert(setting.key.to_owned(), value)),
        }
    }
    let image = &manifest.image["Config"];
    let entrypoint = words(&config["Entrypoint"]);
    let other_entrypoint = entrypoint != words(&image["Entrypoint"]);
    if other_entrypoint {
        body.insert("entrypoint".to_owned(), json!(entrypoint));
    }
    if (other_entrypoint || config["Cmd"] != image["Cmd"]) && config["Cmd"].is_array() {
        body.insert("command".to_owned(), config["Cmd"].clone());
    }
    if let Some(seconds) = config["StopTimeout"].as_i64() {
        body.insert("stop_grace_period".to_owned(), json!(format!("{seconds}s")));
    }
    if config["Healthcheck"] != image["Healthcheck"] {
        body.insert("healthcheck".to_owned(), health(&config["Healthcheck"]));
    }
    of_host(&container["HostConfig"], &mut body);
    let networks = of_networks(manifest, &mut body);
    let volumes = external(
        manifest
            .volumes
            .iter()
            .filter_map(|volume| volume["Name"].as_str())
            .filter(|volume| !is_anonymous(manifest, volume)),
    );
    let mut file = Map::new();
    file.insert("services".to_owned(), json!({ service: body }));
    for (key, section) in [("networks", networks), ("volumes", volumes)] {
        if !section.is_empty() {
            file.insert(key.to_owned(), Value::Object(section));
        }
    }
    let mut out = String::new();
    if let Some(profile) = seccomp_profile(container) {
        // Compose takes it from a file only.
        let _ = writeln!(out, "# Save this as seccomp.json: {}", profile.replace('\n', " "));
    }
    write(&mut out, &Value::Object(file), 0);
    out
}

fn external<'a>(names: impl Iterator<Item = &'a str>) -> Map<String, Value> {
    // Its own name is said again: compose would put the project's in front.
    names.map(|name| (name.to_owned(), json!({ "external": true, "name": name }))).collect()
}

fn of_networks(manifest: &Manifest, body: &mut Map<String, Value>) -> Map<String, Value> {
    let main = main_network(manifest);
    let joined = joined(manifest);
    let own: Vec<_> = joined.iter().filter(|network| !is_built_in(&network.name)).collect();
    if own.is_empty() {
        body.insert("network_mode".to_owned(), json!(main));
        return Map::new();
    }
    let mut entries = Map::new();
    for network in &own {
        let ipam = &network.endpoint["IPAMConfig"];
        let mut entry = Map::new();
        for (key, value) in [
            ("aliases", &network.endpoint["Aliases"]),
            ("ipv4_address", &ipam["IPv4Address"]),
            ("ipv6_address", &ipam["IPv6Address"]),
            ("link_local_ips", &ipam["LinkLocalIPs"]),
        ] {
            if !value.is_null() {
                entry.insert(key.to_owned(), value.clone());
            }
        }
        entries.insert(network.name.clone(), Value::Object(entry));
    }
    body.insert("networks".to_owned(), Value::Object(entries));
    external(own.iter().map(|network| network.name.as_str()))
}

fn health(check: &Value) -> Value {
    let mut out = Map::new();
    if check["Test"].is_array() {
        out.insert("test".to_owned(), check["Test"].clone());
    }
    for (key, field) in [("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")] {
        if let Some(nanos) = check[field].as_u64().filter(|nanos| *nanos > 0) {
            out.insert(key.to_owned(), json!(duration(nanos)));
        }
    }
    if check["Retries"].as_u64().is_some_and(|retries| retries > 0) {
        out.insert("retries".to_owned(), check["Retries"].clone());
    }
    Value::Object(out)
}

fn of_host(host: &Value, body: &mut Map<String, Value>) {
    let log = &host["LogConfig"];
    let options = log["Config"].as_object().filter(|options| !options.is_empty());
    if log["Type"] != "json-file" || options.is_some() {
        let mut logging = Map::from_iter([("driver".to_owned(), log["Type"].clone())]);
        logging.extend(options.map(|options| ("options".to_owned(), json!(options))));
        body.insert("logging".to_owned(), Value::Object(logging));
    }
    let ulimits = host["Ulimits"].as_array().into_iter().flatten();
    let ulimits: Map<String, Value> = ulimits
        .filter_map(|limit| {
            Some((
                limit["Name"].as_str()?.to_owned(),
                json!({ "soft": limit["Soft"], "hard": limit["Hard"] }),
            ))
        })
        .collect();
    let mut blkio = Map::new();
    if host["BlkioWeight"].as_u64().is_some_and(|weight| weight > 0) {
        blkio.insert("weight".to_owned(), host["BlkioWeight"].clone());
    }
    for (key, field) in [
        ("weight_device", "BlkioWeightDevice"),
        ("device_read_bps", "BlkioDeviceReadBps"),
        ("device_write_bps", "BlkioDeviceWriteBps"),
        ("device_read_iops", "BlkioDeviceReadIOps"),
        ("device_write_iops", "BlkioDeviceWriteIOps"),
    ] {
        let devices = host[field].as_array().into_iter().flatten().map(|device| match device["Weight"] {
            Value::Null => json!({ "path": device["Path"], "rate": device["Rate"] }),
            _ => json!({ "path": device["Path"], "weight": device["Weight"] }),
        });
        let devices: Vec<_> = devices.collect();
        if !devices.is_empty() {
            blkio.insert(key.to_owned(), json!(devices));
        }
    }
    for (key, map) in [("ulimits", ulimits), ("blkio_config", blkio)] {
        if !map.is_empty() {
            body.insert(key.to_owned(), Value::Object(map));
        }
    }
    let mounts = host["Mounts"].as_array().into_iter().flatten().map(mount);
    if let Value::Array(volumes) = body.entry("volumes").or_insert_with(|| json!([])) {
        volumes.extend(mounts);
    }
    if body["volumes"] == json!([]) {
        body.remove("volumes");
    }
    let from: Vec<_> =
        words(&host["VolumesFrom"]).into_iter().map(|entry| format!("container:{entry}")).collect();
    if !from.is_empty() {
        body.insert("volumes_from".to_owned(), json!(from));
    }
}

fn mount(mount: &Value) -> Value {
    let mut out = Map::new();
    let mut add = |key: &str, value: &Value| {
        if !value.is_null() && *value != "" {
            out.insert(key.to_owned(), value.clone());
        }
    };
    add("type", &mount["Type"]);
    add("source", &mount["Source"]);
    add("target", &mount["Target"]);
    add("read_only", &mount["ReadOnly"]);
    for (key, field, of) in [
        ("bind", "propagation", &mount["BindOptions"]["Propagation"]),
        ("volume", "nocopy", &mount["VolumeOptions"]["NoCopy"]),
        ("tmpfs", "size", &mount["TmpfsOptions"]["SizeBytes"]),
    ] {
        if !of.is_null() {
            add(key, &json!({ field: of }));
        }
    }
    Value::Object(out)
}

/// As YAML.
pub(super) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// Block style for maps and lists; JSON's scalars are YAML, and `$` would be taken for a variable.
fn write(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(out, "{indent}{}:", scalar(&json!(key)));
                below(out, value, depth);
            }
        }
        Value::Array(list) => {
            for value in list {
                let _ = write!(out, "{indent}-");
                below(out, value, depth);
            }
        }
        _ => {}
    }
}

fn below(out: &mut String, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        write(out, value, depth + 1);
    } else {
        let _ = writeln!(out, " {}", scalar(value));
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let first = text.starts_with(|c: char| c.is_ascii_alphabetic());
            let plain = first && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
            // Words that YAML takes for something else.
            let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
            if plain && !word.contains(&text.to_lowercase().as_str()) {
                text.clone()
            } else {
                Value::String(text.replace('$', "$$")).to_string()
            }
        }
        other => other.to_string(),
    }
}
