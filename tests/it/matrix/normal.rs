//! What of an inspect is the user's: everything but what an engine makes itself. Written without a
//! look at the program's own comparison, and stricter: null, "" and [] are different.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Ids that the engine made, with what they stand for.
#[derive(Default)]
pub(super) struct Known(Vec<(String, String)>);

impl Known {
    /// The first meaning of an id counts: a volume belongs to the first container that has it.
    pub(super) fn add(&mut self, id: &str, meaning: String) {
        if !self.0.iter().any(|(known, _)| known == id) {
            self.0.push((id.to_owned(), meaning));
        }
    }

    /// A text with meanings instead of ids.
    pub(super) fn text(&self, text: &str) -> String {
        let mut longest: Vec<_> = self.0.iter().collect();
        longest.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        longest.into_iter().fold(text.to_owned(), |text, (id, meaning)| text.replace(id, meaning))
    }

    fn value(&self, value: &Value) -> Value {
        serde_json::from_str(&self.text(&value.to_string())).unwrap()
    }
}

/// Names of the networks that are not the engine's own.
pub(super) fn networks(container: &Value) -> BTreeSet<String> {
    let joined = container["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let mut names: BTreeSet<String> = joined.map(|(name, _)| name.clone()).collect();
    let mode = container["HostConfig"]["NetworkMode"].as_str().unwrap();
    if !mode.contains(':') && mode.len() != 64 {
        names.insert(mode.to_owned());
    }
    names.retain(|name| !["bridge", "host", "none", "default"].contains(&name.as_str()));
    names
}

/// Names of the volumes it mounts.
pub(super) fn volumes(container: &Value) -> Vec<String> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    mounts.filter_map(|mount| mount["Name"].as_str().map(str::to_owned)).collect()
}

/// Volumes that the engine named: name and where they are mounted.
pub(super) fn anonymous(container: &Value) -> Vec<(String, String)> {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let given = container["HostConfig"].to_string();
    mounts
        .filter_map(|mount| Some((mount["Name"].as_str()?, mount["Destination"].as_str()?)))
        .filter(|(name, _)| name.len() == 64 && !given.contains(name))
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect()
}

