//! Endpoint settings: what of an inspected connection to a network is the
//! user's wish, and so is asked for again.

use serde_json::{Map, Value, json};

/// The settings to send for one endpoint. Everything the engine made itself (ids, addresses it
/// chose, generated MAC addresses) is left out. `container` is the inspect they come from, if known.
pub(super) fn wanted(endpoint: &Value, container: Option<&Value>, api: u32) -> Value {
    let mut settings = Map::new();
    let ipam = addresses(&endpoint["IPAMConfig"]);
    if !ipam.is_empty() {
        settings.insert("IPAMConfig".to_owned(), Value::Object(ipam));
    }
    let aliases = aliases(endpoint, container);
    if !aliases.is_empty() {
        settings.insert("Aliases".to_owned(), json!(aliases));
    }
    for field in ["Links", "DriverOpts"] {
        if !is_empty(&endpoint[field]) {
            settings.insert(field.to_owned(), endpoint[field].clone());
        }
    }
    if api >= 48 && endpoint["GwPriority"].as_i64().is_some_and(|priority| priority != 0) {
        settings.insert("GwPriority".to_owned(), endpoint["GwPriority"].clone());
    }
    Value::Object(settings)
}

fn addresses(ipam: &Value) -> Map<String, Value> {
    let given = ipam.as_object().into_iter().flatten();
    given.filter(|(_, value)| !is_empty(value)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Engines before 25 add the short id and the host name to the aliases by themselves.
pub(super) fn aliases(endpoint: &Value, container: Option<&Value>) -> Vec<String> {
    let id = container.and_then(|container| container["Id"].as_str()).unwrap_or_default();
    let hostname =
        container.and_then(|container| container["Config"]["Hostname"].as_str()).unwrap_or_default();
    let listed = endpoint["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut kept: Vec<String> = Vec::new();
    for alias in listed {
        let made = (alias.len() == 12 && id.starts_with(alias)) || alias == hostname;
        if !made && !kept.iter().any(|known| known == alias) {
            kept.push(alias.to_owned());
        }
    }
    kept
}

/// null, "", 0, [], {} and false mean the same to the engine unless a field's rule says otherwise.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}
