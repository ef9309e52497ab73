//! Deleting backups: one, or several with a result for each. For a while they only are in no list any more and can be
//! brought back; then they go from the vault, and their data with the next prune.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    Actor, backups,
    perform::Job,
    upkeep::{self, prune},
    vaults,
};
use crate::{
    app::App,
    db::{self, Connection, DbError, audit::Entry},
    error::{AppError, Result},
    model::{
        backup::Backup,
        backup_list::Deleted,
        batch::{Item, ItemState},
        names::{BackupRef, RunId},
        progress::Level,
        vault::Storage,
    },
    vaults::State,
    worker::order::Failure,
};

/// The most backups of one request.
pub const MOST: usize = 1000;

/// So many are deleted by one worker; then the batch tells how far it is.
const AT_ONCE: usize = 50;

/// Why a backup can't be deleted.
pub fn refused(backup: &Backup) -> Option<&'static str> {
    backup.pinned.then_some("It is pinned, so that nobody deletes it by mistake. Unpin it first.")
}

/// Deletes a backup; until the moment that is given back, it can be brought back.
pub async fn one(app: &App, actor: &Actor, id: &BackupRef) -> Result<Option<DateTime<Utc>>> {
    let backup = backups::get(app, id).await?;
    match in_vault(app, actor, backup.storage, vec![backup]).await?.pop() {
        Some(Fate::Pinned(why)) => Err(AppError::Conflict(why.to_owned())),
        Some(Fate::Failed(failure)) => Err(failure.into()),
        Some(Fate::Kept(until)) => Ok(Some(until)),
        Some(Fate::Gone) | None => Ok(None),
    }
}

