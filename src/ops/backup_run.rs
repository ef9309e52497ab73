//! Doing a backup: look at the container, plan, keep it still, let a worker
//! write it into the vault, bring the container back.

use super::{
    perform::{self, Job, failed, of_failure},
    quiesce, settings, vaults,
};
use crate::{
    db, docker,
    error::Result,
    model::{
        backup::{Backup, ItemState, State as BackupState, Trigger},
        container::Container,
        manifest::{Consistency, FORMAT, Item, ItemKind, Manifest},
        progress::{Level, Note},
        run::{BackupRequest, Journal, Outcome, State},
    },
    worker::order::{Answer, BackupTask, Failure, Task},
};

/// What goes into a backup and where its data is.
pub(super) struct Plan {
    pub(super) manifest: Manifest,
    /// Item path and host path.
    pub(super) sources: Vec<(String, std::path::PathBuf)>,
}

/// Does the run; whatever happens, what it stopped runs again.
pub(super) async fn run(job: &Job, request: &BackupRequest) -> Outcome {
    let mut journal = job.run.journal.clone();
    let outcome = work(job, request, &mut journal).await;
    let released = quiesce::release(&job.app, &job.run.id, &mut journal).await;
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(Problem::Worker(failure)) => of_failure(&failure),
        Err(Problem::Request(error)) => {
            tracing::error!(error = crate::error::chain(&error), "the backup failed");
            failed(error.to_string())
        }
    };
    match released {
        Ok(notes) if notes.is_empty() => {}
        Ok(notes) => {
            if outcome.state == State::Complete {
                outcome.state = State::CompleteWithWarnings;
            }
            outcome.notes.extend(notes);
        }
        Err(error) => outcome.notes.push(Note { level: Level::Error, text: error.to_string() }),
    }
    outcome
}

/// Either side of the work may fail.
enum Problem {
    Request(crate::error::AppError),
    Worker(Failure),
}

impl<E: Into<crate::error::AppError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Request(error.into())
    }
}

async fn work(job: &Job, request: &BackupRequest, journal: &mut Journal) -> Result<Outcome, Problem> {
    let app = &job.app;
    job.step("Looking at the container");
    let plan = plan(job, request).await?;
    let all = app.docker.containers().await?;
    let data: Vec<String> =
        plan.manifest.items.iter().filter(|item| is_data(item)).map(|item| item.name.clone()).collect();
    if plan.manifest.consistency != Consistency::Live {
        job.step("Bringing the data to rest");
        let still = still(&all, &request.container, &data);
        quiesce::quiesce(app, &job.run.id, journal, &still, plan.manifest.consistency).await?;
    }
    let image_of = plan
        .manifest
        .items
        .iter()
        .any(|item| item.kind == ItemKind::Image && item.left_out.is_none())
        .then(|| plan.manifest.container["Id"].as_str().unwrap_or_default().to_owned());
    let task = BackupTask {
        trigger: job.run.trigger,
        note: request.note.clone(),
        sources: plan.sources,
        image_of,
        spool: app.config.tmp_dir().join(job.run.id.as_str()),
        manifest: plan.manifest.clone(),
    };
    let spool = task.spool.clone();
    let answer = job.work(Task::Backup(Box::new(task)), None).await;
    // A killed worker cannot tidy up itself.
    let _ = std::fs::remove_dir_all(&spool);
    let (answer, _) = answer.map_err(Problem::Worker)?;
    let Answer::Backup(backup) = answer else {
        return Err(Problem::Worker(vaults::unexpected()));
    };
    let outcome = outcome(&backup);
    let manifest = plan.manifest;
    app.db
        .write(move |c| {
            db::backups::upsert(c, &backup)?;
            db::backups::keep_manifest(c, &backup.id, &manifest)
        })
        .await?;
    Ok(outcome)
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
    let by_label = match label {
        Some("pause") => Consistency::Pause,
        Some("stop") => Consistency::Stop,
        _ => Consistency::Live,
    };
    let data = std::fs::canonicalize(&app.config.data).unwrap_or_else(|_| app.config.data.clone());
    let (mut items, mut sources) = docker::plan_items(&capture, &data);
    for item in &mut items {
        let chosen = match item.kind {
            ItemKind::Image => request.include_image,
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
fn outcome(backup: &Backup) -> Outcome {
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

/// Backs up what a restore is about to overwrite; a restore that cannot do this does not begin.
pub(super) async fn safety(
    job: &Job,
    manifest: Manifest,
    sources: Vec<(String, std::path::PathBuf)>,
) -> Result<Backup, Failure> {
    let task = BackupTask {
        trigger: Trigger::Safety,
        note: format!("before restore {}", job.run.id),
        sources,
        image_of: None,
        spool: job.app.config.tmp_dir().join(job.run.id.as_str()),
        manifest: manifest.clone(),
    };
    let (answer, _) = job.work(Task::Backup(Box::new(task)), None).await?;
    let Answer::Backup(backup) = answer else { return Err(vaults::unexpected()) };
    let (id, row) = (backup.id.clone(), backup.clone());
    let kept = job
        .app
        .db
        .write(move |c| {
            db::backups::upsert(c, &row)?;
            db::backups::keep_manifest(c, &id, &manifest)
        })
        .await;
    if let Err(error) = kept {
        tracing::error!(error = crate::error::chain(&error), "the catalog could not be written");
    }
    Ok(*backup)
}
