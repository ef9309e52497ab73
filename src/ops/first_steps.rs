//! What a new installation still needs. Each step is done by what is, not by what somebody ticked.

use super::{dashboard::Stats, recovery_kit};
use crate::{app::App, db, error::Result, model::vault::Storage};

/// Set once somebody has put them away.
const HIDDEN: &str = "first_steps.hidden";

/// Which of them are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a step of its own")]
pub struct FirstSteps {
    /// The user has another password than the one in the documentation.
    pub password: bool,
    /// Somebody chose where backups go: there is a bucket, or there are backups already.
    pub place: bool,
    /// Something of this server is backed up.
    pub backup: bool,
    /// There is a schedule.
    pub schedule: bool,
    /// The recovery kit is put away.
    pub kit: bool,
}

/// Those of this server; `None` when nothing is left to do, or nobody wants to see them any more.
pub async fn find(app: &App, stats: &Stats, default_password: bool) -> Result<Option<FirstSteps>> {
    let was_saved = recovery_kit::was_saved(app).await?;
    let steps = FirstSteps {
        password: !default_password,
        place: app.vaults.of(Storage::S3).state() != crate::vaults::State::Absent || stats.backups > 0,
        backup: !stats.newest.is_empty(),
        schedule: !stats.schedules.is_empty(),
        // While no vault is open there is no kit, and none is missing.
        kit: was_saved && recovery_kit::is_saved(app).await?,
    };
    // A kit that is out of date is no first step: every page reminds of it.
    let left = !(steps.password && steps.backup && steps.schedule && was_saved);
    let hidden = app.db.read(|c| db::settings::get(c, HIDDEN)).await?.is_some();
    Ok((left && !hidden).then_some(steps))
}

/// Shows them no more.
pub async fn hide(app: &App) -> Result<()> {
    Ok(app.db.write(|c| db::settings::set(c, HIDDEN, Some("1"))).await?)
}
