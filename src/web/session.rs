//! Who is signed in: axum-login over sessions in their own SQLite file.

use std::{fmt, path::Path, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend};
use tower_sessions::{
    Expiry, SessionManagerLayer,
    cookie::{SameSite, time::Duration},
};
use tower_sessions_sqlx_store::{
    SqliteStore,
    sqlx::{
        ConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{access::Who, client, scopes};
use crate::{
    app::App,
    error::AppError,
    model::secret::Secret,
    ops::{Actor, tokens, users},
};

/// How long a sign-in lasts.
const LIFETIME: Duration = Duration::hours(24);

/// The signed-in user, as axum-login wants it.
#[derive(Clone)]
pub(super) struct Login(pub(super) users::User);

// By hand: axum-login logs this at debug level, and the hash must not be in it.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Login").field(&self.0.name).finish()
    }
}

impl AuthUser for Login {
    type Id = i64;

    fn id(&self) -> i64 {
        self.0.id
    }

    /// Changing the password ends every other session.
    fn session_auth_hash(&self) -> &[u8] {
        self.0.password_hash.reveal().as_bytes()
    }
}

/// What signs in.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: Secret,
}

/// Looks users up.
#[derive(Clone)]
pub(super) struct Backend {
    app: App,
}

/// An error of ours where axum-login wants a standard one.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct BackendError(Arc<AppError>);

impl AuthnBackend for Backend {
    type User = Login;
    type Credentials = Credentials;
    type Error = BackendError;

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<Login>, BackendError> {
        let user = users::authenticate(&self.app, &credentials.name, &credentials.password).await;
        Ok(user.map_err(|error| BackendError(Arc::new(error)))?.map(Login))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<Login>, BackendError> {
        let user = users::find(&self.app, *id).await;
        Ok(user.map_err(|error| BackendError(Arc::new(error)))?.map(Login))
    }
}

pub(super) type AuthSession = axum_login::AuthSession<Backend>;

/// The layer that knows sessions.
pub(super) async fn layer(
    app: &App,
    path: &Path,
) -> Result<axum_login::AuthManagerLayer<Backend, SqliteStore>, AppError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(std::time::Duration::from_secs(5))
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .connect_with(options)
        .await
        .map_err(AppError::internal)?;
    let store = SqliteStore::new(pool);
    store.migrate().await.map_err(AppError::internal)?;
    tokio::spawn(expire(app.clone(), store.clone()));
    // `Secure` is added behind a TLS proxy by `secure_cookies`.
    let sessions = SessionManagerLayer::new(store)
        .with_name("monkey")
        .with_secure(false)
        .with_http_only(true)
        .with_same_site(SameSite::Strict)
        .with_expiry(Expiry::OnInactivity(LIFETIME));
    Ok(AuthManagerLayerBuilder::new(Backend { app: app.clone() }, sessions).build())
}

/// Removes sessions that have ended, once an hour.
async fn expire(app: App, store: SqliteStore) {
    use tower_sessions::ExpiredDeletion;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(std::time::Duration::from_hours(1)) => {}
        }
        if let Err(error) = store.delete_expired().await {
            tracing::warn!(%error, "ended sessions could not be removed");
        }
    }
}

/// Marks cookies `Secure` when the browser came by https.
pub(super) async fn secure_cookies(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let secure = client::is_secure(&app.config, &parts);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if secure {
        let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        response.headers_mut().remove(header::SET_COOKIE);
        for cookie in cookies {
            let text = format!("{}; Secure", cookie.to_str().unwrap_or_default());
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::try_from(text).unwrap_or(cookie));
        }
    }
    response
}

/// The API token of a script. Other kinds of this header belong to proxies in front of us.
fn token(parts: &Parts) -> Option<Secret> {
    let text = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, token) = text.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

/// Only signed-in users come past this, and scripts with a token that may do what they ask; it stands before every
/// route that is not open.
impl FromRequestParts<App> for Actor {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AppError> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let address = client::address(&app.config, parts);
        if let Some(token) = token(parts) {
            let (actor, scope) = tokens::authenticate(app, &token, address).await?;
            let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
            let needed = scopes::needed(&parts.method, route, parts.uri.path());
            if scope < needed {
                return Err(AppError::Forbidden(
                    format!("This API token may “{scope}”; this needs one that may “{needed}”.").into(),
                ));
            }
            known_as(parts, &actor);
            parts.extensions.insert(scope);
            return Ok(actor);
        }
        let session =
            AuthSession::from_request_parts(parts, app).await.map_err(|(_, why)| AppError::internal(why))?;
        let Login(user) = session.user.ok_or(AppError::Unauthenticated)?;
        let actor = Self { id: user.id, name: user.name, address };
        known_as(parts, &actor);
        Ok(actor)
    }
}

/// For who asks again, and for the log.
fn known_as(parts: &mut Parts, actor: &Actor) {
    parts.extensions.insert(actor.clone());
    if let Some(who) = parts.extensions.get::<Who>() {
        who.is(&actor.name);
    }
}
