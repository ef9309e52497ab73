//! Brings archives of ours back as backups.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use chrono::{DateTime, Utc};
use rustic_core::{
    BackupOptions, ParentOptions, SnapshotOptions, StringList,
    jiff::{Timestamp, Zoned, tz::TimeZone},
    repofile::SnapshotFile,
};

use super::{
    TAG, Vault,
    backup::{Bars, of_another_time, text},
    error::VaultError,
    repository_with, settled, unpack,
    unpack::{Incoming, Message},
};
use crate::model::{
    archive::Header,
    backup::{Backup, Meta, State, Trigger},
    progress::{Level, Note, Reporter},
};

/// What came of an archive.
#[derive(Debug, Default)]
pub struct Imported {
    /// Backups that are in the vault now and were not before.
    pub backups: Vec<Backup>,
    /// Ids of those in the archive that were in the vault already.
    pub known: Vec<String>,
}

/// What the first backup in an archive of ours is; `None` when it is another kind of file.
pub fn archive_header(archive: &Path) -> Result<Option<Header>, VaultError> {
    unpack::header(open(archive)?)
}

pub(super) fn open(path: &Path) -> Result<File, VaultError> {
    File::open(path).map_err(|error| VaultError::io(path, &error))
}

impl Vault {
    /// Brings all backups of an archive into the vault, but for those that are there. `spool`: an empty directory.
    /// When one is not whole, it and those after it are not taken.
    pub fn import(
        &self,
        archive: &Path,
        spool: &Path,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Imported, VaultError> {
        let messages = unpack::read(open(archive)?, spool.to_owned());
        let mut there = self.list()?;
        let mut imported = Imported::default();
        loop {
            let message = messages.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match message {
                Ok(Message::Begin(header)) => {
                    reporter.step(1, 2, &format!("Reading the backup of {}", header.meta.container));
                    let incoming = Incoming::new(&messages, header.meta.data_bytes + header.meta.image_bytes);
                    if let Some(known) = there.iter().find(|backup| header.is_of(backup)) {
                        let text = format!("{} is in the vault already.", known.filename());
                        reporter.note(Note { level: Level::Info, text });
                        imported.known.push(known.id.clone());
                        rustic_core::ReadSource::entries(&incoming).for_each(drop);
                        incoming.outcome()?;
                        continue;
                    }
                    let backup = self.take_in(&header, &incoming, reporter)?;
                    there.push(backup.clone());
                    imported.backups.push(backup);
                }
                Ok(Message::Failed(why)) => return Err(VaultError::Archive(why)),
                Ok(Message::Entry(_) | Message::End { .. }) => {}
                Err(_) => return Ok(imported),
            }
        }
    }

    fn take_in(
        &self,
        header: &Header,
        incoming: &Incoming,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Backup, VaultError> {
        // What a schedule made elsewhere is not for the schedules here to delete.
        let meta = Meta { schedule: None, ..header.meta.clone() };
        let credentials = rustic_core::Credentials::Masterkey(self.repo.key());
        let (repo, last_snapshot, index) = settled(|| {
            let (repo, last_snapshot) =
                repository_with(&self.access, Bars { reporter: reporter.clone(), knows_total: false })?;
            let index = self.index()?;
            Ok((repo.open(&credentials)?.to_indexed_ids()?, last_snapshot, index))
        })?;
        let mut options = BackupOptions::default();
        options.parent_opts = ParentOptions::default().force(true);
        let unfinished = Meta { state: State::Unfinished, ..meta.clone() };
        let root = PathBuf::from(format!("/{}", meta.container));
        let snapshot = repo.archive(&options, incoming, snapshot(header, &unfinished)?, &[root])?;
        let whole = incoming.outcome().and_then(|entries| complete(&snapshot, entries));
        if let Err(error) = whole {
            repo.delete_snapshots(&[snapshot.id])?;
            return Err(error);
        }
        let snapshot = of_another_time(snapshot);
        reporter.step(2, 2, "Writing the outcome");
        self.conclude(&repo, &last_snapshot, &snapshot, &meta, &index)
    }
}

/// Whether all entries are in the snapshot: rustic leaves out what it could not store.
fn complete(snapshot: &SnapshotFile, entries: u64) -> Result<(), VaultError> {
    let stored = snapshot.summary.as_ref().map_or(0, |summary| {
        let files = summary.files_new + summary.files_changed + summary.files_unmodified;
        let folders = summary.dirs_new + summary.dirs_changed + summary.dirs_unmodified;
        // One folder is the top, which is no entry.
        (files + folders).saturating_sub(1)
    });
    if stored == entries {
        return Ok(());
    }
    Err(VaultError::Archive(format!("of its {entries} files and folders only {stored} could be stored")))
}

/// A time as rustic has it.
pub(super) fn zoned(time: DateTime<Utc>) -> Result<Zoned, VaultError> {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0);
    let stamp = Timestamp::new(time.timestamp(), nanos)
        .map_err(|error| VaultError::Archive(format!("its time is not understood ({error})")))?;
    Ok(stamp.to_zoned(TimeZone::UTC))
}

fn snapshot(header: &Header, meta: &Meta) -> Result<SnapshotFile, VaultError> {
    let mut tags = StringList::default();
    for tag in [TAG, Trigger::Import.as_str(), meta.kind.as_str()] {
        tags.add(tag.to_owned());
    }
    let options = SnapshotOptions::default()
        .label(meta.container.clone())
        .host(header.server_name.clone())
        .command(format!("container-monkey {}", env!("CARGO_PKG_VERSION")))
        .description(text(meta)?)
        .time(zoned(header.created)?)
        .tags(vec![tags]);
    Ok(options.to_snapshot()?)
}
