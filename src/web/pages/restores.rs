//! The restore page: what exists, what to do about it, what will happen.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::network_backups;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::{Backup, ItemState, Kind, State as BackupState},
        names::{BackupRef, ContainerName, VolumeName},
        restore::{Options, VolumeAction, VolumeChoice},
    },
    ops::{
        Actor, backups,
        restores::{self, DataPlan, PortPlan, Review},
        runs,
    },
    web::{
        client::Client,
        format::{When, filters},
        input::{Input, Path, Query},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// What is being decided: the fields, what they would do, and what is wrong with them.
struct View {
    original: String,
    review: Review,
    form: Form,
    problems: Problems,
}

/// Field name to sentence.
type Problems = BTreeMap<String, String>;

impl View {
    /// Does the field say this?
    fn says(&self, field: &str, value: &str) -> bool {
        self.form.get(field) == Some(value)
    }

    fn new_name(&self) -> &str {
        self.form.get("new_name").unwrap_or(&self.review.free_name)
    }

    /// What is wrong with the name that will be used.
    fn name_problem(&self) -> Option<String> {
        let taken = || {
            let taken = self.review.existing_container.is_some() && !self.says("name-mode", "replace");
            taken.then(|| format!("A container named {} exists already.", self.review.name))
        };
        self.problems.get("new_name").cloned().or_else(taken)
    }

    fn port(&self, port: &PortPlan) -> String {
        let given = self.form.fields.get(&format!("port-{}", port.container_port));
        given.unwrap_or(&port.host_port).to_owned()
    }

    fn port_problem(&self, port: &PortPlan) -> Option<String> {
        let taken = || port.taken_by.as_ref().map(|holder| format!("In use by {holder}."));
        self.problems.get(&format!("port-{}", port.container_port)).cloned().or_else(taken)
    }

    /// Published on several host ports: they stay as they were.
    fn fixed(&self, port: &PortPlan) -> bool {
        self.review.ports.iter().filter(|other| other.container_port == port.container_port).count() > 1
    }

    fn volume_name(&self, index: impl std::fmt::Display, plan: &DataPlan) -> String {
        let given = self.form.get(&format!("data-{index}-name")).map(str::to_owned);
        let made = (plan.action == "new").then(|| plan.target.clone());
        given.or(made).unwrap_or_else(|| format!("{}-restored", plan.name))
    }

    fn volume_problem(&self, index: impl std::fmt::Display, plan: &DataPlan) -> Option<String> {
        let taken = || {
            let taken = plan.action == "ask" && self.says(&format!("data-{index}"), "new");
            taken.then(|| format!("A volume named {} exists already.", plan.target))
        };
        self.problems.get(&format!("data-{index}-name")).cloned().or_else(taken)
    }

    /// Whether data that exists is lost.
    fn overwrites_data(&self) -> bool {
        self.review.data.iter().any(|plan| plan.action == "overwrite")
    }

    /// Whether the name was typed that confirms it.
    fn is_confirmed(&self) -> bool {
        self.says("confirm", &self.original)
    }

    /// Whether something that exists is lost or replaced.
    fn overwrites(&self) -> bool {
        self.overwrites_data()
            || (self.review.existing_container.is_some() && self.says("name-mode", "replace"))
    }
}

/// The plan and the checks at the fields, for htmx.
#[derive(Template)]
#[template(path = "restore/changes.html")]
struct Changes<'a> {
    v: &'a View,
    id: &'a str,
}

#[derive(Template)]
#[template(path = "restore/review.html")]
struct RestoreScreen {
    backup: Backup,
    id: String,
    when: When,
    v: View,
    /// Why the form came back, if it is not about one field.
    problem: Option<String>,
}

impl Screen for RestoreScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Restore {}", self.v.original).into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// The page's form: names with an index or a port in them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::web) struct Form {
    #[serde(flatten)]
    fields: BTreeMap<String, String>,
}

