//! The recovery kit: where the vaults are, what opens them, and what to do with that on a machine that has nothing else.

use std::fmt::Write as _;

use chrono::Utc;
use sha2::{Digest, Sha256};

use super::{Actor, settings, users};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::Result,
    model::{
        secret::Secret,
        vault::{Access, Location, S3Credentials, S3Location, Storage},
    },
};

/// The kit that was saved, by its fingerprint.
const SAVED: &str = "recovery_kit.saved";

/// Where the vaults are and what opens them, as a short number. Changes with any of it.
fn fingerprint(app: &App) -> Option<String> {
    let mut hash = Sha256::new();
    let mut any = false;
    for storage in Storage::ALL {
        if let Ok(access) = app.vault(storage) {
            any = true;
            hash.update(format!("{}\n{}\n", access.location, access.password.reveal()));
        }
    }
    any.then(|| {
        let bytes = hash.finalize();
        bytes[..8].iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}

/// Whether the kit as it is now was saved; true while there is nothing to save.
pub async fn is_saved(app: &App) -> Result<bool> {
    let Some(now) = fingerprint(app) else { return Ok(true) };
    let saved = app.db.read(|c| db::settings::get(c, SAVED)).await?;
    Ok(saved.is_some_and(|saved| saved == now))
}

/// Remembers that a person has put it away.
pub async fn set_saved(app: &App, actor: &Actor) -> Result<()> {
    let (now, actor) = (fingerprint(app), actor.clone());
    app.db
        .write(move |c| {
            db::settings::set(c, SAVED, now.as_deref())?;
            let details = serde_json::json!({ "saved": true });
            db::audit::record(c, &Entry { details, ..actor.entry("vault_key", "recovery kit") })
        })
        .await?;
    Ok(())
}

/// The kit, for who knows the password of the user that asks.
pub async fn show(app: &App, actor: &Actor, password: &Secret) -> Result<Secret> {
    users::confirm(app, actor, password, ("vault_key", "recovery kit")).await?;
    let server = settings::server_name(app).await?;
    let vaults: Vec<Access> =
        Storage::ALL.into_iter().filter_map(|storage| app.vault(storage).ok()).collect();
    Ok(Secret::new(text(&server, &Utc::now().format("%Y-%m-%d").to_string(), &vaults)))
}

fn text(server: &str, date: &str, vaults: &[Access]) -> String {
    let mut kit = format!(
        "CONTAINER MONKEY: RECOVERY KIT OF {server}, {date}\n\nWhoever has this text can read and delete these backups. \
         Keep it away from that server.\n\nSchedules, notification channels and other settings of the server are in its vaults, too: once a vault is \
         open on the new machine, they are offered in Settings, Saved settings.\n"
    );
    for access in vaults {
        kit.push_str(&match &access.location {
            Location::Local { path } => local(&path.display().to_string(), access.password.reveal()),
            Location::S3(place) => s3(place, access.password.reveal()),
        });
    }
    kit
}

/// Between single quotes of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The commands for restic, after these variables are set.
fn restic(variables: &[(&str, &str)], repository: &str) -> String {
    let mut exports = String::new();
    for (name, value) in variables {
        let _ = writeln!(exports, "     export {name}={}", quoted(value));
    }
    format!(
        "   For restic:\n\n{exports}\n   With restic alone (0.14 or newer):\n\n\
         \x20    restic -r {repository} snapshots\n\
         \x20    restic -r {repository} restore <snapshot> --target /tmp/restored\n\n\
         \x20  A snapshot has the container's settings in <container>/backup.json and its data in <container>/volumes\n\
         \x20  and <container>/binds.\n"
    )
}

fn local(path: &str, key: &str) -> String {
    format!(
        "\nLOCAL VAULT\n\n   directory: {path}\n   key:       {key}\n\n\
         \x20  With Container Monkey on a new machine: put the saved directory to vault in its data directory, start it once\n\
         \x20  with the key, and all backups are listed:\n\n\
         \x20    export MONKEY_VAULT_PASSWORD={key}\n\
         \x20    docker run -d --name container-monkey -p 1066:80 -e MONKEY_VAULT_PASSWORD \\\n\
         \x20      -v /var/run/docker.sock:/var/run/docker.sock -v container-monkey:/backups container-monkey\n\n\
         {}",
        restic(&[("RESTIC_PASSWORD", key)], &quoted(path)),
    )
}

fn s3(place: &S3Location, key: &str) -> String {
    let endpoint =
        place.endpoint.clone().unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", place.region));
    let folder = if place.prefix.is_empty() { String::new() } else { format!("/{}", place.prefix) };
    let mut lines = vec![
        ("endpoint", endpoint.clone()),
        ("region", place.region.clone()),
        ("bucket", place.bucket.clone()),
        ("prefix", place.prefix.clone()),
        ("bucket stands", if place.path_style { "in the path" } else { "in the host's name" }.to_owned()),
    ];
    let mut variables = vec![("RESTIC_PASSWORD", key)];
    match &place.credentials {
        S3Credentials::Keys { access_key, secret_key } => {
            lines.push(("access key", access_key.clone()));
            lines.push(("secret key", secret_key.reveal().to_owned()));
            variables.push(("AWS_ACCESS_KEY_ID", access_key));
            variables.push(("AWS_SECRET_ACCESS_KEY", secret_key.reveal()));
        }
        S3Credentials::Instance { .. } => lines.push((
            "sign in with",
            "the machine's role, or an access key of your own on another machine".to_owned(),
        )),
        S3Credentials::Anonymous => lines.push(("sign in with", "nothing".to_owned())),
    }
    lines.push(("key of the vault", key.to_owned()));
    let mut facts = String::new();
    for (name, value) in &lines {
        let _ = writeln!(facts, "   {name:17} {value}");
    }
    let repository = quoted(&format!("s3:{endpoint}/{}{folder}", place.bucket));
    format!(
        "\nVAULT IN A BUCKET\n\n{facts}\n\
         \x20  With Container Monkey on a new machine: start it as its README shows, sign in, open Settings, Storage, enter\n\
         \x20  the lines above, Connect. All backups are listed; restore them one by one from the vault's page.\n\n{}",
        restic(&variables, &repository),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kit_has_what_opens_each_vault() {
        let place = S3Location {
            bucket: "backups".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: None,
            prefix: "monkey".to_owned(),
            path_style: false,
            ca_pem: None,
            credentials: S3Credentials::Keys {
                access_key: "AKIA".to_owned(),
                secret_key: Secret::new("it's secret"),
            },
        };
        let vaults = [
            Access::new(Location::Local { path: "/backups/vault".into() }, Secret::new("key-one")),
            Access::new(Location::S3(place), Secret::new("key-two")),
        ];
        let kit = text("nas", "2026-11-26", &vaults);
        for part in [
            "OF nas, 2026-11-26",
            "key-one",
            "key-two",
            "Settings, Saved settings",
            "restic -r '/backups/vault' snapshots",
            "restic -r 's3:https://s3.eu-central-1.amazonaws.com/backups/monkey' snapshots",
            r"export AWS_SECRET_ACCESS_KEY='it'\''s secret'",
        ] {
            assert!(kit.contains(part), "{part} in {kit}");
        }
    }
}
