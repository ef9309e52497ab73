//! What is not as schedules promise, for the dashboard.

use chrono::{DateTime, Utc};

use crate::{
    app::App,
    db,
    error::Result,
    model::{
        backup::Trigger,
        container::Container,
        schedule_warning::{LastBackup, Seen, Warning, warnings},
    },
    ops::settings,
};

/// All of them: schedules that did not run, containers without a recent good backup.
pub async fn all(app: &App, containers: &[Container], now: DateTime<Utc>) -> Result<Vec<Warning>> {
    let server = settings::server_name(app).await?;
    let views = super::list(app, now).await?;
    let seen: Vec<Seen> = views
        .into_iter()
        .map(|view| Seen { running: view.is_running(), taken: view.taken, schedule: view.schedule })
        .collect();
    let backups = app.db.read(db::backups::all).await?;
    let good = backups.iter().filter(|backup| {
        backup.meta.state.is_good()
            && backup.server_name == server
            && backup.trigger != Trigger::Safety
            && backup.created <= now
    });
    let last: Vec<LastBackup<'_>> = good
        .map(|backup| LastBackup { container: &backup.meta.container, created: backup.created })
        .collect();
    Ok(warnings(&seen, containers, &last, now))
}
