//! Verifying backups: asked for by people, done as a job, and remembered at each backup.

use chrono::Utc;

use super::{
    Actor, backups, deletions,
    perform::{Job, Open, Problem, done, failed},
    vaults,
};
use crate::{
    app::App,
    db,
    error::{AppError, Result},
    model::{
        backup::Backup,
        names::BackupRef,
        progress::Level,
        run::{Outcome, Request, Run, State},
        vault::Storage,
        verify::{Part, VerifyRequest},
    },
    worker::order::{Answer, Task},
};

/// Whose turn it is to be read.
fn turn_key(storage: Storage) -> String {
    format!("vault.{storage}.verify_turn")
}

/// Verifies one backup with all its data.
pub async fn one(app: &App, actor: &Actor, id: &BackupRef) -> Result<Run> {
    let backup = backups::get(app, id).await?;
    let request = VerifyRequest { storage: backup.storage, backups: vec![backup.id], percent: 100 };
    enqueue(app, actor, backup.meta.container, request).await
}

/// Verifies several with all their data: one job for each vault that they are in.
pub async fn some(app: &App, actor: &Actor, ids: &[BackupRef]) -> Result<Vec<Run>> {
    let (chosen, unknown) = deletions::choose(app, ids).await?;
    if let Some((id, _)) = unknown.first() {
        return Err(AppError::NotFound(format!("The backup “{id}”").into()));
    }
    let mut runs = Vec::new();
    for storage in Storage::ALL {
        let here: Vec<&Backup> = chosen.iter().filter(|backup| backup.storage == storage).collect();
        let subject = match here.as_slice() {
            [] => continue,
            [one] => one.meta.container.clone(),
            many => format!("{} backups", many.len()),
        };
        let backups = here.iter().map(|backup| backup.id.clone()).collect();
        runs.push(enqueue(app, actor, subject, VerifyRequest { storage, backups, percent: 100 }).await?);
    }
    Ok(runs)
}

/// Verifies a vault: its structure, and a part of its data that is another each time.
pub async fn vault(app: &App, actor: &Actor, storage: Storage, percent: u32) -> Result<Run> {
    if percent > 100 {
        return Err(AppError::field("percent", "From 0 to 100 percent of the data can be read."));
    }
    let subject = format!("{} vault", storage.label());
    enqueue(app, actor, subject, VerifyRequest { storage, backups: Vec::new(), percent }).await
}

async fn enqueue(app: &App, actor: &Actor, subject: String, request: VerifyRequest) -> Result<Run> {
    app.vault(request.storage)?;
    let run = backups::new_run(actor, subject, Request::Verify(request));
    backups::enqueue(app, actor, run).await
}

/// Does the run.
pub(super) async fn run(job: &Job, request: &VerifyRequest) -> Result<Outcome, Problem> {
    let storage = request.storage;
    let turn = job.app.db.read(move |c| db::settings::get(c, &turn_key(storage))).await?;
    let turn: u32 = turn.and_then(|turn| turn.parse().ok()).unwrap_or(0);
    let part = Part::of_percent(request.percent, turn);
    let task = Task::Verify { backups: request.backups.clone(), part };
    let heard = job.work_in(storage, task, &mut Open).await.map_err(Problem::Worker)?;
    let Answer::Verified(found) = heard.answer else { return Err(Problem::Worker(vaults::unexpected())) };
    let (kept, whole_vault) = (found.clone(), request.backups.is_empty());
    job.app
        .db
        .write(move |c| {
            db::marks::verified(c, storage, &kept, part.is_some_and(Part::is_all), Utc::now())?;
            if whole_vault && part.is_some() {
                db::settings::set(c, &turn_key(storage), Some(&turn.wrapping_add(1).to_string()))?;
            }
            Ok(())
        })
        .await?;
    if found.damaged.is_empty() && found.problems.is_empty() {
        job.note(Level::Info, format!("{} backups looked at; nothing is damaged.", found.backups.len()))
            .await?;
        return Ok(Outcome { bytes: found.read, ..done(State::Complete) });
    }
    for damaged in &found.damaged {
        job.note(Level::Error, format!("{}: {} can't be restored.", damaged.filename, damaged.words()))
            .await?;
    }
    for problem in &found.problems {
        job.note(Level::Error, problem.clone()).await?;
    }
    let names: Vec<&str> = found.damaged.iter().take(5).map(|damaged| damaged.filename.as_str()).collect();
    let why = match found.damaged.len() {
        0 => "The vault is damaged, but no backup has lost anything that was looked at. The log says what was found."
            .to_owned(),
        count => format!(
            "Something is lost of {count} of {} backups: {}. The log names the files. Nothing was repaired.",
            found.backups.len(),
            names.join(", ")
        ),
    };
    Ok(Outcome { bytes: found.read, ..failed(why) })
}
