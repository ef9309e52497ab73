//! Doing the restore of one file or folder: what uses the target is stopped, a worker makes the new one beside its
//! place and lets the two change places, what was stopped runs again. Each step that a crash must not leave undone
//! is in the journal before it is done; see [`undo`].

use chrono::Utc;

use super::{
    file_restores::{self, Planned},
    perform::{Gatekeeper, Job, Problem, done},
    quiesce,
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        container::Container,
        files::shown,
        manifest::Consistency,
        names::RunId,
        progress::{Level, Note},
        restore::kept_name,
        run::{FileRestoreRequest, Journal, Outcome, State},
    },
    worker::order::{Answer, FailureKind, Gate, Task},
};

/// Does the run. What it begins is in its journal, and undone by who calls this if it is not finished.
pub(super) async fn run(job: &Job, request: &FileRestoreRequest) -> Result<Outcome, Problem> {
    let (app, id) = (&job.app, &job.run.id);
    job.step("Checking what is there");
    let backup = request.backup.parse().map_err(AppError::internal)?;
    let planned = file_restores::review(app, &backup, &request.options).await?;
    // Things may have changed since it was asked for.
    file_restores::refuse(&planned.review)?;
    let Planned { preview, review, place: Some(mut place), containers } = planned else {
        return Err(AppError::internal("a restore without a place").into());
    };
    place.kept = review.keep.then(|| kept_name(&place.name, Utc::now()));
    let mut journal = job.run.journal.clone();
    let users: Vec<&Container> = containers
        .iter()
        .filter(|container| review.used_by.iter().any(|user| user.running && user.id == container.id))
        .collect();
    if review.stop {
        job.step("Stopping what uses the data");
        quiesce::quiesce(app, id, &mut journal, &users, Consistency::Stop).await?;
    }
    journal.placing = Some(place.clone());
    quiesce::save(app, id, &journal).await?;
    let task = Task::RestoreFile {
        backup: preview.backup.id.clone(),
        path: request.options.path.clone(),
        run: id.to_string(),
        to: place,
    };
    let mut gate = Swap { job, journal: &mut journal };
    let heard = match job.work_in(preview.backup.storage, task, &mut gate).await {
        Ok(heard) => heard,
        Err(failure) => {
            if failure.kind != FailureKind::Worker {
                // It has said what is wrong, so it has left what is there as it was.
                journal.committing = false;
                quiesce::save(app, id, &journal).await?;
            }
            return Err(Problem::Worker(failure));
        }
    };
    let Answer::FileRestored { restored, kept } = heard.answer else {
        return Err(Problem::Worker(super::vaults::unexpected()));
    };
    (journal.placing, journal.committing) = (None, false);
    quiesce::save(app, id, &journal).await?;
    let target = review.target.as_ref().unwrap_or(&review.origin).words();
    job.note(Level::Info, format!("It is in the {target} now.")).await?;
    match (kept, review.present.is_some()) {
        (Some(kept), _) => {
            job.note(Level::Info, format!("What was there is called {} now.", shown(&kept))).await?;
        }
        (None, true) => job.note(Level::Info, "What was there before is replaced.").await?,
        (None, false) => {}
    }
    job.step("Starting what was stopped");
    let mut notes = Vec::new();
    quiesce::release(app, id, &mut journal, &mut notes).await?;
    let warned = heard.warned || !notes.is_empty();
    for note in notes {
        job.note(note.level, note.text).await?;
    }
    let state = if warned { State::CompleteWithWarnings } else { State::Complete };
    Ok(Outcome { backup_id: Some(preview.backup.id), bytes: restored.bytes, ..done(state) })
}

/// Writes down that what is there is about to be replaced.
struct Swap<'a> {
    job: &'a Job,
    journal: &'a mut Journal,
}

#[async_trait::async_trait]
impl Gatekeeper for Swap<'_> {
    async fn pass(&mut self, gate: Gate) -> Result<()> {
        if gate == Gate::Replace {
            self.journal.committing = true;
            quiesce::save(&self.job.app, &self.job.run.id, self.journal).await?;
        }
        Ok(())
    }
}

/// Finishes the swap when it had begun, else throws the new data away. An engine that is away, which starts the
/// worker where we run in a container, leaves it for another try.
pub(super) async fn undo(app: &App, run: &RunId, journal: &mut Journal, notes: &mut Vec<Note>) -> Result<()> {
    let Some(to) = journal.placing.clone() else { return Ok(()) };
    let finish = journal.committing;
    match app.ask_worker(Task::ResumeFile { run: run.to_string(), to, finish }).await {
        Ok(Answer::Resumed { finished: true }) => notes.push(Note {
            level: Level::Warning,
            text: "The data was put into its place all the same.".to_owned(),
        }),
        Ok(_) => {}
        Err(failure) if failure.kind == FailureKind::Docker => return Err(failure.into()),
        Err(failure) => {
            tracing::error!(detail = %failure.detail, "{}", failure.message);
            let text = if finish {
                format!("Putting the data into its place could not be finished. {failure}")
            } else {
                format!("What this restore had written beside its place could not be removed. {failure}")
            };
            notes.push(Note { level: Level::Error, text });
        }
    }
    journal.placing = None;
    quiesce::save(app, run, journal).await
}
