//! The frame around every page, and the one way in which handlers answer: a
//! page for browsers, a fragment for htmx, JSON for scripts.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    assets,
    client::Client,
    format::{self, When},
    session::AuthSession,
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{container::Engine, run, token::Scope, vault::Storage},
    ops::{Actor, dashboard, recovery_kit, runs, settings},
    vitals::Vitals,
};

/// Where in the navigation a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nav {
    Dashboard,
    Vault,
    Schedules,
    Jobs,
    Audit,
    Containers,
    Stacks,
    Statistics,
    Volumes,
    Images,
    Networks,
    Events,
    Settings,
    None,
}

/// A page: one struct, one template.
pub(super) trait Screen: Template {
    /// For the browser's title.
    fn title(&self) -> Cow<'_, str>;
    /// Its place.
    fn nav(&self) -> Nav;
    /// Whether it tells by itself what a new installation still needs, so that the frame need not.
    fn has_first_steps(&self) -> bool {
        false
    }
}

/// What the frame shows, for this request.
pub(super) struct Shell {
    pub(super) app: App,
    pub(super) client: Client,
    pub(super) now: DateTime<Utc>,
    /// What who asks may.
    pub(super) scope: Scope,
    user: Option<String>,
    pub(super) default_password: bool,
    pub(super) theme: Option<&'static str>,
    flash: Option<(bool, String)>,
    secure: bool,
}

impl FromRequestParts<App> for Shell {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let user = match AuthSession::from_request_parts(parts, app).await {
            Ok(session) => session.user,
            Err(_) => None,
        };
        let cookie = |name: &str| cookie(&parts.headers, name);
        // A token's is known once its bearer is; who is nobody yet may least.
        let unsaid = if user.is_some() { Scope::Admin } else { Scope::Read };
        Ok(Self {
            app: app.clone(),
            client: Client::of(parts),
            now: Utc::now(),
            scope: parts.extensions.get().copied().unwrap_or(unsaid),
            default_password: user.as_ref().is_some_and(|login| login.0.default_password),
            user: user.map(|login| login.0.name).or_else(|| by_token(parts)),
            theme: theme(&parts.headers),
            flash: cookie("flash").and_then(|text| read_flash(&text)),
            secure: super::client::is_secure(&app.config, parts),
        })
    }
}

/// Who asks with an API token.
fn by_token(parts: &Parts) -> Option<String> {
    parts.extensions.get::<Actor>().map(|actor| actor.name.clone())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The theme this browser chose; nothing = as the system's.
pub(super) fn theme(headers: &HeaderMap) -> Option<&'static str> {
    match cookie(headers, "theme").as_deref() {
        Some("light") => Some("light"),
        Some("dark") => Some("dark"),
        _ => None,
    }
}

/// What was done, for the answer.
pub(super) struct Done {
    /// For people.
    text: String,
    /// Where a browser goes on.
    location: String,
    /// For scripts.
    json: Value,
    status: StatusCode,
    /// htmx goes there too, because what it showed is gone.
    leave: bool,
}

impl Done {
    pub(super) fn new(text: impl Into<String>, location: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), location: location.into(), json, status: StatusCode::OK, leave: false }
    }

    /// Goes on in the background.
    pub(super) fn accepted(self) -> Self {
        Self { status: StatusCode::ACCEPTED, ..self }
    }

    /// The page it was asked from has no more use.
    pub(super) fn leaving(self) -> Self {
        Self { leave: true, ..self }
    }
}

/// A sentence in the corner.
#[derive(Template)]
#[template(path = "toast.html")]
struct Toast<'a> {
    good: bool,
    text: &'a str,
    /// A job's page.
    link: Option<&'a str>,
}

/// The frame.
#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a, S: Screen> {
    screen: &'a S,
    title: &'a str,
    nav: Nav,
    shell: &'a Shell,
    server: &'a str,
    user: &'a str,
    engine: Option<Engine>,
    vitals: VitalsPart,
    pill: JobPill,
    /// The recovery kit is still to be put away.
    kit_missing: bool,
}

/// CPU and memory in the top bar.
#[derive(Template)]
#[template(path = "parts/vitals.html")]
pub(super) struct VitalsPart {
    pub(super) cpu: u32,
    pub(super) memory: u32,
}

impl VitalsPart {
    pub(super) fn of(vitals: Vitals) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let round = |percent: f64| percent.round().clamp(0.0, 100.0) as u32;
        Self { cpu: round(vitals.cpu_percent), memory: round(vitals.memory_percent) }
    }
}

/// The running job in the top bar.
#[derive(Template)]
#[template(path = "parts/jobpill.html")]
pub(super) struct JobPill {
    pub(super) running: Option<(String, String, Option<u8>)>,
    pub(super) waiting: usize,
}

impl JobPill {
    pub(super) async fn now(app: &App) -> Result<Self> {
        let active = runs::active(app).await?;
        let running = active.iter().find(|(run, _)| run.state == run::State::Running);
        Ok(Self {
            waiting: active.len() - usize::from(running.is_some()),
            running: running.map(|(run, progress)| {
                let percent = progress.as_ref().and_then(crate::model::progress::Progress::percent);
                (super::pages::jobs::heading(run), run.id.to_string(), percent)
            }),
        })
    }
}

