//! The equivalent command and compose file of a network.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{compose, quote};
use crate::model::manifest::Manifest;

/// `docker network create`, one option a line.
pub(super) fn command(manifest: &Manifest) -> String {
    let network = manifest.networks.first().unwrap_or(&Value::Null);
    let mut command = "docker network create".to_owned();
    let mut add = |flag: &str, value: String| {
        let value = if value.is_empty() { value } else { format!(" {}", quote(&value)) };
        let _ = write!(command, " \\\n  {flag}{value}");
    };
    let from = network["ConfigFrom"]["Network"].as_str().filter(|from| !from.is_empty());
    if network["ConfigOnly"] == true {
        add("--config-only", String::new());
    } else {
        add("--driver", text(&network["Driver"]));
    }
    if let Some(from) = from {
        add("--config-from", from.to_owned());
    } else {
        let flags = [("Internal", "--internal"), ("Attachable", "--attachable"), ("EnableIPv6", "--ipv6")];
        for (field, flag) in flags {
            if network[field] == true {
                add(flag, String::new());
            }
        }
        let ipam = &network["IPAM"];
        if let Some(driver) = ipam["Driver"].as_str().filter(|driver| !["", "default"].contains(driver)) {
            add("--ipam-driver", driver.to_owned());
        }
        pairs(&ipam["Options"], |pair| add("--ipam-opt", pair));
        for config in ipam["Config"].as_array().into_iter().flatten() {
            let parts = [("Subnet", "--subnet"), ("IPRange", "--ip-range"), ("Gateway", "--gateway")];
            for (field, flag) in parts {
                if let Some(value) = config[field].as_str().filter(|value| !value.is_empty()) {
                    add(flag, value.to_owned());
                }
            }
            pairs(&config["AuxiliaryAddresses"], |pair| add("--aux-address", pair));
        }
        pairs(&network["Options"], |pair| add("--opt", pair));
    }
    pairs(&network["Labels"], |pair| add("--label", pair));
    let _ = write!(command, " \\\n  {}", quote(&manifest.container_name));
    command
}

/// The network in a compose file, under its own name.
pub(super) fn compose_file(manifest: &Manifest) -> String {
    let network = manifest.networks.first().unwrap_or(&Value::Null);
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(manifest.container_name));
    body.insert("driver".to_owned(), network["Driver"].clone());
    for (field, key) in
        [("Internal", "internal"), ("Attachable", "attachable"), ("EnableIPv6", "enable_ipv6")]
    {
        if network[field] == true {
            body.insert(key.to_owned(), json!(true));
        }
    }
    let filled = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
    if filled(&network["Options"]) {
        body.insert("driver_opts".to_owned(), network["Options"].clone());
    }
    let subnets: Vec<Value> =
        network["IPAM"]["Config"].as_array().into_iter().flatten().map(subnet).collect();
    if !subnets.is_empty() {
        let mut ipam = Map::from_iter([("config".to_owned(), json!(subnets))]);
        if let Some(driver) = network["IPAM"]["Driver"].as_str().filter(|driver| *driver != "default") {
            ipam.insert("driver".to_owned(), json!(driver));
        }
        if filled(&network["IPAM"]["Options"]) {
            ipam.insert("options".to_owned(), network["IPAM"]["Options"].clone());
        }
        body.insert("ipam".to_owned(), Value::Object(ipam));
    }
    // Compose sets its own labels by itself.
    let labels: Map<String, Value> = network["Labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.starts_with("com.docker.compose."))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !labels.is_empty() {
        body.insert("labels".to_owned(), Value::Object(labels));
    }
    let key = network["Labels"]["com.docker.compose.network"].as_str().unwrap_or(&manifest.container_name);
    compose::yaml(&json!({ "networks": { key: body } }))
}

fn subnet(config: &Value) -> Value {
    let keys = [
        ("Subnet", "subnet"),
        ("IPRange", "ip_range"),
        ("Gateway", "gateway"),
        ("AuxiliaryAddresses", "aux_addresses"),
    ];
    let wanted = keys.into_iter().filter(|(field, _)| {
        !config[*field].is_null() && config[*field] != "" && config[*field] != json!({})
    });
    Value::Object(wanted.map(|(field, key)| (key.to_owned(), config[field].clone())).collect())
}

fn pairs(map: &Value, mut add: impl FnMut(String)) {
    for (key, value) in map.as_object().into_iter().flatten() {
        add(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{backup::Kind, manifest::Consistency};

    #[test]
    fn a_network_is_told_as_command_and_compose_file() {
        let network = json!({
            "Name": "shop_back end", "Driver": "bridge", "Internal": true, "Attachable": false, "EnableIPv6": false,
            "IPAM": { "Driver": "default", "Options": {}, "Config": [
                { "Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1", "AuxiliaryAddresses": { "router": "10.9.0.9" } },
            ]},
            "Options": { "com.docker.network.bridge.name": "br-shop" },
            "Labels": { "com.docker.compose.network": "back", "tier": "it's data" },
        });
        let manifest = Manifest {
            format: 1,
            app_version: String::new(),
            server_name: String::new(),
            created: chrono::DateTime::UNIX_EPOCH,
            kind: Kind::Network,
            container_name: "shop_back end".to_owned(),
            consistency: Consistency::Live,
            container: Value::Null,
            image: Value::Null,
            networks: vec![network],
            volumes: Vec::new(),
            engine: Value::Null,
            items: Vec::new(),
        };
        assert_eq!(
            command(&manifest),
            "docker network create \\\n  --driver bridge \\\n  --internal \\\n  --subnet 10.9.0.0/24 \\\n  \
             --gateway 10.9.0.1 \\\n  --aux-address router=10.9.0.9 \\\n  \
             --opt com.docker.network.bridge.name=br-shop \\\n  --label com.docker.compose.network=back \\\n  \
             --label 'tier=it'\\''s data' \\\n  'shop_back end'"
        );
        let file = compose_file(&manifest);
        for line in ["  back:", "    name: \"shop_back end\"", "    internal: true", "        - "] {
            assert!(file.contains(line.trim_end()), "{line}: {file}");
        }
        assert!(!file.contains("com.docker.compose."), "{file}");
    }
}
