//! Where backups go: the local vault, the bucket, and which of them gets the new ones.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::saved_settings::Offer;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        secret::Secret,
        vault::{S3Credentials, S3Location, Storage},
    },
    ops::{
        Actor, backups, recovery_kit,
        storage::{self, Connected, Wanted},
        vault_keys,
    },
    web::{
        client::Client,
        format::size,
        input::{Input, storage as storage_word},
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

/// Stands for a secret that is kept.
const MASK: &str = "***";

/// The fields of the form, as they are typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Form {
    storage_type: Option<String>,
    s3_bucket: String,
    s3_region: String,
    s3_endpoint: String,
    s3_prefix: String,
    #[serde(deserialize_with = "switch")]
    s3_path_style: Option<bool>,
    s3_credentials: String,
    s3_access_key: String,
    s3_secret_key: Option<Secret>,
    s3_ca_pem: String,
    s3_vault_key: Option<Secret>,
}

fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    crate::web::input::flag(deserializer).map(Some)
}

impl Form {
    /// What is set up; the secret stays where it is.
    fn of(place: &S3Location) -> Self {
        let (credentials, access_key) = match &place.credentials {
            S3Credentials::Keys { access_key, .. } => ("keys", access_key.clone()),
            S3Credentials::Instance { .. } => ("instance", String::new()),
            S3Credentials::Anonymous => ("anonymous", String::new()),
        };
        Self {
            storage_type: None,
            s3_bucket: place.bucket.clone(),
            s3_region: place.region.clone(),
            s3_endpoint: place.endpoint.clone().unwrap_or_default(),
            s3_prefix: place.prefix.clone(),
            s3_path_style: Some(place.path_style),
            s3_credentials: credentials.to_owned(),
            s3_access_key: access_key,
            s3_secret_key: None,
            s3_ca_pem: place.ca_pem.clone().unwrap_or_default(),
            s3_vault_key: None,
        }
    }

    fn place(&self) -> Result<S3Location> {
        let mut wrong = BTreeMap::new();
        let bucket = self.s3_bucket.trim();
        let good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if bucket.len() < 3 || bucket.len() > 255 || !bucket.chars().all(good) {
            let why = "A bucket's name has letters, digits, dots and dashes. It must exist already.";
            wrong.insert("s3_bucket".to_owned(), why.to_owned());
        }
        let endpoint = self.s3_endpoint.trim().trim_end_matches('/');
        if !endpoint.is_empty() && !is_endpoint(endpoint) {
            let why = "An endpoint looks like https://s3.example.org or http://nas:9000, without a path.";
            wrong.insert("s3_endpoint".to_owned(), why.to_owned());
        }
        let prefix = self.s3_prefix.trim().trim_matches('/');
        let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(good);
        if prefix.len() > 400 || !(prefix.is_empty() || prefix.split('/').all(part)) {
            let why = "A prefix has letters, digits, dots and dashes, with single slashes between.";
            wrong.insert("s3_prefix".to_owned(), why.to_owned());
        }
        let credentials = match self.s3_credentials.as_str() {
            "" | "keys" => {
                let access_key = self.s3_access_key.trim().to_owned();
                if access_key.is_empty() {
                    wrong.insert("s3_access_key".to_owned(), "Enter the access key.".to_owned());
                }
                let secret = self.s3_secret_key.as_ref().map_or("", Secret::reveal).trim();
                let secret_key = Secret::new(if secret == MASK { "" } else { secret });
                S3Credentials::Keys { access_key, secret_key }
            }
            "instance" => S3Credentials::Instance { source: Box::default() },
            "anonymous" => S3Credentials::Anonymous,
            _ => {
                wrong.insert("s3_credentials".to_owned(), "Choose keys, instance or anonymous.".to_owned());
                S3Credentials::Anonymous
            }
        };
        let ca = self.s3_ca_pem.trim();
        if !ca.is_empty() && !ca.contains("-----BEGIN CERTIFICATE-----") {
            let why = "A certificate begins with -----BEGIN CERTIFICATE-----.";
            wrong.insert("s3_ca_pem".to_owned(), why.to_owned());
        }
        if !wrong.is_empty() {
            let message = wrong.values().cloned().collect::<Vec<_>>().join(" ");
            return Err(AppError::Invalid { message, fields: wrong });
        }
        let region = self.s3_region.trim();
        Ok(S3Location {
            bucket: bucket.to_owned(),
            region: if region.is_empty() { "us-east-1".to_owned() } else { region.to_owned() },
            path_style: self
                .s3_path_style
                .unwrap_or(!endpoint.is_empty() && !endpoint.contains("amazonaws.com")),
            endpoint: Some(endpoint.to_owned()).filter(|url| !url.is_empty()),
            prefix: prefix.to_owned(),
            ca_pem: Some(ca.to_owned()).filter(|pem| !pem.is_empty()),
            credentials,
        })
    }