impl Form {
    /// What is chosen before anybody chose: nothing that exists is touched.
    fn safest(review: &Review) -> Self {
        let mode = if review.existing_container.is_some() { "new" } else { "same" };
        let mut fields = BTreeMap::from([
            ("name-mode".to_owned(), mode.to_owned()),
            ("new_name".to_owned(), review.free_name.clone()),
            ("safety_backup".to_owned(), "true".to_owned()),
        ]);
        if review.start {
            fields.insert("start".to_owned(), "true".to_owned());
        }
        for (index, plan) in review.data.iter().enumerate().filter(|(_, plan)| plan.exists) {
            let action = if plan.kind == "volume" { "new" } else { "skip" };
            fields.insert(format!("data-{index}"), action.to_owned());
        }
        Self { fields }
    }

    /// A free port that was chosen by its button takes the place of the typed one.
    fn settled(mut self) -> Self {
        let chosen: Vec<_> = self
            .fields
            .iter()
            .filter_map(|(name, port)| Some((name.strip_prefix("use-")?.to_owned(), port.clone())))
            .collect();
        for (container_port, port) in chosen {
            self.fields.remove(&format!("use-{container_port}"));
            self.fields.insert(format!("port-{container_port}"), port);
        }
        self
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// The decisions that these fields stand for, and what is wrong. `data` are the names of the items.
    fn options(&self, data: &[String]) -> (Options, Problems) {
        let mut problems = Problems::new();
        let mut options = Options { replace: self.get("name-mode") == Some("replace"), ..Options::default() };
        if self.get("name-mode") == Some("new") {
            match self.get("new_name").map(str::parse::<ContainerName>) {
                Some(Ok(name)) => options.new_name = Some(name),
                Some(Err(error)) => drop(problems.insert("new_name".to_owned(), error.to_string())),
                None => drop(problems.insert("new_name".to_owned(), "Give the new name.".to_owned())),
            }
        }
        for (index, name) in data.iter().enumerate() {
            let action = match self.get(&format!("data-{index}")) {
                Some("overwrite") => VolumeAction::Overwrite,
                Some("skip") => VolumeAction::Skip,
                Some("new") => VolumeAction::New,
                _ => continue,
            };
            let field = format!("data-{index}-name");
            let new_name = match self.get(&field).map(str::parse::<VolumeName>) {
                Some(Ok(name)) if action == VolumeAction::New => Some(name),
                Some(Err(error)) if action == VolumeAction::New => {
                    problems.insert(field, error.to_string());
                    None
                }
                _ => None,
            };
            options.volumes.push(VolumeChoice { name: name.clone(), action, new_name });
        }
        for (field, value) in &self.fields {
            let Some(container_port) = field.strip_prefix("port-") else { continue };
            let value = value.trim();
            if value.is_empty() || value.parse::<u16>().is_ok_and(|port| port > 0) {
                options.port_overrides.insert(container_port.to_owned(), value.to_owned());
            } else {
                problems.insert(field.clone(), "Use a number from 1 to 65535.".to_owned());
            }
        }
        options.start = Some(self.fields.contains_key("start"));
        options.safety_backup = Some(self.fields.contains_key("safety_backup"));
        (options, problems)
    }
}

/// The page for these decisions, and the decisions as the restore takes them.
async fn screen(shell: &Shell, app: &App, id: &BackupRef, form: Form) -> Result<(RestoreScreen, Options)> {
    let (preview, first) = restores::review(app, id, &Options::default()).await?;
    let data: Vec<String> = first.data.iter().map(|plan| plan.name.clone()).collect();
    let form = if form.fields.is_empty() { Form::safest(&first) } else { form.settled() };
    let (options, problems) = form.options(&data);
    let review = restores::review(app, id, &options).await?.1;
    let screen = RestoreScreen {
        when: shell.when(preview.backup.created),
        id: preview.backup.reference(),
        backup: preview.backup,
        v: View { original: preview.manifest.container_name, review, form, problems },
        problem: None,
    };
    Ok((screen, options))
}

/// `GET /vault/{id}/restore`: with fields in the query, the plan for them.
pub(in crate::web) async fn review(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(form): Query<Form>,
) -> Result<Response> {
    if backups::get(&app, &id).await?.meta.kind == Kind::Network {
        return network_backups::review(&shell, &app, &id, network_backups::Form::of(|name| form.get(name)))
            .await;
    }
    let (screen, _) = screen(&shell, &app, &id, form).await?;
    let part = |screen: &RestoreScreen| render(&Changes { v: &screen.v, id: &screen.id });
    shell.show(&screen, part, |screen| json!(screen.v.review)).await
}

/// `POST /vault/{id}/restore`: what can't be done comes back as the same form with all choices kept.
pub(in crate::web) async fn start(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(form): Input<Form>,
) -> Result<Response> {
    if backups::get(&app, &id).await?.meta.kind == Kind::Network {
        let form = network_backups::Form::of(|name| form.get(name));
        return network_backups::start(&actor, &shell, &app, &id, form).await;
    }
    let (mut screen, options) = screen(&shell, &app, &id, form).await?;
    if shell.client != Client::Api && screen.v.overwrites_data() && !screen.v.is_confirmed() {
        let why =
            format!("Data that exists is overwritten. To confirm it, type the name {}.", screen.v.original);
        screen.v.problems.insert("confirm".to_owned(), why);
    }
    if let Some(problem) = screen.v.problems.values().next().cloned() {
        if shell.client == Client::Api {
            return Err(AppError::Invalid { message: problem, fields: screen.v.problems });
        }
        return again(&shell, screen, StatusCode::UNPROCESSABLE_ENTITY, problem).await;
    }
    match begin(&actor, &shell, &app, &id, options).await {
        Err(AppError::RestoreConflict { message, .. }) if shell.client != Client::Api => {
            again(&shell, screen, StatusCode::CONFLICT, message).await
        }
        Err(AppError::Invalid { message, .. } | AppError::Impossible(message))
            if shell.client != Client::Api =>
        {
            again(&shell, screen, StatusCode::UNPROCESSABLE_ENTITY, message).await
        }
        other => other,
    }
}

async fn again(shell: &Shell, screen: RestoreScreen, status: StatusCode, why: String) -> Result<Response> {
    shell.again(&RestoreScreen { problem: Some(why), ..screen }, status).await
}

/// `POST /api/restore-backup`.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct ApiInput {
    #[serde(alias = "id", alias = "backup_id")]
    filename: BackupRef,
    #[serde(default)]
    new_name: Option<Value>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// `POST /api/restore-backup`.
pub(in crate::web) async fn start_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(input): Input<ApiInput>,
) -> Result<Response> {
    let mut fields = input.rest;
    // The Flask application's clients send empty values for what they do not set.
    fields.retain(|_, value| !value.is_null());
    if let Some(name) = input.new_name.filter(|name| name.as_str() != Some("") && !name.is_null()) {
        fields.insert("new_name".to_owned(), name);
    }
    let bad = |error: serde_json::Error| AppError::invalid(error.to_string());
    if backups::get(&app, &input.filename).await?.meta.kind == Kind::Network {
        let options = serde_json::from_value(Value::Object(fields)).map_err(bad)?;
        return network_backups::begin(&actor, &shell, &app, &input.filename, options).await;
    }
    let options: Options = serde_json::from_value(Value::Object(fields)).map_err(bad)?;
    begin(&actor, &shell, &app, &input.filename, options).await
}

async fn begin(
    actor: &Actor,
    shell: &Shell,
    app: &App,
    id: &BackupRef,
    options: Options,
) -> Result<Response> {
    let run = restores::request(app, actor, id, options).await?;
    let position = runs::get(app, &run.id).await?.queue_position;
    let json = json!({
        "success": true, "message": "Restore queued", "progress_id": run.id, "status": "queued",
        "queue_position": position, "container_name": run.subject,
    });
    let text = format!("Restoring {}", run.subject);
    shell.done(Done::new(text, format!("/jobs/{}", run.id), json).accepted().leaving())
}
