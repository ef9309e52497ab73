//! Notification channels: the list, a new one, changing, trying and removing one.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        notice::{Channel, Kind},
        secret::Secret,
    },
    ops::{Actor, channels, schedules},
    web::{
        client::Client,
        format::When,
        input::{Input, Path, choice, flag},
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

/// Where all forms lead.
const HOME: &str = "/settings/notifications";

/// A row of the list.
struct Row {
    channel: Channel,
    icon: &'static str,
    /// The name of the schedule it is about.
    schedule: Option<String>,
    last: Option<When>,
}

/// What was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Form {
    name: String,
    url: Option<Secret>,
    level: String,
    schedule: String,
    #[serde(deserialize_with = "some_flag")]
    enabled: Option<bool>,
}

fn some_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    flag(deserializer).map(Some)
}

/// The fields of a channel, for a new one and for one that is there.
struct Fields {
    form: Form,
    /// The one that is there.
    channel: Option<Channel>,
    /// Ids and names.
    schedules: Vec<(String, String)>,
    problems: BTreeMap<String, String>,
}

impl Fields {
    fn problem(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }
}

#[derive(Template)]
#[template(path = "notifications/list.html")]
struct ListScreen {
    rows: Vec<Row>,
    fields: Fields,
    /// Links in messages lead nowhere.
    no_links: bool,
}

#[derive(Template)]
#[template(path = "notifications/edit.html")]
struct EditScreen {
    channel: Channel,
    fields: Fields,
}

#[derive(Template)]
#[template(path = "notifications/delete.html")]
struct DeleteScreen {
    channel: Channel,
    dialog: bool,
}

macro_rules! in_settings {
    ($($screen:ty => $title:literal),*) => {$(
        impl Screen for $screen {
            fn title(&self) -> Cow<'_, str> {
                $title.into()
            }

            fn nav(&self) -> Nav {
                Nav::Settings
            }
        }
    )*};
}
in_settings!(ListScreen => "Notifications", EditScreen => "Change a channel", DeleteScreen => "Remove a channel");

const fn icon(kind: Kind) -> &'static str {
    match kind {
        Kind::Email => "mail",
        Kind::Ntfy | Kind::Gotify => "bell",
        Kind::Healthchecks => "activity",
        Kind::Webhook | Kind::Slack | Kind::Discord => "webhook",
    }
}

async fn names(app: &App, shell: &Shell) -> Result<Vec<(String, String)>> {
    let all = schedules::list(app, shell.now).await?;
    Ok(all.into_iter().map(|view| (view.schedule.id.to_string(), view.schedule.plan.name)).collect())
}

async fn list_screen(app: &App, shell: &Shell) -> Result<ListScreen> {
    let schedules = names(app, shell).await?;
    let name = |id: String| {
        let known = schedules.iter().find(|(known, _)| *known == id);
        known.map_or_else(|| "a deleted schedule".to_owned(), |(_, name)| name.clone())
    };
    let rows = channels::list(app).await?.into_iter().map(|channel| Row {
        icon: icon(channel.kind),
        schedule: channel.schedule.as_ref().map(|id| name(id.to_string())),
        last: channel.last.map(|at| shell.when(at)),
        channel,
    });
    let rows = rows.collect();
    let form = Form { level: "error".to_owned(), ..Form::default() };
    let fields = Fields { form, channel: None, schedules, problems: BTreeMap::new() };
    Ok(ListScreen { rows, fields, no_links: app.config.base_url.is_none() })
}

async fn edit_screen(app: &App, shell: &Shell, id: i64) -> Result<EditScreen> {
    let channel = channels::get(app, id).await?;
    let form = Form {
        name: channel.name.clone(),
        url: None,
        level: channel.wish.to_string(),
        schedule: channel.schedule.as_ref().map(ToString::to_string).unwrap_or_default(),
        enabled: Some(channel.enabled),
    };
    let schedules = names(app, shell).await?;
    let fields = Fields { form, channel: Some(channel.clone()), schedules, problems: BTreeMap::new() };
    Ok(EditScreen { channel, fields })
}

