//! Weeks on a real database: nothing is done twice, and what was missed is made up for once.

use chrono::TimeDelta;
use chrono_tz::Europe::Berlin;

use super::*;
use crate::{
    db::Db,
    model::{
        run::Kind,
        upkeep::{Upkeep, Verify},
    },
    ops::{Actor, perform::done, upkeep::save},
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn set(db: &Db, wanted: Upkeep, now: DateTime<Utc>) {
    let actor = Actor { id: 1, name: "admin".to_owned(), address: String::new() };
    db.write(move |c| save(c, &actor, wanted, now)).await.unwrap();
}

/// What one look begins; it ends at once.
async fn look(db: &Db, now: DateTime<Utc>) -> Vec<Kind> {
    db.write(move |c| {
        let ids = begin(c, Storage::Local, Berlin, now)?;
        let mut kinds = Vec::new();
        for id in ids {
            kinds.push(db::runs::begin(c, &id)?.unwrap().kind);
            db::runs::finish(c, &id, &done(State::Complete))?;
        }
        Ok(kinds)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn verified_each_week_once_whatever_the_clock_does() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("test.db")).unwrap();
    // Weeks before the first look are not owed.
    assert_eq!(look(&db, at("2026-03-10T12:00:00Z")).await, []);
    let mut now = at("2026-03-10T12:00:00Z");
    let mut times = Vec::new();
    while now < at("2026-04-07T00:00:00Z") {
        if look(&db, now).await == [Kind::Verify] {
            times.push(now);
        }
        now += TimeDelta::minutes(30);
    }
    // Sundays, 04:30 in Berlin, which puts its clocks forward on the 29th.
    let expected =
        ["2026-03-15T03:30:00Z", "2026-03-22T03:30:00Z", "2026-03-29T02:30:00Z", "2026-04-05T02:30:00Z"];
    assert_eq!(times, expected.map(at));
    // Set back over the slot: not again.
    assert_eq!(look(&db, at("2026-04-05T01:00:00Z")).await, []);
    assert_eq!(look(&db, at("2026-04-05T03:00:00Z")).await, []);
    // Switched off for five weeks: once.
    assert_eq!(look(&db, at("2026-05-12T08:00:00Z")).await, [Kind::Verify]);
    assert_eq!(look(&db, at("2026-05-12T08:01:00Z")).await, []);
    // Years ahead by mistake, and back.
    assert_eq!(look(&db, at("2031-01-01T00:00:00Z")).await, [Kind::Verify]);
    assert_eq!(look(&db, at("2026-05-13T08:00:00Z")).await, []);
    assert_eq!(look(&db, at("2026-05-17T02:30:00Z")).await, [Kind::Verify]);
}

#[tokio::test]
async fn another_rhythm_owes_nothing_of_before() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("test.db")).unwrap();
    look(&db, at("2026-03-10T12:00:00Z")).await;
    set(&db, Upkeep { verify: Verify::Off, ..Upkeep::default() }, at("2026-03-11T12:00:00Z")).await;
    assert_eq!(look(&db, at("2026-05-10T12:00:00Z")).await, []);
    let monthly = Upkeep { verify: Verify::Monthly, percent: 10, prune: Prune::Daily, keep_deleted: 1 };
    set(&db, monthly, at("2026-05-10T12:00:00Z")).await;
    assert_eq!(look(&db, at("2026-05-10T12:01:00Z")).await, []);
    assert_eq!(look(&db, at("2026-05-11T03:30:00Z")).await, [Kind::Prune]);
    assert_eq!(look(&db, at("2026-06-01T02:30:00Z")).await, [Kind::Verify, Kind::Prune]);
    let runs = db.read(|c| db::runs::page(c, 10, 0)).await.unwrap().0;
    let percents: Vec<u32> = runs
        .iter()
        .filter_map(|run| match &run.request {
            Request::Verify(request) => Some(request.percent),
            _ => None,
        })
        .collect();
    assert_eq!(percents, [10]);
}

#[tokio::test]
async fn jobs_that_free_space_wait_together_and_come_back_for_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("test.db")).unwrap();
    let now = at("2026-03-10T12:00:00Z");
    let delete = || {
        db.write(move |c| prune::after_deletion(c, ("admin", ""), prune::Cause::Person, Storage::Local, now))
    };
    let first = delete().await.unwrap().unwrap();
    for _ in 0..9 {
        assert_eq!(delete().await.unwrap().as_ref(), Some(&first), "the one that waits is enough");
    }
    // One that has begun may have passed by what is deleted now.
    let id = first.clone();
    db.write(move |c| db::runs::begin(c, &id)).await.unwrap();
    let second = delete().await.unwrap().unwrap();
    assert_ne!(first, second);
    assert_eq!(db.read(|c| db::runs::page(c, 100, 0)).await.unwrap().1, 2);
    let other = db
        .write(move |c| prune::after_deletion(c, ("admin", ""), prune::Cause::Person, Storage::S3, now))
        .await
        .unwrap();
    assert_ne!(other, Some(second.clone()), "another vault has its own");
    for id in [first, second] {
        let end = move |c: &mut Connection| {
            db::runs::begin(c, &id)?;
            db::runs::finish(c, &id, &done(State::Complete))
        };
        db.write(end).await.unwrap();
    }

    assert_eq!(look(&db, now + TimeDelta::days(1)).await, [], "nothing is left to go");
    let again = (now + TimeDelta::days(1)).timestamp_millis().to_string();
    db.write(move |c| db::settings::set(c, "vault.local.prune_again", Some(&again))).await.unwrap();
    assert_eq!(look(&db, now + TimeDelta::hours(23)).await, []);
    assert_eq!(look(&db, now + TimeDelta::hours(24)).await, [Kind::Prune]);
    set(&db, Upkeep { prune: Prune::Weekly, ..Upkeep::default() }, now).await;
    assert_eq!(delete().await.unwrap(), None, "it waits for Sunday");
}
