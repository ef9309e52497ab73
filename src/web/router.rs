//! All addresses. What is not in `open` needs a sign-in; the layer says so for
//! the whole router, so that no handler can forget it.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_extractor_with_state, from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::{delete, get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, csrf::CsrfLayer};

use super::{
    access, assets,
    errors::render_errors,
    guard::{self, Limits},
    pages::{
        api, archives, audit, backup_files, backups, batches, bulk, changes, console, container,
        container_actions, container_changes, containers, copies, dashboard, events, explorer, file_restores,
        first_steps, image_pull, images, imports, job, jobs, login, logs, marks, metrics, network_backups,
        network_create, networks, notifications, recovery_kit, restores, saved_settings, schedule,
        schedule_actions, schedule_api, schedule_run, schedules, settings, stacks, statistics, storage,
        tokens, upkeep, vault, vault_selection, verify, volume_actions, volumes,
    },
    session,
};
use crate::{
    app::App,
    error::{AppError, Result},
    ops::Actor,
};

/// The whole application as a service.
pub(super) async fn router(app: &App) -> Result<Router> {
    let limits = Limits::new(app);
    let sessions = session::layer(app, &app.config.config_dir().join("sessions.db")).await?;
    let closed = pages()
        .merge(schedule_pages())
        .merge(notification_pages())
        .merge(settings_pages())
        .merge(mark_actions())
        .merge(archive_pages())
        .merge(json_api())
        .route_layer(from_extractor_with_state::<Actor, App>(app.clone()));
    Ok(closed
        .merge(open(app, &limits))
        .fallback(not_found)
        .method_not_allowed_fallback(|| async { AppError::MethodNotAllowed })
        .layer(CsrfLayer::new().with_rejection_response(|_| {
            AppError::Forbidden(
                "This request came from another site and was refused. Reload the page and try again.".into(),
            )
            .into_response()
        }))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            let why = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            AppError::internal(why.unwrap_or_else(|| "a handler panicked".to_owned())).into_response()
        }))
        .layer(from_fn_with_state((app.clone(), limits), guard::limit))
        .layer(from_fn_with_state(app.clone(), render_errors))
        .layer(sessions)
        .layer(from_fn_with_state(app.clone(), session::secure_cookies))
        .layer(from_fn(guard::headers))
        .layer(from_fn(access::log))
        .with_state(app.clone()))
}

/// Without sign-in.
fn open(app: &App, limits: &Limits) -> Router<App> {
    let sign_in = Router::new()
        .route("/login", post(login::sign_in))
        .route("/api/login", post(login::sign_in))
        .with_state((app.clone(), limits.clone()));
    Router::new()
        .route("/login", get(login::show))
        .route("/api/logout", post(login::sign_out))
        .route("/logout", post(login::sign_out))
        .route("/api/auth-status", get(login::status))
        .route("/healthz", get(api::healthz))
        .route("/metrics", get(metrics::show))
        .route("/assets/{version}/{*name}", get(assets::serve))
        .merge(sign_in)
}