/// One of `GET /api/notifications`.
fn shape(channel: &Channel) -> Value {
    json!({
        "id": channel.id, "name": channel.name, "kind": channel.kind, "address": channel.shown,
        "level": channel.wish, "schedule": channel.schedule, "enabled": channel.enabled,
        "last": channel.last.map(|at| at.to_rfc3339()), "problem": channel.problem,
        "waiting": channel.waiting,
    })
}

/// `GET /settings/notifications` and `GET /api/notifications`.
pub(in crate::web) async fn list(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let screen = list_screen(&app, &shell).await?;
    let json = |screen: &ListScreen| json!({ "channels": screen.rows.iter().map(|row| shape(&row.channel)).collect::<Vec<_>>() });
    shell.show(&screen, render, json).await
}

/// `GET /settings/notifications/{id}` and `GET /api/notifications/{id}`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Response> {
    let screen = edit_screen(&app, &shell, id).await?;
    shell.show(&screen, render, |screen| shape(&screen.channel)).await
}

async fn keep(app: &App, actor: &Actor, id: Option<i64>, form: &Form) -> Result<Channel> {
    let unknown = |word: &str| format!("“{word}” is not a level. Use error, warning or all.");
    let no_schedule = |_: &str| "There is no such schedule.".to_owned();
    let wanted = channels::Wanted {
        name: form.name.clone(),
        address: form.url.clone().filter(|url| !url.reveal().trim().is_empty()),
        wish: choice("level", Some(&form.level), unknown)?.unwrap_or_default(),
        schedule: choice("schedule", Some(&form.schedule), no_schedule)?,
        enabled: form.enabled.unwrap_or(true),
    };
    channels::save(app, actor, id, wanted).await
}

/// `POST /settings/notifications` and `POST /api/notifications`.
pub(in crate::web) async fn create(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<Form>,
) -> Result<Response> {
    match keep(&app, &actor, None, &form).await {
        Ok(channel) if shell.client == Client::Api => {
            let mut body = shape(&channel);
            body["success"] = json!(true);
            Ok(json_response(StatusCode::CREATED, &body))
        }
        Ok(channel) => {
            let text = format!("{} is told from now on. Send it a test.", channel.name);
            shell.done(Done::new(text, HOME, Value::Null).leaving())
        }
        Err(AppError::Invalid { fields: problems, .. }) if shell.client != Client::Api => {
            let mut screen = list_screen(&app, &shell).await?;
            screen.fields = Fields { form, problems, ..screen.fields };
            shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /settings/notifications/{id}` and `POST /api/notifications/{id}`.
pub(in crate::web) async fn save(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
    Input(form): Input<Form>,
) -> Result<Response> {
    match keep(&app, &actor, Some(id), &form).await {
        Ok(channel) => {
            let mut body = shape(&channel);
            body["success"] = json!(true);
            shell.done(Done::new(format!("{} is changed", channel.name), HOME, body).leaving())
        }
        Err(AppError::Invalid { fields: problems, .. }) if shell.client != Client::Api => {
            let mut screen = edit_screen(&app, &shell, id).await?;
            screen.fields = Fields { form, problems, ..screen.fields };
            shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /settings/notifications/{id}/test` and `POST /api/notifications/{id}/test`.
pub(in crate::web) async fn test(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Response> {
    let (channel, said) = channels::test(&app, &actor, id).await?;
    match said {
        Ok(said) => {
            let text = format!("The test message for {} was sent. {said}.", channel.name);
            let json = json!({ "success": true, "message": text });
            shell.done(Done::new(text, HOME, json).leaving())
        }
        Err(why) if shell.client == Client::Api => {
            Err(AppError::unavailable(format!("The test message did not arrive. {why}"), None))
        }
        // The row says why.
        Err(_) => shell.again(&list_screen(&app, &shell).await?, StatusCode::BAD_GATEWAY).await,
    }
}

/// `GET /settings/notifications/{id}/delete`.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Response> {
    let channel = channels::get(&app, id).await?;
    let screen = DeleteScreen { channel, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |screen| shape(&screen.channel)).await
}

/// `POST /settings/notifications/{id}/delete` and `DELETE /api/notifications/{id}`.
pub(in crate::web) async fn delete(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Response> {
    let channel = channels::remove(&app, &actor, id).await?;
    let text = format!("{} is not told anything any more", channel.name);
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, HOME, json).leaving())
}
