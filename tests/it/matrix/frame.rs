//! The round trip that every container of the matrix takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use serde_json::{Value, json};

use super::normal::{self, Known};
use crate::harness::{App, Bench, run, wait_for};

/// Containers that take the round trip together, in the order in which they are restored.
pub(super) struct Matrix {
    pub(super) bench: Bench,
    containers: Vec<String>,
    /// Containers whose image is gone: the new one has another id.
    flattened: Vec<String>,
}

/// What was there before, as the test reads it.
struct Before {
    containers: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
    networks: BTreeMap<String, Value>,
    tags: BTreeMap<String, String>,
}

impl Matrix {
    pub(super) fn new() -> Self {
        Self { bench: Bench::new(), containers: Vec::new(), flattened: Vec::new() }
    }

    /// `docker run -d` of the test image.
    pub(super) fn run(&mut self, name: &str, options: &[&str], command: &[&str]) -> String {
        let name = self.bench.run(name, options, command);
        self.containers.push(name.clone());
        name
    }

    /// `docker create` of the test image.
    pub(super) fn create(&mut self, name: &str, options: &[&str], command: &[&str]) -> String {
        let name = self.bench.create(name, options, command);
        self.containers.push(name.clone());
        name
    }

    /// `docker run -d` of another image, with nothing added but the label.
    pub(super) fn run_image(
        &mut self,
        name: &str,
        image: &str,
        options: &[&str],
        command: &[&str],
    ) -> String {
        let (name, label) = (self.bench.name(name), self.bench.label().to_owned());
        let mut all = vec!["run", "-d", "--name", &name, "--label", &label];
        all.extend(options);
        all.push(image);
        all.extend(command);
        self.bench.docker(&all);
        self.containers.push(name.clone());
        name
    }

    /// Creates and starts one through the API, for what the command line cannot say.
    pub(super) fn api(&mut self, name: &str, mut body: Value) -> String {
        let name = self.bench.name(name);
        let (key, value) = self.bench.label().split_once('=').unwrap();
        body["Labels"][key] = json!(value);
        if body["Image"].is_null() {
            body["Image"] = json!(self.bench.image());
        }
        let (status, answer) = engine("POST", &format!("/containers/create?name={name}"), &body);
        assert_eq!(status, 201, "{name}: {answer}");
        let (status, answer) = engine("POST", &format!("/containers/{name}/start"), &Value::Null);
        assert_eq!(status, 204, "{name}: {answer}");
        self.containers.push(name.clone());
        name
    }

    /// An image made of the test image by these instructions; returns its name.
    pub(super) fn image(&self, name: &str, instructions: &[&str]) -> String {
        let (container, image) =
            (self.bench.create(&format!("{name}-base"), &[], &[]), self.bench.name(name));
        let changes = instructions.iter().flat_map(|instruction| ["-c", instruction]);
        let all: Vec<&str> = ["commit"].into_iter().chain(changes).chain([&*container, &*image]).collect();
        self.bench.docker(&all);
        self.bench.docker(&["rm", "-v", &container]);
        image
    }

    /// Its image is gone; what comes back has another id.
    pub(super) fn flattened(&mut self, container: &str) {
        self.flattened.push(container.to_owned());
    }

    /// Backs all up, deletes all, restores all, compares all. `between` runs while nothing is there.
    pub(super) fn round_trip(&self, between: impl FnOnce(&Bench)) {
        let app = App::start();
        let admin = app.admin();
        let before = self.look();
        let mut problems = Vec::new();
        let asked: Vec<String> = self
            .containers
            .iter()
            .map(|name| {
                let answer = admin.post(&format!("/api/backup/{name}"), &json!({})).expect(202);
                answer["progress_id"].as_str().unwrap().to_owned()
            })
            .collect();
        let mut backups = BTreeMap::new();
        for (name, run) in self.containers.iter().zip(asked) {
            let ended = admin.finished(&run);
            if ended["status"] != "complete" {
                problems.push(format!("{name}: the backup is {ended:#}"));
            }
            backups.insert(name, ended["backup_id"].as_str().unwrap_or_default().to_owned());
        }
        self.delete(&before);
        between(&self.bench);
        for name in &self.containers {
            // What an earlier restore of this list has brought back is kept as it is.
            let options = json!({ "overwrite_volumes": false, "filename": backups[name] });
            let answer = admin.post("/api/restore-backup", &options);
            if answer.status != 202 {
                problems.push(format!("{name}: the restore was refused: {}", answer.text));
                continue;
            }
            let ended = admin.finished(answer.expect(202)["progress_id"].as_str().unwrap());
            if ended["status"] != "complete" {
                problems.push(format!("{name}: the restore is {ended:#}"));
            }
        }
        self.compare(&before, &mut problems);
        assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    }

