//! Brings back what a container had changed in its own file system, before its new self starts.

use super::{perform::Problem, restore_run::Restore};
use crate::{
    docker,
    model::{backup::ItemState, manifest::ItemKind, progress::Level},
    worker::order::RestoreItem,
};

/// What goes into the new container, and whether there was a warning.
pub(super) async fn plan(restore: &Restore<'_>, id: &str) -> Result<(Option<RestoreItem>, bool), Problem> {
    let item = restore.manifest.items.iter().find(|item| item.kind == ItemKind::Layer);
    let Some(item) = item.filter(|item| item.left_out.is_none()) else { return Ok((None, false)) };
    let outcome = restore.backup.meta.items.iter().find(|outcome| outcome.path == item.path);
    let why = match outcome {
        Some(outcome) if outcome.state == ItemState::Failed => {
            format!("it is not in the backup: {}", outcome.message)
        }
        _ => {
            let engine = &restore.job.app.docker;
            let inspect = engine.inspect(id).await?;
            let image = engine.image(&restore.how.image_id).await?.unwrap_or_default();
            match docker::layer_path(&inspect) {
                Ok(_) if image["RootFS"]["Layers"] != restore.manifest.image["RootFS"]["Layers"] => {
                    "it belongs to an image with other layers".to_owned()
                }
                Ok(_) if !docker::same_layer_form(&inspect, &restore.manifest.container) => {
                    "this engine's storage driver keeps such changes in another form".to_owned()
                }
                Ok(target) => return Ok((Some(RestoreItem { path: item.path.clone(), target }), false)),
                Err(why) => why,
            }
        }
    };
    let text = format!("What the container had changed in its own file system was not brought back: {why}.");
    restore.job.note(Level::Warning, text).await?;
    Ok((None, true))
}
