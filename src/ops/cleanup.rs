//! Removes what jobs left behind in the engine.

use chrono::{Duration, Utc};
use serde_json::json;

use super::{Actor, containers::record};
use crate::{app::App, error::Result};

/// Whoever started a helper has so long to fetch its outcome and remove it.
const GRACE: Duration = Duration::seconds(10);

/// Removes helper containers that do nothing any more, because somebody asked; returns their names.
pub async fn helpers(app: &App, actor: &Actor) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let swept = sweep(app, &mut removed).await;
    let error = swept.as_ref().err().map(ToString::to_string);
    record(app, actor, "cleanup_helpers", "helper containers", error, json!({ "removed": removed })).await?;
    swept?;
    Ok(removed)
}

/// Removes helper containers that do nothing any more; `removed` gets their names.
pub(super) async fn sweep(app: &App, removed: &mut Vec<String>) -> Result<()> {
    let old = Utc::now() - GRACE;
    for helper in app.docker.leftover_helpers().await? {
        if helper.since > old {
            continue;
        }
        match app.docker.remove_container(&helper.id, false, true).await {
            Ok(()) => removed.push(helper.name),
            Err(crate::docker::DockerError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
