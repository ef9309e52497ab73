//! The vault as a whole: there at start, listed, freed of what is not needed.

use std::{collections::HashSet, time::Duration};

use crate::{
    app::App,
    db,
    error::{AppError, Result},
    model::vault::Storage,
    vaults::State,
    worker::order::{Answer, Failure, FailureKind, Task},
};

/// Set once this data directory has made or seen this vault. From then on a vault that is not there
/// is a mount that is missing, never a reason to make a new, empty one.
fn seen_key(storage: Storage) -> String {
    format!("vault.{storage}.seen")
}

/// Makes the vault on the very first start, else checks that it opens; reads its list. Does nothing where it is
/// not set up.
pub async fn prepare(app: &App, storage: Storage) -> Result<()> {
    match app.vaults.of(storage).state() {
        State::Absent => return Ok(()),
        State::Refused(why) | State::Locked(why) => return Err(AppError::unavailable(why, None)),
        State::Ready(_) => {}
    }
    let key = seen_key(storage);
    let seen = app.db.read(move |c| db::settings::get(c, &key)).await?.is_some();
    match refresh(app, storage).await {
        // A bucket is set up only once there is a vault in it.
        Err(failure) if failure.kind == FailureKind::VaultMissing && !seen && storage == Storage::Local => {
            app.ask_vault(storage, Task::Create).await?;
            tracing::info!(%storage, "made a new vault");
        }
        Err(failure) => {
            // An engine that is away, where workers are containers, says nothing about the vault, nor does a bucket that
            // is away.
            if !matches!(failure.kind, FailureKind::Docker | FailureKind::Storage) {
                app.vaults.of(storage).set(problem(app, storage, &failure));
            }
            return Err(failure.into());
        }
        Ok(count) => tracing::info!(%storage, backups = count, "read the vault's list"),
    }
    app.db.write(move |c| db::settings::set(c, &seen_key(storage), Some("1"))).await?;
    Ok(())
}

/// How often the list of a vault is read that others write to.
const PACE: Duration = Duration::from_mins(10);

/// Reads the list of the bucket's vault from time to time: other servers make backups there, too.
pub async fn keep_up(app: App) {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(PACE) => {}
        }
        if let State::Ready(_) = app.vaults.of(Storage::S3).state()
            && let Err(failure) = refresh(&app, Storage::S3).await
        {
            tracing::error!(error = failure.detail, "the vault's list could not be read: {failure}");
        }
    }
}

/// Prepares it at the start. While it is Docker that does not answer, it is tried again in the background.
pub async fn prepare_at_start(app: &App, storage: Storage) {
    // Nobody waits for a bucket that may be slow or away.
    if storage == Storage::Local && try_prepare(app, storage).await {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        let mut pause = if storage == Storage::Local { Duration::from_secs(5) } else { Duration::ZERO };
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if try_prepare(&app, storage).await {
                return;
            }
            pause = Duration::from_secs(5);
        }
    });
}

/// False when it is worth another try: nothing is known to be wrong with the vault.
async fn try_prepare(app: &App, storage: Storage) -> bool {
    match prepare(app, storage).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%storage, error = crate::error::chain(&error), "the vault is not available");
            app.problem_of(storage).is_some()
        }
    }
}

fn problem(app: &App, storage: Storage, failure: &Failure) -> State {
    let message = &failure.message;
    match failure.kind {
        FailureKind::VaultMissing => State::Refused(format!(
            "{message} It was there before: is its disk mounted? Nothing was made in its place."
        )),
        FailureKind::WrongKey if storage == Storage::Local && app.config.vault_password.is_some() => {
            State::Refused(format!("{message} This server is told the key by MONKEY_VAULT_PASSWORD."))
        }
        FailureKind::WrongKey => {
            State::Locked(format!("{message} Enter the vault's own key in the settings, under Storage."))
        }
        _ => State::Refused(message.clone()),
    }
}

/// Reads the vault's list into the catalog; returns how many backups there are.
pub async fn refresh(app: &App, storage: Storage) -> Result<usize, Failure> {
    // Nothing is deleted between the list and its copy.
    let _alone = app.vaults.of(storage).catalog.lock().await;
    let failed = |error: db::DbError| Failure {
        kind: FailureKind::Other,
        message: error.to_string(),
        detail: crate::error::chain(&error),
    };
    let known = app.db.read(move |c| db::backups::ids(c, storage)).await.map_err(failed)?;
    let answer = app.ask_vault(storage, Task::List).await;
    let trouble = answer.as_ref().err().filter(|failure| failure.kind == FailureKind::Storage);
    app.vaults.of(storage).set_trouble(trouble.map(|failure| failure.message.clone()));
    let Answer::List { backups: list, settings } = answer? else {
        return Err(unexpected());
    };
    let count = list.len();
    app.db
        .write(move |c| {
            db::backups::replace_all(c, storage, &known, &list)?;
            db::saved_settings::set(c, storage, &settings)
        })
        .await
        .map_err(failed)?;
    Ok(count)
}

/// Ids of the backups that are in the vault now.
pub(super) async fn ids(app: &App, storage: Storage) -> Result<HashSet<String>, Failure> {
    let Answer::List { backups, .. } = app.ask_vault(storage, Task::List).await? else {
        return Err(unexpected());
    };
    Ok(backups.into_iter().map(|backup| backup.id).collect())
}

/// The answer to another question; never happens with a worker of the same version.
pub(super) fn unexpected() -> Failure {
    Failure {
        kind: FailureKind::Worker,
        message: "The worker answered another question.".to_owned(),
        detail: String::new(),
    }
}

/// Tries vaults that could not be opened again, and reads all lists; returns how many backups there are.
pub async fn retry(app: &App) -> Result<usize> {
    let mut problem = None;
    for storage in Storage::ALL {
        super::vault_keys::find(app, storage);
        // One that is away must not hide what the other has.
        if let Err(error) = prepare(app, storage).await {
            problem.get_or_insert(error);
        }
    }
    if let Some(problem) = problem {
        return Err(problem);
    }
    let count = app.db.read(db::backups::sums).await?.count();
    Ok(count)
}

/// Deletes backups from the vault. For who holds the catalog's lock and takes them out of the catalog, too.
pub(super) async fn remove(app: &App, storage: Storage, ids: Vec<String>) -> Result<(), Failure> {
    app.ask_vault(storage, Task::Forget { backups: ids }).await.map(drop)
}
