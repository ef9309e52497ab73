//! Signing in and out.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::{AppError, Result},
    model::secret::Secret,
    ops::{settings, users},
    watchers::Ended,
    web::{
        client::{self, Client},
        guard::Limits,
        input::{Input, Query},
        session::{AuthSession, Credentials, Login},
        shell::{json_response, render, see_other, theme},
        watcher,
    },
};

#[derive(Template)]
#[template(path = "login/login.html")]
struct LoginScreen<'a> {
    server: Cow<'a, str>,
    name: &'a str,
    next: &'a str,
    problem: Option<String>,
    theme: Option<&'static str>,
}

#[derive(Deserialize)]
pub(in crate::web) struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /login`.
pub(in crate::web) async fn show(
    session: AuthSession,
    State(app): State<App>,
    headers: HeaderMap,
    Query(next): Query<Next>,
) -> Result<Response> {
    if session.user.is_some() {
        return see_other(&safe(&next.next));
    }
    let server = settings::server_name(&app).await?;
    let screen = LoginScreen {
        server: server.into(),
        name: "",
        next: &next.next,
        problem: None,
        theme: theme(&headers),
    };
    Ok(Html(render(&screen)?).into_response())
}

#[derive(Deserialize)]
pub(in crate::web) struct Form {
    #[serde(default)]
    username: String,
    #[serde(default = "empty")]
    password: Secret,
    #[serde(default)]
    next: String,
}

fn empty() -> Secret {
    Secret::new("")
}

/// `POST /login` and `POST /api/login`.
pub(in crate::web) async fn sign_in(
    mut session: AuthSession,
    State((app, limits)): State<(App, Limits)>,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let address = client::address(&app.config, &parts);
    let client = Client::of(&parts);
    let theme = theme(&parts.headers);
    let Input::<Form>(form) = Input::from_request(Request::from_parts(parts, body), &()).await?;
    if form.username.trim().is_empty() || form.password.reveal().is_empty() {
        return refuse(&app, (client, theme), &form, 400, "Give a user name and a password.").await;
    }
    if let Err(error) = limits.login(&address, &form.username) {
        if client == Client::Api {
            return Err(error);
        }
        let mut response =
            refuse(&app, (client, theme), &form, 429, &format!("Too many tries. {error}")).await?;
        if let AppError::TooMany(seconds) = error {
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
        }
        return Ok(response);
    }
    let credentials = Credentials { name: form.username.clone(), password: form.password.clone() };
    let user =
        session.authenticate(credentials).await.map_err(|error| AppError::internal(error.to_string()))?;
    users::record_login(&app, &form.username, &address, user.is_some()).await?;
    let Some(user) = user else {
        return refuse(&app, (client, theme), &form, 401, "Wrong user name or password.").await;
    };
    session.login(&user).await.map_err(|error| AppError::internal(error.to_string()))?;
    let Login(user) = user;
    if client == Client::Api {
        let body = json!({
            "success": true, "username": user.name, "is_default_credentials": user.default_password,
        });
        return Ok(json_response(StatusCode::OK, &body));
    }
    see_other(&safe(&form.next))
}

async fn refuse(
    app: &App,
    (client, theme): (Client, Option<&'static str>),
    form: &Form,
    status: u16,
    why: &str,
) -> Result<Response> {
    let status = StatusCode::from_u16(status).map_err(AppError::internal)?;
    if client == Client::Api {
        let why = if status == StatusCode::UNAUTHORIZED { "Invalid username or password" } else { why };
        return Ok(json_response(status, &json!({ "error": why })));
    }
    let server = settings::server_name(app).await?;
    let screen = LoginScreen {
        server: server.into(),
        name: &form.username,
        next: &form.next,
        problem: Some(why.to_owned()),
        theme,
    };
    Ok((status, Html(render(&screen)?)).into_response())
}

/// `POST /logout` and `POST /api/logout`.
pub(in crate::web) async fn sign_out(
    mut session: AuthSession,
    State(app): State<App>,
    request: Request,
) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let client = Client::of(&parts);
    if let Some(Login(user)) = &session.user {
        users::record_logout(&app, &user.name, &client::address(&app.config, &parts)).await?;
    }
    let own = watcher::session(&parts);
    session.logout().await.map_err(|error| AppError::internal(error.to_string()))?;
    if let Some(own) = own {
        app.watchers.end(Ended::Session(own));
    }
    if client == Client::Api {
        return Ok(json_response(StatusCode::OK, &json!({ "success": true })));
    }
    see_other("/login")
}

/// `GET /api/auth-status`.
pub(in crate::web) async fn status(session: AuthSession) -> Response {
    let body = match session.user {
        Some(Login(user)) => json!({
            "logged_in": true, "username": user.name, "is_default_credentials": user.default_password,
        }),
        None => json!({ "logged_in": false }),
    };
    json_response(StatusCode::OK, &body)
}

/// Only addresses of our own.
pub(super) fn safe(next: &str) -> String {
    let own = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic());
    if own && plain { next.to_owned() } else { "/".to_owned() }
}

/// Escapes a value for a query string.
pub(in crate::web) fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        use std::fmt::Write;
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_elsewhere() {
        assert_eq!(safe("/containers?q=x"), "/containers?q=x");
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"] {
            assert_eq!(safe(bad), "/", "{bad:?}");
        }
    }
}
