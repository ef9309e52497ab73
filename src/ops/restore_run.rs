//! Doing a restore. The order keeps what exists until the new is known to be
//! good: image, networks and volumes first (they only add), then what uses the
//! data is stopped and saved, the old container is set aside, the new one is
//! made and filled, started and compared, and only then the old one goes.
//! Each step that a crash must not leave undone is in the journal before it is done.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{
    backups, layer,
    perform::{Gatekeeper, Job, Open, Problem, done},
    quiesce, restores,
    review::{self, DataPlan, Review},
    safety, undo,
};
use crate::{
    docker::DockerError,
    error::{AppError, Result},
    model::{
        backup::Backup,
        container::{Action, Container},
        manifest::{Consistency, Manifest},
        progress::Level,
        restore::Recreate,
        run::{Journal, Outcome, RestoreRequest, SetAside, State},
    },
    worker::order::{Answer, Gate, MakePath, RestoreItem, Task, is_file},
};

/// How long a container without a health check must stay up to count as started.
const READY: Duration = Duration::from_mins(1);

/// Everything known about a restore in hand.
pub(super) struct Restore<'a> {
    pub(super) job: &'a Job,
    pub(super) manifest: Manifest,
    pub(super) backup: Backup,
    pub(super) review: Review,
    pub(super) how: Recreate,
    journal: Journal,
}

/// Does the run. What it begins is in its journal, and undone by who calls this if it is not finished.
pub(super) async fn run(job: &Job, request: &RestoreRequest) -> Result<Outcome, Problem> {
    let mut restore = prepare(job, request).await?;
    work(&mut restore, request).await
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
        .filter(|plan| plan.target != plan.name)
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
        backup: preview.backup,
        review,
        how,
        journal: job.run.journal.clone(),
    })
}

async fn work(restore: &mut Restore<'_>, request: &RestoreRequest) -> Result<Outcome, Problem> {
    let mut warned = missing(restore).await?;
    image(restore).await?;
    networks(restore).await?;
    volumes(restore).await?;
    paths(restore).await?;
    let safety = match request.options.safety_backup {
        Some(false) => None,
        // Looked at before anything is stopped, so that it also tells what ran.
        _ => safety::plan(restore).await?,
    };
    bring_to_rest(restore).await?;
    if let Some(safety) = safety {
        safety::write(restore, &safety).await?;
    }
    move_aside(restore).await?;
    let (id, anonymous, told) = create(restore).await?;
    warned |= told;
    let (bytes, told) = fill(restore, &id, &anonymous).await?;
    warned |= told;
    warned |= finish(restore, &id).await?;
    let state = if warned { State::CompleteWithWarnings } else { State::Complete };
    Ok(Outcome { backup_id: Some(restore.backup.id.clone()), bytes, ..done(state) })
}

/// Tells what the backup does not have. Returns whether any of it should be there.
async fn missing(restore: &Restore<'_>) -> Result<bool, Problem> {
    let mut failed = false;
    for plan in &restore.review.data {
        if let Some(why) = &plan.missing {
            failed |= plan.failed;
            let level = if plan.failed { Level::Warning } else { Level::Info };
            let text = format!("{} {} is not in the backup: {why}", plan.what(), plan.name);
            restore.job.note(level, text).await?;
        }
    }
    Ok(failed)
}

/// Loads the image unless the engine has it. Never removes or retags anything.
async fn image(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let plan = &restore.review.image;
    if plan.present {
        restore.how.image_id.clone_from(&plan.id);
        return Ok(());
    }
    restore.job.step("Loading the image");
    let task = Task::LoadImage { backup: restore.backup.id.clone() };
    let heard =
        restore.job.work_in(restore.backup.storage, task, &mut Open).await.map_err(Problem::Worker)?;
    let Answer::Image { id, .. } = heard.answer else {
        return Err(Problem::Worker(super::vaults::unexpected()));
    };
    let docker = &restore.job.app.docker;
    // As they were at this backup; the vault's image may be of an earlier one.
    let tags = restore.manifest.image["RepoTags"].as_array().into_iter().flatten();
    for tag in tags.filter_map(Value::as_str) {
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
        let created = app.docker.create_network(&inspect).await;
        if matches!(created, Err(DockerError::Conflict(_))) {
            // Somebody else made it meanwhile: it is not ours to remove.
            restore.journal.created_networks.pop();
            quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
        }
        for note in created? {
            restore.job.note(note.level, note.text).await?;
        }
    }
    Ok(())
}

