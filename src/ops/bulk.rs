//! One wish for several containers: done one after the other, with a result for
//! each. The work goes on when the browser that asked is gone.

use std::time::Duration;

use super::{
    Actor, backups,
    containers::{self, act_on, list, pick},
    delete::{self, delete_one},
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        batch::{Batch, Item, ItemState},
        container::{Action, Container},
        names::{ContainerRef, RunId},
    },
};

/// The most containers of one request.
const MOST: usize = 1000;

/// What to do to each of them.
#[derive(Debug, Clone, Copy)]
pub enum Wish {
    /// Start, stop…; with the seconds a stop may take.
    Act(Action, Option<u32>),
    /// Delete it, with what goes along.
    Delete(delete::Options),
    /// Put a backup into the queue.
    BackUp,
}

impl Wish {
    /// "Stop 3 containers".
    fn title(self, count: usize) -> String {
        let verb = match self {
            Self::Act(action, _) => capital(action.as_str()),
            Self::Delete(_) => "Delete".to_owned(),
            Self::BackUp => "Back up".to_owned(),
        };
        format!("{verb} {count} {}", if count == 1 { "container" } else { "containers" })
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The containers that are meant, each once, and the names that mean none.
pub async fn choose(
    app: &App,
    ids: &[ContainerRef],
) -> Result<(Vec<Container>, Vec<Container>, Vec<(ContainerRef, String)>)> {
    if ids.is_empty() {
        return Err(AppError::field("ids", "Choose at least one container."));
    }
    if ids.len() > MOST {
        return Err(AppError::field("ids", format!("At most {MOST} containers at once.")));
    }
    let all = list(app).await?;
    let (mut chosen, mut unknown): (Vec<Container>, Vec<_>) = (Vec::new(), Vec::new());
    for id in ids {
        match pick(&all, id) {
            Ok(container) if chosen.iter().any(|known| known.id == container.id) => {}
            Ok(container) => chosen.push(container.clone()),
            Err(error) => unknown.push((id.clone(), error.to_string())),
        }
    }
    Ok((all, chosen, unknown))
}

/// Begins; the batch tells how far it is.
pub async fn begin(app: &App, actor: &Actor, ids: &[ContainerRef], wish: Wish, back: &str) -> Result<RunId> {
    if matches!(wish, Wish::BackUp) {
        app.vault(app.vaults.chosen())?;
    }
    let (all, chosen, unknown) = choose(app, ids).await?;
    let items = chosen.iter().map(|container| Item::waiting(&container.id, &container.name));
    let items: Vec<_> =
        items.chain(unknown.iter().map(|(id, why)| Item::refused(id.as_str(), why.clone()))).collect();
    let id = app.batches.begin(wish.title(items.len()), back.to_owned(), items);
    app.tasks.spawn(work(app.clone(), actor.clone(), id.clone(), all, chosen, wish));
    Ok(id)
}

/// Each in its turn. When the server stops, the present one is brought to its end, so that the audit log tells it.
async fn work(
    app: App,
    actor: Actor,
    batch: RunId,
    mut all: Vec<Container>,
    chosen: Vec<Container>,
    wish: Wish,
) {
    for (place, container) in chosen.iter().enumerate() {
        if app.shutdown.is_cancelled() {
            break;
        }
        app.batches.set(&batch, place, ItemState::Working, String::new(), None);
        let done = one(&app, &actor, &all, container, wish).await;
        if matches!(wish, Wish::Delete(_)) && done.is_ok() {
            all.retain(|other| other.id != container.id);
        }
        match done {
            Ok((text, None)) => app.batches.set(&batch, place, ItemState::Done, text, None),
            Ok((text, run)) => app.batches.set(&batch, place, ItemState::Queued, text, run),
            Err(error) => app.batches.set(&batch, place, ItemState::Failed, error.to_string(), None),
        }
    }
    app.batches.end(&batch);
}

async fn one(
    app: &App,
    actor: &Actor,
    all: &[Container],
    container: &Container,
    wish: Wish,
) -> Result<(String, Option<RunId>)> {
    match wish {
        Wish::Act(action, timeout) => {
            act_on(app, actor, container, action, timeout).await?;
            Ok((action.done().to_owned(), None))
        }
        Wish::Delete(how) => {
            let deleted = delete_one(app, actor, all, container, how).await?;
            Ok((tell(&deleted), None))
        }
        Wish::BackUp => {
            let id = container.id.parse().map_err(AppError::internal)?;
            let run = backups::request(app, actor, &id, backups::BackupOptions::default()).await?;
            Ok((String::new(), Some(run.id)))
        }
    }
}

/// "Deleted, with volume data and image web:1. …stays".
fn tell(deleted: &delete::Deleted) -> String {
    let volumes = deleted.volumes.iter().map(|name| format!("volume {name}"));
    let parts: Vec<_> = volumes.chain(deleted.image.iter().map(|name| format!("image {name}"))).collect();
    let mut text = "Deleted".to_owned();
    if !parts.is_empty() {
        text.push_str(", with ");
        text.push_str(&parts.join(", "));
    }
    for line in &deleted.kept {
        text.push_str(". ");
        text.push_str(line.trim_end_matches('.'));
    }
    text
}

/// A batch with the states of its jobs.
pub async fn get(app: &App, id: &RunId) -> Result<(Batch, Vec<crate::model::run::Run>)> {
    let batch = app.batches.get(id).ok_or(AppError::NotFound(
        "This list is kept only until Container Monkey is started again; what was done is among the jobs. It"
            .into(),
    ))?;
    let ids: Vec<String> =
        batch.items.iter().filter_map(|item| item.run.as_ref().map(ToString::to_string)).collect();
    let runs = if ids.is_empty() {
        Vec::new()
    } else {
        app.db.read(move |c| crate::db::runs::some(c, &ids)).await?
    };
    Ok((batch, runs))
}

/// Waits until everything is done, at most this long.
pub async fn wait(app: &App, id: &RunId, limit: Duration) {
    let began = tokio::time::Instant::now();
    while app.batches.get(id).is_some_and(|batch| !batch.ended) && began.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Whether an action makes sense now; the sentence says why not.
pub fn refused(container: &Container, wish: &Wish) -> Option<String> {
    match wish {
        Wish::BackUp => None,
        Wish::Act(action, _) => containers::refuse_self(container, *action != Action::Start)
            .err()
            .map(|error| error.to_string())
            .or_else(|| action.refused_in(container.status).map(str::to_owned)),
        Wish::Delete(_) => containers::refuse_self(container, true).err().map(|error| error.to_string()),
    }
}
