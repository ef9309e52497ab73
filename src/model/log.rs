//! What a container wrote: lines, where a reader is among them, and which of
//! them are wanted.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use super::backup::words;

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Standard output; a terminal's only stream.
    Stdout,
    /// Standard error.
    Stderr,
}

words!(Source {
    Stdout => "stdout",
    Stderr => "stderr",
});

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When Docker got it, nanoseconds since 1970; 0 = not told.
    pub at: i64,
    /// Where it came from.
    pub source: Source,
    /// Without its end; may hold escape sequences.
    pub text: String,
    /// Bytes that were cut off its end.
    pub cut: u64,
}

impl LogLine {
    /// `at` as a moment.
    pub fn when(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.at)
    }
}

/// How far somebody has read: the time of the last line, and how many lines of that time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Nanoseconds since 1970.
    pub at: i64,
    /// Lines read with exactly this time.
    pub seen: u32,
}

impl Cursor {
    /// One more line was read.
    pub fn pass(&mut self, line: &LogLine) {
        if line.at == self.at {
            self.seen += 1;
        } else if line.at > self.at {
            *self = Self { at: line.at, seen: 1 };
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at, self.seen)
    }
}

impl std::str::FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, seen) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { at: at.parse::<i64>()?.max(0), seen: seen.parse()? })
    }
}

/// Lets through only what comes after a cursor, so that a second reading repeats nothing.
#[derive(Debug, Clone, Copy)]
pub struct After {
    from: Cursor,
    met: u32,
}

impl After {
    /// What comes after `from`.
    pub const fn new(from: Cursor) -> Self {
        Self { from, met: 0 }
    }

    /// Whether the line is new.
    pub fn is_new(&mut self, line: &LogLine) -> bool {
        if line.at == self.from.at && self.met < self.from.seen {
            self.met += 1;
            return false;
        }
        line.at >= self.from.at || line.at == 0
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The newest so many; `None` = all.
    pub tail: Option<u32>,
    /// Not before; nanoseconds since 1970.
    pub since: Option<i64>,
    /// Not after; nanoseconds since 1970.
    pub until: Option<i64>,
    /// Only from here.
    pub source: Option<Source>,
    /// Only lines with this text, in lower case.
    pub search: String,
}

impl Wanted {
    /// Whether a line has the text that is looked for.
    pub fn matches(&self, line: &LogLine) -> bool {
        self.search.is_empty() || line.text.to_lowercase().contains(&self.search)
    }
}

/// A moment as people and scripts write it: `15m`, `24h`, `7d` (ago), seconds since 1970, RFC 3339, or a
/// local time such as `2026-03-14T09:30`. Nanoseconds since 1970; the error is a sentence.
pub fn moment(text: &str, zone: chrono_tz::Tz, now: DateTime<Utc>) -> Result<i64, String> {
    let wrong = || {
        let text: String = text.chars().take(40).collect();
        format!(
            "“{text}” is not a time. Use 15m, 24h or 7d (ago), seconds since 1970, or 2026-03-14T09:30:00Z."
        )
    };
    let text = text.trim();
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let scale = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let at = if let Some(scale) = scale {
        let count: i64 = number.parse().map_err(|_| wrong())?;
        let ago = count.checked_mul(scale).and_then(TimeDelta::try_seconds).ok_or_else(wrong)?;
        now.checked_sub_signed(ago)
    } else if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite()) {
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a sane time fit")]
        let millis = (seconds * 1000.0) as i64;
        DateTime::from_timestamp_millis(millis)
    } else if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
        Some(exact.to_utc())
    } else {
        let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        local.and_then(|local| zone.from_local_datetime(&local).earliest()).map(|local| local.to_utc())
    };
    at.and_then(|at| at.timestamp_nanos_opt()).filter(|nanos| *nanos >= 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64) -> LogLine {
        LogLine { at, source: Source::Stdout, text: String::new(), cut: 0 }
    }

    #[test]
    fn lines_of_the_same_moment_are_neither_lost_nor_repeated() {
        let mut cursor = Cursor::default();
        for at in [1, 5, 5] {
            cursor.pass(&line(at));
        }
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let mut after = After::new(cursor);
        let new: Vec<bool> = [1, 5, 5, 5, 6].map(|at| after.is_new(&line(at))).into();
        assert_eq!(new, [false, false, false, true, true]);
    }

    #[test]
    fn times_are_understood_or_refused() {
        let now = Utc.timestamp_opt(1_000_000_000, 0).unwrap();
        let berlin = chrono_tz::Europe::Berlin;
        let seconds = |text| moment(text, berlin, now).map(|nanos| nanos / 1_000_000_000);
        assert_eq!(seconds("15m"), Ok(1_000_000_000 - 900));
        assert_eq!(seconds("1700000000.5"), Ok(1_700_000_000));
        assert_eq!(seconds("2026-03-14T09:30:00Z"), seconds("2026-03-14T10:30"));
        for bad in ["", "yesterday", "-5", "é", "99999999999999d", "1e300", "NaN", "h"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
