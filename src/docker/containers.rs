//! Containers: the list, raw inspects, and what can be done to one.

use std::time::Duration;

use bollard::query_parameters as query;
use serde_json::{Value, json};

use super::{
    client::{Docker, escape},
    error::DockerError,
    podman,
};
use crate::model::{
    container::{Action, Container, ImageInfo, Marks, Mount, PortMapping, StackInfo, Status},
    stack::Kind,
};

/// Label of containers that we start ourselves; they are hidden from lists.
pub(super) const HELPER: &str = "container-monkey.helper";

impl Docker {
    /// All containers, in one question.
    pub async fn containers(&self) -> Result<Vec<Container>, DockerError> {
        let (list, own) = tokio::join!(self.get("/containers/json?all=1"), self.own_id());
        let own = own.unwrap_or_default();
        let list = list?;
        let rows = list.as_array().into_iter().flatten();
        Ok(rows
            .filter(|row| row["Labels"][HELPER].is_null())
            .map(|row| container(row, own.as_deref()))
            .collect())
    }

    /// One container by id, unique id prefix or name: its row and its raw inspect. Two questions, whatever
    /// the number of containers.
    pub async fn container(&self, name: &str) -> Result<Option<(Container, Value)>, DockerError> {
        let inspect = match self.inspect(name).await {
            Ok(inspect) => inspect,
            Err(DockerError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = inspect["Id"].as_str().unwrap_or_default();
        let filters = json!({ "id": [id] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", escape(&filters));
        let (list, own) = tokio::join!(self.get(&path), self.own_id());
        let own = own.unwrap_or_default();
        let list = list?;
        let row = list.as_array().into_iter().flatten().find(|row| row["Id"] == id);
        let row = row.filter(|row| row["Labels"][HELPER].is_null());
        Ok(row.map(|row| container(row, own.as_deref())).map(|container| (container, inspect)))
    }

    /// The raw answer of `GET /containers/{id}/json`, in Docker's words.
    pub async fn inspect(&self, id: &str) -> Result<Value, DockerError> {
        let mut container = self.get(&format!("/containers/{}/json", escape(id))).await?;
        podman::in_dockers_words(&mut container);
        Ok(container)
    }

    /// Starts, stops…; that it was so already is fine. `timeout` in seconds overrides the container's own.
    pub async fn act(&self, id: &str, action: Action, timeout: Option<u32>) -> Result<(), DockerError> {
        let typed = self.typed().await?;
        let t = timeout.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
        let done = match action {
            Action::Start => typed.start_container(id, None::<query::StartContainerOptions>).await,
            Action::Stop => {
                typed.stop_container(id, Some(query::StopContainerOptions { t, signal: None })).await
            }
            Action::Kill => typed.kill_container(id, None::<query::KillContainerOptions>).await,
            Action::Restart => {
                typed.restart_container(id, Some(query::RestartContainerOptions { t, signal: None })).await
            }
            Action::Pause => typed.pause_container(id).await,
            Action::Resume => typed.unpause_container(id).await,
        };
        match done.map_err(|error| DockerError::of_bollard(error, self.address())) {
            Err(DockerError::Refused { status: 304, .. }) => Ok(()),
            other => other,
        }
    }

    /// Deletes it; `volumes`: with its anonymous volumes.
    pub async fn remove_container(&self, id: &str, force: bool, volumes: bool) -> Result<(), DockerError> {
        self.delete(&format!("/containers/{}?force={force}&v={volumes}", escape(id))).await
    }

    /// Gives it another name.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), DockerError> {
        self.post(&format!("/containers/{}/rename?name={}", escape(id), escape(name)), None).await?;
        Ok(())
    }

    /// Waits until it is healthy, or has stayed up for three seconds when it has no health check.
    pub async fn wait_ready(&self, id: &str, limit: Duration) -> Result<(), DockerError> {
        let not_ready = |text: String| Err(DockerError::NotReady(text));
        let first = self.inspect(id).await?;
        let has_check = first["Config"]["Healthcheck"]["Test"][0].as_str().is_some_and(|test| test != "NONE");
        let limit = if has_check { limit.max(health_limit(&first["Config"]["Healthcheck"])) } else { limit };
        let restarts = first["RestartCount"].as_u64().unwrap_or(0);
        let began = tokio::time::Instant::now();
        let mut up_since = None;
        loop {
            let inspect = self.inspect(id).await?;
            let state = &inspect["State"];
            if inspect["RestartCount"].as_u64().unwrap_or(0) > restarts + 1 {
                return not_ready("it keeps restarting.".to_owned());
            }
            if state["Running"].as_bool() == Some(true) && state["Restarting"].as_bool() != Some(true) {
                let since = *up_since.get_or_insert_with(tokio::time::Instant::now);
                match state["Health"]["Status"].as_str() {
                    Some("healthy") => return Ok(()),
                    Some("unhealthy") => return not_ready("its health check fails.".to_owned()),
                    _ if !has_check && since.elapsed() >= Duration::from_secs(2) => return Ok(()),
                    _ => {}
                }
            } else if state["Status"].as_str() == Some("exited") {
                let code = state["ExitCode"].as_i64().unwrap_or(-1);
                // A job that is done at once is fine; anything else is told.
                return if code == 0 {
                    Ok(())
                } else {
                    not_ready(format!("it ended with exit code {code}."))
                };
            }
            if began.elapsed() > limit {
                return not_ready(format!("it was not ready within {} s.", limit.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// `StartPeriod + (Retries + 1) × (Interval + Timeout)`, the time after which a check has decided.
fn health_limit(check: &Value) -> Duration {
    let nanos = |name: &str, default: u64| match check[name].as_u64() {
        Some(0) | None => default,
        Some(nanos) => nanos,
    };
    let second = 1_000_000_000;
    let round = nanos("Interval", 30 * second) + nanos("Timeout", 30 * second);
    let retries = check["Retries"].as_u64().filter(|retries| *retries > 0).unwrap_or(3);
    Duration::from_nanos(nanos("StartPeriod", 0) + (retries + 1) * round)
}

fn container(row: &Value, own: Option<&str>) -> Container {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = &row["Labels"];
    let label = |name: &str| labels[name].as_str().map(str::to_owned);
    let networks = row["NetworkSettings"]["Networks"].as_object();
    let status_text = text(&row["Status"]);
    let id = text(&row["Id"]);
    Container {
        name: name(row),
        image: text(&row["Image"]),
        image_info: ImageInfo { name: text(&row["Image"]), id: text(&row["ImageID"]) },
        status: status(row["State"].as_str().unwrap_or_default()),
        health: health(&status_text),
        status_text,
        ip_address: networks
            .into_iter()
            .flatten()
            .find_map(|(_, network)| network["IPAddress"].as_str().filter(|address| !address.is_empty()))
            .unwrap_or_default()
            .to_owned(),
        port_mappings: ports(&row["Ports"]),
        volumes: row["Mounts"].as_array().into_iter().flatten().map(mount).collect(),
        networks: networks.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        stack_info: label("com.docker.compose.project")
            .map(|project| (project, label("com.docker.compose.service").unwrap_or_default(), Kind::Compose))
            .or_else(|| {
                let service = label("com.docker.swarm.service.name").unwrap_or_default();
                let stack = label("com.docker.stack.namespace")?;
                // The whole name has the stack's in front.
                let short = service.strip_prefix(&format!("{stack}_")).map(str::to_owned);
                Some((stack, short.unwrap_or(service), Kind::Swarm))
            })
            .map(|(name, service, kind)| {
                let display = format!("{name} / {service}");
                StackInfo { name, service, display, kind }
            }),
        created: row["Created"].as_i64().unwrap_or(0),
        is_self: own == Some(id.as_str()),
        marks: Marks {
            enable: labels["container-monkey.enable"] == "true",
            exclude: labels["container-monkey.exclude"] == "true",
            number: label("com.docker.compose.container-number").and_then(|number| number.parse().ok()),
        },
        id,
    }
}

/// The own name: the one without a further slash (links add others).
fn name(row: &Value) -> String {
    let names = row["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let own = names.map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
    own.map_or_else(|| row["Id"].as_str().unwrap_or_default().chars().take(12).collect(), str::to_owned)
}

fn status(word: &str) -> Status {
    match word {
        "exited" => Status::Stopped,
        word => word.parse().unwrap_or(Status::Dead),
    }
}

fn health(status_text: &str) -> Option<String> {
    let (_, inside) = status_text.strip_suffix(')')?.rsplit_once('(')?;
    let word = inside.strip_prefix("health: ").unwrap_or(inside);
    ["healthy", "unhealthy", "starting"].contains(&word).then(|| word.to_owned())
}

fn ports(list: &Value) -> Vec<PortMapping> {
    let mut ports: Vec<PortMapping> = Vec::new();
    for port in list.as_array().into_iter().flatten() {
        let private = port["PrivatePort"].as_u64().unwrap_or(0);
        let container = format!("{private}/{}", port["Type"].as_str().unwrap_or("tcp"));
        let mapping = match port["PublicPort"].as_u64() {
            Some(public) => PortMapping {
                host: format!("{}:{public}", port["IP"].as_str().unwrap_or_default()),
                display: format!("{public}:{private}"),
                container,
            },
            None => PortMapping { host: String::new(), display: container.clone(), container },
        };
        // The engine lists IPv4 and IPv6 apart.
        if !ports.iter().any(|known| known.display == mapping.display && known.container == mapping.container)
        {
            ports.push(mapping);
        }
    }
    ports.sort_by_key(|port| port.host.is_empty());
    ports
}

fn mount(mount: &Value) -> Mount {
    let text = |name: &str| mount[name].as_str().unwrap_or_default().to_owned();
    let kind = text("Type");
    let name = if kind == "volume" { text("Name") } else { text("Source") };
    Mount { name, destination: text("Destination"), driver: text("Driver"), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_read_from_dockers_sentence() {
        assert_eq!(health("Up 2 hours (healthy)").as_deref(), Some("healthy"));
        assert_eq!(health("Up 1 second (health: starting)").as_deref(), Some("starting"));
        assert_eq!(health("Up 2 hours (Paused)"), None);
        assert_eq!(health("Exited (0) 3 days ago"), None);
    }

    #[test]
    fn a_linked_container_keeps_its_own_name() {
        assert_eq!(name(&json!({ "Names": ["/web/db", "/db"], "Id": "x" })), "db");
    }
}