impl Shell {
    /// Answers with a page, its changing part, or JSON.
    pub(super) async fn show<S: Screen>(
        &self,
        screen: &S,
        part: impl FnOnce(&S) -> Result<String>,
        json: impl FnOnce(&S) -> Value,
    ) -> Result<Response> {
        match self.client {
            Client::Api => Ok(json_response(StatusCode::OK, &json(screen))),
            Client::Fragment => Ok(Html(part(screen)?).into_response()),
            Client::Page => self.page(screen, StatusCode::OK).await,
        }
    }

    /// Answers with the same form again: what was typed and what is wrong with it. htmx takes its part out of it.
    pub(super) async fn again<S: Screen>(&self, screen: &S, status: StatusCode) -> Result<Response> {
        if self.client == Client::Fragment {
            return Ok((status, Html(render(screen)?)).into_response());
        }
        self.page(screen, status).await
    }

    /// Answers with a whole page, whoever asks.
    pub(super) async fn page<S: Screen>(&self, screen: &S, status: StatusCode) -> Result<Response> {
        let server = settings::server_name(&self.app).await?;
        let layout = Layout {
            title: &screen.title(),
            nav: screen.nav(),
            shell: self,
            server: &server,
            user: self.user.as_deref().unwrap_or_default(),
            engine: if self.user.is_some() { dashboard::engine(&self.app).await } else { None },
            vitals: VitalsPart::of(dashboard::vitals(&self.app)),
            pill: JobPill::now(&self.app).await?,
            kit_missing: self.user.is_some() && !recovery_kit::is_saved(&self.app).await?,
            screen,
        };
        let mut response = (status, Html(render(&layout)?)).into_response();
        if self.flash.is_some() {
            response.headers_mut().append(header::SET_COOKIE, self.set_flash("", 0));
        }
        Ok(response)
    }

    /// Answers after something was done.
    pub(super) fn done(&self, done: Done) -> Result<Response> {
        match self.client {
            Client::Api => Ok(json_response(done.status, &done.json)),
            Client::Fragment if done.leave => {
                let mut response = StatusCode::OK.into_response();
                let location = HeaderValue::try_from(done.location).map_err(AppError::internal)?;
                response.headers_mut().insert(HeaderName::from_static("hx-redirect"), location);
                response.headers_mut().append(header::SET_COOKIE, self.flash(true, &done.text));
                Ok(response)
            }
            Client::Fragment => {
                let link = (done.status == StatusCode::ACCEPTED).then_some(done.location.as_str());
                let toast = Toast { good: true, text: &done.text, link };
                let mut response = Html(render(&toast)?).into_response();
                let trigger = HeaderValue::from_static("job-changed, list-changed");
                response.headers_mut().insert(HeaderName::from_static("hx-trigger"), trigger);
                Ok(response)
            }
            Client::Page => {
                let mut response = see_other(&done.location)?;
                response.headers_mut().append(header::SET_COOKIE, self.flash(true, &done.text));
                Ok(response)
            }
        }
    }

    /// A message that the next page shows.
    fn flash(&self, good: bool, text: &str) -> HeaderValue {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let text = format!("{}{}", u8::from(good), text);
        self.set_flash(&URL_SAFE_NO_PAD.encode(text), 60)
    }

    fn set_flash(&self, value: &str, seconds: u32) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!("flash={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static("flash=; Max-Age=0; Path=/"))
    }

    /// A moment in the page's time zone.
    pub(super) fn when(&self, at: DateTime<Utc>) -> When {
        format::when(at, self.app.zone, self.now)
    }

    /// What the page before left to be said.
    fn toast(&self) -> Option<Toast<'_>> {
        let (good, text) = self.flash.as_ref()?;
        Some(Toast { good: *good, text, link: None })
    }

    fn signed_in(&self) -> bool {
        self.user.is_some()
    }
}

fn read_flash(text: &str) -> Option<(bool, String)> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let good = text.starts_with('1');
    Some((good, text.get(1..)?.to_owned())).filter(|(_, text)| !text.is_empty())
}

/// Renders a template.
pub(super) fn render(template: &impl Template) -> Result<String> {
    template.render().map_err(AppError::internal)
}

/// A sentence in the corner, as htmx puts it there.
pub(super) fn bad_toast(text: &str) -> Result<String> {
    render(&Toast { good: false, text, link: None })
}

/// JSON with a status.
pub(super) fn json_response(status: StatusCode, value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, value.to_string()).into_response()
}

/// `303`.
pub(super) fn see_other(location: &str) -> Result<Response> {
    let location = HeaderValue::try_from(location).map_err(AppError::internal)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// The sprite's address with an icon's name, for templates.
pub(super) fn icon(name: &str) -> String {
    format!("{}#{name}", assets::url("icons.svg"))
}
