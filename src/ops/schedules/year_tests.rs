//! A year on a real database, with a vault of paper: backups fail, containers are recreated or gone for a while,
//! the server is off or loses power between any two steps, clocks are set back. What is left in the end must be
//! what the rules promise, and the audit log must explain the rest.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{
    claim::{self, By, Claimed},
    ending,
};
use crate::{
    db::{self, Db, audit::Entry},
    model::{
        audit::Filter,
        backup::{Backup, State as BackupState, Trigger},
        container::Container,
        names::{RunId, ScheduleId, ScheduleRunId},
        retention::Rules,
        run::{self, Outcome, Run},
        schedule::{Member, Plan, Schedule, Selection},
        schedule_run,
        timing::Timing,
        vault::Storage,
    },
    ops::perform,
};

/// The power goes off.
struct PowerCut;

struct World {
    path: std::path::PathBuf,
    db: Db,
    dice: StdRng,
    now: DateTime<Utc>,
    containers: Vec<Container>,
    /// What is in the vault.
    vault: Vec<Backup>,
    /// What the rules leave, worked out by other means.
    promised: Vec<Backup>,
    cuts: u32,
}

impl World {
    /// Between any two steps.
    fn may_fail(&mut self) -> Result<(), PowerCut> {
        if self.dice.random_range(0..150) == 0 { Err(PowerCut) } else { Ok(()) }
    }

    async fn restart(&mut self) {
        self.cuts += 1;
        self.db = Db::open(&self.path).unwrap();
        self.refresh().await;
        for run in self.db.read(|c| db::runs::in_states(c, &[run::State::Running])).await.unwrap() {
            assert_eq!(run.kind, run::Kind::Backup);
            self.finish(&run, run::State::Failed, None).await;
        }
    }

    /// The vault's list into the catalog.
    async fn refresh(&self) {
        let list = self.vault.clone();
        let known = self.db.read(|c| db::backups::ids(c, Storage::Local)).await.unwrap();
        self.db.write(move |c| db::backups::replace_all(c, Storage::Local, &known, &list)).await.unwrap();
    }

    async fn finish(&self, run: &Run, state: run::State, backup: Option<Backup>) {
        let id = run.id.clone();
        let subject = run.subject.clone();
        let outcome = Outcome {
            state,
            error: None,
            backup_id: backup.as_ref().map(|backup| backup.id.clone()),
            backup_filename: backup.as_ref().map(Backup::filename),
            bytes: 0,
            notes: Vec::new(),
        };
        let write = move |c: &mut db::Connection| {
            db::runs::finish(c, &id, &outcome)?;
            let details = json!({ "progress_id": id });
            let entry = Entry {
                operation: "backup_scheduled",
                actor: "schedule",
                address: "",
                target: &subject,
                outcome: "completed",
                error: None,
                details,
            };
            db::audit::record(c, &entry)
        };
        self.db.write(write).await.unwrap();
    }

    /// What the clock does.
    async fn tick(&mut self) -> Result<(), PowerCut> {
        for run in self.db.read(db::schedule_runs::unfinished).await.unwrap() {
            let (id, now) = (run.id.clone(), self.now);
            if !self.db.read(move |c| ending::backups_ended(c, &id)).await.unwrap() {
                continue;
            }
            self.refresh().await;
            let id = run.id.clone();
            let planned = self.db.write(move |c| ending::plan_removal(c, &id, "nas", now)).await.unwrap();
            self.may_fail()?;
            let goes: HashSet<String> = planned.into_iter().map(|removed| removed.id).collect();
            self.vault.retain(|backup| !goes.contains(&backup.id));
            self.may_fail()?;
            let id = run.id.clone();
            let (ended, _) = self.db.write(move |c| ending::end(c, &id, &[], now)).await.unwrap();
            assert!(ended.is_some(), "it ends once");
            self.promise(&run.schedule).await;
            self.may_fail()?;
        }
        for schedule in self.db.read(db::schedules::all).await.unwrap() {
            let (all, now, id) = (self.containers.clone(), self.now, schedule.id.clone());
            let claimed = self.db.write(move |c| claim::claim(c, &id, &By::Clock, &all, now)).await.unwrap();
            if let Claimed::Runs(run, _) = claimed {
                assert!(run.slot.is_some_and(|slot| slot <= now));
            }
            self.may_fail()?;
        }
        Ok(())
    }

