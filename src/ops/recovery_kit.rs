//! The recovery kit: where the vaults are, what opens them, and what to do with that on a machine that has nothing else.

use std::fmt::Write as _;

use chrono::Utc;
use sha2::{Digest, Sha256};

use super::{
    Actor, settings,
    storage::{self, Connected, Wanted},
    users, vault_keys,
};
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
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
            if let Location::S3(place) = &access.location {
                if let S3Credentials::Keys { access_key, secret_key } = &place.credentials {
                    hash.update(format!("{access_key}\n{}\n", secret_key.reveal()));
                }
                hash.update(place.ca_pem.as_deref().unwrap_or_default());
            }
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

/// Whether it was saved at any time, perhaps as it was before.
pub async fn was_saved(app: &App) -> Result<bool> {
    Ok(app.db.read(|c| db::settings::get(c, SAVED)).await?.is_some())
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
         \x20  With Container Monkey on a new machine: put the saved directory to vault in its data directory, start it as\n\
         \x20  its README shows, sign in, open Settings, Storage, and paste this text there. All backups are listed.\n\n\
         {}",
        restic(&[("RESTIC_PASSWORD", key)], &quoted(path)),
    )
}

const IN_PATH: &str = "in the path";

fn amazon(region: &str) -> String {
    format!("https://s3.{region}.amazonaws.com")
}

fn s3(place: &S3Location, key: &str) -> String {
    let endpoint = place.endpoint.clone().unwrap_or_else(|| amazon(&place.region));
    let folder = if place.prefix.is_empty() { String::new() } else { format!("/{}", place.prefix) };
    let mut lines = vec![
        ("endpoint", endpoint.clone()),
        ("region", place.region.clone()),
        ("bucket", place.bucket.clone()),
        ("prefix", place.prefix.clone()),
        ("bucket stands", if place.path_style { IN_PATH } else { "in the host's name" }.to_owned()),
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
         \x20  With Container Monkey on a new machine: start it as its README shows, sign in, open Settings, Storage, and\n\
         \x20  paste this text there. All backups are listed; restore them one by one from the vault's page.\n\n{}{}",
        restic(&variables, &repository),
        place.ca_pem.as_deref().map(authority).unwrap_or_default(),
    )
}

/// The certificates that the bucket's server is believed by.
fn authority(pem: &str) -> String {
    let lines: Vec<_> = pem.lines().map(|line| format!("     {}", line.trim())).collect();
    format!(
        "\n   Certificate of its authority; for restic: save it as ca.pem and add --cacert ca.pem\n\n{}\n",
        lines.join("\n")
    )
}

/// The certificates in what [`authority`] wrote.
fn certificates(section: &str) -> Option<String> {
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in section.lines().map(str::trim) {
        is_inside |= line.starts_with("-----BEGIN CERTIFICATE");
        if is_inside {
            lines.push(line);
        }
        is_inside &= !line.starts_with("-----END CERTIFICATE");
    }
    Some(lines.join("\n")).filter(|pem| !pem.is_empty())
}

/// What a kit says of the vaults.
#[derive(Debug, Default)]
struct Kit {
    /// Key of a vault on a disk.
    local: Option<Secret>,
    s3: Option<Wanted>,
}

/// What came of a kit.
#[derive(Debug, Default)]
pub struct Opened {
    /// So many backups are in the local vault, which was locked.
    pub local: Option<usize>,
    /// The vault in the bucket.
    pub s3: Option<Connected>,
}

/// The value of a line of [`s3`] or [`local`]; mail programs and people shift and trim lines.
fn value<'a>(section: &'a str, name: &str) -> Option<&'a str> {
    section.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with("  ")).then(|| rest.trim())
    })
}