async fn volumes(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let app = &restore.job.app;
    for plan in &restore.review.data {
        if plan.kind != "volume" || plan.anonymous {
            continue;
        }
        // Only its directory may be there.
        let wanted = ["create", "new"].contains(&plan.action);
        if !wanted && app.docker.volume(&plan.target).await?.is_some() {
            continue;
        }
        restore.job.step("Making volumes");
        let mut inspect = volume_inspect(&restore.manifest, &plan.name);
        if plan.action == "new" && crate::docker::bind_device(&inspect).is_some() {
            // Another volume on the same directory would be the same data.
            inspect["Options"] = Value::Null;
        }
        restore.journal.created_volumes.push(plan.target.clone());
        quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
        let created = app.docker.create_volume(&inspect, Some(&plan.target)).await;
        if matches!(created, Err(DockerError::Conflict(_))) {
            // Somebody else made it meanwhile: it is not ours to remove.
            restore.journal.created_volumes.pop();
            quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
        }
        created?;
    }
    Ok(())
}

fn volume_inspect(manifest: &Manifest, name: &str) -> Value {
    let known = manifest.volumes.iter().find(|volume| volume["Name"] == name);
    known.cloned().unwrap_or_else(|| json!({ "Name": name }))
}

/// Bind sources must exist before the container is created.
async fn paths(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let plans = restore.review.data.iter().filter(|plan| plan.missing.is_none() && plan.action != "new");
    let paths: Vec<_> = plans
        .filter_map(|plan| Some((plan.absent.clone()?, plan)))
        .map(|(path, plan)| MakePath { path, file: plan.kind == "bind" && is_file(&plan.path) })
        .collect();
    if paths.is_empty() {
        return Ok(());
    }
    restore.job.work(Task::MakePaths { paths }, &mut Open).await.map_err(Problem::Worker)?;
    Ok(())
}

