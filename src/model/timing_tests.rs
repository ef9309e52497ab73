use chrono::Timelike;
use chrono_tz::{America::New_York, Australia::Lord_Howe, Europe::Berlin};

use super::*;

fn cron(expression: &str) -> Timing {
    Timing::Cron { expression: expression.to_owned() }
}

fn daily(hour: u8, minute: u8) -> Timing {
    Timing::Daily { hour, minute }
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

/// The slots between two moments, as wall-clock time with offset.
fn between(timing: &Timing, zone: Tz, from: &str, to: &str) -> Vec<String> {
    let to = at(to);
    let slots = timing.upcoming(at(from), zone).take_while(|slot| *slot <= to);
    slots.map(|slot| slot.with_timezone(&zone).format("%d %H:%M %z").to_string()).collect()
}

#[test]
fn a_time_that_does_not_exist_happens_after_the_gap() {
    for timing in [daily(2, 30), cron("30 2 * * *"), cron("30 2,14 * * *"), cron("30 */2 * * *")] {
        let slots = between(&timing, Berlin, "2026-03-29T00:31:00Z", "2026-03-29T02:00:00Z");
        assert_eq!(slots, ["29 03:00 +0200"], "{timing:?}");
    }
    let slots = between(&daily(2, 0), New_York, "2026-03-07T06:00:00Z", "2026-03-10T00:00:00Z");
    assert_eq!(slots, ["07 02:00 -0500", "08 03:00 -0400", "09 02:00 -0400"]);
    let slots = between(&daily(2, 15), Lord_Howe, "2026-10-02T16:00:00Z", "2026-10-04T16:00:00Z");
    assert_eq!(slots, ["04 02:30 +1100", "05 02:15 +1100"].as_slice(), "the gap there is half an hour");
}

#[test]
fn a_time_that_occurs_twice_happens_once() {
    for timing in [daily(2, 30), cron("30 2 * * *"), cron("30 2,14 * * *"), cron("30 */2 * * *")] {
        let slots = between(&timing, Berlin, "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z");
        assert_eq!(slots, ["25 02:30 +0200"], "{timing:?}");
    }
    let slots = between(&daily(1, 45), Lord_Howe, "2026-04-04T13:00:00Z", "2026-04-05T13:00:00Z");
    assert_eq!(slots, ["05 01:45 +1100"]);
}

#[test]
fn every_hour_is_every_hour() {
    for (zone, from, to, count) in [
        (Berlin, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25),
        (Berlin, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23),
    ] {
        let slots: Vec<_> =
            cron("0 * * * *").upcoming(at(from), zone).take_while(|slot| *slot <= at(to)).collect();
        assert_eq!(slots.len(), count);
        assert!(slots.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::hours(1)), "{slots:?}");
    }
}

#[test]
fn years_of_a_daily_slot_have_one_slot_a_day() {
    for zone in [Berlin, New_York, Lord_Howe, chrono_tz::UTC] {
        for (hour, minute) in [(2, 30), (1, 45), (0, 0), (23, 59)] {
            let timing = daily(hour, minute);
            let slots: Vec<_> = timing.upcoming(at("2027-03-01T12:00:00Z"), zone).take(2 * 366).collect();
            for pair in slots.windows(2) {
                let day = |slot: &DateTime<Utc>| slot.with_timezone(&zone).date_naive();
                assert_eq!(day(&pair[1]) - day(&pair[0]), TimeDelta::days(1), "{zone} {pair:?}");
                assert_eq!(timing.latest_at_or_before(pair[1], zone), Some(pair[1]));
                let before = pair[1] - TimeDelta::seconds(1);
                assert_eq!(timing.latest_at_or_before(before, zone), Some(pair[0]), "{zone}");
                assert_eq!(timing.next_after(before, zone), Some(pair[1]), "{zone}");
            }
        }
    }
}

