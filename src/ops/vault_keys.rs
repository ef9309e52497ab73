//! The keys of the vaults: found at the start, and again when somebody asks to try again or enters the local vault's.

use std::{fs, io};

use chrono::Utc;
use serde_json::json;

use super::{Actor, storage, vaults};
use crate::{
    app::App,
    config::Config,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        secret::Secret,
        vault::{Access, Location, Storage},
    },
    seal,
    vaults::State,
    worker::order::{FailureKind, Task},
};

/// Looks for what opens this vault. Neither Docker nor the vault need to answer.
pub fn find(app: &App, which: Storage) {
    let state = match which {
        Storage::Local => local(&app.config),
        Storage::S3 => storage::find(app),
    };
    app.vaults.of(which).set(state);
}

/// The local vault's location and password. A new password is made only where there is no vault yet:
/// with another key an existing vault would look lost.
pub(super) fn local(config: &Config) -> State {
    let vault = config.local_vault();
    let access = |password| State::Ready(Access::new(Location::Local { path: vault.clone() }, password));
    if let Some(password) = &config.vault_password {
        return access(password.clone());
    }
    let path = config.config_dir().join("vault.key");
    match fs::read_to_string(&path) {
        Ok(text) => access(Secret::new(text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if vault.join("config").exists() {
                return State::Locked(format!(
                    "There is a vault in {}, and this server does not have its key. Enter it in the settings, under \
                     Storage. The backups are untouched.",
                    vault.display()
                ));
            }
            let password = seal::new_key();
            match seal::write_key(&path, &password) {
                Ok(()) => access(password),
                Err(error) => {
                    State::Refused(format!("The vault's key can't be written to {}: {error}", path.display()))
                }
            }
        }
        Err(error) => State::Refused(format!("The vault's key {} can't be read: {error}", path.display())),
    }
}

/// Opens the local vault, which this server could not open so far, with its own key, and keeps that from then on. How
/// many backups are in it.
pub async fn open_local(app: &App, actor: &Actor, key: Secret) -> Result<usize> {
    if let State::Ready(_) = app.vaults.of(Storage::Local).state() {
        return Err(AppError::Conflict("The local vault is open already.".to_owned()));
    }
    if app.config.vault_password.is_some() {
        return Err(wrong(
            "This server is told the local vault's key by MONKEY_VAULT_PASSWORD. Put the right one there, and start it \
             again.",
        ));
    }
    if key.reveal().is_empty() {
        return Err(wrong("Enter the vault's key."));
    }
    let location = Location::Local { path: app.config.local_vault() };
    let access = Access::new(location.clone(), key.clone());
    app.ask_at(access, Task::List).await.map_err(|failure| match failure.kind {
        FailureKind::WrongKey => wrong(format!(
            "This is not the key of the vault in {location}. Its key is in the recovery kit of the server that made it, \
             and in its config/vault.key. Nothing was changed."
        )),
        _ => failure.into(),
    })?;
    keep(&app.config, &key).map_err(|error| {
        let why = format!("The key is right, but it can't be written to config/vault.key: {error}");
        AppError::unavailable(why, Some(Box::new(error)))
    })?;
    let actor = actor.clone();
    let details = json!({ "location": location.to_string(), "opened": true });
    app.db
        .write(move |c| db::audit::record(c, &Entry { details, ..actor.entry("change_storage", "local") }))
        .await?;
    find(app, Storage::Local);
    vaults::prepare(app, Storage::Local).await?;
    Ok(app.db.read(db::backups::sums).await?.of(Storage::Local).count())
}

fn wrong(why: impl Into<String>) -> AppError {
    AppError::field("vault_key", why)
}

/// The key that was there may open another vault: it stays beside the new one.
fn keep(config: &Config, key: &Secret) -> io::Result<()> {
    let path = config.config_dir().join("vault.key");
    let new = path.with_extension("key.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    seal::write_key(&new, key)?;
    if path.exists() {
        let until = Utc::now().format("key.until-%Y%m%d-%H%M%S").to_string();
        fs::copy(&path, path.with_extension(until))?;
    }
    fs::rename(&new, &path)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Cli;

    #[test]
    fn the_key_of_another_vault_is_not_lost() {
        let data = tempfile::tempdir().unwrap();
        let at = data.path().join("config");
        fs::create_dir(&at).unwrap();
        let cli = Cli::parse_from(["container-monkey", "--data", data.path().to_str().unwrap()]);
        let files = || fs::read_dir(&at).unwrap().count();
        keep(&cli.config, &Secret::new("first")).unwrap();
        assert_eq!(files(), 1);
        fs::write(at.join("vault.key.new"), "left behind").unwrap();
        keep(&cli.config, &Secret::new("second")).unwrap();
        assert_eq!(fs::read_to_string(at.join("vault.key")).unwrap(), "second\n");
        assert_eq!(files(), 2);
        let old = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path());
        let old = old.filter(|path| !path.ends_with("vault.key")).last().unwrap();
        assert_eq!(fs::read_to_string(old).unwrap(), "first\n");
    }
}
