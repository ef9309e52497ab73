//! The numbers of the dashboard and of the top bar.
use crate::{
    app::App,
    error::Result,
    model::container::{Container, Engine},
};
use serde::Serialize;
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
    /// Bytes they take.
    pub stored_size: u64,
}
/// CPU and memory of the host.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Vitals {
    /// 0 to 100.
    pub cpu_percent: f64,
    /// Bytes used (without caches).
    pub memory_used_bytes: u64,
    /// Bytes in all.
    pub memory_total_bytes: u64,
    /// 0 to 100.
    pub memory_percent: f64,
    /// CPUs.
    pub cpu_count: u64,
}
/// Counts; fails when Docker is away.
pub async fn stats(app: &App) -> Result<Stats> {
    todo!()
}
/// CPU and memory now.
pub fn vitals(app: &App) -> Vitals {
    todo!()
}
/// The engine, from memory when it was asked within the last minute; `None` when it does not answer.
pub async fn engine(app: &App) -> Option<Engine> {
    todo!()
}
