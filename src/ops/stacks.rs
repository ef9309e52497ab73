//! Stacks: listed, and started, stopped or removed as a whole, in the order in
//! which their containers need each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Actor, bulk,
    containers::{self, act_on, record},
    delete::is_up,
    swarm,
};
use crate::{
    app::App,
    db::{self, audit::Entry},
    docker::DockerError,
    error::{AppError, Result},
    model::{
        batch::{Item, ItemState},
        container::{Action, Container, Status},
        names::RunId,
        stack::{self, Condition, Kind, Needs, Service},
    },
};

/// How long one that others need may take to become healthy, if its check does not say longer.
const HEALTHY: Duration = Duration::from_mins(1);

/// How long one that others wait for may take to end.
const ENDED: Duration = Duration::from_mins(10);

/// Containers that belong together.
#[derive(Debug, Clone, Serialize)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Compose or Swarm.
    pub kind: Kind,
    /// Names of services, each once.
    pub services: Vec<String>,
    /// The containers, by service.
    pub containers: Vec<Container>,
    /// Networks it made.
    pub networks: Vec<String>,
    /// Volumes it made.
    pub volumes: Vec<String>,
    /// Its services, where this engine manages the swarm.
    #[serde(rename = "swarm_services")]
    pub swarm: Vec<Service>,
}

impl Stack {
    fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            services: Vec::new(),
            containers: Vec::new(),
            networks: Vec::new(),
            volumes: Vec::new(),
            swarm: Vec::new(),
        }
    }

    /// Its Swarm services that are scaled to nothing.
    pub fn scaled_down(&self) -> impl Iterator<Item = &Service> {
        self.swarm.iter().filter(|service| service.desired == 0)
    }

    /// How many of its containers run.
    pub fn running(&self) -> usize {
        self.containers.iter().filter(|container| is_up(container)).count()
    }

    /// `running`, `partial`, `stopped`.
    pub fn status(&self) -> &'static str {
        if !self.swarm.is_empty() {
            let short = self.swarm.iter().any(|service| service.running < service.desired);
            let (up, down) = (self.swarm.iter().any(|s| s.running > 0), self.scaled_down().next().is_some());
            return match (up, short || down) {
                (false, _) => "stopped",
                (true, true) => "partial",
                (true, false) => "running",
            };
        }
        match self.running() {
            0 => "stopped",
            running if running == self.containers.len() => "running",
            _ => "partial",
        }
    }
}

/// What to do with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Start what does not run.
    Start,
    /// Stop what runs.
    Stop,
    /// Stop what runs, then start it again.
    Restart,
    /// Remove containers and networks, with its volumes or without.
    Delete {
        /// Its volumes, too.
        volumes: bool,
    },
    /// Back up each container.
    BackUp,
}

/// All stacks that have containers here, and those of a swarm that this engine manages, by name. Four questions
/// to the engine.
pub async fn list(app: &App) -> Result<Vec<Stack>> {
    let (containers, (networks, volumes), services) =
        tokio::try_join!(app.docker.containers(), app.docker.stack_parts(), app.docker.stack_services())?;
    let mut stacks: BTreeMap<String, Stack> = BTreeMap::new();
    for container in containers {
        let Some(info) = &container.stack_info else { continue };
        let stack = stacks.entry(info.name.clone()).or_insert_with(|| Stack::new(&info.name, info.kind));
        if !stack.services.contains(&info.service) {
            stack.services.push(info.service.clone());
        }
        stack.containers.push(container);
    }
    for service in services.into_iter().flatten() {
        let stack =
            stacks.entry(service.stack.clone()).or_insert_with(|| Stack::new(&service.stack, Kind::Swarm));
        if !stack.services.iter().any(|known| known == service.short_name()) {
            stack.services.push(service.short_name().to_owned());
        }
        stack.swarm.push(service);
    }
    for part in networks {
        if let Some(stack) = stacks.get_mut(&part.stack) {
            stack.networks.push(part.name);
        }
    }
    for part in volumes {
        if let Some(stack) = stacks.get_mut(&part.stack) {
            stack.volumes.push(part.name);
        }
    }
    for stack in stacks.values_mut() {
        stack.services.sort();
        stack.networks.sort();
        stack.volumes.sort();
        let service = |c: &Container| c.stack_info.as_ref().map(|info| info.service.clone());
        stack.containers.sort_by_cached_key(|container| (service(container), container.name.clone()));
    }
    Ok(stacks.into_values().collect())
}

