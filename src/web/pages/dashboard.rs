//! The dashboard: is everything safe, and what needs me?

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde_json::json;

use super::jobs;
use crate::{
    app::App,
    error::Result,
    model::{container::Status, run::Run},
    ops::{Actor, backups, dashboard, runs},
    web::{
        api_shapes,
        format::{When, size},
        shell::{Nav, Screen, Shell, render},
    },
};

/// A container without a usable, recent backup.
struct Attention {
    name: String,
    why: String,
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
    volumes: usize,
    networks: usize,
    stacks: usize,
    protected: usize,
    stale: usize,
    attention: Vec<Attention>,
    more: usize,
    jobs: Vec<(Run, String, When)>,
    backups: usize,
    size: String,
    stored: String,
    ratio: String,
}

impl DashboardScreen {
    /// x and width of the parts of the coverage bar, 230 wide.
    fn bar(&self) -> [(usize, usize); 3] {
        let whole = self.total.max(1);
        let ok = self.protected * 230 / whole;
        let stale = self.stale * 230 / whole;
        [(0, ok), (ok, stale), (ok + stale, 230 - ok - stale)]
    }

    fn unprotected(&self) -> usize {
        self.total - self.protected - self.stale
    }
}

impl Screen for DashboardScreen {
    fn title(&self) -> Cow<'_, str> {
        "Dashboard".into()
    }

    fn nav(&self) -> Nav {
        Nav::Dashboard
    }
}

/// `GET /` and `GET /api/dashboard-stats`.
pub(in crate::web) async fn show(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let stats = dashboard::stats(&app).await?;
    let newest = backups::newest(&app).await?;
    let (latest, _) = runs::list(&app, 6, 0).await?;
    let count = |status| stats.containers.iter().filter(|container| container.status == status).count();
    let (mut protected, mut stale) = (0, 0);
    let mut attention = Vec::new();
    for container in &stats.containers {
        match newest.get(&container.name) {
            Some(backup) if (shell.now - backup.created).num_days() < 7 => protected += 1,
            Some(backup) => {
                stale += 1;
                let when = shell.when(backup.created);
                attention.push(Attention {
                    name: container.name.clone(),
                    why: format!("Last backup {}", when.ago),
                });
            }
            None => {
                attention.push(Attention { name: container.name.clone(), why: "Never backed up".to_owned() });
            }
        }
    }
    let ratio = if stats.stored_size > 0 && stats.size > stats.stored_size {
        let tenths = stats.size * 10 / stats.stored_size;
        format!("{}.{} × smaller", tenths / 10, tenths % 10)
    } else {
        String::new()
    };
    let json = api_shapes::dashboard(&stats);
    let more = attention.len().saturating_sub(5);
    attention.truncate(5);
    let screen = DashboardScreen {
        today: shell.now.with_timezone(&app.zone).format("%A %-d %B %Y, %H:%M").to_string(),
        total: stats.containers.len(),
        running: count(Status::Running) + count(Status::Restarting),
        stopped: count(Status::Stopped) + count(Status::Created) + count(Status::Dead),
        paused: count(Status::Paused),
        images: stats.images,
        volumes: stats.volumes,
        networks: stats.networks,
        stacks: stats.stacks,
        protected,
        stale,
        attention,
        more,
        jobs: latest
            .into_iter()
            .map(|run| {
                let when = shell.when(run.created);
                let heading = jobs::heading(&run);
                (run, heading, when)
            })
            .collect(),
        backups: stats.backups,
        size: size(stats.size),
        stored: size(stats.stored_size),
        ratio,
    };
    shell.show(&screen, render, |_| json!(json)).await
}
