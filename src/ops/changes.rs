//! What changed between two backups of the same container or network, or between a backup and now.

use std::{str::FromStr, time::Duration};

use tokio::time::timeout;

use super::{
    backups::{self, Preview},
    parts::{self, Matched, Names},
    present,
    vaults::unexpected,
};
pub use crate::ops::parts::{Part, is_hash};
use crate::{
    app::App,
    docker,
    error::{AppError, Result},
    model::{
        backup::{Backup, Kind, State},
        changes::{ChangeKind, Changes, Wanted},
        difference::Difference,
        files::InnerPath,
        manifest::Manifest,
        names::{BackupRef, BadName},
    },
    worker::order::{After, Answer, FilesTask, Look, Root, Seen},
};

/// How long a comparison may take. Every file of this machine is looked at; there may be millions.
const PATIENCE: Duration = Duration::from_mins(10);

/// So many other backups are offered.
const OFFERED: u32 = 200;

/// What a backup is to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Another backup.
    Backup(BackupRef),
    /// What is on this machine.
    Now,
}

impl FromStr for Base {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text == "now" { Ok(Self::Now) } else { text.parse().map(Self::Backup) }
    }
}

/// Which changes.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Compared with what; `None` = the one before, or what is there now.
    pub base: Option<Base>,
    /// Only these.
    pub kind: Option<ChangeKind>,
    /// Changes to pass over.
    pub offset: usize,
    /// Changes at most.
    pub limit: usize,
}

/// A backup, and what it can be compared with.
pub struct Comparison {
    /// The backup.
    pub backup: Backup,
    /// Other backups that it can be compared with, newest first.
    pub others: Vec<Backup>,
    /// Whether something of it is on this machine.
    pub is_here: bool,
    /// What was found; `None` when there is nothing to compare it with.
    pub found: Option<Found>,
}

/// What changed.
pub struct Found {
    /// The earlier backup.
    pub before: Backup,
    /// The later one; `None` = what is there now.
    pub after: Option<Backup>,
    /// Settings that differ; `None` when they can't be compared, and a note says why.
    pub settings: Option<Vec<Difference>>,
    /// The parts that the changes are in.
    pub parts: Vec<Part>,
    /// Changes of files.
    pub changes: Changes,
    /// What is not compared, or missing as a whole, a sentence each.
    pub notes: Vec<String>,
    /// Bytes of what is compared, as it was.
    pub bytes: u64,
}

/// Compares a backup.
pub async fn compare(app: &App, id: &BackupRef, asked: &Asked) -> Result<Comparison> {
    let preview = backups::preview(app, id).await?;
    let mut others = others(app, &preview.backup).await?;
    let is_here = present::may_be(app, &preview.manifest).await;
    let base = match &asked.base {
        Some(Base::Backup(other)) => {
            let base = base(app, &preview, other).await?;
            if !others.iter().any(|other| other.id == base.backup.id) {
                others.insert(0, base.backup.clone());
            }
            Some(Some(base))
        }
        Some(Base::Now) => Some(None),
        None => match previous(&preview.backup, &others) {
            Some(other) => Some(Some(preview_of(app, other).await?)),
            None => is_here.then_some(None),
        },
    };
    let backup = preview.backup.clone();
    let found = match base {
        Some(Some(other)) => {
            let earlier = other.backup.created <= backup.created;
            let (before, after) = if earlier { (other, preview) } else { (preview, other) };
            Some(two(app, before, after, asked).await?)
        }
        Some(None) => Some(now(app, preview, asked).await?),
        None => None,
    };
    Ok(Comparison { backup, others, is_here, found })
}

/// Others of the same thing in the same vault.
async fn others(app: &App, backup: &Backup) -> Result<Vec<Backup>> {
    let filter = backups::Filter {
        kind: Some(backup.meta.kind.to_string()),
        container: Some(backup.meta.container.clone()),
        storage: Some(backup.storage.to_string()),
        limit: Some(OFFERED),
        ..backups::Filter::default()
    };
    let mut others = backups::list(app, &filter).await?.backups;
    others.retain(|other| other.id != backup.id && other.meta.state != State::Unfinished);
    Ok(others)
}

/// The one before it, rather of the same server.
fn previous<'a>(backup: &Backup, others: &'a [Backup]) -> Option<&'a Backup> {
    let mut earlier = others.iter().filter(|other| other.created < backup.created);
    let first = earlier.clone().next();
    earlier.find(|other| other.server_name == backup.server_name).or(first)
}

async fn preview_of(app: &App, backup: &Backup) -> Result<Preview> {
    let reference = backup.reference().parse().map_err(AppError::internal)?;
    backups::preview(app, &reference).await
}

