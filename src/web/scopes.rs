//! What an API token may ask for. Whatever does not stand here needs `admin`, so
//! that a new address is closed until somebody thought about it.

use axum::http::Method;

use crate::model::token::Scope;

/// Method, address as the router knows it, scope. `GET` also means `HEAD`.
const TABLE: &[(Method, &str, Scope)] = &[
    (Method::GET, "/api/dashboard-stats", Scope::Read),
    (Method::GET, "/api/system-stats", Scope::Read),
    (Method::GET, "/api/system-time", Scope::Read),
    (Method::GET, "/api/check-environment", Scope::Read),
    (Method::GET, "/api/containers", Scope::Read),
    (Method::GET, "/api/container/{id}/stats", Scope::Read),
    (Method::GET, "/api/batches/{id}", Scope::Read),
    (Method::GET, "/api/statistics", Scope::Read),
    (Method::GET, "/api/stacks", Scope::Read),
    (Method::GET, "/api/volumes", Scope::Read),
    (Method::GET, "/api/images", Scope::Read),
    (Method::GET, "/api/networks", Scope::Read),
    (Method::GET, "/api/events", Scope::Read),
    (Method::GET, "/events/stream", Scope::Read),
    (Method::GET, "/api/backup/status", Scope::Read),
    (Method::GET, "/api/backup-progress/{id}", Scope::Read),
    (Method::GET, "/api/backups", Scope::Read),
    // Names of files are no secret; what is in them may be and stays with `admin`.
    (Method::GET, "/api/backup/{id}/files", Scope::Read),
    // With less than `admin` it names the settings that changed without their values.
    (Method::GET, "/api/backup/{id}/changes", Scope::Read),
    (Method::GET, "/api/volume/{name}/explore", Scope::Read),
    (Method::GET, "/api/network-backups", Scope::Read),
    // Addresses of channels are shown without what is secret of them.
    (Method::GET, "/api/notifications", Scope::Read),
    (Method::GET, "/api/notifications/{id}", Scope::Read),
    (Method::GET, "/api/saved-settings", Scope::Read),
    (Method::GET, "/api/runs", Scope::Read),
    (Method::GET, "/api/runs/{id}", Scope::Read),
    (Method::GET, "/jobs/{id}/events", Scope::Read),
    (Method::GET, "/api/scheduler/config", Scope::Read),
    (Method::GET, "/api/schedules", Scope::Read),
    (Method::GET, "/api/schedules/{id}", Scope::Read),
    (Method::GET, "/api/schedules/{id}/preview", Scope::Read),
    (Method::GET, "/api/schedule-runs/{id}", Scope::Read),
    (Method::GET, "/api/maintenance", Scope::Read),
    (Method::GET, "/api/ui/settings", Scope::Read),
    (Method::GET, "/api/ui/settings/{key}", Scope::Read),
    // Logs may hold anything; settings of containers hold passwords and stay with `admin`.
    (Method::GET, "/api/container/{id}/logs", Scope::Operate),
    (Method::GET, "/containers/{id}/logs/stream", Scope::Operate),
    (Method::POST, "/api/statistics/refresh", Scope::Operate),
    (Method::POST, "/api/saved-settings", Scope::Operate),
    (Method::POST, "/api/vaults/local/refresh", Scope::Operate),
    (Method::POST, "/api/vaults/s3/refresh", Scope::Operate),
    (Method::POST, "/api/backup/{id}", Scope::Operate),
    (Method::POST, "/api/backup/{id}/copy", Scope::Operate),
    // To unpin may let a backup go and stays with `admin`.
    (Method::POST, "/api/backup/{id}/pin", Scope::Operate),
    (Method::POST, "/api/backup/{id}/verify", Scope::Operate),
    (Method::POST, "/api/vaults/{storage}/verify", Scope::Operate),
    (Method::POST, "/api/vaults/{storage}/prune", Scope::Operate),
    (Method::POST, "/api/backup/{id}/note", Scope::Operate),
    (Method::GET, "/api/backups/deleted", Scope::Read),
    (Method::POST, "/api/backups/undelete", Scope::Operate),
    (Method::POST, "/api/backups/copy", Scope::Operate),
    (Method::POST, "/api/network/{id}/backup", Scope::Operate),
    (Method::POST, "/api/notifications/{id}/test", Scope::Operate),
    (Method::POST, "/api/backups/verify", Scope::Operate),
    (Method::POST, "/api/backup-progress/{id}/cancel", Scope::Operate),
    (Method::POST, "/api/scheduler/test", Scope::Operate),
    (Method::POST, "/api/schedules/{id}/run", Scope::Operate),
    // Start, stop, kill, restart, pause, resume; of several also back up and delete, see `bulk`.
    (Method::POST, "/api/container/{id}/{action}", Scope::Operate),
    (Method::POST, "/api/stack/{name}/{action}", Scope::Operate),
    (Method::POST, "/api/containers/{action}", Scope::Operate),
];

