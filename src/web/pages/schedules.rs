//! Schedules: the list, what comes next, what is in none of them.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::{
    app::App,
    error::Result,
    model::{
        container::Container,
        names::{ScheduleId, ScheduleRunId},
        progress::Level,
        schedule::{Cause, may_be_taken},
        schedule_run::ScheduleRun,
    },
    ops::{
        Actor, containers,
        schedules::{self, View},
    },
    web::{
        format::When,
        shell::{Nav, Screen, Shell, render},
    },
};

/// How many slots are shown ahead.
const AHEAD: usize = 6;

/// A slot in the schedule's own time: "today 02:30", "Sun 15 March 02:30".
pub(super) fn slot(at: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> String {
    let (local, today) = (at.with_timezone(&zone), now.with_timezone(&zone).date_naive());
    let day = match (local.date_naive() - today).num_days() {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        _ => local.format("%a %-d %B").to_string(),
    };
    format!("{day} {}", local.format("%H:%M"))
}

/// "in 2 h 18 min".
pub(super) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let minutes = (at - now).num_minutes();
    match minutes {
        ..0 => "now".to_owned(),
        0 => "in less than a minute".to_owned(),
        1..60 => format!("in {minutes} min"),
        60..2880 => format!("in {} h {} min", minutes / 60, minutes % 60),
        _ => format!("in {} days", minutes / 1440),
    }
}

/// How a run of a schedule went, ready to show.
pub(in crate::web) struct RunLine {
    pub(super) id: ScheduleRunId,
    /// Class, icon.
    pub(super) state: (&'static str, &'static str),
    /// "13 complete, 1 failed; 14 old backups removed".
    pub(super) words: String,
    pub(super) when: When,
    pub(super) cause: &'static str,
}

impl RunLine {
    pub(super) fn of(shell: &Shell, run: &ScheduleRun) -> Self {
        let (state, words) = match (run.finished, run.report.level()) {
            (None, _) => (("run", "loader-circle"), format!("{} to back up", run.report.containers)),
            (_, Level::Info) => (("ok", "circle-check"), run.report.words()),
            (_, Level::Warning) => (("warn", "triangle-alert"), run.report.words()),
            (_, Level::Error) => (("bad", "triangle-alert"), run.report.words()),
        };
        let cause = match run.cause {
            Cause::Slot => "on time",
            Cause::Now => "asked for",
            Cause::CatchUp => "made up for",
        };
        Self { id: run.id.clone(), state, words, when: shell.when(run.started), cause }
    }
}

/// A row of the list.
struct Row {
    id: ScheduleId,
    name: String,
    enabled: bool,
    running: bool,
    timing: String,
    zone: Option<String>,
    containers: String,
    keep: String,
    storage: &'static str,
    next: Option<(String, String)>,
    last: Option<RunLine>,
}

#[derive(Template)]
#[template(path = "schedules/results.html")]
struct Results {
    rows: Vec<Row>,
    /// When, and what.
    coming: Vec<(String, String)>,
    uncovered: Vec<String>,
    engine: bool,
}

#[derive(Template)]
#[template(path = "schedules/list.html")]
struct ListScreen {
    results: Results,
    summary: String,
    json: Value,
}

impl Screen for ListScreen {
    fn title(&self) -> Cow<'_, str> {
        "Schedules".into()
    }

    fn nav(&self) -> Nav {
        Nav::Schedules
    }
}

impl Results {
    fn busy(&self) -> bool {
        self.rows.iter().any(|row| row.running)
    }
}

/// `GET /schedules` and `GET /api/schedules`.
pub(in crate::web) async fn list(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let views = schedules::list(&app, shell.now).await?;
    // The page works without the engine; it then knows no containers.
    let containers = containers::list(&app).await.ok();
    let screen = screen(&shell, &app, &views, containers.as_deref());
    shell.show(&screen, |screen| render(&screen.results), |screen| screen.json.clone()).await
}

fn screen(shell: &Shell, app: &App, views: &[View], containers: Option<&[Container]>) -> ListScreen {
    let time = shell.now.with_timezone(&app.zone).format("%A %-d %B, %H:%M");
    let clock = format!("Server time: {time} ({}).", app.zone.name());
    let all = containers.unwrap_or_default();
    let on = || views.iter().filter(|view| view.schedule.enabled);
    let uncovered: Vec<String> = all
        .iter()
        .filter(|container| may_be_taken(container))
        .filter(|container| !on().any(|view| view.schedule.plan.selection.takes(container)))
        .map(|container| container.name.clone())
        .collect();
    let able = all.iter().filter(|container| may_be_taken(container)).count();
    let number = match views.len() {
        0 => "No schedule".to_owned(),
        1 => "1 schedule".to_owned(),
        many => format!("{many} schedules"),
    };
    let summary = match containers {
        Some(_) => format!("{number}. {} of {able} containers are covered. {clock}", able - uncovered.len()),
        None => format!("{number}. {clock}"),
    };
    let mut coming: Vec<(DateTime<Utc>, String)> = Vec::new();
    for view in on() {
        let plan = &view.schedule.plan;
        let Some(first) = view.next else { continue };
        let slots = plan.timing.upcoming(first, plan.zone).take(AHEAD - 1);
        let chosen = containers.map(|all| plan.selection.choose(all).containers.len());
        let what = match chosen {
            Some(1) => format!("{}, 1 container", plan.name),
            Some(count) => format!("{}, {count} containers", plan.name),
            None => plan.name.clone(),
        };
        coming.extend(std::iter::once(first).chain(slots).map(|slot| (slot, what.clone())));
    }
    coming.sort();
    let coming = coming.into_iter().take(AHEAD).map(|(at, what)| (slot(at, app.zone, shell.now), what));
    let json = json!({
        "schedules": views.iter().map(super::schedule_api::schedule).collect::<Vec<_>>(),
        "total": views.len(), "not_covered": uncovered,
        "server_time": shell.now.with_timezone(&app.zone).to_rfc3339(), "time_zone": app.zone.name(),
    });
    ListScreen {
        results: Results {
            rows: views.iter().map(|view| row(shell, app, view, containers)).collect(),
            coming: coming.collect(),
            uncovered,
            engine: containers.is_some(),
        },
        summary,
        json,
    }
}

fn row(shell: &Shell, app: &App, view: &View, containers: Option<&[Container]>) -> Row {
    let plan = &view.schedule.plan;
    let words = plan.selection.words();
    Row {
        id: view.schedule.id.clone(),
        name: plan.name.clone(),
        enabled: view.schedule.enabled,
        running: view.is_running(),
        timing: plan.timing.words(),
        zone: (plan.zone != app.zone).then(|| plan.zone.name().to_owned()),
        containers: match containers.map(|all| plan.selection.choose(all)) {
            Some(chosen) => format!("{}, {words}", chosen.containers.len()),
            None => words,
        },
        keep: plan.rules.words(),
        storage: plan.storage.unwrap_or_else(|| app.vaults.chosen()).label(),
        next: view.next.map(|next| (slot(next, plan.zone, shell.now), until(next, shell.now))),
        last: view.last.as_ref().map(|run| RunLine::of(shell, run)),
    }
}
