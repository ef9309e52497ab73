//! Deleting containers, and with them what nobody else uses. What will go is
//! worked out by the same rules for the confirmation and for the deed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Actor,
    containers::{list, pick, record, refuse_self},
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        container::{Container, Status},
        names::ContainerRef,
    },
};

/// How to delete.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Its volumes too, those that no other container uses.
    pub delete_volumes: bool,
    /// Its image too, if no other container uses it and it has no other name.
    pub delete_image: bool,
    /// Even while it runs.
    pub force: bool,
}

/// What went with a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Name of the image, or its id when it had none.
    pub image: Option<String>,
    /// What was asked for and stays, with the reason, a sentence each.
    pub kept: Vec<String>,
}

/// What only these containers use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusive {
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Images, id to name.
    pub images: BTreeMap<String, String>,
    /// What stays, with the reason, a sentence each.
    pub kept: Vec<String>,
}

/// What could go with these containers. One question to the engine.
pub async fn exclusive(app: &App, all: &[Container], chosen: &[&Container]) -> Result<Exclusive> {
    let names = app.docker.image_names().await?;
    Ok(sort_out(all, chosen, &names))
}

fn sort_out(
    all: &[Container],
    chosen: &[&Container],
    image_names: &BTreeMap<String, Vec<String>>,
) -> Exclusive {
    let others = || all.iter().filter(|other| !chosen.iter().any(|container| container.id == other.id));
    let mut found = Exclusive::default();
    let volumes: BTreeSet<&str> = chosen.iter().flat_map(|container| volumes(container)).collect();
    for volume in volumes {
        let users: Vec<&str> = others()
            .filter(|other| other.volumes.iter().any(|mount| mount.name == volume))
            .map(|other| other.name.as_str())
            .collect();
        if users.is_empty() {
            found.volumes.push(volume.to_owned());
        } else {
            found.kept.push(format!("Volume {volume} stays: {}.", use_it(&users)));
        }
    }
    let images: BTreeSet<&str> = chosen.iter().map(|container| container.image_info.id.as_str()).collect();
    for id in images {
        let users: Vec<&str> =
            others().filter(|other| other.image_info.id == id).map(|other| other.name.as_str()).collect();
        let name = chosen.iter().find(|container| container.image_info.id == id);
        let name = name.map_or(id, |container| container.image.as_str());
        match image_names.get(id) {
            None => found.kept.push(format!("Image {name} is gone already.")),
            Some(_) if !users.is_empty() => {
                found.kept.push(format!("Image {name} stays: {}.", use_it(&users)));
            }
            Some(names) if names.len() > 1 => {
                found.kept.push(format!("Image {name} stays: it is also called {}.", names.join(", ")));
            }
            Some(names) => {
                let name = names.first().cloned().unwrap_or_else(|| id.chars().take(19).collect());
                found.images.insert(id.to_owned(), name);
            }
        }
    }
    found
}

