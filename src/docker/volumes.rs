//! Volumes: list, inspect, make, remove.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use chrono::{DateTime, Utc};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    client::{Docker, escape, json as read_json},
    error::DockerError,
};

/// How long the engine may take to measure all volumes.
const MEASURE: Duration = Duration::from_mins(30);

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSummary {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Where the engine keeps it.
    pub mountpoint: String,
    /// When it was made; some drivers do not tell.
    pub created: Option<DateTime<Utc>>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where its files are on this host, see [`data_path`].
    pub data: Option<PathBuf>,
}

impl Docker {
    /// All volumes.
    pub async fn volumes(&self) -> Result<Vec<VolumeSummary>, DockerError> {
        let answer = self.get("/volumes").await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows = answer["Volumes"].as_array().into_iter().flatten();
        Ok(rows
            .map(|row| VolumeSummary {
                name: text(&row["Name"]),
                driver: text(&row["Driver"]),
                mountpoint: text(&row["Mountpoint"]),
                created: row["CreatedAt"].as_str().and_then(|at| at.parse().ok()),
                labels: serde_json::from_value(row["Labels"].clone()).unwrap_or_default(),
                data: data_path(row),
            })
            .collect())
    }

    /// Bytes that each volume takes. The engine walks through all of them: minutes on a full host.
    pub async fn volume_sizes(&self) -> Result<HashMap<String, u64>, DockerError> {
        // Older engines measure images and containers too, and can't be asked for less.
        let path = if self.api().await? >= 42 { "/system/df?type=volume" } else { "/system/df" };
        let answer = read_json(self.call(Method::GET, path, None, MEASURE).await?).await?;
        let rows = answer["Volumes"].as_array().into_iter().flatten();
        let size = |row: &Value| Some((row["Name"].as_str()?.to_owned(), row["UsageData"]["Size"].as_u64()?));
        Ok(rows.filter_map(size).collect())
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
            return Err(DockerError::Conflict(format!("The volume {name} exists already.")));
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
