//! Doing a backup: look at the container, plan, keep it still, let a worker
//! write it into the vault, bring the container back.

use super::{
    host_paths,
    perform::{self, Gatekeeper, Job, Problem},
    quiesce, settings, vaults,
};
use crate::{
    db,
    docker::{self, Surroundings},
    error::Result,
    model::{
        backup::{Backup, ItemState, Kind, State as BackupState, Trigger},
        container::Container,
        manifest::{Consistency, FORMAT, Item, ItemKind, Manifest},
        names::ScheduleId,
        run::{BackupRequest, Outcome, State},
        vault::Storage,
    },
    worker::order::{Answer, BackupTask, Gate, Task},
};

/// What goes into a backup and where its data is.
pub(super) struct Plan {
    pub(super) manifest: Manifest,
    /// Item path and host path.
    pub(super) sources: Vec<(String, std::path::PathBuf)>,
}

/// Where a backup goes, and what is said of it.
pub(super) struct Target {
    pub(super) storage: Storage,
    pub(super) trigger: Trigger,
    pub(super) note: String,
    /// Whether the image goes in.
    pub(super) image: bool,
    /// The schedule that asked for it.
    pub(super) schedule: Option<ScheduleId>,
}

/// Does the run. What it stops is in its journal and brought back by who calls this.
pub(super) async fn run(job: &Job, request: &BackupRequest) -> Result<Outcome, Problem> {
    job.step("Looking at the container");
    let plan = plan(job, request).await?;
    let image =
        plan.manifest.items.iter().any(|item| item.kind == ItemKind::Image && item.left_out.is_none());
    let mut rest = Rest { job, manifest: &plan.manifest };
    let target = Target {
        storage: request.storage.unwrap_or_else(|| job.app.vaults.chosen()),
        trigger: job.run.trigger,
        note: request.note.clone(),
        image,
        schedule: request.schedule.clone(),
    };
    let backup = write(job, &plan, target, &mut rest).await?;
    Ok(outcome(&backup))
}

/// Lets a worker write a planned backup, and puts it into the catalog.
pub(super) async fn write(
    job: &Job,
    plan: &Plan,
    target: Target,
    gates: &mut dyn Gatekeeper,
) -> Result<Backup, Problem> {
    let container = plan.manifest.container["Id"].as_str().unwrap_or_default();
    let task = BackupTask {
        trigger: target.trigger,
        note: target.note,
        schedule: target.schedule,
        sources: plan.sources.clone(),
        image_of: target.image.then(|| container.to_owned()),
        spool: job.app.config.tmp_dir().join(job.run.id.as_str()),
        manifest: plan.manifest.clone(),
    };
    let spool = task.spool.clone();
    let heard = job.work_in(target.storage, Task::Backup(Box::new(task)), gates).await;
    // A killed worker cannot tidy up itself.
    let _ = std::fs::remove_dir_all(&spool);
    let Answer::Backup(backup) = heard.map_err(Problem::Worker)?.answer else {
        return Err(Problem::Worker(vaults::unexpected()));
    };
    let (row, manifest) = (backup.clone(), plan.manifest.clone());
    let kept = job.app.db.write(move |c| {
        db::backups::upsert(c, &row)?;
        db::backups::keep_manifest(c, &row, &manifest)
    });
    kept.await?;
    Ok(*backup)
}

/// Brings the data to rest in the moment before it is read: the image is out of the engine by then.
struct Rest<'a> {
    job: &'a Job,
    manifest: &'a Manifest,
}

#[async_trait::async_trait]
impl Gatekeeper for Rest<'_> {
    async fn pass(&mut self, gate: Gate) -> Result<()> {
        if gate != Gate::Read || self.manifest.consistency == Consistency::Live {
            return Ok(());
        }
        self.job.step("Bringing the data to rest");
        let app = &self.job.app;
        let all = app.docker.containers().await?;
        let data = self.manifest.items.iter().filter(|item| is_data(item)).map(|item| item.name.clone());
        let still = still(&all, &self.manifest.container_name, &data.collect::<Vec<_>>());
        let mut journal = self.job.run.journal.clone();
        quiesce::quiesce(app, &self.job.run.id, &mut journal, &still, self.manifest.consistency).await
    }
}

fn is_data(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Volume | ItemKind::Bind) && item.left_out.is_none()
}

/// The container itself, and others that write to the same data.
fn still<'a>(all: &'a [Container], name: &str, data: &[String]) -> Vec<&'a Container> {
    let mut still = quiesce::users_of(all, data);
    let itself = all.iter().find(|container| {
        container.name == name && container.status == crate::model::container::Status::Running
    });
    if let Some(itself) = itself
        && !still.iter().any(|container| container.id == itself.id)
    {
        still.insert(0, itself);
    }
    still
}

/// Looks at the container as it is now and plans every item.
pub(super) async fn plan(job: &Job, request: &BackupRequest) -> Result<Plan> {
    let app = &job.app;
    let capture = app.docker.capture(&request.container).await?;
    let label = capture.container["Config"]["Labels"]["container-monkey.consistency"].as_str();
    let by_label = label.and_then(|word| word.parse().ok()).unwrap_or_default();
    let around = Surroundings {
        own_data: app.place().await?.data_on_host(&app.config.data),
        kinds: host_paths::probe(app, docker::bind_sources(&capture)).await?,
    };
    let (mut items, mut sources) = docker::plan_items(&capture, &around);
    for item in &mut items {
        let chosen = match item.kind {
            ItemKind::Image => request.include_image,
            ItemKind::Layer => request.include_layer,
            ItemKind::Volume | ItemKind::Bind => {
                request.volumes.as_ref().is_none_or(|volumes| volumes.contains(&item.name))
            }
            ItemKind::Settings => true,
        };
        if !chosen {
            item.left_out.get_or_insert_with(|| "not chosen for this backup".to_owned());
        }
    }
    sources.retain(|(path, _)| items.iter().any(|item| item.path == *path && item.left_out.is_none()));
    let manifest = Manifest {
        format: FORMAT,
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        server_name: settings::server_name(app).await?,
        created: chrono::Utc::now(),
        kind: Kind::Container,
        container_name: request.container.clone(),
        consistency: request.consistency.unwrap_or(by_label),
        container: capture.container,
        image: capture.image,
        networks: capture.networks,
        volumes: capture.volumes,
        engine: capture.engine,
        items,
    };
    Ok(Plan { manifest, sources })
}

/// What the run says about the backup it made.
pub(super) fn outcome(backup: &Backup) -> Outcome {
    let failed: Vec<_> = backup.meta.items.iter().filter(|item| item.state == ItemState::Failed).collect();
    let error = (!failed.is_empty()).then(|| {
        let parts: Vec<_> = failed.iter().map(|item| format!("{}: {}", item.path, item.message)).collect();
        format!("Parts of the container are not in this backup. {}", parts.join(" "))
    });
    let state = match backup.meta.state {
        BackupState::Complete => State::Complete,
        BackupState::CompleteWithWarnings => State::CompleteWithWarnings,
        BackupState::Partial | BackupState::Unfinished => State::Partial,
    };
    Outcome {
        error,
        backup_id: Some(backup.id.clone()),
        backup_filename: Some(backup.filename()),
        bytes: backup.size,
        ..perform::done(state)
    }
}