fn pages() -> Router<App> {
    Router::new()
        .route("/", get(dashboard::show))
        .route("/containers", get(containers::list).post(bulk::post))
        .route("/containers/{id}", get(container::show))
        .route("/containers/{id}/logs", get(logs::show))
        .route("/containers/{id}/logs/stream", get(logs::follow))
        .route("/containers/{id}/logs/download", get(logs::download))
        .route("/containers/{id}/console", get(console::show))
        .route("/containers/{id}/console/socket", get(console::connect))
        .route(
            "/containers/{id}/backup",
            get(container_actions::backup_options).post(container_actions::back_up),
        )
        .route(
            "/containers/{id}/delete",
            get(container_actions::confirm_delete).post(container_actions::delete_form),
        )
        .route(
            "/containers/{id}/rename",
            get(container_changes::confirm_rename).post(container_changes::rename),
        )
        .route(
            "/containers/{id}/redeploy",
            get(container_changes::confirm_redeploy).post(container_changes::redeploy),
        )
        .route("/containers/{id}/inspect", get(container_changes::inspect))
        .route("/batches/{id}", get(batches::show))
        .route("/statistics", get(statistics::show))
        .route("/stacks", get(stacks::list))
        .route("/stacks/{name}/{action}", get(stacks::confirm).post(stacks::act))
        .route(
            "/containers/{id}/{action}",
            get(container_actions::confirm_action).post(container_actions::act),
        )
        .route("/vault", get(vault::list))
        .route("/vault/refresh", post(vault::refresh))
        .route("/vault/copies", post(copies::copy_many))
        .route("/vault/{id}", get(backups::show))
        .route("/vault/{id}/files", get(backup_files::browse))
        .route("/vault/{id}/changes", get(changes::show))
        .route("/vault/{id}/file", get(backup_files::file))
        .route("/vault/{id}/image", get(backup_files::image))
        .route("/vault/{id}/download", get(backup_files::download))
        .route("/vault/{id}/copy", post(copies::copy))
        .route("/vault/{id}/delete", get(backups::confirm).post(backups::delete_form))
        .route("/vault/{id}/restore", get(restores::review).post(restores::start))
        .route("/vault/{id}/restore-files", get(file_restores::review).post(file_restores::start))
        // No name begins with a dash, so these are never a volume, image or network.
        .route("/volumes", get(volumes::list).post(volume_actions::create))
        .route("/volumes/-/new", get(volume_actions::new))
        .route("/volumes/-/delete", post(volume_actions::delete_many))
        .route("/volumes/{name}", get(explorer::browse))
        .route("/volumes/{name}/file", get(explorer::file))
        .route("/volumes/{name}/image", get(explorer::image))
        .route("/volumes/{name}/download", get(explorer::download))
        .route("/volumes/{name}/delete", get(volume_actions::confirm).post(volume_actions::delete_form))
        .route("/images", get(images::list))
        .route("/images/-/pull", get(image_pull::form).post(image_pull::pull))
        .route("/images/-/delete", post(images::delete_many))
        .route("/images/-/clean-up", get(images::confirm_clean_up).post(images::clean_up))
        .route("/images/{id}/delete", get(images::confirm).post(images::delete_form))
        .route("/networks", get(networks::list).post(network_create::create))
        .route("/networks/-/new", get(network_create::form))
        .route("/networks/{id}/backup", post(network_backups::back_up))
        .route("/networks/{id}/delete", get(networks::confirm).post(networks::delete))
        .route("/events", get(events::show))
        .route("/events/stream", get(events::follow))
        .route("/jobs", get(jobs::list))
        .route("/audit", get(audit::list))
        .route("/audit/chain", get(audit::chain))
        .route("/audit/export", get(audit::export))
        .route("/audit/clear", get(audit::confirm).post(audit::clear_form))
        .route("/jobs/{id}", get(job::show))
        .route("/jobs/{id}/live", get(job::live))
        .route("/jobs/{id}/events", get(job::events))
        .route("/jobs/{id}/cancel", get(job::confirm).post(job::cancel))
        .route("/preferences/theme", post(settings::theme))
        .route("/preferences/first-steps", post(first_steps::hide))
        .route("/fragments/vitals", get(jobs::vitals))
        .route("/fragments/jobpill", get(jobs::pill))
}

fn settings_pages() -> Router<App> {
    Router::new()
        .route("/settings", get(settings::show))
        .route("/settings/storage", get(storage::show).post(storage::connect))
        .route("/settings/storage/test", post(storage::test))
        .route("/settings/storage/open", post(storage::open))
        .route("/settings/storage/choose", post(storage::choose))
        .route("/settings/storage/disconnect", get(storage::confirm).post(storage::disconnect))
        .route("/settings/maintenance", get(upkeep::show).post(upkeep::save))
        .route("/api/maintenance", get(upkeep::show).post(upkeep::save))
        .route("/settings/vault-key", get(recovery_kit::show).post(recovery_kit::reveal))
        .route("/settings/vault-key/saved", post(recovery_kit::saved))
        .route("/api/vault-key", get(recovery_kit::show).post(recovery_kit::reveal))
        .route("/api/vault-key/saved", post(recovery_kit::saved))
        .route("/settings/saved", get(saved_settings::list).post(saved_settings::save))
        .route("/settings/saved/download", post(saved_settings::download))
        .route("/settings/saved/{id}", get(saved_settings::review).post(saved_settings::restore))
        .route("/api/saved-settings", get(saved_settings::list).post(saved_settings::save))
        .route("/api/saved-settings/download", post(saved_settings::download))
        .route("/api/saved-settings/{id}", get(saved_settings::review).post(saved_settings::restore))
        .route("/settings/tokens", get(tokens::list).post(tokens::create))
        .route("/settings/tokens/{id}/revoke", get(tokens::confirm).post(tokens::revoke))
        .route("/settings/account", post(settings::account))
        .route("/settings/password-rules", post(settings::rules))
        .route("/settings/server-name", post(settings::server_name))
        .route("/settings/metrics", post(settings::metrics))
        .route("/api/metrics/settings", get(settings::metrics_api).post(settings::metrics))
        .route("/api/change-password", post(settings::account))
        .route("/api/storage/settings", get(storage::show).post(storage::save_api))
        .route("/api/storage/test-s3", post(storage::test))
        .route("/api/storage/open", post(storage::open))
        .route("/api/storage/s3", delete(storage::disconnect))
        .route("/api/tokens", get(tokens::list).post(tokens::create))
        .route("/api/tokens/{id}", delete(tokens::revoke))
        .route("/api/ui/settings", get(settings::all))
        .route("/api/ui/settings/{key}", get(settings::get).post(settings::set))
}

