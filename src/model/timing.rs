//! When a schedule runs: moments worked out from wall-clock times. No clock in here: `now` and the zone are given.
//!
//! A wall-clock time that does not exist (clocks go forward) happens at the first moment after the gap. One that
//! occurs twice (clocks go back) happens once, the first time; only what happens every hour of the day happens in
//! both hours. croner finds the wall-clock times, what moment they are is decided here: croner itself lets steps
//! such as `30 */2` fall into the gap, and lists such as `30 2,14` happen twice.

use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron, Direction,
    parser::{CronParser, Seconds, Year},
};
use serde::{Deserialize, Serialize};

/// More than any zone puts its clocks back (2 h, Antarctica/Troll).
const OVERLAP: TimeDelta = TimeDelta::hours(3);

/// Names of the days, from 0 = Monday.
pub const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// When a schedule runs, in wall-clock time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Timing {
    /// Every day.
    Daily {
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
    /// On some days of the week.
    Weekly {
        /// 0 = Monday to 6 = Sunday, at least one.
        weekdays: Vec<u8>,
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
    /// A cron expression of five parts.
    Cron {
        /// The text.
        expression: String,
    },
}

/// Why a timing can't be used: the field and a sentence.
pub type Problem = (&'static str, String);

impl Timing {
    /// Checks it. Fields of the answer: `hour`, `minute`, `day_of_week`, `cron`.
    pub fn check(&self) -> Result<(), Problem> {
        let clock = |hour: u8, minute: u8| match (hour, minute) {
            (24.., _) => Err(("hour", "The hour goes from 0 to 23.".to_owned())),
            (_, 60..) => Err(("minute", "The minute goes from 0 to 59.".to_owned())),
            _ => Ok(()),
        };
        match self {
            Self::Weekly { weekdays, .. } if weekdays.is_empty() => {
                Err(("day_of_week", "Choose at least one day.".to_owned()))
            }
            Self::Weekly { weekdays, .. } if weekdays.iter().any(|day| *day > 6) => {
                Err(("day_of_week", "The day of the week goes from 0 (Monday) to 6 (Sunday).".to_owned()))
            }
            Self::Daily { hour, minute } | Self::Weekly { hour, minute, .. } => clock(*hour, *minute),
            Self::Cron { expression } => {
                let cron = parse(expression).map_err(|why| ("cron", why))?;
                match cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(("cron", "There is no such day in any year.".to_owned())),
                }
            }
        }
    }

    /// In words: "Daily at 02:30".
    pub fn words(&self) -> String {
        match self {
            Self::Daily { hour, minute } => format!("Daily at {hour:02}:{minute:02}"),
            Self::Weekly { weekdays, hour, minute } => {
                let days = match weekdays.as_slice() {
                    [day] => format!("{}s", WEEKDAYS[usize::from(*day) % 7]),
                    [0, 1, 2, 3, 4] => "Monday to Friday".to_owned(),
                    [0, 1, 2, 3, 4, 5, 6] => "Every day".to_owned(),
                    days => {
                        let short = days.iter().map(|day| &WEEKDAYS[usize::from(*day) % 7][..3]);
                        short.collect::<Vec<_>>().join(", ")
                    }
                };
                format!("{days} at {hour:02}:{minute:02}")
            }
            Self::Cron { expression } => format!("Cron {expression}"),
        }
    }

    /// The first slot after this moment; `None` when there is none in the next centuries.
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        Slots::of(self, zone)?.next_after(after)
    }

    /// The newest slot that is not after this moment.
    pub fn latest_at_or_before(&self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        Slots::of(self, zone)?.latest_at_or_before(now)
    }

    /// The next slots.
    pub fn upcoming(&self, after: DateTime<Utc>, zone: Tz) -> impl Iterator<Item = DateTime<Utc>> {
        let slots = Slots::of(self, zone);
        let next = move |after: DateTime<Utc>| slots.as_ref()?.next_after(after);
        std::iter::successors(next(after), move |slot| next(*slot))
    }
}

/// Which wall-clock times.
enum Walls {
    /// This time on these days.
    Days { time: NaiveTime, weekdays: Vec<u8> },
    /// Those that match.
    Cron(Box<Cron>),
}

impl Walls {
    /// The nearest one from here on, in this direction. Times are as if they were UTC.
    fn find(&self, from: NaiveDateTime, direction: Direction, inclusive: bool) -> Option<NaiveDateTime> {
        let forward = direction == Direction::Forward;
        match self {
            Self::Days { time, weekdays } => {
                let days = (0..=7).filter_map(|days| {
                    let days = TimeDelta::days(if forward { days } else { -days });
                    Some(from.date().checked_add_signed(days)?.and_time(*time))
                });
                let mut fitting = days.filter(|wall| {
                    let ahead = if forward { *wall > from } else { *wall < from };
                    let weekday = wall.weekday().num_days_from_monday();
                    (ahead || (inclusive && *wall == from))
                        && weekdays.iter().any(|day| u32::from(*day) == weekday)
                });
                fitting.next()
            }
            Self::Cron(cron) => {
                let found = if forward {
                    cron.find_next_occurrence(&from.and_utc(), inclusive)
                } else {
                    cron.find_previous_occurrence(&from.and_utc(), inclusive)
                };
                Some(found.ok()?.naive_utc())
            }
        }
    }
}

