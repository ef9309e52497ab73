//! After a start: runs that an earlier process left behind. A backup that was
//! interrupted is an honest failure (its data in the vault is reused by the next
//! one); a restore is taken back or finished, never repeated; what either had
//! stopped runs again; what waited goes back into the queue.

use super::{perform, undo};
use crate::{
    app::App,
    db,
    error::Result,
    model::{
        progress::Level,
        run::{Kind, Outcome, Run, State},
    },
};

/// Settles every run that is `running` or `queued` in the database. Called once, before the queue works.
pub async fn run(app: &App) -> Result<()> {
    for run in app.db.read(|c| db::runs::in_states(c, &[State::Running])).await? {
        settle(app, &run).await?;
    }
    for run in app.db.read(|c| db::runs::in_states(c, &[State::Queued])).await? {
        app.queue.push(&run.id).await?;
    }
    Ok(())
}

async fn settle(app: &App, run: &Run) -> Result<()> {
    let mut journal = run.journal.clone();
    let committing = journal.committing;
    let mut outcome = perform::failed(match (run.kind, committing) {
        (Kind::Backup, _) => {
            "Container Monkey was stopped while this backup was made. No backup came out of it; earlier ones are \
             untouched. Start it again."
        }
        (Kind::Restore, false) => {
            "Container Monkey was stopped during this restore, before anything was replaced. What it had begun was \
             taken back. Start it again."
        }
        (Kind::Restore, true) => {
            "Container Monkey was stopped while this restore put data into place. The data was finished, the new \
             container was not. Start it again."
        }
        (Kind::Prune, _) => "Container Monkey was stopped while it freed space. Nothing was lost. Start it again.",
    }
    .to_owned());
    match undo::undo(app, &run.id, &mut journal).await {
        Ok(notes) => outcome.notes.extend(notes),
        Err(error) => {
            // Docker may be away at boot; the journal stays, so that the next start tries again.
            tracing::error!(run.id = %run.id, error = crate::error::chain(&error), "could not settle");
            outcome.notes.push(crate::model::progress::Note {
                level: Level::Error,
                text: format!("What was stopped for this job could not be brought back: {error}"),
            });
        }
    }
    let outcome: Outcome = outcome;
    perform::finish(app, run, outcome).await?;
    Ok(())
}
