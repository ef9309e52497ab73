//! rustic's storage over object_store: one adapter for a local directory and S3.
//! Layout as restic's: `config`, `keys/`, `data/xx/`, `index/`, `snapshots/`.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path,
};
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use tokio::runtime::Runtime;

use super::error::VaultError;
use crate::model::vault::Location;

/// Id of the newest snapshot that was written; rustic does not tell it.
pub(super) type LastSnapshot = Arc<Mutex<Option<Id>>>;

/// One storage.
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    runtime: Runtime,
    location: String,
    last_snapshot: LastSnapshot,
}

impl Store {
    pub(super) fn new(location: &Location) -> Result<Self, VaultError> {
        let Location::Local { path } = location else {
            return Err(VaultError::Broken("S3 storage is not known yet".to_owned()));
        };
        let objects = LocalFileSystem::new_with_prefix(path)
            .map_err(|error| VaultError::Io { path: path.display().to_string(), cause: error.to_string() })?
            .with_fsync(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| VaultError::io(path, &error))?;
        Ok(Self {
            objects: Arc::new(objects),
            runtime,
            location: path.display().to_string(),
            last_snapshot: LastSnapshot::default(),
        })
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
}

fn failed(what: &str, path: &Path, error: object_store::Error) -> Box<RusticError> {
    RusticError::with_source(ErrorKind::Backend, format!("{what} of `{{path}}` failed"), error)
        .attach_context("path", path.to_string())
}

impl ReadBackend for Store {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            let path = Path::from("config");
            return match self.runtime.block_on(self.objects.head(&path)) {
                Ok(meta) => Ok(vec![(Id::default(), u32::try_from(meta.size).unwrap_or(u32::MAX))]),
                Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
                Err(error) => Err(failed("Reading", &path, error)),
            };
        }
        let prefix = Path::from(kind.dirname());
        let list = self.objects.list(Some(&prefix));
        let found: Vec<_> =
            self.runtime.block_on(list.try_collect()).map_err(|error| failed("Listing", &prefix, error))?;
        // Temporary files of interrupted writes have other names.
        let entry = |meta: object_store::ObjectMeta| {
            let id = meta.location.filename()?.parse().ok()?;
            Some((id, u32::try_from(meta.size).unwrap_or(u32::MAX)))
        };
        Ok(found.into_iter().filter_map(entry).collect())
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let path = Self::path(kind, id);
        let read = async { self.objects.get(&path).await?.bytes().await };
        self.runtime.block_on(read).map_err(|error| failed("Reading", &path, error))
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
        self.runtime.block_on(read).map_err(|error| failed("Reading", &path, error))
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        Self::path(kind, id).to_string()
    }
}

impl WriteBackend for Store {
    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let path = Self::path(kind, id);
        let payload = PutPayload::from_iter(content.into_vec());
        // Written beside and renamed: a reader never sees half an object.
        self.runtime
            .block_on(self.objects.put(&path, payload))
            .map_err(|error| failed("Writing", &path, error))?;
        if kind == FileType::Snapshot {
            *self.last_snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(*id);
        }
        Ok(())
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        let path = Self::path(kind, id);
        match self.runtime.block_on(self.objects.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("Removing", &path, error)),
        }
    }
}
