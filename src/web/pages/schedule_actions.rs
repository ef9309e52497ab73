//! What can be done to a schedule, with what it is confirmed by.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{
    schedule::{Line, line},
    schedule_api,
};
use crate::{
    app::App,
    error::Result,
    model::{names::ScheduleId, schedule::Plan},
    ops::{
        Actor, containers,
        schedules::{self, clean_up::Fate},
    },
    web::{
        client::Client,
        input::Path,
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// The plan of a schedule, and what its rules would do now.
async fn fates(app: &App, shell: &Shell, id: &ScheduleId) -> Result<(Plan, Vec<Fate>)> {
    let plan = schedules::get(app, id, shell.now).await?.schedule.plan;
    let fates = schedules::clean_up::preview(app, id, &plan.rules, plan.zone, shell.now).await?;
    Ok((plan, fates))
}

/// `POST /schedules/{id}/run` and `POST /api/schedules/{id}/run`.
pub(in crate::web) async fn run(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    start(&actor, &shell, &app, &id).await
}

/// Runs it now.
pub(super) async fn start(actor: &Actor, shell: &Shell, app: &App, id: &ScheduleId) -> Result<Response> {
    let (run, jobs) = schedules::run_now(app, actor, id, shell.now).await?;
    let text = match jobs.len() {
        0 => format!("{} has nothing to back up", run.name),
        1 => format!("{} runs: 1 backup is queued", run.name),
        many => format!("{} runs: {many} backups are queued", run.name),
    };
    let json = json!({
        "success": true, "message": text, "schedule_run": schedule_api::run(&run),
        "runs": schedule_api::jobs(&jobs),
    });
    shell.done(Done::new(text, format!("/schedules/runs/{}", run.id), json).accepted())
}

/// `POST /schedules/{id}/pause` and `POST /api/schedules/{id}/pause`.
pub(in crate::web) async fn pause(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    switch(&actor, &shell, &app, &id, false).await
}

/// `POST /schedules/{id}/resume` and `POST /api/schedules/{id}/resume`.
pub(in crate::web) async fn resume(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    switch(&actor, &shell, &app, &id, true).await
}

async fn switch(actor: &Actor, shell: &Shell, app: &App, id: &ScheduleId, on: bool) -> Result<Response> {
    let schedule = schedules::set_enabled(app, actor, id, on, shell.now).await?;
    let name = &schedule.plan.name;
    let text = if on { format!("{name} runs again on its own") } else { format!("{name} is paused") };
    let view = schedules::get(app, id, shell.now).await?;
    let json = json!({ "success": true, "message": text, "schedule": schedule_api::schedule(&view) });
    shell.done(Done::new(text, "/schedules", json))
}

#[derive(Template)]
#[template(path = "schedules/delete.html")]
struct DeleteScreen {
    id: ScheduleId,
    name: String,
    containers: Option<usize>,
    backups: usize,
    dialog: bool,
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        "Delete schedule".into()
    }

    fn nav(&self) -> Nav {
        Nav::Schedules
    }
}

/// `GET /schedules/{id}/delete`.
pub(in crate::web) async fn confirm_delete(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    let (plan, fates) = fates(&app, &shell, &id).await?;
    let all = containers::list(&app).await.ok();
    let screen = DeleteScreen {
        containers: all.map(|all| plan.selection.choose(&all).containers.len()),
        backups: fates.len(),
        name: plan.name,
        dialog: shell.client == Client::Fragment,
        id,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `POST /schedules/{id}/delete` and `DELETE /api/schedules/{id}`.
pub(in crate::web) async fn delete(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    let schedule = schedules::delete(&app, &actor, &id).await?;
    let text = format!("The schedule {} is deleted. Its backups stay", schedule.plan.name);
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, "/schedules", json).leaving())
}

#[derive(Template)]
#[template(path = "schedules/clean_up.html")]
struct CleanUpScreen {
    id: ScheduleId,
    name: String,
    keep: String,
    goes: Vec<Line>,
    stays: Vec<Line>,
    dialog: bool,
}

impl Screen for CleanUpScreen {
    fn title(&self) -> Cow<'_, str> {
        "Clean up old backups".into()
    }

    fn nav(&self) -> Nav {
        Nav::Schedules
    }
}

/// `GET /schedules/{id}/clean-up`: what will go and what stays.
pub(in crate::web) async fn confirm_clean_up(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    let (plan, fates) = fates(&app, &shell, &id).await?;
    let (goes, stays): (Vec<_>, Vec<_>) = fates.iter().partition(|fate| fate.keep.is_empty());
    let screen = CleanUpScreen {
        goes: goes.into_iter().map(|fate| line(fate, &plan)).collect(),
        stays: stays.into_iter().map(|fate| line(fate, &plan)).collect(),
        keep: plan.rules.words(),
        name: plan.name,
        dialog: shell.client == Client::Fragment,
        id,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `POST /schedules/{id}/clean-up` and `POST /api/schedules/{id}/cleanup`.
pub(in crate::web) async fn clean_up(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    tidy(&actor, &shell, &app, &id).await
}

/// Removes what its rules do not keep.
pub(super) async fn tidy(actor: &Actor, shell: &Shell, app: &App, id: &ScheduleId) -> Result<Response> {
    let done = schedules::clean_up::clean_up(app, actor, id, shell.now).await?;
    let text = match done.removed.len() {
        0 => "There was nothing to clean up".to_owned(),
        1 => "1 old backup is removed; its space is being freed".to_owned(),
        many => format!("{many} old backups are removed; their space is being freed"),
    };
    let names: Vec<_> = done.removed.iter().map(|removed| &removed.filename).collect();
    let runs: Vec<_> = done.prunes.iter().map(|run| json!({ "progress_id": run })).collect();
    let json = json!({ "success": true, "message": text, "deleted_backups": names, "runs": runs });
    shell.done(Done::new(text, "/schedules", json).leaving())
}