    /// The next job of the queue.
    async fn work(&mut self) -> Result<bool, PowerCut> {
        let queued = self.db.read(|c| db::runs::in_states(c, &[run::State::Queued])).await.unwrap();
        let Some(run) = queued.into_iter().next() else { return Ok(false) };
        let id: RunId = run.id.clone();
        let run = self.db.write(move |c| db::runs::begin(c, &id)).await.unwrap().unwrap();
        if matches!(run.kind, run::Kind::Prune | run::Kind::Copy) {
            let (id, done) = (run.id.clone(), perform::done(run::State::Complete));
            self.db.write(move |c| db::runs::finish(c, &id, &done)).await.unwrap();
            return Ok(true);
        }
        self.may_fail()?;
        self.now += TimeDelta::seconds(self.dice.random_range(5..900));
        let there = self.containers.iter().any(|container| container.name == run.subject);
        let state = match self.dice.random_range(0..20) {
            _ if !there => run::State::Failed,
            0 => run::State::Failed,
            1 => run::State::Partial,
            2 => run::State::CompleteWithWarnings,
            _ => run::State::Complete,
        };
        let backup = (state != run::State::Failed).then(|| self.backup(&run, state));
        if let Some(backup) = backup.clone() {
            self.vault.push(backup.clone());
            self.promised.push(backup);
        }
        self.may_fail()?;
        self.finish(&run, state, backup).await;
        self.may_fail()?;
        Ok(true)
    }

    fn backup(&mut self, run: &Run, state: run::State) -> Backup {
        let run::Request::Backup(request) = &run.request else { panic!("a backup") };
        let state = match state {
            run::State::Partial => BackupState::Partial,
            run::State::CompleteWithWarnings => BackupState::CompleteWithWarnings,
            _ => BackupState::Complete,
        };
        let id = format!("{:064x}", self.dice.random::<u128>());
        let mut backup = Backup::sample(id, &run.subject, self.now, state);
        backup.trigger = run.trigger;
        backup.meta.schedule.clone_from(&request.schedule);
        backup
    }

    /// The rules once more, in another way: for each backup by itself.
    async fn promise(&mut self, schedule: &ScheduleId) {
        let (id, now) = (schedule.clone(), self.now);
        let run = self.db.read(move |c| db::schedule_runs::latest(c, &id, 1)).await.unwrap().remove(0);
        let id = run.id.clone();
        let jobs = self.db.read(move |c| db::runs::of_schedule_run(c, &id)).await.unwrap();
        let good = jobs.iter().filter(|job| job.state.is_good());
        let saved: HashSet<String> = good.map(|job| job.subject.clone()).collect();
        let id = schedule.clone();
        let rules = self.db.read(move |c| db::schedules::get(c, &id)).await.unwrap().unwrap().plan.rules;
        let all = self.promised.clone();
        self.promised.retain(|backup| {
            let ours =
                backup.meta.schedule.as_ref() == Some(schedule) && saved.contains(&backup.meta.container);
            !ours || backup.created > now || kept(backup, &all, &rules, now)
        });
    }
}

fn kept(backup: &Backup, all: &[Backup], rules: &Rules, now: DateTime<Utc>) -> bool {
    let same = |other: &&Backup| {
        other.meta.container == backup.meta.container
            && other.meta.schedule == backup.meta.schedule
            && other.meta.state.is_good()
            && other.created <= now
    };
    let good: Vec<&Backup> = all.iter().filter(same).collect();
    let newer = good.iter().filter(|other| other.created > backup.created).count();
    if newer < rules.last as usize {
        return true;
    }
    if !backup.meta.state.is_good() {
        return false;
    }
    let day = |backup: &Backup| backup.created.with_timezone(&Berlin).date_naive();
    let month = |backup: &Backup| {
        let local = backup.created.with_timezone(&Berlin);
        (local.year(), local.month())
    };
    let oldest = good.iter().all(|other| other.created >= backup.created);
    let rule = |count: u32, newest: bool, newer: usize, periods: usize| {
        (newest && newer < count as usize) || (oldest && periods < count as usize)
    };
    let days: BTreeSet<_> = good.iter().map(|other| day(other)).collect();
    let newest_of_day = !good.iter().any(|other| day(other) == day(backup) && other.created > backup.created);
    let months: BTreeSet<_> = good.iter().map(|other| month(other)).collect();
    let newest_of_month =
        !good.iter().any(|other| month(other) == month(backup) && other.created > backup.created);
    rule(rules.daily, newest_of_day, days.range(day(backup)..).count() - 1, days.len())
        || rule(rules.monthly, newest_of_month, months.range(month(backup)..).count() - 1, months.len())
}

