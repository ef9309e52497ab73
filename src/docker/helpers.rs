//! Containers that the program itself starts for a job. They end with their job
//! and are removed; this finds those that were left behind.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    client::{Docker, escape},
    containers::HELPER,
    error::DockerError,
};

/// A helper that does nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it ended, or was made if it never started.
    pub since: DateTime<Utc>,
}

impl Docker {
    /// Helpers that are not running. A running one does its job, maybe for another server on this
    /// engine, and ends by itself when that server is gone.
    pub async fn leftover_helpers(&self) -> Result<Vec<Leftover>, DockerError> {
        let filters = json!({ "label": [HELPER], "status": ["created", "exited", "dead"] });
        let list =
            self.get(&format!("/containers/json?all=1&filters={}", escape(&filters.to_string()))).await?;
        let mut found = Vec::new();
        for id in list.as_array().into_iter().flatten().filter_map(|row| row["Id"].as_str()) {
            // Gone meanwhile: somebody tidies up after itself.
            if let Some(inspect) = self.find(&format!("/containers/{}/json", escape(id))).await? {
                found.extend(leftover(&inspect));
            }
        }
        Ok(found)
    }
}

fn leftover(inspect: &Value) -> Option<Leftover> {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let state = &inspect["State"];
    let still = ["created", "exited", "dead"].contains(&state["Status"].as_str()?);
    // A container that never ended says year 1.
    let since = time(&state["FinishedAt"]).max(time(&inspect["Created"]))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    still.then(|| Leftover { id: text(&inspect["Id"]), name: text(&inspect["Name"]), since })
}