/// One by its name.
pub async fn find(app: &App, name: &str) -> Result<Stack> {
    let found = list(app).await?.into_iter().find(|stack| stack.name == name);
    found.ok_or_else(|| AppError::NotFound(format!("The stack “{name}”").into()))
}

/// A stack whose order is known.
struct Ordered {
    stack: Stack,
    /// Containers in the order in which they start; one-off ones last.
    containers: Vec<Container>,
    /// Ids of containers that were made for one command only.
    once: BTreeSet<String>,
    needs: BTreeMap<String, Needs>,
}

async fn ordered(app: &App, stack: Stack) -> Result<Ordered> {
    let nodes: Vec<_> = stream::iter(stack.containers.clone())
        .map(|container| async move {
            let (node, once) = app.docker.stack_node(&container.id).await?;
            Ok::<_, AppError>((container, node, once))
        })
        .buffered(4)
        .try_collect()
        .await?;
    let once: BTreeSet<String> =
        nodes.iter().filter(|(_, _, once)| *once).map(|(container, _, _)| container.id.clone()).collect();
    let places: Vec<_> = nodes
        .into_iter()
        .filter(|(_, _, once)| !once)
        .map(|(container, node, _)| (container.id, container.name, node))
        .collect();
    let needs = stack::needs(&places);
    let ids: Vec<String> = places.iter().map(|(id, _, _)| id.clone()).collect();
    let order: Vec<String> = stack::order(&ids, &needs).into_iter().chain(once.iter().cloned()).collect();
    let by_id = |id: &String| stack.containers.iter().find(|container| container.id == *id).cloned();
    let containers = order.iter().filter_map(by_id).collect();
    Ok(Ordered { stack, containers, once, needs })
}

/// Begins; the batch tells how far it is.
pub async fn begin(app: &App, actor: &Actor, name: &str, wish: Wish) -> Result<RunId> {
    let stack = find(app, name).await?;
    if wish == Wish::BackUp {
        let ids = stack.containers.iter().map(|container| container.id.parse().map_err(AppError::internal));
        let ids: Vec<_> = ids.collect::<Result<_>>()?;
        return bulk::begin(app, actor, &ids, bulk::Wish::BackUp, "/stacks").await;
    }
    if stack.kind == Kind::Swarm {
        return swarm::begin(app, actor, stack, wish).await;
    }
    let own = stack.containers.iter().find(|container| container.is_self);
    if let (Some(own), Wish::Delete { .. }) = (own, wish) {
        containers::refuse_self(own, true)?;
    }
    let ordered = ordered(app, stack).await?;
    let items: Vec<Item> = plan(&ordered, wish).into_iter().map(|(_, item)| item).collect();
    let details = json!({ "containers": ordered.containers.len(), "delete_volumes": wish == Wish::Delete { volumes: true } });
    let (engine, who) = (app.clone(), actor.clone());
    let work = async move |batch: RunId| work(&engine, &who, &batch, ordered, wish).await;
    carry_out(app, actor, name, wish, (items, details), work).await
}

