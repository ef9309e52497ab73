//! Doing a restore. The order keeps what exists until the new is known to be
//! good: image, networks and volumes first (they only add), then what uses the
//! data is stopped and saved, the old container is set aside, the new one is
//! made and filled, started and compared, and only then the old one goes.
//! Each step that a crash must not leave undone is in the journal before it is done.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{
    backup_run, backups,
    perform::{Job, done, failed, of_failure},
    quiesce, restores,
    review::{self, DataPlan, Review},
    undo,
};
use crate::{
    error::{AppError, Result},
    model::{
        container::{Action, Container},
        manifest::{Consistency, ItemKind, Manifest},
        progress::Level,
        restore::{Difference, Recreate},
        run::{BackupRequest, Journal, Outcome, RestoreRequest, SetAside, State},
    },
    worker::order::{Answer, Failure, FailureKind, MakePath, RestoreItem, Task},
};

/// How long a container without a health check must stay up to count as started.
const READY: Duration = Duration::from_secs(60);

/// Either side of the work may fail.
pub(super) enum Problem {
    /// Docker, the database, or a decision.
    Request(AppError),
    /// The worker.
    Worker(Failure),
}

impl<E: Into<AppError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Request(error.into())
    }
}

/// Everything known about a restore in hand.
struct Restore<'a> {
    job: &'a Job,
    manifest: Manifest,
    backup: String,
    review: Review,
    how: Recreate,
    journal: Journal,
}

/// Does the run. What it began and could not finish is undone.
pub(super) async fn run(job: &Job, request: &RestoreRequest) -> Outcome {
    let mut journal = job.run.journal.clone();
    let outcome = match prepare(job, request).await {
        Ok(mut restore) => {
            let outcome = work(&mut restore, request).await;
            journal = restore.journal;
            outcome
        }
        Err(problem) => Err(problem),
    };
    let problem = match outcome {
        Ok(outcome) => return outcome,
        Err(problem) => problem,
    };
    let mut outcome = match problem {
        Problem::Worker(failure) => of_failure(&failure),
        Problem::Request(error) => {
            tracing::error!(error = crate::error::chain(&error), "the restore failed");
            failed(error.to_string())
        }
    };
    match undo::undo(&job.app, &job.run.id, &mut journal).await {
        Ok(notes) => outcome.notes.extend(notes),
        Err(error) => outcome.notes.push(crate::model::progress::Note {
            level: Level::Error,
            text: format!("What the restore had begun could not be undone completely: {error}"),
        }),
    }
    outcome
}

async fn prepare<'a>(job: &'a Job, request: &RestoreRequest) -> Result<Restore<'a>, Problem> {
    job.step("Checking what is there");
    let id = request.backup.parse().map_err(AppError::internal)?;
    let preview = backups::preview(&job.app, &id).await?;
    let review = review::review(&job.app, &preview.backup, &preview.manifest, &request.options).await?;
    // Things may have changed since it was asked for.
    restores::refuse(&review)?;
    let volume_names = review
        .data
        .iter()
        .filter(|plan| plan.action == "new")
        .map(|plan| (plan.name.clone(), plan.target.clone()))
        .collect();
    let how = Recreate {
        name: review.name.clone(),
        ports: request.options.port_overrides.clone(),
        volume_names,
        image_id: String::new(),
    };
    Ok(Restore {
        job,
        manifest: preview.manifest,
        backup: preview.backup.id,
        review,
        how,
        journal: job.run.journal.clone(),
    })
}

async fn work(restore: &mut Restore<'_>, request: &RestoreRequest) -> Result<Outcome, Problem> {
    image(restore).await?;
    networks(restore).await?;
    volumes(restore).await?;
    paths(restore).await?;
    bring_to_rest(restore).await?;
    if request.options.safety_backup.unwrap_or(true) {
        safety(restore).await?;
    }
    set_aside(restore).await?;
    let app = &restore.job.app;
    restore.job.step("Making the container");
    let created = app.docker.create_container(&restore.manifest, &restore.how).await?;
    restore.journal.created_containers.push(created.id.clone());
    quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
    let mut warned = created.notes.iter().any(|note| note.level != Level::Info);
    for note in created.notes {
        restore.job.note(note.level, note.text).await?;
    }
    warned |= fill(restore, &created.anonymous).await?;
    let mut outcome = finish(restore, &created.id).await?;
    if warned && outcome.state == State::Complete {
        outcome.state = State::CompleteWithWarnings;
    }
    Ok(outcome)
}

/// Loads the image unless the engine has it. Never removes or retags anything.
async fn image(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let plan = &restore.review.image;
    if plan.present {
        restore.how.image_id.clone_from(&plan.id);
        return Ok(());
    }
    restore.job.step("Loading the image");
    let task = Task::LoadImage { backup: restore.backup.clone() };
    let (answer, _) = restore.job.work(task, None).await.map_err(Problem::Worker)?;
    let Answer::Image { id, record } = answer else {
        return Err(Problem::Worker(super::vaults::unexpected()));
    };
    let docker = &restore.job.app.docker;
    for tag in &record.tags {
        if docker.image(tag).await?.is_none() {
            docker.tag(&id, tag).await?;
        }
    }
    restore.job.note(Level::Info, format!("Loaded the image {}.", plan.reference)).await?;
    restore.how.image_id = id;
    Ok(())
}