/// The other backup, if the two can be compared.
async fn base(app: &App, preview: &Preview, wanted: &BackupRef) -> Result<Preview> {
    let (backup, refuse) = (&preview.backup, |why: String| Err(AppError::field("base", why)));
    // Where a copy of it is in the other vault, the one in the same vault is meant.
    let near = format!("{}:{}", backup.storage, wanted.parts().1).parse().map_err(AppError::internal)?;
    let found = match wanted.parts().0 {
        None => match backups::get(app, &near).await {
            Err(AppError::NotFound(_)) => backups::get(app, wanted).await?,
            found => found?,
        },
        Some(_) => backups::get(app, wanted).await?,
    };
    if found.storage != backup.storage {
        return refuse(format!(
            "That backup is on {} storage, this one on {}. Only backups in the same vault can be compared: copy one of \
             them into the other vault, or choose another one.",
            found.storage.label(),
            backup.storage.label()
        ));
    }
    if found.id == backup.id {
        return refuse("This is the same backup. Choose another one.".to_owned());
    }
    let other = preview_of(app, &found).await?;
    let id = |manifest: &Manifest| manifest.container["Id"].as_str().map(str::to_owned);
    let same = found.meta.kind == backup.meta.kind
        && (found.meta.container == backup.meta.container
            // It had another name then.
            || id(&other.manifest).is_some_and(|other| Some(other) == id(&preview.manifest)));
    if !same {
        return refuse(format!(
            "That is a backup of the {} {}, this one of the {} {}. Choose another backup of the same.",
            found.meta.kind, found.meta.container, backup.meta.kind, backup.meta.container
        ));
    }
    Ok(other)
}

async fn two(app: &App, before: Preview, after: Preview, asked: &Asked) -> Result<Found> {
    let settings = settings(&before.manifest, &after.manifest);
    let mut notes = Vec::new();
    let names = Names { before: "the earlier backup", after: "the later backup" };
    let was = parts::of_backup(&before.backup, &before.manifest, &mut notes);
    let is = parts::of_backup(&after.backup, &after.manifest, &mut notes);
    if before.backup.meta.container != after.backup.meta.container {
        let (was, is) = (&before.backup.meta.container, &after.backup.meta.container);
        notes.push(format!("The container was called {was} then, and {is} later."));
    }
    let matched = parts::matched(was, is, &names);
    let (before, after) = (before.backup, after.backup);
    let changes = ask(app, &before, After::Backup(after.id.clone()), &matched, asked).await?;
    Ok(found(before, Some(after), Some(settings), notes, matched, changes))
}

async fn now(app: &App, preview: Preview, asked: &Asked) -> Result<Found> {
    let Preview { backup, manifest, .. } = preview;
    let name = &manifest.container_name;
    let gone = format!("The {} {name} does not exist now, so its settings are not compared.", manifest.kind);
    let mut notes = Vec::new();
    if manifest.kind == Kind::Network {
        let present = present::network(app, name).await?;
        let was = manifest.networks.first().cloned().unwrap_or_default();
        let settings = present.map(|present| docker::network_differences(&was, &present, false));
        notes.extend(settings.is_none().then_some(gone));
        return Ok(found(backup, None, settings, notes, Matched::default(), Changes::default()));
    }
    let present = present::look(app, &manifest).await?;
    let here = present.data.iter().any(|data| data.path.is_some());
    if present.manifest.is_none() && !here {
        return Err(AppError::Impossible(format!(
            "Neither the container {name} nor any of its volumes or host paths is on this machine, so there is nothing \
             to compare the backup with. Choose another backup."
        )));
    }
    let settings = present.manifest.as_ref().map(|now| settings(&manifest, now));
    notes.extend(settings.is_none().then_some(gone));
    if let Some(now) = present.manifest.filter(|now| now.container_name != *name) {
        notes.push(format!("The container is called {} now.", now.container_name));
    }
    let was = parts::of_backup(&backup, &manifest, &mut notes);
    let (is, paths) = parts::of_present(present.data);
    let matched = parts::matched(was, is, &Names { before: "the backup", after: "this machine" });
    let changes = ask(app, &backup, After::Now(paths), &matched, asked).await?;
    Ok(found(backup, None, settings, notes, matched, changes))
}

fn settings(before: &Manifest, after: &Manifest) -> Vec<Difference> {
    match (before.networks.first(), after.networks.first()) {
        (Some(was), Some(is)) if before.kind == Kind::Network => docker::network_differences(was, is, false),
        _ => docker::manifest_differences(before, after),
    }
}

fn found(
    before: Backup,
    after: Option<Backup>,
    settings: Option<Vec<Difference>>,
    mut notes: Vec<String>,
    matched: Matched,
    changes: Changes,
) -> Found {
    let Matched { parts, notes: more, bytes, .. } = matched;
    notes.extend(more);
    Found { before, after, settings, parts, changes, notes, bytes }
}

/// Lets a worker compare the files.
async fn ask(app: &App, before: &Backup, after: After, matched: &Matched, asked: &Asked) -> Result<Changes> {
    if matched.pairs.is_empty() {
        return Ok(Changes::default());
    }
    let Asked { kind, offset, limit, .. } = *asked;
    let root = Root::Comparison { storage: before.storage, before: before.id.clone(), after };
    let look = Look::Compare(Wanted { pairs: matched.pairs.clone(), kind, offset, limit });
    app.vault(before.storage)?;
    let task = FilesTask { root, path: InnerPath::default(), look, more: false };
    match timeout(PATIENCE, app.look(task)).await {
        Ok(answer) => match answer? {
            Answer::Files(Seen::Changes(changes)) => Ok(changes),
            _ => Err(unexpected().into()),
        },
        Err(_) => Err(AppError::unavailable(
            format!(
                "The comparison took longer than {} minutes and was given up. Nothing was changed. Two backups are \
                 compared much faster than a backup with what is there now.",
                PATIENCE.as_secs() / 60
            ),
            None,
        )),
    }
}
