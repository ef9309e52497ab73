//! The audit log: look into it, check it, carry it away, clear it.

use chrono::Utc;
use futures::{Stream, stream};

use super::Actor;
use crate::{
    app::App,
    db,
    error::Result,
    model::audit::{Chain, Filter, Record, Statistics},
};

/// Entries of an export that are in memory at a time.
const BATCH: u32 = 1000;

/// Some of the wanted entries, newest first, and how many are wanted.
pub async fn list(app: &App, filter: &Filter, limit: u32, offset: u32) -> Result<(Vec<Record>, u64)> {
    let filter = by_name(app, filter).await;
    Ok(app.db.read(move |c| db::audit::page(c, &filter, limit, offset)).await?)
}

/// A container that is there may also be meant by its id; the log knows names.
async fn by_name(app: &App, filter: &Filter) -> Filter {
    let mut filter = filter.clone();
    let hex = filter.target.len() >= 4 && filter.target.bytes().all(|byte| byte.is_ascii_hexdigit());
    // While Docker is away the text alone decides.
    if hex && let Ok(Some((container, _))) = app.docker.container(&filter.target).await {
        filter.target = container.name;
    }
    filter
}

/// How much there is of what.
pub async fn statistics(app: &App) -> Result<Statistics> {
    Ok(app.db.read(|c| db::audit::statistics(c, Utc::now())).await?)
}

/// Names of users in the log.
pub async fn users(app: &App) -> Result<Vec<String>> {
    Ok(app.db.read(db::audit::users).await?)
}

/// Whether the log is still what was written. Reads all of it.
pub async fn chain(app: &App) -> Result<Chain> {
    Ok(app.db.read(db::audit::chain).await?)
}

/// All wanted entries, newest first, a batch at a time. Who took them is noted before the first one.
pub async fn export(
    app: &App,
    actor: &Actor,
    filter: &Filter,
) -> Result<impl Stream<Item = Result<Vec<Record>>> + Send + use<>> {
    let filter = by_name(app, filter).await;
    let who = actor.clone();
    app.db.write(move |c| db::audit::record(c, &who.entry("audit_export", ""))).await?;
    let app = app.clone();
    Ok(stream::try_unfold(Some(i64::MAX), move |before| {
        let (app, filter) = (app.clone(), filter.clone());
        async move {
            let Some(before) = before else { return Ok(None) };
            let batch = app.db.read(move |c| db::audit::older(c, &filter, before, BATCH)).await?;
            let next = batch.last().filter(|_| batch.len() == BATCH as usize).map(|record| record.id);
            Ok((!batch.is_empty()).then_some((batch, next)))
        }
    }))
}

/// Deletes all entries; a new one says who did it, and carries the last hash. Returns how many there were.
pub async fn clear(app: &App, actor: &Actor) -> Result<u64> {
    let actor = actor.clone();
    Ok(app.db.write(move |c| db::audit::clear(c, actor.entry("audit_clear", ""))).await?)
}
