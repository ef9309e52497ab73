//! Images: list, inspect, load, import, tag, remove, count.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use futures::Stream;
use http_body_util::BodyExt;
use hyper::{Method, Response, body::Incoming};
use serde_json::{Value, json};

use super::{
    client::{Docker, LONG, escape, json as read_json},
    error::DockerError,
};
use crate::model::image::Image;

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Images.
    pub images: usize,
    /// Bytes of all images; layers that several share are counted with each.
    pub image_bytes: u64,
    /// Volumes.
    pub volumes: usize,
    /// Networks.
    pub networks: usize,
}

/// What a deletion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Ids of images and layers that are gone.
    pub deleted: Vec<String>,
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// Bytes freed, where the engine tells.
    pub freed: u64,
}

impl Docker {
    /// All images but those that are only layers of others; which containers use them is for the
    /// caller to say.
    pub async fn images(&self) -> Result<Vec<Image>, DockerError> {
        let answer = self.get("/images/json").await?;
        Ok(answer.as_array().into_iter().flatten().map(image).collect())
    }

    /// Deletes an image or one of its names. `force` also takes it from stopped containers.
    pub async fn remove_image(&self, name: &str, force: bool) -> Result<Removed, DockerError> {
        let path = format!("/images/{}?force={force}", escape(name));
        let limit = Duration::from_mins(5);
        let answer = read_json(self.call(Method::DELETE, &path, None, limit).await?).await?;
        Ok(removed(&answer, 0))
    }

    /// Deletes images that no name leads to and no container uses, or only those of them with this label.
    pub async fn prune_images(&self, label: Option<&str>) -> Result<Removed, DockerError> {
        let mut filters = json!({ "dangling": ["true"] });
        if let Some(label) = label {
            filters["label"] = json!([label]);
        }
        let path = format!("/images/prune?filters={}", escape(&filters.to_string()));
        let limit = Duration::from_mins(30);
        let answer = read_json(self.call(Method::POST, &path, None, limit).await?).await?;
        let freed = answer["SpaceReclaimed"].as_u64().unwrap_or(0);
        Ok(removed(&answer["ImagesDeleted"], freed))
    }

    /// Counts what the dashboard shows.
    pub async fn counts(&self) -> Result<Counts, DockerError> {
        let (images, volumes, networks) =
            tokio::try_join!(self.get("/images/json"), self.volumes(), self.networks())?;
        let images = images.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Counts {
            images: images.len(),
            image_bytes: images.iter().filter_map(|image| image["Size"].as_u64()).sum(),
            volumes: volumes.len(),
            networks: networks.len(),
        })
    }

    /// The raw inspect by id or name; `None` when the engine does not have it.
    pub async fn image(&self, id: &str) -> Result<Option<Value>, DockerError> {
        if id.is_empty() {
            return Ok(None);
        }
        self.find(&format!("/images/{}/json", escape(id))).await
    }

    /// The names of every image by its id; one without a name has none.
    pub async fn image_names(&self) -> Result<BTreeMap<String, Vec<String>>, DockerError> {
        let list = self.get("/images/json").await?;
        let rows = list.as_array().into_iter().flatten();
        Ok(rows
            .filter_map(|row| {
                let names = row["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let names = names.filter(|name| *name != "<none>:<none>").map(str::to_owned).collect();
                Some((row["Id"].as_str()?.to_owned(), names))
            })
            .collect())
    }

    /// Fetches the newest image of this name from its registry; returns once it is here.
    pub async fn pull(&self, name: &str) -> Result<(), DockerError> {
        let (repository, tag) = name.rsplit_once('@').unwrap_or_else(|| split(name));
        let path = format!("/images/create?fromImage={}&tag={}", escape(repository), escape(tag));
        lines(self.call(Method::POST, &path, None, LONG).await?).await?;
        Ok(())
    }

    /// Gives an image a name.
    pub async fn tag(&self, id: &str, name: &str) -> Result<(), DockerError> {
        let (repository, tag) = split(name);
        let path = format!("/images/{}/tag?repo={}&tag={}", escape(id), escape(repository), escape(tag));
        self.post(&path, None).await?;
        Ok(())
    }

    /// Loads a `docker save` tar; returns the ids (or names) the engine tells.
    pub async fn load_image(
        &self,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Result<Vec<String>, DockerError> {
        let answer = self.upload("/images/load?quiet=1", tar).await?;
        let mut ids = Vec::new();
        for line in lines(answer).await? {
            let told = line["stream"].as_str().unwrap_or_default().trim();
            let name = told.strip_prefix("Loaded image ID: ").or_else(|| told.strip_prefix("Loaded image: "));
            if let Some(name) = name {
                let inspect = self.image(name).await?.unwrap_or_default();
                ids.push(inspect["Id"].as_str().unwrap_or(name).to_owned());
            }
        }
        Ok(ids)
    }

    /// Makes an image of one layer, a plain tar of files; returns its id.
    pub async fn import_image(
        &self,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Result<String, DockerError> {
        let answer = self.upload("/images/create?fromSrc=-", tar).await?;
        let told = lines(answer).await?;
        let id =
            told.iter().rev().find_map(|line| line["status"].as_str().filter(|id| id.starts_with("sha256:")));
        id.map(str::to_owned).ok_or_else(|| DockerError::Answer("the import told no image id".to_owned()))
    }
}

fn image(row: &Value) -> Image {
    let names = |field: &str| -> Vec<String> {
        let names = row[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.filter(|name| !name.starts_with("<none>")).map(str::to_owned).collect()
    };
    let (tags, digests) = (names("RepoTags"), names("RepoDigests"));
    Image {
        id: row["Id"].as_str().unwrap_or_default().to_owned(),
        is_self: false,
        dangling: tags.is_empty() && digests.is_empty(),
        tags,
        digests,
        size: row["Size"].as_u64().unwrap_or(0),
        created: row["Created"].as_i64().and_then(|at| DateTime::from_timestamp(at, 0)),
        in_use: false,
        containers: Vec::new(),
    }
}

fn removed(list: &Value, freed: u64) -> Removed {
    let told = |field: &str| -> Vec<String> {
        let rows = list.as_array().into_iter().flatten();
        rows.filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
    };
    Removed { deleted: told("Deleted"), untagged: told("Untagged"), freed }
}

/// The engine's progress lines; an error line fails.
async fn lines(answer: Response<Incoming>) -> Result<Vec<Value>, DockerError> {
    let body = answer.into_body().collect().await.map_err(|error| DockerError::Answer(error.to_string()))?;
    let bytes = body.to_bytes();
    let values = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
    let mut lines = Vec::new();
    for value in values {
        let value = value.map_err(|error| DockerError::Answer(error.to_string()))?;
        if let Some(message) = value["error"].as_str() {
            return Err(DockerError::Refused { status: 500, message: message.to_owned() });
        }
        lines.push(value);
    }
    Ok(lines)
}

/// `registry:5000/name:tag` → name and tag.
pub(super) fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_port_is_not_a_tag() {
        assert_eq!(split("web:1"), ("web", "1"));
        assert_eq!(split("host:5000/web"), ("host:5000/web", "latest"));
        assert_eq!(split("host:5000/web:2"), ("host:5000/web", "2"));
    }
}
