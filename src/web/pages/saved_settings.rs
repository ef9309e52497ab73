//! The server's settings in its vaults: when they were saved, what bringing them back would change, and doing it.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{names::BackupRef, saved_settings::Saved, secret::Secret, vault::Storage},
    ops::{
        Actor,
        saved_settings::{
            self,
            restore::{self, Restored},
            review::{self, Change, Choice, Line, Review},
        },
    },
    web::{
        client::Client,
        format::When,
        input::{Input, Path},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// Settings of another server that are offered to one that has none.
pub(super) struct Offer {
    pub(super) saved: Saved,
    pub(super) when: When,
}

impl Offer {
    /// What may be offered on this page.
    pub(super) async fn find(app: &App, shell: &Shell) -> Result<Option<Self>> {
        let found = saved_settings::offer(app).await?;
        Ok(found.map(|saved| Self { when: shell.when(saved.saved), saved }))
    }
}

/// How it stands with one vault.
struct VaultLine {
    storage: Storage,
    when: Option<When>,
    current: bool,
    newest: Option<Saved>,
    problem: Option<String>,
}

struct Row {
    saved: Saved,
    own: bool,
    when: When,
}

#[derive(Template)]
#[template(path = "settings/saved.html")]
struct SavedScreen {
    vaults: Vec<VaultLine>,
    rows: Vec<Row>,
    left_out: Vec<String>,
    offer: Option<Offer>,
    problems: BTreeMap<String, String>,
}

impl Screen for SavedScreen {
    fn title(&self) -> Cow<'_, str> {
        "Saved settings".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

async fn screen(app: &App, shell: &Shell) -> Result<SavedScreen> {
    let overview = saved_settings::overview(app).await?;
    let vault = |status: saved_settings::Status| VaultLine {
        storage: status.storage,
        when: status.newest.as_ref().map(|newest| shell.when(newest.saved)),
        current: status.current,
        newest: status.newest,
        problem: status.problem,
    };
    Ok(SavedScreen {
        vaults: overview.vaults.into_iter().map(vault).collect(),
        rows: overview
            .all
            .into_iter()
            .map(|(saved, own)| Row { when: shell.when(saved.saved), saved, own })
            .collect(),
        left_out: overview.left_out,
        offer: Offer::find(app, shell).await?,
        problems: BTreeMap::new(),
    })
}

fn saved_json(saved: &Saved) -> Value {
    json!({
        "id": saved.reference(), "storage_location": saved.storage, "server_name": saved.server,
        "saved": saved.saved.to_rfc3339(), "version": saved.summary.program, "schedules": saved.summary.schedules,
        "channels": saved.summary.channels, "users": saved.summary.users, "tokens": saved.summary.tokens,
        "marks": saved.summary.marks,
    })
}

fn shape(screen: &SavedScreen) -> Value {
    let vaults: Vec<Value> = screen
        .vaults
        .iter()
        .map(|vault| {
            json!({
                "storage_location": vault.storage, "current": vault.current, "problem": vault.problem,
                "newest": vault.newest.as_ref().map(saved_json),
            })
        })
        .collect();
    let all: Vec<Value> = screen
        .rows
        .iter()
        .map(|row| {
            let mut value = saved_json(&row.saved);
            value["this_server"] = json!(row.own);
            value
        })
        .collect();
    json!({
        "vaults": vaults, "settings": all, "left_out": screen.left_out,
        "offer": screen.offer.as_ref().map(|offer| saved_json(&offer.saved)),
    })
}

/// `GET /settings/saved` and `GET /api/saved-settings`.
pub(in crate::web) async fn list(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let screen = screen(&app, &shell).await?;
    shell.show(&screen, render, shape).await
}

/// `POST /settings/saved` and `POST /api/saved-settings`: saves them now.
pub(in crate::web) async fn save(actor: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let vaults = saved_settings::save_now(&app, &actor).await?;
    let names: Vec<&str> = vaults.iter().map(|storage| storage.label()).collect();
    let text = format!("The settings are saved in the vault: {}", names.join(", "));
    let json = json!({ "success": true, "message": text, "storage_locations": vaults });
    shell.done(Done::new(text, "/settings/saved", json).leaving())
}

/// The password once more.
#[derive(Deserialize)]
pub(in crate::web) struct Again {
    #[serde(default)]
    password: Option<Secret>,
}

/// `POST /settings/saved/download` and `POST /api/saved-settings/download`.
pub(in crate::web) async fn download(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(again): Input<Again>,
) -> Result<Response> {
    let password = again.password.unwrap_or_else(|| Secret::new(""));
    let mut response = match saved_settings::download(&app, &actor, &password).await {
        Ok(text) => {
            let name = "attachment; filename=\"container-monkey-settings.json\"";
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
            ];
            (headers, text.reveal().to_owned()).into_response()
        }
        Err(AppError::Invalid { fields, .. }) if shell.client != Client::Api => {
            let screen = SavedScreen { problems: fields, ..screen(&app, &shell).await? };
            shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await?
        }
        Err(error) => return Err(error),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What a box is called: its field, the heading, its label, what to know of it, and what is said when there is nothing
/// to bring back.
struct Words {
    field: &'static str,
    title: &'static str,
    label: &'static str,
    hint: &'static str,
    nothing: &'static str,
}

const SCHEDULES: Words = Words {
    field: "schedules",
    title: "Schedules",
    label: "Restore the schedules",
    hint: "Their rules go on to apply to their old backups, if this server takes over the name.",
    nothing: "There were none.",
};
const CHANNELS: Words = Words {
    field: "channels",
    title: "Notification channels",
    label: "Restore the channels",
    hint: "With their secrets, sealed with this server's key.",
    nothing: "There were none.",
};
const MARKS: Words = Words {
    field: "marks",
    title: "Pins and notes",
    label: "Restore pins and notes",
    hint: "Nothing is unpinned.",
    nothing: "There are none for backups that are listed here.",
};
const SERVER: Words = Words {
    field: "server_name",
    title: "Name and monitoring",
    label: "Take over the server's name, and how monitoring is let in",
    hint: "Backups of that name count as this server's then.",
    nothing: "They are the same.",
};
const STORAGE: Words = Words {
    field: "storage",
    title: "Storage",
    label: "Restore the storage settings",
    hint: "With the bucket's keys.",
    nothing: "It is the same, or there was no bucket.",
};
const USERS: Words = Words {
    field: "users",
    title: "Users",
    label: "Restore users and their passwords",
    hint: "The password is then the one from there. Whose password changes is signed out.",
    nothing: "There were none.",
};
const TOKENS: Words = Words {
    field: "tokens",
    title: "API tokens",
    label: "Restore the API tokens",
    hint: "Scripts that know them may use this server. What has the same name here stays as it is.",
    nothing: "There were none.",
};

/// Things of one kind, with the box that brings them back.
struct Group {
    words: Words,
    lines: Vec<Line>,
    sentences: Vec<String>,
    chosen: bool,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.sentences.is_empty()
    }
}

fn groups(review: &Review, choice: Choice) -> Vec<Group> {
    let of =
        |words, lines: &[Line], chosen| Group { words, lines: lines.to_vec(), sentences: vec![], chosen };
    let said = |words, sentences, chosen| Group { words, lines: vec![], sentences, chosen };
    let marks = match review.marks {
        (0, _) => vec![],
        (known, 0) => vec![format!("{known} of backups in this server's list.")],
        (known, other) => {
            let more = format!("{other} are of backups that are not in it.");
            vec![format!("{known} of backups in this server's list; {more}")]
        }
    };
    vec![
        of(SCHEDULES, &review.schedules, choice.schedules),
        of(CHANNELS, &review.channels, choice.channels),
        said(MARKS, marks, choice.marks),
        said(SERVER, review.server.clone(), choice.server_name),
        said(STORAGE, review.storage.clone(), choice.storage),
        of(USERS, &review.users, choice.users),
        of(TOKENS, &review.tokens, choice.tokens),
    ]
}

#[derive(Template)]
#[template(path = "settings/saved_review.html")]
struct ReviewScreen {
    groups: Vec<Group>,
    choice: Choice,
    review: Review,
    when: When,
    problem: Option<String>,
}

impl Screen for ReviewScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Settings of {}", self.review.saved.server).into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

fn review_screen(shell: &Shell, review: Review, choice: Choice, problem: Option<String>) -> ReviewScreen {
    let when = shell.when(review.saved.saved);
    ReviewScreen { groups: groups(&review, choice), choice, review, when, problem }
}

fn review_json(screen: &ReviewScreen) -> Value {
    let word = |change| match change {
        Change::New => "new",
        Change::Replaces => "replaces",
        Change::Same => "same",
    };
    let mut value = saved_json(&screen.review.saved);
    value["elsewhere"] = json!(screen.review.elsewhere);
    for group in &screen.groups {
        let lines: Vec<Value> = group
            .lines
            .iter()
            .map(|line| json!({ "name": line.name, "detail": line.detail, "change": word(line.change) }))
            .collect();
        value["review"][group.words.field] =
            json!({ "suggested": group.chosen, "items": lines, "sentences": group.sentences });
    }
    value["review"]["run"] = json!({ "suggested": screen.choice.run });
    value
}

/// `GET /settings/saved/{id}` and `GET /api/saved-settings/{id}`: what bringing them back would change.
pub(in crate::web) async fn review(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
) -> Result<Response> {
    let review = review::review(&app, &id).await?;
    let suggested = review.suggested;
    let screen = review_screen(&shell, review, suggested, None);
    shell.show(&screen, render, review_json).await
}

/// The ticked boxes. A script that names none gets what is suggested.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Ticked {
    #[serde(deserialize_with = "flag")]
    schedules: Option<bool>,
    #[serde(deserialize_with = "flag")]
    run: Option<bool>,
    #[serde(deserialize_with = "flag")]
    channels: Option<bool>,
    #[serde(deserialize_with = "flag")]
    marks: Option<bool>,
    #[serde(deserialize_with = "flag")]
    server_name: Option<bool>,
    #[serde(deserialize_with = "flag")]
    storage: Option<bool>,
    #[serde(deserialize_with = "flag")]
    users: Option<bool>,
    #[serde(deserialize_with = "flag")]
    tokens: Option<bool>,
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    crate::web::input::flag(deserializer).map(Some)
}

impl Ticked {
    /// `suggested`: for what is not said.
    fn choice(&self, suggested: Choice) -> Choice {
        Choice {
            schedules: self.schedules.unwrap_or(suggested.schedules),
            run: self.run.unwrap_or(suggested.run),
            channels: self.channels.unwrap_or(suggested.channels),
            marks: self.marks.unwrap_or(suggested.marks),
            server_name: self.server_name.unwrap_or(suggested.server_name),
            storage: self.storage.unwrap_or(suggested.storage),
            users: self.users.unwrap_or(suggested.users),
            tokens: self.tokens.unwrap_or(suggested.tokens),
        }
    }
}

/// `POST /settings/saved/{id}` and `POST /api/saved-settings/{id}`.
pub(in crate::web) async fn restore(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(ticked): Input<Ticked>,
) -> Result<Response> {
    // A form does not send the boxes that are not ticked.
    let suggested = match shell.client {
        Client::Api => review::review(&app, &id).await?.suggested,
        _ => Choice::default(),
    };
    let choice = ticked.choice(suggested);
    let restored = match restore::restore(&app, &actor, &id, choice).await {
        Err(error @ (AppError::Conflict(_) | AppError::Impossible(_) | AppError::Invalid { .. }))
            if shell.client != Client::Api =>
        {
            let review = review::review(&app, &id).await?;
            let screen = review_screen(&shell, review, choice, Some(error.to_string()));
            return shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await;
        }
        restored => restored?,
    };
    let text = words(&restored);
    let json = json!({
        "success": true, "message": text, "schedules": restored.schedules, "channels": restored.channels,
        "users": restored.users, "tokens": restored.tokens, "marks": restored.marks, "notes": restored.notes,
    });
    shell.done(Done::new(text, "/settings/saved", json).leaving())
}

fn words(restored: &Restored) -> String {
    let mut text = format!("Settings are back: {}", restored.words());
    for note in &restored.notes {
        text.push_str(". ");
        text.push_str(note);
    }
    text
}
