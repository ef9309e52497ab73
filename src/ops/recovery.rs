//! What an earlier process, or a job during which Docker went away, left behind.
//! A backup that was interrupted is an honest failure (its data in the vault is reused by the next one); a restore
//! is taken back or finished, never repeated; what either had stopped runs again; what waited goes back into the
//! queue. What cannot be brought back because Docker is away stays in the run's journal and is tried again.

use std::time::Duration;

use super::{cleanup, perform, undo};
use crate::{
    app::App,
    db,
    error::Result,
    model::{
        progress::{Level, Note},
        run::{Kind, Run, State},
    },
    worker::place::Place,
};

/// How long to wait for Docker between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// Settles every run that is `running` or `queued` in the database. Called once, before the queue works.
pub async fn run(app: &App) -> Result<()> {
    for run in app.db.read(|c| db::runs::in_states(c, &[State::Running])).await? {
        let mut outcome = perform::failed(why(&run).to_owned());
        bring_back(app, &run, &mut outcome.notes).await?;
        perform::finish(app, &run, outcome).await?;
    }
    for run in app.db.read(|c| db::runs::in_states(c, &[State::Queued])).await? {
        app.queue.push(&run.id).await?;
    }
    tokio::spawn(watch(app.clone()));
    if let Ok(Place::Beside(_)) = app.place().await
        && let Err(error) = cleanup::sweep(app, &mut Vec::new()).await
    {
        tracing::warn!(%error, "containers of earlier jobs could not be removed");
    }
    Ok(())
}

fn why(run: &Run) -> &'static str {
    match (run.kind, run.journal.committing) {
        (Kind::Backup, _) => {
            "Container Monkey was stopped while this backup was made. No backup came out of it; earlier ones are \
             untouched. Start it again."
        }
        (Kind::Restore, false) => {
            "Container Monkey was stopped during this restore, before anything was replaced. What it had begun is \
             taken back. Start it again."
        }
        (Kind::Restore, true) => {
            "Container Monkey was stopped while this restore put data into place. Start it again."
        }
        (Kind::Redeploy, _) => {
            "Container Monkey was stopped while this container was made again. The old one was brought back. Start \
             it again."
        }
        (Kind::Copy, _) => {
            "Container Monkey was stopped while backups were copied. What was copied is whole. Start it again."
        }
        (Kind::Verify, _) => {
            "Container Monkey was stopped while it verified backups. Nothing was changed. Start it again."
        }
        (Kind::Import, _) => {
            "Container Monkey was stopped while it imported a file. What was imported before is whole. Import it again."
        }
        (Kind::Prune, _) => {
            "Container Monkey was stopped while it freed space. Nothing was lost. Start it again."
        }
    }
}

/// Takes back what the run's journal names, and says how that went. What has to wait for Docker is done later.
pub(super) async fn bring_back(app: &App, run: &Run, notes: &mut Vec<Note>) -> Result<()> {
    let _one_at_a_time = app.settling.lock().await;
    let wanted = run.id.clone();
    let Some(run) = app.db.read(move |c| db::runs::get(c, &wanted)).await? else { return Ok(()) };
    let mut journal = run.journal;
    if let Err(error) = undo::undo(app, &run.id, &mut journal, notes).await {
        tracing::error!(run.id = %run.id, error = crate::error::chain(&error), "could not settle yet");
        notes.push(Note {
            level: Level::Error,
            text: format!(
                "What this job had stopped or begun can't be brought back yet; it is tried again. {error}"
            ),
        });
    }
    Ok(())
}

/// Tries again until Docker answers and nothing is left to bring back.
async fn watch(app: App) {
    // What an earlier process left.
    app.unsettled.notify_one();
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.unsettled.notified() => {}
        }
        if let Err(error) = settle_all(&app).await {
            tracing::debug!(error = crate::error::chain(&error), "not yet");
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            app.unsettled.notify_one();
        }
    }
}

async fn settle_all(app: &App) -> Result<()> {
    let _one_at_a_time = app.settling.lock().await;
    for run in app.db.read(db::runs::unsettled).await? {
        let (mut journal, mut notes) = (run.journal, Vec::new());
        let settled = undo::undo(app, &run.id, &mut journal, &mut notes).await;
        if settled.is_ok() {
            notes.push(Note {
                level: Level::Info,
                text: "Docker answers again: what this job had stopped or begun is brought back.".to_owned(),
            });
            tracing::info!(run.id = %run.id, "settled");
        }
        let id = run.id.clone();
        app.db.write(move |c| notes.iter().try_for_each(|note| db::runs::add_note(c, &id, note))).await?;
        settled?;
    }
    Ok(())
}
