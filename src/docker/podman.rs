//! Where Podman's answers differ from Docker's. Found on Podman 4.3.

use serde_json::{Value, json};

/// The network that a container is in which asked for `bridge`: under this name its settings are told and taken.
pub(super) const BRIDGE: &str = "podman";

/// Says in Docker's words what Podman says of a container, so that it can be made again, here or by Docker.
pub(super) fn in_dockers_words(container: &mut Value) {
    let limits = container.pointer_mut("/HostConfig/Ulimits").and_then(Value::as_array_mut);
    for limit in limits.into_iter().flatten() {
        // It tells `RLIMIT_NOFILE` and takes `nofile`.
        if let Some(name) = limit["Name"].as_str().and_then(|name| name.strip_prefix("RLIMIT_")) {
            limit["Name"] = json!(name.to_lowercase());
        }
    }
    let own = format!("HOSTNAME={}", container["Config"]["Hostname"].as_str().unwrap_or_default());
    let variables = container.pointer_mut("/Config/Env").and_then(Value::as_array_mut);
    if let Some(variables) = variables
        && variables.iter().any(|variable| variable == "container=podman")
    {
        // It adds these two itself, and tells all of them in any order.
        variables.retain(|variable| *variable != "container=podman" && *variable != own.as_str());
        variables.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_stays() {
        let said = json!({
            "Config": { "Hostname": "web", "Env": ["B=1", "A=2", "HOSTNAME=web"] },
            "HostConfig": { "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": 2 }] },
        });
        let mut container = said.clone();
        in_dockers_words(&mut container);
        assert_eq!(container, said);
    }

    #[test]
    fn what_podman_adds_goes() {
        let mut container = json!({
            "Config": { "Hostname": "0123456789ab", "Env": ["container=podman", "B=1", "HOSTNAME=0123456789ab", "A=2"] },
            "HostConfig": { "Ulimits": [{ "Name": "RLIMIT_NOFILE", "Soft": 1, "Hard": 2 }] },
        });
        in_dockers_words(&mut container);
        assert_eq!(container["Config"]["Env"], json!(["A=2", "B=1"]));
        assert_eq!(container["HostConfig"]["Ulimits"][0]["Name"], "nofile");
    }
}
