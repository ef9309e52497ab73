//! Settings of the page: the server's name.

use serde_json::json;

use super::Actor;
use crate::{
    app::App,
    db::{self, audit::Entry},
    docker,
    error::{AppError, Result},
};

pub(super) const SERVER_NAME: &str = "server_name";

/// What the host was called when it was first asked. It stays: the server's backups are known by it.
const HOST_NAME: &str = "server_name.host";

/// The server's name: set on the page, else configured, else the host's when it was first asked.
pub async fn server_name(app: &App) -> Result<String> {
    let of = |c: &mut _| Ok((db::settings::get(c, SERVER_NAME)?, db::settings::get(c, HOST_NAME)?));
    let (set, host) = app.db.read(of).await?;
    let configured = app.config.server_name.clone().filter(|name| !name.is_empty());
    if let Some(name) = set.or(configured).or(host) {
        return Ok(name);
    }
    let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let own = own.filter(|name| !name.is_empty()).unwrap_or_else(|| "server".to_owned());
    // A container that was given no name has its id in place of one, and another after each upgrade.
    let host = if docker::is_short_id(&own) {
        app.docker.engine().await.ok().map(|engine| engine.name)
    } else {
        Some(own.clone())
    };
    let Some(name) = host.filter(|name| !name.is_empty()) else { return Ok(own) };
    let kept = name.clone();
    app.db.write(move |c| db::settings::set(c, HOST_NAME, Some(&kept))).await?;
    Ok(name)
}

/// Changes it; empty = the configured or the host's name again. Backups made before keep the old one.
pub async fn set_server_name(app: &App, actor: &Actor, name: &str) -> Result<String> {
    let name = name.trim().to_owned();
    if name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(AppError::field("value", "The server name has at most 64 characters."));
    }
    let actor = actor.clone();
    app.db
        .write(move |c| {
            let value = Some(name.as_str()).filter(|name| !name.is_empty());
            let before = db::settings::get(c, SERVER_NAME)?;
            db::settings::set(c, SERVER_NAME, value)?;
            let details = json!({ "before": before, "after": value });
            db::audit::record(c, &Entry { details, ..actor.entry("change_settings", SERVER_NAME) })
        })
        .await?;
    server_name(app).await
}
