//! Keeping containers still while their data is read or replaced, and always
//! bringing them back. What is stopped or paused is written down *before* it is
//! done, so that a server that dies meanwhile brings it back at its next start.

use crate::{
    app::App,
    db,
    docker::DockerError,
    error::Result,
    model::{
        container::{Action, Container, Status},
        manifest::Consistency,
        names::RunId,
        progress::{Level, Note},
        run::{Journal, Quiesced},
    },
};

/// Containers that would write to these volumes or host paths while they are read or replaced.
pub(super) fn users_of<'a>(all: &'a [Container], names: &[String]) -> Vec<&'a Container> {
    all.iter()
        .filter(|container| container.status == Status::Running || container.status == Status::Restarting)
        .filter(|container| container.volumes.iter().any(|mount| names.contains(&mount.name)))
        .collect()
}

/// Stops or pauses `containers`, journaled one by one. The program's own container is left alone.
pub(super) async fn quiesce(
    app: &App,
    run: &RunId,
    journal: &mut Journal,
    containers: &[&Container],
    how: Consistency,
) -> Result<()> {
    for container in containers.iter().filter(|container| !container.is_self) {
        let inspect = app.docker.inspect(&container.id).await?;
        // Stopping a `--rm` container deletes it and its anonymous volumes; a restarting one can't be paused.
        let removes_itself = inspect["HostConfig"]["AutoRemove"].as_bool() == Some(true);
        let restarting = container.status == Status::Restarting;
        let paused = removes_itself || (how == Consistency::Pause && !restarting);
        journal.quiesced.push(Quiesced { id: container.id.clone(), name: container.name.clone(), paused });
        save(app, run, journal).await?;
        let action = if paused { Action::Pause } else { Action::Stop };
        app.docker.act(&container.id, action, None).await?;
    }
    Ok(())
}

/// Brings back what this run stopped or paused, the last one first; `notes` say what does not start any more.
/// Fails when the engine does not answer; what is left stays in the journal.
pub(super) async fn release(
    app: &App,
    run: &RunId,
    journal: &mut Journal,
    notes: &mut Vec<Note>,
) -> Result<()> {
    while let Some(container) = journal.quiesced.last() {
        match bring_back(app, container).await {
            Err(error) if error.is_away() => return Err(error.into()),
            Err(error) => notes.push(Note {
                level: Level::Warning,
                text: format!("{} was stopped for this job and did not start again: {error}", container.name),
            }),
            Ok(()) => {}
        }
        journal.quiesced.pop();
        save(app, run, journal).await?;
    }
    Ok(())
}

/// By id, else by name: it may have been recreated meanwhile. Only what is still as we left it is touched.
async fn bring_back(app: &App, container: &Quiesced) -> Result<(), DockerError> {
    let inspect = match app.docker.inspect(&container.id).await {
        Err(DockerError::NotFound(_)) => app.docker.inspect(&container.name).await?,
        other => other?,
    };
    let id = inspect["Id"].as_str().unwrap_or(&container.id);
    let state = &inspect["State"];
    let action = if state["Paused"].as_bool() == Some(true) {
        Action::Resume
    } else if state["Running"].as_bool() == Some(true) {
        return Ok(());
    } else {
        Action::Start
    };
    app.docker.act(id, action, None).await
}

/// Writes the journal; call it before the step it speaks of.
pub(super) async fn save(app: &App, run: &RunId, journal: &Journal) -> Result<()> {
    let (run, journal) = (run.clone(), journal.clone());
    app.db.write(move |c| db::runs::set_journal(c, &run, &journal)).await?;
    Ok(())
}
