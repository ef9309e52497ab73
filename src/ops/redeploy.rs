//! Making a container again with the same settings and the image its name means
//! now. The old one is set aside and comes back when the new one does not run.
//! It is a run like a restore, so that a server that dies meanwhile takes it
//! back at its next start; it does not wait in the queue.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use serde_json::{Value, json};

use super::{
    Actor, backups,
    containers::{Details, details, record, refuse_self},
    perform::{self, failed},
    quiesce, recovery, restores, runs, settings, undo,
};
use crate::{
    app::App,
    db::{self, audit::Entry},
    docker,
    error::{AppError, Result},
    model::{
        backup::Kind as BackupKind,
        container::{Action, Container},
        manifest::{Consistency, FORMAT, Manifest},
        names::{ContainerRef, RunId},
        progress::{Level, Note},
        restore::Recreate,
        run::{Journal, Outcome, Request, SetAside, State},
    },
};

/// How long a container without a health check must stay up to count as started.
const READY: Duration = Duration::from_mins(1);

/// What came out of it.
#[derive(Debug, Clone)]
pub struct Redeployed {
    /// Id of the new container.
    pub container_id: String,
    /// Its name.
    pub name: String,
    /// What the user should know, a sentence each.
    pub warnings: Vec<String>,
    /// The run, with its log.
    pub run: RunId,
}

/// What will happen, for the confirmation.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The container.
    pub container: Container,
    /// Name of its image, as the user gave it.
    pub image: String,
    /// Its name means another image now.
    pub newer_image: bool,
    /// Containers that live in its network.
    pub guests: Vec<String>,
    /// Ports it publishes, `80/tcp`, and where; without those that are at several places or in a range.
    pub ports: Vec<(String, String)>,
}

/// What is to be different.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Fetch the image first.
    pub pull: bool,
    /// Other ports of this server, by the container port (`80/tcp`); an empty one = any that is free.
    pub ports: BTreeMap<String, String>,
}

/// Looks whether it can be done, and how.
pub async fn plan(app: &App, id: &ContainerRef) -> Result<Plan> {
    let (container, inspect) = checked(app, id).await?;
    let name = image_name(&inspect);
    let now = app.docker.image(&name).await?;
    let guests = app.docker.network_guests(&container.id).await?;
    let newer_image = now.is_some_and(|now| now["Id"] != inspect["Image"]);
    let ports = published(&inspect).filter_map(|(port, list)| {
        let mut places = list.as_array()?.iter().map(|place| place["HostPort"].as_str().unwrap_or_default());
        let first = places.next()?;
        let one = places.all(|place| place == first) && (first.is_empty() || first.parse::<u16>().is_ok());
        one.then(|| (port.clone(), first.to_owned()))
    });
    let ports = ports.collect();
    Ok(Plan { container, image: name, newer_image, guests, ports })
}

fn published(inspect: &Value) -> impl Iterator<Item = (&String, &Value)> {
    inspect["HostConfig"]["PortBindings"].as_object().into_iter().flatten()
}

/// As the user gave it: the engine's list shows an id once the name means another image.
fn image_name(inspect: &Value) -> String {
    inspect["Config"]["Image"].as_str().unwrap_or_default().to_owned()
}

/// The container and its raw inspect, if it may be redeployed.
async fn checked(app: &App, id: &ContainerRef) -> Result<(Container, Value)> {
    let Details { container, inspect } = details(app, id).await?;
    refuse_self(&container, true)?;
    if inspect["HostConfig"]["AutoRemove"].as_bool() == Some(true) {
        return Err(AppError::Conflict(format!(
            "{} was started with --rm: Docker deletes it as soon as it stops, so it could not come back if the \
             new one failed. Start it anew instead.",
            container.name
        )));
    }
    if inspect["Config"]["Labels"]["com.docker.swarm.task.id"].is_string() {
        return Err(AppError::Conflict(format!(
            "{} belongs to a Swarm service, which makes its containers itself. Use docker service update --force.",
            container.name
        )));
    }
    let busy = runs::active(app).await?;
    if let Some((run, _)) =
        busy.iter().find(|(run, _)| run.is_of_container(&container.name) && run.state == State::Running)
    {
        return Err(AppError::Conflict(format!(
            "A {} of {} is running. Wait until it has ended.",
            run.kind, container.name
        )));
    }
    Ok((container, inspect))
}

/// Does it; goes on when the browser that asked is gone.
pub async fn redeploy(app: &App, actor: &Actor, id: &ContainerRef, changes: Changes) -> Result<Redeployed> {
    restores::check_ports(&changes.ports)?;
    let (container, inspect) = checked(app, id).await?;
    if let Some(port) = changes.ports.keys().find(|port| published(&inspect).all(|(known, _)| known != *port))
    {
        let why = format!("{} publishes no port {port}, so it can't get another one.", container.name);
        return Err(AppError::field("port_overrides", why));
    }
    let (app, actor, image) = (app.clone(), actor.clone(), image_name(&inspect));
    let task = tokio::spawn(async move { whole(&app, &actor, &container, &image, changes).await });
    task.await.map_err(AppError::internal)?
}

