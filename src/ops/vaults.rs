//! The vault as a whole: there at start, listed, freed of what is not needed.

use std::time::Duration;

use serde_json::json;

use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    worker::order::{Answer, Failure, FailureKind, Task},
};

/// Set once this data directory has made or seen its vault. From then on a vault that is not there
/// is a mount that is missing, never a reason to make a new, empty one.
const SEEN: &str = "vault.local.seen";

/// Makes the vault on the very first start, else checks that it opens; reads its list.
pub async fn prepare(app: &App) -> Result<()> {
    let seen = app.db.read(|c| db::settings::get(c, SEEN)).await?.is_some();
    match refresh(app).await {
        Err(failure) if failure.kind == FailureKind::VaultMissing && !seen => {
            app.ask_worker(Task::Create).await?;
            tracing::info!("made a new vault");
        }
        Err(failure) => {
            // An engine that is away, where workers are containers, says nothing about the vault.
            if failure.kind != FailureKind::Docker {
                app.set_vault(Err(problem(&failure)));
            }
            return Err(failure.into());
        }
        Ok(count) => tracing::info!(backups = count, "read the vault's list"),
    }
    app.db.write(|c| db::settings::set(c, SEEN, Some("1"))).await?;
    Ok(())
}

/// Prepares it at the start. While it is Docker that does not answer, it is tried again in the background.
pub async fn prepare_at_start(app: &App) {
    if try_prepare(app).await {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
            if try_prepare(&app).await {
                return;
            }
        }
    });
}

/// False when it is worth another try: nothing is known to be wrong with the vault.
async fn try_prepare(app: &App) -> bool {
    match prepare(app).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(error = crate::error::chain(&error), "the vault is not available");
            app.vault_problem().is_some()
        }
    }
}

fn problem(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::VaultMissing => format!(
            "{} It was there before: is its disk mounted? Nothing was made in its place.",
            failure.message
        ),
        _ => failure.message.clone(),
    }
}

/// Reads the vault's list into the catalog; returns how many backups there are.
pub async fn refresh(app: &App) -> Result<usize, Failure> {
    // Nothing is deleted between the list and its copy.
    let _alone = app.catalog.lock().await;
    let failed = |error: db::DbError| Failure {
        kind: FailureKind::Other,
        message: error.to_string(),
        detail: crate::error::chain(&error),
    };
    let known = app.db.read(db::backups::ids).await.map_err(failed)?;
    let Answer::List(list) = app.ask_worker(Task::List).await? else {
        return Err(unexpected());
    };
    let count = list.len();
    app.db.write(move |c| db::backups::replace_all(c, &known, &list)).await.map_err(failed)?;
    Ok(count)
}

/// The answer to another question; never happens with a worker of the same version.
pub(super) fn unexpected() -> Failure {
    Failure {
        kind: FailureKind::Worker,
        message: "The worker answered another question.".to_owned(),
        detail: String::new(),
    }
}

/// Tries a vault that could not be opened again.
pub async fn retry(app: &App) -> Result<usize> {
    app.reopen_vault();
    prepare(app).await?;
    let count = app.db.read(db::backups::all).await?.len();
    Ok(count)
}

/// Deletes backups from the vault, then from the catalog.
pub async fn forget(app: &App, actor: &super::Actor, ids: Vec<String>, names: &[String]) -> Result<()> {
    let _alone = app.catalog.lock().await;
    app.ask_worker(Task::Forget { backups: ids.clone() }).await?;
    let (actor, names) = (actor.clone(), names.to_vec());
    app.db
        .write(move |c| {
            for (id, name) in ids.iter().zip(&names) {
                db::backups::remove(c, id)?;
                let details = json!({ "backup_id": id });
                db::audit::record(c, &Entry { details, ..actor.entry("delete_backup", name) })?;
            }
            Ok(())
        })
        .await
        .map_err(AppError::from)
}
