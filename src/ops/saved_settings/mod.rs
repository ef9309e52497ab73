//! The server's own settings in its vaults, so that a machine that has nothing else gets them back with the recovery
//! kit. Saved some minutes after a change, by a worker like everything in a vault; brought back in `restore`,
//! after a look at what that changes in `review`.

pub mod restore;
pub mod review;

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Actor, channels, metrics, settings, users, vaults};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result, chain},
    model::{
        saved_settings::{
            Bucket, FORMAT, Saved, SavedChannel, SavedSchedule, SavedToken, SavedUser, Settings,
        },
        secret::Secret,
        vault::{Access, Location, Storage},
    },
    vaults::State,
    worker::{
        launch::Silent,
        order::{Answer, Failure, Task},
    },
};

/// How often is looked whether settings have changed. They are saved when they stayed the same from one look to the
/// next, so that half a change is not saved.
const PACE: Duration = Duration::from_secs(150);

/// After a failure it is tried again at each so many looks.
const PATIENCE: u32 = 4;

/// Tells this data directory from every other, whatever its server is called.
const INSTANCE: &str = "instance";

/// The settings as they are now.
#[derive(Debug)]
pub struct Current {
    /// The settings, with secrets.
    pub settings: Settings,
    /// What is not in them, a sentence each.
    pub left_out: Vec<String>,
}

/// How it stands with one vault.
#[derive(Debug)]
pub struct Status {
    /// The vault.
    pub storage: Storage,
    /// The newest settings of this server in it.
    pub newest: Option<Saved>,
    /// Whether these are the present ones.
    pub current: bool,
    /// Why they could not be saved.
    pub problem: Option<String>,
}

/// What the page shows.
#[derive(Debug)]
pub struct Overview {
    /// The vaults that are set up.
    pub vaults: Vec<Status>,
    /// All settings in the vaults, newest first, and whether they are this server's.
    pub all: Vec<(Saved, bool)>,
    /// What would not be saved now, a sentence each.
    pub left_out: Vec<String>,
}

/// Made at the first need, and never brought back from a vault: the other one may still run.
async fn instance(app: &App) -> Result<String> {
    if let Some(id) = app.db.read(|c| db::settings::get(c, INSTANCE)).await? {
        return Ok(id);
    }
    let found = app.db.write(|c| {
        if let Some(id) = db::settings::get(c, INSTANCE)? {
            return Ok(id);
        }
        let id = ulid::Ulid::new().to_string();
        db::settings::set(c, INSTANCE, Some(&id))?;
        Ok(id)
    });
    Ok(found.await?)
}

/// All settings with their secrets.
pub async fn current(app: &App) -> Result<Current> {
    let (instance, server, seal) =
        (instance(app).await?, settings::server_name(app).await?, app.seal.clone());
    let mut now = Settings {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        instance,
        server,
        schedules: Vec::new(),
        channels: Vec::new(),
        chosen: app.vaults.chosen(),
        bucket: bucket(app),
        users: Vec::new(),
        tokens: Vec::new(),
        marks: Vec::new(),
        metrics: false,
        metrics_token: None,
    };
    let read = app.db.read(move |c| {
        let mut left_out = Vec::new();
        for schedule in db::schedules::all(c)? {
            let (id, enabled, plan) = (schedule.id, schedule.enabled, schedule.plan);
            now.schedules.push(SavedSchedule { id, enabled, plan });
        }
        for channel in db::channels::all(c)? {
            let sealed = db::channels::address(c, channel.id)?.unwrap_or_default();
            let Some(address) = seal.open(channels::SEAL, &sealed) else {
                left_out.push(format!(
                    "The address of the channel {} can't be read, because config/secret.key is another one than when it \
                     was entered. Enter it again.",
                    channel.name
                ));
                continue;
            };
            let (name, wish, enabled) = (channel.name, channel.wish, channel.enabled);
            now.channels.push(SavedChannel { name, address, wish, schedule: channel.schedule, enabled });
        }
        now.users = db::users::all(c)?
            .into_iter()
            .map(|user| SavedUser {
                name: user.name,
                password_hash: user.password_hash,
                default_password: user.default_password,
            })
            .collect();
        let mut hashes = db::tokens::hashes(c)?;
        for token in db::tokens::all(c)? {
            let Some(hash) = hashes.remove(&token.id).map(Secret::new) else { continue };
            let (name, scope, user, expires) = (token.name, token.scope, token.user, token.expires);
            now.tokens.push(SavedToken { name, scope, hash, user, expires });
        }
        now.marks = db::marks::said(c)?;
        now.metrics = db::settings::get(c, metrics::ON)?.is_some();
        if let Some(sealed) = db::settings::get(c, metrics::TOKEN)? {
            now.metrics_token = seal.open(metrics::TOKEN, &sealed);
            if now.metrics_token.is_none() {
                left_out.push("The token of monitoring can't be read. Set it again.".to_owned());
            }
        }
        Ok(Current { settings: now, left_out })
    });
    Ok(read.await?)
}

fn bucket(app: &App) -> Option<Bucket> {
    match app.vaults.of(Storage::S3).state() {
        State::Ready(Access { location: Location::S3(place), password, .. }) => {
            Some(Bucket { place: place.without_source(), vault_key: password })
        }
        _ => None,
    }
}