async fn whole(
    app: &App,
    actor: &Actor,
    container: &Container,
    image: &str,
    changes: Changes,
) -> Result<Redeployed> {
    let Changes { pull, ports } = changes;
    if pull && let Err(error) = app.docker.pull(image).await {
        let text = format!("The image {image} could not be fetched, so nothing was changed: {error}");
        let details = json!({ "container_id": container.id, "pull": true });
        record(app, actor, "container_redeploy", &container.name, Some(text.clone()), details).await?;
        return Err(AppError::Impossible(text));
    }
    let audited = json!({ "pull": pull, "port_overrides": ports });
    let (manifest, mut how) = prepare(app, container, image).await?;
    how.ports = ports;
    let mut run = backups::new_run(actor, container.name.clone(), Request::Redeploy { pull });
    (run.state, run.started) = (State::Running, Some(Utc::now()));
    let (row, who) = (run.clone(), actor.clone());
    app.db
        .write(move |c| {
            db::runs::insert(c, &row)?;
            let mut details = audited;
            details["progress_id"] = json!(row.id);
            let entry =
                Entry { outcome: "started", details, ..who.entry("container_redeploy", &row.subject) };
            db::audit::record(c, &entry)
        })
        .await?;
    let mut journal = Journal::default();
    let mut notes = Vec::new();
    let done = replace(app, &run.id, &mut journal, container, &manifest, &how, &mut notes).await;
    let (outcome, result) = match done {
        Ok(container_id) => {
            undo::settle(app, &run.id, &mut journal, &mut notes).await?;
            let warnings: Vec<String> =
                notes.iter().filter(|note| note.level != Level::Info).map(|note| note.text.clone()).collect();
            let state = if warnings.is_empty() { State::Complete } else { State::CompleteWithWarnings };
            let name = container.name.clone();
            let outcome = Outcome { notes, ..perform::done(state) };
            (outcome, Ok(Redeployed { container_id, name, warnings, run: run.id.clone() }))
        }
        Err(error) => {
            let mut back = Vec::new();
            recovery::bring_back(app, &run, &mut back).await?;
            let told = back.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join(" ");
            let text = format!("{} was not redeployed: {error} {told}", container.name);
            let mut outcome = failed(error.to_string());
            outcome.notes.extend(notes.into_iter().chain(back));
            (outcome, Err(AppError::Impossible(text.trim_end().to_owned())))
        }
    };
    perform::finish(app, &run, outcome).await?;
    result
}

/// The settings of the new container.
async fn prepare(app: &App, container: &Container, name: &str) -> Result<(Manifest, Recreate)> {
    let capture = app.docker.capture(&container.id).await?;
    let mut settings = capture.container;
    docker::pin_anonymous(&mut settings, &capture.engine);
    let now = app.docker.image(name).await?;
    let mut image = capture.image;
    if let Some(now) = now.filter(|now| now["Id"] != settings["Image"]) {
        docker::take_defaults(&mut settings, &image, &now);
        image = now;
    }
    let Some(image_id) = image["Id"].as_str().map(str::to_owned) else {
        return Err(AppError::Impossible(format!(
            "The image of {} was deleted, so it can't be made again. Fetch the image first.",
            container.name
        )));
    };
    let manifest = Manifest {
        format: FORMAT,
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        server_name: settings::server_name(app).await?,
        created: Utc::now(),
        kind: BackupKind::Container,
        container_name: container.name.clone(),
        consistency: Consistency::Live,
        container: settings,
        image,
        networks: capture.networks,
        volumes: capture.volumes,
        engine: capture.engine,
        items: Vec::new(),
    };
    Ok((manifest, Recreate { name: container.name.clone(), image_id, ..Recreate::default() }))
}

/// Sets the old one aside, makes the new one and waits until it runs; returns its id.
async fn replace(
    app: &App,
    run: &RunId,
    journal: &mut Journal,
    container: &Container,
    manifest: &Manifest,
    how: &Recreate,
    notes: &mut Vec<Note>,
) -> Result<String> {
    let guests = app.docker.network_guests(&container.id).await?;
    let was_running = set_aside(app, run, journal, container, manifest).await?;
    journal.creating = Some(container.name.clone());
    quiesce::save(app, run, journal).await?;
    let created = app.docker.create_container(manifest, how).await?;
    journal.creating = None;
    journal.created_containers.push(created.id.clone());
    quiesce::save(app, run, journal).await?;
    notes.extend(created.notes);
    if was_running {
        app.docker.act(&created.id, Action::Start, None).await?;
        if let Err(why) = app.docker.wait_ready(&created.id, READY).await {
            return Err(AppError::Impossible(format!("The new one does not run: {why}")));
        }
        if manifest.container["State"]["Paused"].as_bool() == Some(true) {
            app.docker.act(&created.id, Action::Pause, None).await?;
        }
    }
    for guest in guests {
        let text =
            format!("{guest} shares its network and points to the old container: redeploy it as well.");
        notes.push(Note { level: Level::Warning, text });
    }
    Ok(created.id)
}

/// Stops the old one, gives it another name and takes it off its networks. Returns whether it ran.
async fn set_aside(
    app: &App,
    run: &RunId,
    journal: &mut Journal,
    container: &Container,
    manifest: &Manifest,
) -> Result<bool> {
    let inspect = &manifest.container;
    let networks = inspect["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let aside = SetAside {
        id: container.id.clone(),
        name: container.name.clone(),
        temporary_name: format!("{}-before-{}", container.name, Utc::now().format("%Y%m%d-%H%M%S")),
        was_running: inspect["State"]["Running"].as_bool() == Some(true),
        networks: networks.map(|(name, endpoint)| (name.clone(), endpoint.clone())).collect(),
    };
    journal.set_aside = Some(aside.clone());
    quiesce::save(app, run, journal).await?;
    if aside.was_running {
        app.docker.act(&aside.id, Action::Stop, None).await?;
    }
    app.docker.rename(&aside.id, &aside.temporary_name).await?;
    for (network, _) in aside.networks.iter().filter(|(name, _)| !docker::is_built_in(name)) {
        app.docker.disconnect(network, &aside.id).await?;
    }
    Ok(aside.was_running)
}
