//! Answers that have no page: health, time, environment, raw inspect.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use crate::{
    app::App,
    error::Result,
    model::names::ContainerRef,
    ops::{Actor, cleanup, containers, dashboard},
    web::{
        input::Path,
        shell::{Done, Shell, json_response},
    },
};

/// `GET /healthz`: open; names what is down, without detail.
pub(in crate::web) async fn healthz(State(app): State<App>) -> Response {
    let docker = app.docker.ping().await.is_ok();
    let database = app.db.read(crate::db::users::any).await.is_ok();
    let checks = [("docker", docker), ("database", database), ("vault", app.vault_problem().is_none())];
    let down: Vec<_> = checks.iter().filter(|(_, up)| !up).map(|(name, _)| *name).collect();
    if down.is_empty() {
        return json_response(StatusCode::OK, &json!({ "status": "ok" }));
    }
    json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "degraded", "down": down }))
}

/// `GET /api/system-stats`.
pub(in crate::web) async fn system_stats(_: Actor, State(app): State<App>) -> Response {
    let vitals = dashboard::vitals(&app);
    let engine = dashboard::engine(&app).await;
    let mut body = json!(vitals);
    // As the Flask application told them.
    body["memory_used_mb"] = json!(vitals.memory_used_bytes / (1024 * 1024));
    body["memory_total_mb"] = json!(vitals.memory_total_bytes / (1024 * 1024));
    body["docker_version"] = json!(engine.map(|engine| engine.version));
    json_response(StatusCode::OK, &body)
}

/// `GET /api/system-time`.
pub(in crate::web) async fn system_time(_: Actor, State(app): State<App>) -> Response {
    let now = chrono::Utc::now().with_timezone(&app.zone);
    let body = json!({
        "time": now.to_rfc3339(), "timezone": app.zone.name(), "formatted": now.format("%Y-%m-%d %H:%M:%S").to_string(),
    });
    json_response(StatusCode::OK, &body)
}

/// `GET /api/check-environment`.
pub(in crate::web) async fn check_environment(_: Actor, State(app): State<App>) -> Response {
    let body = match app.docker.engine().await {
        Ok(engine) => json!({
            "docker_available": true, "docker_version": engine.version, "api_version": engine.api_version,
            "cpu_count": engine.cpus, "memory_total_bytes": engine.memory_bytes, "vault_problem": app.vault_problem(),
        }),
        Err(error) => {
            json!({ "docker_available": false, "error": error.to_string(), "vault_problem": app.vault_problem() })
        }
    };
    json_response(StatusCode::OK, &body)
}

/// `GET /api/container/{id}/inspect`: the raw inspect.
pub(in crate::web) async fn inspect(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
) -> Result<Response> {
    let details = containers::details(&app, &id).await?;
    let body: Value = details.inspect;
    Ok(json_response(StatusCode::OK, &body))
}

/// `POST /api/cleanup/temp-containers`.
pub(in crate::web) async fn clean_up_helpers(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    let removed = cleanup::helpers(&app, &actor).await?;
    let text = match removed.len() {
        0 => "No helper containers were left behind".to_owned(),
        1 => "1 helper container is removed".to_owned(),
        many => format!("{many} helper containers are removed"),
    };
    let json = json!({ "success": true, "message": text, "removed": removed });
    shell.done(Done::new(text, "/containers", json))
}
