//! What is not as schedules promise, for the dashboard.

use chrono::{DateTime, Utc};

use super::View;
use crate::model::{
    backup::Backup,
    container::Container,
    schedule_warning::{LastBackup, Seen, Warning, warnings},
};

/// All of them: schedules that did not run, containers without a recent good backup.
/// `good`: the newest one of each container until now.
pub fn all(views: &[View], containers: &[Container], good: &[Backup], now: DateTime<Utc>) -> Vec<Warning> {
    let seen =
        |view: &View| Seen { running: view.is_running(), taken: view.taken, schedule: view.schedule.clone() };
    let seen: Vec<Seen> = views.iter().map(seen).collect();
    let last: Vec<LastBackup<'_>> = good
        .iter()
        .map(|backup| LastBackup { container: &backup.meta.container, created: backup.created })
        .collect();
    warnings(&seen, containers, &last, now)
}
