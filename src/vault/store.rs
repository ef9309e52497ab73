//! rustic's storage over object_store: one adapter for a local directory and S3.
//! Layout as restic's: `config`, `keys/`, `data/xx/`, `index/`, `snapshots/`.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload, local::LocalFileSystem,
    path::Path,
};
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use tokio::runtime::Runtime;

use super::{bucket, error::VaultError};
use crate::model::vault::{Location, S3Location};

/// Id of the newest snapshot that was written; rustic does not tell it.
pub(super) type LastSnapshot = Arc<Mutex<Option<Id>>>;

/// One storage.
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    runtime: Runtime,
    location: Location,
    last_snapshot: LastSnapshot,
    indexed: Option<HashSet<Id>>,
    /// Files that are as if they were not there.
    hidden: HashSet<Id>,
}

/// How long a pack may be in no index because the backup that wrote it goes on.
const UNINDEXED: chrono::Duration = chrono::Duration::days(2);

impl Store {
    pub(super) fn new(location: &Location) -> Result<Self, VaultError> {
        let objects: Arc<dyn ObjectStore> = match location {
            Location::Local { path } => {
                let objects = LocalFileSystem::new_with_prefix(path).map_err(|error| VaultError::Io {
                    path: path.display().to_string(),
                    cause: error.to_string(),
                })?;
                Arc::new(objects.with_fsync(true))
            }
            Location::S3(place) => bucket::open(place)?,
        };
        let (runtime, location) = (bucket::runtime()?, location.clone());
        let (last_snapshot, hidden) = (LastSnapshot::default(), HashSet::new());
        Ok(Self { objects, runtime, location, last_snapshot, indexed: None, hidden })
    }

    /// As if these files were not there: for those that can't be read.
    pub(super) fn hiding(self, hidden: HashSet<Id>) -> Self {
        Self { hidden, ..self }
    }

    /// The same, but of packs that are in no index only old ones are listed: the others may belong to a backup that is
    /// being made. `indexed`: the packs that are in an index.
    pub(super) fn without_unfinished(self, indexed: HashSet<Id>) -> Self {
        Self { indexed: Some(indexed), ..self }
    }

    /// What is there. For a bucket; a directory is looked at without.
    pub(super) fn content(&self, place: &S3Location) -> Result<bucket::Content, VaultError> {
        self.runtime.block_on(bucket::content(self.objects.as_ref(), place))
    }

    pub(super) fn last_snapshot(&self) -> LastSnapshot {
        self.last_snapshot.clone()
    }

    fn path(kind: FileType, id: &Id) -> Path {
        let hex = id.to_hex();
        let hex = hex.as_str();
        match kind {
            FileType::Config => Path::from("config"),
            FileType::Pack => Path::from(format!("data/{}/{hex}", &hex[..2])),
            other => Path::from(format!("{}/{hex}", other.dirname())),
        }
    }

    fn failed(&self, what: &str, path: &Path, error: object_store::Error) -> Box<RusticError> {
        let text = format!("{what} of `{{path}}` failed");
        let error = match &self.location {
            Location::Local { .. } => RusticError::with_source(ErrorKind::Backend, text, error),
            Location::S3(place) => {
                RusticError::with_source(ErrorKind::Backend, text, bucket::explain(&error, place))
            }
        };
        error.attach_context("path", path.to_string())
    }
}

impl ReadBackend for Store {
    fn location(&self) -> String {
        self.location.to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            let path = Path::from("config");
            return match self.runtime.block_on(self.objects.head(&path)) {
                Ok(meta) => Ok(vec![(Id::default(), u32::try_from(meta.size).unwrap_or(u32::MAX))]),
                Err(error) if bucket::is_missing(&error) => Ok(Vec::new()),
                Err(error) => Err(self.failed("Reading", &path, error)),
            };
        }
        let prefix = Path::from(kind.dirname());
        let list = self.objects.list(Some(&prefix));
        let found: Vec<_> = self
            .runtime
            .block_on(list.try_collect())
            .map_err(|error| self.failed("Listing", &prefix, error))?;
        let old = chrono::Utc::now() - UNINDEXED;
        // Temporary files of interrupted writes have other names.
        let entry = |meta: object_store::ObjectMeta| {
            let id: Id = meta.location.filename()?.parse().ok()?;
            if self.hidden.contains(&id) {
                return None;
            }
            if kind == FileType::Pack && meta.last_modified > old {
                self.indexed.as_ref().is_none_or(|indexed| indexed.contains(&id)).then_some(())?;
            }
            Some((id, u32::try_from(meta.size).unwrap_or(u32::MAX)))
        };
        Ok(found.into_iter().filter_map(entry).collect())
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let path = Self::path(kind, id);
        let read = async { self.objects.get(&path).await?.bytes().await };
        self.runtime.block_on(read).map_err(|error| self.failed("Reading", &path, error))
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let path = Self::path(kind, id);
        let range = u64::from(offset)..u64::from(offset) + u64::from(length);
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let read = async { self.objects.get_opts(&path, options).await?.bytes().await };
        self.runtime.block_on(read).map_err(|error| self.failed("Reading", &path, error))
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        Self::path(kind, id).to_string()
    }
}

impl WriteBackend for Store {
    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let path = Self::path(kind, id);
        let payload = PutPayload::from_iter(content.into_vec());
        // A vault is made once: of two servers that make one in the same place at the same time, one fails.
        let mode = if kind == FileType::Config { PutMode::Create } else { PutMode::Overwrite };
        // A reader never sees half an object: a directory gets it under another name first, a bucket keeps whole ones.
        self.runtime
            .block_on(self.objects.put_opts(&path, payload, mode.into()))
            .map_err(|error| self.failed("Writing", &path, error))?;
        if kind == FileType::Snapshot {
            *self.last_snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(*id);
        }
        Ok(())
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        let path = Self::path(kind, id);
        match self.runtime.block_on(self.objects.delete(&path)) {
            Ok(()) => Ok(()),
            Err(error) if bucket::is_missing(&error) => Ok(()),
            Err(error) => Err(self.failed("Removing", &path, error)),
        }
    }
}
