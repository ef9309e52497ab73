//! Removing old backups because somebody asks, and what would be removed. Both ask the rules that the end of each
//! run asks.

use chrono::{DateTime, Utc};

use super::{
    super::{Actor, settings, vaults},
    clock,
    ending::{self, Tidier},
};
use crate::{
    app::App,
    db,
    error::{AppError, Result},
    model::{
        backup::Backup,
        names::{RunId, ScheduleId},
        retention::{Reason, Rules, Scope, decide},
        schedule_run::Removed,
    },
};

/// What happens to one backup.
#[derive(Debug, Clone)]
pub struct Fate {
    /// The backup.
    pub backup: Backup,
    /// Why it stays; empty = it goes.
    pub keep: Vec<Reason>,
}

/// What these rules would do now to the backups of a schedule, newest first.
pub async fn preview(
    app: &App,
    id: &ScheduleId,
    rules: &Rules,
    zone: chrono_tz::Tz,
    now: DateTime<Utc>,
) -> Result<Vec<Fate>> {
    let server = settings::server_name(app).await?;
    let wanted = id.clone();
    let all = app.db.read(move |c| db::backups::of_schedule(c, &wanted)).await?;
    let containers = ending::containers_of(&all);
    let pinned = super::pinned(&all);
    let scope = Scope { server: &server, schedule: id, containers: &containers, pinned: &pinned };
    let decisions = decide(&all, scope, rules, zone, now).into_iter();
    Ok(decisions.map(|decision| Fate { backup: decision.backup.clone(), keep: decision.keep }).collect())
}

/// What a clean-up did.
#[derive(Debug, Clone, Default)]
pub struct CleanedUp {
    /// The backups that are gone.
    pub removed: Vec<Removed>,
    /// The jobs that free their space.
    pub prunes: Vec<RunId>,
}

/// Removes what the schedule's rules do not keep, and lets the space be freed.
pub async fn clean_up(app: &App, actor: &Actor, id: &ScheduleId, now: DateTime<Utc>) -> Result<CleanedUp> {
    let schedule = super::get(app, id, now).await?.schedule;
    let server = settings::server_name(app).await?;
    let wanted = id.clone();
    let storages = app.db.read(move |c| db::backups::storages_of_schedule(c, &wanted, None)).await?;
    let mut done = CleanedUp::default();
    for storage in storages {
        vaults::refresh(app, storage).await?;
        let _alone = app.vaults.of(storage).catalog.lock().await;
        let (wanted, server) = (schedule.clone(), server.clone());
        let going = app
            .db
            .read(move |c| {
                let all = db::backups::of_schedule(c, &wanted.id)?;
                let containers = ending::containers_of(&all);
                let mut going = ending::going(&all, &server, &wanted, &containers, now);
                going.retain(|removed| removed.storage == storage);
                Ok(going)
            })
            .await?;
        let problem = ending::remove(app, storage, &going).await.err();
        let (actor, name, failed) = (actor.name.clone(), schedule.plan.name.clone(), problem.clone());
        let gone = going.clone();
        let prunes = app
            .db
            .write(move |c| {
                let by = Tidier { actor: &actor, schedule: &name, run: None };
                match failed {
                    Some(why) => ending::record(c, &by, &gone, Some(&why)).map(|()| Vec::new()),
                    None => ending::forget(c, &by, &gone, now),
                }
            })
            .await?;
        clock::deliver(app, prunes.clone()).await?;
        if let Some(why) = problem {
            return Err(AppError::unavailable(why, None));
        }
        done.removed.extend(going);
        done.prunes.extend(prunes);
    }
    Ok(done)
}
