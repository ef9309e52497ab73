//! Keeping the vaults healthy: what is verified and cleaned up without anybody asking, and how often. The clock is in
//! `clock`, freeing space in `prune`.

pub mod clock;
pub mod prune;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::Actor;
use crate::{
    app::App,
    db::{self, Connection, DbError, audit::Entry},
    error::{AppError, Result},
    model::{
        upkeep::{Upkeep, Verify},
        vault::Storage,
    },
};

/// Where the settings are kept, as JSON.
const SETTINGS: &str = "vault.upkeep";

/// What is set.
pub async fn settings(app: &App) -> Result<Upkeep> {
    Ok(app.db.read(load).await?)
}

pub(super) fn load(c: &mut Connection) -> Result<Upkeep, DbError> {
    match db::settings::get(c, SETTINGS)? {
        Some(text) => serde_json::from_str(&text).map_err(|error| DbError::Value(error.to_string())),
        None => Ok(Upkeep::default()),
    }
}

/// Changes it. What another rhythm would have done before is not owed.
pub async fn change(app: &App, actor: &Actor, wanted: Upkeep, now: DateTime<Utc>) -> Result<()> {
    if wanted.percent > 100 {
        return Err(AppError::field("percent", "From 0 to 100 percent of the data can be read."));
    }
    if wanted.keep_deleted > Upkeep::MOST_DAYS {
        let text = format!("Deleted backups can be kept for at most {} days.", Upkeep::MOST_DAYS);
        return Err(AppError::field("keep_deleted", text));
    }
    let actor = actor.clone();
    app.db.write(move |c| save(c, &actor, wanted, now)).await?;
    Ok(())
}

fn save(c: &mut Connection, actor: &Actor, wanted: Upkeep, now: DateTime<Utc>) -> Result<(), DbError> {
    let before = load(c)?;
    if before == wanted {
        return Ok(());
    }
    for storage in Storage::ALL {
        if before.verify != wanted.verify {
            clock::take(c, clock::Slots::Verify, storage, now)?;
        }
        if before.prune != wanted.prune {
            clock::take(c, clock::Slots::Prune, storage, now)?;
        }
    }
    db::settings::set(c, SETTINGS, Some(&json!(wanted).to_string()))?;
    let details = json!({ "before": before, "after": wanted });
    db::audit::record(c, &Entry { details, ..actor.entry("change_settings", "vault maintenance") })
}

/// When all backups are verified the next time; `None` = only when somebody asks.
pub fn next_verification(app: &App, verify: Verify, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    verify.timing()?.next_after(now, app.zone)
}