/// Reads what [`text`] wrote.
fn read(text: &str) -> Kit {
    let (before, bucket) = text.split_once("VAULT IN A BUCKET").unwrap_or((text, ""));
    let key = |text: &str| Some(Secret::new(text)).filter(|_| !text.is_empty());
    let local = before.split_once("LOCAL VAULT").and_then(|(_, local)| key(value(local, "key:")?));
    let s3 = || {
        let get = |name: &str| value(bucket, name).filter(|text| !text.is_empty()).map(str::to_owned);
        let region = get("region")?;
        let credentials = match (get("access key"), get("secret key")) {
            (Some(access_key), Some(secret)) => {
                S3Credentials::Keys { access_key, secret_key: Secret::new(secret) }
            }
            _ if get("sign in with").as_deref() == Some("nothing") => S3Credentials::Anonymous,
            _ => S3Credentials::Instance { source: Box::default() },
        };
        let place = S3Location {
            bucket: get("bucket")?,
            endpoint: get("endpoint").filter(|url| *url != amazon(&region)),
            prefix: get("prefix").unwrap_or_default(),
            path_style: get("bucket stands")? == IN_PATH,
            ca_pem: certificates(bucket),
            credentials,
            region,
        };
        Some(Wanted { place, vault_key: Some(Secret::new(get("key of the vault")?)) })
    };
    Kit { local, s3: s3() }
}

/// The bucket that a kit names, without secrets: for a form that somebody completes.
pub fn place(kit: &Secret) -> Option<S3Location> {
    let mut place = read(kit.reveal()).s3?.place;
    if let S3Credentials::Keys { secret_key, .. } = &mut place.credentials {
        *secret_key = Secret::new("");
    }
    Some(place)
}

/// Opens the vaults of another server's kit: the local one if it waits for its key, and the one in a bucket.
pub async fn open(app: &App, actor: &Actor, kit: &Secret) -> Result<Opened> {
    let wrong = |why: String| AppError::field("kit", why);
    let kit = read(kit.reveal());
    let mut opened = Opened::default();
    match kit.local {
        Some(key) if app.is_locked(Storage::Local) => {
            let open = vault_keys::open_local(app, actor, key).await;
            opened.local = Some(open.map_err(|error| match error {
                AppError::Invalid { message, .. } => wrong(message),
                error => error,
            })?);
        }
        Some(_) if kit.s3.is_none() => {
            return Err(wrong(format!(
                "This kit is of a vault on a disk, and there is no vault here that waits for its key. Stop this program, put \
                 the saved directory in the place of {}, start it, and paste the kit again.",
                app.config.local_vault().display()
            )));
        }
        _ => {}
    }
    if let Some(wanted) = kit.s3 {
        let other = storage::settings(app).s3.filter(|place| !place.is_same_place(&wanted.place));
        if let Some(other) = other {
            return Err(wrong(format!(
                "This server uses {other}, and the kit is of {}. Disconnect the one first; its backups stay in it.",
                wanted.place
            )));
        }
        opened.s3 = Some(storage::connect(app, actor, wanted).await?);
    } else if opened.local.is_none() {
        return Err(wrong(
            "There is no vault in this text. Paste all of the recovery kit; “LOCAL VAULT” or “VAULT IN A BUCKET” stands in \
             it."
            .to_owned(),
        ));
    }
    Ok(opened)
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
            ca_pem: Some(
                "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n\
                 -----BEGIN CERTIFICATE-----\nMIIC+/==\n-----END CERTIFICATE-----"
                    .to_owned(),
            ),
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
        // As a mail program may leave it.
        for kit in
            [kit.clone(), kit.lines().map(|line| format!("> {}", line.trim())).collect::<Vec<_>>().join("\n")]
        {
            let kit = kit.replace("> ", "");
            let Kit { local: Some(local), s3: Some(wanted) } = read(&kit) else { panic!("{kit}") };
            assert_eq!((local.reveal(), &Location::S3(wanted.place)), ("key-one", &vaults[1].location));
            assert_eq!(wanted.vault_key, Some(Secret::new("key-two")));
        }
        assert!(super::place(&Secret::new(&*kit)).is_some_and(|place| place.prefix == "monkey"));
        let empty = read("nothing of a kit");
        assert!(empty.local.is_none() && empty.s3.is_none());
    }
}
