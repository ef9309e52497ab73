//! The figures that monitoring reads.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use serde_json::json;

use super::{Actor, backups, dashboard, schedules, settings};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        backup::{Backup, Kind},
        backup_list::Sums,
        run::{self, State},
        schedule_run::ScheduleRun,
        secret::Secret,
        vault::Storage,
    },
};

/// Whether monitoring may read figures, as set on the page.
pub(super) const ON: &str = "metrics";

/// The token it must send, sealed.
pub(super) const TOKEN: &str = "metrics.token";

/// How monitoring is let in.
#[derive(Debug)]
pub struct Settings {
    /// Whether it is.
    pub on: bool,
    /// The token that it must send; `None` = none.
    pub token: Option<Secret>,
    /// The environment says whether it is on; the page can't change that.
    pub on_by_environment: bool,
    /// The same of the token.
    pub token_by_environment: bool,
}

/// How monitoring is let in: as the environment says, else as the page.
pub async fn settings(app: &App) -> Result<Settings> {
    let (on, sealed) =
        app.db.read(|c| Ok((db::settings::get(c, ON)?.is_some(), db::settings::get(c, TOKEN)?))).await?;
    let config = &app.config;
    // Whoever set a token meant that not everybody gets in: one that can't be read is one that nobody knows.
    let kept = sealed.map(|sealed| app.seal.open(TOKEN, &sealed).unwrap_or_else(crate::seal::new_key));
    Ok(Settings {
        on: config.metrics.unwrap_or(on),
        token: config.metrics_token.clone().or(kept),
        on_by_environment: config.metrics.is_some(),
        token_by_environment: config.metrics_token.is_some(),
    })
}

/// What a person wants of the token.
#[derive(Debug, Clone)]
pub enum Token {
    /// As it is.
    Keep,
    /// None.
    Forget,
    /// This one.
    Set(Secret),
}

/// Changes how monitoring is let in.
pub async fn change(app: &App, actor: &Actor, on: bool, token: Token) -> Result<()> {
    let sealed = match &token {
        Token::Keep => None,
        Token::Forget => Some(None),
        Token::Set(token) => {
            let text = token.reveal();
            if !(8..=200).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                let why = "A token has 8 to 200 letters, digits and signs, without spaces.";
                return Err(AppError::field("token", why));
            }
            Some(Some(app.seal.close(TOKEN, token)))
        }
    };
    let actor = actor.clone();
    app.db
        .write(move |c| {
            let before = db::settings::get(c, ON)?.is_some();
            db::settings::set(c, ON, on.then_some("1"))?;
            if let Some(sealed) = &sealed {
                db::settings::set(c, TOKEN, sealed.as_deref())?;
            }
            let details = json!({ "before": before, "after": on, "token_changed": sealed.is_some() });
            db::audit::record(c, &Entry { details, ..actor.entry("change_settings", ON) })
        })
        .await?;
    Ok(())
}
/// How many of the newest jobs are looked at for the last outcome of each container.
const JOBS: u32 = 1000;

/// Everything at one moment. It asks only the database, never the engine.
#[derive(Debug)]
pub struct Figures {
    /// Newest good backup of each container of this server.
    pub newest: HashMap<String, Backup>,
    /// How the last backup job of each container ended.
    pub outcomes: HashMap<String, State>,
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that are being done.
    pub running: usize,
    /// The vaults that are set up.
    pub vaults: Vec<Vault>,
    /// Notifications that have not arrived yet.
    pub notices: usize,
}

/// A schedule.
#[derive(Debug)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Seconds from its last slot to the one before.
    pub interval: Option<u64>,
    /// Its next slot.
    pub next: Option<DateTime<Utc>>,
    /// Its newest run that has ended.
    pub last: Option<ScheduleRun>,
}

/// A vault.
#[derive(Debug)]
pub struct Vault {
    /// Which.
    pub storage: Storage,
    /// Whether it can be used, as far as known.
    pub usable: bool,
    /// Backups in it.
    pub backups: usize,
    /// What they were, bytes.
    pub size: u64,
    /// What they added, bytes.
    pub stored: u64,
    /// Bytes that are free on its disk, where it is one.
    pub free: Option<u64>,
}

/// Gathers them.
pub async fn figures(app: &App, now: DateTime<Utc>) -> Result<Figures> {
    let server = settings::server_name(app).await?;
    let (sums, newest, jobs, active, channels) = app
        .db
        .read(move |c| {
            Ok((
                db::backups::sums(c)?,
                db::backups::newest(c, &server, Kind::Container, None)?,
                db::runs::page(c, JOBS, 0)?.0,
                db::runs::in_states(c, &[State::Queued, State::Running])?,
                db::channels::all(c)?,
            ))
        })
        .await?;
    let mut outcomes = HashMap::new();
    for job in jobs.iter().filter(|job| job.kind == run::Kind::Backup && !job.is_of_network()) {
        if job.state.is_final() {
            outcomes.entry(job.subject.clone()).or_insert(job.state);
        }
    }
    let running = active.iter().filter(|run| run.state == State::Running).count();
    Ok(Figures {
        vaults: vaults(app, &sums),
        newest: backups::by_name(newest),
        outcomes,
        schedules: schedules(app, now).await?,
        queued: active.len() - running,
        running,
        notices: channels.iter().map(|channel| channel.waiting).sum(),
    })
}

async fn schedules(app: &App, now: DateTime<Utc>) -> Result<Vec<Schedule>> {
    let mut all = Vec::new();
    for view in schedules::list(app, now).await? {
        let plan = &view.schedule.plan;
        let latest = plan.timing.latest_at_or_before(now, plan.zone);
        let before = latest.and_then(|latest| {
            plan.timing.latest_at_or_before(latest - chrono::TimeDelta::seconds(1), plan.zone)
        });
        let interval = latest.zip(before).and_then(|(latest, before)| (latest - before).to_std().ok());
        let history = schedules::history(app, &view.schedule.id, 2).await?;
        all.push(Schedule {
            name: plan.name.clone(),
            enabled: view.schedule.enabled,
            interval: interval.map(|interval| interval.as_secs()),
            next: view.next,
            last: history.into_iter().find(|run| run.finished.is_some()),
        });
    }
    Ok(all)
}

fn vaults(app: &App, sums: &Sums) -> Vec<Vault> {
    let set_up = Storage::ALL
        .into_iter()
        .filter(|storage| app.vault(*storage).is_ok() || app.problem_of(*storage).is_some());
    let vault = |storage: Storage| {
        let here = sums.of(storage);
        let disk = (storage == Storage::Local).then(|| dashboard::disk(app)).flatten();
        Vault {
            storage,
            usable: app.problem_of(storage).is_none(),
            backups: here.count(),
            size: here.size(),
            stored: here.stored_size(),
            free: disk.map(|disk| disk.free_bytes),
        }
    };
    set_up.map(vault).collect()
}
