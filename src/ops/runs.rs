//! Runs: history, progress, cancel.
use super::Actor;
use crate::{
    app::App,
    error::Result,
    model::{
        names::RunId,
        progress::{Note, Progress},
        run::Run,
    },
};
use chrono::{DateTime, Utc};
/// A run with what is known now.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The row.
    pub run: Run,
    /// Progress while it runs.
    pub progress: Option<Progress>,
    /// Its log: when and what.
    pub log: Vec<(DateTime<Utc>, Note)>,
    /// Place in the queue from 1; 0 = not queued.
    pub queue_position: usize,
}
/// Newest first.
pub async fn list(app: &App, limit: u32, offset: u32) -> Result<(Vec<Run>, usize)> {
    todo!()
}
/// Queued and running ones, running first.
pub async fn active(app: &App) -> Result<Vec<(Run, Option<Progress>)>> {
    todo!()
}
/// One with its log.
pub async fn get(app: &App, id: &RunId) -> Result<RunView> {
    todo!()
}
/// Stops it.
pub async fn cancel(app: &App, actor: &Actor, id: &RunId) -> Result<()> {
    todo!()
}
