//! The recovery kit: shown to who gives the password again, and never kept by a browser.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::{AppError, Result},
    model::secret::Secret,
    ops::{Actor, recovery_kit},
    web::{
        client::Client,
        input::Input,
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

#[derive(Template)]
#[template(path = "settings/recovery_kit.html")]
struct KitScreen {
    saved: bool,
    kit: Option<Secret>,
    problems: BTreeMap<String, String>,
}

impl Screen for KitScreen {
    fn title(&self) -> Cow<'_, str> {
        "Recovery kit".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

/// `GET /settings/vault-key`.
pub(in crate::web) async fn show(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let screen =
        KitScreen { saved: recovery_kit::is_saved(&app).await?, kit: None, problems: BTreeMap::new() };
    shell.show(&screen, render, |screen| json!({ "saved": screen.saved })).await
}

/// The password once more.
#[derive(Deserialize)]
pub(in crate::web) struct Again {
    #[serde(default)]
    password: Option<Secret>,
    /// As a file.
    #[serde(default)]
    download: Option<String>,
}

/// `POST /settings/vault-key` and `POST /api/vault-key`.
pub(in crate::web) async fn reveal(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(again): Input<Again>,
) -> Result<Response> {
    let password = again.password.unwrap_or_else(|| Secret::new(""));
    let shown = recovery_kit::show(&app, &actor, &password).await;
    let saved = recovery_kit::is_saved(&app).await?;
    let mut response = match shown {
        Ok(kit) if shell.client == Client::Api => {
            json_response(StatusCode::OK, &json!({ "kit": kit.reveal(), "saved": saved }))
        }
        Ok(kit) if again.download.is_some() => {
            let name = "attachment; filename=\"container-monkey-recovery-kit.txt\"";
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
                (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
            ];
            (headers, kit.reveal().to_owned()).into_response()
        }
        Ok(kit) => {
            let screen = KitScreen { saved, kit: Some(kit), problems: BTreeMap::new() };
            shell.page(&screen, StatusCode::OK).await?
        }
        Err(AppError::Invalid { fields, .. }) if shell.client != Client::Api => {
            let screen = KitScreen { saved, kit: None, problems: fields };
            shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await?
        }
        Err(error) => return Err(error),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `POST /settings/vault-key/saved` and `POST /api/vault-key/saved`.
pub(in crate::web) async fn saved(actor: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    recovery_kit::set_saved(&app, &actor).await?;
    let json = json!({ "success": true });
    shell.done(Done::new("The recovery kit is put away", "/settings/vault-key", json))
}
