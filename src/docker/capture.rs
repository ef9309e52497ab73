//! Everything the engine knows about one container, raw, in as few questions as possible.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use super::{client::Docker, error::DockerError};

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
    /// About the engine: `version`, `info` (parts), and `container_names` of containers that this one refers to by id.
    pub engine: Value,
}

impl Docker {
    /// Looks at a container and everything it refers to.
    pub async fn capture(&self, name: &str) -> Result<Capture, DockerError> {
        let container = self.inspect(name).await?;
        let image_id = container["Image"].as_str().unwrap_or_default();
        let networks = container["NetworkSettings"]["Networks"].as_object();
        let networks: Vec<&String> = networks.into_iter().flatten().map(|(name, _)| name).collect();
        let mounts = container["Mounts"].as_array().into_iter().flatten();
        let volumes: BTreeSet<&str> = mounts
            .filter(|mount| mount["Type"] == "volume")
            .filter_map(|mount| mount["Name"].as_str())
            .collect();
        let (image, networks, volumes, engine) = tokio::try_join!(
            self.image(image_id),
            try_join_all(networks.into_iter().map(|name| self.network(name))),
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
        let (version, info, names) = tokio::try_join!(self.get("/version"), self.get("/info"), names)?;
        let parts =
            ["Driver", "CgroupDriver", "CgroupVersion", "Architecture", "OSType", "OperatingSystem", "Name"];
        let info: Map<String, Value> =
            parts.iter().map(|part| ((*part).to_owned(), info[*part].clone())).collect();
        let version = json!({ "Version": version["Version"], "ApiVersion": version["ApiVersion"] });
        Ok(json!({ "version": version, "info": info, "container_names": names }))
    }
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
