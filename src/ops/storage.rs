//! Where backups go: the bucket, and which vault gets the new ones. Kept in `config/storage.json`, not in the database:
//! who loses the database must not lose the way to the backups.

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::PathBuf, time::Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Actor, vault_keys, vaults};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        secret::Secret,
        vault::{Access, Location, S3Credentials, S3Location, Storage},
    },
    seal,
    vaults::State,
    worker::order::{Failure, FailureKind, Task},
};

/// What secrets of the bucket are sealed for, and the key of the vault in it.
const SECRET: &str = "s3.secret_key";
const KEY: &str = "s3.vault_key";

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct File {
    /// Where new backups go.
    chosen: Storage,
    s3: Option<Kept>,
}

/// The bucket as it is kept: secrets are sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    /// With an empty secret.
    place: S3Location,
    secret_key: Option<String>,
    vault_key: String,
}

/// What a person enters.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where. Without a secret key, the one that is kept for this access key is meant.
    pub place: S3Location,
    /// What opens the vault that is there. Without it: what is kept, or the local vault's key.
    pub vault_key: Option<Secret>,
}

/// What is set up, for people.
#[derive(Debug)]
pub struct Settings {
    /// Where new backups go.
    pub chosen: Storage,
    /// The bucket; its secret key is empty.
    pub s3: Option<S3Location>,
    /// Why it can't be used now.
    pub problem: Option<String>,
}

/// What connecting led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// A new vault.
    Made,
    /// A vault that was there, with so many backups.
    Opened(usize),
}

fn path(app: &App) -> PathBuf {
    app.config.config_dir().join("storage.json")
}

