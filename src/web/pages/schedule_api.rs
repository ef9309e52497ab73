//! Schedules as JSON, and the interface of the Flask application, which knew one schedule: it speaks of the first.

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    schedule_actions,
    schedule_input::{Draft, Input, refused},
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        names::ScheduleId,
        schedule::{Plan, Selection},
        schedule_run::ScheduleRun,
        timing::Timing,
    },
    ops::{
        Actor, containers,
        schedules::{self, View, clean_up::Fate},
    },
    web::{
        api_shapes,
        input::Input as Body,
        shell::{Shell, json_response},
    },
};

/// One schedule.
pub(super) fn schedule(view: &View) -> Value {
    let (schedule, plan) = (&view.schedule, &view.schedule.plan);
    let time = |at: DateTime<Utc>| at.with_timezone(&plan.zone).to_rfc3339();
    let mut body = json!({
        "id": schedule.id, "name": plan.name, "enabled": schedule.enabled, "running": view.is_running(),
        "time_zone": plan.zone.name(), "consistency": plan.consistency, "storage_location": plan.storage,
        "copy": plan.copy, "include_layer": plan.include_layer,
        "lifecycle": plan.rules.last, "keep_hourly": plan.rules.hourly, "keep_daily": plan.rules.daily,
        "keep_weekly": plan.rules.weekly, "keep_monthly": plan.rules.monthly, "keep_yearly": plan.rules.yearly,
        "created": time(schedule.created), "next_run": view.next.map(time),
        "last_run": view.last.as_ref().map(|run| time(run.started)),
        "last": view.last.as_ref().map(run),
    });
    if let (Some(body), Some(timing)) = (body.as_object_mut(), timing(plan).as_object()) {
        body.extend(timing.clone());
    }
    let draft = Draft::of(plan);
    body["selection"] = json!(draft.selection);
    body["containers"] = json!(draft.containers);
    body["stacks"] = json!(draft.stacks);
    body
}

fn timing(plan: &Plan) -> Value {
    match &plan.timing {
        Timing::Daily { hour, minute } => {
            json!({ "schedule_type": "daily", "hour": hour, "minute": minute, "day_of_week": null })
        }
        Timing::Weekly { weekdays, hour, minute } => json!({
            "schedule_type": "weekly", "hour": hour, "minute": minute,
            "day_of_week": weekdays.first(), "days": weekdays,
        }),
        Timing::Cron { expression } => json!({
            "schedule_type": "cron", "cron": expression, "hour": null, "minute": null, "day_of_week": null,
        }),
    }
}

/// One run of a schedule.
pub(super) fn run(run: &ScheduleRun) -> Value {
    let report = &run.report;
    json!({
        "id": run.id, "schedule_id": run.schedule, "name": run.name, "cause": run.cause,
        "slot": run.slot.map(|slot| slot.to_rfc3339()), "user": run.requested_by,
        "started": run.started.to_rfc3339(), "finished": run.finished.map(|at| at.to_rfc3339()),
        "containers": report.containers, "complete": report.complete, "with_warnings": report.with_warnings,
        "partial": report.partial, "failed": report.failed, "cancelled": report.cancelled,
        "missing": report.missing, "removed": report.removed, "notes": report.notes, "summary": report.words(),
    })
}

/// What the rules do to a backup.
pub(super) fn fate(fate: &Fate) -> Value {
    json!({
        "id": fate.backup.id, "filename": fate.backup.filename(), "storage_location": fate.backup.storage,
        "container_name": fate.backup.meta.container, "created": fate.backup.created.to_rfc3339(),
        "state": fate.backup.meta.state, "stays": !fate.keep.is_empty(), "because": fate.keep,
    })
}

async fn first(app: &App, shell: &Shell) -> Result<Option<View>> {
    Ok(schedules::list(app, shell.now).await?.into_iter().next())
}

async fn first_id(app: &App, shell: &Shell) -> Result<ScheduleId> {
    let view = first(app, shell).await?;
    view.map(|view| view.schedule.id)
        .ok_or_else(|| AppError::invalid("There is no schedule yet. Make one first."))
}

/// The old interface's names; `enabled` while it is on and something is selected.
async fn old_shape(app: &App, view: &View) -> Result<Value> {
    let mut body = schedule(view);
    let selection = &view.schedule.plan.selection;
    let names = match selection {
        Selection::Named { containers, stacks } if stacks.is_empty() => {
            containers.iter().map(|member| member.name.clone()).collect()
        }
        selection => selection.choose(&containers::list(app).await?).containers,
    };
    let none = matches!(selection, Selection::Named { .. }) && names.is_empty();
    body["enabled"] = json!(view.schedule.enabled && !none);
    if none {
        body["next_run"] = Value::Null;
    }
    body["selected_containers"] = json!(names);
    Ok(body)
}

/// `GET /api/scheduler/config`.
pub(in crate::web) async fn config(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let body = match first(&app, &shell).await? {
        Some(view) => old_shape(&app, &view).await?,
        None => json!({
            "schedule_type": "daily", "hour": 2, "minute": 0, "day_of_week": null, "lifecycle": 7,
            "selected_containers": [], "enabled": false, "last_run": null, "next_run": null,
            "time_zone": app.zone.name(),
        }),
    };
    Ok(json_response(StatusCode::OK, &body))
}

/// `POST /api/scheduler/config`: changes the first schedule, or makes it. It is on while something is selected.
pub(in crate::web) async fn configure(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Body(input): Body<Input>,
) -> Result<Response> {
    let view = first(&app, &shell).await?;
    let before = view.as_ref().map(|view| view.schedule.plan.clone());
    let all = if input.names_containers() { containers::list(&app).await? } else { Vec::new() };
    let named = input.names_containers().then(|| !input.selects_none());
    let enabled = input.enabled.or(named);
    let draft = before.as_ref().map_or_else(|| Draft::first(app.zone), Draft::of).with(input);
    let plan = draft.plan(&all, before.as_ref()).map_err(refused)?;
    let id = match view {
        Some(view) => schedules::change(&app, &actor, &view.schedule.id, plan, shell.now).await?.id,
        None => schedules::create(&app, &actor, plan, shell.now).await?.id,
    };
    if let Some(enabled) = enabled {
        schedules::set_enabled(&app, &actor, &id, enabled, shell.now).await?;
    }
    let view = schedules::get(&app, &id, shell.now).await?;
    let shape = old_shape(&app, &view).await?;
    let mut body = json!({ "success": true, "config": shape });
    if let (Some(body), Some(shape)) = (body.as_object_mut(), shape.as_object()) {
        body.extend(shape.clone());
    }
    Ok(json_response(StatusCode::OK, &body))
}

/// `POST /api/scheduler/test`: runs the first schedule now.
pub(in crate::web) async fn run_first(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    let id = first_id(&app, &shell).await?;
    schedule_actions::start(&actor, &shell, &app, &id).await
}

/// `POST /api/scheduler/cleanup`: removes what the rules of the first schedule do not keep.
pub(in crate::web) async fn clean_up_first(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    let id = first_id(&app, &shell).await?;
    schedule_actions::tidy(&actor, &shell, &app, &id).await
}

/// The jobs of a run, as everywhere.
pub(super) fn jobs(jobs: &[crate::model::run::Run]) -> Vec<Value> {
    jobs.iter()
        .map(|job| {
            let mut body = api_shapes::run(job);
            body["name"] = json!(job.subject);
            body
        })
        .collect()
}
