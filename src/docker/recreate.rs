//! Creating a container from its manifest.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    client::{Docker, escape},
    error::DockerError,
    images::split,
    payload::{self, Payload, Target},
};
use crate::model::{
    manifest::Manifest,
    progress::{Level, Note},
    restore::Recreate,
};

/// A container that was created, not started.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// Anonymous volumes: the old one's name to the new one's.
    pub anonymous: BTreeMap<String, String>,
    /// What could not be done as it was.
    pub notes: Vec<Note>,
}

impl Docker {
    /// Creates the container; its networks, named volumes and image are there already. When it fails
    /// half way, nothing is left of it.
    pub async fn create_container(
        &self,
        manifest: &Manifest,
        how: &Recreate,
    ) -> Result<Created, DockerError> {
        let mut notes = Vec::new();
        let name = manifest.container["Config"]["Image"].as_str().unwrap_or_default();
        let before = self.aim(manifest, &how.image_id).await?;
        let image = if matches!(before, Aim::Unusable) { how.image_id.as_str() } else { name };
        let engine = self.engine().await?;
        let target = Target { api: self.api().await?, version: &engine.version };
        let payload = payload::payload(manifest, how, image, target);
        let created = self.create(&how.name, manifest, &payload, &mut notes).await;
        match before {
            Aim::Moved(other) => self.tag(&other, name).await?,
            Aim::Borrowed => self.take_name(name).await?,
            Aim::Right | Aim::Unusable => {}
        }
        let id = created?;
        let connected = self.settle_networks(&id, &payload, &mut notes).await;
        let anonymous = match connected {
            Ok(()) => self.anonymous_volumes(manifest, &id).await,
            Err(error) => Err(error),
        };
        match anonymous {
            Ok(anonymous) => Ok(Created { id, anonymous, notes }),
            Err(error) => {
                // The error is what matters; a container that stays is removed by the restore's undo.
                let _ = self.remove_container(&id, true, true).await;
                Err(error)
            }
        }
    }

    /// Makes sure that creating from `name` uses the image `id`, so that the new container shows
    /// both the name the user gave and the image it really had.
    async fn aim(&self, manifest: &Manifest, id: &str) -> Result<Aim, DockerError> {
        let name = manifest.container["Config"]["Image"].as_str().unwrap_or_default();
        let by_id = name.starts_with("sha256:")
            || id.strip_prefix("sha256:").is_some_and(|hex| hex.starts_with(name));
        if by_id || name.contains('@') {
            let same = self.image(name).await?.is_some_and(|image| image["Id"] == id);
            return Ok(if same { Aim::Right } else { Aim::Unusable });
        }
        match self.image(name).await? {
            Some(image) if image["Id"] == id => Ok(Aim::Right),
            Some(image) => {
                self.tag(id, name).await?;
                Ok(Aim::Moved(image["Id"].as_str().unwrap_or_default().to_owned()))
            }
            None => {
                self.tag(id, name).await?;
                let had_it = words(&manifest.image["RepoTags"]).any(|tag| same_name(tag, name));
                Ok(if had_it { Aim::Right } else { Aim::Borrowed })
            }
        }
    }

    /// Takes a name from an image that keeps at most its others. Deleting the name could delete the image
    /// (under a container that does not run yet), so an empty image gets it first.
    async fn take_name(&self, name: &str) -> Result<(), DockerError> {
        let empty = self.import_image(futures::stream::empty()).await?;
        self.tag(&empty, name).await?;
        self.delete(&format!("/images/{}", escape(name))).await
    }

