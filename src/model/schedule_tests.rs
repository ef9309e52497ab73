use chrono_tz::Europe::Berlin;

use super::*;
use crate::model::container::{Marks, StackInfo};

/// A moment of the winter in Berlin.
pub(in crate::model) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&format!("{text}+01:00")).unwrap().with_timezone(&Utc)
}

/// Daily at 02:30, made on the 1st of March.
pub(in crate::model) fn nightly() -> Schedule {
    let plan = Plan {
        name: "Nightly".to_owned(),
        timing: Timing::Daily { hour: 2, minute: 30 },
        zone: Berlin,
        selection: Selection::All,
        consistency: None,
        storage: None,
        copy: false,
        include_layer: true,
        rules: Rules::last(7),
    };
    let made = at("2026-03-01T12:00:00");
    Schedule { id: ScheduleId::generate(), enabled: true, plan, created: made, since: made }
}

/// Takes what is due; remembers what was taken, as the database does.
#[derive(Default)]
struct Taken(BTreeSet<DateTime<Utc>>);

impl Taken {
    fn newest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.range(..=Schedule::horizon(now)).next_back().copied()
    }

    fn tick(&mut self, schedule: &Schedule, now: DateTime<Utc>) -> Option<Due> {
        let due = schedule.due(self.newest(now), now)?;
        assert!(self.0.insert(due.slot), "slot {} is taken twice", due.slot);
        Some(due)
    }
}

#[test]
fn a_slot_is_taken_once_and_not_before_its_time() {
    let (schedule, mut taken) = (nightly(), Taken::default());
    assert_eq!(
        taken.tick(&schedule, at("2026-03-01T12:00:01")),
        None,
        "slots before it was made are not owed"
    );
    assert_eq!(schedule.next(None, at("2026-03-01T12:00:01")), Some(at("2026-03-02T02:30:00")));
    assert_eq!(taken.tick(&schedule, at("2026-03-02T02:29:59")), None);
    let due = taken.tick(&schedule, at("2026-03-02T02:30:00")).unwrap();
    assert_eq!(due, Due { slot: at("2026-03-02T02:30:00"), late: false, missed: 0 });
    assert_eq!(taken.tick(&schedule, at("2026-03-02T02:30:01")), None);
    assert_eq!(taken.tick(&schedule, at("2026-03-03T02:29:59")), None);
}

#[test]
fn what_was_missed_is_caught_up_once() {
    let (schedule, mut taken) = (nightly(), Taken::default());
    taken.tick(&schedule, at("2026-03-02T02:30:10")).unwrap();
    let due = taken.tick(&schedule, at("2026-03-09T10:00:00")).unwrap();
    assert_eq!(due, Due { slot: at("2026-03-09T02:30:00"), late: true, missed: 6 });
    assert_eq!(taken.tick(&schedule, at("2026-03-09T10:00:30")), None);
    assert_eq!(taken.tick(&schedule, at("2026-03-10T02:30:00")).unwrap().missed, 0);
}

#[test]
fn what_was_missed_while_switched_off_is_not_owed() {
    let (mut schedule, mut taken) = (nightly(), Taken::default());
    taken.tick(&schedule, at("2026-03-02T02:30:10")).unwrap();
    schedule.enabled = false;
    assert_eq!(taken.tick(&schedule, at("2026-03-05T10:00:00")), None);
    assert_eq!(schedule.next(None, at("2026-03-05T10:00:00")), None);
    schedule.enabled = true;
    schedule.since = at("2026-03-05T11:00:00");
    assert_eq!(taken.tick(&schedule, at("2026-03-05T11:00:00")), None);
    assert_eq!(taken.tick(&schedule, at("2026-03-06T02:30:00")).unwrap().missed, 0);
}

#[test]
fn a_clock_that_is_set_back_finds_its_slots_taken() {
    let (schedule, mut taken) = (nightly(), Taken::default());
    for day in 2..9 {
        taken.tick(&schedule, at(&format!("2026-03-0{day}T02:30:05"))).unwrap();
    }
    // Set back by an hour, a day, five days: every slot of then is taken.
    for back in ["2026-03-08T01:35:00", "2026-03-07T02:31:00", "2026-03-03T12:00:00"] {
        let mut now = at(back);
        while now < at("2026-03-09T02:30:00") {
            assert_eq!(taken.tick(&schedule, now), None, "{back} {now}");
            now += TimeDelta::minutes(30);
        }
    }
    assert_eq!(
        schedule.next(taken.newest(at("2026-03-08T01:35:00")), at("2026-03-08T01:35:00")),
        Some(at("2026-03-09T02:30:00"))
    );
    taken.tick(&schedule, at("2026-03-09T02:30:00")).unwrap();
}

