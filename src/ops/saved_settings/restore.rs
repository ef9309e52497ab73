//! Bringing settings back: all of what was chosen, or nothing.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    read,
    review::{Choice, find, same_name},
};
use crate::{
    app::App,
    db::{self, Connection, DbError, audit::Entry},
    error::{AppError, Result},
    model::{
        names::{BackupRef, ScheduleId},
        notice::Channel,
        saved_settings::{Saved, SavedChannel, SavedSchedule, SavedToken, Settings},
        schedule::Schedule,
        vault::Storage,
    },
    notify::Target,
    ops::{Actor, channels, metrics, schedules, settings::SERVER_NAME, storage},
    seal::Seal,
    vaults::State,
    watchers::Ended,
};

/// What was brought back.
#[derive(Debug, Default)]
pub struct Restored {
    /// Names of schedules.
    pub schedules: Vec<String>,
    /// Names of channels.
    pub channels: Vec<String>,
    /// Names of users.
    pub users: Vec<String>,
    /// Names of API tokens.
    pub tokens: Vec<String>,
    /// Pins and notes.
    pub marks: usize,
    /// What could not be brought back, a sentence each.
    pub notes: Vec<String>,
    /// Ids of users whose sign-in is over.
    changed_users: Vec<i64>,
}

impl Restored {
    /// In words: "2 schedules, 1 channel".
    pub fn words(&self) -> String {
        let parts = [
            (self.schedules.len(), "schedule", "schedules"),
            (self.channels.len(), "channel", "channels"),
            (self.users.len(), "user", "users"),
            (self.tokens.len(), "API token", "API tokens"),
            (self.marks, "pin or note", "pins and notes"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        if parts.is_empty() { "nothing was missing here".to_owned() } else { parts.join(", ") }
    }
}

/// Brings back what was chosen: all of it, or nothing when something is in the way.
pub async fn restore(app: &App, actor: &Actor, id: &BackupRef, choice: Choice) -> Result<Restored> {
    if choice.is_empty() {
        return Err(AppError::invalid("Nothing is chosen. Choose what is to be brought back."));
    }
    let saved = find(app, id).await?;
    let there = read(app, &saved).await?;
    if choice.storage {
        // First, because a bucket may be away, and its backups are what pins and notes are of.
        open_bucket(app, actor, &there).await?;
    }
    let (seal, who, now) = (app.seal.clone(), actor.clone(), Utc::now());
    let done = app.db.write(move |c| {
        let mut done = Restored::default();
        let mut apply = Apply { c, there: &there, choice, now, done: &mut done };
        if let Err(why) = apply.all(&seal, &who)? {
            // Nothing of it stays.
            return Err(DbError::Refused(why));
        }
        record(c, &who, &saved, &done, choice)?;
        Ok(done)
    });
    let done = done.await.map_err(|error| match error {
        DbError::Refused(why) => AppError::Conflict(why),
        other => other.into(),
    })?;
    app.schedules.notify_one();
    app.notices.notify_one();
    for user in &done.changed_users {
        app.watchers.end(Ended::User(*user));
    }
    Ok(done)
}

async fn open_bucket(app: &App, actor: &Actor, there: &Settings) -> Result<()> {
    if let (Some(bucket), State::Absent) = (&there.bucket, app.vaults.of(Storage::S3).state()) {
        let wanted =
            storage::Wanted { place: bucket.place.clone(), vault_key: Some(bucket.vault_key.clone()) };
        storage::connect(app, actor, wanted).await.map_err(|error| {
            AppError::Impossible(format!(
                "The bucket of these settings can't be opened, so nothing was brought back. {error} To have the rest, \
                 leave the storage out."
            ))
        })?;
    }
    let usable = app.vaults.of(there.chosen).state() != State::Absent;
    if usable && app.vaults.chosen() != there.chosen {
        storage::choose(app, actor, there.chosen).await?;
    }
    Ok(())
}

fn record(
    c: &mut Connection,
    who: &Actor,
    saved: &Saved,
    done: &Restored,
    choice: Choice,
) -> Result<(), DbError> {
    let details = json!({
        "storage_location": saved.storage, "saved": saved.saved.to_rfc3339(), "schedules": done.schedules,
        "channels": done.channels, "users": done.users, "tokens": done.tokens, "marks": done.marks,
        "server_name": choice.server_name, "schedules_run": choice.run, "left_out": done.notes,
    });
    db::audit::record(c, &Entry { details, ..who.entry("restore_settings", &saved.server) })
}

/// Writes settings into the database, inside of one transaction.
struct Apply<'a> {
    c: &'a mut Connection,
    there: &'a Settings,
    choice: Choice,
    now: DateTime<Utc>,
    done: &'a mut Restored,
}

impl Apply<'_> {
    /// The inner error says what is in the way.
    fn all(&mut self, seal: &Seal, who: &Actor) -> Result<Result<(), String>, DbError> {
        let mut ids = Vec::new();
        if self.choice.schedules {
            for one in &self.there.schedules {
                match self.schedule(one)? {
                    Ok(here) => ids.push((one.id.clone(), here)),
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
        if self.choice.channels {
            for one in &self.there.channels {
                if let Err(why) = self.channel(one, seal, &ids)? {
                    return Ok(Err(why));
                }
            }
        }
        if self.choice.users {
            self.users()?;
        }
        if self.choice.tokens {
            for one in &self.there.tokens {
                self.token(one, who)?;
            }
        }
        if self.choice.marks {
            self.marks()?;
        }
        if self.choice.server_name {
            db::settings::set(self.c, SERVER_NAME, Some(&self.there.server))?;
            let token = self.there.metrics_token.as_ref().map(|token| seal.close(metrics::TOKEN, token));
            db::settings::set(self.c, metrics::ON, self.there.metrics.then_some("1"))?;
            db::settings::set(self.c, metrics::TOKEN, token.as_deref())?;
        }
        Ok(Ok(()))
    }

    /// The id that it has here.
    fn schedule(&mut self, one: &SavedSchedule) -> Result<Result<ScheduleId, String>, DbError> {
        let all = db::schedules::all(self.c)?;
        let by_id = all.iter().find(|other| other.id == one.id);
        let here = by_id.or_else(|| all.iter().find(|o| same_name(&o.plan.name, &one.plan.name)));
        if let Some(here) = here.filter(|here| here.plan == one.plan) {
            return Ok(Ok(here.id.clone()));
        }
        let schedule = Schedule {
            id: here.map_or_else(|| one.id.clone(), |here| here.id.clone()),
            enabled: self.choice.run && one.enabled,
            plan: one.plan.clone(),
            created: here.map_or(self.now, |here| here.created),
            // What was missed elsewhere is not owed here.
            since: self.now,
        };
        if db::schedules::name_taken(self.c, &schedule.plan.name, &schedule.id)? {
            let name = &schedule.plan.name;
            return Ok(Err(format!("Another schedule here is called {name}. Rename it, then try again.")));
        }
        if here.is_some() {
            db::schedules::update(self.c, &schedule)?;
        } else if all.len() >= schedules::MOST {
            return Ok(Err(format!("There are {} schedules already.", schedules::MOST)));
        } else {
            db::schedules::insert(self.c, &schedule)?;
        }
        self.done.schedules.push(schedule.plan.name);
        Ok(Ok(schedule.id))
    }

    fn channel(
        &mut self,
        one: &SavedChannel,
        seal: &Seal,
        ids: &[(ScheduleId, ScheduleId)],
    ) -> Result<Result<(), String>, DbError> {
        let target = match Target::parse(&one.address) {
            Ok(target) => target,
            Err(why) => return Ok(Err(format!("The channel {} can't be brought back. {why}", one.name))),
        };
        let schedule = match &one.schedule {
            None => None,
            Some(id) => {
                let here = ids.iter().find(|(there, _)| there == id).map(|(_, here)| here.clone());
                let known = match here {
                    Some(here) => Some(here),
                    None => db::schedules::get(self.c, id)?.map(|schedule| schedule.id),
                };
                let Some(known) = known else {
                    let name = &one.name;
                    let why = "the schedule that it is about is not here. Bring back the schedules, too.";
                    self.done.notes.push(format!("The channel {name} was left out: {why}"));
                    return Ok(Ok(()));
                };
                Some(known)
            }
        };
        let all = db::channels::all(self.c)?;
        let here = all.iter().find(|other| same_name(&other.name, &one.name));
        let channel = Channel {
            id: here.map_or(0, |here| here.id),
            name: one.name.clone(),
            kind: target.kind(),
            shown: target.shown(),
            wish: one.wish,
            schedule,
            enabled: one.enabled,
            last: None,
            problem: None,
            waiting: 0,
        };
        match here {
            Some(here) if self.is_same(here, &channel, one, seal)? => return Ok(Ok(())),
            Some(_) => {
                let sealed = seal.close(channels::SEAL, &one.address);
                db::channels::update(self.c, &channel, Some(&sealed))?;
            }
            None if all.len() >= channels::MOST => {
                return Ok(Err(format!("There are {} channels already.", channels::MOST)));
            }
            None => {
                let sealed = seal.close(channels::SEAL, &one.address);
                db::channels::insert(self.c, &channel, &sealed)?;
            }
        }
        self.done.channels.push(channel.name);
        Ok(Ok(()))
    }

    fn is_same(
        &mut self,
        here: &Channel,
        wanted: &Channel,
        one: &SavedChannel,
        seal: &Seal,
    ) -> Result<bool, DbError> {
        let sealed = db::channels::address(self.c, here.id)?.unwrap_or_default();
        Ok(seal.open(channels::SEAL, &sealed).as_ref() == Some(&one.address)
            && (here.wish, &here.schedule, here.enabled) == (wanted.wish, &wanted.schedule, wanted.enabled))
    }

    /// By name. Where each side has one user, they are the same person, whatever its name.
    fn users(&mut self) -> Result<(), DbError> {
        for one in &self.there.users {
            let all = db::users::all(self.c)?;
            let by_name = all.iter().find(|other| same_name(&other.name, &one.name));
            let only = all.first().filter(|_| all.len() == 1 && self.there.users.len() == 1);
            match by_name.or(only) {
                Some(here) if here.name == one.name && here.password_hash == one.password_hash => continue,
                Some(here) => {
                    let mut user = here.clone();
                    user.name.clone_from(&one.name);
                    user.password_hash = one.password_hash.clone();
                    user.default_password = one.default_password;
                    db::users::update(self.c, &user)?;
                    self.done.changed_users.push(user.id);
                }
                None => db::users::insert(self.c, &one.name, &one.password_hash, one.default_password)?,
            }
            self.done.users.push(one.name.clone());
        }
        Ok(())
    }

    fn token(&mut self, one: &SavedToken, who: &Actor) -> Result<(), DbError> {
        if one.expires.is_some_and(|expires| expires <= self.now) {
            return Ok(());
        }
        let owner = db::users::by_name(self.c, &one.user)?.map_or(who.id, |user| user.id);
        let new = db::tokens::New {
            name: one.name.clone(),
            scope: one.scope,
            hash: one.hash.reveal().to_owned(),
            user_id: owner,
            expires: one.expires,
        };
        // One that has its name or is the same stays as it is.
        if db::tokens::insert(self.c, &new)?.is_some_and(|token| token.name == one.name) {
            self.done.tokens.push(one.name.clone());
        }
        Ok(())
    }

    fn marks(&mut self) -> Result<(), DbError> {
        for storage in Storage::ALL {
            let ids = db::backups::ids(self.c, storage)?;
            let known = self.there.marks.iter().filter(|mark| mark.storage == storage);
            for mark in known.filter(|mark| ids.contains(&mark.id)) {
                if mark.pinned {
                    db::marks::pin(self.c, storage, &mark.id, true)?;
                }
                if let Some(note) = &mark.note {
                    db::marks::note(self.c, storage, &mark.id, note)?;
                }
                self.done.marks += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
