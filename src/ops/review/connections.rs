//! Ports and networks of a restore: what they would be, and what is in their way.

use std::{collections::BTreeMap, net::TcpListener, path::Path};

use serde::Serialize;
use serde_json::Value;

use super::Host;
use crate::model::{
    container::Status,
    manifest::Manifest,
    network::{Network, overlap},
    restore::Options,
};

/// One published port.
#[derive(Debug, Clone, Serialize)]
pub struct PortPlan {
    /// `80/tcp`.
    pub container_port: String,
    /// Host port it will have; empty = any free one.
    pub host_port: String,
    /// What holds it now.
    pub taken_by: Option<String>,
    /// A free one near it.
    pub suggestion: Option<String>,
}

/// One network.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkPlan {
    /// Name.
    pub name: String,
    /// create, reuse, conflict, built_in.
    pub action: &'static str,
    /// What is the matter with it.
    pub problem: Option<String>,
}

pub(super) fn ports(
    host: &Host,
    manifest: &Manifest,
    options: &Options,
    replaced: Option<&str>,
) -> Vec<PortPlan> {
    let mut plans = Vec::new();
    let bindings = manifest.container["HostConfig"]["PortBindings"].as_object();
    let mut held: BTreeMap<String, &str> = BTreeMap::new();
    for container in &host.containers {
        if Some(container.id.as_str()) == replaced || container.status != Status::Running {
            continue;
        }
        for port in &container.port_mappings {
            if let (Some((_, number)), Some((_, protocol))) =
                (port.host.rsplit_once(':'), port.container.split_once('/'))
            {
                held.insert(format!("{number}/{protocol}"), &container.name);
            }
        }
    }
    for (container_port, list) in bindings.into_iter().flatten() {
        let protocol = container_port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        for binding in list.as_array().into_iter().flatten() {
            // 0 is Docker's other word for any free one.
            let wanted = binding["HostPort"].as_str().filter(|port| *port != "0").unwrap_or_default();
            let host_port = options.port_overrides.get(container_port).map_or(wanted, String::as_str);
            let key = format!("{host_port}/{protocol}");
            let own = replaced.is_some()
                && host.containers.iter().any(|c| {
                    Some(c.id.as_str()) == replaced
                        && c.port_mappings.iter().any(|p| p.host.ends_with(&format!(":{host_port}")))
                });
            let taken_by = held
                .get(&key)
                .map(|name| (*name).to_owned())
                .or_else(|| (!own && busy(host_port, protocol)).then(|| "another program".to_owned()));
            let suggestion = taken_by.as_ref().and_then(|_| free_port(host_port, protocol, &held));
            plans.push(PortPlan {
                container_port: container_port.clone(),
                host_port: host_port.to_owned(),
                taken_by,
                suggestion,
            });
        }
    }
    plans
}

/// Whether something on this host listens there. Only for TCP, and only where we share the host's network.
fn busy(port: &str, protocol: &str) -> bool {
    let in_container = Path::new("/.dockerenv").exists();
    match port.parse::<u16>() {
        Ok(port) if port != 0 && protocol == "tcp" && !in_container => {
            let tried = TcpListener::bind(("0.0.0.0", port));
            tried.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
        }
        _ => false,
    }
}

fn free_port(port: &str, protocol: &str, held: &BTreeMap<String, &str>) -> Option<String> {
    let port: u16 = port.parse().ok()?;
    (1..200).filter_map(|step| port.checked_add(step)).map(|candidate| candidate.to_string()).find(
        |candidate| !held.contains_key(&format!("{candidate}/{protocol}")) && !busy(candidate, protocol),
    )
}

pub(super) fn network_plan(host: &Host, manifest: &Manifest, network: &Value) -> NetworkPlan {
    let name = network["Name"].as_str().unwrap_or_default().to_owned();
    if crate::docker::is_built_in(&name) {
        return NetworkPlan { name, action: "built_in", problem: None };
    }
    let subnets = crate::docker::subnets(network);
    let endpoint = &manifest.container["NetworkSettings"]["Networks"][&name]["IPAMConfig"];
    let fixed = endpoint["IPv4Address"].as_str().is_some_and(|address| !address.is_empty());
    let plan = |action, problem: Option<String>| NetworkPlan { name: name.clone(), action, problem };
    // Podman's list knows its first network, `podman`, as `bridge`; its id is the same everywhere.
    let same = |other: &&Network| other.name == name || network["Id"].as_str() == Some(&other.id);
    if let Some(existing) = host.networks.iter().find(same) {
        if existing.subnets == subnets || !fixed {
            return plan("reuse", None);
        }
        return plan(
            "conflict",
            Some(format!(
                "The network {name} exists with the subnet {}, but the container has a fixed address in {}. \
                 Delete or rename that network first.",
                existing.subnets.join(", "),
                subnets.join(", ")
            )),
        );
    }
    let overlapping = host.networks.iter().find(|other| overlap(&subnets, &other.subnets));
    match overlapping {
        Some(other) if fixed => plan(
            "conflict",
            Some(format!(
                "The network {name} needs the subnet {}, which overlaps with the network {}, and the container \
                 has a fixed address in it. Delete that network first.",
                subnets.join(", "),
                other.name
            )),
        ),
        Some(other) => plan(
            "create",
            Some(format!("Its subnet overlaps with the network {}; it gets another one.", other.name)),
        ),
        None => plan("create", None),
    }
}
