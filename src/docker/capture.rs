//! Everything the engine knows about one container, raw, in as few questions as possible.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use super::{
    client::{Docker, escape},
    error::DockerError,
    networks::is_built_in,
    plan::anonymous_in,
};

/// See the fields of the same names in `model::manifest::Manifest`.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Raw inspect of the container.
    pub container: Value,
    /// Raw inspect of its image; null when it was deleted under the container.
    pub image: Value,
    /// Raw inspects of its networks.
    pub networks: Vec<Value>,
    /// Raw inspects of its volumes.
    pub volumes: Vec<Value>,
    /// About the engine: `version`, `info` (parts), `container_names` of containers that this one refers
    /// to by id, and `owners` of anonymous volumes that it borrows from others.
    pub engine: Value,
}

impl Docker {
    /// Looks at a container and everything it refers to.
    pub async fn capture(&self, name: &str) -> Result<Capture, DockerError> {
        let container = self.inspect(name).await?;
        let image_id = container["Image"].as_str().unwrap_or_default();
        let networks = container["NetworkSettings"]["Networks"].as_object();
        let mut networks: BTreeSet<&str> =
            networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        // It may have left the network it was made for, and cannot be made without that one.
        let mode = container["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
        if !mode.contains(':') && !is_built_in(mode) && !joined_by_id(&container, mode) {
            networks.insert(mode);
        }
        let mounts = container["Mounts"].as_array().into_iter().flatten();
        let volumes: BTreeSet<&str> = mounts
            .filter(|mount| mount["Type"] == "volume")
            .filter_map(|mount| mount["Name"].as_str())
            .collect();
        let (image, networks, volumes, engine) = tokio::try_join!(
            self.image(image_id),
            try_join_all(networks.iter().map(|name| self.network(name))),
            try_join_all(volumes.into_iter().map(|name| self.volume(name))),
            self.engine_facts(&container),
        )?;
        Ok(Capture {
            image: image.unwrap_or_default(),
            networks: networks.into_iter().flatten().collect(),
            volumes: volumes.into_iter().flatten().collect(),
            engine,
            container,
        })
    }

    async fn engine_facts(&self, container: &Value) -> Result<Value, DockerError> {
        let names = async {
            let mut names = Map::new();
            for id in referred(container) {
                if let Some(other) = self.find(&format!("/containers/{id}/json")).await? {
                    let name = other["Name"].as_str().unwrap_or_default().trim_start_matches('/');
                    names.insert(id, json!(name));
                }
            }
            Ok::<_, DockerError>(names)
        };
        let (mut facts, names, owners) = tokio::try_join!(self.facts(), names, self.owners(container))?;
        facts["container_names"] = Value::Object(names);
        facts["owners"] = Value::Object(owners);
        Ok(facts)
    }

    /// About the engine itself: `version` and `info` (parts).
    pub async fn facts(&self) -> Result<Value, DockerError> {
        let (version, info) = tokio::try_join!(self.get("/version"), self.get("/info"))?;
        let parts = [
            "Driver",
            "DockerRootDir",
            "CgroupDriver",
            "CgroupVersion",
            "Architecture",
            "OSType",
            "OperatingSystem",
            "Name",
        ];
        let info: Map<String, Value> =
            parts.iter().map(|part| ((*part).to_owned(), info[*part].clone())).collect();
        let version = json!({ "Version": version["Version"], "ApiVersion": version["ApiVersion"] });
        Ok(json!({ "version": version, "info": info }))
    }

    /// Anonymous volumes that this container mounts and that belong to another one: name → the owner's
    /// name and where it mounts the volume. Restored, the owner has a new one, which is then meant.
    async fn owners(&self, container: &Value) -> Result<Map<String, Value>, DockerError> {
        let mut owners = Map::new();
        for volume in anonymous_names(container) {
            let filter = json!({ "volume": [volume] }).to_string();
            let users = self.get(&format!("/containers/json?all=1&filters={}", escape(&filter))).await?;
            let users = users.as_array().into_iter().flatten().filter_map(|user| user["Id"].as_str());
            let users = try_join_all(users.map(|id| self.inspect(id))).await?;
            let owner = users.iter().find(|user| {
                anonymous_in(user, volume) && !users.iter().any(|other| takes_volumes_from(user, other))
            });
            let Some(owner) = owner.filter(|owner| owner["Id"] != container["Id"]) else { continue };
            let mut mounts = owner["Mounts"].as_array().into_iter().flatten();
            if let Some(mount) = mounts.find(|mount| mount["Name"] == volume) {
                let name = owner["Name"].as_str().unwrap_or_default().trim_start_matches('/');
                let owner = json!({ "container": name, "path": mount["Destination"] });
                owners.insert(volume.to_owned(), owner);
            }
        }
        Ok(owners)
    }
}

/// Mounted volumes with a name that the engine gives.
fn anonymous_names(container: &Value) -> BTreeSet<&str> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let named = mounts.filter_map(|mount| mount["Name"].as_str());
    named.filter(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).collect()
}

fn takes_volumes_from(container: &Value, other: &Value) -> bool {
    let from = container["HostConfig"]["VolumesFrom"].as_array().into_iter().flatten();
    let id = other["Id"].as_str().unwrap_or_default();
    let name = other["Name"].as_str().unwrap_or_default().trim_start_matches('/');
    from.filter_map(|entry| entry.as_str()?.split(':').next())
        .any(|word| word.trim_start_matches('/') == name || (word.len() >= 12 && id.starts_with(word)))
}

/// The mode may be the id of a network that is listed by its name.
fn joined_by_id(container: &Value, mode: &str) -> bool {
    let networks = container["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    networks.into_iter().any(|(_, endpoint)| endpoint["NetworkID"] == mode)
}

/// Containers that this one names by id: the engine turns names into ids in these settings.
fn referred(container: &Value) -> Vec<String> {
    let host = &container["HostConfig"];
    let modes = ["NetworkMode", "IpcMode", "PidMode"];
    let by_mode = modes.iter().filter_map(|mode| host[*mode].as_str()?.strip_prefix("container:"));
    let from = host["VolumesFrom"].as_array().into_iter().flatten().filter_map(Value::as_str);
    by_mode
        .chain(from.filter_map(|entry| entry.split(':').next()))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
