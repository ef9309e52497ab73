//! Users: the first one, sign in, change name and password.

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::Actor;
pub use crate::model::user::{Rule, User, password_rules};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        secret::Secret,
        user::{FIRST_PASSWORD, FIRST_USER},
    },
    watchers::Ended,
};

/// What may be changed.
#[derive(Debug, Clone, Deserialize)]
pub struct Change {
    /// The present password.
    pub current_password: Secret,
    /// A new name, at least 3 characters.
    #[serde(default)]
    pub new_username: Option<String>,
    /// A new password.
    #[serde(default)]
    pub new_password: Option<Secret>,
}

/// Makes the first user in a new database.
pub async fn ensure_first(app: &App) -> Result<()> {
    if app.db.read(db::users::any).await? {
        return Ok(());
    }
    let configured = app.config.admin_password.clone();
    let default = configured.is_none();
    let hash = hash(configured.unwrap_or_else(|| Secret::new(FIRST_PASSWORD))).await?;
    app.db
        .write(
            move |c| {
                if db::users::any(c)? { Ok(()) } else { db::users::insert(c, FIRST_USER, &hash, default) }
            },
        )
        .await?;
    Ok(())
}

/// The user with this name and password. An unknown name takes as long as a wrong password.
pub async fn authenticate(app: &App, name: &str, password: &Secret) -> Result<Option<User>> {
    let wanted = name.trim().to_owned();
    let user = app.db.read(move |c| db::users::by_name(c, &wanted)).await?;
    let known = match &user {
        Some(user) => user.password_hash.clone(),
        None => nobody().await?,
    };
    let right = verify(password.clone(), known).await?;
    Ok(user.filter(|_| right))
}

/// Makes sure that the person who asks knows its password, before something secret is shown. Notes it in the audit log,
/// either way, as this operation with this target.
pub(super) async fn confirm(
    app: &App,
    actor: &Actor,
    password: &Secret,
    (operation, target): (&'static str, &'static str),
) -> Result<()> {
    let name = find(app, actor.id).await?.map_or_else(|| actor.name.clone(), |user| user.name);
    let right = authenticate(app, &name, password).await?.is_some();
    let who = actor.clone();
    app.db
        .write(move |c| {
            let (outcome, error) =
                if right { ("completed", None) } else { ("error", Some("wrong password")) };
            db::audit::record(c, &Entry { outcome, error, ..who.entry(operation, target) })
        })
        .await?;
    if right { Ok(()) } else { Err(AppError::field("password", "This is not your password.")) }
}

/// Notes a sign-in, or a failed one, in the audit log.
pub async fn record_login(app: &App, name: &str, address: &str, worked: bool) -> Result<()> {
    let (name, address) = (name.chars().take(100).collect::<String>(), address.to_owned());
    app.db
        .write(move |c| {
            db::audit::record(
                c,
                &Entry {
                    operation: "login",
                    actor: &name,
                    address: &address,
                    target: "",
                    outcome: if worked { "completed" } else { "error" },
                    error: (!worked).then_some("wrong user name or password"),
                    details: json!({}),
                },
            )
        })
        .await?;
    Ok(())
}

/// The user with this id.
pub async fn find(app: &App, id: i64) -> Result<Option<User>> {
    Ok(app.db.read(move |c| db::users::by_id(c, id)).await?)
}

