//! Which backups of a schedule are kept. The preview and the executor ask [`decide`], and nobody else decides.
//! No clock in here: `now` and the zone are given.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    backup::{Backup, Trigger},
    names::ScheduleId,
    vault::Storage,
};

/// How many to keep, per container and vault. Each rule keeps the newest backup of each of its newest hours, days… that have
/// one; a backup stays if any rule keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// The newest so many, at least 1.
    pub last: u32,
    /// One each of so many hours.
    pub hourly: u32,
    /// One each of so many days.
    pub daily: u32,
    /// One each of so many weeks (from Monday).
    pub weekly: u32,
    /// One each of so many months.
    pub monthly: u32,
    /// One each of so many years.
    pub yearly: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self::last(7)
    }
}

impl Rules {
    /// The largest number of each.
    pub const MOST: u32 = 9999;

    /// Only the newest so many.
    pub const fn last(last: u32) -> Self {
        Self { last, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
    }

    /// Checks them: the field and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.last == 0 {
            return Err(("lifecycle", "Keep at least 1: the newest backup is never deleted.".to_owned()));
        }
        let all = [
            ("lifecycle", self.last),
            ("keep_hourly", self.hourly),
            ("keep_daily", self.daily),
            ("keep_weekly", self.weekly),
            ("keep_monthly", self.monthly),
            ("keep_yearly", self.yearly),
        ];
        match all.iter().find(|(_, count)| *count > Self::MOST) {
            Some((field, _)) => Err((field, format!("At most {}.", Self::MOST))),
            None => Ok(()),
        }
    }

    /// In words: "last 3, 7 daily, 4 weekly".
    pub fn words(&self) -> String {
        let rest = [
            (self.hourly, "hourly"),
            (self.daily, "daily"),
            (self.weekly, "weekly"),
            (self.monthly, "monthly"),
            (self.yearly, "yearly"),
        ];
        let rest = rest.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        std::iter::once(format!("last {}", self.last)).chain(rest).collect::<Vec<_>>().join(", ")
    }
}

/// Whose backups the rules are about.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Only backups of this server.
    pub server: &'a str,
    /// Only backups that this schedule made.
    pub schedule: &'a ScheduleId,
    /// Only backups of these containers.
    pub containers: &'a [String],
    /// Backups (ids) that somebody protected.
    pub pinned: &'a HashSet<String>,
}

/// Why a backup stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Reason {
    /// The rules are not about it: made by hand, before a restore, by an upload, by another schedule or server, of
    /// another container, or protected.
    NotOurs {
        /// In words.
        what: &'static str,
    },
    /// The newest good one of its container is never deleted.
    Newest,
    /// Among the newest so many.
    Last,
    /// The newest of a period.
    Period {
        /// hourly, daily, weekly, monthly, yearly.
        rule: &'static str,
        /// Which one: "2026-03-14", "week 11 of 2026".
        which: String,
    },
    /// The oldest one, as long as a rule has room.
    Oldest {
        /// As above.
        rule: &'static str,
    },
    /// Its date lies in the future: a clock was wrong.
    Future,
    /// Incomplete, and there are not yet so many newer good ones as the newest so many that are kept.
    Incomplete,
}

impl Reason {
    /// In words: "newest of 2026-03-14".
    pub fn words(&self) -> String {
        match self {
            Self::NotOurs { what } => (*what).to_owned(),
            Self::Newest => "newest good one".to_owned(),
            Self::Last => "among the last".to_owned(),
            Self::Period { rule, which } => format!("{rule}, {which}"),
            Self::Oldest { rule } => format!("{rule}, oldest"),
            Self::Future => "dated in the future".to_owned(),
            Self::Incomplete => "incomplete, newer good ones are still few".to_owned(),
        }
    }
}

/// What happens to a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<'a> {
    /// The backup.
    pub backup: &'a Backup,
    /// Why it stays; empty = it goes.
    pub keep: Vec<Reason>,
}

impl Decision<'_> {
    /// Whether it is deleted.
    pub fn goes(&self) -> bool {
        self.keep.is_empty()
    }
}