/// The backups that are meant, each once, and for the names that mean none, why.
pub async fn choose(app: &App, ids: &[BackupRef]) -> Result<(Vec<Backup>, Vec<(BackupRef, String)>)> {
    if ids.is_empty() {
        return Err(AppError::field("ids", "Choose at least one backup."));
    }
    if ids.len() > MOST {
        return Err(AppError::field("ids", format!("At most {MOST} backups at once.")));
    }
    let (mut chosen, mut unknown): (Vec<Backup>, Vec<_>) = (Vec::new(), Vec::new());
    for id in ids {
        match backups::get(app, id).await {
            Ok(backup) if chosen.iter().any(|known| known.reference() == backup.reference()) => {}
            Ok(backup) => chosen.push(backup),
            Err(error @ (AppError::NotFound(_) | AppError::Conflict(_))) => {
                unknown.push((id.clone(), error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((chosen, unknown))
}

/// Begins to delete several; the batch tells how far it is. It goes on when the browser that asked is gone. `name`:
/// what people call one of them.
pub async fn begin(
    app: &App,
    actor: &Actor,
    ids: &[BackupRef],
    name: impl Fn(&Backup) -> String,
) -> Result<RunId> {
    let (chosen, unknown) = choose(app, ids).await?;
    Ok(begin_with(app, actor, chosen, &unknown, name))
}

/// Begins to delete all there are, if none of them must stay.
pub async fn begin_all(app: &App, actor: &Actor, name: impl Fn(&Backup) -> String) -> Result<RunId> {
    let all = backups::list(app, &backups::Filter::default()).await?.backups;
    let pinned = all.iter().filter(|backup| refused(backup).is_some()).count();
    if pinned > 0 {
        return Err(AppError::Conflict(format!(
            "{pinned} of {} backups are pinned, so that nobody deletes them by mistake. Nothing was deleted. Unpin \
             them first, or delete the others by their ids.",
            all.len()
        )));
    }
    Ok(begin_with(app, actor, all, &[], name))
}

fn begin_with(
    app: &App,
    actor: &Actor,
    chosen: Vec<Backup>,
    unknown: &[(BackupRef, String)],
    name: impl Fn(&Backup) -> String,
) -> RunId {
    let items = chosen.iter().map(|backup| Item::waiting(&backup.reference(), &name(backup)));
    let items: Vec<_> =
        items.chain(unknown.iter().map(|(id, why)| Item::refused(id.as_str(), why.clone()))).collect();
    let title = format!("Delete {} {}", items.len(), if items.len() == 1 { "backup" } else { "backups" });
    let id = app.batches.begin(title, "/vault".to_owned(), items);
    tokio::spawn(work(app.clone(), actor.clone(), id.clone(), chosen));
    id
}

async fn work(app: App, actor: Actor, batch: RunId, chosen: Vec<Backup>) {
    for storage in Storage::ALL {
        let here: Vec<(usize, Backup)> =
            chosen.iter().cloned().enumerate().filter(|(_, backup)| backup.storage == storage).collect();
        for some in here.chunks(AT_ONCE) {
            for (place, _) in some {
                app.batches.set(&batch, *place, ItemState::Working, String::new(), None);
            }
            let list = some.iter().map(|(_, backup)| backup.clone()).collect();
            let fates = in_vault(&app, &actor, storage, list).await;
            for (number, (place, _)) in some.iter().enumerate() {
                let (state, text) = match fates.as_ref().map(|fates| fates.get(number)) {
                    Ok(Some(Fate::Kept(until))) => {
                        let until = until.with_timezone(&app.zone).format("%-d %b %Y, %H:%M");
                        (ItemState::Done, format!("Deleted. Until {until} it can be brought back."))
                    }
                    Ok(Some(Fate::Gone) | None) => (ItemState::Done, "Deleted".to_owned()),
                    Ok(Some(fate)) => (ItemState::Failed, fate.problem().unwrap_or_default()),
                    Err(error) => (ItemState::Failed, error.to_string()),
                };
                app.batches.set(&batch, *place, state, text, None);
            }
        }
    }
    app.batches.end(&batch);
}

/// What became of a backup.
#[derive(Debug)]
enum Fate {
    /// It is in no list any more; until then it can be brought back.
    Kept(DateTime<Utc>),
    /// It is not in the vault any more.
    Gone,
    /// It must stay.
    Pinned(&'static str),
    /// It is still there.
    Failed(Failure),
}

impl Fate {
    fn problem(&self) -> Option<String> {
        match self {
            Self::Kept(_) | Self::Gone => None,
            Self::Pinned(why) => Some((*why).to_owned()),
            Self::Failed(failure) => Some(failure.to_string()),
        }
    }
}

/// Deletes backups of one vault. One fate for each, in their order.
async fn in_vault(app: &App, actor: &Actor, storage: Storage, list: Vec<Backup>) -> Result<Vec<Fate>> {
    let _alone = app.vaults.of(storage).catalog.lock().await;
    let now = Utc::now();
    // Somebody may have pinned one since it was looked at.
    let (list, settings) = app
        .db
        .read(move |c| {
            let mut list = list;
            for backup in &mut list {
                backup.pinned = db::marks::is_pinned(c, storage, &backup.id)?;
            }
            Ok((list, upkeep::load(c)?))
        })
        .await?;
    let until = (settings.keep_deleted > 0).then(|| settings.keeps_until(now));
    let going = || list.iter().filter(|backup| refused(backup).is_none());
    let (left, failure) = match until {
        Some(_) => (Vec::new(), None),
        None => take_out(app, storage, going().map(|backup| backup.id.clone()).collect()).await,
    };
    let fate = |backup: &Backup| match (refused(backup), &failure, until) {
        (Some(why), ..) => Fate::Pinned(why),
        (None, Some(failure), _) if left.contains(&backup.id) => Fate::Failed(failure.clone()),
        (None, _, Some(until)) => Fate::Kept(until),
        (None, _, None) => Fate::Gone,
    };
    let fates: Vec<Fate> = list.iter().map(fate).collect();
    let problems: Vec<Option<String>> = fates.iter().map(Fate::problem).collect();
    let actor = actor.clone();
    let prune = app
        .db
        .write(move |c| {
            for (backup, problem) in list.iter().zip(&problems) {
                match (problem, until) {
                    (Some(_), _) => {}
                    (None, Some(_)) => {
                        db::deleted_backups::take(c, storage, &backup.id, now, &actor.name)?;
                    }
                    (None, None) => db::backups::remove(c, storage, &backup.id)?,
                }
                record(c, &actor, "delete_backup", backup, problem.as_deref(), until)?;
            }
            if until.is_some() || problems.iter().all(Option::is_some) {
                return Ok(None);
            }
            let by = (actor.name.as_str(), actor.address.as_str());
            prune::after_deletion(c, by, prune::Cause::Person, storage, now)
        })
        .await?;
    if let Some(prune) = prune {
        app.queue.push(&prune).await?;
    }
    Ok(fates)
}

/// Deletes them from the vault. Where that fails: the ids of those that are still there, and why. To be called with the
/// catalog locked.
async fn take_out(app: &App, storage: Storage, ids: Vec<String>) -> (Vec<String>, Option<Failure>) {
    if ids.is_empty() {
        return (Vec::new(), None);
    }
    let Err(failure) = vaults::remove(app, storage, ids.clone()).await else { return (Vec::new(), None) };
    // Some may be gone all the same; where nobody knows, they are not.
    let left = match vaults::ids(app, storage).await {
        Ok(there) => ids.into_iter().filter(|id| there.contains(id)).collect(),
        Err(_) => ids,
    };
    (left, Some(failure))
}

fn record(
    c: &mut Connection,
    actor: &Actor,
    operation: &str,
    backup: &Backup,
    error: Option<&str>,
    until: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    let details = json!({
        "backup_id": backup.id, "storage_location": backup.storage,
        "kept_until": until.filter(|_| error.is_none()),
    });
    let outcome = if error.is_some() { "error" } else { "completed" };
    let name = backup.filename();
    db::audit::record(c, &Entry { outcome, error, details, ..actor.entry(operation, &name) })
}

/// Those that were deleted and can still be brought back, with the moment until when, the newest deletion first.
pub async fn kept(app: &App) -> Result<Vec<(Deleted, DateTime<Utc>)>> {
    let (all, settings) = app.db.read(|c| Ok((db::deleted_backups::all(c)?, upkeep::load(c)?))).await?;
    Ok(all
        .into_iter()
        .map(|deleted| {
            let until = settings.keeps_until(deleted.at);
            (deleted, until)
        })
        .collect())
}

/// Brings deleted backups back.
pub async fn undelete(app: &App, actor: &Actor, ids: &[BackupRef]) -> Result<Vec<Backup>> {
    if ids.is_empty() {
        return Err(AppError::field("ids", "Choose at least one backup."));
    }
    let mut back = Vec::new();
    for id in ids {
        let gone = || AppError::NotFound(format!("The deleted backup “{id}”").into());
        let (storage, name) = id.parts();
        let all = app.db.read(db::deleted_backups::all).await?;
        let meant = |deleted: &&Deleted| {
            storage.is_none_or(|storage| deleted.backup.storage == storage)
                && (deleted.backup.id == name || deleted.backup.filename() == name)
        };
        let backup = all.iter().find(meant).ok_or_else(gone)?.backup.clone();
        back.push(give_back(app, actor, backup).await?.ok_or_else(gone)?);
    }
    Ok(back)
}

/// Brings a deleted one back; `None` when its time is over.
async fn give_back(app: &App, actor: &Actor, backup: Backup) -> Result<Option<Backup>> {
    let _alone = app.vaults.of(backup.storage).catalog.lock().await;
    let by = actor.clone();
    let found = app
        .db
        .write(move |c| {
            let found = db::deleted_backups::give_back(c, backup.storage, &backup.id)?;
            if let Some(backup) = &found {
                record(c, &by, "undelete_backup", backup, None, None)?;
            }
            Ok(found)
        })
        .await?;
    Ok(found)
}

/// Brings those deleted backups of a vault back that a run would have brought there, and tells it in the run's log.
pub(super) async fn keep(job: &Job, storage: Storage, meant: impl Fn(&Backup) -> bool) -> Result<()> {
    let all = job.app.db.read(db::deleted_backups::all).await?;
    let deleted = all.into_iter().map(|deleted| deleted.backup);
    let run = &job.run;
    let actor = Actor { id: 0, name: run.requested_by.clone(), address: run.address.clone() };
    for backup in deleted.filter(|backup| backup.storage == storage && meant(backup)) {
        let name = backup.filename();
        if give_back(&job.app, &actor, backup).await?.is_none() {
            return Err(AppError::Conflict(format!(
                "{name} had been deleted and left the vault just now. Do this again."
            )));
        }
        job.note(Level::Info, format!("{name} had been deleted. It is back in the list.")).await?;
    }
    Ok(())
}

/// Removes deleted backups from the vaults whose time is over. A vault that can't be used keeps them until it can.
pub(super) async fn expire(app: &App, now: DateTime<Utc>) -> Result<()> {
    for storage in Storage::ALL {
        if !matches!(app.vaults.of(storage).state(), State::Ready(_)) {
            continue;
        }
        let _alone = app.vaults.of(storage).catalog.lock().await;
        let over = kept(app).await?.into_iter().filter(|(_, until)| *until <= now);
        let over: Vec<Backup> =
            over.map(|(deleted, _)| deleted.backup).filter(|backup| backup.storage == storage).collect();
        for some in over.chunks(AT_ONCE) {
            let ids = some.iter().map(|backup| backup.id.clone()).collect();
            let (left, failure) = take_out(app, storage, ids).await;
            let gone: Vec<Backup> =
                some.iter().filter(|backup| !left.contains(&backup.id)).cloned().collect();
            let prune = app.db.write(move |c| forget(c, storage, &gone, now)).await?;
            if let Some(prune) = prune {
                app.queue.push(&prune).await?;
            }
            if let Some(failure) = failure {
                return Err(failure.into());
            }
        }
    }
    Ok(())
}

/// Writes down that they are gone; the job that frees their space is to be delivered.
fn forget(
    c: &mut Connection,
    storage: Storage,
    gone: &[Backup],
    now: DateTime<Utc>,
) -> Result<Option<RunId>, DbError> {
    let (name, address) = upkeep::clock::CLOCK;
    let clock = Actor { id: 0, name: name.to_owned(), address: address.to_owned() };
    for backup in gone {
        db::deleted_backups::remove(c, storage, &backup.id)?;
        record(c, &clock, "remove_backup", backup, None, None)?;
    }
    if gone.is_empty() {
        return Ok(None);
    }
    prune::after_deletion(c, upkeep::clock::CLOCK, prune::Cause::Clock, storage, now)
}
