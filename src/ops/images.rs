//! Images: list with what uses them, delete, clean up.

use std::collections::HashMap;

use serde_json::json;

use super::{Actor, containers::record};
use crate::{
    app::App,
    docker::Removed,
    error::{AppError, Result},
    model::{
        batch::{Item, ItemState},
        container::{Container, Status},
        image::Image,
        names::{ImageRef, RunId},
    },
};

/// All images, in two questions to the engine.
pub async fn list(app: &App) -> Result<Vec<Image>> {
    let (images, containers) = tokio::try_join!(app.docker.images(), app.docker.containers())?;
    Ok(with_users(images, &containers))
}

fn with_users(images: Vec<Image>, containers: &[Container]) -> Vec<Image> {
    let mut users: HashMap<&str, Vec<String>> = HashMap::new();
    for container in containers {
        users.entry(&container.image_info.id).or_default().push(container.name.clone());
    }
    let own = containers.iter().find(|container| container.is_self);
    let own = own.map(|container| container.image_info.id.as_str());
    images
        .into_iter()
        .map(|image| {
            let containers = users.remove(image.id.as_str()).unwrap_or_default();
            let in_use = !containers.is_empty();
            let is_self = own == Some(image.id.as_str());
            Image { dangling: image.dangling && !in_use, in_use, is_self, containers, ..image }
        })
        .collect()
}

/// The images that these ids, id prefixes or names mean.
pub async fn find_all(app: &App, ids: &[ImageRef]) -> Result<Vec<Image>> {
    let all = list(app).await?;
    ids.iter().map(|id| pick(&all, id).cloned()).collect()
}

fn pick<'a>(all: &'a [Image], id: &ImageRef) -> Result<&'a Image> {
    let wanted = id.as_str();
    let latest = format!("{wanted}:latest");
    let named = |image: &&Image| {
        image.tags.iter().any(|tag| tag == wanted || *tag == latest)
            || image.digests.iter().any(|digest| digest == wanted)
    };
    // A name wins over an id that begins like it, as in Docker.
    if let Some(image) = all.iter().find(named) {
        return Ok(image);
    }
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let begins = |image: &&Image| {
        hex.len() >= 4 && image.id.strip_prefix("sha256:").unwrap_or(&image.id).starts_with(hex)
    };
    let matching: Vec<&Image> = all.iter().filter(begins).collect();
    match matching.as_slice() {
        [] => Err(AppError::NotFound(format!("The image “{wanted}”").into())),
        [one] => Ok(one),
        many => {
            Err(AppError::Conflict(format!("{} images have an id that begins with “{wanted}”.", many.len())))
        }
    }
}

/// Deletes images with all their names; one that is named by one of several names only loses that
/// name, as in Docker. `force` also takes images from stopped containers, never from running ones.
/// Looks at all of them before it touches the first one.
pub async fn delete(app: &App, actor: &Actor, ids: &[ImageRef], force: bool) -> Result<Removed> {
    let (images, containers) = tokio::try_join!(app.docker.images(), app.docker.containers())?;
    let images = with_users(images, &containers);
    let mut wanted = Vec::new();
    let mut problems = Vec::new();
    for id in ids {
        let image = pick(&images, id)?;
        let names = names_to_remove(image, id);
        // Losing one of several names harms nobody.
        if names.len() >= image.tags.len().max(1) {
            problems.extend(refused(image, &containers, force));
        }
        wanted.push((image, names));
    }
    if !problems.is_empty() {
        return Err(AppError::Conflict(format!("{} Nothing was deleted.", problems.join(" "))));
    }
    let mut all = Removed::default();
    for (image, names) in wanted {
        for name in names {
            let removed = app.docker.remove_image(&name, force).await;
            let problem = removed.as_ref().err().map(ToString::to_string);
            let details = json!({ "image_id": image.id, "force": force });
            record(app, actor, "image_delete", &name, problem, details).await?;
            let removed = removed?;
            all.deleted.extend(removed.deleted);
            all.untagged.extend(removed.untagged);
        }
    }
    Ok(all)
}

