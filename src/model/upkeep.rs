//! How the vaults are kept healthy without anybody asking: verified now and again, and freed of what no backup needs.
//! Pure rules, no clock: `now` and the zone are given.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{backup::words, timing::Timing};

/// What no backup needs any more stays so long: a backup that began before may still rely on it. The engine waits
/// 23 hours; the hour more makes sure that they are over.
pub const WAITS: TimeDelta = TimeDelta::hours(24);

/// A clock may go ahead by so much; moments beyond that were written by one that was wrong.
const AHEAD: TimeDelta = TimeDelta::hours(24);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upkeep {
    /// How often all backups are verified.
    pub verify: Verify,
    /// How much of the data is read each time, another part in turns; percent, 0 = only the structure is looked at.
    pub percent: u32,
    /// When space is freed.
    pub prune: Prune,
    /// For so many days a backup that somebody deleted stays in the vault and can be brought back; 0 = it goes at once.
    pub keep_deleted: u32,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { verify: Verify::Weekly, percent: 0, prune: Prune::AfterDeletions, keep_deleted: 1 }
    }
}

impl Upkeep {
    /// The most days that deleted backups are kept.
    pub const MOST_DAYS: u32 = 365;

    /// Until when a backup that is deleted now can be brought back; now, where it can't.
    pub fn keeps_until(&self, deleted: DateTime<Utc>) -> DateTime<Utc> {
        deleted + TimeDelta::days(self.keep_deleted.into())
    }

    /// From when on the space of what is deleted now is free.
    pub fn free_from(&self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        self.prune.free_from(self.keeps_until(now), zone)
    }
}

/// How often all backups are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Only when somebody asks.
    Off,
    /// Each Sunday.
    Weekly,
    /// On the first of each month.
    Monthly,
}

words!(Verify { Off => "off", Weekly => "weekly", Monthly => "monthly" });

/// When space is freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    /// When backups were deleted, and once more when their space may go.
    AfterDeletions,
    /// Each day.
    Daily,
    /// Each Sunday.
    Weekly,
}

words!(Prune { AfterDeletions => "after_deletions", Daily => "daily", Weekly => "weekly" });

impl Verify {
    /// Its slots; `None` where it has none.
    pub fn timing(self) -> Option<Timing> {
        match self {
            Self::Off => None,
            Self::Weekly => Some(Timing::Weekly { weekdays: vec![6], hour: 4, minute: 30 }),
            Self::Monthly => Some(Timing::Cron { expression: "30 4 1 * *".to_owned() }),
        }
    }
}

impl Prune {
    /// Its slots; `None` where it has none.
    pub fn timing(self) -> Option<Timing> {
        match self {
            Self::AfterDeletions => None,
            Self::Daily => Some(Timing::Daily { hour: 5, minute: 30 }),
            Self::Weekly => Some(Timing::Weekly { weekdays: vec![6], hour: 5, minute: 30 }),
        }
    }

    /// From when on the space of what goes from the vault now is free.
    fn free_from(self, now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let Some(timing) = self.timing() else { return now + WAITS };
        // It is marked in the first slot and goes in the first one after the wait.
        let marked = timing.next_after(now, zone).unwrap_or(now);
        timing.next_after(marked + WAITS - TimeDelta::hours(1), zone).unwrap_or(marked + WAITS)
    }
}

/// The newest slot that has come and was not taken. `taken`: the newest one that was, or since when there are any.
/// However many were missed, it is one.
pub fn due(timing: &Timing, taken: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    timing.latest_at_or_before(now, zone).filter(|slot| *slot > taken)
}

/// Whether a moment that was written down can be believed: a clock that had jumped far ahead and came back must not
/// be waited for.
pub fn believed(moment: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    moment <= now.checked_add_signed(AHEAD).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Berlin;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn one_slot_makes_up_for_all_that_were_missed() {
        let weekly = Verify::Weekly.timing().unwrap();
        // Sundays, 04:30 in Berlin.
        let taken = at("2026-03-08T03:30:00Z");
        assert_eq!(due(&weekly, taken, at("2026-03-15T03:29:59Z"), Berlin), None);
        assert_eq!(due(&weekly, taken, at("2026-03-15T03:30:00Z"), Berlin), Some(at("2026-03-15T03:30:00Z")));
        let late = due(&weekly, taken, at("2026-04-01T00:00:00Z"), Berlin).unwrap();
        assert_eq!(late, at("2026-03-29T02:30:00Z"), "in summer time");
        assert_eq!(due(&weekly, late, at("2026-04-01T00:00:00Z"), Berlin), None);
        let monthly = Verify::Monthly.timing().unwrap();
        assert_eq!(monthly.check(), Ok(()));
        assert_eq!(
            due(&monthly, taken, at("2026-05-20T00:00:00Z"), Berlin),
            Some(at("2026-05-01T02:30:00Z"))
        );
        assert!(believed(at("2026-03-15T20:00:00Z"), at("2026-03-15T03:00:00Z")));
        assert!(!believed(at("2027-03-15T20:00:00Z"), at("2026-03-15T03:00:00Z")));
    }

    #[test]
    fn space_is_free_a_day_after_it_was_marked() {
        let now = at("2026-03-10T12:00:00Z");
        assert_eq!(Prune::AfterDeletions.free_from(now, Berlin), at("2026-03-11T12:00:00Z"));
        assert_eq!(Prune::Daily.free_from(now, Berlin), at("2026-03-12T04:30:00Z"));
        assert_eq!(Prune::Weekly.free_from(now, Berlin), at("2026-03-22T04:30:00Z"));
    }
}
