//! The restore job's heavy parts: the image into the engine, files into place.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    order::{Answer, Failure, FailureKind, Gate, MakePath, RestoreItem, Restored},
    serve::Context,
};
use crate::{
    docker::{Docker, DockerError},
    model::{engine::EngineAddress, files::InnerPath, restore::FilePlace},
    vault::{self, RestoreResult, Vault, VaultError},
};

/// Streams the backup's image into the engine.
pub(super) fn load_image(
    vault: Vault,
    engine: &EngineAddress,
    backup: &str,
    context: &Context,
) -> Result<Answer, Failure> {
    context.report.step(1, 3, "Loading the image");
    let docker = Docker::new(engine, None)?;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(8);
    let report = context.report.clone();
    let backup = backup.to_owned();
    let flattened = vault.image_record(&backup)?.flattened;
    let writer = std::thread::spawn(move || {
        let mut out = io::BufWriter::with_capacity(256 * 1024, Channel(sender.clone()));
        let written = vault.write_image_tar(&backup, &mut out, report.as_ref());
        let flushed = out.flush();
        match (&written, flushed) {
            (Err(error), _) => drop(sender.blocking_send(Err(io::Error::other(error.to_string())))),
            (_, Err(error)) => drop(sender.blocking_send(Err(error))),
            _ => {}
        }
        written
    });
    let stream = ReceiverStream::new(receiver);
    let loaded = context.runtime.block_on(async {
        if flattened {
            docker.import_image(stream).await.map(|id| vec![id])
        } else {
            docker.load_image(stream).await
        }
    });
    // The vault's error comes first: it is the cause of the engine's.
    let record = writer.join().map_err(|_| Failure {
        kind: FailureKind::Worker,
        message: "Reading the image from the vault failed.".to_owned(),
        detail: "the thread panicked".to_owned(),
    })?;
    let record = match (record, loaded) {
        (Ok(record), Ok(ids)) => (record, ids),
        (_, Err(error)) if matches!(error, DockerError::Refused { .. }) => return Err(error.into()),
        (Err(error), _) => return Err(error.into()),
        (_, Err(error)) => return Err(error.into()),
    };
    let (record, ids) = record;
    let id = ids.into_iter().next().ok_or_else(|| Failure {
        kind: FailureKind::Docker,
        message: "Docker loaded the image but did not say under which id.".to_owned(),
        detail: String::new(),
    })?;
    Ok(Answer::Image { id, record })
}

/// Hands written bytes to an async reader, at most a few at a time.
struct Channel(mpsc::Sender<io::Result<Bytes>>);

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "Docker stopped reading"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Brings files back: all of them are staged beside their targets first, then put into place.
pub(super) fn files(
    vault: &Vault,
    backup: &str,
    run: &str,
    items: &[RestoreItem],
    context: &Context,
) -> Result<Answer, Failure> {
    let items: Vec<_> = items
        .iter()
        .map(|item| vault::RestoreItem { path: item.path.clone(), target: item.target.clone() })
        .collect();
    context.report.step(2, 3, "Reading data from the vault");
    let result = gated(context, |before_commit| {
        vault.restore(backup, &items, run, context.report.as_ref(), before_commit)
    })?;
    Ok(Answer::Restored(told(result, context)))
}

/// Brings one file or folder back: it is made beside its place first, then put there.
pub(super) fn file(
    vault: &Vault,
    backup: &str,
    path: &InnerPath,
    run: &str,
    to: &FilePlace,
    context: &Context,
) -> Result<Answer, Failure> {
    let result = gated(context, |before_swap| {
        vault.restore_file(backup, path, run, to, context.report.as_ref(), before_swap)
    })?;
    Ok(Answer::FileRestored { restored: told(result.restored, context), kept: result.kept })
}

/// Does something that asks the server once, before it replaces what exists.
fn gated<T>(
    context: &Context,
    work: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<T, VaultError>,
) -> Result<T, Failure> {
    let mut refused = None;
    let mut before = || match context.pass(Gate::Replace) {
        Ok(()) => true,
        Err(failure) => {
            refused = Some(failure);
            false
        }
    };
    let result = work(&mut before);
    match refused {
        Some(failure) => Err(failure),
        None => Ok(result?),
    }
}

/// Tells what could not be set as it was.
fn told(result: RestoreResult, context: &Context) -> Restored {
    for note in result.notes {
        context.report.note(note);
    }
    Restored {
        written: result.written,
        unchanged: result.unchanged,
        removed: result.removed,
        bytes: result.bytes,
    }
}

/// Makes the paths that a container wants to mount and that do not exist.
pub(super) fn make_paths(paths: &[MakePath]) -> Result<(), Failure> {
    for MakePath { path, file } in paths {
        let made = if *file {
            path.parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::OpenOptions::new().append(true).create(true).open(path).map(drop))
        } else {
            std::fs::create_dir_all(path)
        };
        made.map_err(|error| Failure {
            kind: FailureKind::Other,
            message: format!("{} can't be made: {error}.", path.display()),
            detail: error.to_string(),
        })?;
    }
    Ok(())
}

/// Finishes or undoes what an interrupted restore left in its targets.
pub(super) fn resume(run: &str, targets: &[PathBuf]) -> Result<Answer, Failure> {
    let mut finished = false;
    for target in targets {
        finished |= vault::resume_commit(target, run)?;
    }
    Ok(Answer::Resumed { finished })
}

impl From<DockerError> for Failure {
    fn from(error: DockerError) -> Self {
        let detail = crate::error::chain(&error);
        Self { kind: FailureKind::Docker, message: error.to_string(), detail }
    }
}
