//! Settings that are not the same in two inspects, in words.

use serde_json::Value;

use super::secret::is_secret;

/// A value in a sentence or line has at most so many characters.
const LONGEST: usize = 200;

/// A setting that is not the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Path in the inspect, `HostConfig.ShmSize`.
    pub field: String,
    /// Value in the backup, or in the earlier one.
    pub was: Value,
    /// Value now, or in the later one.
    pub now: Value,
}

impl Difference {
    /// What a restore says about it. Its log is for many, so values of variables that look secret are not in it.
    pub fn words(&self) -> String {
        let (was, now) = if self.field == "Config.Env" {
            let (was, now) = self.lines(false);
            (format!("{was:?}"), format!("{now:?}"))
        } else {
            (self.was.to_string(), self.now.to_string())
        };
        format!("{} is {}, in the backup it is {}.", self.field, short(&now), short(&was))
    }

    /// What the setting is called.
    pub fn label(&self) -> &str {
        match self.field.as_str() {
            "Config.Image" => "Image",
            "Image" => "Id of the image",
            "Config.Cmd" => "Command",
            "Config.Entrypoint" => "Entry point",
            "Config.Env" => "Environment",
            "Config.ExposedPorts" => "Exposed ports",
            "Config.Healthcheck" => "Health check",
            "Config.Hostname" => "Host name",
            "Config.Labels" | "Labels" => "Labels",
            "Config.User" => "User",
            "Config.WorkingDir" => "Working directory",
            "HostConfig.Binds" => "Binds",
            "HostConfig.CapAdd" => "Capabilities added",
            "HostConfig.CapDrop" => "Capabilities dropped",
            "HostConfig.Devices" => "Devices",
            "HostConfig.LogConfig" => "Logging",
            "HostConfig.Memory" => "Memory limit",
            "HostConfig.NanoCpus" => "CPU limit",
            "HostConfig.NetworkMode" => "Network mode",
            "HostConfig.PortBindings" => "Published ports",
            "HostConfig.Privileged" => "Privileged",
            "HostConfig.RestartPolicy" => "Restart policy",
            "IPAM.Config" => "Subnets",
            field => field.rsplit('.').next().unwrap_or(field),
        }
    }

    /// What is only in the first, and what is only in the second value, a line each. Values of variables that look
    /// secret stand there with `reveal` only.
    pub fn lines(&self, reveal: bool) -> (Vec<String>, Vec<String>) {
        let variables = self.field == "Config.Env";
        let (mut was, mut now) = (self.parts(&self.was), self.parts(&self.now));
        if variables {
            // Docker's command line hands them over in no order.
            was.sort();
            now.sort();
        }
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        let line = |text: &String| match text.split_once('=') {
            Some((name, _)) if variables && !reveal && is_secret(name) => format!("{name}=***"),
            _ => short(text),
        };
        let lines = |list: &[String]| -> Vec<String> { list.iter().map(line).collect() };
        match (only(&was, &now), only(&now, &was)) {
            // The same in another order.
            (gone, new) if gone.is_empty() && new.is_empty() => {
                (vec![short(&lines(&was).join(", "))], vec![short(&lines(&now).join(", "))])
            }
            (gone, new) => (lines(&gone), lines(&new)),
        }
    }

