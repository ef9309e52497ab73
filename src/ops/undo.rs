//! Taking back what a restore had begun, and tidying up after one that is done.
//! Works from the journal alone, so that it also serves a server that died meanwhile.
//! An engine that does not answer leaves the rest in the journal, for another try.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{file_restore_run, quiesce};
use crate::{
    app::App,
    docker::DockerError,
    error::{AppError, Result},
    model::{
        container::Action,
        names::RunId,
        progress::{Level, Note},
        run::{Journal, SetAside},
    },
    worker::order::{Answer, Task},
};

/// Takes back a run that could not be finished: the new container goes, the old one gets its name back and runs
/// again, volumes and networks that the run made are removed, what it stopped runs again. Data that was there
/// before is as it was, unless the run had begun to replace it: then it is replaced whole, and `notes` say so.
pub(super) async fn undo(app: &App, run: &RunId, journal: &mut Journal, notes: &mut Vec<Note>) -> Result<()> {
    let whole = files(app, run, journal, notes).await;
    file_restore_run::undo(app, run, journal, notes).await?;
    unfinished_container(app, run, journal, notes).await?;
    while let Some(id) = journal.created_containers.last() {
        let removed = app.docker.remove_container(id, true, true).await;
        tell(notes, removed, |why| format!("The new container could not be removed: {why}"))?;
        journal.created_containers.pop();
        quiesce::save(app, run, journal).await?;
    }
    while let Some(volume) = journal.created_volumes.last() {
        let removed = app.docker.remove_volume(volume).await;
        tell(notes, removed, |why| format!("The volume {volume} could not be removed: {why}"))?;
        journal.created_volumes.pop();
        quiesce::save(app, run, journal).await?;
    }
    if let Some(aside) = &journal.set_aside {
        let temporary = aside.temporary_name.clone();
        let back = put_back(app, aside, whole).await;
        if back.is_ok() {
            let text = match (whole, aside.was_running) {
                (false, true) => format!("{} has its name back, but was not started: see above.", aside.name),
                _ => format!("The old container {} is back.", aside.name),
            };
            notes.push(Note { level: Level::Info, text });
        }
        tell(notes, back, |why| format!("The old container, {temporary}, could not be brought back: {why}"))?;
        journal.set_aside = None;
        quiesce::save(app, run, journal).await?;
    }
    while let Some(network) = journal.created_networks.last() {
        let removed = remove_network(app, run, network).await;
        tell(notes, removed, |why| format!("The network {network} could not be removed: {why}"))?;
        journal.created_networks.pop();
        quiesce::save(app, run, journal).await?;
    }
    *journal = Journal { quiesced: std::mem::take(&mut journal.quiesced), ..Journal::default() };
    quiesce::save(app, run, journal).await?;
    quiesce::release(app, run, journal, notes).await
}

/// Finishes replacing files when that had begun, else throws staged files away. False when the data is
/// neither what it was nor what the backup holds.
async fn files(app: &App, run: &RunId, journal: &mut Journal, notes: &mut Vec<Note>) -> bool {
    let targets: Vec<PathBuf> = journal.staging.iter().map(PathBuf::from).collect();
    if targets.is_empty() {
        return true;
    }
    match app.ask_worker(Task::Resume { run: run.to_string(), targets }).await {
        Ok(Answer::Resumed { .. }) if journal.committing => notes.push(warning(
            "The data was put into place before that: volumes hold the backup's data now. What they held before is \
             in the safety backup, if one was made."
                .to_owned(),
        )),
        Ok(_) => {}
        Err(failure) => {
            tracing::error!(detail = %failure.detail, "{}", failure.message);
            notes.push(Note {
                level: Level::Error,
                text: format!(
                    "Putting the data into place could not be finished, so it is partly old and partly the backup's: \
                     {failure} What was there before is in the safety backup, if one was made."
                ),
            });
            return false;
        }
    }
    true
}

/// Removes a network that the run made. One that is older only has the same name.
async fn remove_network(app: &App, run: &RunId, network: &str) -> Result<(), DockerError> {
    let Some(inspect) = app.docker.network(network).await? else { return Ok(()) };
    if !is_younger(&inspect, run) {
        return Ok(());
    }
    let id = inspect["Id"].as_str().unwrap_or(network);
    app.docker.remove_network(id).await
}

/// Whether it was made after the run was asked for.
fn is_younger(inspect: &Value, run: &RunId) -> bool {
    let created = inspect["Created"].as_str().and_then(|time| time.parse::<DateTime<Utc>>().ok());
    created.is_some_and(|at| u64::try_from(at.timestamp_millis()).unwrap_or(0) > run.milliseconds())
}

/// A container that was created in the moment the server died is known by its name only. It is ours if it is
/// younger than the run and was never started.
async fn unfinished_container(
    app: &App,
    run: &RunId,
    journal: &mut Journal,
    notes: &mut Vec<Note>,
) -> Result<()> {
    let Some(name) = &journal.creating else { return Ok(()) };
    match app.docker.inspect(name).await {
        Ok(inspect) => {
            if is_younger(&inspect, run) && inspect["State"]["Status"] == "created" {
                let id = inspect["Id"].as_str().unwrap_or_default().to_owned();
                journal.created_containers.push(id);
            }
        }
        Err(error) => tell(notes, Err(error), ToString::to_string)?,
    }
    journal.creating = None;
    quiesce::save(app, run, journal).await
}

/// What is gone need not be removed; an engine that is away is tried again later; any other refusal is told.
fn tell(
    notes: &mut Vec<Note>,
    done: Result<(), DockerError>,
    words: impl FnOnce(&DockerError) -> String,
) -> Result<()> {
    match done {
        Ok(()) | Err(DockerError::NotFound(_)) => Ok(()),
        Err(error) if error.is_away() => Err(AppError::from(error)),
        Err(error) => {
            notes.push(warning(words(&error)));
            Ok(())
        }
    }
}

async fn put_back(app: &App, aside: &SetAside, start: bool) -> Result<(), DockerError> {
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
    if start && aside.was_running && inspect["State"]["Running"].as_bool() != Some(true) {
        app.docker.act(&aside.id, Action::Start, None).await?;
    }
    Ok(())
}

/// After a restore that is done: the old container goes (its volumes stay), what was stopped runs again.
pub(super) async fn settle(
    app: &App,
    run: &RunId,
    journal: &mut Journal,
    notes: &mut Vec<Note>,
) -> Result<()> {
    if let Some(aside) = journal.set_aside.take()
        && let Err(error) = app.docker.remove_container(&aside.id, true, false).await
    {
        notes.push(warning(format!(
            "The old container could not be removed; it is called {} now: {error}",
            aside.temporary_name
        )));
    }
    *journal = Journal { quiesced: std::mem::take(&mut journal.quiesced), ..Journal::default() };
    quiesce::save(app, run, journal).await?;
    quiesce::release(app, run, journal, notes).await
}

fn warning(text: String) -> Note {
    Note { level: Level::Warning, text }
}
