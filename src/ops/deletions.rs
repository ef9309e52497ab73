//! Deleting backups: one, or several with a result for each. Their data goes with the next prune.

use chrono::Utc;
use serde_json::json;

use super::{Actor, backups, upkeep::prune, vaults};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        backup::Backup,
        batch::{Item, ItemState},
        names::{BackupRef, RunId},
        vault::Storage,
    },
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

/// Deletes a backup from the vault and the catalog.
pub async fn one(app: &App, actor: &Actor, id: &BackupRef) -> Result<()> {
    let backup = backups::get(app, id).await?;
    match in_vault(app, actor, backup.storage, vec![backup]).await?.pop() {
        Some(Fate::Pinned(why)) => Err(AppError::Conflict(why.to_owned())),
        Some(Fate::Failed(failure)) => Err(failure.into()),
        Some(Fate::Gone) | None => Ok(()),
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
    let items = chosen.iter().map(|backup| Item::waiting(&backup.reference(), &name(backup)));
    let items: Vec<_> =
        items.chain(unknown.iter().map(|(id, why)| Item::refused(id.as_str(), why.clone()))).collect();
    let title = format!("Delete {} {}", items.len(), if items.len() == 1 { "backup" } else { "backups" });
    let id = app.batches.begin(title, "/vault".to_owned(), items);
    tokio::spawn(work(app.clone(), actor.clone(), id.clone(), chosen));
    Ok(id)
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
                    Ok(Some(Fate::Gone) | None) => (ItemState::Done, "Deleted".to_owned()),
                    Ok(Some(Fate::Pinned(why))) => (ItemState::Failed, (*why).to_owned()),
                    Ok(Some(Fate::Failed(failure))) => (ItemState::Failed, failure.message.clone()),
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
    /// It is not in the vault any more.
    Gone,
    /// It must stay.
    Pinned(&'static str),
    /// It is still there.
    Failed(Failure),
}

/// Deletes backups from one vault, then from the catalog. One fate for each, in their order.
async fn in_vault(app: &App, actor: &Actor, storage: Storage, list: Vec<Backup>) -> Result<Vec<Fate>> {
    let _alone = app.vaults.of(storage).catalog.lock().await;
    // Somebody may have pinned one since it was looked at.
    let (list, going) = app
        .db
        .read(move |c| {
            let mut list = list;
            for backup in &mut list {
                backup.pinned = db::marks::is_pinned(c, storage, &backup.id)?;
            }
            let going: Vec<String> =
                list.iter().filter(|it| refused(it).is_none()).map(|it| it.id.clone()).collect();
            Ok((list, going))
        })
        .await?;
    let mut failed = None;
    let mut left: Vec<String> = Vec::new();
    if !going.is_empty()
        && let Err(failure) = vaults::remove(app, storage, going.clone()).await
    {
        // Some may be gone all the same; where nobody knows, they are not.
        left = match vaults::ids(app, storage).await {
            Ok(there) => going.iter().filter(|id| there.contains(*id)).cloned().collect(),
            Err(_) => going.clone(),
        };
        failed = Some(failure);
    }
    let fates: Vec<Fate> = list
        .iter()
        .map(|backup| match (refused(backup), &failed) {
            (Some(why), _) => Fate::Pinned(why),
            (None, Some(failure)) if left.contains(&backup.id) => Fate::Failed(failure.clone()),
            (None, _) => Fate::Gone,
        })
        .collect();
    let problems: Vec<Option<String>> = fates
        .iter()
        .map(|fate| match fate {
            Fate::Gone => None,
            Fate::Pinned(why) => Some((*why).to_owned()),
            Fate::Failed(failure) => Some(failure.to_string()),
        })
        .collect();
    let actor = actor.clone();
    let prune = app
        .db
        .write(move |c| {
            for (backup, problem) in list.iter().zip(&problems) {
                if problem.is_none() {
                    db::backups::remove(c, storage, &backup.id)?;
                }
                let outcome = if problem.is_some() { "error" } else { "completed" };
                let details = json!({ "backup_id": backup.id, "storage_location": storage });
                let error = problem.as_deref();
                let name = backup.filename();
                let entry = Entry { outcome, error, details, ..actor.entry("delete_backup", &name) };
                db::audit::record(c, &entry)?;
            }
            if problems.iter().all(Option::is_some) {
                return Ok(None);
            }
            let by = (actor.name.as_str(), actor.address.as_str());
            prune::after_deletion(c, by, prune::Cause::Person, storage, Utc::now())
        })
        .await?;
    if let Some(prune) = prune {
        app.queue.push(&prune).await?;
    }
    Ok(fates)
}
