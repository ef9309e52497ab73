//! Volumes: list, inspect, make, remove.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    client::{Docker, escape},
    error::DockerError,
};

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSummary {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
}

impl Docker {
    /// All volumes.
    pub async fn volumes(&self) -> Result<Vec<VolumeSummary>, DockerError> {
        let answer = self.get("/volumes").await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows = answer["Volumes"].as_array().into_iter().flatten();
        Ok(rows.map(|row| VolumeSummary { name: text(&row["Name"]), driver: text(&row["Driver"]) }).collect())
    }

    /// The raw inspect; `None` when there is none of that name.
    pub async fn volume(&self, name: &str) -> Result<Option<Value>, DockerError> {
        self.find(&format!("/volumes/{}", escape(name))).await
    }

    /// Makes a volume like the inspected one, under another name if given. An existing one is
    /// never taken for it: the engine would silently ignore the other options.
    pub async fn create_volume(&self, inspect: &Value, name: Option<&str>) -> Result<(), DockerError> {
        let name = name.or(inspect["Name"].as_str()).unwrap_or_default();
        if self.volume(name).await?.is_some() {
            return Err(DockerError::Conflict(format!("the volume {name} exists already")));
        }
        let payload = json!({
            "Name": name,
            "Driver": inspect["Driver"].as_str().unwrap_or("local"),
            "DriverOpts": inspect["Options"],
            "Labels": inspect["Labels"],
        });
        self.post("/volumes/create", Some(&payload)).await?;
        Ok(())
    }

    /// Deletes it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        self.delete(&format!("/volumes/{}", escape(name))).await
    }
}

/// Where the files of an inspected volume are on the host; `None` when they are not (network drives,
/// memory, plug-ins).
pub fn data_path(inspect: &Value) -> Option<PathBuf> {
    let given = |name: &str| inspect["Options"][name].as_str().is_some_and(|value| !value.is_empty());
    match bind_device(inspect) {
        Some(device) => Some(device),
        None if inspect["Driver"] != "local" || given("type") || given("device") => None,
        None => inspect["Mountpoint"].as_str().map(PathBuf::from),
    }
}

/// The host directory that a volume only points to; the engine mounts it while a container uses it.
pub fn bind_device(inspect: &Value) -> Option<PathBuf> {
    let options = inspect["Options"]["o"].as_str().unwrap_or_default();
    let bind = options.split(',').any(|option| option == "bind" || option == "rbind");
    let device = inspect["Options"]["device"].as_str().map(PathBuf::from);
    device.filter(|_| bind && inspect["Driver"] == "local")
}
