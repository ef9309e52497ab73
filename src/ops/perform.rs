//! Doing a run: the queue delivers its id, this does the work and writes down
//! how it ended. Never fails and never panics: the outcome belongs to the run.

use std::panic::AssertUnwindSafe;

use chrono::Utc;
use futures::FutureExt;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    backup_run, copies, file_restore_run, imports, network_backups, network_restores, notices, recovery,
    restore_run, upkeep, verify,
};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        backup::Trigger,
        names::RunId,
        progress::{Level, Note, Progress},
        run::{Kind, Outcome, Request, Run, State},
        vault::Storage,
    },
    worker::{
        launch::Listener,
        order::{Answer, Event, Failure, FailureKind, Gate, Task},
    },
};

/// Does the run with this id, if it still waits.
pub async fn perform(app: &App, id: &RunId) {
    let wanted = id.clone();
    let run = match app.db.write(move |c| db::runs::begin(c, &wanted)).await {
        Ok(Some(run)) => run,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(run.id = %id, error = crate::error::chain(&error), "the run could not begin");
            return;
        }
    };
    let span = tracing::info_span!("run", run.id = %id, run.kind = %run.kind, run.subject = %run.subject);
    let cancel = app.cancel_token(id);
    let live = app.live.begin(id);
    let job = Job { app: app.clone(), run: run.clone(), cancel: cancel.clone(), live };
    let done = watch_shutdown(app, &run, &cancel, Box::pin(AssertUnwindSafe(kind(&job)).catch_unwind()))
        .instrument(span.clone())
        .await;
    let mut outcome = match done {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(problem)) => span.in_scope(|| problem.outcome()),
        Err(_) => failed("Something went wrong inside Container Monkey. The log says more.".to_owned()),
    };
    app.drop_cancel_token(id);
    let written = end(app, &run, &mut outcome).instrument(span).await;
    app.live.end(id);
    if let Err(error) = written {
        tracing::error!(run.id = %id, error = crate::error::chain(&error), "the outcome could not be written");
    }
}

/// Brings back what the job had stopped or begun and not finished, then writes the outcome.
async fn end(app: &App, run: &Run, outcome: &mut Outcome) -> Result<()> {
    let interrupted = outcome.state == State::Cancelled && app.shutdown.is_cancelled();
    if interrupted && run.kind != Kind::Backup {
        *outcome =
            failed("Container Monkey was stopped before this job had ended. Start it again.".to_owned());
    }
    let before = outcome.notes.len();
    recovery::bring_back(app, run, &mut outcome.notes).await?;
    if outcome.state == State::Complete
        && outcome.notes[before..].iter().any(|note| note.level != Level::Info)
    {
        outcome.state = State::CompleteWithWarnings;
    }
    if interrupted && run.kind == Kind::Backup {
        let wanted = run.id.clone();
        app.db.write(move |c| db::runs::requeue(c, &wanted)).await?;
        app.unsettled.notify_one();
        return Ok(());
    }
    finish(app, run, outcome.clone()).await
}

/// Why a job has no outcome of its own: either side of the work may fail.
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

impl Problem {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Worker(failure) if failure.kind == FailureKind::Cancelled => done(State::Cancelled),
            Self::Worker(failure) => {
                tracing::error!(detail = %failure.detail, "{}", failure.message);
                failed(failure.message.clone())
            }
            Self::Request(error) => {
                tracing::error!(error = crate::error::chain(error), "the job failed");
                failed(error.to_string())
            }
        }
    }
}

/// Lets the job go on for a while when the server stops, then cancels it.
async fn watch_shutdown<F: Future>(app: &App, run: &Run, cancel: &CancellationToken, job: F) -> F::Output {
    tokio::pin!(job);
    tokio::select! {
        outcome = &mut job => return outcome,
        () = app.shutdown.cancelled() => {}
    }
    let patience = app.stop_timeout();
    tracing::info!(run.id = %run.id, "stopping: the running job gets {} s to end", patience.as_secs());
    if let Ok(outcome) = tokio::time::timeout(patience, &mut job).await {
        return outcome;
    }
    cancel.cancel();
    job.await
}

/// A run that is being done.
pub(super) struct Job {
    pub(super) app: App,
    pub(super) run: Run,
    pub(super) cancel: CancellationToken,
    live: watch::Sender<Progress>,
}

impl Job {
    /// A new step of the server's own.
    pub(super) fn step(&self, text: &str) {
        tracing::info!(step = text, "a step begins");
        self.live.send_modify(|progress| text.clone_into(&mut progress.step));
    }

    /// A line for the run's log.
    pub(super) async fn note(&self, level: Level, text: impl Into<String>) -> Result<()> {
        let (run, note) = (self.run.id.clone(), Note { level, text: text.into() });
        match level {
            Level::Info => tracing::info!("{}", note.text),
            Level::Warning | Level::Error => tracing::warn!("{}", note.text),
        }
        self.app.db.write(move |c| db::runs::add_note(c, &run, &note)).await?;
        Ok(())
    }

    /// Does a task that needs no vault in a worker; its progress and notes become the run's.
    pub(super) async fn work(&self, task: Task, gates: &mut dyn Gatekeeper) -> Result<Heard, Failure> {
        self.work_with(None, task, gates).await
    }

    /// The same with a vault.
    pub(super) async fn work_in(
        &self,
        storage: Storage,
        task: Task,
        gates: &mut dyn Gatekeeper,
    ) -> Result<Heard, Failure> {
        self.work_with(Some(storage), task, gates).await
    }

