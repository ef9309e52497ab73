//! JSON as the API promises it.

use serde_json::{Value, json};

use super::{format::size, pages::containers::Row};
use crate::{
    model::{
        backup::{Backup, Trigger},
        container::{Container, Status},
        manifest::{Consistency, ItemKind},
        progress::{Level, Progress},
        run::{Run, State},
        schedule_warning::Warning,
    },
    ops::{
        backups::Preview, dashboard::Stats, network_restores::Review as NetworkReview, restores::Review,
        runs::RunView,
    },
};

/// `GET /api/containers`.
pub(super) fn containers(rows: &[Row]) -> Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut body = json!(row.container);
            body["last_backup"] = json!(row.backup.as_ref().map(|(when, _)| &when.iso));
            body
        })
        .collect();
    json!({ "containers": rows })
}

/// `GET /api/container/{id}/details`.
pub(super) fn details(container: &Container, inspect: &Value) -> Value {
    let (config, host) = (&inspect["Config"], &inspect["HostConfig"]);
    json!({
        "id": container.id, "name": container.name, "image": container.image, "image_id": inspect["Image"],
        "status": container.status, "created": inspect["Created"], "started": inspect["State"]["StartedAt"],
        "config": {
            "env": config["Env"], "cmd": config["Cmd"], "entrypoint": config["Entrypoint"],
            "working_dir": config["WorkingDir"], "user": config["User"], "labels": config["Labels"],
        },
        "host_config": {
            "binds": host["Binds"], "port_bindings": host["PortBindings"], "network_mode": host["NetworkMode"],
            "restart_policy": host["RestartPolicy"], "privileged": host["Privileged"],
            "cap_add": host["CapAdd"], "cap_drop": host["CapDrop"],
        },
        "network_settings": inspect["NetworkSettings"], "mounts": inspect["Mounts"],
    })
}

/// One of `GET /api/backups`.
pub(super) fn backup(backup: &Backup) -> Value {
    json!({
        "id": backup.id, "filename": backup.filename(), "type": backup.meta.kind,
        "backup_type": backup.trigger, "storage_location": backup.storage, "server_name": backup.server_name,
        "container_name": backup.meta.container, "stack": backup.meta.stack, "image": backup.meta.image,
        "created": backup.created.to_rfc3339(), "size": backup.size, "stored_size": backup.stored_size,
        "state": backup.meta.state, "warnings": backup.meta.warnings, "files": backup.meta.files,
        "verified": backup.verified.map(|at| at.to_rfc3339()), "damage": backup.damage, "pinned": backup.pinned, "note": backup.meta.note, "items": backup.meta.items,
    })
}

/// In words.
pub(super) fn consistency(how: Consistency) -> &'static str {
    match how {
        Consistency::Live => "read while it ran",
        Consistency::Pause => "read while paused",
        Consistency::Stop => "read while stopped",
    }
}

/// `GET /api/backup/{id}/preview`.
pub(super) fn preview(preview: &Preview, review: &Review, date: &str) -> Value {
    let container = &preview.manifest.container;
    let volumes: Vec<_> = review.data.iter().filter(|plan| plan.kind == "volume").collect();
    let existing: Vec<_> = volumes.iter().filter(|plan| plan.exists).map(|plan| &plan.name).collect();
    let ports: Vec<_> = review
        .ports
        .iter()
        .map(|port| json!({ "container_port": port.container_port, "host_port": port.host_port, "taken_by": port.taken_by }))
        .collect();
    let image_item =
        preview.manifest.items.iter().any(|item| item.kind == ItemKind::Image && item.left_out.is_none());
    json!({
        "success": true, "id": preview.backup.id, "filename": preview.backup.filename(),
        "container_name": preview.manifest.container_name, "image": container["Config"]["Image"],
        "image_backed_up": image_item && !preview.backup.meta.image_id.is_empty(),
        "status": container["State"]["Status"], "state": preview.backup.meta.state, "backup_date": date,
        "volumes": review.data, "existing_volumes": existing, "port_mappings": ports,
        "networks": review.networks, "conflicts": review.conflicts, "warnings": review.warnings,
        "docker_run_command": preview.docker_run_command, "docker_compose": preview.docker_compose,
        "config": container,
    })
}

/// `GET /api/backup/{id}/preview` of a network.
pub(super) fn network_preview(preview: &Preview, review: &NetworkReview, date: &str) -> Value {
    let network = preview.manifest.networks.first();
    json!({
        "success": true, "id": preview.backup.id, "filename": preview.backup.filename(), "type": "network",
        "container_name": preview.manifest.container_name, "image": Value::Null, "image_backed_up": false,
        "status": Value::Null, "state": preview.backup.meta.state, "backup_date": date,
        "volumes": [], "existing_volumes": [], "port_mappings": [], "networks": [review],
        "conflicts": review.conflicts, "warnings": review.warnings,
        "docker_run_command": preview.docker_run_command, "docker_compose": preview.docker_compose,
        "config": network,
    })
}

