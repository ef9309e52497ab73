//! The numbers of the dashboard and of the top bar.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

pub use crate::vitals::Vitals;
use crate::{
    app::App,
    db,
    error::Result,
    model::container::{Container, Engine},
};

/// How long the engine's version is believed.
const FRESH: Duration = Duration::from_secs(60);

/// Counts.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// All containers.
    pub containers: Vec<Container>,
    /// Number of images.
    pub images: usize,
    /// Number of volumes.
    pub volumes: usize,
    /// Number of networks.
    pub networks: usize,
    /// Number of compose projects.
    pub stacks: usize,
    /// Number of backups in the vault.
    pub backups: usize,
    /// Logical bytes of all backups.
    pub size: u64,
    /// Bytes they take in the vault.
    pub stored_size: u64,
}

/// Counts; fails when Docker is away.
pub async fn stats(app: &App) -> Result<Stats> {
    let (containers, counts) = tokio::try_join!(app.docker.containers(), app.docker.counts())?;
    let backups = app.db.read(db::backups::all).await?;
    let stacks: HashSet<_> =
        containers.iter().filter_map(|c| c.stack_info.as_ref().map(|stack| stack.name.as_str())).collect();
    Ok(Stats {
        images: counts.images,
        volumes: counts.volumes,
        networks: counts.networks,
        stacks: stacks.len(),
        backups: backups.len(),
        size: backups.iter().map(|backup| backup.size).sum(),
        stored_size: backups.iter().map(|backup| backup.stored_size).sum(),
        containers,
    })
}

/// CPU and memory now.
pub fn vitals(app: &App) -> Vitals {
    app.vitals.now()
}

/// The engine, from memory when it was asked within the last minute; `None` when it does not answer.
pub async fn engine(app: &App) -> Option<Engine> {
    static LAST: Mutex<Option<(Instant, Engine)>> = Mutex::new(None);
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((at, engine)) = last
        && at.elapsed() < FRESH
    {
        return Some(engine);
    }
    let engine = app.docker.engine().await.ok()?;
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), engine.clone()));
    Some(engine)
}
