//! One run of a schedule: its summary and its jobs.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{
    jobs::{heading, state},
    schedule_api,
    schedules::{RunLine, slot},
};
use crate::{
    app::App,
    error::Result,
    model::{names::ScheduleRunId, progress::Level, run::Run, schedule_run::ScheduleRun},
    ops::{Actor, schedules},
    web::{
        input::Path,
        shell::{Nav, Screen, Shell, render},
    },
};

#[derive(Template)]
#[template(path = "schedules/run.html")]
struct RunScreen {
    run: ScheduleRun,
    line: RunLine,
    /// Empty = somebody asked.
    slot: String,
    exists: bool,
    notes: Vec<(&'static str, String)>,
    jobs: Vec<(Run, String, (&'static str, &'static str, &'static str))>,
    json: Value,
}

impl Screen for RunScreen {
    fn title(&self) -> Cow<'_, str> {
        self.run.name.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Schedules
    }
}

/// `GET /schedules/runs/{id}` and `GET /api/schedule-runs/{id}`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleRunId>,
) -> Result<Response> {
    let (run, jobs) = schedules::run(&app, &id).await?;
    let schedule = schedules::get(&app, &run.schedule, shell.now).await.ok();
    let zone = schedule.as_ref().map_or(app.zone, |view| view.schedule.plan.zone);
    let mut json = schedule_api::run(&run);
    json["runs"] = json!(schedule_api::jobs(&jobs));
    let class = |level: Level| match level {
        Level::Info => "",
        Level::Warning => "warn",
        Level::Error => "bad",
    };
    let screen = RunScreen {
        line: RunLine::of(&shell, &run),
        slot: run.slot.map(|at| slot(at, zone, shell.now)).unwrap_or_default(),
        exists: schedule.is_some(),
        notes: run.report.notes.iter().map(|note| (class(note.level), note.text.clone())).collect(),
        jobs: jobs
            .into_iter()
            .map(|job| {
                let (heading, state) = (heading(&job), state(&job));
                (job, heading, state)
            })
            .collect(),
        run,
        json,
    };
    shell.show(&screen, render, |screen| screen.json.clone()).await
}
