//! What belongs to stacks, by the labels that Compose and Swarm set.

use std::time::Duration;

use serde_json::Value;

use super::{client::Docker, error::DockerError};
use crate::model::stack::{Node, depends_on};

/// A network or volume that a stack made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackPart {
    /// The stack.
    pub stack: String,
    /// Name of the network or volume.
    pub name: String,
}

impl Docker {
    /// Networks and volumes of all stacks, in two questions.
    pub async fn stack_parts(&self) -> Result<(Vec<StackPart>, Vec<StackPart>), DockerError> {
        let (networks, volumes) = tokio::try_join!(self.get("/networks"), self.get("/volumes"))?;
        Ok((parts(&networks), parts(&volumes["Volumes"])))
    }

    /// A container's place in its stack, and whether it was made by `compose run` for one command only.
    pub async fn stack_node(&self, id: &str) -> Result<(Node, bool), DockerError> {
        Ok(node(&self.inspect(id).await?))
    }

    /// Waits until it has ended; its exit code.
    pub async fn wait_end(&self, id: &str, limit: Duration) -> Result<i64, DockerError> {
        let began = tokio::time::Instant::now();
        loop {
            let state = self.inspect(id).await?["State"].clone();
            if state["Status"] == "exited" {
                return Ok(state["ExitCode"].as_i64().unwrap_or(-1));
            }
            if began.elapsed() > limit {
                return Err(DockerError::NotReady(format!("it had not ended within {} s.", limit.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

fn parts(list: &Value) -> Vec<StackPart> {
    let part = |row: &Value| {
        let labels = &row["Labels"];
        let stack = labels["com.docker.compose.project"].as_str();
        let stack = stack.or_else(|| labels["com.docker.stack.namespace"].as_str())?;
        Some(StackPart { stack: stack.to_owned(), name: row["Name"].as_str()?.to_owned() })
    };
    list.as_array().into_iter().flatten().filter_map(part).collect()
}

fn node(inspect: &Value) -> (Node, bool) {
    let labels = &inspect["Config"]["Labels"];
    let label = |name: &str| labels[name].as_str().unwrap_or_default();
    let host = &inspect["HostConfig"];
    let modes = ["NetworkMode", "IpcMode", "PidMode"];
    let by_mode = modes.iter().filter_map(|mode| host[*mode].as_str()?.strip_prefix("container:"));
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut shares: Vec<String> = by_mode.map(str::to_owned).collect();
    // `name:ro`, and `/name:/self/alias`.
    for entry in texts(&host["VolumesFrom"]).into_iter().chain(texts(&host["Links"])) {
        shares.push(entry.split(':').next().unwrap_or_default().trim_start_matches('/').to_owned());
    }
    let node = Node {
        service: label("com.docker.compose.service").to_owned(),
        depends_on: depends_on(label("com.docker.compose.depends_on")),
        shares,
    };
    (node, label("com.docker.compose.oneoff") == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::stack::Condition;

    #[test]
    fn what_a_container_needs_is_in_its_label_and_its_settings() {
        let inspect = json!({
            "Config": { "Labels": {
                "com.docker.compose.service": "web",
                "com.docker.compose.depends_on": "db:service_healthy:false",
            } },
            "HostConfig": {
                "NetworkMode": "container:abc", "IpcMode": "private", "VolumesFrom": ["data:ro"],
                "Links": ["/cache:/web/redis"],
            },
        });
        let (node, once) = node(&inspect);
        assert_eq!(node.depends_on, [("db".to_owned(), Condition::Healthy)]);
        assert_eq!(node.shares, ["abc", "data", "cache"]);
        assert!(!once);
    }
}