/// One of `GET /api/runs`.
pub(super) fn run(run: &Run) -> Value {
    json!({
        "id": run.id, "progress_id": run.id, "kind": run.kind, "status": run.state,
        "backup_type": run.trigger, "user": run.requested_by, "container_name": run.subject,
        "created": run.created.to_rfc3339(), "started": run.started.map(|at| at.to_rfc3339()),
        "finished": run.finished.map(|at| at.to_rfc3339()), "backup_id": run.backup_id,
        "backup_filename": run.backup_filename, "error": run.error, "bytes": run.bytes,
        "schedule_run": run.schedule_run,
    })
}

/// `GET /api/runs/{id}`.
pub(super) fn run_with_log(view: &RunView) -> Value {
    let mut body = progress(view);
    let log: Vec<_> = view
        .log
        .iter()
        .map(|(at, note)| json!({ "time": at.to_rfc3339(), "level": note.level, "text": note.text }))
        .collect();
    body["log"] = json!(log);
    body["kind"] = json!(view.run.kind);
    body["user"] = json!(view.run.requested_by);
    body["created"] = json!(view.run.created.to_rfc3339());
    body
}

/// `GET /api/backup-progress/{id}`.
pub(super) fn progress(view: &RunView) -> Value {
    let run = &view.run;
    let status = if run.state == State::Failed { "error" } else { run.state.as_str() };
    let live = view.progress.clone().unwrap_or_default();
    let done = matches!(run.state, State::Complete | State::CompleteWithWarnings | State::Partial);
    let step = match (run.state, live.step.is_empty()) {
        (State::Queued, _) => "Waiting".to_owned(),
        (State::Running, false) => live.step.clone(),
        (State::Running, true) => "Starting".to_owned(),
        (state, _) => state.as_str().replace('_', " "),
    };
    let warnings: Vec<_> = view
        .log
        .iter()
        .filter(|(_, note)| note.level == Level::Warning)
        .map(|(_, note)| &note.text)
        .collect();
    json!({
        "progress_id": run.id, "status": status, "step": step,
        "progress": if done { 100 } else { overall(&live) },
        "current_step": live.current_step, "total_steps": live.total_steps,
        "bytes_done": if done { run.bytes } else { live.bytes_done },
        "bytes_total": if done { run.bytes } else { live.bytes_total },
        "rate_bytes_per_s": live.rate, "eta_seconds": live.eta_seconds(),
        "container_id": Value::Null, "container_name": run.subject,
        "is_scheduled": run.trigger == Trigger::Scheduled, "error": run.error, "warnings": warnings,
        "backup_filename": run.backup_filename, "backup_id": run.backup_id,
        "queue_position": view.queue_position,
        "started": run.started.map(|at| at.to_rfc3339()), "finished": run.finished.map(|at| at.to_rfc3339()),
    })
}

/// 0 to 99 over all steps: the steps before, and the part of the present one.
fn overall(progress: &Progress) -> u32 {
    let steps = progress.total_steps.max(1);
    let part = u32::from(progress.percent().unwrap_or(0));
    ((progress.current_step.saturating_sub(1) * 100 + part) / steps).min(99)
}

/// `GET /api/dashboard-stats`.
pub(super) fn dashboard(stats: &Stats) -> Value {
    let schedules = &stats.schedules;
    let warnings: Vec<String> = stats.warnings.iter().map(Warning::words).collect();
    let next = schedules.iter().filter_map(|view| Some((view.next?, &view.schedule.plan.name))).min();
    let next_run = next.map(|(at, _)| at.to_rfc3339());
    let running = stats.containers.iter().filter(|container| container.status == Status::Running).count();
    let total = stats.containers.len();
    json!({
        "containers": { "total": total, "running": running, "stopped": total - running },
        "images": stats.images, "volumes": stats.volumes, "networks": stats.networks, "stacks": stats.stacks,
        "backups": stats.backups, "schedule": {
            "enabled": schedules.iter().any(|view| view.schedule.enabled), "next_run": next_run,
            "next": next.map(|(_, name)| name), "count": schedules.len(), "warnings": warnings,
        },
        "scheduler_next_run": next_run,
        "vault": { "size": stats.size, "stored_size": stats.stored_size, "disk": stats.disk },
        "containers_qty": total, "running_containers": running, "stopped_containers": total - running,
        "images_qty": stats.images, "volumes_qty": stats.volumes, "networks_qty": stats.networks,
        "stacks_qty": stats.stacks, "backups_qty": stats.backups,
        "total_images_size": size(stats.image_bytes), "total_volumes_size": stats.volume_bytes.map(size),
        "total_backups_size": size(stats.size),
    })
}
