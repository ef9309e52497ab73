//! Images out of the engine: the `docker save` stream is unpacked while it
//! arrives, each file stored under the SHA-256 of its content, so that the same
//! layer of two images (or two saves) is the same file.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use futures::TryStreamExt;
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    client::{Docker, LONG, escape},
    error::DockerError,
};
use crate::model::manifest::ImageRecord;

impl Docker {
    /// Saves an image by id (so that no other tag comes along) into `dir/<sha256>` files. `on_bytes` hears
    /// the bytes as they arrive.
    pub async fn export_image(
        &self,
        id: &str,
        dir: &Path,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<ImageRecord, DockerError> {
        let tags = self.image(id).await?.unwrap_or_default()["RepoTags"].clone();
        let members = self.unpack(&format!("/images/{}/get", escape(id)), dir, on_bytes).await?;
        let blob =
            |path: &str| members.get(path).cloned().ok_or_else(|| broken(&format!("{path} is missing")));
        let manifest_blob = blob("manifest.json")?;
        let manifest = read_json(&dir.join(&manifest_blob))?;
        let image = &manifest[0];
        let layers = image["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let record = ImageRecord {
            id: id.to_owned(),
            tags: tags
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            config: blob(image["Config"].as_str().unwrap_or_default())?,
            layers: layers.map(blob).collect::<Result<_, _>>()?,
            flattened: false,
        };
        keep_only(dir, &record)?;
        Ok(record)
    }

    /// For a container whose image is gone: its whole file system as one layer.
    pub async fn export_flattened(
        &self,
        container: &str,
        dir: &Path,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<ImageRecord, DockerError> {
        let path = format!("/containers/{}/export", escape(container));
        let answer = self.call(Method::GET, &path, None, LONG).await?;
        let mut stream = answer.into_body().into_data_stream();
        make(dir)?;
        let mut spool = Spool::new(dir)?;
        while let Some(chunk) = stream.try_next().await.map_err(|error| broken(&error.to_string()))? {
            on_bytes(chunk.len() as u64);
            spool.write_all(&chunk).map_err(|error| file_error(dir, &error))?;
        }
        let layer = spool.finish(dir)?;
        let inspect = self.inspect(container).await?;
        let id = inspect["Image"].as_str().unwrap_or_default().to_owned();
        Ok(ImageRecord { id, tags: Vec::new(), config: String::new(), layers: vec![layer], flattened: true })
    }

    /// Unpacks the tar at `path`; returns member path → sha256.
    async fn unpack(
        &self,
        path: &str,
        dir: &Path,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<HashMap<String, String>, DockerError> {
        make(dir)?;
        let answer = self.call(Method::GET, path, None, LONG).await?;
        let stream = answer.into_body().into_data_stream().map_err(io::Error::other);
        let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let stream = stream.inspect_ok(move |chunk| {
            let _ = sender.send(chunk.len() as u64);
        });
        let reader = SyncIoBridge::new(StreamReader::new(stream));
        let target = dir.to_owned();
        let mut unpacking = tokio::task::spawn_blocking(move || unpack_tar(reader, &target));
        loop {
            tokio::select! {
                Some(bytes) = heard.recv() => on_bytes(bytes),
                done = &mut unpacking => return done.map_err(|error| broken(&error.to_string()))?,
            }
        }
    }
}

/// Unpacks what `docker save` wrote of one image into `dir/<sha256>` files; the image's configuration is the second part.
/// Its id is that of the configuration.
pub fn unpack_saved(saved: impl Read, dir: &Path) -> Result<(ImageRecord, Value), DockerError> {
    make(dir)?;
    let members = unpack_tar(saved, dir)?;
    let blob = |path: &str| members.get(path).cloned().ok_or_else(|| broken(&format!("{path} is missing")));
    let manifest = read_json(&dir.join(blob("manifest.json")?))?;
    let image = &manifest[0];
    let text = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let config = blob(image["Config"].as_str().unwrap_or_default())?;
    let record = ImageRecord {
        id: format!("sha256:{config}"),
        tags: text(&image["RepoTags"]),
        layers: text(&image["Layers"]).iter().map(|layer| blob(layer)).collect::<Result<_, _>>()?,
        config,
        flattened: false,
    };
    let settings = read_json(&dir.join(&record.config))?;
    keep_only(dir, &record)?;
    Ok((record, settings))
}

fn unpack_tar(reader: impl Read, dir: &Path) -> Result<HashMap<String, String>, DockerError> {
    let mut members: HashMap<String, String> = HashMap::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(reader);
    let unreadable = |error: io::Error| broken(&error.to_string());
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let mut spool = Spool::new(dir)?;
            io::copy(&mut entry, &mut spool).map_err(|error| file_error(dir, &error))?;
            members.insert(path, spool.finish(dir)?);
        } else if kind.is_symlink() || kind.is_hard_link() {
            // A layer that occurs twice is a link to the other one in older layouts.
            let target = entry.link_name().map_err(unreadable)?.unwrap_or_default().to_path_buf();
            links.push((path.clone(), if kind.is_symlink() { beside(&path, &target) } else { target }));
        }
    }
    // The archive must have been read to its end: a cut one has no end marker.
    for (path, target) in links {
        let target = target.to_string_lossy().into_owned();
        let blob = members.get(&target).cloned();
        members.insert(path, blob.ok_or_else(|| broken(&format!("{target} is missing")))?);
    }
    Ok(members)
}

/// Where a relative link of a member leads.
fn beside(path: &str, target: &Path) -> PathBuf {
    let mut parts: Vec<_> = Path::new(path).parent().into_iter().flat_map(Path::components).collect();
    for component in target.components() {
        match component {
            std::path::Component::ParentDir => drop(parts.pop()),
            std::path::Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts.into_iter().collect()
}

/// A file that gets its content's hash as its name.
struct Spool {
    file: tempfile::NamedTempFile,
    hash: Sha256,
}

impl Spool {
    fn new(dir: &Path) -> Result<Self, DockerError> {
        let file = tempfile::NamedTempFile::new_in(dir).map_err(|error| file_error(dir, &error))?;
        Ok(Self { file, hash: Sha256::new() })
    }

    fn finish(self, dir: &Path) -> Result<String, DockerError> {
        use std::fmt::Write as _;
        let name = self.hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let kept = self.file.persist(dir.join(&name));
        kept.map_err(|error| file_error(dir, &error.error))?;
        Ok(name)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes members that are not needed to load the image again.
fn keep_only(dir: &Path, record: &ImageRecord) -> Result<(), DockerError> {
    for entry in fs::read_dir(dir).map_err(|error| file_error(dir, &error))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != record.config && !record.layers.contains(&name) {
            fs::remove_file(entry.path()).map_err(|error| file_error(dir, &error))?;
        }
    }
    Ok(())
}

fn make(dir: &Path) -> Result<(), DockerError> {
    fs::create_dir_all(dir).map_err(|error| file_error(dir, &error))
}

fn read_json(path: &Path) -> Result<Value, DockerError> {
    let file = File::open(path).map_err(|error| file_error(path, &error))?;
    serde_json::from_reader(file).map_err(|error| broken(&error.to_string()))
}

fn broken(cause: &str) -> DockerError {
    DockerError::Answer(format!("the image's export is not usable: {cause}"))
}

fn file_error(path: &Path, error: &io::Error) -> DockerError {
    DockerError::File { path: path.display().to_string(), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_between_layers_are_followed() {
        assert_eq!(beside("abc/layer.tar", Path::new("../def/layer.tar")), Path::new("def/layer.tar"));
    }
}
