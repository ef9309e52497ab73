//! What is not as schedules promise, for the dashboard.

use chrono::{DateTime, Utc};

use super::View;
use crate::model::{
    backup::{Backup, Kind},
    container::Container,
    schedule_warning::{LastBackup, Seen, Warning, warnings},
};

/// All of them: schedules that did not run, containers without a recent good backup of this server in the catalog.
pub fn all(
    views: &[View],
    containers: &[Container],
    catalog: &[Backup],
    server: &str,
    now: DateTime<Utc>,
) -> Vec<Warning> {
    let seen =
        |view: &View| Seen { running: view.is_running(), taken: view.taken, schedule: view.schedule.clone() };
    let seen: Vec<Seen> = views.iter().map(seen).collect();
    let good = catalog.iter().filter(|backup| backup.meta.kind == Kind::Container && backup.protects(server));
    let last: Vec<LastBackup<'_>> = good
        .map(|backup| LastBackup { container: &backup.meta.container, created: backup.created })
        .collect();
    warnings(&seen, containers, &last, now)
}
