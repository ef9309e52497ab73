//! What is not as schedules promise. Pure rules, no clock: `now` is given.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{container::Container, schedule::Schedule};

/// A slot may be so late before anybody is told.
const GRACE: TimeDelta = TimeDelta::minutes(15);

/// A schedule as it is now.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The schedule.
    pub schedule: Schedule,
    /// Its newest slot that was taken, see [`Schedule::due`].
    pub taken: Option<DateTime<Utc>>,
    /// Whether it runs now.
    pub running: bool,
}

/// A good backup.
#[derive(Debug, Clone, Copy)]
pub struct LastBackup<'a> {
    /// Its container.
    pub container: &'a str,
    /// When it was made.
    pub created: DateTime<Utc>,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A schedule did not run.
    DidNotRun {
        /// The schedule.
        schedule: Box<Schedule>,
        /// When it should have.
        slot: DateTime<Utc>,
    },
    /// A container that a schedule backs up has no recent good backup.
    NoBackup {
        /// Its name.
        container: String,
        /// The schedule's name.
        schedule: String,
        /// Days since the last good one; `None` = there is none.
        days: Option<i64>,
    },
}

impl Warning {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::DidNotRun { schedule, slot } => {
                let plan = &schedule.plan;
                let slot = slot.with_timezone(&plan.zone).format("%-d %b %Y, %H:%M");
                format!("{} should have run on {slot} and has not.", plan.name)
            }
            Self::NoBackup { container, schedule, days } => match days {
                None => format!("{container} has no good backup, although {schedule} should make one."),
                Some(0 | 1) => {
                    format!("The last good backup of {container} is older than {schedule} should let it be.")
                }
                Some(days) => {
                    format!(
                        "No good backup of {container} for {days} days, although {schedule} should make one."
                    )
                }
            },
        }
    }
}

/// Schedules that are overdue, then containers whose last good backup is older than two slots.
pub fn warnings(
    schedules: &[Seen],
    containers: &[Container],
    backups: &[LastBackup<'_>],
    now: DateTime<Utc>,
) -> Vec<Warning> {
    let mut newest: HashMap<&str, DateTime<Utc>> = HashMap::new();
    for backup in backups.iter().filter(|backup| backup.created <= now) {
        let known = newest.entry(backup.container).or_insert(backup.created);
        *known = backup.created.max(*known);
    }
    let overdue = schedules.iter().filter(|seen| !seen.running).filter_map(|seen| {
        let due = seen.schedule.due(seen.taken, now)?;
        let schedule = Box::new(seen.schedule.clone());
        (now - due.slot > GRACE).then_some(Warning::DidNotRun { schedule, slot: due.slot })
    });
    let mut told: Vec<Warning> = overdue.collect();
    for container in containers {
        // The schedule that promises most.
        let promises = schedules.iter().filter_map(|seen| Some((promised(seen, container, now)?, seen)));
        let Some((since, seen)) = promises.max_by_key(|(since, _)| *since) else { continue };
        let last = newest.get(container.name.as_str());
        if last.is_none() && DateTime::from_timestamp(container.created, 0).is_none_or(|made| made >= since) {
            continue;
        }
        if last.is_none_or(|last| *last < since) {
            told.push(Warning::NoBackup {
                container: container.name.clone(),
                schedule: seen.schedule.plan.name.clone(),
                days: last.map(|last| (now - *last).num_days()),
            });
        }
    }
    told
}

/// From which moment on there should be a good backup of this container: the slot before the latest one, which has
/// had the time until the latest one.
fn promised(seen: &Seen, container: &Container, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (schedule, plan) = (&seen.schedule, &seen.schedule.plan);
    if !schedule.enabled || !plan.selection.takes(container) {
        return None;
    }
    let latest = plan.timing.latest_at_or_before(now, plan.zone)?;
    let before = plan.timing.latest_at_or_before(latest - TimeDelta::seconds(1), plan.zone)?;
    (before > schedule.since).then_some(before)
}

#[cfg(test)]
#[path = "schedule_warning_tests.rs"]
mod tests;