    async fn create(
        &self,
        name: &str,
        manifest: &Manifest,
        payload: &Payload,
        notes: &mut Vec<Note>,
    ) -> Result<String, DockerError> {
        let platform = platform(manifest).map(|name| format!("&platform={}", escape(&name)));
        let path = format!("/containers/create?name={}{}", escape(name), platform.unwrap_or_default());
        let mut body = payload.body.clone();
        // Each refusal that names a setting this host lacks costs that setting, and is told.
        for _ in 0..4 {
            let error = match self.post(&path, Some(&body)).await {
                Ok(answer) => {
                    return answer["Id"]
                        .as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| DockerError::Answer("create told no id".to_owned()));
                }
                Err(error) => error,
            };
            let Some(dropped) = drop_refused(&mut body, &error.to_string()) else { return Err(error) };
            notes.push(Note {
                level: Level::Warning,
                text: format!("{dropped} could not be set here and was left out: {error}"),
            });
        }
        Err(DockerError::Refused { status: 400, message: "the settings do not fit this host".to_owned() })
    }

    /// Connects the networks that did not fit into the body, and leaves those that came by default.
    async fn settle_networks(
        &self,
        id: &str,
        payload: &Payload,
        notes: &mut Vec<Note>,
    ) -> Result<(), DockerError> {
        for (network, settings) in &payload.connect {
            let body = json!({ "Container": id, "EndpointConfig": settings });
            let done = self.post(&format!("/networks/{}/connect", escape(network)), Some(&body)).await;
            if let Err(error) = done {
                notes.push(Note {
                    level: Level::Warning,
                    text: format!("It could not be connected to the network {network}: {error}"),
                });
            }
        }
        let mode = payload.body["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
        if mode == "host" || mode == "none" || mode.starts_with("container:") {
            return Ok(());
        }
        let inspect = self.inspect(id).await?;
        let present = inspect["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
        for network in present.keys().filter(|name| !payload.networks.contains(name)) {
            self.disconnect(network, id).await?;
        }
        Ok(())
    }

    async fn anonymous_volumes(
        &self,
        manifest: &Manifest,
        id: &str,
    ) -> Result<BTreeMap<String, String>, DockerError> {
        let old = payload::anonymous(&manifest.container, &manifest.engine);
        if old.is_empty() {
            return Ok(BTreeMap::new());
        }
        let inspect = self.inspect(id).await?;
        let mounts: Vec<&Value> = inspect["Mounts"].as_array().into_iter().flatten().collect();
        let at = |path: &str| mounts.iter().find(|mount| mount["Destination"] == path)?["Name"].as_str();
        Ok(old.into_iter().filter_map(|(name, path)| Some((name, at(&path)?.to_owned()))).collect())
    }
}

/// How an image name stands to the image that is wanted.
enum Aim {
    /// It means that image.
    Right,
    /// It means that image for a moment; then it must mean this other one again.
    Moved(String),
    /// It means that image for a moment; then it must mean nothing again, as in the backup.
    Borrowed,
    /// It cannot mean it; the id must be used.
    Unusable,
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether both are the same name: Docker Hub and `latest` are the defaults.
fn same_name(a: &str, b: &str) -> bool {
    fn full(name: &str) -> (&str, &str) {
        let defaults = ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"];
        let short = defaults.iter().find_map(|default| name.strip_prefix(default));
        split(short.unwrap_or(name))
    }
    full(a) == full(b)
}

/// Only when the image is for another platform than the engine's.
fn platform(manifest: &Manifest) -> Option<String> {
    let engine = manifest.engine["info"]["Architecture"].as_str()?;
    let image = manifest.image["Architecture"].as_str().filter(|name| !name.is_empty())?;
    let same = matches!((engine, image), ("x86_64", "amd64") | ("aarch64", "arm64")) || engine == image;
    (!same).then(|| format!("{}/{image}", manifest.image["Os"].as_str().unwrap_or("linux")))
}

/// Takes the setting out of the body that this refusal is about; tells which.
fn drop_refused(body: &mut Value, message: &str) -> Option<&'static str> {
    let rules: [(&str, &str, &'static str); 7] = [
        ("runtime name", "Runtime", "The runtime"),
        ("logger", "LogConfig", "The log driver"),
        ("log driver", "LogConfig", "The log driver"),
        ("log-opt", "LogConfig", "The log options"),
        ("Range of CPUs", "NanoCpus", "The CPU limit"),
        ("Requested CPUs", "CpusetCpus", "The CPU set"),
        ("cgroup-parent", "CgroupParent", "The parent control group"),
    ];
    let host = body["HostConfig"].as_object_mut()?;
    let (_, field, words) = rules.into_iter().find(|(text, _, _)| message.contains(text))?;
    host.remove(field).map(|_| words)
}
