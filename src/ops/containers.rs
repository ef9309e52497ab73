//! Containers: list, look at, act on, delete.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Actor;
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        container::{Action, Container},
        names::ContainerRef,
    },
};

/// A container with everything its page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Details {
    /// The list's row.
    pub container: Container,
    /// Raw inspect.
    pub inspect: Value,
}

/// How to delete.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeleteOptions {
    /// Its volumes too, those that no other container uses.
    pub delete_volumes: bool,
    /// Even while it runs.
    pub force: bool,
}

/// All containers, in one question to the engine.
pub async fn list(app: &App) -> Result<Vec<Container>> {
    Ok(app.docker.containers().await?)
}

/// One container's row by id, unique id prefix or name.
pub async fn find(app: &App, id: &ContainerRef) -> Result<Container> {
    let list = list(app).await?;
    pick(list, id)
}

fn pick(list: Vec<Container>, id: &ContainerRef) -> Result<Container> {
    let wanted = id.as_str();
    let mut matching: Vec<_> = list
        .into_iter()
        .filter(|container| {
            container.name == wanted
                || container.id == wanted
                || (wanted.len() >= 4 && container.id.starts_with(wanted))
        })
        .collect();
    // A name wins over an id that begins like it, as in Docker.
    if let Some(index) = matching.iter().position(|container| container.name == wanted) {
        return Ok(matching.swap_remove(index));
    }
    match matching.len() {
        0 => Err(AppError::NotFound(format!("The container “{wanted}”").into())),
        1 => Ok(matching.remove(0)),
        many => Err(AppError::Conflict(format!("{many} containers have an id that begins with “{wanted}”."))),
    }
}

/// One container by id, prefix or name.
pub async fn details(app: &App, id: &ContainerRef) -> Result<Details> {
    let container = find(app, id).await?;
    let inspect = app.docker.inspect(&container.id).await?;
    Ok(Details { container, inspect })
}

/// Start, stop…; `timeout` in seconds overrides the container's own. Returns its row as it is now.
pub async fn act(
    app: &App,
    actor: &Actor,
    id: &ContainerRef,
    action: Action,
    timeout: Option<u32>,
) -> Result<Container> {
    let container = find(app, id).await?;
    refuse_self(&container, action != Action::Start)?;
    if let Some(why) = action.refused_in(container.status) {
        return Err(AppError::Conflict(format!("{why}: {}.", container.name)));
    }
    let done = app.docker.act(&container.id, action, timeout).await;
    let operation = format!("container_{action}");
    record(app, actor, &operation, &container.name, done.as_ref().err().map(ToString::to_string), json!({}))
        .await?;
    done?;
    find(app, &container_ref(&container)?).await
}

/// Deletes it; returns the names of deleted volumes.
pub async fn delete(app: &App, actor: &Actor, id: &ContainerRef, how: &DeleteOptions) -> Result<Vec<String>> {
    let all = list(app).await?;
    let container = pick(all.clone(), id)?;
    refuse_self(&container, true)?;
    let running = matches!(container.status.as_str(), "running" | "paused" | "restarting");
    if running && !how.force {
        return Err(AppError::Conflict(format!(
            "{} is {}. Stop it first, or delete it by force.",
            container.name, container.status
        )));
    }
    let used_by_others = |volume: &str| {
        all.iter()
            .any(|other| other.id != container.id && other.volumes.iter().any(|mount| mount.name == volume))
    };
    let volumes: Vec<String> = container
        .volumes
        .iter()
        .filter(|mount| mount.kind == "volume" && how.delete_volumes && !used_by_others(&mount.name))
        .map(|mount| mount.name.clone())
        .collect();
    let removed = app.docker.remove_container(&container.id, how.force, false).await;
    let mut deleted = Vec::new();
    let mut problem = removed.as_ref().err().map(ToString::to_string);
    if removed.is_ok() {
        for volume in volumes {
            match app.docker.remove_volume(&volume).await {
                Ok(()) => deleted.push(volume),
                Err(error) => problem = Some(format!("The volume {volume} is still there: {error}")),
            }
        }
    }
    let details = json!({ "deleted_volumes": deleted });
    record(app, actor, "container_delete", &container.name, problem.clone(), details).await?;
    removed?;
    match problem {
        None => Ok(deleted),
        Some(problem) => Err(AppError::Conflict(format!("{} was deleted. {problem}", container.name))),
    }
}

/// The program never stops or deletes the container it runs in.
fn refuse_self(container: &Container, harmful: bool) -> Result<()> {
    if container.is_self && harmful {
        return Err(AppError::Conflict(
            "This is the container Container Monkey runs in. Use Docker itself to stop or delete it."
                .to_owned(),
        ));
    }
    Ok(())
}

fn container_ref(container: &Container) -> Result<ContainerRef> {
    container.id.parse().map_err(AppError::internal)
}

async fn record(
    app: &App,
    actor: &Actor,
    operation: &str,
    target: &str,
    error: Option<String>,
    details: Value,
) -> Result<()> {
    let (actor, operation, target) = (actor.clone(), operation.to_owned(), target.to_owned());
    app.db
        .write(move |c| {
            let outcome = if error.is_some() { "error" } else { "completed" };
            let entry =
                Entry { outcome, error: error.as_deref(), details, ..actor.entry(&operation, &target) };
            db::audit::record(c, &entry)
        })
        .await?;
    Ok(())
}