    fn wanted(&self) -> Result<Wanted> {
        let key = self.s3_vault_key.as_ref().map_or("", Secret::reveal).trim();
        let vault_key = Some(key).filter(|key| !key.is_empty() && *key != MASK).map(Secret::new);
        Ok(Wanted { place: self.place()?, vault_key })
    }
}

fn is_endpoint(text: &str) -> bool {
    text.parse::<axum::http::Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|host| !host.as_str().contains('@') && !host.host().is_empty())
            && url.path() == "/"
            && url.query().is_none()
    })
}

#[derive(Template)]
#[template(path = "settings/storage.html")]
struct StorageScreen {
    chosen: Storage,
    local: (String, usize),
    /// What is in the bucket; `None` while none is set up.
    s3: Option<(String, usize)>,
    local_problem: Option<String>,
    /// The local vault waits for its key.
    locked: bool,
    problem: Option<String>,
    directory: String,
    form: Form,
    secret_kept: bool,
    tested: Option<u128>,
    problems: BTreeMap<String, String>,
    offer: Option<Offer>,
}

impl StorageScreen {
    fn problem(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }
}

impl Screen for StorageScreen {
    fn title(&self) -> Cow<'_, str> {
        "Storage".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

async fn screen(app: &App, shell: &Shell) -> Result<StorageScreen> {
    let settings = storage::settings(app);
    let held = |wanted: Storage| async move {
        let sums = backups::sums(app).await?.of(wanted);
        Ok::<_, AppError>((size(sums.stored_size()), sums.count()))
    };
    let s3 = if settings.s3.is_some() { Some(held(Storage::S3).await?) } else { None };
    let kept = |place: &S3Location| matches!(place.credentials, S3Credentials::Keys { .. });
    Ok(StorageScreen {
        chosen: settings.chosen,
        local: held(Storage::Local).await?,
        s3,
        local_problem: app.problem_of(Storage::Local),
        locked: app.is_locked(Storage::Local),
        problem: settings.problem,
        directory: app.config.local_vault().display().to_string(),
        secret_kept: settings.s3.as_ref().is_some_and(kept),
        form: settings.s3.as_ref().map_or_else(
            || Form { s3_credentials: "keys".to_owned(), s3_path_style: Some(true), ..Form::default() },
            Form::of,
        ),
        tested: None,
        problems: BTreeMap::new(),
        offer: Offer::find(app, shell).await?,
    })
}

fn shape(screen: &StorageScreen) -> Value {
    let form = &screen.form;
    json!({
        "storage_type": screen.chosen, "s3_configured": screen.s3.is_some(), "s3_problem": screen.problem,
        "s3_bucket": form.s3_bucket, "s3_region": form.s3_region, "s3_endpoint": form.s3_endpoint,
        "s3_prefix": form.s3_prefix, "s3_path_style": form.s3_path_style, "s3_credentials": form.s3_credentials,
        "s3_access_key": form.s3_access_key, "s3_secret_key": if screen.secret_kept { MASK } else { "" },
        "s3_ca_pem": form.s3_ca_pem, "local_problem": screen.local_problem, "local_locked": screen.locked,
    })
}

/// `GET /settings/storage` and `GET /api/storage/settings`.
pub(in crate::web) async fn show(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let screen = screen(&app, &shell).await?;
    shell.show(&screen, render, shape).await
}

/// The form again, with what was typed, but for secrets.
async fn again(app: &App, shell: &Shell, form: Form, error: AppError) -> Result<Response> {
    let AppError::Invalid { fields, .. } = error else { return Err(error) };
    if shell.client == Client::Api {
        let message = fields.values().cloned().collect::<Vec<_>>().join(" ");
        return Err(AppError::Invalid { message, fields });
    }
    let screen = StorageScreen { form, problems: fields, ..screen(app, shell).await? };
    shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// `POST /settings/storage/test` and `POST /api/storage/test-s3`: saves nothing.
pub(in crate::web) async fn test(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<Form>,
) -> Result<Response> {
    let tested = match form.place() {
        Ok(place) => storage::test(&app, place).await,
        Err(error) => Err(error),
    };
    match tested {
        Ok(took) if shell.client == Client::Api => {
            let message = format!("Listed, wrote, read and deleted a small object in {took} ms.");
            Ok(json_response(StatusCode::OK, &json!({ "success": true, "message": message })))
        }
        Ok(took) => {
            let screen = StorageScreen { form, tested: Some(took), ..screen(&app, &shell).await? };
            if shell.client == Client::Fragment {
                return Ok(Html(render(&screen)?).into_response());
            }
            shell.page(&screen, StatusCode::OK).await
        }
        Err(error) => again(&app, &shell, form, error).await,
    }
}

/// `POST /settings/storage`.
pub(in crate::web) async fn connect(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<Form>,
) -> Result<Response> {
    let connected = match form.wanted() {
        Ok(wanted) => storage::connect(&app, &actor, wanted).await,
        Err(error) => Err(error),
    };
    let text = match connected {
        Ok(connected) => words(connected),
        Err(error) => return again(&app, &shell, form, error).await,
    };
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, "/settings/storage", json).leaving())
}

