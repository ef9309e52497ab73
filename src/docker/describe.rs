//! The equivalent `docker run` command and compose file of a backup: for people
//! who want to see, or to go on without us. The restore does not use them.

use std::fmt::Write;

use serde_json::Value;

use super::{networks::is_built_in, payload::network_mode, plan::is_anonymous};
use crate::model::manifest::Manifest;

/// One setting: option of `docker run` and its value.
type Flag = (&'static str, String);

/// The command, one option a line.
pub fn docker_run_command(manifest: &Manifest) -> String {
    let mut command = format!("docker run -d \\\n  --name {}", quote(&manifest.container_name));
    for (flag, value) in flags(manifest) {
        let _ = match value.as_str() {
            "" => write!(command, " \\\n  {flag}"),
            value => write!(command, " \\\n  {flag} {}", quote(value)),
        };
    }
    let config = &manifest.container["Config"];
    let image = &manifest.image["Config"];
    let _ = write!(command, " \\\n  {}", quote(config["Image"].as_str().unwrap_or_default()));
    let entrypoint = words(&config["Entrypoint"]);
    let mut tail = Vec::new();
    if config["Entrypoint"] != image["Entrypoint"] {
        tail.extend(entrypoint.into_iter().skip(1));
    }
    if config["Cmd"] != image["Cmd"] || !tail.is_empty() {
        tail.extend(words(&config["Cmd"]));
    }
    for word in tail {
        let _ = write!(command, " {}", quote(&word));
    }
    command
}

/// The compose file.
pub fn compose_file(manifest: &Manifest) -> String {
    let name = &manifest.container_name;
    let config = &manifest.container["Config"];
    let service = config["Labels"]["com.docker.compose.service"].as_str().unwrap_or(name);
    let mut out = format!(
        "services:\n  {}:\n    image: {}\n    container_name: {}\n",
        yaml(service),
        yaml(config["Image"].as_str().unwrap_or_default()),
        yaml(name)
    );
    let all = flags(manifest);
    for &(flag, key) in &SINGLE {
        if let Some((_, value)) = all.iter().find(|(name, _)| *name == flag) {
            let _ = writeln!(
                out,
                "    {key}: {}",
                if value.is_empty() { "true".to_owned() } else { yaml(value) }
            );
        }
    }
    for &(flag, key) in &LISTS {
        let values: Vec<_> = all.iter().filter(|(name, _)| *name == flag).map(|(_, value)| value).collect();
        if !values.is_empty() {
            let _ = writeln!(out, "    {key}:");
            for value in values {
                let _ = writeln!(out, "      - {}", yaml(value));
            }
        }
    }
    let image = &manifest.image["Config"];
    for (field, key) in [("Entrypoint", "entrypoint"), ("Cmd", "command")] {
        if config[field] != image[field] && config[field].is_array() {
            let _ = writeln!(out, "    {key}: {}", config[field]);
        }
    }
    let networks: Vec<_> = manifest
        .networks
        .iter()
        .filter_map(|network| network["Name"].as_str())
        .filter(|name| !is_built_in(name))
        .collect();
    if !networks.is_empty() {
        out.push_str("    networks:\n");
        for network in &networks {
            let _ = writeln!(out, "      {}: {{}}", yaml(network));
        }
        out.push_str("networks:\n");
        for network in &networks {
            let _ = writeln!(out, "  {}:\n    external: true", yaml(network));
        }
    }
    let volumes: Vec<_> = manifest
        .volumes
        .iter()
        .filter_map(|volume| volume["Name"].as_str())
        .filter(|name| !is_anonymous(manifest, name))
        .collect();
    if !volumes.is_empty() {
        out.push_str("volumes:\n");
        for volume in volumes {
            let _ = writeln!(out, "  {}:\n    external: true", yaml(volume));
        }
    }
    out
}

const SINGLE: [(&str, &str); 14] = [
    ("--hostname", "hostname"),
    ("--domainname", "domainname"),
    ("--user", "user"),
    ("--workdir", "working_dir"),
    ("--restart", "restart"),
    ("--privileged", "privileged"),
    ("--read-only", "read_only"),
    ("--init", "init"),
    ("--memory", "mem_limit"),
    ("--cpus", "cpus"),
    ("--shm-size", "shm_size"),
    ("--stop-signal", "stop_signal"),
    ("--pid", "pid"),
    ("--ipc", "ipc"),
];

const LISTS: [(&str, &str); 13] = [
    ("--env", "environment"),
    ("--label", "labels"),
    ("--publish", "ports"),
    ("--volume", "volumes"),
    ("--cap-add", "cap_add"),
    ("--cap-drop", "cap_drop"),
    ("--device", "devices"),
    ("--tmpfs", "tmpfs"),
    ("--dns", "dns"),
    ("--add-host", "extra_hosts"),
    ("--security-opt", "security_opt"),
    ("--group-add", "group_add"),
    ("--sysctl", "sysctls"),
];

fn flags(manifest: &Manifest) -> Vec<Flag> {
    let container = &manifest.container;
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let image = &manifest.image["Config"];
    let mut flags: Vec<Flag> = Vec::new();
    let id = container["Id"].as_str().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut single = |flag: &'static str, value: String| {
        if !value.is_empty() {
            flags.push((flag, value));
        }
    };
    let hostname = text(&config["Hostname"]);
    single("--hostname", if id.starts_with(&hostname) { String::new() } else { hostname });
    single("--domainname", text(&config["Domainname"]));
    for (flag, field) in [("--user", "User"), ("--workdir", "WorkingDir"), ("--stop-signal", "StopSignal")] {
        if config[field] != image[field] {
            single(flag, text(&config[field]));
        }
    }
    single("--restart", restart(&host["RestartPolicy"]));
    let mode = network_mode(manifest);
    single("--network", if mode == "default" || mode == "bridge" { String::new() } else { mode });
    for (flag, field) in [("--pid", "PidMode"), ("--uts", "UTSMode"), ("--userns", "UsernsMode")] {
        single(flag, text(&host[field]));
    }
    let ipc = text(&host["IpcMode"]);
    single("--ipc", if ["private", "shareable"].contains(&ipc.as_str()) { String::new() } else { ipc });
    single("--memory", number(&host["Memory"]));
    single("--cpus", cpus(&host["NanoCpus"]));
    let shm = number(&host["ShmSize"]);
    single("--shm-size", if shm == "67108864" { String::new() } else { shm });
    if config["Entrypoint"] != image["Entrypoint"] {
        single("--entrypoint", words(&config["Entrypoint"]).into_iter().next().unwrap_or_default());
    }
    for (flag, field) in
        [("--privileged", "Privileged"), ("--read-only", "ReadonlyRootfs"), ("--init", "Init")]
    {
        if host[field].as_bool() == Some(true) {
            flags.push((flag, String::new()));
        }
    }
    lists(manifest, &mut flags);
    flags
}

