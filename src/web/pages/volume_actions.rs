//! Making and deleting volumes, with what a deletion is confirmed by.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::volumes::Row;
use crate::{
    app::App,
    error::{AppError, Result},
    model::names::VolumeName,
    ops::{Actor, volumes},
    web::{
        client::Client,
        format::filters,
        input::{Input, Pairs, Path},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// So many can be deleted at once.
const MOST: usize = 1000;

#[derive(Template)]
#[template(path = "volumes/new.html")]
struct NewScreen {
    form: NewVolume,
    /// Field name to sentence.
    problems: BTreeMap<String, String>,
    /// What is wrong and is not about one field.
    problem: Option<String>,
    dialog: bool,
}

impl Screen for NewScreen {
    fn title(&self) -> Cow<'_, str> {
        "New volume".into()
    }

    fn nav(&self) -> Nav {
        Nav::Volumes
    }
}

impl NewScreen {
    fn wrong(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }
}

/// A new volume. Labels and options are a map, or lines of `name=value`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct NewVolume {
    name: String,
    driver: String,
    options: Pairs,
    labels: Pairs,
}

/// `GET /volumes/-/new`.
pub(in crate::web) async fn new(_: Actor, shell: Shell) -> Result<Response> {
    let screen = NewScreen {
        form: NewVolume { driver: "local".to_owned(), ..NewVolume::default() },
        problems: BTreeMap::new(),
        problem: None,
        dialog: shell.client == Client::Fragment,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

async fn make(app: &App, actor: &Actor, form: &NewVolume) -> Result<VolumeName> {
    let name = form.name.trim().parse::<VolumeName>();
    let name = name.map_err(|error| AppError::field("name", error.to_string()))?;
    let driver = Some(form.driver.trim()).filter(|driver| !driver.is_empty()).unwrap_or("local");
    let (options, labels) = (form.options.map("options")?, form.labels.map("labels")?);
    volumes::create(app, actor, &name, driver, &options, &labels).await?;
    Ok(name)
}

/// `POST /volumes` and `POST /api/volumes`: what is wrong comes back with the form.
pub(in crate::web) async fn create(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<NewVolume>,
) -> Result<Response> {
    let (status, problem, problems) = match make(&app, &actor, &form).await {
        Ok(name) => {
            let json = json!({ "success": true, "name": name });
            let text = format!("The volume {name} is made");
            return shell.done(Done::new(text, format!("/volumes?search={name}"), json).leaving());
        }
        Err(error) if shell.client == Client::Api => return Err(error),
        Err(AppError::Invalid { message, fields }) => {
            (StatusCode::UNPROCESSABLE_ENTITY, fields.is_empty().then_some(message), fields)
        }
        Err(error) if error.status() < 500 => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::CONFLICT);
            (status, Some(error.to_string()), BTreeMap::new())
        }
        Err(error) => return Err(error),
    };
    let dialog = shell.client == Client::Fragment;
    shell.again(&NewScreen { form, problems, problem, dialog }, status).await
}

/// What will go.
#[derive(Template)]
#[template(path = "volumes/delete.html")]
struct DeleteScreen {
    /// Those that can be deleted.
    rows: Vec<Row>,
    /// Why others can't.
    kept: Vec<String>,
    /// What to type: the name of one, a phrase for several.
    phrase: String,
    dialog: bool,
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        "Delete volumes".into()
    }

    fn nav(&self) -> Nav {
        Nav::Volumes
    }
}

impl DeleteScreen {
    fn action(&self) -> String {
        match self.rows.as_slice() {
            [row] => format!("/volumes/{}/delete", row.volume.name),
            _ => "/volumes/-/delete".to_owned(),
        }
    }

    fn unprotected(&self) -> usize {
        self.rows.iter().filter(|row| row.backup.is_none()).count()
    }
}

/// What is typed to delete several.
fn phrase(count: usize) -> String {
    format!("delete {count} volumes")
}

async fn ask(shell: &Shell, app: &App, names: &[VolumeName]) -> Result<Response> {
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for volume in volumes::get_all(app, names).await? {
        match volumes::refused(&volume) {
            Some(why) => kept.push(why),
            None => rows.push(Row::of(shell, volume)),
        }
    }
    let phrase = match rows.as_slice() {
        [row] => row.volume.name.clone(),
        _ => phrase(rows.len()),
    };
    let dialog = shell.client == Client::Fragment;
    shell.show(&DeleteScreen { rows, kept, phrase, dialog }, render, |_| Value::Null).await
}

/// `GET /volumes/{name}/delete`.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
) -> Result<Response> {
    ask(&shell, &app, &[name]).await
}

/// The typed confirmation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Confirmed {
    confirm: String,
}

/// `POST /volumes/{name}/delete`.
pub(in crate::web) async fn delete_form(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Input(confirmed): Input<Confirmed>,
) -> Result<Response> {
    if confirmed.confirm != name.as_str() {
        return Err(AppError::field("confirm", format!("Type “{name}” to confirm.")));
    }
    delete(&actor, &shell, &app, &[name]).await
}

/// `DELETE /api/volume/{name}/delete`.
pub(in crate::web) async fn delete_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
) -> Result<Response> {
    delete(&actor, &shell, &app, &[name]).await
}

/// Several volumes.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Many {
    #[serde(default, alias = "names")]
    volume_names: Vec<VolumeName>,
    confirm: Option<String>,
}

/// `POST /volumes/-/delete` asks first and deletes when confirmed; `POST /api/volumes/delete` deletes.
pub(in crate::web) async fn delete_many(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(many): Input<Many>,
) -> Result<Response> {
    let mut names = many.volume_names;
    names.sort();
    names.dedup();
    if names.is_empty() || names.len() > MOST {
        return Err(AppError::field("volume_names", format!("Choose between 1 and {MOST} volumes.")));
    }
    match many.confirm {
        _ if shell.client == Client::Api => {}
        None => return ask(&shell, &app, &names).await,
        Some(typed) if typed == phrase(names.len()) => {}
        Some(_) => {
            return Err(AppError::field("confirm", format!("Type “{}” to confirm.", phrase(names.len()))));
        }
    }
    delete(&actor, &shell, &app, &names).await
}

async fn delete(actor: &Actor, shell: &Shell, app: &App, names: &[VolumeName]) -> Result<Response> {
    volumes::delete(app, actor, names).await?;
    let text = match names {
        [one] => format!("The volume {one} is deleted"),
        many => format!("{} volumes are deleted", many.len()),
    };
    let json = json!({ "success": true, "message": text, "deleted": names, "deleted_count": names.len() });
    shell.done(Done::new(text, "/volumes", json).leaving())
}
