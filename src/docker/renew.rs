//! A container made again beside its old self on the same engine: it keeps its
//! anonymous volumes, and takes the new defaults of a newer image.

use serde_json::{Value, json};

use super::{client::Docker, error::DockerError, payload::anonymous};

/// Fields of `Config` that come from the image unless the user sets them.
const DEFAULTS: [&str; 7] = ["Cmd", "Entrypoint", "WorkingDir", "User", "StopSignal", "Healthcheck", "Shell"];

/// Names the anonymous volumes of an inspected container in its settings, so that the next one mounts
/// the same ones. Compose does it in the same way.
pub fn pin_anonymous(container: &mut Value, engine: &Value) {
    for (name, path) in anonymous(container, engine) {
        let mounts = container["Mounts"].as_array().into_iter().flatten();
        let read_only = mounts
            .filter(|mount| mount["Destination"] == path.as_str())
            .any(|mount| mount["RW"].as_bool() == Some(false));
        let host = &mut container["HostConfig"];
        // Made with --mount: the volume's place is there already, only without a name.
        let listed = host["Mounts"].as_array_mut().into_iter().flatten();
        if let Some(mount) = listed.into_iter().find(|mount| mount["Target"] == path.as_str()) {
            mount["Source"] = json!(name);
            continue;
        }
        let bind = json!(format!("{name}:{path}{}", if read_only { ":ro" } else { "" }));
        match host["Binds"].as_array_mut() {
            Some(binds) => binds.push(bind),
            None => host["Binds"] = json!([bind]),
        }
    }
}

/// Replaces what the old image had given to a container by what the new one gives; what the user
/// had set stays. The engine adds the rest.
pub fn take_defaults(container: &mut Value, old: &Value, new: &Value) {
    let (old, new) = (&old["Config"], &new["Config"]);
    let config = &mut container["Config"];
    // An own entry point makes the image's command meaningless: keep both.
    let own_entrypoint = config["Entrypoint"] != old["Entrypoint"];
    for field in DEFAULTS {
        if config[field] == old[field] && !(field == "Cmd" && own_entrypoint) {
            config[field] = new[field].clone();
        }
    }
    if let Some(env) = config["Env"].as_array_mut() {
        let given = old["Env"].as_array().cloned().unwrap_or_default();
        env.retain(|entry| !given.contains(entry));
    }
    for field in ["Labels", "ExposedPorts", "Volumes"] {
        if let Some(map) = config[field].as_object_mut() {
            map.retain(|key, value| old[field][key] != *value || old[field].get(key).is_none());
        }
    }
}

impl Docker {
    /// Names of containers that live in the network of this one.
    pub async fn network_guests(&self, id: &str) -> Result<Vec<String>, DockerError> {
        let list = self.get("/containers/json?all=1").await?;
        let mode = format!("container:{id}");
        let guests = list.as_array().into_iter().flatten();
        let guests = guests.filter(|row| row["HostConfig"]["NetworkMode"] == mode.as_str());
        let name = |row: &Value| Some(row["Names"][0].as_str()?.trim_start_matches('/').to_owned());
        Ok(guests.filter_map(name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_volumes_are_named_where_they_are_mounted() {
        let (first, second) = ("a".repeat(64), "b".repeat(64));
        let mut container = json!({
            "HostConfig": { "Binds": ["named:/n"], "Mounts": [{ "Type": "volume", "Source": "", "Target": "/two" }] },
            "Mounts": [
                { "Type": "volume", "Name": "named", "Destination": "/n", "RW": true },
                { "Type": "volume", "Name": first, "Destination": "/one", "RW": true },
                { "Type": "volume", "Name": second, "Destination": "/two", "RW": true },
            ],
        });
        pin_anonymous(&mut container, &Value::Null);
        assert_eq!(container["HostConfig"]["Binds"], json!(["named:/n", format!("{first}:/one")]));
        assert_eq!(container["HostConfig"]["Mounts"][0]["Source"], second.as_str());
    }

    #[test]
    fn the_users_settings_outlive_the_image() {
        let old =
            json!({ "Config": { "Cmd": ["old"], "Env": ["A=1", "B=1"], "Labels": { "v": "1", "k": "x" } } });
        let new = json!({ "Config": { "Cmd": ["new"], "Env": ["A=2"], "Labels": { "v": "2" } } });
        let mut container = json!({ "Config": {
            "Cmd": ["old"], "Env": ["A=1", "B=mine"], "Labels": { "v": "1", "k": "mine" }, "User": "me",
        } });
        take_defaults(&mut container, &old, &new);
        assert_eq!(container["Config"]["Cmd"], json!(["new"]));
        assert_eq!(container["Config"]["Env"], json!(["B=mine"]));
        assert_eq!(container["Config"]["Labels"], json!({ "k": "mine" }));
        assert_eq!(container["Config"]["User"], "me");
    }
}