type Bucket = fn(&DateTime<Tz>) -> String;

/// Decides about every backup, in the order given. Does not depend on that order.
///
/// Only good ones (complete, also with warnings) count. The newest good one of a container always stays. Incomplete
/// ones go once a newer good one is there and they would not be among the newest so many.
pub fn decide<'a>(
    backups: &'a [Backup],
    scope: Scope<'_>,
    rules: &Rules,
    zone: Tz,
    now: DateTime<Utc>,
) -> Vec<Decision<'a>> {
    let mut decisions: Vec<Decision<'a>> = backups
        .iter()
        .map(|backup| Decision { backup, keep: not_ours(backup, scope, now).into_iter().collect() })
        .collect();
    let mut groups: BTreeMap<(Storage, &str), Vec<&mut Decision<'a>>> = BTreeMap::new();
    for decision in decisions.iter_mut().filter(|decision| decision.goes()) {
        groups.entry((decision.backup.storage, &decision.backup.meta.container)).or_default().push(decision);
    }
    for group in groups.into_values() {
        decide_group(group, rules, zone);
    }
    decisions
}

fn not_ours(backup: &Backup, scope: Scope<'_>, now: DateTime<Utc>) -> Option<Reason> {
    let what = match backup.trigger {
        Trigger::Manual => "made by hand",
        Trigger::Import => "uploaded",
        Trigger::Safety => "made before a restore",
        Trigger::Scheduled if backup.server_name != scope.server => "of another server",
        Trigger::Scheduled if backup.meta.schedule.as_ref() != Some(scope.schedule) => "of another schedule",
        Trigger::Scheduled if !scope.containers.contains(&backup.meta.container) => "of another container",
        Trigger::Scheduled if scope.pinned.contains(&backup.id) => "protected",
        Trigger::Scheduled if backup.created > now => return Some(Reason::Future),
        Trigger::Scheduled => return None,
    };
    Some(Reason::NotOurs { what })
}

/// Backups of one container that the rules are about.
fn decide_group(mut group: Vec<&mut Decision<'_>>, rules: &Rules, zone: Tz) {
    // Newest first. The id decides between two of the same moment, so that the order they came in does not.
    group.sort_by(|a, b| (b.backup.created, &b.backup.id).cmp(&(a.backup.created, &a.backup.id)));
    let (mut good, bad): (Vec<_>, Vec<_>) =
        group.into_iter().partition(|decision| decision.backup.meta.state.is_good());
    let times: Vec<_> = good.iter().map(|decision| decision.backup.created.with_timezone(&zone)).collect();
    for (index, decision) in good.iter_mut().enumerate() {
        if index == 0 {
            decision.keep.push(Reason::Newest);
        } else if index < rules.last as usize {
            decision.keep.push(Reason::Last);
        }
    }
    let periods: [(&'static str, u32, Bucket); 5] = [
        ("hourly", rules.hourly, |time| format!("{} {:02}:00", time.date_naive(), time.hour())),
        ("daily", rules.daily, |time| time.date_naive().to_string()),
        ("weekly", rules.weekly, |time| {
            let week = time.iso_week();
            format!("week {} of {}", week.week(), week.year())
        }),
        ("monthly", rules.monthly, |time| format!("{}-{:02}", time.year(), time.month())),
        ("yearly", rules.yearly, |time| time.year().to_string()),
    ];
    for (rule, count, bucket) in periods {
        let mut left = count;
        let mut before = None;
        for (index, time) in times.iter().enumerate() {
            let which = bucket(time);
            let first = before.as_ref() != Some(&which);
            if left > 0 && first {
                good[index].keep.push(Reason::Period { rule, which: which.clone() });
                left -= 1;
            } else if left > 0 && index + 1 == times.len() {
                good[index].keep.push(Reason::Oldest { rule });
            }
            before = Some(which);
        }
    }
    for decision in bad {
        let created = decision.backup.created;
        let newer = good.iter().filter(|other| other.backup.created > created).count();
        if newer < (rules.last as usize).max(1) {
            decision.keep.push(Reason::Incomplete);
        }
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