/// Begins a batch for these items and does the work, which ends it. The audit log gets the beginning, with these
/// details, and the end.
pub(super) async fn carry_out<W>(
    app: &App,
    actor: &Actor,
    name: &str,
    wish: Wish,
    (items, details): (Vec<Item>, Value),
    work: impl FnOnce(RunId) -> W,
) -> Result<RunId>
where
    W: Future<Output = ()> + Send + 'static,
{
    let (verb, operation) = match wish {
        Wish::Start => ("Start", "stack_start"),
        Wish::Stop => ("Stop", "stack_stop"),
        Wish::Restart => ("Restart", "stack_restart"),
        Wish::Delete { .. } => ("Remove", "stack_delete"),
        Wish::BackUp => return Err(AppError::internal("a backup is no action on a stack")),
    };
    let batch = app.batches.begin(format!("{verb} stack {name}"), "/stacks".to_owned(), items);
    note(app, actor, operation, name, "started", None, details).await?;
    let work = work(batch.clone());
    let (app, actor, id, name) = (app.clone(), actor.clone(), batch.clone(), name.to_owned());
    app.tasks.clone().spawn(async move {
        work.await;
        let failed = failures(&app, &id);
        let outcome = if failed.is_none() { "completed" } else { "error" };
        if let Err(error) = note(&app, &actor, operation, &name, outcome, failed, json!({})).await {
            tracing::error!(error = crate::error::chain(&error), "the audit log could not be written");
        }
    });
    Ok(batch)
}

/// What an item of the batch is.
enum Part {
    Container(Box<Container>),
    Network(String),
    Volume(String),
}

/// The items in the order in which they are done.
fn plan(ordered: &Ordered, wish: Wish) -> Vec<(Part, Item)> {
    let container = |container: &Container| {
        (Part::Container(Box::new(container.clone())), Item::waiting(&container.id, &container.name))
    };
    let mut parts: Vec<_> = ordered
        .containers
        .iter()
        .filter(|container| match wish {
            // What was made for one command is not run again.
            Wish::Start => !ordered.once.contains(&container.id),
            Wish::Restart => is_up(container) && !ordered.once.contains(&container.id),
            Wish::Stop => is_up(container),
            _ => true,
        })
        .map(container)
        .collect();
    if matches!(wish, Wish::Stop | Wish::Delete { .. }) {
        parts.reverse();
    }
    if let Wish::Delete { volumes } = wish {
        let named = |kind: &str, name: &String| Item::waiting("", &format!("{kind} {name}"));
        let networks = &ordered.stack.networks;
        parts.extend(networks.iter().map(|name| (Part::Network(name.clone()), named("network", name))));
        if volumes {
            let volumes = &ordered.stack.volumes;
            parts.extend(volumes.iter().map(|name| (Part::Volume(name.clone()), named("volume", name))));
        }
    }
    parts
}

/// Writes into the audit log how far the wish is.
async fn note(
    app: &App,
    actor: &Actor,
    operation: &str,
    name: &str,
    outcome: &'static str,
    error: Option<String>,
    details: Value,
) -> Result<()> {
    let (actor, operation, name) = (actor.clone(), operation.to_owned(), name.to_owned());
    let write = move |c: &mut db::Connection| {
        let entry = actor.entry(&operation, &name);
        db::audit::record(c, &Entry { outcome, error: error.as_deref(), details, ..entry })
    };
    Ok(app.db.write(write).await?)
}

/// What did not work, a sentence each.
fn failures(app: &App, batch: &RunId) -> Option<String> {
    let items = app.batches.get(batch)?.items;
    let failed = items.iter().filter(|item| item.state == ItemState::Failed);
    let failed: Vec<String> = failed.map(|item| format!("{}: {}", item.name, item.text)).collect();
    (!failed.is_empty()).then(|| failed.join(" "))
}