/// What opens vaults that are there already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Keys {
    /// Of the local vault.
    vault_key: Option<Secret>,
    /// A recovery kit, as it was pasted.
    kit: Option<Secret>,
}

/// `POST /settings/storage/open` and `POST /api/storage/open`: the vaults of a recovery kit, or the local one.
pub(in crate::web) async fn open(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(keys): Input<Keys>,
) -> Result<Response> {
    let given = |secret: &Option<Secret>| {
        let text = secret.as_ref().map_or("", Secret::reveal).trim();
        (!text.is_empty()).then(|| Secret::new(text))
    };
    let kit = given(&keys.kit);
    let opened = if keys.kit.is_some() {
        recovery_kit::open(&app, &actor, kit.as_ref().unwrap_or(&Secret::new(""))).await
    } else {
        let key = given(&keys.vault_key).unwrap_or_else(|| Secret::new(""));
        let local = vault_keys::open_local(&app, &actor, key).await.map(Some);
        local.map(|local| recovery_kit::Opened { local, s3: None })
    };
    match opened {
        Ok(opened) => {
            let local = opened.local.map(|count| held("The local vault is open", count));
            let text = local.into_iter().chain(opened.s3.map(words)).collect::<Vec<_>>().join(". ");
            let json = json!({ "success": true, "message": text });
            shell.done(Done::new(text, "/vault", json).leaving())
        }
        Err(error) => {
            // What the kit says of its bucket stands in the form, to be completed.
            let place = kit.as_ref().and_then(recovery_kit::place);
            let form = match place {
                Some(place) => Form::of(&place),
                None => screen(&app, &shell).await?.form,
            };
            again(&app, &shell, form, error).await
        }
    }
}

fn held(what: &str, count: usize) -> String {
    format!("{what}: {count} {}", if count == 1 { "backup" } else { "backups" })
}

fn words(connected: Connected) -> String {
    match connected {
        Connected::Made => "A new vault is made in the bucket".to_owned(),
        Connected::Opened(count) => held("The vault in the bucket is open", count),
    }
}

/// `POST /api/storage/settings`: the bucket, if one is named, then where new backups go.
pub(in crate::web) async fn save_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<Form>,
) -> Result<Response> {
    let chosen = storage_word(form.storage_type.as_deref())?;
    let mut message = "Saved".to_owned();
    if !form.s3_bucket.trim().is_empty() {
        message = words(storage::connect(&app, &actor, form.wanted()?).await?);
    }
    if let Some(chosen) = chosen {
        storage::choose(&app, &actor, chosen).await?;
    }
    let mut body = shape(&screen(&app, &shell).await?);
    body["success"] = json!(true);
    body["message"] = json!(message);
    Ok(json_response(StatusCode::OK, &body))
}

/// `POST /settings/storage/choose`: where new backups go.
pub(in crate::web) async fn choose(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<Form>,
) -> Result<Response> {
    let Some(chosen) = storage_word(form.storage_type.as_deref())? else {
        return Err(AppError::field("storage_type", "Choose local or s3."));
    };
    storage::choose(&app, &actor, chosen).await?;
    let text = format!("New backups go to {}", chosen.label());
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, "/settings/storage", json))
}

#[derive(Template)]
#[template(path = "settings/disconnect.html")]
struct DisconnectScreen {
    place: String,
    dialog: bool,
}

impl Screen for DisconnectScreen {
    fn title(&self) -> Cow<'_, str> {
        "Disconnect the bucket".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

/// `GET /settings/storage/disconnect`.
pub(in crate::web) async fn confirm(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let Some(place) = storage::settings(&app).s3 else {
        return Err(AppError::NotFound("The bucket".into()));
    };
    let screen = DisconnectScreen { place: place.to_string(), dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `POST /settings/storage/disconnect` and `DELETE /api/storage/s3`.
pub(in crate::web) async fn disconnect(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    storage::disconnect(&app, &actor).await?;
    let text = "The bucket is disconnected; its backups are still in it";
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, "/settings/storage", json).leaving())
}