/// A container without what is the engine's.
pub(super) fn container(inspect: &Value, known: &Known) -> Value {
    let mut all = known.value(inspect);
    let own = known.text(inspect["Id"].as_str().unwrap());
    let state = match inspect["State"]["Status"].as_str().unwrap() {
        "created" | "exited" => "not running",
        other => other,
    };
    let fixed = fixed_ports(&all["HostConfig"]["PortBindings"]);
    let mac = all["Config"]["MacAddress"].as_str().is_some_and(|mac| !mac.is_empty());
    let networks = all["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let networks: Map<String, Value> =
        networks.map(|(name, endpoint)| (name.clone(), self::endpoint(endpoint, &own, mac))).collect();
    // The engine tells them in another order each time it is asked.
    if let Some(links) = all["HostConfig"]["Links"].as_array_mut() {
        links.sort_by_key(Value::to_string);
    }
    // A container may be named by its id here, and then has another one.
    for entry in all["HostConfig"]["VolumesFrom"].as_array_mut().into_iter().flatten() {
        *entry = json!(entry.as_str().unwrap().replace("<id of ", "").replace('>', ""));
    }
    // So may a network.
    if let Some(name) = all["HostConfig"]["NetworkMode"].as_str().unwrap().strip_prefix("<network ") {
        all["HostConfig"]["NetworkMode"] = json!(name.trim_end_matches('>'));
    }
    // A guest shows the host name of the container whose network it shares.
    if all["HostConfig"]["NetworkMode"].as_str().unwrap().starts_with("container:") {
        all["Config"]["Hostname"] = Value::Null;
    }
    // Ports that the engine chose are its own; it also lists some of them twice, or not at all.
    let mut ports = all["NetworkSettings"]["Ports"].as_object().cloned().unwrap_or_default();
    for (port, bindings) in &mut ports {
        let listed = bindings.as_array_mut().map(std::mem::take).unwrap_or_default();
        let chosen = |binding: &Value| (port.clone(), binding["HostPort"].as_str().unwrap().to_owned());
        let mut kept: Vec<Value> =
            listed.into_iter().filter(|binding| fixed.contains(&chosen(binding))).collect();
        // In the order in which they were opened.
        kept.sort_by_key(Value::to_string);
        *bindings = json!(kept);
    }
    ports.retain(|_, bindings| bindings.as_array().is_some_and(|bindings| !bindings.is_empty()));
    let mut mounts = all["Mounts"].as_array().cloned().unwrap_or_default();
    mounts.sort_by_key(|mount| mount["Destination"].to_string());
    let fields = all.as_object_mut().unwrap();
    for made in ["Created", "State", "LogPath", "ResolvConfPath", "HostnamePath", "HostsPath", "ExecIDs"] {
        fields.remove(made);
    }
    fields.remove("GraphDriver");
    fields.insert("State".to_owned(), json!(state));
    fields.insert("NetworkSettings".to_owned(), json!({ "Networks": networks, "Ports": ports }));
    fields.insert("Mounts".to_owned(), json!(mounts));
    all
}

/// Host ports that were asked for as one number.
fn fixed_ports(bindings: &Value) -> BTreeSet<(String, String)> {
    let mut fixed = BTreeSet::new();
    for (port, list) in bindings.as_object().into_iter().flatten() {
        for binding in list.as_array().into_iter().flatten() {
            fixed.insert((port.clone(), binding["HostPort"].as_str().unwrap_or_default().to_owned()));
        }
    }
    fixed
}

/// Addresses count only where they were asked for.
fn endpoint(endpoint: &Value, own: &str, mac: bool) -> Value {
    let mut kept = Map::new();
    for field in ["IPAMConfig", "Links", "DriverOpts"] {
        kept.insert(field.to_owned(), endpoint[field].clone());
    }
    // Some calls write {} where others write nothing.
    for value in kept.values_mut().filter(|value| value.as_object().is_some_and(Map::is_empty)) {
        *value = Value::Null;
    }
    let mut aliases: Vec<&str> =
        endpoint["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // The engine's own addition.
    aliases.retain(|alias| *alias != own.replace("<id of", "<short id of"));
    aliases.sort_unstable();
    kept.insert("Aliases".to_owned(), json!(aliases));
    for (asked, address) in [("IPv4Address", "IPAddress"), ("IPv6Address", "GlobalIPv6Address")] {
        if endpoint["IPAMConfig"][asked].is_string() {
            kept.insert(address.to_owned(), endpoint[address].clone());
        }
    }
    if mac {
        kept.insert("MacAddress".to_owned(), endpoint["MacAddress"].clone());
    }
    Value::Object(kept)
}

/// A volume or network without what is the engine's.
pub(super) fn other(inspect: &Value, known: &Known) -> Value {
    let mut all = known.value(inspect);
    let fields = all.as_object_mut().unwrap();
    for made in ["Created", "CreatedAt", "Containers", "Status"] {
        fields.remove(made);
    }
    all
}

/// Every leaf that is not the same.
pub(super) fn differences(of: &str, was: &Value, now: &Value) -> Vec<String> {
    let (was, now) = (leaves(was), leaves(now));
    let paths: BTreeSet<_> = was.keys().chain(now.keys()).collect();
    let absent = "(absent)".to_owned();
    paths
        .into_iter()
        .filter(|path| was.get(*path) != now.get(*path))
        .map(|path| {
            let (was, now) = (was.get(path).unwrap_or(&absent), now.get(path).unwrap_or(&absent));
            format!("{of}: {path} was {was}, is {now}")
        })
        .collect()
}

fn leaves(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect("", value, &mut found);
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| collect(&format!("{path}/{key}"), value, found));
        }
        Value::Array(list) if !list.is_empty() => {
            let items = list.iter().enumerate();
            items.for_each(|(index, value)| collect(&format!("{path}/{index}"), value, found));
        }
        leaf => drop(found.insert(path.to_owned(), leaf.to_string())),
    }
}
