//! Paths of the host, looked at where they can be seen: by a worker.

use std::{collections::BTreeMap, path::PathBuf};

use super::vaults;
use crate::{
    app::App,
    error::Result,
    model::host_path::PathKind,
    worker::order::{Answer, Task},
};

/// What these paths are.
pub(super) async fn probe(app: &App, paths: Vec<PathBuf>) -> Result<BTreeMap<PathBuf, PathKind>> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let Answer::Probed(kinds) = app.ask_worker(Task::Probe { paths: paths.clone() }).await? else {
        return Err(vaults::unexpected().into());
    };
    Ok(paths.into_iter().zip(kinds).collect())
}
