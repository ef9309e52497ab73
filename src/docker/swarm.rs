//! Services of Swarm stacks. Only a manager of the swarm knows them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    client::{Docker, escape},
    error::DockerError,
};
use crate::model::stack::Service;

/// A service that was stopped from here remembers in this label how many replicas it had.
const FORMER: &str = "container-monkey.replicas";

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(500);

impl Docker {
    /// Whether the engine is part of a swarm.
    pub async fn in_swarm(&self) -> Result<bool, DockerError> {
        Ok(self.get("/info").await?["Swarm"]["LocalNodeState"] == "active")
    }

    /// Services of all stacks; `None` when this engine is no manager of a swarm.
    pub async fn stack_services(&self) -> Result<Option<Vec<Service>>, DockerError> {
        match self.get("/services?status=true").await {
            Ok(list) => Ok(Some(list.as_array().into_iter().flatten().filter_map(service).collect())),
            // 503: "This node is not a swarm manager". Podman knows no swarm.
            Err(DockerError::Refused { status: 503 | 406, .. } | DockerError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Scales it to nothing and remembers what it had.
    pub async fn stop_service(&self, id: &str) -> Result<(), DockerError> {
        self.change_service(id, |spec| {
            let replicas = spec["Mode"]["Replicated"]["Replicas"].as_u64().unwrap_or(1);
            spec["Labels"][FORMER] = json!(replicas.to_string());
            spec["Mode"]["Replicated"]["Replicas"] = json!(0);
        })
        .await
    }

    /// Gives it back the replicas it had; returns how many.
    pub async fn start_service(&self, id: &str) -> Result<u64, DockerError> {
        let mut replicas = 1;
        self.change_service(id, |spec| {
            let former = spec["Labels"][FORMER].as_str().and_then(|text| text.parse().ok());
            replicas = former.unwrap_or(1);
            if let Some(labels) = spec["Labels"].as_object_mut() {
                labels.remove(FORMER);
            }
            spec["Mode"]["Replicated"]["Replicas"] = json!(replicas);
        })
        .await?;
        Ok(replicas)
    }

    /// Has the swarm replace its tasks, and waits until it has.
    pub async fn restart_service(&self, id: &str, limit: Duration) -> Result<(), DockerError> {
        let before = self.service(id).await?["UpdateStatus"]["StartedAt"].clone();
        self.change_service(id, |spec| {
            let forced = spec["TaskTemplate"]["ForceUpdate"].as_u64().unwrap_or(0);
            spec["TaskTemplate"]["ForceUpdate"] = json!(forced + 1);
        })
        .await?;
        let until = tokio::time::Instant::now() + limit;
        loop {
            let update = self.service(id).await?["UpdateStatus"].clone();
            if update["StartedAt"] != before && update["State"] != "updating" {
                return match update["State"].as_str() {
                    Some("completed") => Ok(()),
                    other => Err(DockerError::NotReady(format!(
                        "The swarm says {}: {}",
                        other.unwrap_or_default(),
                        update["Message"].as_str().unwrap_or_default()
                    ))),
                };
            }
            self.not_too_long(id, until, limit).await?;
        }
    }

    /// Waits until exactly so many of its tasks run.
    pub async fn wait_tasks(&self, id: &str, replicas: u64, limit: Duration) -> Result<(), DockerError> {
        let until = tokio::time::Instant::now() + limit;
        loop {
            let tasks = self.tasks(id).await?;
            let running = tasks.iter().filter(|task| task["Status"]["State"] == "running").count();
            if running as u64 == replicas {
                return Ok(());
            }
            self.not_too_long(id, until, limit).await?;
        }
    }

    /// Removes the service; its containers go a little later.
    pub async fn remove_service(&self, id: &str) -> Result<(), DockerError> {
        self.delete(&format!("/services/{}", escape(id))).await
    }

    /// Waits until this engine has no container of the stack any more.
    pub async fn wait_stack_gone(&self, stack: &str, limit: Duration) -> Result<(), DockerError> {
        let filters = json!({ "label": [format!("com.docker.stack.namespace={stack}")] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", escape(&filters));
        let until = tokio::time::Instant::now() + limit;
        while self.get(&path).await?.as_array().is_some_and(|left| !left.is_empty()) {
            if tokio::time::Instant::now() >= until {
                return Err(DockerError::NotReady(format!(
                    "its containers were still there after {} s.",
                    limit.as_secs()
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn service(&self, id: &str) -> Result<Value, DockerError> {
        self.get(&format!("/services/{}", escape(id))).await
    }

    async fn tasks(&self, service: &str) -> Result<Vec<Value>, DockerError> {
        let filters = json!({ "service": [service] }).to_string();
        let tasks = self.get(&format!("/tasks?filters={}", escape(&filters))).await?;
        Ok(tasks.as_array().cloned().unwrap_or_default())
    }

    /// Changes its raw specification, so that nothing else of it is lost.
    async fn change_service(&self, id: &str, mut change: impl FnMut(&mut Value)) -> Result<(), DockerError> {
        let mut tries = 0;
        loop {
            let now = self.service(id).await?;
            let mut spec = now["Spec"].clone();
            change(&mut spec);
            let version = now["Version"]["Index"].as_u64().unwrap_or(0);
            let path = format!("/services/{}/update?version={version}", escape(id));
            match self.post(&path, Some(&spec)).await {
                Ok(_) => return Ok(()),
                // Somebody else changed it in between.
                Err(DockerError::Refused { message, .. })
                    if message.contains("out of sequence") && tries < 3 =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn not_too_long(
        &self,
        id: &str,
        until: tokio::time::Instant,
        limit: Duration,
    ) -> Result<(), DockerError> {
        if tokio::time::Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        }
        let tasks = self.tasks(id).await?;
        let newest = tasks
            .iter()
            .filter(|task| task["Status"]["Err"].as_str().is_some_and(|why| !why.is_empty()))
            .max_by_key(|task| task["Status"]["Timestamp"].as_str().unwrap_or_default());
        let why =
            newest.and_then(|task| task["Status"]["Err"].as_str()).unwrap_or("the swarm gives no reason");
        Err(DockerError::NotReady(format!("It was not done within {} s: {why}", limit.as_secs())))
    }
}

/// A service of a stack, as the list tells it.
fn service(row: &Value) -> Option<Service> {
    let spec = &row["Spec"];
    let stack = spec["Labels"]["com.docker.stack.namespace"].as_str()?.to_owned();
    let replicas = spec["Mode"]["Replicated"]["Replicas"].as_u64();
    let name = spec["Name"].as_str()?.to_owned();
    Some(Service {
        id: row["ID"].as_str()?.to_owned(),
        running: row["ServiceStatus"]["RunningTasks"].as_u64().unwrap_or(0),
        desired: row["ServiceStatus"]["DesiredTasks"].as_u64().or(replicas).unwrap_or(0),
        former: spec["Labels"][FORMER].as_str().and_then(|text| text.parse().ok()),
        scalable: replicas.is_some(),
        stack,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_what_runs_and_what_it_had() {
        let row = json!({
            "ID": "abc",
            "Spec": {
                "Name": "shop_web", "Mode": { "Replicated": { "Replicas": 0 } },
                "Labels": { "com.docker.stack.namespace": "shop", (FORMER): "3" },
            },
            "ServiceStatus": { "RunningTasks": 1, "DesiredTasks": 0 },
        });
        let found = service(&row).unwrap();
        assert_eq!((found.running, found.desired, found.former), (1, 0, Some(3)));
        assert_eq!((found.short_name(), found.scalable), ("web", true));
        assert!(service(&json!({ "ID": "x", "Spec": { "Name": "alone", "Labels": {} } })).is_none());
    }
}
