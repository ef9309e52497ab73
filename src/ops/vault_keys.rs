//! The keys of the vaults: found at the start, and again when somebody asks to try again.

use std::fs;

use super::storage;
use crate::{
    app::App,
    config::Config,
    model::{
        secret::Secret,
        vault::{Access, Location, Storage},
    },
    seal,
    vaults::State,
};

/// Looks for what opens this vault. Neither Docker nor the vault need to answer.
pub fn find(app: &App, which: Storage) {
    let state = match which {
        Storage::Local => local(&app.config).map_or_else(State::Refused, State::Ready),
        Storage::S3 => storage::find(app),
    };
    app.vaults.of(which).set(state);
}

/// The local vault's location and password. A new password is made only where there is no vault yet:
/// with another key an existing vault would look lost.
pub(super) fn local(config: &Config) -> Result<Access, String> {
    let vault = config.local_vault();
    let location = Location::Local { path: vault.clone() };
    if let Some(password) = &config.vault_password {
        return Ok(Access::new(location, password.clone()));
    }
    let path = config.config_dir().join("vault.key");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Access::new(location, Secret::new(text.trim()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if vault.join("config").exists() {
                return Err(format!(
                    "There is a vault in {}, but its key {} is gone. Put the key back, or give it in \
                     MONKEY_VAULT_PASSWORD. The backups are untouched.",
                    vault.display(),
                    path.display()
                ));
            }
            let password = seal::new_key();
            seal::write_key(&path, &password).map_err(|error| {
                format!("The vault's key can't be written to {}: {error}", path.display())
            })?;
            Ok(Access::new(location, password))
        }
        Err(error) => Err(format!("The vault's key {} can't be read: {error}", path.display())),
    }
}
