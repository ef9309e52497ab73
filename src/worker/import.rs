//! Files that become backups: what one is, and bringing it into the vault.

use std::path::Path;

use super::{
    order::{Answer, Failure, FailureKind, ImportTask},
    serve::Context,
};
use crate::vault::{self, Vault, VaultError};

/// Says what a file is.
pub(super) fn inspect(archive: &Path) -> Result<Answer, Failure> {
    let unknown = || VaultError::Archive("it is not an archive of Container Monkey".to_owned());
    Ok(Answer::Archive(Box::new(vault::archive_header(archive)?.ok_or_else(unknown)?)))
}

/// Brings it into the vault.
pub(super) fn run(vault: &Vault, task: &ImportTask, context: &Context) -> Result<Answer, Failure> {
    std::fs::create_dir_all(&task.spool).map_err(|error| Failure {
        kind: FailureKind::Other,
        message: format!("{} can't be made: {error}.", task.spool.display()),
        detail: error.to_string(),
    })?;
    let imported = vault.import(&task.archive, &task.spool, &context.report)?;
    Ok(Answer::Imported { backups: imported.backups, known: imported.known })
}
