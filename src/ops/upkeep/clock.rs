//! Looks now and again whether a vault is to be verified or cleaned up. A slot, its job and its audit entry are
//! written in one transaction, so that each happens once, whatever dies when; the queue only delivers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{load, prune};
use crate::{
    app::App,
    db::{self, Connection, DbError, audit::Entry},
    error::{Result, chain},
    model::{
        backup::Trigger,
        names::RunId,
        run::{Request, Run, State},
        timing::Timing,
        upkeep::{self, Prune},
        vault::Storage,
        verify::VerifyRequest,
    },
    ops::deletions,
    vaults,
};

/// How often is looked.
const EVERY: Duration = Duration::from_mins(1);

/// Each so many times, deleted backups go whose time is over: that takes a worker.
const TIDY: u32 = 10;

/// Who asks.
pub(in crate::ops) const CLOCK: (&str, &str) = ("schedule", "");

/// What has slots.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slots {
    /// Verifying all backups.
    Verify,
    /// Freeing space.
    Prune,
}

impl Slots {
    fn key(self, storage: Storage) -> String {
        match self {
            Self::Verify => format!("vault.{storage}.verify_slot"),
            Self::Prune => format!("vault.{storage}.prune_slot"),
        }
    }
}

/// Runs until the server stops.
pub async fn run(app: App) {
    let mut problem: Option<String> = None;
    let mut round: u32 = 0;
    loop {
        let now = Utc::now();
        let work = async {
            tick(&app, now).await?;
            if round.is_multiple_of(TIDY) { deletions::expire(&app, now).await } else { Ok(()) }
        };
        let said = work.await.err().map(|error| chain(&error));
        round = round.wrapping_add(1);
        if let Some(text) = said.as_ref().filter(|text| problem.as_ref() != Some(text)) {
            tracing::error!(error = text, "what keeps the vaults healthy could not be begun; tried again");
        }
        problem = said;
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Begins what is due at this moment. A vault that can't be used owes it until it can.
pub async fn tick(app: &App, now: DateTime<Utc>) -> Result<()> {
    for storage in Storage::ALL {
        if !matches!(app.vaults.of(storage).state(), vaults::State::Ready(_)) {
            continue;
        }
        let zone = app.zone;
        for id in app.db.write(move |c| begin(c, storage, zone, now)).await? {
            tracing::info!(%storage, run.id = %id, "keeping the vault healthy");
            app.queue.push(&id).await?;
        }
    }
    Ok(())
}

/// Queues what this vault owes; the jobs are to be delivered.
pub(super) fn begin(
    c: &mut Connection,
    storage: Storage,
    zone: chrono_tz::Tz,
    now: DateTime<Utc>,
) -> Result<Vec<RunId>, DbError> {
    let settings = load(c)?;
    let mut ids = Vec::new();
    if let Some(timing) = settings.verify.timing()
        && is_due(c, Slots::Verify, &timing, storage, zone, now)?
    {
        ids.extend(verify(c, storage, settings.percent, now)?);
    }
    let prunes = match settings.prune.timing() {
        Some(timing) => is_due(c, Slots::Prune, &timing, storage, zone, now)?,
        None => prune::again(c, storage)?.is_some_and(|again| again <= now),
    };
    if prunes && (settings.prune != Prune::AfterDeletions || !prune_is_underway(c, storage)?) {
        ids.push(prune::queue(c, CLOCK, prune::Cause::Clock, storage, now)?);
    }
    Ok(ids)
}

/// Whether a slot has come; then it is taken. From the first look on there are slots.
fn is_due(
    c: &mut Connection,
    slots: Slots,
    timing: &Timing,
    storage: Storage,
    zone: chrono_tz::Tz,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let taken = db::settings::get(c, &slots.key(storage))?;
    let taken = taken.and_then(|text| text.parse().ok()).and_then(DateTime::from_timestamp_millis);
    let Some(taken) = taken.filter(|taken| upkeep::believed(*taken, now)) else {
        take(c, slots, storage, now)?;
        return Ok(false);
    };
    let Some(slot) = upkeep::due(timing, taken, now, zone) else { return Ok(false) };
    take(c, slots, storage, slot)?;
    Ok(true)
}

/// Nothing up to this moment is owed.
pub(super) fn take(
    c: &mut Connection,
    slots: Slots,
    storage: Storage,
    until: DateTime<Utc>,
) -> Result<(), DbError> {
    db::settings::set(c, &slots.key(storage), Some(&until.timestamp_millis().to_string()))
}

/// One that frees space will say itself what is left to do.
fn prune_is_underway(c: &mut Connection, storage: Storage) -> Result<bool, DbError> {
    let active = db::runs::in_states(c, &[State::Queued, State::Running])?;
    Ok(active.iter().any(|run| run.request == Request::Prune { storage }))
}

/// Queues a verification of all backups, unless one is underway.
fn verify(
    c: &mut Connection,
    storage: Storage,
    percent: u32,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, DbError> {
    let of_all = |run: &Run| match &run.request {
        Request::Verify(request) => request.storage == storage && request.backups.is_empty(),
        _ => false,
    };
    if db::runs::in_states(c, &[State::Queued, State::Running])?.iter().any(of_all) {
        return Ok(None);
    }
    let subject = format!("{} vault", storage.label());
    let request = Request::Verify(VerifyRequest { storage, backups: Vec::new(), percent });
    let run = Run { trigger: Trigger::Scheduled, ..Run::queued(CLOCK, subject, request, now) };
    db::runs::insert(c, &run)?;
    let entry = Entry {
        operation: "verify",
        actor: CLOCK.0,
        address: CLOCK.1,
        target: &run.subject,
        outcome: "started",
        error: None,
        details: json!({ "progress_id": run.id, "percent": percent }),
    };
    db::audit::record(c, &entry)?;
    Ok(Some(run.id))
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