/// Stops what writes to data that is overwritten, and the container that is replaced.
async fn bring_to_rest(restore: &mut Restore<'_>) -> Result<(), Problem> {
    let app = &restore.job.app;
    let names: Vec<_> = overwritten(&restore.review).iter().map(|plan| plan.target.clone()).collect();
    let all = app.docker.containers().await?;
    let old = restore.review.existing_container.as_ref().map(|(id, _)| id.clone());
    let users: Vec<&Container> = quiesce::users_of(&all, &names)
        .into_iter()
        .filter(|user| old.as_ref().is_none_or(|id| *id != user.id))
        .collect();
    if !users.is_empty() {
        restore.job.step("Stopping what uses the data");
        quiesce::quiesce(app, &restore.job.run.id, &mut restore.journal, &users, Consistency::Stop).await?;
    }
    let Some(id) = old else { return Ok(()) };
    restore.job.step("Stopping the old container");
    let inspect = app.docker.inspect(&id).await?;
    let networks = inspect["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let stamp = chrono::Utc::now().format("%Y%m%d-%H%M%S");
    let running = inspect["State"]["Running"].as_bool() == Some(true);
    restore.journal.set_aside = Some(SetAside {
        id: id.clone(),
        name: restore.review.name.clone(),
        temporary_name: format!("{}-before-{stamp}", restore.review.name),
        was_running: running,
        networks: networks.map(|(name, endpoint)| (name.clone(), endpoint.clone())).collect(),
    });
    quiesce::save(app, &restore.job.run.id, &restore.journal).await?;
    if running {
        app.docker.act(&id, Action::Stop, None).await?;
    }
    Ok(())
}

pub(super) fn overwritten(review: &Review) -> Vec<&DataPlan> {
    review.data.iter().filter(|plan| plan.action == "overwrite").collect()
}

/// Where the files of a volume or bind are on the host.
pub(super) async fn host_path(restore: &Restore<'_>, volume: bool, name: &str) -> Result<PathBuf> {
    if !volume {
        // The source may be a link; it stays one.
        return Ok(std::fs::canonicalize(name).unwrap_or_else(|_| PathBuf::from(name)));
    }
    let inspect = restore.job.app.docker.volume(name).await?;
    let inspect = inspect.ok_or_else(|| AppError::NotFound(format!("The volume “{name}”").into()))?;
    crate::docker::data_path(&inspect)
        .ok_or_else(|| AppError::Impossible(format!("The volume {name} keeps its data outside this host.")))
}

/// Moves the container that is replaced out of the way: another name, off its networks.
async fn move_aside(restore: &Restore<'_>) -> Result<(), Problem> {
    let Some(aside) = &restore.journal.set_aside else { return Ok(()) };
    let docker = &restore.job.app.docker;
    docker.rename(&aside.id, &aside.temporary_name).await?;
    for (network, _) in &aside.networks {
        if !crate::docker::is_built_in(network) {
            docker.disconnect(network, &aside.id).await?;
        }
    }
    Ok(())
}

/// Makes the new container: its id, its anonymous volumes (old name to new) and whether there was a warning.
async fn create(restore: &mut Restore<'_>) -> Result<(String, BTreeMap<String, String>, bool), Problem> {
    let (app, job) = (&restore.job.app, restore.job);
    job.step("Making the container");
    restore.journal.creating = Some(restore.how.name.clone());
    quiesce::save(app, &job.run.id, &restore.journal).await?;
    let created = app.docker.create_container(&restore.manifest, &restore.how).await?;
    restore.journal.creating = None;
    restore.journal.created_containers.push(created.id.clone());
    quiesce::save(app, &job.run.id, &restore.journal).await?;
    let warned = created.notes.iter().any(|note| note.level != Level::Info);
    for note in created.notes {
        job.note(note.level, note.text).await?;
    }
    Ok((created.id, created.anonymous, warned))
}

/// Puts the files into volumes, binds and the container itself. Returns the bytes written and whether there was a warning.
async fn fill(
    restore: &mut Restore<'_>,
    id: &str,
    anonymous: &BTreeMap<String, String>,
) -> Result<(u64, bool), Problem> {
    let mut items = Vec::new();
    for plan in &restore.review.data {
        if plan.missing.is_some() || !["create", "new", "overwrite"].contains(&plan.action) {
            continue;
        }
        let name = anonymous.get(&plan.name).unwrap_or(&plan.target);
        let target = host_path(restore, plan.kind == "volume", name).await?;
        items.push(RestoreItem { path: plan.path.clone(), target });
    }
    let (changes, warned) = layer::plan(restore, id).await?;
    items.extend(changes);
    if items.is_empty() {
        return Ok((0, warned));
    }
    let job = restore.job;
    let staging = items.iter().map(|item| match item.target.parent() {
        Some(parent) if is_file(&item.path) => parent,
        _ => &item.target,
    });
    restore.journal.staging = staging.map(|path| path.to_string_lossy().into_owned()).collect();
    quiesce::save(&job.app, &job.run.id, &restore.journal).await?;
    let task = Task::Restore { backup: restore.backup.id.clone(), run: job.run.id.to_string(), items };
    let mut commit = Commit { job, journal: &mut restore.journal };
    let heard = job.work_in(restore.backup.storage, task, &mut commit).await.map_err(Problem::Worker)?;
    let Answer::Restored(restored) = heard.answer else {
        return Err(Problem::Worker(super::vaults::unexpected()));
    };
    let text = format!(
        "{} files written, {} were right already, {} removed that the backup does not have.",
        restored.written, restored.unchanged, restored.removed
    );
    job.note(Level::Info, text).await?;
    Ok((restored.bytes, heard.warned || warned))
}

/// Writes down that existing data is about to be replaced.
struct Commit<'a> {
    job: &'a Job,
    journal: &'a mut Journal,
}

#[async_trait::async_trait]
impl Gatekeeper for Commit<'_> {
    async fn pass(&mut self, gate: Gate) -> Result<()> {
        if gate == Gate::Replace {
            self.journal.committing = true;
            quiesce::save(&self.job.app, &self.job.run.id, self.journal).await?;
        }
        Ok(())
    }
}

/// Starts the new container, compares it with the backup, removes the old one. Returns whether there was a warning.
async fn finish(restore: &mut Restore<'_>, id: &str) -> Result<bool, Problem> {
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
        job.note(Level::Warning, difference.words()).await?;
    }
    if restore.manifest.container["State"]["Paused"].as_bool() == Some(true) && restore.review.start {
        app.docker.act(id, Action::Pause, None).await?;
    }
    job.step("Tidying up");
    let mut notes = Vec::new();
    let settled = undo::settle(app, &job.run.id, &mut restore.journal, &mut notes).await;
    for note in notes {
        warned = true;
        job.note(note.level, note.text).await?;
    }
    settled?;
    Ok(warned)
}