    /// The value piece by piece.
    fn parts(&self, value: &Value) -> Vec<String> {
        let in_order = ["Config.Cmd", "Config.Entrypoint", "Config.Healthcheck"];
        match value {
            Value::Null => Vec::new(),
            Value::Object(ports) if self.field == "HostConfig.PortBindings" => {
                ports.iter().flat_map(|(port, places)| published(port, places)).collect()
            }
            Value::Array(mounts) if self.field == "Mounts" => mounts.iter().map(mount).collect(),
            Value::Array(list) if !in_order.contains(&self.field.as_str()) => list.iter().map(text).collect(),
            Value::Object(fields) if !in_order.contains(&self.field.as_str()) => {
                let line = |(key, value): (&String, &Value)| match value.as_object() {
                    // Exposed ports: the key is all there is.
                    Some(empty) if empty.is_empty() => key.clone(),
                    _ => format!("{key}: {}", text(value)),
                };
                fields.iter().map(line).collect()
            }
            other => vec![text(other)],
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `127.0.0.1:8080 to 80/tcp`.
fn published(port: &str, places: &Value) -> Vec<String> {
    let places = places.as_array().into_iter().flatten();
    let line = |place: &Value| {
        let host = match place["HostPort"].as_str().unwrap_or_default() {
            "" => "any port",
            host => host,
        };
        match place["HostIp"].as_str().unwrap_or_default() {
            "" => format!("{host} to {port}"),
            address => format!("{address}:{host} to {port}"),
        }
    };
    places.map(line).collect()
}

/// `volume data at /data, read only`, of `[destination, type, what, writable, propagation]`.
fn mount(mount: &Value) -> String {
    let read_only = if mount[3] == false { ", read only" } else { "" };
    let propagation = mount[4].as_str().filter(|word| !["", "rprivate"].contains(word));
    let propagation = propagation.map(|word| format!(", {word}")).unwrap_or_default();
    format!("{} {} at {}{read_only}{propagation}", text(&mount[1]), text(&mount[2]), text(&mount[0]))
}

/// For one line: no control characters, not endless.
fn short(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= LONGEST {
        plain.collect()
    } else {
        plain.take(LONGEST - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(field: &str, was: Value, now: Value, reveal: bool) -> (Vec<String>, Vec<String>) {
        Difference { field: field.to_owned(), was, now }.lines(reveal)
    }

    #[test]
    fn only_what_differs_of_a_list_is_told_and_secrets_are_hidden() {
        let was = json!(["A=1", "DB_PASSWORD=old", "C=3"]);
        let now = json!(["A=1", "DB_PASSWORD=new", "B=2", "C=3"]);
        let hidden = lines("Config.Env", was.clone(), now.clone(), false);
        let text = |list: &[&str]| -> Vec<String> { list.iter().map(|&line| line.to_owned()).collect() };
        assert_eq!(hidden, (text(&["DB_PASSWORD=***"]), text(&["B=2", "DB_PASSWORD=***"])));
        let words = Difference { field: "Config.Env".to_owned(), was: was.clone(), now: now.clone() }.words();
        let told = r#"Config.Env is ["B=2", "DB_PASSWORD=***"], in the backup it is ["DB_PASSWORD=***"]."#;
        assert_eq!(words, told);
        assert_eq!(lines("Config.Env", was, now, true).0, ["DB_PASSWORD=old"]);
        // A secret is no secret less in another order.
        let (was, now) = lines("Config.Env", json!(["KEY=1", "A=2"]), json!(["A=2", "KEY=1"]), false);
        assert!(!format!("{was:?}{now:?}").contains("KEY=1"), "{was:?} {now:?}");
        let labels = lines("Config.Labels", json!({ "a": "1", "b": "2" }), json!({ "a": "1" }), false);
        assert_eq!(labels, (text(&["b: 2"]), text(&[])));
    }

    #[test]
    fn ports_mounts_and_commands_read_well() {
        let bound = |port: &str| json!({ "80/tcp": [{ "HostIp": "", "HostPort": port }] });
        let (was, now) = lines("HostConfig.PortBindings", bound("8080"), bound(""), false);
        assert_eq!((was, now), (vec!["8080 to 80/tcp".to_owned()], vec!["any port to 80/tcp".to_owned()]));
        let mount = |write: bool| json!([["/data", "volume", "web", write, ""]]);
        assert_eq!(lines("Mounts", mount(true), mount(false), false).1, ["volume web at /data, read only"]);
        let (was, now) = lines("Config.Cmd", json!(["a", "b"]), json!(["b", "a"]), false);
        assert_eq!((was[0].as_str(), now[0].as_str()), (r#"["a","b"]"#, r#"["b","a"]"#));
        let (_, exposed) = lines("Config.ExposedPorts", Value::Null, json!({ "80/tcp": {} }), false);
        assert_eq!(exposed, ["80/tcp"]);
        assert_eq!(lines("HostConfig.Memory", json!(0), json!(1024), false).1, ["1024"]);
    }
}
