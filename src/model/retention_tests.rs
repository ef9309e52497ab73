use chrono::TimeDelta;
use chrono_tz::Europe::Berlin;
use proptest::prelude::*;

use super::*;
use crate::model::{backup::State, schedule::tests::at};

fn schedule() -> ScheduleId {
    "01JAAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap()
}

fn backup(number: usize, container: &str, created: DateTime<Utc>, state: State) -> Backup {
    let mut backup = Backup::sample(format!("{number:064x}"), container, created, state);
    backup.trigger = Trigger::Scheduled;
    backup.meta.schedule = Some(schedule());
    backup
}

/// Ids (numbers) that stay, sorted.
fn stay(backups: &[Backup], rules: Rules, now: DateTime<Utc>) -> Vec<usize> {
    let (id, pinned) = (schedule(), HashSet::new());
    let containers = ["web".to_owned(), "db".to_owned()];
    let scope = Scope { server: "nas", schedule: &id, containers: &containers, pinned: &pinned };
    let decisions = decide(backups, scope, &rules, Berlin, now);
    assert_eq!(decisions.len(), backups.len());
    let stays = decisions.iter().filter(|decision| !decision.goes());
    let mut numbers: Vec<_> =
        stays.map(|decision| usize::from_str_radix(&decision.backup.id, 16).unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// One backup a day at 02:30, number 0 on the 1st of January.
fn days(count: usize) -> Vec<Backup> {
    let first = at("2026-01-01T02:30:00");
    (0..count)
        .map(|day| backup(day, "web", first + TimeDelta::days(i64::try_from(day).unwrap()), State::Complete))
        .collect()
}

#[test]
fn the_newest_so_many_stay() {
    let now = at("2026-06-01T12:00:00");
    assert_eq!(stay(&days(10), Rules::last(3), now), [7, 8, 9]);
    assert_eq!(stay(&days(2), Rules::last(3), now), [0, 1]);
    assert_eq!(stay(&days(1), Rules::last(1), now + TimeDelta::days(4000)), [0], "age deletes nothing");
}

#[test]
fn days_weeks_months_and_years_keep_their_newest() {
    let now = at("2026-04-11T12:00:00");
    // 100 days: the last is Friday 10 April.
    let rules = Rules { last: 1, daily: 3, weekly: 2, monthly: 3, yearly: 1, hourly: 0 };
    // Days 97-99; weeks: 99 and Sunday 5 April (94); months: 99, 31 March (89), 28 February (58).
    assert_eq!(stay(&days(100), rules, now), [58, 89, 94, 97, 98, 99]);
    let oldest = Rules { last: 1, monthly: 12, ..Rules::last(1) };
    assert_eq!(stay(&days(100), oldest, now), [0, 30, 58, 89, 99], "with room left, the oldest stays, too");
}

#[test]
fn incomplete_ones_do_not_count_and_go_when_newer_good_ones_are_there() {
    let now = at("2026-06-01T12:00:00");
    let mut list = days(6);
    for (number, state) in [(3, State::Partial), (4, State::Unfinished), (5, State::Partial)] {
        list[number].meta.state = state;
    }
    assert_eq!(stay(&list, Rules::last(1), now), [2, 3, 4, 5], "no newer good one yet");
    assert_eq!(stay(&list, Rules::last(2), now), [1, 2, 3, 4, 5]);
    list[5].meta.state = State::CompleteWithWarnings;
    assert_eq!(stay(&list, Rules::last(1), now), [5]);
    assert_eq!(stay(&list, Rules::last(2), now), [2, 3, 4, 5], "among the last two, though not counted");
}

#[test]
fn what_the_rules_are_not_about_stays() {
    let now = at("2026-06-01T12:00:00");
    let mut list = days(9);
    list[0].trigger = Trigger::Manual;
    list[1].trigger = Trigger::Import;
    list[2].trigger = Trigger::Safety;
    list[3].server_name = "other".to_owned();
    list[4].meta.schedule = None;
    list[5].meta.container = "gone".to_owned();
    assert_eq!(stay(&list, Rules::last(1), now), [0, 1, 2, 3, 4, 5, 8]);
    let (id, pinned) = (schedule(), HashSet::from([list[6].id.clone()]));
    let scope = Scope { server: "nas", schedule: &id, containers: &["web".to_owned()], pinned: &pinned };
    let decisions = decide(&list, scope, &Rules::last(1), Berlin, now);
    assert_eq!(decisions[6].keep, [Reason::NotOurs { what: "protected" }]);
    assert!(decisions[7].goes());
}

#[test]
fn what_is_dated_in_the_future_stays_and_does_not_count() {
    let mut list = days(5);
    list.push(backup(5, "web", at("2036-01-01T00:00:00"), State::Complete));
    assert_eq!(stay(&list, Rules::last(2), at("2026-02-01T00:00:00")), [3, 4, 5]);
}

fn histories() -> impl Strategy<Value = Vec<Backup>> {
    let one = (0..3 * 365 * 24 * 60_i64, 0..3_usize, 0..8_u8);
    proptest::collection::vec(one, 0..60).prop_map(|list| {
        let backups = list.into_iter().enumerate().map(|(number, (minutes, container, kind))| {
            let state = match kind {
                0 => State::Partial,
                1 => State::Unfinished,
                2 => State::CompleteWithWarnings,
                _ => State::Complete,
            };
            let created = at("2026-01-01T00:00:00") + TimeDelta::minutes(minutes);
            let mut backup = backup(number, ["web", "db", "gone"][container], created, state);
            if kind == 7 {
                backup.trigger = Trigger::Manual;
            }
            backup
        });
        backups.collect()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    (1..6_u32, 0..5_u32, 0..10_u32, 0..6_u32, 0..6_u32, 0..3_u32).prop_map(
        |(last, hourly, daily, weekly, monthly, yearly)| Rules {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
        },
    )
}

proptest! {
    #[test]
    fn nothing_that_is_needed_ever_goes(list in histories(), rules in any_rules(), days in 0..1400_i64) {
        let now = at("2026-01-01T00:00:00") + TimeDelta::days(days);
        let kept = stay(&list, rules, now);
        let has = |number: usize| kept.binary_search(&number).is_ok();
        for container in ["web", "db"] {
            let mut good: Vec<_> = list.iter().enumerate().filter(|(_, backup)| {
                backup.meta.container == container && backup.meta.state.is_good() && backup.trigger == Trigger::Scheduled && backup.created <= now
            }).collect();
            good.sort_by_key(|(_, backup)| std::cmp::Reverse((backup.created, backup.id.clone())));
            for (number, _) in good.iter().take(rules.last as usize) {
                prop_assert!(has(*number), "the last {} good ones survive", rules.last);
            }
        }
        for (number, backup) in list.iter().enumerate() {
            if backup.trigger != Trigger::Scheduled || backup.created > now || backup.meta.container == "gone" {
                prop_assert!(has(number));
            }
        }
    }

    #[test]
    fn order_does_not_matter_and_twice_is_once(list in histories(), rules in any_rules()) {
        let now = at("2029-06-01T00:00:00");
        let kept = stay(&list, rules, now);
        let reversed: Vec<_> = list.iter().rev().cloned().collect();
        prop_assert_eq!(&stay(&reversed, rules, now), &kept);
        let left: Vec<_> = kept.iter().map(|number| list[*number].clone()).collect();
        prop_assert_eq!(&stay(&left, rules, now), &kept, "what stays, stays");
    }

    #[test]
    fn more_rules_keep_more(list in histories(), rules in any_rules()) {
        let now = at("2029-06-01T00:00:00");
        let fewer = stay(&list, Rules::last(rules.last), now);
        let kept = stay(&list, rules, now);
        prop_assert!(fewer.iter().all(|number| kept.contains(number)));
    }

    #[test]
    fn incomplete_ones_change_nothing_for_good_ones(list in histories(), rules in any_rules()) {
        let now = at("2029-06-01T00:00:00");
        let good: Vec<_> = list.iter().filter(|backup| backup.meta.state.is_good()).cloned().collect();
        let of_good = stay(&good, rules, now);
        let of_all: Vec<_> = stay(&list, rules, now).into_iter().filter(|number| list[*number].meta.state.is_good()).collect();
        prop_assert_eq!(of_good, of_all);
    }
}
