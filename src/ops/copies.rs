//! Copies of backups in the other vault.

use std::collections::HashSet;

use super::{
    Actor, backups, deletions,
    perform::{Job, Open, Problem, done, failed},
    settings, vaults,
};
use crate::{
    app::App,
    db,
    error::{AppError, Result},
    model::{
        backup::{Backup, Trigger},
        names::{BackupRef, ScheduleId},
        run::{CopyRequest, CopyWhat, Outcome, Request, Run, State},
        vault::Storage,
    },
    worker::order::{Answer, Task},
};

/// Asks for copies of these backups in the other vault. They are of one vault.
pub async fn request(app: &App, actor: &Actor, ids: &[BackupRef]) -> Result<Run> {
    let mut chosen: Vec<Backup> = Vec::new();
    for id in ids {
        let backup = backups::get(app, id).await?;
        if chosen.iter().any(|other| other.storage != backup.storage) {
            return Err(AppError::Impossible(
                "These backups are in different vaults. Copy those of one vault at a time.".to_owned(),
            ));
        }
        chosen.push(backup);
    }
    let Some(first) = chosen.first() else {
        return Err(AppError::field("ids", "Choose a backup.".to_owned()));
    };
    let from = first.storage;
    let subject = match chosen.as_slice() {
        [one] => one.meta.container.clone(),
        many => format!("{} backups", many.len()),
    };
    let what = CopyWhat::Backups { ids: chosen.iter().map(|backup| backup.id.clone()).collect() };
    enqueue(app, actor, from, subject, what).await
}

/// Asks for a copy of every backup of this server that is not in the other vault yet.
pub async fn request_new(app: &App, actor: &Actor, from: Storage) -> Result<Run> {
    enqueue(app, actor, from, "New backups".to_owned(), CopyWhat::New { schedule: None }).await
}

async fn enqueue(app: &App, actor: &Actor, from: Storage, subject: String, what: CopyWhat) -> Result<Run> {
    let to = from.other();
    app.vault(from)?;
    app.vault(to)?;
    let run = backups::new_run(actor, subject, Request::Copy(CopyRequest { from, to, what }));
    backups::enqueue(app, actor, run).await
}

/// Does the run.
pub(super) async fn run(job: &Job, request: &CopyRequest) -> Result<Outcome, Problem> {
    let ids = match &request.what {
        CopyWhat::Backups { ids } => ids.clone(),
        CopyWhat::New { schedule } => {
            job.step("Comparing the vaults");
            for storage in [request.from, request.to] {
                vaults::refresh(&job.app, storage).await.map_err(Problem::Worker)?;
            }
            new(&job.app, request, schedule.as_ref()).await?
        }
    };
    if ids.is_empty() {
        return Ok(done(State::Complete));
    }
    let to = Box::new(job.app.vault(request.to)?);
    let heard = job.work_in(request.from, Task::Copy { backups: ids, to }, &mut Open).await;
    // Also after a failure: what was copied before it is there.
    let listed = vaults::refresh(&job.app, request.to).await;
    let heard = heard.map_err(Problem::Worker)?;
    listed.map_err(Problem::Worker)?;
    let Answer::Copied { copied, failed: lost, added, known } = heard.answer else {
        return Err(Problem::Worker(vaults::unexpected()));
    };
    // As in an import: a copy that somebody deleted is in the vault for a while, so no other was made.
    deletions::keep(job, request.to, |backup| known.contains(&backup.id)).await?;
    Ok(match (copied, lost) {
        (_, 0) => Outcome { bytes: added, ..done(State::Complete) },
        (0, _) => Outcome { bytes: added, ..failed("None of the backups could be copied.".to_owned()) },
        (_, lost) => {
            let why = format!("{lost} of {} backups could not be copied.", copied + lost);
            Outcome { bytes: added, error: Some(why), ..done(State::Partial) }
        }
    })
}

/// Backups of this server that can be relied on and have no copy yet, oldest first.
async fn new(app: &App, request: &CopyRequest, schedule: Option<&ScheduleId>) -> Result<Vec<String>> {
    let server = settings::server_name(app).await?;
    let all = app.db.read(db::backups::all).await?;
    let key = |backup: &Backup| (backup.created, backup.meta.kind.as_str(), backup.meta.container.clone());
    let there = |backup: &&Backup| backup.storage == request.to && backup.server_name == server;
    let copied: HashSet<_> = all.iter().filter(there).map(key).collect();
    let wanted = |backup: &&Backup| {
        backup.storage == request.from
            && backup.server_name == server
            && backup.meta.state.is_good()
            && backup.trigger != Trigger::Safety
            && schedule.is_none_or(|schedule| backup.meta.schedule.as_ref() == Some(schedule))
            && !copied.contains(&key(backup))
    };
    Ok(all.iter().rev().filter(wanted).map(|backup| backup.id.clone()).collect())
}
