//! Somebody who opens a connection that stays open.

use axum::{extract::FromRequestParts, http::request::Parts};
use tower_sessions::Session;

use crate::{
    app::App,
    error::AppError,
    ops::Actor,
    watchers::{SEATS, Seat},
};

/// Signed in, with a seat.
pub(super) struct Watcher(pub(super) Seat);

impl FromRequestParts<App> for Watcher {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AppError> {
        let actor = Actor::from_request_parts(parts, app).await?;
        let seat = app.watchers.sit(session(parts), actor.id);
        seat.map(Self).ok_or_else(|| AppError::Conflict(full()))
    }
}

/// What a browser's sign-in is known by.
pub(super) fn session(parts: &Parts) -> Option<String> {
    Some(parts.extensions.get::<Session>()?.id()?.to_string())
}

/// What is said when no seat is free.
pub(super) fn full() -> String {
    format!("{SEATS} pages and scripts follow something here already. Close one that is not needed.")
}
