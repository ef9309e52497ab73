//! Statistics of running containers, while somebody looks: one stream of the
//! engine a container, shared by all who look, and none soon after the last look.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::containers;
use crate::{
    app::App,
    docker::Docker,
    error::Result,
    model::{
        container::{Container, Status},
        names::ContainerRef,
        stats::Sample,
    },
};

/// Streams go on for so long after a look.
const LINGER: Duration = Duration::from_secs(10);

/// How often started and stopped containers are looked for.
const ROUND: Duration = Duration::from_secs(2);

/// An engine that says nothing for so long is asked again.
const SILENCE: Duration = Duration::from_secs(15);

/// Samples kept a container: about five minutes.
const KEEP: usize = 300;

/// Seconds that a history covers.
pub const HISTORY: u64 = 300;

/// Who is being watched.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    working: bool,
    series: HashMap<String, Series>,
}

#[derive(Default)]
struct Series {
    samples: VecDeque<(Instant, Sample, f64)>,
    stream: Option<JoinHandle<()>>,
}

impl Series {
    fn streams(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| !stream.is_finished())
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.abort();
        }
    }
}

/// What a container uses now.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The newest sample: totals.
    pub sample: Sample,
    /// Percent of one CPU.
    pub cpu_percent: f64,
    /// Bytes per second received, sent, read, written.
    pub rates: [u64; 4],
    /// CPU percent by age in seconds.
    pub history: Vec<(u64, f64)>,
}

/// A container and its use; `None` while it is not measured.
#[derive(Debug, Clone)]
pub struct Row {
    /// The container.
    pub container: Container,
    /// Its use.
    pub usage: Option<Usage>,
}

impl Row {
    /// It runs, but no sample came yet.
    pub fn is_awaited(&self) -> bool {
        self.usage.is_none() && runs(&self.container)
    }
}

fn runs(container: &Container) -> bool {
    container.status == Status::Running
}

impl Watch {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usage(&self, id: &str) -> Option<Usage> {
        let state = self.state();
        let samples = &state.series.get(id)?.samples;
        let (at, sample, cpu_percent) = samples.back()?;
        if at.elapsed() > SILENCE {
            return None;
        }
        let earlier = samples.iter().rev().nth(1).map(|(_, earlier, _)| earlier);
        let rate = |total: fn(&Sample) -> u64| earlier.map_or(0, |earlier| sample.rate(earlier, total));
        Some(Usage {
            sample: *sample,
            cpu_percent: *cpu_percent,
            rates: [
                rate(|sample| sample.network_rx),
                rate(|sample| sample.network_tx),
                rate(|sample| sample.block_read),
                rate(|sample| sample.block_write),
            ],
            history: samples.iter().map(|(at, _, cpu)| (at.elapsed().as_secs(), *cpu)).collect(),
        })
    }
}

/// Somebody looks: streams begin, or go on.
pub fn look(app: &App) {
    let mut state = app.stats.state();
    state.looked = Some(Instant::now());
    if !state.working {
        state.working = true;
        tokio::spawn(supervise(app.clone()));
    }
}

/// All containers as far as they are measured, and the wish to see more.
pub async fn rows(app: &App) -> Result<Vec<Row>> {
    look(app);
    let all = containers::list(app).await?;
    Ok(all
        .into_iter()
        .map(|container| {
            let usage = if runs(&container) { app.stats.usage(&container.id) } else { None };
            Row { container, usage }
        })
        .collect())
}

/// The same, once every running container is measured, or `patience` has passed.
pub async fn complete_rows(app: &App, patience: Duration) -> Result<Vec<Row>> {
    let began = Instant::now();
    loop {
        let rows = rows(app).await?;
        if began.elapsed() >= patience || !rows.iter().any(Row::is_awaited) {
            return Ok(rows);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// One container, measured now unless it is watched already; begins no stream.
pub async fn one(app: &App, id: &ContainerRef) -> Result<Row> {
    let container = containers::find(app, id).await?;
    if !runs(&container) {
        return Ok(Row { container, usage: None });
    }
    if let Some(usage) = app.stats.usage(&container.id) {
        return Ok(Row { container, usage: Some(usage) });
    }
    let stats = app.docker.stats(&container.id).await?;
    let usage = Sample::of(&stats).map(|sample| Usage {
        sample,
        cpu_percent: sample.cpu_percent().unwrap_or(0.0),
        rates: [0; 4],
        history: Vec::new(),
    });
    Ok(Row { container, usage })
}

/// Begins and ends streams as containers come and go, until nobody looks any more.
async fn supervise(app: App) {
    loop {
        {
            let mut state = app.stats.state();
            let wanted = state.looked.is_some_and(|looked| looked.elapsed() < LINGER);
            if !wanted || app.shutdown.is_cancelled() {
                // Dropping a series closes its stream.
                state.series.clear();
                state.working = false;
                return;
            }
        }
        match app.docker.containers().await {
            Ok(all) => follow_all(&app, &all),
            Err(error) => tracing::debug!(error = crate::error::chain(&error), "no statistics"),
        }
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

fn follow_all(app: &App, all: &[Container]) {
    let running: HashSet<&str> =
        all.iter().filter(|container| runs(container)).map(|container| container.id.as_str()).collect();
    let mut state = app.stats.state();
    state.series.retain(|id, _| running.contains(id.as_str()));
    for id in running {
        let series = state.series.entry(id.to_owned()).or_default();
        if !series.streams() {
            let follow = follow(app.stats.clone(), app.docker.clone(), id.to_owned());
            series.stream = Some(tokio::spawn(follow));
        }
    }
}

/// Reads one container's stream; what breaks it is tried again by the next round.
async fn follow(watch: Watch, docker: Docker, id: String) {
    let Ok(mut stream) = docker.stats_stream(&id).await else { return };
    while let Ok(Ok(Some(stats))) = tokio::time::timeout(SILENCE, stream.next()).await {
        let Some(sample) = Sample::of(&stats) else { return };
        let Some(cpu) = sample.cpu_percent() else { continue };
        let mut state = watch.state();
        let Some(series) = state.series.get_mut(&id) else { return };
        series.samples.push_back((Instant::now(), sample, cpu));
        if series.samples.len() > KEEP {
            series.samples.pop_front();
        }
    }
}
