//! Settings: the server's name, the user's name and password, monitoring, the theme.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::{AppError, Result},
    model::secret::Secret,
    ops::{Actor, metrics, settings, users},
    web::{
        client::Client,
        input::{Input, Path, Query, flag},
        session::{AuthSession, Login},
        shell::{Done, Nav, Screen, Shell, json_response, render, see_other},
    },
};

#[derive(Template)]
#[template(path = "settings/rules.html")]
struct Rules {
    rules: Vec<users::Rule>,
}

/// The forms of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Password,
    Username,
    Server,
    Metrics,
}

#[derive(Template)]
#[template(path = "settings/show.html")]
struct SettingsScreen {
    server: String,
    username: String,
    new_username: String,
    theme: &'static str,
    metrics: metrics::Settings,
    rules: Rules,
    /// What has just been saved.
    saved: Option<Form>,
    /// What is wrong in which form, by field.
    problems: Option<(Form, BTreeMap<String, String>)>,
}

impl SettingsScreen {
    fn problem(&self, form: Form, field: &str) -> Option<&String> {
        self.problems.as_ref().filter(|(wrong, _)| *wrong == form)?.1.get(field)
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

async fn screen(app: &App, shell: &Shell, actor: &Actor) -> Result<SettingsScreen> {
    Ok(SettingsScreen {
        server: settings::server_name(app).await?,
        username: actor.name.clone(),
        new_username: actor.name.clone(),
        theme: shell.theme.unwrap_or("auto"),
        metrics: metrics::settings(app).await?,
        rules: Rules { rules: users::password_rules("") },
        saved: None,
        problems: None,
    })
}

/// What the form before has saved.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Saved {
    saved: Option<Form>,
}

/// `GET /settings`.
pub(in crate::web) async fn show(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(Saved { saved }): Query<Saved>,
) -> Result<Response> {
    let screen = SettingsScreen { saved, ..screen(&app, &shell, &actor).await? };
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
    let wanted = input.change.new_username.clone();
    let changed = match (&input.repeat_password, &input.change.new_password) {
        (Some(repeat), new) if Some(repeat) != new.as_ref() => {
            Err(AppError::field("repeat_password", "The two new passwords differ."))
        }
        _ => users::change(&app, &actor, input.change).await,
    };
    let form = if wanted.is_some() { Form::Username } else { Form::Password };
    let user = match changed {
        Ok(user) => user,
        Err(AppError::Invalid { message, mut fields }) if shell.client != Client::Api => {
            if fields.is_empty() {
                fields.insert("current_password".to_owned(), message);
            }
            let screen = SettingsScreen {
                problems: Some((form, fields)),
                new_username: wanted.unwrap_or_else(|| actor.name.clone()),
                ..screen(&app, &shell, &actor).await?
            };
            return shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        Err(error) => return Err(error),
    };
    let name = user.name.clone();
    // This session goes on; every other one ends, because the password's hash is part of them. A script with a token
    // has none.
    if session.user.is_some() {
        session.login(&Login(user)).await.map_err(|error| AppError::internal(error.to_string()))?;
    }
    let json = json!({ "success": true, "message": "Saved", "username": name });
    let (text, to) = match form {
        Form::Username => (format!("You are now called {name}"), "/settings?saved=username"),
        _ => ("The password is changed".to_owned(), "/settings?saved=password"),
    };
    shell.done(Done::new(text, to, json).leaving())
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
    let name = match settings::set_server_name(&app, &actor, &input.value).await {
        Err(AppError::Invalid { fields, .. }) if shell.client != Client::Api => {
            let screen = SettingsScreen {
                problems: Some((Form::Server, fields)),
                server: input.value,
                ..screen(&app, &shell, &actor).await?
            };
            return shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        name => name?,
    };
    let json = json!({ "success": true, "key": "server_name", "value": name });
    shell.done(Done::new(format!("This server is called {name}"), "/settings?saved=server", json).leaving())
}

/// How monitoring is let in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct MetricsInput {
    #[serde(deserialize_with = "flag")]
    enabled: bool,
    /// A new token; empty = as it is.
    token: Option<Secret>,
    #[serde(deserialize_with = "flag")]
    forget_token: bool,
}

/// `GET /api/metrics/settings`.
pub(in crate::web) async fn metrics_api(_: Actor, State(app): State<App>) -> Result<Response> {
    let now = metrics::settings(&app).await?;
    Ok(json_response(StatusCode::OK, &metrics_shape(&now)))
}

fn metrics_shape(now: &metrics::Settings) -> serde_json::Value {
    json!({
        "enabled": now.on, "enabled_by_environment": now.on_by_environment, "token": now.token.is_some(),
        "token_by_environment": now.token_by_environment,
    })
}

/// `POST /settings/metrics` and `POST /api/metrics/settings`.
pub(in crate::web) async fn metrics(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(input): Input<MetricsInput>,
) -> Result<Response> {
    let token = match input.token.filter(|token| !token.reveal().is_empty()) {
        Some(token) => metrics::Token::Set(token),
        None if input.forget_token => metrics::Token::Forget,
        None => metrics::Token::Keep,
    };
    match metrics::change(&app, &actor, input.enabled, token).await {
        Err(AppError::Invalid { fields, .. }) if shell.client != Client::Api => {
            let screen = SettingsScreen {
                problems: Some((Form::Metrics, fields)),
                ..screen(&app, &shell, &actor).await?
            };
            return shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        changed => changed?,
    }
    let mut json = metrics_shape(&metrics::settings(&app).await?);
    json["success"] = json!(true);
    let text = "The settings for monitoring are saved";
    shell.done(Done::new(text, "/settings?saved=metrics", json).leaving())
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

/// `POST /preferences/theme`: a cookie of this browser, for those without JavaScript. Leads back to
/// the page it was asked from.
pub(in crate::web) async fn theme(
    _: Actor,
    headers: HeaderMap,
    Input(input): Input<ThemeInput>,
) -> Result<Response> {
    let theme = match input.theme.as_str() {
        "light" => "light",
        "dark" => "dark",
        _ => "auto",
    };
    let cookie = format!("theme={theme}; Path=/; SameSite=Lax; Max-Age=31536000");
    let from = headers.get(header::REFERER).and_then(|from| from.to_str().ok()?.parse::<Uri>().ok());
    let from = from.as_ref().and_then(|from| from.path_and_query()).map_or("/settings", |path| path.as_str());
    let mut response = see_other(&super::login::safe(from))?;
    let cookie = HeaderValue::try_from(cookie).map_err(AppError::internal)?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}
