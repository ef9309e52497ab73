//! Files that become backups: what one is, and bringing it into the vault.

use std::{fs::File, path::Path};

use super::{
    order::{Answer, Failure, FailureKind, ImportTask},
    serve::Context,
};
use crate::{
    docker,
    model::{
        backup::Kind,
        progress::{Level, Note},
    },
    vault::{self, Flask, Imported, Vault},
};

/// Says what a file is.
pub(super) fn inspect(archive: &Path, name: &str) -> Result<Answer, Failure> {
    let header = match vault::archive_header(archive)? {
        Some(header) => header,
        None => Flask::read(archive, name, None)?.header(),
    };
    Ok(Answer::Archive(Box::new(header)))
}

/// Brings it into the vault.
pub(super) fn run(vault: &Vault, task: &ImportTask, context: &Context) -> Result<Answer, Failure> {
    std::fs::create_dir_all(&task.spool).map_err(|error| Failure {
        kind: FailureKind::Other,
        message: format!("{} can't be made: {error}.", task.spool.display()),
        detail: error.to_string(),
    })?;
    let imported = if vault::archive_header(&task.archive)?.is_some() {
        vault.import(&task.archive, &task.spool, &context.report)?
    } else {
        flask(vault, task, context)?
    };
    Ok(Answer::Imported { backups: imported.backups, known: imported.known })
}

fn flask(vault: &Vault, task: &ImportTask, context: &Context) -> Result<Imported, Failure> {
    context.report.step(1, 3, "Unpacking the archive");
    let flask = Flask::read(&task.archive, &task.name, Some(&task.spool))?;
    let image = flask.image.clone().and_then(|saved| {
        let dir = task.spool.join("image");
        let file = File::open(&saved).map_err(|error| error.to_string())?;
        let (record, config) = docker::unpack_saved(file, &dir).map_err(|error| error.to_string())?;
        let _ = std::fs::remove_file(saved);
        Ok((dir, record, config))
    });
    if let Ok((_, record, _)) = &image
        && flask.kind == Kind::Container
        && record.id != flask.image_id()
    {
        let text = "The image in the archive is another version than the one the container ran: its name had moved on.";
        context.report.note(Note { level: Level::Warning, text: text.to_owned() });
    }
    context.report.step(2, 3, "Reading the container's data");
    Ok(vault.import_flask(&flask, image, &context.report)?)
}
