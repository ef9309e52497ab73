//! The restore page: what exists, what to do about it, what will happen.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::Backup,
        names::BackupRef,
        restore::{Options, VolumeAction, VolumeChoice},
    },
    ops::{
        Actor,
        restores::{self, Review},
        runs,
    },
    web::{
        format::{When, filters},
        input::{Input, Path, Query},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

#[derive(Template)]
#[template(path = "restore/plan.html")]
struct Plan {
    review: Review,
}

#[derive(Template)]
#[template(path = "restore/review.html")]
struct RestoreScreen {
    backup: Backup,
    when: When,
    plan: Plan,
    original: String,
    form: Form,
}

impl RestoreScreen {
    fn port(&self, container_port: &str, host_port: &str) -> String {
        let given = self.form.fields.get(&format!("port-{container_port}"));
        given.cloned().unwrap_or_else(|| host_port.to_owned())
    }

    fn replaces(&self) -> bool {
        self.form.fields.get("name-mode").map(String::as_str) == Some("replace")
    }

    fn suggested_name(&self) -> String {
        self.form.fields.get("new_name").cloned().unwrap_or_else(|| format!("{}-restored", self.original))
    }

    fn start(&self) -> bool {
        if self.form.fields.is_empty() {
            self.plan.review.start
        } else {
            self.form.fields.contains_key("start")
        }
    }

    fn safety_backup(&self) -> bool {
        self.form.fields.is_empty() || self.form.fields.contains_key("safety_backup")
    }
}

impl Screen for RestoreScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Restore {}", self.original).into()
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
    /// The decisions that these fields stand for. `data` are the names of the items, by index.
    fn options(&self, data: &[String]) -> Result<Options> {
        let get = |name: &str| self.fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        let mut options = Options { replace: get("name-mode") == Some("replace"), ..Options::default() };
        if get("name-mode") == Some("new") {
            let name = get("new_name").ok_or_else(|| AppError::field("new_name", "Give the new name."))?;
            options.new_name = Some(name.parse().map_err(|error: crate::model::names::BadName| {
                AppError::field("new_name", error.to_string())
            })?);
        }
        for (index, name) in data.iter().enumerate() {
            let action = match get(&format!("data-{index}")) {
                Some("overwrite") => VolumeAction::Overwrite,
                Some("skip") => VolumeAction::Skip,
                Some("new") => VolumeAction::New,
                _ => continue,
            };
            let new_name = match get(&format!("data-{index}-name")) {
                Some(name) if action == VolumeAction::New => {
                    Some(name.parse().map_err(|error: crate::model::names::BadName| {
                        AppError::invalid(error.to_string())
                    })?)
                }
                _ => None,
            };
            options.volumes.push(VolumeChoice { name: name.clone(), action, new_name });
        }
        for (field, value) in &self.fields {
            if let Some(port) = field.strip_prefix("port-") {
                options.port_overrides.insert(port.to_owned(), value.trim().to_owned());
            }
        }
        if !self.fields.is_empty() {
            options.start = Some(self.fields.contains_key("start"));
            options.safety_backup = Some(self.fields.contains_key("safety_backup"));
        }
        Ok(options)
    }
}

/// `GET /vault/{id}/restore`: with fields in the query, the plan for them.
pub(in crate::web) async fn review(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(form): Query<Form>,
) -> Result<Response> {
    let (preview, first) = restores::review(&app, &id, &Options::default()).await?;
    let data: Vec<String> = first.data.iter().map(|plan| plan.name.clone()).collect();
    let review = if form.fields.is_empty() {
        first
    } else {
        restores::review(&app, &id, &form.options(&data)?).await?.1
    };
    let screen = RestoreScreen {
        when: shell.when(preview.backup.created),
        original: preview.manifest.container_name,
        backup: preview.backup,
        plan: Plan { review },
        form,
    };
    shell.show(&screen, |screen| render(&screen.plan), |screen| json!(screen.plan.review)).await
}

/// `POST /vault/{id}/restore`.
pub(in crate::web) async fn start(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Input(form): Input<Form>,
) -> Result<Response> {
    let (_, first) = restores::review(&app, &id, &Options::default()).await?;
    let data: Vec<String> = first.data.iter().map(|plan| plan.name.clone()).collect();
    begin(&actor, &shell, &app, &id, form.options(&data)?).await
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
    let options: Options = serde_json::from_value(Value::Object(fields))
        .map_err(|error| AppError::invalid(error.to_string()))?;
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
