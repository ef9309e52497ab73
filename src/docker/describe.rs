//! The equivalent `docker run` command and compose file of a backup: for people
//! who want to see, or to go on without us. The restore does not use them.
//! Both expect that the image, the named volumes and the networks are there.

mod compose;
mod network;
mod settings;

use std::fmt::Write;

use serde_json::Value;

use super::{endpoints, networks::is_built_in, payload::network_mode};
use crate::model::{backup::Kind, manifest::Manifest};
use settings::{Setting, words};

/// A network the container is in, with what was asked of it.
struct Joined {
    name: String,
    endpoint: Value,
}

/// The command that makes again what the backup holds.
pub fn docker_run_command(manifest: &Manifest) -> String {
    match manifest.kind {
        Kind::Network => network::command(manifest),
        Kind::Container | Kind::Stack => run_command(manifest),
    }
}

/// The compose file that makes again what the backup holds.
pub fn compose_file(manifest: &Manifest) -> String {
    match manifest.kind {
        Kind::Network => network::compose_file(manifest),
        Kind::Container | Kind::Stack => compose::compose_file(manifest),
    }
}

/// The commands, one option a line: `docker run`, or where that is not enough `docker create`, what joins
/// further networks, and `docker start`.
fn run_command(manifest: &Manifest) -> String {
    let container = &manifest.container;
    let name = quote(&manifest.container_name);
    let main = main_network(manifest);
    let (own, others): (Vec<_>, Vec<_>) =
        joined(manifest).into_iter().partition(|network| network.name == main);
    let leaves = own.is_empty() && !others.is_empty();
    let ran = container["State"]["Running"].as_bool() == Some(true);
    let at_once = ran && others.is_empty();
    let mut command = String::new();
    let mut options = settings::settings(manifest);
    if let Some(profile) = settings::seccomp_profile(container) {
        // The command line takes it from a file only.
        let _ = writeln!(command, "printf %s {} > seccomp.json", quote(profile));
    }
    for network in &own {
        options.extend(endpoint_options(&network.endpoint, "--network-alias"));
    }
    command.push_str(if at_once { "docker run -d" } else { "docker create" });
    let _ = write!(command, " \\\n  --name {name}");
    for option in options.iter().filter(|option| !option.flag.is_empty()) {
        for value in option.words() {
            let _ = write!(command, " \\\n  {}{value}", option.flag);
        }
    }
    let image = container["Config"]["Image"].as_str().unwrap_or_default();
    let _ = write!(command, " \\\n  {}", quote(image));
    for word in tail(manifest) {
        let _ = write!(command, " {}", quote(&word));
    }
    for network in &others {
        command.push_str("\ndocker network connect");
        for option in endpoint_options(&network.endpoint, "--alias") {
            for value in option.words() {
                let _ = write!(command, " {}{value}", option.flag);
            }
        }
        let _ = write!(command, " {} {name}", quote(&network.name));
    }
    if leaves {
        let _ = write!(command, "\ndocker network disconnect {} {name}", quote(&main));
    }
    if ran && !at_once {
        let _ = write!(command, "\ndocker start {name}");
    }
    command
}

/// The words after the image: what `--entrypoint` has no room for, and the command.
fn tail(manifest: &Manifest) -> Vec<String> {
    let (config, image) = (&manifest.container["Config"], &manifest.image["Config"]);
    let mut tail = Vec::new();
    let other_entrypoint = words(&config["Entrypoint"]) != words(&image["Entrypoint"]);
    if other_entrypoint {
        tail.extend(words(&config["Entrypoint"]).into_iter().skip(1));
    }
    if other_entrypoint || config["Cmd"] != image["Cmd"] {
        tail.extend(words(&config["Cmd"]));
    }
    tail
}

/// The network that it was made for, by name.
fn main_network(manifest: &Manifest) -> String {
    let mode = network_mode(manifest);
    if mode == "default" { "bridge".to_owned() } else { mode }
}

fn joined(manifest: &Manifest) -> Vec<Joined> {
    let container = &manifest.container;
    let main = main_network(manifest);
    if main == "host" || main == "none" || main.starts_with("container:") {
        return Vec::new();
    }
    let networks = container["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    networks
        .map(|(name, endpoint)| Joined {
            name: name.clone(),
            endpoint: if is_built_in(name) {
                Value::Null
            } else {
                endpoints::wanted(endpoint, Some(container), 44)
            },
        })
        .collect()
}

fn endpoint_options(endpoint: &Value, alias: &'static str) -> Vec<Setting> {
    let ipam = &endpoint["IPAMConfig"];
    let one = |value: &Value| value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>();
    let options = endpoint["DriverOpts"].as_object().into_iter().flatten();
    let options = options.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let mut settings = vec![
        Setting::list("--ip", "", one(&ipam["IPv4Address"])),
        Setting::list("--ip6", "", one(&ipam["IPv6Address"])),
        Setting::list("--link-local-ip", "", words(&ipam["LinkLocalIPs"])),
        Setting::list(alias, "", words(&endpoint["Aliases"])),
        Setting::list("--link", "", words(&endpoint["Links"])),
    ];
    if alias == "--alias" {
        settings.push(Setting::list("--driver-opt", "", options.collect()));
    }
    settings
}

/// For a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
