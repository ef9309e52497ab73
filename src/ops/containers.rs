//! Containers: list, look at, act on, rename. Deleting is in `delete`, several at once in `bulk`.

use serde::Serialize;
use serde_json::{Value, json};

use super::Actor;
use crate::{
    app::App,
    db::{self, audit::Entry},
    error::{AppError, Result},
    model::{
        container::{Action, Container},
        names::{ContainerName, ContainerRef},
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

/// All containers, in one question to the engine.
pub async fn list(app: &App) -> Result<Vec<Container>> {
    Ok(app.docker.containers().await?)
}

/// One container's row by id, unique id prefix or name.
pub async fn find(app: &App, id: &ContainerRef) -> Result<Container> {
    Ok(details(app, id).await?.container)
}

/// The one of the list that is meant.
pub fn pick<'a>(list: &'a [Container], id: &ContainerRef) -> Result<&'a Container> {
    let wanted = id.as_str();
    let matching: Vec<_> = list
        .iter()
        .filter(|container| {
            container.name == wanted
                || container.id == wanted
                || (wanted.len() >= 4 && container.id.starts_with(wanted))
        })
        .collect();
    // A name wins over an id that begins like it, as in Docker.
    if let Some(container) = matching.iter().find(|container| container.name == wanted) {
        return Ok(container);
    }
    match matching[..] {
        [] => Err(AppError::NotFound(format!("The container “{wanted}”").into())),
        [one] => Ok(one),
        _ => Err(AppError::Conflict(format!(
            "{} containers have an id that begins with “{wanted}”.",
            matching.len()
        ))),
    }
}

/// One container by id, prefix or name.
pub async fn details(app: &App, id: &ContainerRef) -> Result<Details> {
    match app.docker.container(id.as_str()).await {
        Ok(Some((container, inspect))) => Ok(Details { container, inspect }),
        Ok(None) => Err(AppError::NotFound(format!("The container “{id}”").into())),
        Err(error) if error.to_string().to_lowercase().contains("multiple ids") => {
            Err(AppError::Conflict(format!("Several containers have an id that begins with “{id}”.")))
        }
        Err(error) => Err(error.into()),
    }
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
    act_on(app, actor, &container, action, timeout).await?;
    find(app, &container_ref(&container)?).await
}

/// The same to a container that was looked up already.
pub(super) async fn act_on(
    app: &App,
    actor: &Actor,
    container: &Container,
    action: Action,
    timeout: Option<u32>,
) -> Result<()> {
    refuse_self(container, action != Action::Start)?;
    if let Some(why) = action.refused_in(container.status) {
        return Err(AppError::Conflict(format!("{why}: {}.", container.name)));
    }
    let done = app.docker.act(&container.id, action, timeout).await;
    let operation = format!("container_{action}");
    let problem = done.as_ref().err().map(ToString::to_string);
    record(app, actor, &operation, &container.name, problem, json!({ "container_id": container.id })).await?;
    Ok(done?)
}

/// Gives it another name.
pub async fn rename(app: &App, actor: &Actor, id: &ContainerRef, name: &ContainerName) -> Result<()> {
    let all = list(app).await?;
    let container = pick(&all, id)?;
    if container.name == name.as_str() {
        return Err(AppError::field("name", format!("It is called {name} already.")));
    }
    if all.iter().any(|other| other.name == name.as_str()) {
        return Err(AppError::Conflict(format!("Another container is called {name}. Choose another name.")));
    }
    let done = app.docker.rename(&container.id, name.as_str()).await;
    let details = json!({ "container_id": container.id, "new_name": name });
    let problem = done.as_ref().err().map(ToString::to_string);
    record(app, actor, "container_rename", &container.name, problem, details).await?;
    Ok(done?)
}

/// The program never stops or deletes the container it runs in.
pub(super) fn refuse_self(container: &Container, harmful: bool) -> Result<()> {
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

/// Writes into the audit log that somebody looked at the secret values among the settings of a container.
pub async fn record_reveal(app: &App, actor: &Actor, container: &str) -> Result<()> {
    record(app, actor, "show_secrets", container, None, json!({})).await
}

/// Writes an action on something of Docker's into the audit log, with the error it ended with.
pub(super) async fn record(
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
