//! Bringing settings back into databases that have something already.

use super::*;
use crate::{
    db::Db,
    model::{
        notice::Wish,
        retention::Rules,
        saved_settings::{Mark, SavedUser, tests::sample},
        schedule::{Plan, Selection},
        secret::Secret,
        timing::Timing,
        token::Scope,
    },
};

const ALL: Choice = Choice {
    schedules: true,
    run: false,
    channels: true,
    marks: true,
    server_name: true,
    storage: false,
    users: true,
    tokens: true,
};

fn plan(name: &str, hour: u8) -> Plan {
    Plan {
        name: name.to_owned(),
        timing: Timing::Daily { hour, minute: 0 },
        zone: chrono_tz::Tz::UTC,
        selection: Selection::All,
        consistency: None,
        storage: None,
        copy: false,
        include_layer: true,
        rules: Rules::last(7),
    }
}

fn saved(name: &str, hour: u8) -> SavedSchedule {
    SavedSchedule { id: ScheduleId::generate(), enabled: true, plan: plan(name, hour) }
}

struct Place {
    db: Db,
    seal: Seal,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("test.db")).unwrap();
        Self { db, seal: Seal::load(directory.path()).unwrap(), _directory: directory }
    }

    async fn restore(&self, there: &Settings, choice: Choice) -> Result<Restored, String> {
        let (there, seal) = (there.clone(), self.seal.clone());
        let who = Actor { id: 1, name: "admin".to_owned(), address: String::new() };
        let done = self.db.write(move |c| {
            let mut done = Restored::default();
            let mut apply = Apply { c, there: &there, choice, now: Utc::now(), done: &mut done };
            match apply.all(&seal, &who)? {
                Ok(()) => Ok(done),
                Err(why) => Err(DbError::Refused(why)),
            }
        });
        done.await.map_err(|error| error.to_string())
    }

    async fn schedules(&self) -> Vec<Schedule> {
        self.db.read(db::schedules::all).await.unwrap()
    }
}

#[tokio::test]
async fn all_of_it_comes_back_once_and_secrets_are_sealed_anew() {
    let place = Place::new();
    place.db.write(|c| db::users::insert(c, "admin", &Secret::new("old hash"), true)).await.unwrap();
    let nightly = saved("Nightly", 3);
    let mut there = sample("other", "Phone");
    there.channels[0].schedule = Some(nightly.id.clone());
    there.schedules.push(nightly.clone());
    there.users.push(SavedUser {
        name: "dana".to_owned(),
        password_hash: Secret::new("hash"),
        default_password: false,
    });
    let token = |name: &str, expires| SavedToken {
        name: name.to_owned(),
        scope: Scope::Read,
        hash: Secret::new(format!("hash of {name}")),
        user: "dana".to_owned(),
        expires,
    };
    there.tokens = vec![token("homepage", None), token("over", Some(Utc::now()))];
    there.marks = vec![Mark { storage: Storage::S3, id: "aa".to_owned(), pinned: true, note: None }];
    there.metrics_token = Some(Secret::new("of-prometheus"));

    let done = place.restore(&there, ALL).await.unwrap();
    assert_eq!((done.schedules, done.channels), (vec!["Nightly".to_owned()], vec!["Phone".to_owned()]));
    assert_eq!((done.users, done.changed_users), (vec!["dana".to_owned()], vec![1]));
    assert_eq!((done.tokens, done.marks), (vec!["homepage".to_owned()], 0), "no such backup is listed");
    let schedule = place.schedules().await.remove(0);
    assert_eq!((&schedule.id, schedule.enabled), (&nightly.id, false), "its backups know it, and it waits");
    let (users, address, name, token) = place
        .db
        .read(|c| {
            let channel = db::channels::all(c)?.remove(0);
            Ok((
                db::users::all(c)?,
                db::channels::address(c, channel.id)?.unwrap(),
                db::settings::get(c, SERVER_NAME)?,
                db::settings::get(c, metrics::TOKEN)?.unwrap(),
            ))
        })
        .await
        .unwrap();
    assert_eq!((users.len(), users[0].name.as_str(), users[0].default_password), (1, "dana", false));
    assert_eq!(name.as_deref(), Some("nas"));
    assert!(!address.contains("secret-topic"));
    assert_eq!(place.seal.open(channels::SEAL, &address), Some(there.channels[0].address.clone()));
    assert_eq!(place.seal.open(metrics::TOKEN, &token), there.metrics_token);

    let again = place.restore(&there, ALL).await.unwrap();
    assert_eq!(again.words(), "nothing was missing here");
}

#[tokio::test]
async fn what_is_here_by_that_name_is_replaced_and_keeps_its_id() {
    let place = Place::new();
    let mut first = sample("one", "Phone");
    first.schedules.push(saved("Nightly", 3));
    place.restore(&first, Choice { run: true, ..ALL }).await.unwrap();
    let before = place.schedules().await.remove(0);
    assert!(before.enabled);

    let mut second = sample("two", "phone");
    second.channels[0].wish = Wish::All;
    second.channels[0].schedule = Some(ScheduleId::generate());
    second.schedules.push(saved("NIGHTLY", 5));
    let done = place.restore(&second, ALL).await.unwrap();
    assert_eq!((done.schedules.len(), done.channels.len()), (1, 0));
    assert!(done.notes[0].contains("the schedule that it is about is not here"), "{:?}", done.notes);
    let after = place.schedules().await;
    assert_eq!((after.len(), &after[0].id, after[0].enabled), (1, &before.id, false));
    assert_eq!(after[0].plan.name, "NIGHTLY");
    assert!(after[0].since >= before.since, "what was missed is not owed");

    second.channels[0].schedule = Some(second.schedules[0].id.clone());
    place.restore(&second, ALL).await.unwrap();
    let channel = place.db.read(db::channels::all).await.unwrap().remove(0);
    assert_eq!(
        (channel.wish, channel.schedule),
        (Wish::All, Some(before.id)),
        "the schedule's id is the one here"
    );
}

#[tokio::test]
async fn when_something_is_in_the_way_nothing_is_changed() {
    let place = Place::new();
    let mut first = sample("one", "Phone");
    let (a, b) = (saved("A", 1), saved("B", 2));
    first.schedules = vec![a.clone(), b];
    place.restore(&first, ALL).await.unwrap();
    // There A was renamed to what another is called here.
    let mut second = sample("one", "New");
    second.schedules = vec![saved("C", 3), SavedSchedule { plan: plan("B", 4), ..a }];
    let why = place.restore(&second, ALL).await.unwrap_err();
    assert!(why.contains("Another schedule here is called B"), "{why}");
    let mut names: Vec<_> = place.schedules().await.into_iter().map(|one| one.plan.name).collect();
    // Ids of one millisecond are in no order.
    names.sort();
    assert_eq!(names, ["A", "B"]);
}