/// With their API.
fn notification_pages() -> Router<App> {
    Router::new()
        .route("/settings/notifications", get(notifications::list).post(notifications::create))
        .route("/settings/notifications/{id}", get(notifications::show).post(notifications::save))
        .route("/settings/notifications/{id}/test", post(notifications::test))
        .route("/settings/notifications/{id}/delete", get(notifications::confirm).post(notifications::delete))
        .route("/api/notifications", get(notifications::list).post(notifications::create))
        .route(
            "/api/notifications/{id}",
            get(notifications::show).post(notifications::save).delete(notifications::delete),
        )
        .route("/api/notifications/{id}/test", post(notifications::test))
}

/// Backups as files, with their API.
fn archive_pages() -> Router<App> {
    Router::new()
        .route("/vault/archive", get(archives::several))
        .route("/vault/upload", get(imports::form).post(imports::upload).layer(DefaultBodyLimit::disable()))
        .route("/vault/upload/found", post(imports::import_found))
        .route("/vault/{id}/archive", get(archives::one))
        .route("/api/backups/archive", get(archives::several))
        .route("/api/backups/download-all-prepare", post(archives::prepare))
        .route("/api/backups/download-all-create/{id}", post(archives::create))
        .route("/api/backups/download-all-progress/{id}", get(archives::progress))
        .route("/api/backups/download-all/{id}", get(archives::all))
        .route("/api/download/{filename}", get(archives::by_name))
        .route("/api/found-archives", get(imports::found).post(imports::import_found))
        .route("/api/upload-backup", post(imports::upload).layer(DefaultBodyLimit::disable()))
}

/// With their API.
fn mark_actions() -> Router<App> {
    Router::new()
        .route("/vault/verify", get(verify::form).post(verify::vault))
        .route("/vault/-/verify", post(verify::some))
        .route("/vault/-/delete", post(vault_selection::delete))
        .route("/vault/-/deleted", get(vault_selection::deleted))
        .route("/vault/-/undelete", post(vault_selection::undelete))
        .route("/api/backups/deleted", get(vault_selection::deleted))
        .route("/api/backups/undelete", post(vault_selection::undelete))
        .route("/api/backups/verify", post(verify::some))
        .route("/api/backups/delete", post(vault_selection::delete))
        .route("/api/backups/delete-all", delete(vault_selection::delete_all))
        .route("/vault/{id}/verify", post(verify::one))
        .route("/api/backup/{id}/verify", post(verify::one))
        .route("/api/vaults/{storage}/verify", post(verify::vault_api))
        .route("/vault/prune", post(upkeep::prune))
        .route("/api/vaults/{storage}/prune", post(upkeep::prune_api))
        .route("/vault/{id}/pin", post(marks::pin))
        .route("/vault/{id}/unpin", post(marks::unpin))
        .route("/vault/{id}/note", post(marks::note))
        .route("/api/backup/{id}/pin", post(marks::pin))
        .route("/api/backup/{id}/unpin", post(marks::unpin))
        .route("/api/backup/{id}/note", post(marks::note))
}

fn schedule_pages() -> Router<App> {
    Router::new()
        .route("/schedules", get(schedules::list).post(schedule::create))
        .route("/schedules/new", get(schedule::new))
        .route("/schedules/preview", post(schedule::preview))
        .route("/schedules/runs/{id}", get(schedule_run::show))
        .route("/schedules/{id}", get(schedule::show).post(schedule::save))
        .route("/schedules/{id}/run", post(schedule_actions::run))
        .route("/schedules/{id}/pause", post(schedule_actions::pause))
        .route("/schedules/{id}/resume", post(schedule_actions::resume))
        .route("/schedules/{id}/delete", get(schedule_actions::confirm_delete).post(schedule_actions::delete))
        .route(
            "/schedules/{id}/clean-up",
            get(schedule_actions::confirm_clean_up).post(schedule_actions::clean_up),
        )
}