/// What may follow in place of `{action}` with less than `admin`.
const HARMLESS: [&str; 7] = ["start", "stop", "kill", "restart", "pause", "resume", "backup"];

/// The scope that a request needs. `route`: the router's address; `path`: the one asked for.
pub(super) fn needed(method: &Method, route: &str, path: &str) -> Scope {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let harmful = route.ends_with("/{action}")
        && !path.rsplit('/').next().is_some_and(|action| HARMLESS.contains(&action));
    let entry = TABLE.iter().find(|(known, address, _)| known == method && *address == route);
    match entry {
        Some((_, _, scope)) if !harmful => *scope,
        _ => Scope::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_needs_everything() {
        let get = |route: &str| needed(&Method::GET, route, route);
        assert_eq!(get("/api/containers"), Scope::Read);
        assert_eq!(needed(&Method::HEAD, "/api/containers", "/api/containers"), Scope::Read);
        assert_eq!(get("/api/container/{id}/inspect"), Scope::Admin);
        assert_eq!(get("/settings"), Scope::Admin);
        assert_eq!(get("/something/new"), Scope::Admin);
        assert_eq!(needed(&Method::DELETE, "/api/backup/{id}", "/api/backup/x"), Scope::Admin);
        assert_eq!(needed(&Method::POST, "/api/containers", "/api/containers"), Scope::Admin);
    }

    #[test]
    fn deleting_is_no_ordinary_action() {
        for (route, path, scope) in [
            ("/api/container/{id}/{action}", "/api/container/web/stop", Scope::Operate),
            ("/api/container/{id}/{action}", "/api/container/web/delete", Scope::Admin),
            ("/api/containers/{action}", "/api/containers/backup", Scope::Operate),
            ("/api/containers/{action}", "/api/containers/delete", Scope::Admin),
            ("/api/stack/{name}/{action}", "/api/stack/a/delete", Scope::Admin),
            ("/api/stack/{name}/{action}", "/api/stack/a/stop/", Scope::Admin),
        ] {
            assert_eq!(needed(&Method::POST, route, path), scope, "{path}");
        }
    }

    /// The table in the documentation is this one.
    #[test]
    fn every_line_is_documented() {
        let docs = include_str!("../../docs/tokens.md");
        for (method, route, scope) in TABLE.iter().filter(|(_, route, _)| route.starts_with("/api/")) {
            let line = format!("| `{method} {route}` | {scope} |");
            assert!(docs.contains(&line), "docs/tokens.md lacks: {line}");
        }
        let lines = docs.lines().filter(|line| line.starts_with("| `")).count();
        let known = TABLE.iter().filter(|(_, route, _)| route.starts_with("/api/")).count();
        assert_eq!(lines, known, "docs/tokens.md has lines that are in no table");
    }

    #[test]
    fn every_line_is_an_address_of_the_router() {
        let router = include_str!("router.rs");
        for (_, route, _) in TABLE {
            assert!(router.contains(&format!("\"{route}\"")), "{route} is not in the router");
        }
    }
}