/// By a name, that name; by an id, all names, the last of which takes the image with it.
fn names_to_remove(image: &Image, id: &ImageRef) -> Vec<String> {
    let wanted = id.as_str();
    let latest = format!("{wanted}:latest");
    match image.tags.iter().find(|tag| *tag == wanted || **tag == latest) {
        Some(tag) => vec![tag.clone()],
        None if image.tags.is_empty() => vec![image.id.clone()],
        None => image.tags.clone(),
    }
}

fn refused(image: &Image, containers: &[Container], force: bool) -> Option<String> {
    let name = image.name();
    let still =
        |container: &&Container| matches!(container.status, Status::Stopped | Status::Created | Status::Dead);
    let users = containers.iter().filter(|container| container.image_info.id == image.id);
    let (stopped, running): (Vec<_>, Vec<_>) = users.partition(still);
    let list =
        |users: &[&Container]| users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>().join(", ");
    if !running.is_empty() {
        return Some(format!("The image {name} is used by {}, which must be deleted first.", list(&running)));
    }
    (!stopped.is_empty() && !force).then(|| {
        format!(
            "The image {name} is used by {} (not running). Delete that first, or use force.",
            list(&stopped)
        )
    })
}

/// Fetches the newest image of this name from its registry; its id. Goes on when the browser that asked is gone.
pub async fn pull(app: &App, actor: &Actor, name: &ImageRef) -> Result<String> {
    refuse_id(name)?;
    let (app, actor, name) = (app.clone(), actor.clone(), name.clone());
    let task = tokio::spawn(async move {
        let pulled = app.docker.pull(name.as_str()).await;
        let problem = pulled.as_ref().err().map(ToString::to_string);
        record(&app, &actor, "image_pull", name.as_str(), problem, json!({})).await?;
        pulled.map_err(|error| {
            AppError::Impossible(format!(
                "The image {name} could not be fetched. Is there one of this name, and does this server reach its \
                 registry? {error}"
            ))
        })?;
        let inspect = app.docker.image(name.as_str()).await?.unwrap_or_default();
        Ok(inspect["Id"].as_str().unwrap_or_default().to_owned())
    });
    task.await.map_err(AppError::internal)?
}

/// Begins to fetch it; the batch tells how that goes.
pub fn begin_pull(app: &App, actor: &Actor, name: &ImageRef) -> Result<RunId> {
    refuse_id(name)?;
    let items = vec![Item::waiting("", name.as_str())];
    let id = app.batches.begin(format!("Fetch image {name}"), "/images".to_owned(), items);
    app.batches.set(&id, 0, ItemState::Working, String::new(), None);
    let (app, actor, name, batch) = (app.clone(), actor.clone(), name.clone(), id.clone());
    tokio::spawn(async move {
        match pull(&app, &actor, &name).await {
            Ok(_) => app.batches.set(&batch, 0, ItemState::Done, "It is here".to_owned(), None),
            Err(error) => app.batches.set(&batch, 0, ItemState::Failed, error.to_string(), None),
        }
        app.batches.end(&batch);
    });
    Ok(id)
}

/// A registry knows names only.
fn refuse_id(name: &ImageRef) -> Result<()> {
    if name.as_str().starts_with("sha256:") {
        return Err(AppError::field(
            "image",
            "Give the image's name, such as nginx:1.29; an id is known here only.",
        ));
    }
    Ok(())
}

/// Deletes images that no name leads to and no container uses; with a label only those that have it.
pub async fn clean_up(app: &App, actor: &Actor, label: Option<&str>) -> Result<Removed> {
    let removed = app.docker.prune_images(label).await;
    let problem = removed.as_ref().err().map(ToString::to_string);
    let details = match &removed {
        Ok(removed) => json!({ "deleted": removed.deleted.len(), "freed": removed.freed, "label": label }),
        Err(_) => json!({ "label": label }),
    };
    record(app, actor, "cleanup_images", "dangling images", problem, details).await?;
    Ok(removed?)
}