fn load(app: &App) -> Result<File, String> {
    let unusable = |why: String| format!("The storage settings {} can't be used: {why}", path(app).display());
    match fs::read(path(app)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Whole or not at all, readable by the owner only.
fn save(app: &App, file: &File) -> Result<()> {
    let write = || -> io::Result<()> {
        let (path, new) = (path(app), path(app).with_extension("json.new"));
        let mut out =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        serde_json::to_writer_pretty(&mut out, file)?;
        out.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(|error| {
        AppError::unavailable(
            format!("The storage settings can't be written: {error}"),
            Some(Box::new(error)),
        )
    })
}

/// At the start: what opens the bucket's vault, and where new backups go.
pub fn find(app: &App) -> State {
    match load(app) {
        Err(why) => State::Refused(why),
        Ok(file) => {
            app.vaults.choose(file.chosen);
            file.s3.map_or(State::Absent, |kept| open(app, &kept).map_or_else(State::Refused, State::Ready))
        }
    }
}

fn open(app: &App, kept: &Kept) -> Result<Access, String> {
    let unseal = |place: &str, sealed: &str| {
        app.seal.open(place, sealed).ok_or_else(|| {
            "The secrets for the bucket can't be read, because config/secret.key is another one than when they were \
             entered. Enter them again in the settings, under Storage."
                .to_owned()
        })
    };
    let mut place = kept.place.clone();
    if let (S3Credentials::Keys { secret_key, .. }, Some(sealed)) = (&mut place.credentials, &kept.secret_key)
    {
        *secret_key = unseal(SECRET, sealed)?;
    }
    Ok(access(app, place, unseal(KEY, &kept.vault_key)?))
}

fn access(app: &App, mut place: S3Location, key: Secret) -> Access {
    if let S3Credentials::Instance { source } = &mut place.credentials {
        **source = app.config.role.clone();
    }
    Access { cache: Some(app.config.data.join("cache")), ..Access::new(Location::S3(place), key) }
}

/// What is set up.
pub fn settings(app: &App) -> Settings {
    let s3 = load(app).ok().and_then(|file| file.s3).map(|kept| kept.place);
    Settings { chosen: app.vaults.chosen(), s3, problem: app.problem_of(Storage::S3) }
}

/// With the secret that is kept, where none was entered.
fn complete(app: &App, mut place: S3Location) -> Result<S3Location> {
    let S3Credentials::Keys { access_key, secret_key } = &mut place.credentials else { return Ok(place) };
    if !secret_key.reveal().is_empty() {
        return Ok(place);
    }
    let kept = load(app).ok().and_then(|file| file.s3);
    let secret = kept.and_then(|kept| match &kept.place.credentials {
        // A secret is sent only where it was sent before.
        S3Credentials::Keys { access_key: known, .. }
            if known == access_key && kept.place.endpoint == place.endpoint =>
        {
            app.seal.open(SECRET, kept.secret_key.as_deref()?)
        }
        _ => None,
    });
    *secret_key = secret.ok_or_else(|| AppError::field("s3_secret_key", "Enter the secret key."))?;
    Ok(place)
}

/// Tries everything that a vault needs in this place; how long it took, in milliseconds.
pub async fn test(app: &App, place: S3Location) -> Result<u128> {
    let place = complete(app, place)?;
    let began = Instant::now();
    try_out(app, &place).await?;
    Ok(began.elapsed().as_millis())
}

async fn try_out(app: &App, place: &S3Location) -> Result<()> {
    let access = access(app, place.clone(), Secret::new(""));
    app.ask_at(access, Task::TryStorage).await.map(drop).map_err(|error| refused(&error))
}

/// Uses this bucket from now on: opens the vault in it, or makes one if nothing is there. What was set up before stays
/// until all of it has worked.
pub async fn connect(app: &App, actor: &Actor, wanted: Wanted) -> Result<Connected> {
    let place = complete(app, wanted.place)?;
    try_out(app, &place).await?;
    let before = load(app).ok().and_then(|file| file.s3);
    let same = before.as_ref().is_some_and(|kept| kept.place.is_same_place(&place));
    let expected = wanted.vault_key.is_some();
    let keys = [
        wanted.vault_key,
        before.filter(|_| same).and_then(|kept| app.seal.open(KEY, &kept.vault_key)),
        match vault_keys::local(&app.config) {
            State::Ready(local) => Some(local.password),
            _ => None,
        },
    ];
    let key = keys.into_iter().flatten().next().unwrap_or_else(seal::new_key);
    let access = access(app, place, key);
    let made = match app.ask_at(access.clone(), Task::List).await {
        Ok(_) => false,
        Err(failure) if failure.kind == FailureKind::VaultMissing && same => {
            return Err(AppError::field(
                "s3_bucket",
                format!(
                    "The vault that was in {} is gone. Nothing was made in its place. If you want a new one there, \
                     disconnect the bucket first.",
                    access.location
                ),
            ));
        }
        Err(failure) if failure.kind == FailureKind::VaultMissing && expected => {
            return Err(AppError::field(
                "s3_prefix",
                format!(
                    "There is no vault in {}, but you entered the key of one. Are the bucket and the prefix right? Nothing \
                     was made. For a new vault, leave its key empty.",
                    access.location
                ),
            ));
        }
        Err(failure) if failure.kind == FailureKind::VaultMissing => {
            app.ask_at(access.clone(), Task::Create).await.map_err(|error| refused(&error))?;
            true
        }
        Err(failure) => return Err(refused(&failure)),
    };
    keep(app, &access)?;
    let (who, place) = (actor.clone(), access.location.to_string());
    app.vaults.of(Storage::S3).set(State::Ready(access));
    let details = json!({ "location": place, "new_vault": made });
    app.db
        .write(move |c| db::audit::record(c, &Entry { details, ..who.entry("change_storage", "s3") }))
        .await?;
    let count = vaults::refresh(app, Storage::S3).await?;
    Ok(if made { Connected::Made } else { Connected::Opened(count) })
}

fn keep(app: &App, access: &Access) -> Result<()> {
    let Location::S3(place) = &access.location else { return Ok(()) };
    let mut place = place.without_source();
    let secret_key = match &mut place.credentials {
        S3Credentials::Keys { secret_key, .. } => {
            let sealed = app.seal.close(SECRET, secret_key);
            *secret_key = Secret::new("");
            Some(sealed)
        }
        _ => None,
    };
    let kept = Kept { place, secret_key, vault_key: app.seal.close(KEY, &access.password) };
    save(app, &File { chosen: app.vaults.chosen(), s3: Some(kept) })
}

/// Says at which field it went wrong.
fn refused(failure: &Failure) -> AppError {
    match failure.kind {
        FailureKind::WrongKey => AppError::field(
            "s3_vault_key",
            "There is a vault already, and this is not its key. Its key is in the recovery kit of the server that made \
             it, and in its config/vault.key.",
        ),
        FailureKind::Foreign => {
            AppError::field("s3_prefix", format!("{} Choose another prefix.", failure.message))
        }
        FailureKind::Storage | FailureKind::Vault => AppError::field("s3_bucket", failure.message.clone()),
        _ => failure.clone().into(),
    }
}

/// Changes where new backups go.
pub async fn choose(app: &App, actor: &Actor, storage: Storage) -> Result<()> {
    app.vault(storage)?;
    let file = load(app).map_err(|why| AppError::unavailable(why, None))?;
    let before = file.chosen;
    save(app, &File { chosen: storage, ..file })?;
    app.vaults.choose(storage);
    let actor = actor.clone();
    let details = json!({ "before": before, "after": storage });
    let entry = move |c: &mut db::Connection| {
        db::audit::record(c, &Entry { details, ..actor.entry("change_storage", "new backups") })
    };
    Ok(app.db.write(entry).await?)
}

/// Forgets the bucket. What is in it stays as it is.
pub async fn disconnect(app: &App, actor: &Actor) -> Result<()> {
    let file = load(app).map_err(|why| AppError::unavailable(why, None))?;
    let Some(kept) = file.s3 else {
        return Err(AppError::NotFound("The bucket".into()));
    };
    save(app, &File::default())?;
    app.vaults.choose(Storage::Local);
    let _alone = app.vaults.of(Storage::S3).catalog.lock().await;
    app.vaults.of(Storage::S3).set(State::Absent);
    let (actor, place) = (actor.clone(), kept.place.to_string());
    app.db
        .write(move |c| {
            let known = db::backups::ids(c, Storage::S3)?;
            db::backups::replace_all(c, Storage::S3, &known, &[])?;
            db::saved_settings::set(c, Storage::S3, &[])?;
            let details = json!({ "location": place, "disconnected": true });
            db::audit::record(c, &Entry { details, ..actor.entry("change_storage", "s3") })
        })
        .await?;
    Ok(())
}
