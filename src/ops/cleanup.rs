//! Removes what jobs left behind in the engine.

use chrono::{Duration, Utc};
use serde_json::{Value, json};

use super::{Actor, containers::record};
use crate::{app::App, error::Result};

/// Whoever started a helper has so long to fetch its outcome and remove it.
const GRACE: Duration = Duration::seconds(10);

/// Removes helper containers that do nothing any more; returns their names.
pub async fn helpers(app: &App, actor: &Actor) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let old = Utc::now() - GRACE;
    for helper in app.docker.leftover_helpers().await? {
        if helper.since > old {
            continue;
        }
        match app.docker.remove_container(&helper.id, false, true).await {
            Ok(()) => removed.push(helper.name),
            Err(crate::docker::DockerError::NotFound(_)) => {}
            Err(error) => {
                record(app, actor, "cleanup_helpers", &helper.name, Some(error.to_string()), Value::Null)
                    .await?;
                return Err(error.into());
            }
        }
    }
    record(app, actor, "cleanup_helpers", "helper containers", None, json!({ "removed": removed })).await?;
    Ok(removed)
}