/// Wall-clock times and the moments they are.
struct Slots {
    walls: Walls,
    zone: Tz,
    every_hour: bool,
}

impl Slots {
    fn of(timing: &Timing, zone: Tz) -> Option<Self> {
        let clock = |hour: u8, minute: u8| NaiveTime::from_hms_opt(hour.into(), minute.into(), 0);
        let mut every_hour = false;
        let walls = match timing {
            Timing::Daily { hour, minute } => {
                Walls::Days { time: clock(*hour, *minute)?, weekdays: (0..7).collect() }
            }
            Timing::Weekly { weekdays, hour, minute } => {
                Walls::Days { time: clock(*hour, *minute)?, weekdays: weekdays.clone() }
            }
            Timing::Cron { expression } => {
                let cron = parse(expression).ok()?;
                every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
                Walls::Cron(Box::new(cron))
            }
        };
        Some(Self { walls, zone, every_hour })
    }

    fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut found: Option<DateTime<Utc>> = None;
        for wall in self.around(after, Direction::Forward) {
            let moments = self.moments(wall);
            if found.is_some_and(|found| moments[0] >= found) {
                break;
            }
            let later = moments.into_iter().filter(|moment| *moment > after);
            found = later.chain(found).min();
        }
        found
    }

    fn latest_at_or_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut found: Option<DateTime<Utc>> = None;
        for wall in self.around(now, Direction::Backward) {
            let moments = self.moments(wall);
            if found.is_some_and(|found| moments[1] <= found) {
                break;
            }
            let past = moments.into_iter().filter(|moment| *moment <= now);
            found = past.chain(found).max();
        }
        found
    }

    /// The wall-clock times in this direction, beginning so far on the other side that none is forgotten whose
    /// hour occurs twice.
    fn around(&self, from: DateTime<Utc>, direction: Direction) -> impl Iterator<Item = NaiveDateTime> {
        let wall = from.with_timezone(&self.zone).naive_local();
        let start = match direction {
            Direction::Forward => wall.checked_sub_signed(OVERLAP),
            Direction::Backward => wall.checked_add_signed(OVERLAP),
        };
        let first = start.and_then(|start| self.walls.find(start, direction, true));
        std::iter::successors(first, move |wall| self.walls.find(*wall, direction, false))
    }

    /// The first and the last moment at which this wall-clock time happens.
    fn moments(&self, wall: NaiveDateTime) -> [DateTime<Utc>; 2] {
        let utc = |local: DateTime<Tz>| local.with_timezone(&Utc);
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(moment) => [utc(moment); 2],
            LocalResult::Ambiguous(first, last) if self.every_hour => [utc(first), utc(last)],
            LocalResult::Ambiguous(first, _) => [utc(first); 2],
            LocalResult::None => [self.after_gap(wall); 2],
        }
    }

    /// Gaps begin and end on whole minutes, and slots stand on whole minutes.
    fn after_gap(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        let later = (1..=48 * 60).filter_map(|minutes| {
            let wall = wall.checked_add_signed(TimeDelta::minutes(minutes))?;
            self.zone.from_local_datetime(&wall).earliest()
        });
        later.map(|moment| moment.with_timezone(&Utc)).next().unwrap_or_else(|| wall.and_utc())
    }
}

/// What each part of an expression is.
const PARTS: [(&str, &str, &str); 5] = [
    ("first", "minute", "0 to 59"),
    ("second", "hour", "0 to 23"),
    ("third", "day of the month", "1 to 31"),
    ("fourth", "month", "1 to 12"),
    ("last", "weekday", "0 to 7 (0 and 7 are Sunday)"),
];

fn parse(expression: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    if let Ok(cron) = parser.parse(expression) {
        return Ok(cron);
    }
    let parts: Vec<&str> = expression.split_whitespace().collect();
    if expression.trim_start().starts_with('@') {
        return Err("Of the names only @hourly, @daily, @weekly, @monthly and @yearly are known.".to_owned());
    }
    if parts.len() != PARTS.len() {
        return Err(format!(
            "A cron expression has five parts: minute, hour, day of the month, month, weekday. This one has {}.",
            parts.len()
        ));
    }
    for (index, (part, (place, what, range))) in parts.iter().zip(PARTS).enumerate() {
        let mut alone = ["*"; 5];
        alone[index] = part;
        if parser.parse(&alone.join(" ")).is_err() {
            let part: String = part.chars().take(40).collect();
            return Err(format!(
                "The {place} part is the {what} and goes from {range}. “{part}” is not understood."
            ));
        }
    }
    Err("This cron expression is not understood.".to_owned())
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