fn lists(manifest: &Manifest, flags: &mut Vec<Flag>) {
    let container = &manifest.container;
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    let image = &manifest.image["Config"];
    let from_image = words(&image["Env"]);
    flags.extend(
        words(&config["Env"])
            .into_iter()
            .filter(|entry| !from_image.contains(entry))
            .map(|entry| ("--env", entry)),
    );
    for (key, value) in config["Labels"].as_object().into_iter().flatten() {
        if image["Labels"][key] != *value {
            flags.push(("--label", format!("{key}={}", value.as_str().unwrap_or_default())));
        }
    }
    for (port, bindings) in host["PortBindings"].as_object().into_iter().flatten() {
        let port = port.strip_suffix("/tcp").unwrap_or(port);
        for binding in bindings.as_array().into_iter().flatten() {
            let address = binding["HostIp"].as_str().filter(|ip| !ip.is_empty()).map(|ip| format!("{ip}:"));
            let number = binding["HostPort"].as_str().unwrap_or_default();
            flags.push(("--publish", format!("{}{number}:{port}", address.unwrap_or_default())));
        }
    }
    for mount in container["Mounts"].as_array().into_iter().flatten() {
        let name = mount["Name"].as_str().or(mount["Source"].as_str()).unwrap_or_default();
        let destination = mount["Destination"].as_str().unwrap_or_default();
        let only_read = if mount["RW"].as_bool() == Some(false) { ":ro" } else { "" };
        match mount["Type"].as_str() {
            Some("volume") if is_anonymous(manifest, name) => {
                flags.push(("--volume", destination.to_owned()));
            }
            Some("volume" | "bind") => flags.push(("--volume", format!("{name}:{destination}{only_read}"))),
            _ => {}
        }
    }
    for (path, options) in host["Tmpfs"].as_object().into_iter().flatten() {
        let options = options.as_str().filter(|options| !options.is_empty());
        flags.push(("--tmpfs", options.map_or_else(|| path.clone(), |options| format!("{path}:{options}"))));
    }
    for device in host["Devices"].as_array().into_iter().flatten() {
        let part = |name: &str| device[name].as_str().unwrap_or_default();
        let parts = [part("PathOnHost"), part("PathInContainer"), part("CgroupPermissions")];
        flags.push(("--device", parts.join(":")));
    }
    for (key, value) in host["Sysctls"].as_object().into_iter().flatten() {
        flags.push(("--sysctl", format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    let plain = [
        ("--cap-add", "CapAdd"),
        ("--cap-drop", "CapDrop"),
        ("--dns", "Dns"),
        ("--add-host", "ExtraHosts"),
        ("--security-opt", "SecurityOpt"),
        ("--group-add", "GroupAdd"),
    ];
    for (flag, field) in plain {
        flags.extend(words(&host[field]).into_iter().map(|value| (flag, value)));
    }
}

fn restart(policy: &Value) -> String {
    match (policy["Name"].as_str(), policy["MaximumRetryCount"].as_u64()) {
        (None | Some("" | "no"), _) => String::new(),
        (Some(name), Some(count)) if count > 0 => format!("{name}:{count}"),
        (Some(name), _) => name.to_owned(),
    }
}

fn number(value: &Value) -> String {
    value.as_u64().filter(|number| *number > 0).map(|number| number.to_string()).unwrap_or_default()
}

/// Billionths of a CPU → `1.5`.
fn cpus(value: &Value) -> String {
    let Some(nano) = value.as_u64().filter(|nano| *nano > 0) else { return String::new() };
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// For a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A YAML scalar: JSON strings are YAML, and `$` would be interpolated.
fn yaml(text: &str) -> String {
    Value::String(text.replace('$', "$$")).to_string()
}
