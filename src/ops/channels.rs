//! Who is told: channels are made, changed, tried and removed. Their addresses hold secrets: they are kept sealed and
//! never shown again.

use chrono::Utc;
use serde_json::json;

use super::{Actor, notices, schedules};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        names::ScheduleId,
        notice::{Channel, Event, Kind, Notice, Wish},
        progress::Level,
        secret::Secret,
    },
    notify::Target,
};

/// The place of addresses for the seal.
pub(super) const SEAL: &str = "channel";

/// The most channels.
pub(super) const MOST: usize = 50;

/// What is wanted of a channel.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What to call it; empty = after its kind.
    pub name: String,
    /// Where it is; `None` = where it was.
    pub address: Option<Secret>,
    /// How much it hears.
    pub wish: Wish,
    /// Only about this schedule.
    pub schedule: Option<ScheduleId>,
    /// Whether it hears anything.
    pub enabled: bool,
}

/// All, by name.
pub async fn list(app: &App) -> Result<Vec<Channel>> {
    Ok(app.db.read(db::channels::all).await?)
}

/// One.
pub async fn get(app: &App, id: i64) -> Result<Channel> {
    let found = list(app).await?.into_iter().find(|channel| channel.id == id);
    found.ok_or(AppError::NotFound("This channel".into()))
}

/// Keeps a new channel, or changes the one with this number. Its server must answer; else nothing is changed.
pub async fn save(app: &App, actor: &Actor, id: Option<i64>, wanted: Wanted) -> Result<Channel> {
    let before = match id {
        Some(id) => Some(get(app, id).await?),
        None if list(app).await?.len() >= MOST => {
            return Err(AppError::Conflict(format!("There are {MOST} channels already.")));
        }
        None => None,
    };
    let (kind, shown, sealed) = match (&wanted.address, &before) {
        (Some(address), _) => {
            let wrong = |why: String| AppError::field("url", why);
            let target = Target::parse(address).map_err(wrong)?;
            target.reach().await.map_err(wrong)?;
            (target.kind(), target.shown(), Some(app.seal.close(SEAL, address)))
        }
        (None, Some(before)) => (before.kind, before.shown.clone(), None),
        (None, None) => return Err(AppError::field("url", "Paste the address that messages go to.")),
    };
    if let Some(schedule) = &wanted.schedule {
        let known = schedules::get(app, schedule, Utc::now()).await;
        known.map_err(|_| AppError::field("schedule", "There is no such schedule."))?;
    }
    let channel = Channel {
        id: id.unwrap_or_default(),
        name: name(&wanted.name, kind)?,
        kind,
        shown,
        wish: wanted.wish,
        schedule: wanted.schedule,
        enabled: wanted.enabled,
        last: None,
        problem: None,
        waiting: 0,
    };
    let actor = actor.clone();
    let saved = app.db.write(move |c| {
        if db::channels::name_taken(c, &channel.name, id)? {
            return Ok(None);
        }
        let (id, operation) = match (id, &sealed) {
            (Some(id), _) => {
                db::channels::update(c, &channel, sealed.as_deref())?;
                (id, "channel_change")
            }
            (None, sealed) => {
                (db::channels::insert(c, &channel, sealed.as_deref().unwrap_or_default())?, "channel_create")
            }
        };
        let details = json!({
            "kind": channel.kind, "address": channel.shown, "level": channel.wish,
            "schedule": channel.schedule, "enabled": channel.enabled,
            "address_before": before.map(|before| before.shown),
        });
        db::audit::record(c, &Entry { details, ..actor.entry(operation, &channel.name) })?;
        Ok(Some(id))
    });
    let id = saved.await?.ok_or_else(|| AppError::field("name", "Another channel has this name."))?;
    app.notices.notify_one();
    get(app, id).await
}

fn name(wanted: &str, kind: Kind) -> Result<String> {
    let name = wanted.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err(AppError::field("name", "A name has at most 60 characters."));
    }
    Ok(if name.is_empty() { kind.label().to_owned() } else { name })
}

/// Removes it with what waits for it.
pub async fn remove(app: &App, actor: &Actor, id: i64) -> Result<Channel> {
    let channel = get(app, id).await?;
    let (actor, gone) = (actor.clone(), channel.clone());
    app.db
        .write(move |c| {
            db::channels::remove(c, id)?;
            let details = json!({ "kind": gone.kind, "address": gone.shown });
            db::audit::record(c, &Entry { details, ..actor.entry("channel_delete", &gone.name) })
        })
        .await?;
    Ok(channel)
}

/// Sends a message at once. What the server said, either way.
pub async fn test(app: &App, actor: &Actor, id: i64) -> Result<(Channel, Result<String, String>)> {
    let channel = get(app, id).await?;
    let sealed = app.db.read(move |c| db::channels::address(c, id)).await?.unwrap_or_default();
    let notice = Notice {
        event: Event::Test,
        level: Level::Info,
        title: "Test message".to_owned(),
        text: format!("{} asked for this message, to see whether it arrives.", actor.name),
        path: "/settings/notifications".to_owned(),
        schedule: None,
        facts: json!({}),
    };
    let now = Utc::now();
    let said = notices::send(app, &sealed, &notice, now).await;
    let (actor, name, problem) = (actor.clone(), channel.name.clone(), said.clone().err());
    app.db
        .write(move |c| {
            db::channels::tried(c, id, now, problem.as_deref())?;
            let outcome = if problem.is_some() { "error" } else { "completed" };
            let error = problem.as_deref();
            db::audit::record(c, &Entry { outcome, error, ..actor.entry("channel_test", &name) })
        })
        .await?;
    Ok((channel, said))
}
