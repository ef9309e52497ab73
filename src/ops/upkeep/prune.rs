//! Freeing space: jobs that wait together are one, and what can't go yet is gone back for.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::load;
use crate::{
    app::App,
    db::{self, Connection, DbError, audit::Entry},
    error::Result,
    model::{
        backup::Trigger,
        human::size,
        names::{RunId, ScheduleRunId},
        progress::Level,
        run::{Outcome, Request, Run, State},
        upkeep::{Prune, WAITS},
        vault::Storage,
    },
    ops::{
        Actor,
        perform::{Job, Open, Problem, done},
        vaults,
    },
    worker::order::{Answer, Task},
};

/// When what was marked may go: milliseconds since 1970.
fn again_key(storage: Storage) -> String {
    format!("vault.{storage}.prune_again")
}

/// Why space is freed.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) enum Cause<'a> {
    /// Somebody asked, or has deleted something.
    Person,
    /// A schedule has deleted something at the end of this run.
    Schedule(&'a ScheduleRunId),
    /// It is time.
    Clock,
}

/// Frees the space of a vault because somebody asks.
pub async fn request(app: &App, actor: &Actor, storage: Storage) -> Result<RunId> {
    app.vault(storage)?;
    let actor = actor.clone();
    let queue =
        move |c: &mut Connection| queue(c, (&actor.name, &actor.address), Cause::Person, storage, Utc::now());
    let id = app.db.write(queue).await?;
    app.queue.push(&id).await?;
    Ok(id)
}

/// A job that frees the space of what was deleted, where that is done at once. It is to be delivered, also when it
/// has been before: that does no harm, and nobody else may do it.
pub(in crate::ops) fn after_deletion(
    c: &mut Connection,
    by: (&str, &str),
    cause: Cause<'_>,
    storage: Storage,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, DbError> {
    if load(c)?.prune != Prune::AfterDeletions {
        return Ok(None);
    }
    queue(c, by, cause, storage, now).map(Some)
}

/// Queues one with its audit entry, unless one waits already: it will see all that was deleted before it begins.
pub(super) fn queue(
    c: &mut Connection,
    by: (&str, &str),
    cause: Cause<'_>,
    storage: Storage,
    now: DateTime<Utc>,
) -> Result<RunId, DbError> {
    if let Some(id) = waiting(c, storage)? {
        return Ok(id);
    }
    let subject = format!("{} vault", storage.label());
    let (trigger, schedule_run) = match cause {
        Cause::Person => (Trigger::Manual, None),
        Cause::Clock => (Trigger::Scheduled, None),
        Cause::Schedule(id) => (Trigger::Scheduled, Some(id.clone())),
    };
    let queued = Run::queued(by, subject, Request::Prune { storage }, now);
    let run = Run { trigger, schedule_run, ..queued };
    db::runs::insert(c, &run)?;
    let entry = Entry {
        operation: "prune",
        actor: by.0,
        address: by.1,
        target: &run.subject,
        outcome: "started",
        error: None,
        details: json!({ "progress_id": run.id, "schedule_run": run.schedule_run }),
    };
    db::audit::record(c, &entry)?;
    Ok(run.id)
}

/// The one that waits for its turn.
pub(in crate::ops) fn waiting(c: &mut Connection, storage: Storage) -> Result<Option<RunId>, DbError> {
    let queued = db::runs::in_states(c, &[State::Queued])?.into_iter();
    let of_vault = |run: &Run| matches!(run.request, Request::Prune { storage: other } if other == storage);
    Ok(queued.filter(of_vault).map(|run| run.id).next())
}

/// When what was marked may go, if something was.
pub(super) fn again(c: &mut Connection, storage: Storage) -> Result<Option<DateTime<Utc>>, DbError> {
    let text = db::settings::get(c, &again_key(storage))?;
    Ok(text.and_then(|text| text.parse().ok()).and_then(DateTime::from_timestamp_millis))
}

/// Does the run.
pub(in crate::ops) async fn run(job: &Job, storage: Storage) -> Result<Outcome, Problem> {
    let heard = job.work_in(storage, Task::Prune, &mut Open).await.map_err(Problem::Worker)?;
    let Answer::Pruned { freed, later } = heard.answer else {
        return Err(Problem::Worker(vaults::unexpected()));
    };
    let from = (later > 0).then(|| Utc::now() + WAITS);
    job.app
        .db
        .write(move |c| {
            let text = from.map(|from| from.timestamp_millis().to_string());
            db::settings::set(c, &again_key(storage), text.as_deref())
        })
        .await?;
    job.note(Level::Info, freed_words(freed)).await?;
    if let Some(from) = from {
        let from = from.with_timezone(&job.app.zone).format("%-d %b %Y, %H:%M");
        let text = format!(
            "{} more is not needed any more. It stays for a day, because a backup that began before may rely on it: \
             its space is free from {from}.",
            size(later)
        );
        job.note(Level::Info, text).await?;
    }
    Ok(Outcome { bytes: freed, ..done(State::Complete) })
}

fn freed_words(bytes: u64) -> String {
    match bytes {
        0 => "No space could be freed now.".to_owned(),
        bytes => format!("{} of space is free now.", size(bytes)),
    }
}