async fn work(app: &App, actor: &Actor, batch: &RunId, ordered: Ordered, wish: Wish) {
    let parts = plan(&ordered, wish);
    let tell = |place: usize, done: Result<String>| match done {
        Ok(text) => app.batches.set(batch, place, ItemState::Done, text, None),
        Err(error) => app.batches.set(batch, place, ItemState::Failed, error.to_string(), None),
    };
    let mut lost: BTreeSet<String> = BTreeSet::new();
    if wish == Wish::Restart {
        for (place, (part, _)) in parts.iter().enumerate().rev() {
            let Part::Container(container) = part else { continue };
            app.batches.set(batch, place, ItemState::Working, String::new(), None);
            if let Err(error) = act_on(app, actor, container, Action::Stop, None).await {
                lost.insert(container.id.clone());
                tell(place, Err(error));
            }
        }
    }
    for (place, (part, _)) in parts.iter().enumerate() {
        if let Part::Container(container) = part
            && lost.contains(&container.id)
        {
            continue;
        }
        app.batches.set(batch, place, ItemState::Working, String::new(), None);
        let done = match (part, wish) {
            (Part::Container(container), Wish::Start | Wish::Restart) => {
                let done = start(app, actor, &ordered, container, wish, &lost).await;
                if done.is_err() {
                    lost.insert(container.id.clone());
                }
                done
            }
            (Part::Container(container), Wish::Delete { volumes }) => {
                remove(app, actor, container, volumes).await
            }
            (Part::Container(container), _) => act_on(app, actor, container, Action::Stop, None)
                .await
                .map(|()| Action::Stop.done().to_owned()),
            (Part::Network(name), _) => {
                let done = app.docker.remove_network(name).await;
                removed(app, actor, "network_delete", name, done).await
            }
            (Part::Volume(name), _) => {
                let done = app.docker.remove_volume(name).await;
                removed(app, actor, "volume_delete", name, done).await
            }
        };
        tell(place, done);
    }
    app.batches.end(batch);
}

/// Writes the end of a network or volume into the audit log.
pub(super) async fn removed(
    app: &App,
    actor: &Actor,
    operation: &str,
    name: &str,
    done: std::result::Result<(), DockerError>,
) -> Result<String> {
    let problem = done.as_ref().err().map(ToString::to_string);
    record(app, actor, operation, name, problem, Value::Null).await?;
    done?;
    Ok("Removed".to_owned())
}

/// Starts one, once what it needs is ready.
async fn start(
    app: &App,
    actor: &Actor,
    ordered: &Ordered,
    container: &Container,
    wish: Wish,
    lost: &BTreeSet<String>,
) -> Result<String> {
    if wish == Wish::Start && matches!(container.status, Status::Running | Status::Restarting) {
        return Ok("Runs already".to_owned());
    }
    if wish == Wish::Start && container.status == Status::Paused {
        act_on(app, actor, container, Action::Resume, None).await?;
        return Ok(Action::Resume.done().to_owned());
    }
    for (id, condition) in ordered.needs.get(&container.id).into_iter().flatten() {
        let other = ordered.containers.iter().find(|other| other.id == *id);
        let name = other.map_or(id.as_str(), |other| other.name.as_str());
        let not_ready = |why: String| AppError::Conflict(format!("It needs {name}, but {why}"));
        if lost.contains(id) {
            return Err(not_ready("that did not start.".to_owned()));
        }
        match condition {
            Condition::Started => {}
            Condition::Healthy => {
                app.docker.wait_ready(id, HEALTHY).await.map_err(|error| not_ready(error.to_string()))?;
            }
            Condition::Completed => {
                let code =
                    app.docker.wait_end(id, ENDED).await.map_err(|error| not_ready(error.to_string()))?;
                if code != 0 {
                    return Err(not_ready(format!("that ended with exit code {code}.")));
                }
            }
        }
    }
    let stopped = Container { status: Status::Stopped, ..container.clone() };
    act_on(app, actor, &stopped, Action::Start, None).await?;
    Ok(Action::Start.done().to_owned())
}

/// Stops and removes one; volumes without a name go with the named ones.
async fn remove(app: &App, actor: &Actor, container: &Container, volumes: bool) -> Result<String> {
    containers::refuse_self(container, true)?;
    let done = async {
        if is_up(container) {
            app.docker.act(&container.id, Action::Stop, None).await?;
        }
        app.docker.remove_container(&container.id, true, volumes).await
    };
    let done = match done.await {
        // One started with --rm went by itself when it stopped.
        Err(DockerError::NotFound(_)) => Ok(()),
        done => done,
    };
    let problem = done.as_ref().err().map(ToString::to_string);
    let details = json!({ "container_id": container.id });
    record(app, actor, "container_delete", &container.name, problem, details).await?;
    done?;
    Ok("Removed".to_owned())
}
