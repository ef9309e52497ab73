//! Settings: the server's name, the user's name and password, the theme.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::{AppError, Result},
    model::secret::Secret,
    ops::{Actor, settings, users},
    web::{
        client::Client,
        input::{Input, Path},
        session::{AuthSession, Login},
        shell::{Done, Nav, Screen, Shell, json_response, render, see_other},
    },
};

#[derive(Template)]
#[template(path = "settings/rules.html")]
struct Rules {
    rules: Vec<users::Rule>,
}

#[derive(Template)]
#[template(path = "settings/show.html")]
struct SettingsScreen {
    server: String,
    username: String,
    rules: Rules,
    problems: std::collections::BTreeMap<String, String>,
}

impl SettingsScreen {
    fn problem(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }
}

impl Screen for SettingsScreen {
    fn title(&self) -> Cow<'_, str> {
        "Settings".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

async fn screen(app: &App, actor: &Actor) -> Result<SettingsScreen> {
    Ok(SettingsScreen {
        server: settings::server_name(app).await?,
        username: actor.name.clone(),
        rules: Rules { rules: users::password_rules("") },
        problems: std::collections::BTreeMap::new(),
    })
}

/// `GET /settings`.
pub(in crate::web) async fn show(actor: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let screen = screen(&app, &actor).await?;
    shell.show(&screen, render, |screen| json!({ "server_name": screen.server })).await
}

/// The password that is being typed.
#[derive(Deserialize)]
pub(in crate::web) struct Typed {
    #[serde(default)]
    new_password: Option<Secret>,
}

/// `POST /settings/password-rules`: which rules the typed password meets.
pub(in crate::web) async fn rules(_: Actor, Input(typed): Input<Typed>) -> Result<Response> {
    let password = typed.new_password.unwrap_or_else(|| Secret::new(""));
    let rules = Rules { rules: users::password_rules(password.reveal()) };
    Ok(Html(render(&rules)?).into_response())
}

/// A change of name or password, with the repetition the page asks for.
#[derive(Deserialize)]
pub(in crate::web) struct AccountInput {
    #[serde(flatten)]
    change: users::Change,
    #[serde(default)]
    repeat_password: Option<Secret>,
}

/// `POST /settings/account` and `POST /api/change-password`.
pub(in crate::web) async fn account(
    actor: Actor,
    shell: Shell,
    mut session: AuthSession,
    State(app): State<App>,
    Input(input): Input<AccountInput>,
) -> Result<Response> {
    let changed = match (&input.repeat_password, &input.change.new_password) {
        (Some(repeat), new) if Some(repeat) != new.as_ref() => {
            Err(AppError::field("repeat_password", "The two new passwords differ."))
        }
        _ => users::change(&app, &actor, input.change).await,
    };
    let user = match (changed, shell.client) {
        (Ok(user), _) => user,
        (Err(AppError::Invalid { message, mut fields }), Client::Page) => {
            if fields.is_empty() {
                fields.insert("current_password".to_owned(), message);
            }
            let screen = SettingsScreen { problems: fields, ..screen(&app, &actor).await? };
            return shell.page(&screen, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        (Err(error), _) => return Err(error),
    };
    // This session goes on; every other one ends, because the password's hash is part of them.
    let name = user.name.clone();
    session.login(&Login(user)).await.map_err(|error| AppError::internal(error.to_string()))?;
    let json = json!({ "success": true, "message": "Saved", "username": name });
    shell.done(Done::new("Saved", "/settings#account", json))
}

/// A new server name.
#[derive(Deserialize)]
pub(in crate::web) struct NameInput {
    #[serde(default, alias = "server_name")]
    value: String,
}

/// `POST /settings/server-name`.
pub(in crate::web) async fn server_name(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(input): Input<NameInput>,
) -> Result<Response> {
    let name = settings::set_server_name(&app, &actor, &input.value).await?;
    let json = json!({ "success": true, "key": "server_name", "value": name });
    shell.done(Done::new(format!("This server is called {name}"), "/settings", json))
}

/// `GET /api/ui/settings`.
pub(in crate::web) async fn all(_: Actor, State(app): State<App>) -> Result<Response> {
    let name = settings::server_name(&app).await?;
    Ok(json_response(StatusCode::OK, &json!({ "server_name": name })))
}

/// `GET /api/ui/settings/{key}`.
pub(in crate::web) async fn get(
    _: Actor,
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<Response> {
    if key != "server_name" {
        return Err(AppError::NotFound("This setting".into()));
    }
    let name = settings::server_name(&app).await?;
    Ok(json_response(StatusCode::OK, &json!({ "key": key, "value": name })))
}

/// `POST /api/ui/settings/{key}`.
pub(in crate::web) async fn set(
    actor: Actor,
    State(app): State<App>,
    Path(key): Path<String>,
    Input(input): Input<NameInput>,
) -> Result<Response> {
    if key != "server_name" {
        return Err(AppError::NotFound("This setting".into()));
    }
    let name = settings::set_server_name(&app, &actor, &input.value).await?;
    Ok(json_response(StatusCode::OK, &json!({ "success": true, "key": key, "value": name })))
}

/// A theme.
#[derive(Deserialize)]
pub(in crate::web) struct ThemeInput {
    #[serde(default)]
    theme: String,
}

/// `POST /preferences/theme`: a cookie of this browser, for those without JavaScript.
pub(in crate::web) async fn theme(_: Actor, Input(input): Input<ThemeInput>) -> Result<Response> {
    let theme = match input.theme.as_str() {
        "light" => "light",
        "dark" => "dark",
        _ => "auto",
    };
    let cookie = format!("theme={theme}; Path=/; SameSite=Lax; Max-Age=31536000");
    let mut response = see_other("/settings")?;
    let cookie = HeaderValue::try_from(cookie).map_err(AppError::internal)?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}