/// "web and db use it"; many are not all named.
fn use_it(users: &[&str]) -> String {
    match users {
        [only] => format!("{only} uses it"),
        [first, second] => format!("{first} and {second} use it"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more use it", rest.len()),
        [] => "nothing uses it".to_owned(),
    }
}

fn volumes(container: &Container) -> impl Iterator<Item = &str> {
    container.volumes.iter().filter(|mount| mount.kind == "volume").map(|mount| mount.name.as_str())
}

/// Whether it has to be stopped first.
pub fn is_up(container: &Container) -> bool {
    matches!(container.status, Status::Running | Status::Paused | Status::Restarting)
}

/// Deletes one.
pub async fn delete(app: &App, actor: &Actor, id: &ContainerRef, how: Options) -> Result<Deleted> {
    let all = list(app).await?;
    let container = pick(&all, id)?;
    delete_one(app, actor, &all, container, how).await
}

/// Deletes one of the list.
pub(super) async fn delete_one(
    app: &App,
    actor: &Actor,
    all: &[Container],
    container: &Container,
    how: Options,
) -> Result<Deleted> {
    refuse_self(container, true)?;
    if is_up(container) && !how.force {
        return Err(AppError::Conflict(format!(
            "{} is {}. Stop it first, or delete it by force.",
            container.name, container.status
        )));
    }
    let goes = if how.delete_volumes || how.delete_image {
        exclusive(app, all, &[container]).await?
    } else {
        Exclusive::default()
    };
    let removed = app.docker.remove_container(&container.id, how.force, false).await;
    let mut deleted = Deleted::default();
    let mut problem = removed.as_ref().err().map(ToString::to_string);
    if removed.is_ok() {
        problem = with_it(app, how, goes, &mut deleted).await;
    }
    let details = json!({
        "container_id": container.id, "deleted_volumes": deleted.volumes, "deleted_image": deleted.image, "kept": deleted.kept,
    });
    record(app, actor, "container_delete", &container.name, problem.clone(), details).await?;
    removed?;
    match problem {
        None => Ok(deleted),
        Some(problem) => Err(AppError::Conflict(format!("{} was deleted. {problem}", container.name))),
    }
}

/// Removes what goes with a container that is gone; the sentence tells what could not be removed.
async fn with_it(app: &App, how: Options, goes: Exclusive, deleted: &mut Deleted) -> Option<String> {
    let mut problems = Vec::new();
    if how.delete_volumes {
        for volume in goes.volumes {
            match app.docker.remove_volume(&volume).await {
                Ok(()) => deleted.volumes.push(volume),
                Err(error) => problems.push(format!("The volume {volume} is still there: {error}")),
            }
        }
    }
    if how.delete_image {
        for (id, name) in goes.images {
            match app.docker.remove_image(&id, false).await {
                Ok(_) => deleted.image = Some(name),
                Err(error) => problems.push(format!("The image {name} is still there: {error}")),
            }
        }
    }
    deleted.kept = goes
        .kept
        .into_iter()
        .filter(|line| if line.starts_with("Volume") { how.delete_volumes } else { how.delete_image })
        .collect();
    (!problems.is_empty()).then(|| problems.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::{ImageInfo, Marks, Mount};

    fn container(name: &str, image: &str, volume: &str) -> Container {
        Container {
            id: format!("id-{name}"),
            name: name.to_owned(),
            image: image.to_owned(),
            image_info: ImageInfo { name: image.to_owned(), id: format!("sha256:{image}") },
            status: Status::Stopped,
            status_text: String::new(),
            health: None,
            ip_address: String::new(),
            port_mappings: Vec::new(),
            volumes: vec![Mount {
                name: volume.to_owned(),
                destination: "/data".to_owned(),
                driver: "local".to_owned(),
                kind: "volume".to_owned(),
            }],
            networks: Vec::new(),
            stack_info: None,
            created: 0,
            is_self: false,
            marks: Marks::default(),
        }
    }

    #[test]
    fn only_what_nobody_else_uses_goes() {
        let all =
            [container("a", "web", "own"), container("b", "web", "shared"), container("c", "db", "shared")];
        let names = BTreeMap::from([
            ("sha256:web".to_owned(), vec!["web:1".to_owned()]),
            ("sha256:db".to_owned(), vec!["db:1".to_owned(), "db:latest".to_owned()]),
        ]);
        let one = sort_out(&all, &[&all[0]], &names);
        assert_eq!(one.volumes, ["own"]);
        assert!(one.images.is_empty(), "b uses it, too");
        let two = sort_out(&all, &[&all[0], &all[1]], &names);
        assert_eq!(two.volumes, ["own"]);
        assert_eq!(two.images.values().collect::<Vec<_>>(), ["web:1"]);
        let last = sort_out(&all, &[&all[1], &all[2]], &names);
        assert_eq!(last.volumes, ["shared"]);
        assert!(last.kept.iter().any(|line| line.contains("also called")), "{:?}", last.kept);
    }
}