fn schedule(name: &str, timing: Timing, selection: Selection, rules: Rules, now: DateTime<Utc>) -> Schedule {
    let plan = Plan {
        name: name.to_owned(),
        timing,
        zone: Berlin,
        selection,
        consistency: None,
        storage: None,
        copy: false,
        include_layer: true,
        rules,
    };
    Schedule { id: ScheduleId::generate(), enabled: true, plan, created: now, since: now }
}

async fn year(seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("monkey.db");
    let now = DateTime::parse_from_rfc3339("2026-01-10T12:00:00Z").unwrap().with_timezone(&Utc);
    let all: Vec<_> = ["db", "web", "wiki"].iter().map(|name| Container::named(name)).collect();
    let mut world = World {
        db: Db::open(&path).unwrap(),
        path,
        dice: StdRng::seed_from_u64(seed),
        now,
        containers: all.clone(),
        vault: Vec::new(),
        promised: Vec::new(),
        cuts: 0,
    };
    let nightly = Rules { daily: 7, monthly: 6, ..Rules::last(3) };
    let named = Selection::Named { containers: vec![Member::of(&all[0])], stacks: Vec::new() };
    let six = Timing::Cron { expression: "0 */6 * * *".to_owned() };
    let mut schedules = [
        schedule("Nightly", Timing::Daily { hour: 2, minute: 30 }, Selection::All, nightly, now),
        schedule("Databases", six, named, Rules::last(5), now),
    ];
    schedules[1].plan.copy = true;
    let new = schedules.clone();
    world.db.write(move |c| new.iter().try_for_each(|one| db::schedules::insert(c, one))).await.unwrap();

    let end = now + TimeDelta::days(365);
    while world.now < end {
        let alive = world.tick().await.is_ok();
        let worked = if alive { world.work().await } else { Err(PowerCut) };
        match worked {
            Err(PowerCut) => world.restart().await,
            Ok(true) => continue,
            Ok(false) => {}
        }
        world.now += match world.dice.random_range(0..400) {
            0 => TimeDelta::days(world.dice.random_range(1..9)),
            1 => TimeDelta::hours(world.dice.random_range(-20..0)),
            _ => TimeDelta::minutes(world.dice.random_range(20..240)),
        };
        if world.dice.random_range(0..60) == 0 {
            // One is recreated, or gone for a while.
            let one = world.dice.random_range(0..all.len());
            world.containers = all.clone();
            world.containers[one].id = world.dice.random::<u64>().to_string();
            if world.dice.random_range(0..2) == 0 {
                world.containers.remove(one);
            }
        }
    }
    // Everything comes to its end.
    for _ in 0..200 {
        let alive = world.tick().await.is_ok();
        if !alive || world.work().await.is_err() {
            world.restart().await;
        }
    }
    check(&world, &schedules).await;
}

async fn check(world: &World, schedules: &[Schedule]) {
    assert!(world.cuts > 20, "the power was cut {} times", world.cuts);
    let ids = |list: &[Backup]| list.iter().map(Backup::filename).collect::<BTreeSet<_>>();
    assert_eq!(ids(&world.vault), ids(&world.promised), "the vault holds what the rules promise");
    let runs = world.db.read(|c| db::runs::page(c, 100_000, 0)).await.unwrap().0;
    let backups: Vec<_> = runs.iter().filter(|run| run.kind == run::Kind::Backup).collect();
    assert!(backups.iter().all(|run| run.state.is_final() && run.trigger == Trigger::Scheduled));
    for schedule in schedules {
        let id = schedule.id.clone();
        let history = world.db.read(move |c| db::schedule_runs::latest(c, &id, 10_000)).await.unwrap();
        assert!(history.len() > 300, "{} ran {} times", schedule.plan.name, history.len());
        assert!(history.iter().all(|run| run.finished.is_some() && run.report.removing.is_empty()));
        let slots: BTreeSet<_> = history.iter().map(|run| run.slot.unwrap()).collect();
        assert_eq!(slots.len(), history.len(), "no slot twice");
        let copied = |run: &ScheduleRunId| {
            let of = runs.iter().filter(|job| job.schedule_run.as_ref() == Some(run));
            of.filter(|job| job.kind == run::Kind::Copy).count()
        };
        for run in &history {
            let made = run.report.complete + run.report.with_warnings > 0;
            assert_eq!(copied(&run.id), usize::from(made && schedule.plan.copy), "{}", run.id);
        }
    }
    let every = |c: &mut db::Connection| db::audit::page(c, &Filter::default(), 1_000_000, 0);
    let mut audit = world.db.read(every).await.unwrap().0;
    audit.reverse();
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut deleted: Vec<String> = Vec::new();
    for record in audit {
        let details: serde_json::Value = serde_json::from_str(&record.details).unwrap();
        match record.operation.as_str() {
            "backup_scheduled" => {
                let run = details["progress_id"].as_str().unwrap().to_owned();
                told.entry(run).or_default().push(record.outcome);
            }
            "cleanup" => {
                let names = details["deleted_backups"].as_array().unwrap();
                deleted.extend(names.iter().map(|name| name.as_str().unwrap().to_owned()));
            }
            _ => {}
        }
    }
    for run in &backups {
        assert_eq!(told[run.id.as_str()], ["started", "completed"], "{}", run.id);
    }
    let unique: BTreeSet<_> = deleted.iter().cloned().collect();
    assert_eq!(unique.len(), deleted.len(), "each is deleted once");
    let made: BTreeSet<String> = runs.iter().filter_map(|run| run.backup_filename.clone()).collect();
    let left = ids(&world.vault);
    let missing: Vec<_> =
        made.iter().filter(|name| !left.contains(*name) && !unique.contains(*name)).collect();
    assert!(missing.is_empty(), "nothing goes without an entry: {missing:?}");
    assert!(unique.iter().all(|name| !left.contains(name)), "what is said to be deleted is");
}