#[test]
fn a_clock_that_came_back_from_the_future_does_not_wait_for_it() {
    let (schedule, mut taken) = (nightly(), Taken::default());
    taken.tick(&schedule, at("2026-03-02T02:30:05")).unwrap();
    let future = taken.tick(&schedule, at("2027-06-01T12:00:00")).unwrap();
    assert!(future.late && future.missed > 400);
    assert_eq!(taken.tick(&schedule, at("2026-03-02T13:00:00")), None);
    assert_eq!(
        schedule.next(taken.newest(at("2026-03-02T13:00:00")), at("2026-03-02T13:00:00")),
        Some(at("2026-03-03T02:30:00"))
    );
    for day in 3..9 {
        let due = taken.tick(&schedule, at(&format!("2026-03-0{day}T02:30:05"))).unwrap();
        assert_eq!((due.late, due.missed), (false, 0));
    }
    // Made while the clock was ahead: it does not wait either.
    let ahead = Schedule { since: at("2027-01-01T00:00:00"), ..nightly() };
    assert!(ahead.due(None, at("2026-03-09T12:00:00")).is_some());
}

#[test]
fn a_year_with_an_unreliable_clock_takes_every_slot_once() {
    use rand::{Rng, SeedableRng};
    for seed in 0..6 {
        let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
        let (schedule, mut taken) = (nightly(), Taken::default());
        let (mut real, mut wrong) = (schedule.since, TimeDelta::zero());
        let end = real + TimeDelta::days(365);
        let mut owed = BTreeSet::new();
        while real < end {
            // Mostly half a minute, sometimes asleep for hours or days.
            real += match dice.random_range(0..200) {
                0 => TimeDelta::hours(dice.random_range(1..100)),
                _ => TimeDelta::minutes(dice.random_range(1..120)),
            };
            wrong = match dice.random_range(0..300) {
                0 => TimeDelta::minutes(dice.random_range(-600..0)),
                _ if wrong < TimeDelta::zero() => wrong + TimeDelta::minutes(1),
                _ => wrong,
            };
            taken.tick(&schedule, real + wrong);
            owed.extend(
                schedule
                    .plan
                    .timing
                    .latest_at_or_before(real + wrong, Berlin)
                    .filter(|slot| *slot > schedule.since),
            );
        }
        assert_eq!(taken.0, owed, "seed {seed}");
    }
}

fn container(name: &str, stack: Option<(&str, &str, u32)>) -> Container {
    Container {
        stack_info: stack.map(|(project, service, _)| StackInfo {
            name: project.to_owned(),
            service: service.to_owned(),
            display: String::new(),
            kind: crate::model::stack::Kind::Compose,
        }),
        marks: Marks { number: stack.map(|stack| stack.2), ..Marks::default() },
        ..Container::named(name)
    }
}

#[test]
fn a_selection_survives_what_happens_to_containers() {
    let web = container("shop_web_1", Some(("shop", "web", 1)));
    let plain = container("plain", None);
    let named = Selection::Named { containers: vec![Member::of(&web), Member::of(&plain)], stacks: vec![] };
    // Another compose gives other names; somebody recreates by hand.
    let now = [
        Container { id: "new".to_owned(), ..container("shop-web-1", Some(("shop", "web", 1))) },
        container("shop-web-2", Some(("shop", "web", 2))),
        Container { id: "new too".to_owned(), ..container("plain", None) },
    ];
    let chosen = named.choose(&now);
    assert_eq!(chosen.containers, ["plain", "shop-web-1"]);
    assert_eq!(chosen.missing, Vec::<String>::new());
    let chosen = named.choose(&now[..1]);
    assert_eq!(chosen.containers, ["shop-web-1"]);
    assert!(chosen.missing[0].starts_with("plain is not there any more"), "{:?}", chosen.missing);
}

#[test]
fn a_selection_takes_what_it_says() {
    let mut all = [
        container("a", None),
        container("b", Some(("shop", "b", 1))),
        container("c", Some(("shop", "c", 1))),
        container("own", None),
        container("secret", None),
    ];
    all[0].marks.enable = true;
    all[3].is_self = true;
    all[4].marks.exclude = true;
    all[4].marks.enable = true;
    let member = |index: usize| Member::of(&all[index]);
    assert_eq!(Selection::All.choose(&all).containers, ["a", "b", "c"]);
    assert_eq!(Selection::AllExcept { containers: vec![member(1)] }.choose(&all).containers, ["a", "c"]);
    assert_eq!(Selection::Labelled.choose(&all).containers, ["a"]);
    let stack =
        Selection::Named { containers: vec![member(1)], stacks: vec!["shop".to_owned(), "gone".to_owned()] };
    let chosen = stack.choose(&all);
    assert_eq!(chosen.containers, ["b", "c"], "each once");
    assert_eq!(chosen.missing, ["The stack gone has no containers any more. It stays selected."]);
    let hidden = Selection::Named { containers: vec![member(3), member(4)], stacks: vec![] }.choose(&all);
    assert!(hidden.containers.is_empty());
    assert_eq!(hidden.missing.len(), 2, "said, not silent: {:?}", hidden.missing);
}
