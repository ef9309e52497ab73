//! Writing a backup: one tree, one snapshot, an honest outcome.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustic_core::{
    BackupOptions, Open, ParentOptions, Progress, ProgressBars, ProgressType, Repository, RusticProgress,
    SnapshotGroupCriterion, SnapshotOptions, StringList,
    repofile::{Node, NodeType, SnapshotFile},
};

use super::{
    BackupPlan, BackupResult, ImageSource, MANIFEST, TAG, Vault,
    error::VaultError,
    list, node,
    prune::Index,
    repository_with, settled,
    source::{Part, Source},
    store::LastSnapshot,
    walk::Record,
};
use crate::model::{
    backup::{Backup, ItemOutcome, ItemState, Kind, Meta, State},
    manifest::{IMAGE_DIR, Item, ItemKind, Manifest},
    progress::{Note, Reporter},
};

/// rustic's progress, as ours.
pub(super) struct Bars {
    pub(super) reporter: Arc<dyn Reporter>,
    /// Whether the reporter knows the whole size already.
    pub(super) knows_total: bool,
}

impl fmt::Debug for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bars")
    }
}

impl ProgressBars for Bars {
    fn progress(&self, kind: ProgressType, _: &str) -> Progress {
        match kind {
            ProgressType::Bytes => Progress::new(Self { reporter: self.reporter.clone(), ..*self }),
            _ => Progress::hidden(),
        }
    }
}

impl RusticProgress for Bars {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, bytes: u64) {
        if !self.knows_total {
            self.reporter.total_bytes(bytes);
        }
    }

    fn set_title(&self, _: &str) {}

    fn inc(&self, bytes: u64) {
        self.reporter.add_bytes(bytes);
    }

    fn finish(&self) {}
}

/// An item with what happened to it.
type Tracked<'a> = (&'a Item, Arc<Record>);