#[test]
fn looking_back_and_forward_agree_in_odd_hours() {
    for zone in [Berlin, New_York, Lord_Howe] {
        for expression in ["*/15 * * * *", "*/10 1-3 * * *", "5,35 */2 * * *", "0 2 * * 0", "30 1 25 10 *"] {
            let timing = cron(expression);
            for day in [
                "2026-03-28T12:00:00Z",
                "2026-10-24T12:00:00Z",
                "2026-04-04T10:00:00Z",
                "2026-10-31T22:00:00Z",
            ] {
                let mut moment = at(day);
                for _ in 0..36 {
                    let next = timing.next_after(moment, zone).unwrap();
                    assert!(next > moment);
                    assert_eq!(
                        timing.latest_at_or_before(next, zone),
                        Some(next),
                        "{zone} {expression} {moment}"
                    );
                    let latest = timing.latest_at_or_before(moment, zone).unwrap();
                    assert!(latest <= moment);
                    assert_eq!(timing.next_after(latest, zone), Some(next), "{zone} {expression} {moment}");
                    moment += TimeDelta::minutes(50);
                }
            }
        }
    }
}

#[test]
fn weekdays_count_from_monday_and_leap_days_come_every_four_years() {
    let weekly = Timing::Weekly { weekdays: vec![0, 6], hour: 4, minute: 0 };
    let slots = between(&weekly, Berlin, "2026-03-09T12:00:00Z", "2026-03-23T12:00:00Z");
    assert_eq!(slots, ["15 04:00 +0100", "16 04:00 +0100", "22 04:00 +0100", "23 04:00 +0100"]);
    let leap: Vec<_> = cron("0 3 29 2 *").upcoming(at("2026-01-01T00:00:00Z"), Berlin).take(3).collect();
    assert_eq!(leap.iter().map(Datelike::year).collect::<Vec<_>>(), [2028, 2032, 2036]);
    assert!(leap.iter().all(|slot| slot.with_timezone(&Berlin).hour() == 3));
}

#[test]
fn what_cannot_be_is_refused_with_the_part_that_is_wrong() {
    let why = |expression: &str| cron(expression).check().unwrap_err();
    assert_eq!(why("30 2 * * 8").0, "cron");
    assert!(why("30 2 * * 8").1.starts_with("The last part is the weekday and goes from 0 to 7"));
    assert!(why("61 * * * *").1.starts_with("The first part is the minute"));
    assert!(why("* 2 * *").1.contains("five parts"));
    assert!(why("").1.contains("five parts"));
    assert!(why("0 0 0 1 1 * 2027").1.contains("This one has 7"));
    assert!(why("@reboot").1.contains("@daily"));
    assert!(why("0 0 30 2 *").1.contains("no such day"));
    for good in ["* * * * *", "0 */6 * * *", "@daily", "0 0 29 2 *", "15 4 * jan-jun mon,thu", "0 3 L * *"] {
        assert_eq!(cron(good).check(), Ok(()), "{good}");
    }
    assert_eq!(daily(24, 0).check().unwrap_err().0, "hour");
    assert_eq!(daily(0, 60).check().unwrap_err().0, "minute");
    assert_eq!(daily(0, 0).check(), Ok(()), "midnight is an hour");
    for weekdays in [vec![], vec![7]] {
        let weekly = Timing::Weekly { weekdays, hour: 1, minute: 1 };
        assert_eq!(weekly.check().unwrap_err().0, "day_of_week");
    }
}

#[test]
fn words_for_people() {
    assert_eq!(daily(0, 5).words(), "Daily at 00:05");
    let weekly = |weekdays: &[u8]| Timing::Weekly { weekdays: weekdays.to_vec(), hour: 4, minute: 0 }.words();
    assert_eq!(weekly(&[6]), "Sundays at 04:00");
    assert_eq!(weekly(&[0, 1, 2, 3, 4]), "Monday to Friday at 04:00");
    assert_eq!(weekly(&[1, 4]), "Tue, Fri at 04:00");
}