async fn networks(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let app = &restore.job.app;
    for plan in restore.review.networks.iter().filter(|plan| plan.action == "create") {
        restore.job.step("Making networks");
        let inspect = restore
            .manifest
            .networks
            .iter()
            .find(|network| network["Name"].as_str() == Some(&plan.name))
            .cloned()
            .unwrap_or_default();
        restore.journal.created_networks.push(plan.name.clone());
        quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
        for note in app.docker.create_network(&inspect).await? {
            restore.job.note(note.level, note.text).await?;
        }
    }
    Ok(())
}

async fn volumes(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let app = &restore.job.app;
    for plan in &restore.review.data {
        if plan.kind != "volume" || plan.anonymous || !["create", "new"].contains(&plan.action) {
            continue;
        }
        restore.job.step("Making volumes");
        let inspect = restore
            .manifest
            .volumes
            .iter()
            .find(|volume| volume["Name"].as_str() == Some(&plan.name))
            .cloned()
            .unwrap_or_else(|| json!({ "Name": plan.name }));
        restore.journal.created_volumes.push(plan.target.clone());
        quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
        app.docker.create_volume(&inspect, Some(&plan.target)).await?;
    }
    Ok(())
}

/// Bind sources must exist before the container is created.
async fn paths(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let paths: Vec<_> = restore
        .review
        .data
        .iter()
        .filter(|plan| plan.kind == "bind" && plan.missing.is_none() && !Path::new(&plan.name).exists())
        .map(|plan| MakePath {
            path: PathBuf::from(&plan.name),
            file: is_file(&restore.manifest, &plan.path),
        })
        .collect();
    if paths.is_empty() {
        return Ok(());
    }
    restore.job.work(Task::MakePaths { paths }, None).await.map_err(Problem::Worker)?;
    Ok(())
}

/// Whether a bind item is a single file: its path in the backup ends with the file's name.
fn is_file(_: &Manifest, path: &str) -> bool {
    path.split('/').count() > 3
}

/// Stops what writes to data that is overwritten, and the container that is replaced.
async fn bring_to_rest(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let app = &restore.job.app;
    let overwritten = overwritten(&restore.review);
    let names: Vec<_> = overwritten.iter().map(|plan| plan.name.clone()).collect();
    let all = app.docker.containers().await?;
    let users: Vec<&Container> = quiesce::users_of(&all, &names)
        .into_iter()
        .filter(|user| restore.review.existing_container.as_ref().is_none_or(|(id, _)| *id != user.id))
        .collect();
    if !users.is_empty() {
        restore.job.step("Stopping what uses the data");
        quiesce::quiesce(app, &restore.job.run.id, &mut restore.journal, &users, Consistency::Stop).await?;
    }
    Ok(())
}

fn overwritten(review: &Review) -> Vec<&DataPlan> {
    review.data.iter().filter(|plan| plan.action == "overwrite").collect()
}

/// Backs up what is about to be overwritten.
async fn safety(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let names: Vec<String> = overwritten(&restore.review).iter().map(|plan| plan.name.clone()).collect();
    if names.is_empty() {
        return Ok(());
    }
    restore.job.step("Backing up what is overwritten");
    let plan = match &restore.review.existing_container {
        Some((id, _)) => {
            let request = BackupRequest {
                container: restore.review.name.clone(),
                consistency: None,
                include_image: false,
                volumes: Some(names.clone()),
                note: String::new(),
            };
            tracing::debug!(container = %id, "safety backup of the existing container");
            backup_run::plan(restore.job, &request).await?
        }
        None => present_data(restore, &names).await?,
    };
    let backup =
        backup_run::safety(restore.job, plan.manifest, plan.sources).await.map_err(Problem::Worker)?;
    if backup.meta.state == crate::model::backup::State::Partial {
        return Err(Problem::Worker(Failure {
            kind: FailureKind::Other,
            message: "What would be overwritten could not be backed up completely, so nothing was touched. \
                      Restore without a safety backup if you are sure."
                .to_owned(),
            detail: String::new(),
        }));
    }
    let text = format!("What is overwritten was backed up as {}.", backup.filename());
    restore.job.note(Level::Info, text).await?;
    Ok(())
}

