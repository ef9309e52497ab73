//! Settings of the page: the server's name.

use serde_json::json;

use super::Actor;
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
};

pub(super) const SERVER_NAME: &str = "server_name";

/// The server's name: set on the page, else configured, else the host's.
pub async fn server_name(app: &App) -> Result<String> {
    if let Some(name) = app.db.read(|c| db::settings::get(c, SERVER_NAME)).await? {
        return Ok(name);
    }
    if let Some(name) = &app.config.server_name {
        return Ok(name.clone());
    }
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    Ok(host.filter(|name| !name.is_empty()).unwrap_or_else(|| "server".to_owned()))
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
