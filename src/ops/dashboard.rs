//! The numbers of the dashboard and of the top bar.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    backups,
    schedules::{self, View},
    settings, volume_sizes,
};

pub use crate::vitals::Vitals;
use crate::{
    app::App,
    db,
    error::Result,
    model::{
        backup::{Backup, Kind},
        container::{Container, Engine},
        schedule_warning::Warning,
    },
};

/// How long the engine's version is believed.
const FRESH: Duration = Duration::from_mins(1);

/// Counts, and what is not as it should be.
#[derive(Debug, Clone)]
pub struct Stats {
    /// All containers.
    pub containers: Vec<Container>,
    /// Number of images.
    pub images: usize,
    /// Bytes of all images; layers that several share are counted with each.
    pub image_bytes: u64,
    /// Bytes of all volumes, if they were measured.
    pub volume_bytes: Option<u64>,
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
    /// The disk under the vault.
    pub disk: Option<Disk>,
    /// The schedules.
    pub schedules: Vec<View>,
    /// What is not as they promise.
    pub warnings: Vec<Warning>,
    /// Newest usable backup of each container of this server, by its name.
    pub newest: HashMap<String, Backup>,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Disk {
    /// Used, 0 to 100.
    pub fn percent(&self) -> u64 {
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        u64::try_from(u128::from(used) * 100 / u128::from(self.total_bytes.max(1))).unwrap_or(100)
    }

    /// Too little is left for comfort.
    pub fn nearly_full(&self) -> bool {
        self.percent() >= 90 || self.free_bytes < 1_000_000_000
    }
}

/// The disk that holds the vault, or will hold it.
pub(super) fn disk(app: &App) -> Option<Disk> {
    let vault = app.config.local_vault();
    let path = if vault.exists() { vault } else { app.config.data.clone() };
    let found = nix::sys::statvfs::statvfs(&path).ok()?;
    let block = found.fragment_size();
    Some(Disk { free_bytes: found.blocks_available() * block, total_bytes: found.blocks() * block })
}

/// Counts at this moment; fails when Docker is away.
pub async fn stats(app: &App, now: DateTime<Utc>) -> Result<Stats> {
    let (containers, counts) = tokio::try_join!(app.docker.containers(), app.docker.counts())?;
    let server = settings::server_name(app).await?;
    let here = server.clone();
    let (sums, newest, good) = app
        .db
        .read(move |c| {
            Ok((
                db::backups::sums(c)?,
                db::backups::newest(c, &here, Kind::Container, None)?,
                db::backups::newest(c, &here, Kind::Container, Some(now))?,
            ))
        })
        .await?;
    let schedules = schedules::list(app, now).await?;
    let stacks: HashSet<_> =
        containers.iter().filter_map(|c| c.stack_info.as_ref().map(|stack| stack.name.as_str())).collect();
    Ok(Stats {
        images: counts.images,
        image_bytes: counts.image_bytes,
        volume_bytes: volume_sizes::now().known.map(|(sizes, _)| sizes.values().sum()),
        volumes: counts.volumes,
        networks: counts.networks,
        stacks: stacks.len(),
        backups: sums.count(),
        size: sums.size(),
        stored_size: sums.stored_size(),
        disk: disk(app),
        warnings: schedules::warnings::all(&schedules, &containers, &good, now),
        newest: backups::by_name(newest),
        schedules,
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