fn json_api() -> Router<App> {
    Router::new()
        .route("/api/dashboard-stats", get(dashboard::show))
        .route("/api/system-stats", get(api::system_stats))
        .route("/api/system-time", get(api::system_time))
        .route("/api/check-environment", get(api::check_environment))
        .route("/api/containers", get(containers::list))
        .route("/api/container/{id}/details", get(container::show))
        .route("/api/container/{id}/inspect", get(api::inspect))
        .route("/api/container/{id}/logs", get(logs::api))
        .route("/api/container/{id}/exec", post(console::exec))
        .route("/api/container/{id}/delete", delete(container_actions::delete_api))
        .route("/api/container/{id}/rename", post(container_changes::rename))
        .route("/api/container/{id}/redeploy", post(container_changes::redeploy))
        .route("/api/container/{id}/{action}", post(container_actions::act))
        .route("/api/containers/{action}", post(bulk::post_api))
        .route("/api/batches/{id}", get(batches::show))
        .route("/api/container/{id}/stats", get(statistics::one))
        .route("/api/statistics", get(statistics::show))
        .route("/api/statistics/refresh", post(statistics::refresh))
        .route("/api/stacks", get(stacks::list))
        .route("/api/stack/{name}/delete", delete(stacks::delete_api))
        .route("/api/stack/{name}/{action}", post(stacks::act))
        .route("/api/volumes", get(volumes::list).post(volume_actions::create))
        .route("/api/volumes/delete", post(volume_actions::delete_many))
        .route("/api/volume/{name}/explore", get(explorer::browse))
        .route("/api/volume/{name}/file", get(explorer::file))
        .route("/api/volume/{name}/download", get(explorer::download))
        .route("/api/volume/{name}/delete", delete(volume_actions::delete_api))
        .route("/api/images", get(images::list))
        .route("/api/images/pull", post(image_pull::pull))
        .route("/api/images/delete", post(images::delete_many))
        .route("/api/image/{id}/delete", delete(images::delete_api))
        .route("/api/networks", get(networks::list).post(network_create::create))
        .route("/api/network-backups", get(network_backups::list))
        .route("/api/network/restore", post(network_backups::restore))
        .route("/api/network/{id}/backup", post(network_backups::back_up))
        .route("/api/network/{id}/delete", delete(networks::delete))
        .route("/api/cleanup/dangling-images", post(images::clean_up))
        .route("/api/cleanup/temp-containers", post(api::clean_up_helpers))
        .route("/api/events", get(events::api))
        .route("/api/backup/status", get(jobs::status))
        .route("/api/backup/{id}", post(container_actions::back_up).delete(backups::delete_api))
        .route("/api/backup/{id}/preview", get(backups::preview))
        .route("/api/backup-progress/{id}", get(jobs::progress))
        .route("/api/backup-progress/{id}/cancel", post(job::cancel))
        .route("/api/backups", get(vault::list))
        .route("/api/backups/copy", post(copies::copy_many))
        .route("/api/backup/{id}/files", get(backup_files::browse))
        .route("/api/backup/{id}/changes", get(changes::show))
        .route("/api/backup/{id}/file", get(backup_files::download))
        .route("/api/backup/{id}/restore-files", get(file_restores::review).post(file_restores::start_api))
        .route("/api/backup/{id}/copy", post(copies::copy))
        .route("/api/restore-backup", post(restores::start_api))
        .route("/api/audit-logs", get(audit::list))
        .route("/api/audit-logs/statistics", get(audit::statistics))
        .route("/api/audit-logs/chain", get(audit::chain))
        .route("/api/audit-logs/export", get(audit::export))
        .route("/api/audit-logs/clear", delete(audit::clear_api))
        .route("/api/scheduler/config", get(schedule_api::config).post(schedule_api::configure))
        .route("/api/scheduler/test", post(schedule_api::run_first))
        .route("/api/scheduler/cleanup", post(schedule_api::clean_up_first))
        .route("/api/schedules", get(schedules::list).post(schedule::create))
        .route("/api/schedules/preview", post(schedule::preview))
        .route(
            "/api/schedules/{id}",
            get(schedule::show).post(schedule::save).delete(schedule_actions::delete),
        )
        .route("/api/schedules/{id}/run", post(schedule_actions::run))
        .route("/api/schedules/{id}/pause", post(schedule_actions::pause))
        .route("/api/schedules/{id}/resume", post(schedule_actions::resume))
        .route("/api/schedules/{id}/preview", get(schedule::show_preview))
        .route("/api/schedules/{id}/cleanup", post(schedule_actions::clean_up))
        .route("/api/schedule-runs/{id}", get(schedule_run::show))
        .route("/api/runs", get(jobs::list))
        .route("/api/runs/{id}", get(job::show))
        .route("/api/vaults/local/refresh", post(vault::refresh))
        .route("/api/vaults/s3/refresh", post(vault::refresh))
}

/// An address that does not exist tells nothing to those who are not signed in.
async fn not_found(actor: std::result::Result<Actor, AppError>) -> AppError {
    match actor {
        Ok(_) => AppError::NotFound("This address".into()),
        Err(error) => error,
    }
}
