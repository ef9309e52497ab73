//! Times, sizes and durations as people read them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

pub(super) use crate::model::human::{duration, memory, size};

/// "4,128".
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment, ready for a `<time>` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    /// For machines.
    pub(super) iso: String,
    /// In full, in the page's time zone: "14 Mar 2026, 02:30".
    pub(super) full: String,
    /// "7 h ago" within 30 days, else the date.
    pub(super) ago: String,
    /// "02:30:04".
    pub(super) clock: String,
    /// With seconds and zone, for the title: "14 Mar 2026, 02:30:04 CET".
    pub(super) zoned: String,
}

/// For templates.
#[expect(
    clippy::inline_always,
    clippy::unused_self,
    clippy::unnecessary_wraps,
    unreachable_pub,
    reason = "made by `filter_fn`"
)]
pub(super) mod filters {
    use std::borrow::Borrow;

    /// See [`super::size`].
    #[askama::filter_fn]
    pub(crate) fn size<T: Borrow<u64>>(bytes: T, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::size(*bytes.borrow()))
    }

    /// See [`super::thousands`].
    #[askama::filter_fn]
    pub(crate) fn thousands<T: Borrow<u64>>(number: T, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::thousands(*number.borrow()))
    }
}

/// Formats a moment as seen at `now`.
pub(super) fn when(at: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> When {
    let local = at.with_timezone(&zone);
    let full = local.format("%-d %b %Y, %H:%M").to_string();
    let seconds = (now - at).num_seconds();
    let ago = match seconds {
        i64::MIN..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".to_owned(),
        172_800..2_592_000 => format!("{} days ago", seconds / 86_400),
        _ => local.format("%-d %b %Y").to_string(),
    };
    let clock = local.format("%H:%M:%S").to_string();
    let zoned = local.format("%-d %b %Y, %H:%M:%S %Z").to_string();
    When { iso: local.to_rfc3339(), full, ago, clock, zoned }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn sizes_have_one_decimal_below_a_hundred() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1500), "1.5 kB");
        assert_eq!(size(138_000_000_000), "138 GB");
        assert_eq!(size(84_200_000_000), "84.2 GB");
        assert_eq!(memory(1_610_612_736), "1.5 GiB");
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 4_128_000].map(thousands), ["0", "999", "1,000", "4,128,000"]);
    }

    #[test]
    fn durations_drop_what_does_not_matter() {
        assert_eq!(duration(9), "9 s");
        assert_eq!(duration(72), "1 min 12 s");
        assert_eq!(duration(2500), "41 min");
        assert_eq!(duration(3960), "1 h 6 min");
    }

    #[test]
    fn times_are_in_the_pages_zone() {
        let at = Utc.with_ymd_and_hms(2026, 3, 29, 1, 30, 0).unwrap();
        let seen = when(at, chrono_tz::Europe::Berlin, at + chrono::Duration::hours(7));
        assert_eq!(seen.full, "29 Mar 2026, 03:30");
        assert_eq!(seen.ago, "7 h ago");
        assert_eq!(seen.zoned, "29 Mar 2026, 03:30:00 CEST");
        assert!(seen.iso.ends_with("+02:00"));
    }
}