/// Changes name and/or password. Refuses with every field that is wrong.
pub async fn change(app: &App, actor: &Actor, change: Change) -> Result<User> {
    let Some(mut user) = find(app, actor.id).await? else {
        return Err(AppError::Unauthenticated);
    };
    let name = change.new_username.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let password = change.new_password.filter(|password| !password.reveal().is_empty());
    if name.is_none() && password.is_none() {
        return Err(AppError::invalid("Nothing to change: give a new user name or a new password."));
    }
    if !verify(change.current_password, user.password_hash.clone()).await? {
        // Somebody may be guessing at an open browser.
        let (who, target) = (actor.clone(), user.name.clone());
        let error = Some("wrong current password");
        app.db
            .write(move |c| {
                let entry = who.entry("change_user", &target);
                db::audit::record(c, &Entry { outcome: "error", error, ..entry })
            })
            .await?;
        return Err(AppError::field("current_password", "The current password is wrong."));
    }
    let details = json!({ "new_name": name, "password_changed": password.is_some() });
    let before = user.name.clone();
    if let Some(name) = name {
        check_name(app, user.id, &name).await?;
        user.name = name;
    }
    if let Some(password) = password {
        check_password(&password)?;
        user.default_password = password.reveal() == FIRST_PASSWORD;
        user.password_hash = hash(password).await?;
    }
    let (actor, changed) = (actor.clone(), user.clone());
    app.db
        .write(move |c| {
            db::users::update(c, &changed)?;
            db::audit::record(c, &Entry { details, ..actor.entry("change_user", &before) })
        })
        .await?;
    app.watchers.end(Ended::User(user.id));
    Ok(user)
}

/// Gives a user a new password without the old one; for the command line only.
pub async fn reset(app: &App, name: &str, password: Secret) -> Result<()> {
    check_password(&password)?;
    let wanted = name.to_owned();
    let user = app.db.read(move |c| db::users::by_name(c, &wanted)).await?;
    let mut user = user.ok_or_else(|| AppError::NotFound(format!("The user “{name}”").into()))?;
    user.default_password = password.reveal() == FIRST_PASSWORD;
    user.password_hash = hash(password).await?;
    app.db
        .write(move |c| {
            db::users::update(c, &user)?;
            let details = json!({ "password_changed": true });
            let actor = Actor { id: 0, name: "command line".to_owned(), address: String::new() };
            db::audit::record(c, &Entry { details, ..actor.entry("change_user", &user.name) })
        })
        .await?;
    Ok(())
}

/// Notes a sign-out in the audit log.
pub async fn record_logout(app: &App, name: &str, address: &str) -> Result<()> {
    let actor = Actor { id: 0, name: name.to_owned(), address: address.to_owned() };
    Ok(app.db.write(move |c| db::audit::record(c, &actor.entry("logout", ""))).await?)
}

async fn check_name(app: &App, id: i64, name: &str) -> Result<()> {
    let length = name.chars().count();
    if !(3..=64).contains(&length) || name.chars().any(char::is_control) {
        return Err(AppError::field("new_username", "The user name needs 3 to 64 characters."));
    }
    let wanted = name.to_owned();
    let other = app.db.read(move |c| db::users::by_name(c, &wanted)).await?;
    if other.is_some_and(|other| other.id != id) {
        return Err(AppError::field("new_username", "Another user has this name."));
    }
    Ok(())
}

fn check_password(password: &Secret) -> Result<()> {
    let missed: Vec<_> = password_rules(password.reveal())
        .into_iter()
        .filter(|rule| !rule.met)
        .map(|rule| rule.text)
        .collect();
    if password.reveal().len() > 1024 {
        return Err(AppError::field("new_password", "The password is longer than 1024 bytes."));
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(AppError::field("new_password", format!("The new password needs {}.", missed.join(", "))))
}

async fn hash(password: Secret) -> Result<Secret> {
    let hashed = spawn_blocking(move || {
        let salt = SaltString::generate(&mut OsRng);
        Argon2::default().hash_password(password.reveal().as_bytes(), &salt).map(|hash| hash.to_string())
    });
    let hashed = hashed.await.map_err(AppError::internal)?;
    hashed.map(Secret::new).map_err(|error| AppError::internal(error.to_string()))
}

async fn verify(password: Secret, hash: Secret) -> Result<bool> {
    let checked = spawn_blocking(move || {
        let hash = PasswordHash::new(hash.reveal()).map_err(|error| error.to_string())?;
        Ok::<_, String>(Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
    });
    checked.await.map_err(AppError::internal)?.map_err(AppError::internal)
}

/// A hash that no password matches, made once.
async fn nobody() -> Result<Secret> {
    static HASH: tokio::sync::OnceCell<Secret> = tokio::sync::OnceCell::const_new();
    let made = HASH.get_or_try_init(|| hash(Secret::new(ulid::Ulid::new().to_string()))).await?;
    Ok(made.clone())
}
