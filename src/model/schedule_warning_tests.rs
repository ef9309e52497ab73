use super::*;
use crate::model::schedule::tests::{at, nightly};

fn seen(taken: &str) -> Seen {
    Seen { schedule: nightly(), taken: Some(at(taken)), running: false }
}

#[test]
fn a_schedule_that_did_not_run_is_told_after_a_while() {
    let seen = seen("2026-03-09T02:30:00");
    let told = |now: &str, seen: &Seen| warnings(std::slice::from_ref(seen), &[], &[], at(now));
    assert_eq!(told("2026-03-10T02:29:00", &seen), []);
    assert_eq!(told("2026-03-10T02:40:00", &seen), [], "not at once");
    let late = told("2026-03-10T02:46:00", &seen);
    assert!(matches!(&late[..], [Warning::DidNotRun { slot, .. }] if *slot == at("2026-03-10T02:30:00")));
    assert_eq!(told("2026-03-10T02:46:00", &Seen { running: true, ..seen.clone() }), [], "it is still busy");
    let off = Schedule { enabled: false, ..seen.schedule.clone() };
    assert_eq!(told("2026-03-10T02:46:00", &Seen { schedule: off, ..seen }), []);
}

#[test]
fn a_container_without_a_recent_good_backup_is_told() {
    let seen = [seen("2026-03-10T02:30:00")];
    let now = at("2026-03-10T12:00:00");
    let web = [Container::named("web")];
    let backup = |created: &str| [LastBackup { container: "web", created: at(created) }];
    assert_eq!(warnings(&seen, &web, &backup("2026-03-10T02:31:00"), now), []);
    assert_eq!(warnings(&seen, &web, &backup("2026-03-09T02:31:00"), now), [], "one may fail");
    let none = |days| Warning::NoBackup { container: "web".into(), schedule: "Nightly".into(), days };
    assert_eq!(warnings(&seen, &web, &backup("2026-03-05T02:31:00"), now), [none(Some(5))]);
    assert_eq!(warnings(&seen, &web, &[], now), [none(None)]);
    let new = [Container { created: now.timestamp() - 3600, ..Container::named("web") }];
    assert_eq!(warnings(&seen, &new, &[], now), [], "it is new");
    assert_eq!(warnings(&seen, &new, &backup("2026-03-05T02:31:00"), now), [none(Some(5))], "only recreated");
    let mut left_out = Container::named("web");
    left_out.marks.exclude = true;
    assert_eq!(warnings(&seen, &[left_out], &[], now), []);
}