    fn look(&self) -> Before {
        let inspect = |kind: &str, name: &str| -> Value {
            let text = run("docker", &[kind, "inspect", name]);
            serde_json::from_str::<Value>(&text).unwrap()[0].clone()
        };
        let containers: BTreeMap<String, Value> =
            self.containers.iter().map(|name| (name.clone(), self.bench.inspect(name))).collect();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for container in containers.values() {
            names.extend(normal::networks(container));
        }
        let networks = names.into_iter().map(|name| (name.clone(), inspect("network", &name))).collect();
        let owned: BTreeSet<String> = containers.values().flat_map(normal::volumes).collect();
        let volumes = owned.into_iter().map(|name| (name.clone(), inspect("volume", &name))).collect();
        Before { containers, volumes, networks, tags: self.tags() }
    }

    /// What the image names of this test mean.
    fn tags(&self) -> BTreeMap<String, String> {
        let filter = format!("label={}", self.bench.label());
        let list = run(
            "docker",
            &["images", "--no-trunc", "--filter", &filter, "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"],
        );
        let rows = list.lines().filter_map(|line| line.split_once(' '));
        rows.map(|(name, id)| (name.to_owned(), id.to_owned()))
            .filter(|(name, _)| !name.contains("<none>"))
            .collect()
    }

    fn delete(&self, before: &Before) {
        let paused = before.containers.iter().filter(|(_, inspect)| inspect["State"]["Paused"] == true);
        for (name, _) in paused {
            self.bench.docker(&["unpause", name]);
        }
        let names: Vec<&str> = self.containers.iter().map(String::as_str).collect();
        self.bench.docker(&[&["rm", "-f", "-v"], &names[..]].concat());
        // `--rm` containers are removed a moment later.
        wait_for("the containers to be gone", || {
            names.iter().all(|name| !self.bench.exists("container", name)).then_some(())
        });
        let volumes = before.volumes.keys().filter(|name| self.bench.exists("volume", name));
        for volume in volumes {
            self.bench.docker(&["volume", "rm", volume]);
        }
        for network in before.networks.keys() {
            self.bench.docker(&["network", "rm", network]);
        }
    }

    fn compare(&self, before: &Before, problems: &mut Vec<String>) {
        let missing: Vec<&String> =
            self.containers.iter().filter(|name| !self.bench.exists("container", name)).collect();
        if !missing.is_empty() {
            problems.push(format!("{missing:?} are not there"));
            return;
        }
        let after = self.look();
        let (old, new) = (self.known(before), self.known(&after));
        for name in &self.containers {
            let mut was = normal::container(&before.containers[name], &old);
            let now = normal::container(&after.containers[name], &new);
            if self.flattened.contains(name) {
                assert_ne!(was["Image"], now["Image"]);
                was["Image"] = now["Image"].clone();
            }
            problems.extend(normal::differences(name, &was, &now));
        }
        for (kind, was, now) in
            [("volume", &before.volumes, &after.volumes), ("network", &before.networks, &after.networks)]
        {
            let plain = |all: &BTreeMap<String, Value>, known: &Known| -> BTreeMap<String, Value> {
                all.iter().map(|(name, inspect)| (known.text(name), normal::other(inspect, known))).collect()
            };
            let (was, now) = (plain(was, &old), plain(now, &new));
            let names: BTreeSet<_> = was.keys().chain(now.keys()).collect();
            for name in names {
                let of = |all: &BTreeMap<String, Value>| all.get(name).cloned().unwrap_or_default();
                problems.extend(normal::differences(&format!("{kind} {name}"), &of(&was), &of(&now)));
            }
        }
        // Names of images that no container uses cannot come back on a host that lost them.
        let used: BTreeSet<&str> =
            before.containers.values().filter_map(|inspect| inspect["Image"].as_str()).collect();
        let mut tags = before.tags.clone();
        tags.retain(|name, id| used.contains(id.as_str()) || after.tags.contains_key(name));
        if tags != after.tags {
            problems.push(format!("image names: {tags:#?} became {:#?}", after.tags));
        }
    }

    fn known(&self, all: &Before) -> Known {
        let mut known = Known::default();
        for (name, inspect) in &all.networks {
            known.add(inspect["Id"].as_str().unwrap(), format!("<network {name}>"));
        }
        for name in &self.containers {
            let inspect = &all.containers[name];
            let id = inspect["Id"].as_str().unwrap();
            known.add(id, format!("<id of {name}>"));
            known.add(&id[..12], format!("<short id of {name}>"));
            for (volume, path) in normal::anonymous(inspect) {
                known.add(&volume, format!("<anonymous {name}:{path}>"));
            }
        }
        known
    }
}

/// One call to the engine, past everything that is tested.
pub(super) fn engine(method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut socket = UnixStream::connect("/var/run/docker.sock").unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        socket,
        "{method} /v1.41{path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}