#[tokio::test]
async fn a_year_ends_with_what_the_rules_promise() {
    year(1).await;
}

#[tokio::test]
async fn what_was_planned_before_a_power_cut_is_decided_anew() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("monkey.db")).unwrap();
    let now = DateTime::parse_from_rfc3339("2026-01-10T12:00:00Z").unwrap().with_timezone(&Utc);
    let daily = Timing::Daily { hour: 2, minute: 30 };
    let nightly = schedule("Nightly", daily, Selection::All, Rules::last(1), now);
    let backup = |id: &str, days: i64| {
        let created = now - TimeDelta::days(days);
        let mut backup = Backup::sample(id.repeat(64), "web", created, BackupState::Complete);
        backup.trigger = Trigger::Scheduled;
        backup.meta.schedule = Some(nightly.id.clone());
        backup
    };
    let (oldest, old, new) = (backup("a", 2), backup("b", 1), backup("c", 0));
    let (id, all) = (nightly.id.clone(), [oldest.clone(), old.clone(), new.clone()]);
    let planned = move |c: &mut db::Connection| {
        db::schedules::insert(c, &nightly)?;
        all.iter().try_for_each(|backup| db::backups::upsert(c, backup))?;
        let by = By::User("admin".to_owned(), String::new());
        let claimed = claim::claim(c, &nightly.id, &by, &[Container::named("web")], now)?;
        let Claimed::Runs(run, jobs) = claimed else { panic!("it runs: {claimed:?}") };
        db::runs::begin(c, &jobs[0])?;
        db::runs::finish(c, &jobs[0], &perform::done(run::State::Complete))?;
        Ok((run.id.clone(), ending::plan_removal(c, &run.id, "nas", now)?))
    };
    let (run, planned) = db.write(planned).await.unwrap();
    let ids =
        |list: &[schedule_run::Removed]| list.iter().map(|removed| removed.id.clone()).collect::<Vec<_>>();
    assert_eq!(BTreeSet::from_iter(ids(&planned)), BTreeSet::from([oldest.id.clone(), old.id.clone()]));

    // The power goes off when the oldest is gone, and somebody deletes the newest before it is back.
    let (again, gone) = (run.clone(), [oldest.id.clone(), new.id.clone()]);
    let (left, report) = db
        .write(move |c| {
            gone.iter().try_for_each(|id| db::backups::remove(c, Storage::Local, id))?;
            let left = ending::plan_removal(c, &again, "nas", now)?;
            Ok((left, db::schedule_runs::get(c, &again)?.unwrap().report))
        })
        .await
        .unwrap();
    assert_eq!(ids(&left), [""; 0], "the last good one stays");
    assert_eq!(ids(&report.removing), [oldest.id], "what is gone is still told");

    // Nor does a rule delete anything once its schedule is deleted.
    let left = db
        .write(move |c| {
            db::backups::upsert(c, &new)?;
            db::schedules::delete(c, &id)?;
            ending::plan_removal(c, &run, "nas", now)
        })
        .await
        .unwrap();
    assert_eq!(ids(&left), [""; 0]);
}
