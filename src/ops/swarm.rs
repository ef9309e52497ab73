//! Swarm stacks: their services are scaled to nothing and back, replaced, or removed. Swarm itself starts and stops
//! the containers.

use std::time::Duration;

use serde_json::json;

use super::{
    Actor,
    stacks::{self, Stack, Wish},
};
use crate::{
    app::App,
    docker::DockerError,
    error::{AppError, Result},
    model::{
        batch::{Item, ItemState},
        names::RunId,
        stack::Service,
    },
};

/// How long the swarm may take with one service.
const PATIENCE: Duration = Duration::from_mins(2);

/// What an item of the batch is.
enum Part {
    Service(Service),
    Network(String),
    Volume(String),
}

/// Begins; the batch tells how far it is.
pub(super) async fn begin(app: &App, actor: &Actor, stack: Stack, wish: Wish) -> Result<RunId> {
    let name = stack.name.clone();
    if stack.swarm.is_empty() {
        return Err(AppError::Impossible(format!(
            "{name} is a Swarm stack, and this engine does not manage its services. Do this on a manager of the \
             swarm, or there use docker stack rm or docker service scale."
        )));
    }
    if let Some(own) = stack.containers.iter().find(|container| container.is_self) {
        super::containers::refuse_self(own, matches!(wish, Wish::Delete { .. }))?;
    }
    let (parts, items): (Vec<_>, Vec<_>) = plan(&stack, wish).into_iter().unzip();
    let details = json!({
        "services": stack.services, "delete_volumes": wish == Wish::Delete { volumes: true },
    });
    let (engine, who, stack) = (app.clone(), actor.clone(), name.clone());
    let work = async move |batch: RunId| work(&engine, &who, &batch, &stack, parts, wish).await;
    stacks::carry_out(app, actor, &name, wish, (items, details), work).await
}

fn plan(stack: &Stack, wish: Wish) -> Vec<(Part, Item)> {
    let chosen = stack.swarm.iter().filter(|service| match wish {
        Wish::Start => service.desired == 0,
        Wish::Stop | Wish::Restart => service.desired > 0,
        _ => true,
    });
    let mut parts: Vec<_> =
        chosen.map(|service| (Part::Service(service.clone()), Item::waiting("", &service.name))).collect();
    if let Wish::Delete { volumes } = wish {
        let named = |kind: &str, name: &String| Item::waiting("", &format!("{kind} {name}"));
        parts.extend(stack.networks.iter().map(|name| (Part::Network(name.clone()), named("network", name))));
        if volumes {
            let volumes = &stack.volumes;
            parts.extend(volumes.iter().map(|name| (Part::Volume(name.clone()), named("volume", name))));
        }
    }
    parts
}

async fn work(app: &App, actor: &Actor, batch: &RunId, stack: &str, parts: Vec<Part>, wish: Wish) {
    for (place, part) in parts.iter().enumerate() {
        app.batches.set(batch, place, ItemState::Working, String::new(), None);
        let done = match part {
            Part::Service(service) => act(app, service, wish).await,
            Part::Network(name) => {
                let removal = app.docker.remove_network(name);
                remove(app, actor, stack, "network_delete", name, removal).await
            }
            Part::Volume(name) => {
                let removal = app.docker.remove_volume(name);
                remove(app, actor, stack, "volume_delete", name, removal).await
            }
        };
        match done {
            Ok(text) => app.batches.set(batch, place, ItemState::Done, text, None),
            Err(error) => app.batches.set(batch, place, ItemState::Failed, error.to_string(), None),
        }
    }
    app.batches.end(batch);
}

async fn act(app: &App, service: &Service, wish: Wish) -> Result<String> {
    let docker = &app.docker;
    match wish {
        Wish::Start | Wish::Stop if !service.scalable => Err(AppError::Impossible(
            "It is a global service or a job: it has no number of replicas that could be changed. Remove the stack, \
             or take its nodes out with docker node update."
                .to_owned(),
        )),
        Wish::Stop => {
            docker.stop_service(&service.id).await?;
            docker.wait_tasks(&service.id, 0, PATIENCE).await?;
            Ok("Scaled to 0".to_owned())
        }
        Wish::Start => {
            let replicas = docker.start_service(&service.id).await?;
            docker.wait_tasks(&service.id, replicas, PATIENCE).await?;
            Ok(format!("{replicas} {}", if replicas == 1 { "replica runs" } else { "replicas run" }))
        }
        Wish::Restart => {
            docker.restart_service(&service.id, PATIENCE).await?;
            Ok("Restarted".to_owned())
        }
        Wish::Delete { .. } => {
            docker.remove_service(&service.id).await?;
            Ok("Removed".to_owned())
        }
        Wish::BackUp => Err(AppError::internal("a service has no backup")),
    }
}

/// Removes a network or volume, once no container of the stack is left: until then it is in use.
async fn remove(
    app: &App,
    actor: &Actor,
    stack: &str,
    operation: &str,
    name: &str,
    removal: impl Future<Output = std::result::Result<(), DockerError>>,
) -> Result<String> {
    app.docker.wait_stack_gone(stack, PATIENCE).await?;
    let done = match removal.await {
        // Swarm may have been quicker.
        Err(DockerError::NotFound(_)) => Ok(()),
        done => done,
    };
    stacks::removed(app, actor, operation, name, done).await
}
