//! The dashboard: is everything safe, and what needs me?

use std::{borrow::Cow, collections::HashMap};

use askama::Template;
use axum::{extract, response::Response};
use serde_json::json;

use super::{
    first_steps::FirstSteps,
    jobs,
    saved_settings::Offer,
    schedules::{slot, until},
};
use crate::{
    app::App,
    error::Result,
    model::{
        backup::Backup,
        container::{Container, Status},
        names::ScheduleId,
        progress::Progress,
        run::{Kind, Run, State},
        schedule::may_be_taken,
        schedule_warning::Warning,
    },
    ops::{Actor, dashboard, runs, schedules::View},
    web::{
        api_shapes,
        format::{When, size},
        shell::{Nav, Screen, Shell, render},
    },
};

/// How many jobs are looked at for failures.
const LOOK_BACK: u32 = 200;

/// A container without a usable, recent backup.
struct Attention {
    name: String,
    rank: u8,
    /// Class and dot.
    state: (&'static str, &'static str),
    why: String,
}

impl Attention {
    fn new(container: &Container, rank: u8, state: (&'static str, &'static str), why: String) -> Self {
        Self { name: container.name.clone(), rank, state, why }
    }
}

/// Why the newest backup job of a container failed, unless there is a newer backup.
fn failure(latest: &[Run], container: &Container, backup: Option<&Backup>) -> Option<String> {
    let run = latest.iter().find(|run| {
        run.kind == Kind::Backup && run.is_of_container(&container.name) && run.state.is_final()
    })?;
    let failed = matches!(run.state, State::Failed | State::Partial);
    let newer = backup.is_some_and(|backup| backup.created > run.created);
    (failed && !newer)
        .then(|| format!("Last backup failed: {}", run.error.as_deref().unwrap_or("its job says more")))
}

/// A job, ready to show.
struct JobLine {
    run: Run,
    heading: String,
    when: When,
    percent: Option<u8>,
}

/// What runs or waits first, then the latest that ended.
fn job_lines(shell: &Shell, active: Vec<(Run, Option<Progress>)>, latest: Vec<Run>) -> Vec<JobLine> {
    let ended = latest.into_iter().filter(|run| run.state.is_final()).map(|run| (run, None)).take(5);
    let lines = active.into_iter().take(5).chain(ended);
    lines
        .map(|(run, progress)| JobLine {
            heading: jobs::heading(&run),
            when: shell.when(run.created),
            percent: progress.as_ref().and_then(Progress::percent),
            run,
        })
        .collect()
}

/// The disk of the vault.
struct DiskLine {
    percent: u64,
    free: String,
    total: String,
    nearly_full: bool,
}

#[derive(Template)]
#[template(path = "dashboard/show.html")]
struct DashboardScreen {
    today: String,
    total: usize,
    running: usize,
    stopped: usize,
    paused: usize,
    images: usize,
    images_size: String,
    /// Empty while nobody has them measured.
    volumes_size: String,
    volumes: usize,
    networks: usize,
    stacks: usize,
    /// Without the program itself and what a label leaves out.
    to_protect: usize,
    protected: usize,
    stale: usize,
    attention: Vec<Attention>,
    more: usize,
    jobs: Vec<JobLine>,
    disk: Option<DiskLine>,
    problem: Option<String>,
    backups: usize,
    size: String,
    stored: String,
    ratio: String,
    /// Schedules that did not run.
    warnings: Vec<String>,
    schedules: usize,
    offer: Option<Offer>,
    first_steps: Option<FirstSteps>,
    /// When the next one runs, how long that is, its name and address.
    next: Option<(String, String, String, ScheduleId)>,
}

impl DashboardScreen {
    /// x and width of the parts of the coverage bar, 230 wide.
    fn bar(&self) -> [(usize, usize); 3] {
        let whole = self.to_protect.max(1);
        let ok = self.protected * 230 / whole;
        let stale = self.stale * 230 / whole;
        [(0, ok), (ok, stale), (ok + stale, 230 - ok - stale)]
    }

    /// Something runs or waits.
    fn busy(&self) -> bool {
        self.jobs.iter().any(|line| !line.run.state.is_final())
    }

    fn unprotected(&self) -> usize {
        self.to_protect - self.protected - self.stale
    }
}

impl Screen for DashboardScreen {
    fn title(&self) -> Cow<'_, str> {
        "Dashboard".into()
    }

    fn nav(&self) -> Nav {
        Nav::Dashboard
    }

    fn has_first_steps(&self) -> bool {
        self.first_steps.is_some()
    }
}

