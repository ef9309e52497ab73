//! Errors on their way out: a page in the frame, a message in the corner, or
//! JSON. The cause goes into the log, once, here.

use std::{borrow::Cow, sync::Arc};

use askama::Template;
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use serde_json::{Map, json};

use super::{
    client::Client,
    shell::{Nav, Screen, Shell, bad_toast, json_response, see_other},
};
use crate::{
    app::App,
    error::{AppError, chain},
};

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorScreen<'a> {
    heading: &'a str,
    text: String,
    reference: Option<String>,
    path: &'a str,
    docker: bool,
    /// 404.
    missing: bool,
    /// The container that was looked for.
    container: Option<&'a str>,
}

impl Screen for ErrorScreen<'_> {
    fn title(&self) -> Cow<'_, str> {
        self.heading.into()
    }

    fn nav(&self) -> Nav {
        if self.docker { Nav::Containers } else { Nav::None }
    }
}

/// Gives an error its body.
pub(super) async fn render_errors(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = Client::of(&parts);
    let method = parts.method.clone();
    let path = parts.uri.path().to_owned();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let shell = Shell::from_request_parts(&mut parts, &app).await;
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let Some(error) = response.extensions_mut().remove::<Arc<AppError>>() else { return response };
    let status = response.status();
    let reference = status.is_server_error().then(|| ulid::Ulid::new().to_string());
    if let Some(reference) = &reference {
        tracing::error!(%method, path, reference, error = chain(error.as_ref()), "request failed");
    }
    let body = match client {
        Client::Api => Ok(api(status, &error)),
        Client::Fragment => fragment(status, &error),
        Client::Page => match shell {
            Ok(shell) => page(&shell, status, &error, &path, &target, reference).await,
            Err(error) => Err(error),
        },
    };
    let mut rendered = body.unwrap_or_else(|error| {
        tracing::error!(path, error = chain(&error), "the error page could not be made");
        (status, "Something went wrong. The log says more.").into_response()
    });
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH {
            rendered.headers_mut().entry(name).or_insert(value.clone());
        }
    }
    if let AppError::TooMany(seconds) = error.as_ref() {
        rendered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    rendered
}

fn api(status: StatusCode, error: &AppError) -> Response {
    let mut body = Map::from_iter([("error".to_owned(), json!(error.to_string()))]);
    match error {
        AppError::Invalid { fields, .. } if !fields.is_empty() => {
            body.insert("fields".to_owned(), json!(fields));
        }
        AppError::NotText { size, .. } => {
            body.insert("size".to_owned(), json!(size));
        }
        AppError::RestoreConflict { status, existing_volumes, .. } => {
            body.insert("status".to_owned(), json!(status));
            body.insert("existing_volumes".to_owned(), json!(existing_volumes));
        }
        _ => {}
    }
    json_response(status, &body.into())
}

fn fragment(status: StatusCode, error: &AppError) -> Result<Response, AppError> {
    if matches!(error, AppError::Unauthenticated) {
        let to = HeaderValue::from_static("/login");
        return Ok((status, [(HeaderName::from_static("hx-redirect"), to)]).into_response());
    }
    // What is on the screen stays; the message goes into the corner.
    let body = format!(
        "<hx-partial hx-target=\"#toasts\" hx-swap=\"beforeend\">{}</hx-partial>",
        bad_toast(&error.to_string())?
    );
    let mut response = (status, Html(body)).into_response();
    response.headers_mut().insert("hx-reswap", HeaderValue::from_static("none"));
    Ok(response)
}

async fn page(
    shell: &Shell,
    status: StatusCode,
    error: &AppError,
    path: &str,
    target: &str,
    reference: Option<String>,
) -> Result<Response, AppError> {
    if matches!(error, AppError::Unauthenticated) {
        let next = if target == "/" {
            String::new()
        } else {
            format!("?next={}", super::pages::login::escape(target))
        };
        return see_other(&format!("/login{next}"));
    }
    let text = error.to_string();
    let docker = status == StatusCode::SERVICE_UNAVAILABLE && text.starts_with("Docker");
    let heading = match error {
        AppError::NotFound(_) => "Page not found",
        AppError::Internal(_) => "Something went wrong",
        AppError::Unavailable { .. } if docker => "Docker can’t be reached",
        AppError::Unavailable { .. } => "Not available",
        AppError::TooMany(_) => "Too many requests",
        AppError::Forbidden(_) | AppError::BadToken => "Not allowed",
        _ => "That did not work",
    };
    let reference = reference.filter(|_| matches!(error, AppError::Internal(_)));
    let missing = matches!(error, AppError::NotFound(_));
    let container = path.strip_prefix("/containers/").and_then(|rest| rest.split('/').next());
    let container = container.filter(|name| missing && !name.is_empty());
    shell.page(&ErrorScreen { heading, text, reference, path, docker, missing, container }, status).await
}