/// The data as it is now, under the settings of the backup: there is no container to ask.
async fn present_data(restore: &Restore<'_>, names: &[String]) -> Result<backup_run::Plan> {
    let mut manifest = restore.manifest.clone();
    manifest.created = chrono::Utc::now();
    manifest.server_name = super::settings::server_name(&restore.job.app).await?;
    let mut sources = Vec::new();
    for item in &mut manifest.items {
        if names.contains(&item.name) {
            let path = host_path(restore, item.kind == ItemKind::Volume, &item.name).await?;
            item.left_out = None;
            sources.push((item.path.clone(), path));
        } else if item.kind != ItemKind::Settings {
            item.left_out.get_or_insert_with(|| "not overwritten".to_owned());
        }
    }
    Ok(backup_run::Plan { manifest, sources })
}

/// Where the files of a volume or bind are on the host.
async fn host_path(restore: &Restore<'_>, volume: bool, name: &str) -> Result<PathBuf> {
    if !volume {
        return Ok(PathBuf::from(name));
    }
    let inspect = restore.job.app.docker.volume(name).await?;
    let inspect = inspect.ok_or_else(|| AppError::NotFound(format!("The volume “{name}”").into()))?;
    crate::docker::data_path(&inspect)
        .ok_or_else(|| AppError::Impossible(format!("The volume {name} keeps its data outside this host.")))
}

/// Moves the container that is replaced out of the way: stopped, renamed, off its networks.
async fn set_aside(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let Some((id, _)) = restore.review.existing_container.clone() else { return Ok(()) };
    restore.job.step("Setting the old container aside");
    let app = &restore.job.app;
    let inspect = app.docker.inspect(&id).await?;
    let stamp = chrono::Utc::now().format("%Y%m%d-%H%M%S");
    let networks = inspect["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let aside = SetAside {
        id: id.clone(),
        name: restore.review.name.clone(),
        temporary_name: format!("{}-before-{stamp}", restore.review.name),
        was_running: inspect["State"]["Running"].as_bool() == Some(true),
        networks: networks.map(|(name, endpoint)| (name.clone(), endpoint.clone())).collect(),
    };
    restore.journal.set_aside = Some(aside.clone());
    quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
    if aside.was_running {
        app.docker.act(&id, Action::Stop, None).await?;
    }
    app.docker.rename(&id, &aside.temporary_name).await?;
    for (network, _) in &aside.networks {
        if !crate::docker::is_built_in(network) {
            app.docker.disconnect(network, &id).await?;
        }
    }
    Ok(())
}

/// Puts the files into volumes and binds. Returns whether there was a warning.
async fn fill(restore: &mut Restore<'_>, anonymous: &BTreeMap<String, String>) -> Result<bool, Problem> {
    let mut items = Vec::new();
    for plan in &restore.review.data {
        if plan.missing.is_some() || !["create", "new", "overwrite"].contains(&plan.action) {
            continue;
        }
        let name = anonymous.get(&plan.name).unwrap_or(&plan.target);
        let target = host_path(restore, plan.kind == "volume", name).await?;
        items.push(RestoreItem { path: plan.path.clone(), target });
    }
    if items.is_empty() {
        return Ok(false);
    }
    let job = restore.job;
    let staging = items.iter().map(|item| item.target.to_string_lossy().into_owned());
    restore.journal.staging = staging.collect();
    quiesce::save(&job.app, &job.run.id, &restore.journal).await?;
    let task = Task::Restore { backup: restore.backup.clone(), run: job.run.id.to_string(), items };
    let (answer, heard) = job.work(task, Some(&mut restore.journal)).await.map_err(Problem::Worker)?;
    let Answer::Restored(restored) = answer else {
        return Err(Problem::Worker(super::vaults::unexpected()));
    };
    let text = format!(
        "{} files written, {} were right already, {} removed that the backup does not have.",
        restored.written, restored.unchanged, restored.removed
    );
    job.note(Level::Info, text).await?;
    Ok(heard.warned)
}

/// Starts the new container, compares it with the backup, removes the old one.
async fn finish(restore: &mut Restore<'_>, id: &str) -> Result<Outcome, Problem> {
    let (app, job) = (&restore.job.app, restore.job);
    let mut warned = false;
    if restore.review.start {
        job.step("Starting the container");
        app.docker.act(id, Action::Start, None).await?;
        if let Err(why) = app.docker.wait_ready(id, READY).await {
            return Err(AppError::Impossible(format!(
                "{} was made and filled, but it does not run: {why}",
                restore.review.name
            ))
            .into());
        }
    }
    for difference in app.docker.differences(&restore.manifest, &restore.how, id).await? {
        warned = true;
        let Difference { field, was, now } = difference;
        job.note(Level::Warning, format!("{field} is {now}, in the backup it is {was}.")).await?;
    }
    if restore.manifest.container["State"]["Paused"].as_bool() == Some(true) && restore.review.start {
        app.docker.act(id, Action::Pause, None).await?;
    }
    restore.job.step("Tidying up");
    for note in undo::settle(app, &job.run.id, &mut restore.journal).await? {
        warned = true;
        job.note(note.level, note.text).await?;
    }
    let state = if warned { State::CompleteWithWarnings } else { State::Complete };
    Ok(Outcome { backup_id: Some(restore.backup.clone()), ..done(state) })
}
