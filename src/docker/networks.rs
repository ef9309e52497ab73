//! Networks: list, inspect, make, connect, remove.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    client::{Docker, escape},
    compare::compare,
    endpoints,
    error::DockerError,
};
use crate::model::{
    difference::Difference,
    network::Network,
    progress::{Level, Note},
};

/// Networks that every engine has; they are never made or removed.
pub fn is_built_in(name: &str) -> bool {
    ["bridge", "host", "none", "default", "docker_gwbridge", "ingress"].contains(&name)
}

/// The subnets of an inspected network.
pub fn subnets(network: &Value) -> Vec<String> {
    let configs = network["IPAM"]["Config"].as_array().into_iter().flatten();
    configs.filter_map(|config| config["Subnet"].as_str().map(str::to_owned)).collect()
}

impl Docker {
    /// All networks; which containers are in them is for the caller to say.
    pub async fn networks(&self) -> Result<Vec<Network>, DockerError> {
        Ok(self.inspect_networks().await?.iter().map(network).collect())
    }

    /// The raw inspect; `None` when there is none of that name or id.
    pub async fn network(&self, name: &str) -> Result<Option<Value>, DockerError> {
        self.find(&format!("/networks/{}", escape(name))).await
    }

    /// Makes a network like the inspected one. When its subnet is taken by another network it gets
    /// one that the engine chooses, and a note says so.
    pub async fn create_network(&self, inspect: &Value) -> Result<Vec<Note>, DockerError> {
        let payload = payload(inspect, self.api().await?);
        let first = self.post("/networks/create", Some(&payload)).await;
        let taken = |error: &DockerError| error.to_string().to_lowercase().contains("overlap");
        match first {
            Ok(_) => Ok(Vec::new()),
            Err(error) if taken(&error) && !subnets(inspect).is_empty() => {
                let mut payload = payload;
                payload["IPAM"]["Config"] = Value::Null;
                self.post("/networks/create", Some(&payload)).await?;
                let name = inspect["Name"].as_str().unwrap_or_default();
                Ok(vec![Note {
                    level: Level::Warning,
                    text: format!(
                        "The network {name} got another subnet, because {} is taken here.",
                        subnets(inspect).join(", ")
                    ),
                }])
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a network with exactly the settings of the inspected one; its id and what the engine warns of.
    pub async fn create_network_exactly(&self, inspect: &Value) -> Result<(String, String), DockerError> {
        let payload = payload(inspect, self.api().await?);
        let made = self.post("/networks/create", Some(&payload)).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok((text(&made["Id"]), text(&made["Warning"])))
    }

    /// Raw inspects of all networks, as the list tells them.
    pub async fn inspect_networks(&self) -> Result<Vec<Value>, DockerError> {
        Ok(self.get("/networks").await?.as_array().cloned().unwrap_or_default())
    }

    /// Deletes it.
    pub async fn remove_network(&self, name: &str) -> Result<(), DockerError> {
        self.delete(&format!("/networks/{}", escape(name))).await
    }

    /// Connects a container with the settings of an inspected endpoint.
    pub async fn connect(&self, network: &str, container: &str, endpoint: &Value) -> Result<(), DockerError> {
        let settings = endpoints::wanted(endpoint, None, self.api().await?);
        let body = json!({ "Container": container, "EndpointConfig": settings });
        self.post(&format!("/networks/{}/connect", escape(network)), Some(&body)).await?;
        Ok(())
    }

    /// Disconnects a container.
    pub async fn disconnect(&self, network: &str, container: &str) -> Result<(), DockerError> {
        let body = json!({ "Container": container, "Force": true });
        self.post(&format!("/networks/{}/disconnect", escape(network)), Some(&body)).await?;
        Ok(())
    }
}

/// The settings in which two inspected networks differ. With `any_subnet` the subnets need not be the same.
pub fn network_differences(was: &Value, now: &Value, any_subnet: bool) -> Vec<Difference> {
    let (was, now) = (settings(was), settings(now));
    let fields: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    let mut found = Vec::new();
    for field in fields.into_iter().filter(|field| !any_subnet || *field != "IPAM.Config") {
        let none = Value::Null;
        compare(&mut found, field, was.get(field).unwrap_or(&none), now.get(field).unwrap_or(&none));
    }
    found
}

/// What the user asked of an inspected network; not its name, id, time or what is in it.
fn settings(inspect: &Value) -> Map<String, Value> {
    let fields = ["Driver", "Scope", "Internal", "Attachable", "Ingress", "ConfigOnly", "EnableIPv6"];
    let mut settings: Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), inspect[*field].clone())).collect();
    // Engines that do not tell have it always.
    settings.insert("EnableIPv4".to_owned(), json!(inspect["EnableIPv4"].as_bool().unwrap_or(true)));
    for field in ["Options", "Labels"] {
        settings.insert(field.to_owned(), inspect[field].clone());
    }
    settings.insert("ConfigFrom".to_owned(), inspect["ConfigFrom"]["Network"].clone());
    let ipam = &inspect["IPAM"];
    settings.insert("IPAM.Driver".to_owned(), ipam["Driver"].clone());
    settings.insert("IPAM.Options".to_owned(), ipam["Options"].clone());
    let mut subnets = ipam["Config"].as_array().cloned().unwrap_or_default();
    subnets.sort_by_key(|subnet| subnet["Subnet"].to_string());
    settings.insert("IPAM.Config".to_owned(), json!(subnets));
    settings
}

/// A network as the lists show it.
pub fn network(row: &Value) -> Network {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&row["Name"]);
    let labels = ["com.docker.compose.project", "com.docker.stack.namespace"];
    let subnets = subnets(row);
    Network {
        id: text(&row["Id"]),
        driver: text(&row["Driver"]),
        scope: text(&row["Scope"]),
        internal: row["Internal"].as_bool().unwrap_or(false),
        ipv6: row["EnableIPv6"].as_bool().unwrap_or(false),
        subnet: subnets.first().cloned().unwrap_or_default(),
        gateway: text(&row["IPAM"]["Config"][0]["Gateway"]),
        subnets,
        containers: Vec::new(),
        is_self: false,
        built_in: is_built_in(&name),
        stack: labels.iter().find_map(|label| row["Labels"][*label].as_str().map(str::to_owned)),
        created: row["Created"].as_str().and_then(|at| at.parse().ok()),
        name,
    }
}

fn payload(inspect: &Value, api: u32) -> Value {
    let mut fields =
        vec!["Name", "Driver", "Internal", "Attachable", "Ingress", "EnableIPv6", "Options", "Labels"];
    if inspect["ConfigFrom"]["Network"].as_str().is_some_and(|from| !from.is_empty()) {
        // The rest comes from the other network, and is refused here.
        fields = vec!["Name", "Driver", "Labels", "ConfigFrom"];
    } else {
        fields.extend(["IPAM", "ConfigOnly"]);
        if api >= 48 {
            fields.push("EnableIPv4");
        }
    }
    let mut payload = Map::new();
    for field in fields {
        if !inspect[field].is_null() {
            payload.insert(field.to_owned(), inspect[field].clone());
        }
    }
    if inspect["ConfigOnly"].as_bool() == Some(true) {
        payload.remove("Driver");
    }
    if inspect["Scope"] == "swarm" {
        payload.insert("Scope".to_owned(), json!("swarm"));
    }
    payload.insert("CheckDuplicate".to_owned(), Value::Bool(true));
    Value::Object(payload)
}
