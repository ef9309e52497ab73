//! What bringing settings back would change, before anything happens.

use super::{Current, current, read};
use crate::{
    app::App,
    db,
    error::{AppError, Result},
    model::{
        names::BackupRef,
        saved_settings::{Saved, SavedChannel, SavedSchedule, SavedToken, SavedUser, Settings},
        vault::Storage,
    },
    notify::Target,
    vaults::State,
};

/// What is brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a box that a person ticks")]
pub struct Choice {
    /// Schedules.
    pub schedules: bool,
    /// They run here at once, as they did there; else they come paused.
    pub run: bool,
    /// Notification channels.
    pub channels: bool,
    /// Pins and notes of backups.
    pub marks: bool,
    /// The name of the server, and how monitoring is let in.
    pub server_name: bool,
    /// The bucket, and where new backups go.
    pub storage: bool,
    /// Users with their passwords.
    pub users: bool,
    /// API tokens.
    pub tokens: bool,
}

impl Choice {
    /// Whether nothing is brought back.
    pub fn is_empty(self) -> bool {
        Self { run: false, ..self } == Self::default()
    }
}

/// What happens to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is none like it here.
    New,
    /// It takes the place of one that is here.
    Replaces,
    /// It is here already, as it is there.
    Same,
}

/// One thing that would be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What of it is no secret.
    pub detail: String,
    /// What happens to it.
    pub change: Change,
}

/// What bringing settings back would change.
#[derive(Debug)]
pub struct Review {
    /// Which.
    pub saved: Saved,
    /// They are of another data directory, whose server may still run.
    pub elsewhere: bool,
    /// Schedules.
    pub schedules: Vec<Line>,
    /// Notification channels.
    pub channels: Vec<Line>,
    /// Users.
    pub users: Vec<Line>,
    /// API tokens.
    pub tokens: Vec<Line>,
    /// So many pins and notes are of backups that are listed here, so many are not.
    pub marks: (usize, usize),
    /// What changes of the server's name and of monitoring, a sentence each.
    pub server: Vec<String>,
    /// The bucket and where new backups go, a sentence each; empty when both are as there.
    pub storage: Vec<String>,
    /// What is chosen unless a person says otherwise.
    pub suggested: Choice,
}

/// The list's line of these settings.
pub(super) async fn find(app: &App, id: &BackupRef) -> Result<Saved> {
    let (storage, id) = id.parts();
    let all = app.db.read(db::saved_settings::all).await?;
    let mut found = all
        .into_iter()
        .filter(|saved| storage.is_none_or(|storage| storage == saved.storage) && saved.id.starts_with(id));
    found.next().ok_or(AppError::NotFound("These settings".into()))
}

/// What bringing them back would change.
pub async fn review(app: &App, id: &BackupRef) -> Result<Review> {
    let saved = find(app, id).await?;
    let there = read(app, &saved).await?;
    let Current { settings: here, .. } = current(app).await?;
    let elsewhere = there.instance != here.instance;
    let marks = known_marks(app, &there).await?;
    let storage = storage_lines(app, &there, &here);
    let blank = here.schedules.is_empty() && here.channels.is_empty();
    Ok(Review {
        schedules: there.schedules.iter().map(|one| schedule_line(one, &here)).collect(),
        channels: there.channels.iter().map(|one| channel_line(one, &here)).collect(),
        users: there.users.iter().map(|one| user_line(one, &here)).collect(),
        tokens: there.tokens.iter().map(|one| token_line(one, &here)).collect(),
        marks: (marks, there.marks.len() - marks),
        suggested: Choice {
            schedules: true,
            run: !elsewhere,
            channels: true,
            marks: true,
            server_name: blank,
            storage: blank && !storage.is_empty(),
            users: false,
            tokens: false,
        },
        server: server_lines(&there, &here),
        storage,
        elsewhere,
        saved,
    })
}

fn change<T: PartialEq>(here: Option<&T>, there: &T) -> Change {
    match here {
        None => Change::New,
        Some(here) if here == there => Change::Same,
        Some(_) => Change::Replaces,
    }
}

pub(super) fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn schedule_line(one: &SavedSchedule, here: &Settings) -> Line {
    let by_id = here.schedules.iter().find(|other| other.id == one.id);
    let known = by_id.or_else(|| here.schedules.iter().find(|o| same_name(&o.plan.name, &one.plan.name)));
    Line {
        name: one.plan.name.clone(),
        detail: format!("{}: {}", one.plan.timing.words(), one.plan.selection.words()),
        change: change(known.map(|known| &known.plan), &one.plan),
    }
}

fn channel_line(one: &SavedChannel, here: &Settings) -> Line {
    let known = here.channels.iter().find(|other| same_name(&other.name, &one.name));
    let shown = Target::parse(&one.address).map(|target| target.shown()).unwrap_or_default();
    Line { name: one.name.clone(), detail: shown, change: change(known, one) }
}

fn user_line(one: &SavedUser, here: &Settings) -> Line {
    let known = here.users.iter().find(|other| same_name(&other.name, &one.name));
    Line { name: one.name.clone(), detail: String::new(), change: change(known, one) }
}

fn token_line(one: &SavedToken, here: &Settings) -> Line {
    let known = here.tokens.iter().any(|other| other.hash == one.hash || same_name(&other.name, &one.name));
    Line {
        name: one.name.clone(),
        detail: format!("may {}", one.scope),
        change: if known { Change::Same } else { Change::New },
    }
}

fn server_lines(there: &Settings, here: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    if there.server != here.server {
        lines.push(format!("This server is called {}, not {}.", there.server, here.server));
    }
    if (there.metrics, &there.metrics_token) != (here.metrics, &here.metrics_token) {
        let state = if there.metrics { "on" } else { "off" };
        let token = if there.metrics_token.is_some() { "with its token" } else { "without a token" };
        lines.push(format!("Figures for Prometheus are {state}, {token}."));
    }
    lines
}

fn storage_lines(app: &App, there: &Settings, here: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(bucket), State::Absent) = (&there.bucket, app.vaults.of(Storage::S3).state()) {
        lines.push(format!("The vault in {} is opened here, too.", bucket.place));
    }
    let there_is = app.vaults.of(there.chosen).state() != State::Absent || there.bucket.is_some();
    if there.chosen != here.chosen && there_is {
        lines.push(format!("New backups go to {} storage.", there.chosen.label()));
    }
    lines
}

/// So many marks are of backups that are listed here.
async fn known_marks(app: &App, there: &Settings) -> Result<usize> {
    let marks = there.marks.clone();
    let count = app.db.read(move |c| {
        let mut count = 0;
        for storage in Storage::ALL {
            let ids = db::backups::ids(c, storage)?;
            count += marks.iter().filter(|mark| mark.storage == storage && ids.contains(&mark.id)).count();
        }
        Ok(count)
    });
    Ok(count.await?)
}
