//! Taking back what a restore had begun, and tidying up after one that is done.
//! Works from the journal alone, so that it also serves a server that died meanwhile.

use std::path::PathBuf;

use super::quiesce;
use crate::{
    app::App,
    docker,
    error::Result,
    model::{
        container::Action,
        names::RunId,
        progress::{Level, Note},
        run::{Journal, SetAside},
    },
    worker::order::{Answer, Task},
};

/// Takes back a restore that could not be finished: the new container goes, the old one gets its
/// name back and runs again, volumes and networks that the restore made are removed. Data that was
/// there before is as it was, unless the restore had begun to replace it: then it is replaced whole.
pub(super) async fn undo(app: &App, run: &RunId, journal: &mut Journal) -> Result<Vec<Note>> {
    let mut notes = resume(app, run, journal).await?;
    for id in std::mem::take(&mut journal.created_containers) {
        if let Err(error) = app.docker.remove_container(&id, true, true).await
            && !matches!(error, docker::DockerError::NotFound(_))
        {
            notes.push(warning(format!("The new container could not be removed: {error}")));
        }
    }
    for volume in std::mem::take(&mut journal.created_volumes) {
        remove(&mut notes, "volume", &volume, app.docker.remove_volume(&volume).await);
    }
    if let Some(aside) = journal.set_aside.take() {
        match put_back(app, &aside).await {
            Ok(()) => notes.push(Note {
                level: Level::Info,
                text: format!("The old container {} is back as it was.", aside.name),
            }),
            Err(error) => notes.push(warning(format!(
                "The old container is called {} now and could not be brought back: {error}",
                aside.temporary_name
            ))),
        }
    }
    for network in std::mem::take(&mut journal.created_networks) {
        remove(&mut notes, "network", &network, app.docker.remove_network(&network).await);
    }
    quiesce::save(app, run, journal).await?;
    notes.extend(quiesce::release(app, run, journal).await?);
    Ok(notes)
}

/// Finishes replacing files when that had begun, else throws staged files away.
async fn resume(app: &App, run: &RunId, journal: &mut Journal) -> Result<Vec<Note>> {
    let targets: Vec<PathBuf> = std::mem::take(&mut journal.staging).into_iter().map(PathBuf::from).collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let answer = app.ask_worker(Task::Resume { run: run.to_string(), targets }).await?;
    let mut notes = Vec::new();
    if let Answer::Resumed { finished: true } = answer {
        notes.push(warning(
            "Putting the data into place had begun and was finished: the volumes hold the backup's data now. \
             What they held before is in the safety backup, if one was made."
                .to_owned(),
        ));
    }
    Ok(notes)
}

fn remove(notes: &mut Vec<Note>, kind: &str, name: &str, removed: Result<(), docker::DockerError>) {
    match removed {
        Ok(()) | Err(docker::DockerError::NotFound(_)) => {}
        Err(error) => notes.push(warning(format!("The {kind} {name} could not be removed: {error}"))),
    }
}

async fn put_back(app: &App, aside: &SetAside) -> Result<(), docker::DockerError> {
    let inspect = app.docker.inspect(&aside.id).await?;
    let present = &inspect["NetworkSettings"]["Networks"];
    if inspect["Name"].as_str() != Some(&format!("/{}", aside.name)) {
        app.docker.rename(&aside.id, &aside.name).await?;
    }
    for (network, endpoint) in &aside.networks {
        if present[network].is_null() {
            app.docker.connect(network, &aside.id, endpoint).await?;
        }
    }
    if aside.was_running && inspect["State"]["Running"].as_bool() != Some(true) {
        app.docker.act(&aside.id, Action::Start, None).await?;
    }
    Ok(())
}

/// After a restore that is done: the old container goes (its named volumes stay), what was stopped runs again.
pub(super) async fn settle(app: &App, run: &RunId, journal: &mut Journal) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    if let Some(aside) = journal.set_aside.take()
        && let Err(error) = app.docker.remove_container(&aside.id, true, false).await
    {
        notes.push(warning(format!(
            "The old container could not be removed; it is called {} now: {error}",
            aside.temporary_name
        )));
    }
    let quiesced = std::mem::take(&mut journal.quiesced);
    *journal = Journal { quiesced, ..Journal::default() };
    quiesce::save(app, run, journal).await?;
    notes.extend(quiesce::release(app, run, journal).await?);
    Ok(notes)
}

fn warning(text: String) -> Note {
    Note { level: Level::Warning, text }
}