/// How it stands.
pub async fn overview(app: &App) -> Result<Overview> {
    let Current { settings: now, left_out } = current(app).await?;
    let digest = now.digest();
    let all = app.db.read(db::saved_settings::all).await?;
    let own = |saved: &Saved| saved.summary.instance == now.instance;
    let vaults = Storage::ALL
        .into_iter()
        .filter(|storage| app.vaults.of(*storage).state() != State::Absent)
        .map(|storage| {
            let newest = all.iter().find(|saved| saved.storage == storage && own(saved)).cloned();
            let current = newest.as_ref().is_some_and(|newest| newest.summary.digest == digest);
            let problem = app.problem_of(storage).or_else(|| app.vaults.of(storage).unsaved());
            Status { storage, newest, current, problem }
        })
        .collect();
    let all = all.into_iter().map(|saved| (own(&saved), saved)).map(|(own, saved)| (saved, own)).collect();
    Ok(Overview { vaults, all, left_out })
}

/// Settings of another server that a server without any of its own may want: the newest ones.
pub async fn offer(app: &App) -> Result<Option<Saved>> {
    let own = instance(app).await?;
    let found = app.db.read(move |c| {
        if db::schedules::count(c)? > 0 || !db::channels::all(c)?.is_empty() {
            return Ok(None);
        }
        let others = db::saved_settings::all(c)?.into_iter().filter(|saved| saved.summary.instance != own);
        Ok(others.max_by_key(|saved| saved.saved))
    });
    Ok(found.await?)
}

/// Saves the settings in all vaults that can be used, unless they are there; which vaults have them then.
pub async fn save_now(app: &App, actor: &Actor) -> Result<Vec<Storage>> {
    let now = current(app).await?.settings;
    let mut have = Vec::new();
    let mut problem = None;
    for storage in Storage::ALL {
        if app.vaults.of(storage).state() == State::Absent {
            continue;
        }
        let done = save(app, storage, &now).await;
        let error = done.as_ref().err().map(ToString::to_string);
        let who = actor.clone();
        app.db
            .write(move |c| {
                let outcome = if error.is_some() { "error" } else { "completed" };
                let (details, error) = (json!({ "storage_location": storage }), error.as_deref());
                db::audit::record(
                    c,
                    &Entry { outcome, error, details, ..who.entry("save_settings", storage.label()) },
                )
            })
            .await?;
        match done {
            Ok(()) => have.push(storage),
            Err(failure) => problem = Some(failure),
        }
    }
    match problem {
        Some(failure) => Err(failure.into()),
        None => Ok(have),
    }
}

async fn save(app: &App, storage: Storage, now: &Settings) -> Result<(), Failure> {
    let task = Task::SaveSettings(Box::new(now.clone()));
    let answer = app.run_worker(Some(storage), task, &mut Silent, &app.shutdown).await;
    let saved = match answer {
        Ok(Answer::SettingsList(list)) => Ok(list),
        Ok(_) => Err(vaults::unexpected()),
        Err(failure) => Err(failure),
    };
    let news = app.vaults.of(storage).set_unsaved(saved.as_ref().err().map(ToString::to_string));
    if let Err(failure) = &saved
        && news
        && !app.shutdown.is_cancelled()
    {
        tracing::error!(%storage, error = failure.detail, "the settings could not be saved: {failure}");
    }
    let list = saved?;
    tracing::info!(%storage, "the settings are in the vault");
    let kept = app.db.write(move |c| db::saved_settings::set(c, storage, &list)).await;
    if let Err(error) = kept {
        tracing::error!(error = chain(&error), "the list of saved settings could not be kept");
    }
    Ok(())
}

/// Saves settings that have changed, until the server stops.
pub async fn keep_up(app: App) {
    let mut seen = None;
    let mut round = 0u32;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(PACE) => {}
        }
        round = round.wrapping_add(1);
        match look(&app, seen.as_deref(), round.is_multiple_of(PATIENCE)).await {
            Ok(digest) => seen = Some(digest),
            Err(error) => {
                tracing::error!(error = chain(&error), "the settings can't be looked at; tried again");
            }
        }
    }
}

/// Saves them where they are not yet, if they are as they were `seen`. `patient`: also where that failed before.
async fn look(app: &App, seen: Option<&str>, patient: bool) -> Result<String> {
    let now = current(app).await?.settings;
    let digest = now.digest();
    if seen != Some(digest.as_str()) {
        return Ok(digest);
    }
    for storage in Storage::ALL {
        let vault = app.vaults.of(storage);
        let usable = matches!(vault.state(), State::Ready(_)) && vault.trouble().is_none();
        if !usable || (vault.unsaved().is_some() && !patient) {
            continue;
        }
        let list = app.db.read(move |c| db::saved_settings::of(c, storage)).await?;
        let newest = list.iter().find(|saved| saved.summary.instance == now.instance);
        if newest.is_none_or(|newest| newest.summary.digest != digest) {
            // It is told and logged there.
            let _ = save(app, storage, &now).await;
        }
    }
    Ok(digest)
}

/// The settings as they are now, as a file, for who knows the password of the user that asks.
pub async fn download(app: &App, actor: &Actor, password: &Secret) -> Result<Secret> {
    users::confirm(app, actor, password, ("download_settings", "settings")).await?;
    let now = current(app).await?.settings;
    let text = serde_json::to_string_pretty(&now).map_err(AppError::internal)?;
    Ok(Secret::new(text))
}

/// Reads settings out of a vault.
async fn read(app: &App, saved: &Saved) -> Result<Settings> {
    let task = Task::ReadSettings { id: saved.id.clone() };
    match app.run_worker(Some(saved.storage), task, &mut Silent, &CancellationToken::new()).await? {
        Answer::Settings(settings) => Ok(*settings),
        _ => Err(vaults::unexpected().into()),
    }
}