/// The schedule that runs next.
fn next(shell: &Shell, views: &[View]) -> Option<(String, String, String, ScheduleId)> {
    let first = views.iter().filter_map(|view| Some((view.next?, &view.schedule)));
    let (at, schedule) = first.min_by_key(|(at, _)| *at)?;
    let when = slot(at, schedule.plan.zone, shell.now);
    Some((when, until(at, shell.now), schedule.plan.name.clone(), schedule.id.clone()))
}

/// How much smaller the vault is than what is in it; empty when it is not.
fn ratio(size: u64, stored: u64) -> String {
    let tenths = (size * 10).checked_div(stored).unwrap_or(0);
    if tenths > 10 { format!("{}.{} × smaller", tenths / 10, tenths % 10) } else { String::new() }
}

/// `GET /` and `GET /api/dashboard-stats`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    extract::State(app): extract::State<App>,
) -> Result<Response> {
    let stats = dashboard::stats(&app, shell.now).await?;
    let (latest, _) = runs::list(&app, LOOK_BACK, 0).await?;
    let active = runs::active(&app).await?;
    let count = |status| stats.containers.iter().filter(|container| container.status == status).count();
    let promised: HashMap<&str, &Warning> = stats
        .warnings
        .iter()
        .filter_map(|warning| match warning {
            Warning::NoBackup { container, .. } => Some((container.as_str(), warning)),
            Warning::DidNotRun { .. } => None,
        })
        .collect();
    let (mut protected, mut stale) = (0, 0);
    let mut attention = Vec::new();
    let to_protect = stats.containers.iter().filter(|container| may_be_taken(container));
    for container in to_protect.clone() {
        let backup = stats.newest.get(&container.name);
        let old = backup
            .is_some_and(|backup| (shell.now - backup.created).num_days() >= super::containers::STALE_DAYS);
        protected += usize::from(backup.is_some() && !old);
        stale += usize::from(old);
        let ago = backup.map(|backup| shell.when(backup.created).ago);
        if let Some(why) = failure(&latest, container, backup) {
            attention.push(Attention::new(container, 0, ("bad", "tri"), why));
        } else if let Some(warning) = promised.get(container.name.as_str()) {
            attention.push(Attention::new(container, 0, ("warn", "tri"), warning.words()));
        } else if let (true, Some(ago)) = (old, &ago) {
            attention.push(Attention::new(container, 1, ("warn", ""), format!("Last backup {ago}")));
        } else if backup.is_none() {
            attention.push(Attention::new(container, 2, ("off", "ring"), "Never backed up".to_owned()));
        }
    }
    attention.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
    let json = api_shapes::dashboard(&stats);
    let more = attention.len().saturating_sub(5);
    attention.truncate(5);
    let screen = DashboardScreen {
        today: shell.now.with_timezone(&app.zone).format("%A %-d %B %Y, %H:%M").to_string(),
        total: stats.containers.len(),
        to_protect: to_protect.count(),
        running: count(Status::Running) + count(Status::Restarting),
        stopped: count(Status::Stopped) + count(Status::Created) + count(Status::Dead),
        paused: count(Status::Paused),
        images: stats.images,
        images_size: size(stats.image_bytes),
        volumes_size: stats.volume_bytes.map(size).unwrap_or_default(),
        volumes: stats.volumes,
        networks: stats.networks,
        stacks: stats.stacks,
        protected,
        stale,
        attention,
        more,
        jobs: job_lines(&shell, active, latest),
        disk: stats.disk.map(|disk| DiskLine {
            percent: disk.percent(),
            free: size(disk.free_bytes),
            total: size(disk.total_bytes),
            nearly_full: disk.nearly_full(),
        }),
        problem: app.vault_problem(),
        backups: stats.backups,
        size: size(stats.size),
        stored: size(stats.stored_size),
        ratio: ratio(stats.size, stats.stored_size),
        warnings: stats
            .warnings
            .iter()
            .filter(|warning| matches!(warning, Warning::DidNotRun { .. }))
            .map(Warning::words)
            .collect(),
        schedules: stats.schedules.len(),
        offer: Offer::find(&app, &shell).await?,
        first_steps: FirstSteps::find(&app, &shell, &stats).await?,
        next: next(&shell, &stats.schedules),
    };
    shell.show(&screen, render, |_| json!(json)).await
}