    async fn work_with(
        &self,
        storage: Option<Storage>,
        task: Task,
        gates: &mut dyn Gatekeeper,
    ) -> Result<Heard, Failure> {
        let mut listener = Ear { job: self, gates, warned: false };
        let answer = self.app.run_worker(storage, task, &mut listener, &self.cancel).await?;
        Ok(Heard { answer, warned: listener.warned })
    }
}

/// Lets a worker through its gates.
#[async_trait::async_trait]
pub(super) trait Gatekeeper: Send {
    /// What must be so before the worker goes on; an error stops it.
    async fn pass(&mut self, gate: Gate) -> Result<()>;
}

/// Lets a worker through every gate.
pub(super) struct Open;

#[async_trait::async_trait]
impl Gatekeeper for Open {
    async fn pass(&mut self, _: Gate) -> Result<()> {
        Ok(())
    }
}

/// What a worker said.
pub(super) struct Heard {
    /// Its answer.
    pub(super) answer: Answer,
    /// Whether there was a warning.
    pub(super) warned: bool,
}

struct Ear<'a> {
    job: &'a Job,
    gates: &'a mut dyn Gatekeeper,
    warned: bool,
}

#[async_trait::async_trait]
impl Listener for Ear<'_> {
    async fn event(&mut self, event: Event) {
        match event {
            Event::Progress(progress) => {
                if self.job.live.borrow().step != progress.step {
                    tracing::info!(step = progress.step.as_str(), "a step begins");
                }
                self.job.live.send_replace(progress);
            }
            Event::Note(note) => {
                self.warned |= note.level != Level::Info;
                if let Err(error) = self.job.note(note.level, note.text).await {
                    tracing::error!(error = crate::error::chain(&error), "a note could not be written");
                }
            }
            Event::Waiting(_) | Event::Answer(_) => {}
        }
    }

    async fn pass(&mut self, gate: Gate) -> Result<(), Failure> {
        self.gates.pass(gate).await.map_err(|error| Failure {
            kind: FailureKind::Other,
            message: error.to_string(),
            detail: crate::error::chain(&error),
        })
    }
}

async fn kind(job: &Job) -> Result<Outcome, Problem> {
    match &job.run.request {
        Request::Backup(request) => backup_run::run(job, request).await,
        Request::Restore(request) => restore_run::run(job, request).await,
        Request::RestoreFile(request) => file_restore_run::run(job, request).await,
        Request::NetworkBackup(request) => network_backups::run(job, request).await,
        Request::NetworkRestore(request) => network_restores::run(job, request).await,
        Request::Prune { storage } => upkeep::prune::run(job, *storage).await,
        Request::Copy(request) => copies::run(job, request).await,
        Request::Verify(request) => verify::run(job, request).await,
        Request::Import(request) => imports::run(job, request).await,
        Request::Redeploy { .. } => Ok(failed("A redeployment does not wait in the queue.".to_owned())),
    }
}

/// A final state with nothing else to tell.
pub(super) fn done(state: State) -> Outcome {
    Outcome { state, error: None, backup_id: None, backup_filename: None, bytes: 0, notes: Vec::new() }
}

/// A failed run.
pub(super) fn failed(why: String) -> Outcome {
    let notes = vec![Note { level: Level::Error, text: why.clone() }];
    Outcome { error: Some(why), notes, ..done(State::Failed) }
}

/// What the audit log calls it.
pub(super) const fn operation(run: &Run) -> &'static str {
    if matches!(run.request, Request::RestoreFile(_)) {
        return "restore_files";
    }
    match (run.kind, run.trigger) {
        (Kind::Backup, Trigger::Scheduled) => "backup_scheduled",
        (Kind::Backup, _) => "backup_manual",
        (Kind::Restore, _) => "restore",
        (Kind::Prune, _) => "prune",
        (Kind::Redeploy, _) => "container_redeploy",
        (Kind::Copy, _) => "copy_backup",
        (Kind::Verify, _) => "verify",
        (Kind::Import, _) => "upload_backup",
    }
}

/// Writes the outcome, the audit entry and the log line.
pub(super) async fn finish(app: &App, run: &Run, outcome: Outcome) -> Result<()> {
    let (run, end) = (run.clone(), outcome.clone());
    let scheduled = run.schedule_run.is_some();
    tracing::info!(run.id = %run.id, state = %outcome.state, bytes = outcome.bytes, "{} of {} ended", run.kind, run.subject);
    app.db
        .write(move |c| {
            let now = Utc::now();
            if db::runs::finish(c, &run.id, &end)?
                && let Some(notice) = notices::of_run(&run, &end, now)
            {
                db::notices::post(c, &notice, now)?;
            }
            let cancelled = (end.state == State::Cancelled).then_some("It was cancelled.");
            db::audit::record(
                c,
                &Entry {
                    operation: operation(&run),
                    actor: &run.requested_by,
                    address: &run.address,
                    target: &run.subject,
                    outcome: if end.state.is_good() { "completed" } else { "error" },
                    error: end.error.as_deref().or(cancelled),
                    details: json!({
                        "progress_id": run.id, "state": end.state, "backup_id": end.backup_id,
                        "backup_filename": end.backup_filename, "bytes": end.bytes,
                    }),
                },
            )
        })
        .await?;
    // Only now is it seen as ended, and what it could not bring back is somebody else's to do.
    app.unsettled.notify_one();
    app.notices.notify_one();
    if scheduled {
        app.schedules.notify_one();
    }
    Ok(())
}