impl Vault {
    /// Writes a backup. It becomes visible with its last write only, and says by itself what is in it.
    pub fn backup(
        &self,
        plan: &BackupPlan,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<BackupResult, VaultError> {
        let credentials = rustic_core::Credentials::Masterkey(self.repo.key());
        let (repo, last_snapshot, index) = settled(|| {
            let bars = Bars { reporter: reporter.clone(), knows_total: false };
            let (repo, last_snapshot) = repository_with(&self.access, bars)?;
            let index = self.index()?;
            Ok((repo.open(&credentials)?.to_indexed_ids()?, last_snapshot, index))
        })?;
        let items: Vec<Tracked<'_>> =
            plan.manifest.items.iter().map(|item| (item, Arc::new(Record::default()))).collect();
        for (path, why) in &plan.failed {
            for (_, record) in items.iter().filter(|(item, _)| item.path == *path) {
                record.fail(why.clone());
            }
        }
        let known = match &plan.image {
            ImageSource::InVault { backup } => Some(self.snapshot(backup)?),
            _ => None,
        };
        let known_nodes = match &known {
            Some(snapshot) => super::image::nodes(&repo, snapshot)?,
            None => Vec::new(),
        };
        let source = Source { parts: parts(plan, &items, known_nodes)? };

        let mut parents: Vec<String> = self.newest_of(plan)?.into_iter().collect();
        parents.extend(known.iter().map(|snapshot| snapshot.id.to_hex().as_str().to_owned()));
        parents.dedup();
        let mut options = BackupOptions::default();
        options.parent_opts = ParentOptions::default().force(parents.is_empty()).parents(parents);
        // The group of the parents is ours to choose: an image may come from any container's backup.
        options.parent_opts.group_by = Some(SnapshotGroupCriterion::new());
        let unfinished = Meta { state: State::Unfinished, ..meta(plan, &items) };
        let name = &plan.manifest.container_name;
        let snapshot = repo.archive(
            &options,
            &source,
            snapshot(plan, &unfinished)?,
            &[PathBuf::from(format!("/{name}"))],
        )?;

        let snapshot = if plan.created.is_some() { of_another_time(snapshot) } else { snapshot };
        reporter.step(3, 3, "Writing the outcome");
        let backup = self.conclude(&repo, &last_snapshot, &snapshot, &meta(plan, &items), &index)?;
        let notes = items.iter().flat_map(|(_, record)| record.take_notes()).collect::<Vec<Note>>();
        Ok(BackupResult { backup, notes })
    }

    /// Replaces the unfinished snapshot by one that says how it ended, and makes sure that it can be read.
    pub(super) fn conclude<S: Open>(
        &self,
        repo: &Repository<S>,
        last_snapshot: &LastSnapshot,
        snapshot: &SnapshotFile,
        meta: &Meta,
        index: &Index,
    ) -> Result<Backup, VaultError> {
        let amended =
            SnapshotFile { description: Some(text(meta)?), original: Some(snapshot.id), ..snapshot.clone() };
        repo.save_snapshots(vec![amended.clone()])?;
        let id = *last_snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        repo.delete_snapshots(&[snapshot.id])?;
        let amended = SnapshotFile { id: id.unwrap_or_default().into(), ..amended };
        if let Err(error) = self.secure(index, amended.tree) {
            repo.delete_snapshots(&[amended.id])?;
            return Err(error);
        }
        list::backup(&amended, self.access.location.storage())
            .ok_or_else(|| VaultError::Broken("its own description is not understood".to_owned()))
    }

    /// The newest backup of this container or network of this server: unchanged files are recognised by it.
    fn newest_of(&self, plan: &BackupPlan) -> Result<Option<String>, VaultError> {
        let same = |backup: &Backup| {
            backup.server_name == plan.manifest.server_name
                && backup.meta.kind == plan.manifest.kind
                && backup.meta.container == plan.manifest.container_name
        };
        Ok(self.list()?.into_iter().find(same).map(|backup| backup.id))
    }
}

fn snapshot(plan: &BackupPlan, meta: &Meta) -> Result<SnapshotFile, VaultError> {
    let mut tags = StringList::default();
    for tag in [TAG, plan.trigger.as_str(), meta.kind.as_str()] {
        tags.add(tag.to_owned());
    }
    let options = SnapshotOptions::default()
        .label(plan.manifest.container_name.clone())
        .host(plan.manifest.server_name.clone())
        .command(format!("container-monkey {}", plan.manifest.app_version))
        .description(text(meta)?)
        .tags(vec![tags]);
    let options = match plan.created {
        Some(created) => options.time(super::import::zoned(created)?),
        None => options,
    };
    Ok(options.to_snapshot()?)
}

/// rustic counts from the snapshot's time on, which is not when work on this one began.
pub(super) fn of_another_time(mut snapshot: SnapshotFile) -> SnapshotFile {
    if let Some(summary) = &mut snapshot.summary {
        summary.total_duration = summary.backup_duration;
    }
    snapshot
}

pub(super) fn text(meta: &Meta) -> Result<String, VaultError> {
    serde_json::to_string(meta).map_err(|error| VaultError::Broken(error.to_string()))
}

/// The tree, in the order rustic wants: names sorted bytewise in each directory.
fn parts(
    plan: &BackupPlan,
    items: &[Tracked<'_>],
    known: Vec<(PathBuf, Node)>,
) -> Result<Vec<Part>, VaultError> {
    let record = |path: &str| {
        items.iter().find(|(item, _)| item.path == path).map(|(_, record)| record.clone()).unwrap_or_default()
    };
    let mut parts = Vec::new();
    match &plan.image {
        ImageSource::None => {}
        ImageSource::Spooled { dir, record: image } => {
            parts.extend(spooled(dir, image, &record(IMAGE_DIR))?);
        }
        ImageSource::InVault { .. } => {
            let record = record(IMAGE_DIR);
            parts.extend(known.into_iter().map(|(path, node)| {
                if node.is_dir() {
                    Part::Directory(path, node)
                } else {
                    Part::Known(path, node, record.clone())
                }
            }));
        }
    }
    let name = &plan.manifest.container_name;
    let root = Path::new("/").join(name);
    let directory = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Part::Directory(path.to_owned(), node::own(&name, NodeType::Dir, 0))
    };
    parts.push(directory(&root));
    let manifest =
        serde_json::to_vec_pretty(&plan.manifest).map_err(|error| VaultError::Broken(error.to_string()))?;
    let settings = record(&format!("{name}/{MANIFEST}"));
    settings.count(manifest.len() as u64);
    let mut node = node::own(MANIFEST, NodeType::File, manifest.len() as u64);
    // Its content differs each time even where its length does not.
    node.meta.mtime = rustic_core::jiff::Timestamp::from_nanosecond(
        plan.manifest.created.timestamp_nanos_opt().unwrap_or(0).into(),
    )
    .ok();
    parts.push(Part::Text(root.join(MANIFEST), node, Arc::new(manifest)));

    let data = plan.sources.iter().map(|source| {
        let path = Path::new("/").join(&source.item);
        (path.clone(), Part::Data(path, source.host_path.clone(), record(&source.item)))
    });
    let tars = plan.tars.iter().map(|(item, tar)| {
        let path = Path::new("/").join(item);
        (path.clone(), Part::Tar(path, tar.clone(), record(item)))
    });
    let mut sources: Vec<_> = data.chain(tars).collect();
    sources.sort_by(|a, b| a.0.cmp(&b.0));
    let mut made: Vec<PathBuf> = vec![root];
    for (path, part) in sources {
        // The directories above it, once each.
        let above: Vec<_> = path.ancestors().skip(1).filter(|above| above.components().count() > 2).collect();
        for above in above.into_iter().rev() {
            if !made.iter().any(|known| known == above) {
                parts.push(directory(above));
                made.push(above.to_owned());
            }
        }
        parts.push(part);
    }
    Ok(parts)
}

fn spooled(
    dir: &Path,
    image: &crate::model::manifest::ImageRecord,
    record: &Arc<Record>,
) -> Result<Vec<Part>, VaultError> {
    let root = Path::new("/").join(IMAGE_DIR);
    let own = |path: PathBuf, name: &str| Part::Directory(path, node::own(name, NodeType::Dir, 0));
    let mut parts = vec![own(root.clone(), IMAGE_DIR), own(root.join("blobs"), "blobs")];
    let mut blobs: Vec<&String> = image.layers.iter().collect();
    if !image.config.is_empty() {
        blobs.push(&image.config);
    }
    blobs.sort();
    blobs.dedup();
    for blob in blobs {
        let host = dir.join(blob);
        let size = host.metadata().map_err(|error| VaultError::io(&host, &error))?.len();
        let node = node::own(blob, NodeType::File, size);
        parts.push(Part::File(root.join("blobs").join(blob), node, host, record.clone()));
    }
    let text = serde_json::to_vec(image).map_err(|error| VaultError::Broken(error.to_string()))?;
    record.count(text.len() as u64);
    let mut node = node::own("image.json", NodeType::File, text.len() as u64);
    // No two images have the same time here: a parent with another image must not match. A container without
    // its image has another one at each backup.
    let content = if image.flattened { image.layers.first() } else { None };
    node.meta.mtime = stamp_of(content.unwrap_or(&image.id));
    parts.push(Part::Text(root.join("image.json"), node, Arc::new(text)));
    Ok(parts)
}

/// A time made of the image's id.
fn stamp_of(id: &str) -> Option<rustic_core::jiff::Timestamp> {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    let seconds = i64::from_str_radix(hex.get(..8)?, 16).ok()?;
    let nanos = i32::try_from(u32::from_str_radix(hex.get(8..15)?, 16).ok()?).ok()?;
    rustic_core::jiff::Timestamp::new(seconds, nanos).ok()
}

/// The outcome as far as it is known now.
fn meta(plan: &BackupPlan, items: &[Tracked<'_>]) -> Meta {
    let outcomes: Vec<ItemOutcome> = items.iter().map(|(item, record)| outcome(plan, item, record)).collect();
    let warnings = items.iter().map(|(_, record)| record.warnings()).sum();
    let state = if outcomes.iter().any(|outcome| outcome.state == ItemState::Failed) {
        State::Partial
    } else if warnings > 0 {
        State::CompleteWithWarnings
    } else {
        State::Complete
    };
    let bytes = |image: bool| {
        let of = |(item, record): &Tracked<'_>| {
            // A network is its settings.
            let data = item.kind != ItemKind::Settings || plan.manifest.kind == Kind::Network;
            let counted = matches!(item.kind, ItemKind::Image) == image && data;
            if counted { record.bytes() } else { 0 }
        };
        items.iter().map(of).sum()
    };
    let container = &plan.manifest.container;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Meta {
        format: plan.manifest.format,
        kind: plan.manifest.kind,
        container: plan.manifest.container_name.clone(),
        stack: stack(&plan.manifest),
        state,
        image: text(&container["Config"]["Image"]),
        image_id: match &plan.image {
            ImageSource::None => String::new(),
            ImageSource::Spooled { record, .. } => record.id.clone(),
            ImageSource::InVault { .. } => text(&container["Image"]),
        },
        flattened: matches!(&plan.image, ImageSource::Spooled { record, .. } if record.flattened),
        files: items.iter().map(|(_, record)| record.files()).sum(),
        data_bytes: bytes(false),
        image_bytes: bytes(true),
        warnings,
        items: outcomes,
        note: plan.note.clone(),
        schedule: plan.schedule.clone(),
    }
}

/// The compose project or swarm stack that it says it belongs to.
fn stack(manifest: &Manifest) -> Option<String> {
    let labels = match manifest.kind {
        Kind::Network => manifest.networks.first()?.get("Labels")?,
        Kind::Container | Kind::Stack => &manifest.container["Config"]["Labels"],
    };
    let names = ["com.docker.compose.project", "com.docker.stack.namespace"];
    names.iter().find_map(|name| labels[*name].as_str().map(str::to_owned))
}

fn outcome(plan: &BackupPlan, item: &Item, record: &Record) -> ItemOutcome {
    let planned = match item.kind {
        ItemKind::Settings => true,
        ItemKind::Image => !matches!(plan.image, ImageSource::None),
        ItemKind::Volume | ItemKind::Bind | ItemKind::Layer => {
            plan.sources.iter().any(|source| source.item == item.path)
                || plan.tars.iter().any(|(path, _)| *path == item.path)
        }
    };
    let (state, message) = if let Some(why) = &item.left_out {
        (ItemState::LeftOut, why.clone())
    } else if let Some(why) = record.failure() {
        (ItemState::Failed, why)
    } else if !planned {
        (ItemState::Failed, "It was planned, but nothing was there to read.".to_owned())
    } else if record.warnings() > 0 {
        (ItemState::Warnings, format!("{} files have a warning.", record.warnings()))
    } else {
        (ItemState::Saved, String::new())
    };
    ItemOutcome { path: item.path.clone(), state, bytes: record.bytes(), files: record.files(), message }
}
