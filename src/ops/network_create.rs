//! Making a new network.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{Actor, containers::record};
use crate::{
    app::App,
    docker::DockerError,
    error::{AppError, Result},
    model::{names::NetworkName, network::overlap},
};

/// What it shall be like.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub name: NetworkName,
    /// `bridge`, `macvlan`… Empty = bridge.
    pub driver: String,
    /// CIDR; empty = Docker chooses.
    pub subnet: String,
    /// An address in the subnet; empty = Docker chooses.
    pub gateway: String,
    /// Without a way out.
    pub internal: bool,
    /// With IPv6, too.
    pub ipv6: bool,
    /// Containers outside of a swarm may join a network of the swarm.
    pub attachable: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// Makes it; its id. What is wrong with the wish is told before Docker is asked.
pub async fn create(app: &App, actor: &Actor, wanted: &Wanted) -> Result<String> {
    let ipam = ipam(wanted)?;
    let all = app.docker.networks().await?;
    if all.iter().any(|network| network.name == wanted.name.as_str()) {
        return Err(AppError::Conflict(format!(
            "A network named {} exists. Choose another name.",
            wanted.name
        )));
    }
    let subnet = [wanted.subnet.clone()];
    if let Some(other) = all.iter().find(|other| overlap(&subnet, &other.subnets)) {
        return Err(AppError::Conflict(format!(
            "The subnet {} overlaps with {} of the network {}. Choose another one, or leave it empty.",
            wanted.subnet,
            other.subnets.join(", "),
            other.name
        )));
    }
    let driver = if wanted.driver.is_empty() { "bridge" } else { &wanted.driver };
    let inspect = json!({
        "Name": wanted.name, "Driver": driver, "Internal": wanted.internal, "EnableIPv6": wanted.ipv6,
        "Attachable": wanted.attachable, "IPAM": ipam, "Labels": wanted.labels, "Options": wanted.options,
    });
    let made = app.docker.create_network_exactly(&inspect).await;
    let problem = made.as_ref().err().map(ToString::to_string);
    let details = json!({ "driver": driver, "subnet": wanted.subnet, "internal": wanted.internal });
    record(app, actor, "network_create", wanted.name.as_str(), problem, details).await?;
    match made {
        Ok((id, _)) => Ok(id),
        // "Pool overlaps with other one on this address space", also where it is the host that has the addresses.
        Err(DockerError::Refused { status: 403, message }) => Err(AppError::Conflict(message)),
        Err(DockerError::NotFound(message)) => Err(AppError::Impossible(message)),
        Err(error) => Err(error.into()),
    }
}

fn ipam(wanted: &Wanted) -> Result<Value> {
    if wanted.subnet.is_empty() {
        if !wanted.gateway.is_empty() {
            return Err(AppError::field("gateway", "A gateway needs a subnet that it is in."));
        }
        return Ok(json!({ "Driver": "default" }));
    }
    let subnet: IpNet = wanted.subnet.parse().map_err(|_| {
        let text = format!("“{}” is not a subnet. Write it like 10.20.0.0/24.", wanted.subnet);
        AppError::field("subnet", text)
    })?;
    if subnet.addr() != subnet.network() {
        let text = format!("The subnet begins at {}: write {}.", subnet.network(), subnet.trunc());
        return Err(AppError::field("subnet", text));
    }
    if wanted.ipv6 != subnet.addr().is_ipv6() && subnet.addr().is_ipv6() {
        return Err(AppError::field("ipv6", "A subnet of IPv6 needs IPv6 switched on."));
    }
    let mut config = Map::from_iter([("Subnet".to_owned(), json!(wanted.subnet))]);
    if !wanted.gateway.is_empty() {
        let gateway: IpAddr = wanted
            .gateway
            .parse()
            .map_err(|_| AppError::field("gateway", format!("“{}” is not an address.", wanted.gateway)))?;
        if !subnet.contains(&gateway) {
            return Err(AppError::field("gateway", format!("{gateway} is not in {subnet}.")));
        }
        config.insert("Gateway".to_owned(), json!(wanted.gateway));
    }
    Ok(json!({ "Driver": "default", "Config": [config] }))
}
