//! The safety backup: what a restore is about to overwrite, saved before anything of it is touched.

use super::{
    backup_run::{self, Plan, Target},
    perform::{Open, Problem},
    restore_run::{Restore, host_path, overwritten},
    settings,
};
use crate::{
    error::Result,
    model::{
        backup::{State, Trigger},
        manifest::{Item, ItemKind},
        progress::Level,
        run::BackupRequest,
    },
    worker::order::{Failure, FailureKind},
};

/// What to save; `None` when nothing is overwritten. With the settings of the container that is replaced, else
/// with those of the backup: there is no container to ask.
pub(super) async fn plan(restore: &Restore<'_>) -> Result<Option<Plan>> {
    let names: Vec<String> = overwritten(&restore.review).iter().map(|plan| plan.target.clone()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let mut plan = if restore.review.existing_container.is_some() {
        let request = BackupRequest {
            container: restore.review.name.clone(),
            consistency: None,
            include_image: false,
            include_layer: true,
            volumes: Some(names),
            note: String::new(),
            storage: None,
            schedule: None,
        };
        backup_run::plan(restore.job, &request).await?
    } else {
        let mut manifest = restore.manifest.clone();
        manifest.created = chrono::Utc::now();
        manifest.container_name.clone_from(&restore.review.name);
        manifest.server_name = settings::server_name(&restore.job.app).await?;
        manifest.items.retain(|item| item.kind == ItemKind::Settings);
        Plan { manifest, sources: Vec::new() }
    };
    let container = plan.manifest.container_name.clone();
    for item in plan.manifest.items.iter_mut().filter(|item| item.kind == ItemKind::Settings) {
        item.path = format!("{container}/backup.json");
    }
    // Every single one, also where the container that is replaced does not mount it.
    for (index, data) in overwritten(&restore.review).into_iter().enumerate() {
        if plan.sources.iter().any(|(path, _)| {
            plan.manifest.items.iter().any(|item| item.path == *path && item.name == data.target)
        }) {
            continue;
        }
        let volume = data.kind == "volume";
        let host = host_path(restore, volume, &data.target).await?;
        // A single file stands in a directory of its own, under its own name.
        let file = data.path.split('/').nth(3).map(|name| format!("/{name}")).unwrap_or_default();
        let path = if volume {
            format!("{container}/volumes/{}", data.target)
        } else {
            format!("{container}/binds/overwritten-{index}{file}")
        };
        plan.manifest.items.retain(|item| item.name != data.target);
        plan.manifest.items.push(Item {
            kind: if volume { ItemKind::Volume } else { ItemKind::Bind },
            name: data.target.clone(),
            path: path.clone(),
            destination: Some(data.destination.clone()).filter(|path| !path.is_empty()),
            left_out: None,
        });
        plan.sources.push((path, host));
    }
    Ok(Some(plan))
}

/// Saves it. A restore that cannot do this does not begin.
pub(super) async fn write(restore: &Restore<'_>, plan: &Plan) -> Result<(), Problem> {
    let job = restore.job;
    job.step("Backing up what is overwritten");
    let target = Target {
        storage: job.app.vaults.chosen(),
        trigger: Trigger::Safety,
        note: format!("before restore {}", job.run.id),
        image: false,
        schedule: None,
    };
    let backup = backup_run::write(job, plan, target, &mut Open).await?;
    if matches!(backup.meta.state, State::Partial | State::Unfinished) {
        return Err(Problem::Worker(Failure {
            kind: FailureKind::Other,
            message: "What would be overwritten could not be backed up completely, so nothing was touched. \
                      Restore without a safety backup if you are sure."
                .to_owned(),
            detail: String::new(),
        }));
    }
    let text = format!("What is overwritten was backed up as {}.", backup.filename());
    job.note(Level::Info, text).await?;
    Ok(())
}
