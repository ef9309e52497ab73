//! API tokens: made, shown once, used, revoked.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{Duration, Utc};
use serde_json::json;

use super::Actor;
pub use crate::model::token::{Scope, Token};
use crate::{
    app::App,
    db::{self, audit::Entry, tokens::New},
    error::{AppError, Result},
    model::{
        secret::Secret,
        token::{PREFIX, fingerprint},
    },
    watchers::Ended,
};

/// The longest life of a token that ends, days.
const LONGEST: u32 = 3650;

/// How exactly the last use is noted.
const EXACTLY: Duration = Duration::minutes(1);

/// All of them, by name.
pub async fn list(app: &App) -> Result<Vec<Token>> {
    Ok(app.db.read(db::tokens::all).await?)
}

/// The one with this number.
pub async fn get(app: &App, id: i64) -> Result<Token> {
    let found = list(app).await?.into_iter().find(|token| token.id == id);
    found.ok_or(AppError::NotFound("This API token".into()))
}

/// Makes one. Only now is it known what it is; it is shown once and forgotten.
pub async fn create(
    app: &App,
    actor: &Actor,
    name: &str,
    scope: Scope,
    days: Option<u32>,
) -> Result<(Token, Secret)> {
    let name = name.trim().to_owned();
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(AppError::field("name", "The name says what uses the token, in 1 to 64 characters."));
    }
    if days.is_some_and(|days| !(1..=LONGEST).contains(&days)) {
        let why = format!("A token lives from 1 to {LONGEST} days, or for ever.");
        return Err(AppError::field("expires_in_days", why));
    }
    let secret = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())));
    let new = New {
        name,
        scope,
        hash: fingerprint(&secret),
        user_id: actor.id,
        expires: days.map(|days| Utc::now() + Duration::days(days.into())),
    };
    let actor = actor.clone();
    let made = app
        .db
        .write(move |c| {
            let Some(token) = db::tokens::insert(c, &new)? else { return Ok(None) };
            let details = json!({ "scope": token.scope, "expires": token.expires.map(|at| at.to_rfc3339()) });
            db::audit::record(c, &Entry { details, ..actor.entry("token_create", &token.name) })?;
            Ok(Some(token))
        })
        .await?;
    let token = made.ok_or_else(|| AppError::field("name", "Another token has this name."))?;
    Ok((token, secret))
}

/// Ends it at once.
pub async fn revoke(app: &App, actor: &Actor, id: i64) -> Result<Token> {
    let token = get(app, id).await?;
    let (actor, name) = (actor.clone(), token.name.clone());
    app.db
        .write(move |c| {
            if db::tokens::remove(c, id)? {
                db::audit::record(c, &actor.entry("token_revoke", &name))?;
            }
            Ok(())
        })
        .await?;
    app.watchers.end(Ended::User(token.user_id));
    Ok(token)
}

/// Who a token speaks for, and what it may do.
pub async fn authenticate(app: &App, secret: &Secret, address: String) -> Result<(Actor, Scope)> {
    let (hash, now) = (fingerprint(secret), Utc::now());
    let token = app.db.read(move |c| db::tokens::by_hash(c, &hash)).await?;
    let Some(token) = token.filter(|token| !token.is_expired(now)) else { return Err(AppError::BadToken) };
    if token.last_used.is_none_or(|last| now - last >= EXACTLY || last > now) {
        app.db.write(move |c| db::tokens::used(c, token.id, now)).await?;
    }
    let name = format!("{} (token {})", token.user, token.name);
    Ok((Actor { id: token.user_id, name, address }, token.scope))
}
