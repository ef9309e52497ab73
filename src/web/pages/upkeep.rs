//! How the vaults are kept healthy: the settings, and freeing space now.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::verify::Percent;
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        names::RunId,
        upkeep::{Prune, Upkeep, Verify},
        vault::Storage,
    },
    ops::{Actor, upkeep},
    vaults,
    web::{
        format::When,
        input::{Input, Path, Query, choice, flag, storage},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

#[derive(Template)]
#[template(path = "settings/maintenance.html")]
struct MaintenanceScreen {
    settings: Upkeep,
    next: Option<When>,
    storages: Vec<Storage>,
    saved: bool,
}

impl MaintenanceScreen {
    /// Value and words of each choice.
    const VERIFY: [(Verify, &'static str); 3] = [
        (Verify::Off, "only when somebody asks"),
        (Verify::Weekly, "each Sunday"),
        (Verify::Monthly, "on the first of each month"),
    ];
    const PRUNE: [(Prune, &'static str); 3] = [
        (Prune::AfterDeletions, "after backups were deleted"),
        (Prune::Daily, "each day"),
        (Prune::Weekly, "each Sunday"),
    ];

    fn percents(&self) -> Vec<u32> {
        offered(&[0, 5, 10, 25, 50, 100], self.settings.percent)
    }

    fn days(&self) -> Vec<u32> {
        offered(&[0, 1, 3, 7, 14, 30], self.settings.keep_deleted)
    }
}

/// These numbers, and the one that a script has set.
fn offered(numbers: &[u32], set: u32) -> Vec<u32> {
    let mut all = [numbers, &[set]].concat();
    all.sort_unstable();
    all.dedup();
    all
}

impl Screen for MaintenanceScreen {
    fn title(&self) -> Cow<'_, str> {
        "Maintenance".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

/// What the form before has saved.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Saved {
    #[serde(deserialize_with = "flag")]
    saved: bool,
}

/// `GET /settings/maintenance` and `GET /api/maintenance`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(Saved { saved }): Query<Saved>,
) -> Result<Response> {
    let settings = upkeep::settings(&app).await?;
    let set_up = |storage: &Storage| app.vaults.of(*storage).state() != vaults::State::Absent;
    let screen = MaintenanceScreen {
        next: upkeep::next_verification(&app, settings.verify, shell.now).map(|at| shell.when(at)),
        storages: Storage::ALL.into_iter().filter(set_up).collect(),
        settings,
        saved,
    };
    shell.show(&screen, render, |screen| shape(&screen.settings, screen.next.as_ref())).await
}

fn shape(settings: &Upkeep, next: Option<&When>) -> Value {
    json!({
        "verify": settings.verify, "percent": settings.percent, "prune": settings.prune,
        "keep_deleted": settings.keep_deleted,
        "next_verification": next.map(|when| &when.iso),
    })
}

/// What is to be set; what is left out stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    verify: Option<String>,
    percent: Option<Percent>,
    prune: Option<String>,
    keep_deleted: Option<Percent>,
}

/// `POST /settings/maintenance` and `POST /api/maintenance`.
pub(in crate::web) async fn save(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(wanted): Input<Wanted>,
) -> Result<Response> {
    let before = upkeep::settings(&app).await?;
    let verify = choice("verify", wanted.verify.as_deref(), |word| {
        format!("“{word}” is not known. Use off, weekly or monthly.")
    })?;
    let prune = choice("prune", wanted.prune.as_deref(), |word| {
        format!("“{word}” is not known. Use after_deletions, daily or weekly.")
    })?;
    let percent = wanted.percent.as_ref().map(Percent::number).transpose()?;
    let bad_days = |_| AppError::field("keep_deleted", "Give a whole number of days, 0 = at once.");
    let keep_deleted = wanted.keep_deleted.as_ref().map(Percent::number).transpose().map_err(bad_days)?;
    let settings = Upkeep {
        verify: verify.unwrap_or(before.verify),
        percent: percent.unwrap_or(before.percent),
        prune: prune.unwrap_or(before.prune),
        keep_deleted: keep_deleted.unwrap_or(before.keep_deleted),
    };
    upkeep::change(&app, &actor, settings, shell.now).await?;
    let next = upkeep::next_verification(&app, settings.verify, shell.now).map(|at| shell.when(at));
    let mut json = shape(&settings, next.as_ref());
    json["success"] = json!(true);
    shell.done(Done::new("The maintenance is set", "/settings/maintenance?saved=true", json).leaving())
}

/// Which vault.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Where {
    storage: Option<String>,
}

/// `POST /vault/prune`.
pub(in crate::web) async fn prune(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(wanted): Input<Where>,
) -> Result<Response> {
    let storage = storage(wanted.storage.as_deref())?.unwrap_or_default();
    queued(&shell, &upkeep::prune::request(&app, &actor, storage).await?)
}

/// `POST /api/vaults/{storage}/prune`.
pub(in crate::web) async fn prune_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(word): Path<String>,
) -> Result<Response> {
    let storage = storage(Some(&word))?.ok_or(AppError::NotFound("This vault".into()))?;
    queued(&shell, &upkeep::prune::request(&app, &actor, storage).await?)
}

fn queued(shell: &Shell, run: &RunId) -> Result<Response> {
    let json = json!({
        "success": true, "message": "Clean-up queued", "progress_id": run, "status": "queued",
    });
    shell.done(Done::new("The clean-up is queued", format!("/jobs/{run}"), json).accepted())
}
