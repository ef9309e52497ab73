//! What is not as it should be, though no job says so: schedules that did not run, containers without a recent backup,
//! vaults that can't be used. Each is told once when it begins and once when it is over, also over a restart.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{schedules, settings, vaults};
use crate::{
    app::App,
    db,
    error::{Result, chain},
    model::{
        backup::Kind,
        notice::{Event, Notice},
        progress::Level,
        schedule_warning::Warning,
        vault::Storage,
    },
    worker::order::FailureKind,
};

/// How often is looked.
const EVERY: Duration = Duration::from_mins(5);

/// Each so many times the vaults are asked, too: that takes a worker.
const VAULTS: u32 = 12;

/// Where is kept what has been told: key and title, as JSON.
const TOLD: &str = "told_alarms";

/// Alarms by what they are about.
type Alarms = BTreeMap<String, Notice>;

/// Looks until the server stops.
pub async fn run(app: App) {
    let mut round = 0u32;
    loop {
        if let Err(error) = look(&app, Utc::now(), round % VAULTS == VAULTS - 1).await {
            tracing::error!(error = chain(&error), "warnings can't be looked for; tried again");
        }
        round = round.wrapping_add(1);
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(app: &App, now: DateTime<Utc>, ask: bool) -> Result<()> {
    let mut alarms = of_vaults(app, ask).await;
    // Without the engine nobody knows what is selected; what was told of schedules stays told.
    let known = match app.docker.containers().await {
        Ok(containers) => {
            let server = settings::server_name(app).await?;
            let newest =
                move |c: &mut db::Connection| db::backups::newest(c, &server, Kind::Container, Some(now));
            let good = app.db.read(newest).await?;
            let views = schedules::list(app, now).await?;
            let all = schedules::warnings::all(&views, &containers, &good, now);
            alarms.extend(all.iter().map(of_schedule));
            true
        }
        Err(_) => false,
    };
    let told = app.db.write(move |c| {
        let before: BTreeMap<String, String> = match db::settings::get(c, TOLD)? {
            // What is not understood is told anew.
            Some(text) => serde_json::from_str(&text).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let (after, news) = news(&before, &alarms, known);
        for notice in &news {
            db::notices::post(c, notice, now)?;
        }
        if after != before {
            db::settings::set(c, TOLD, Some(&json!(after).to_string()))?;
        }
        Ok(news)
    });
    for notice in told.await? {
        match notice.level {
            Level::Info => tracing::info!("{}", notice.title),
            Level::Warning | Level::Error => tracing::warn!("{}: {}", notice.title, notice.text),
        }
        app.notices.notify_one();
    }
    Ok(())
}

/// What is kept as told, and what is to be told. `known`: schedules were looked at, too.
fn news(
    before: &BTreeMap<String, String>,
    alarms: &Alarms,
    known: bool,
) -> (BTreeMap<String, String>, Vec<Notice>) {
    let mut after = BTreeMap::new();
    let mut news = Vec::new();
    for (key, notice) in alarms {
        if !before.contains_key(key) {
            news.push(notice.clone());
        }
        after.insert(key.clone(), before.get(key).unwrap_or(&notice.title).clone());
    }
    for (key, title) in before.iter().filter(|(key, _)| !alarms.contains_key(*key)) {
        if known || key.starts_with("vault:") {
            news.push(over(title));
        } else {
            after.insert(key.clone(), title.clone());
        }
    }
    (after, news)
}

fn over(title: &str) -> Notice {
    Notice {
        event: Event::Warning,
        level: Level::Info,
        title: format!("No longer: {title}"),
        text: "This is as it should be again.".to_owned(),
        path: String::new(),
        schedule: None,
        facts: json!({}),
    }
}

fn of_schedule(warning: &Warning) -> (String, Notice) {
    let notice = |title: String, path: String, schedule, facts| Notice {
        event: Event::Warning,
        level: Level::Error,
        title,
        text: warning.words(),
        path,
        schedule,
        facts,
    };
    match warning {
        Warning::DidNotRun { schedule, slot } => {
            let name = &schedule.plan.name;
            let notice = notice(
                format!("{name} did not run"),
                format!("/schedules/{}", schedule.id),
                Some(schedule.id.clone()),
                json!({ "schedule": name, "slot": slot.to_rfc3339() }),
            );
            (format!("schedule:{}", schedule.id), notice)
        }
        Warning::NoBackup { container, schedule, days } => {
            let notice = notice(
                format!("{container} has no recent backup"),
                format!("/containers/{container}"),
                None,
                json!({ "container": container, "schedule": schedule, "days": days }),
            );
            (format!("container:{container}"), notice)
        }
    }
}

/// `ask`: whether those that were well are asked.
async fn of_vaults(app: &App, ask: bool) -> Alarms {
    let mut alarms = Alarms::new();
    for storage in Storage::ALL {
        let mut problem = app.problem_of(storage);
        if problem.is_none() && ask && app.vault(storage).is_ok() {
            let failure = vaults::refresh(app, storage).await.err();
            problem =
                failure.filter(|failure| failure.kind != FailureKind::Docker).map(|failure| failure.message);
        }
        if let Some(why) = problem {
            let notice = Notice {
                event: Event::Warning,
                level: Level::Error,
                title: format!("The vault on {} storage can’t be used", storage.label()),
                text: why,
                path: "/vault".to_owned(),
                schedule: None,
                facts: json!({ "storage": storage }),
            };
            alarms.insert(format!("vault:{storage}"), notice);
        }
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let warning = |name: &str| {
            of_schedule(&Warning::NoBackup {
                container: name.into(),
                schedule: "Nightly".into(),
                days: Some(9),
            })
        };
        let titles = |news: &[Notice]| news.iter().map(|notice| notice.title.clone()).collect::<Vec<_>>();
        let alarms: Alarms = [warning("web"), warning("db")].into();
        let (told, first) = news(&BTreeMap::new(), &alarms, true);
        assert_eq!(titles(&first), ["db has no recent backup", "web has no recent backup"]);
        assert!(first[0].text.contains("for 9 days"), "{}", first[0].text);
        let (told, again) = news(&told, &alarms, true);
        assert_eq!(titles(&again), [""; 0]);
        // While the engine is away nothing is known to be over.
        let (told, away) = news(&told, &Alarms::new(), false);
        assert_eq!((titles(&away), told.len()), (Vec::<String>::new(), 2));
        let (told, last) = news(&told, &[warning("db")].into(), true);
        assert_eq!(titles(&last), ["No longer: web has no recent backup"]);
        let (_, back) = news(&told, &alarms, true);
        assert_eq!(titles(&back), ["web has no recent backup"], "a new state is told anew");
    }
}
