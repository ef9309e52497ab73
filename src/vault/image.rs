//! The image inside a backup: its nodes for a later backup, and the tar that
//! `docker load` (or `docker import`) takes.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rustic_core::{
    IndexedFull, IndexedTree, Repository,
    repofile::{Node, SnapshotFile},
};
use serde_json::json;

use super::{Vault, error::VaultError};
use crate::model::{
    manifest::{IMAGE_DIR, ImageRecord},
    progress::Reporter,
};

/// How much of a file is read from the vault at a time.
const PIECE: usize = 4 * 1024 * 1024;

/// The entries of a backup's image, as a backup lists them.
pub(super) fn nodes<S: IndexedTree>(
    repo: &Repository<S>,
    snapshot: &SnapshotFile,
) -> Result<Vec<(PathBuf, Node)>, VaultError> {
    let root = repo.node_from_path(snapshot.tree, Path::new(IMAGE_DIR))?;
    let mut found = Vec::new();
    collect(repo, &Path::new("/").join(IMAGE_DIR), root, &mut found)?;
    Ok(found)
}

fn collect<S: IndexedTree>(
    repo: &Repository<S>,
    path: &Path,
    mut node: Node,
    found: &mut Vec<(PathBuf, Node)>,
) -> Result<(), VaultError> {
    let subtree = node.subtree.take();
    node.content = None;
    found.push((path.to_owned(), node));
    if let Some(tree) = subtree {
        for child in repo.get_tree(&tree)?.nodes {
            let path = path.join(child.name());
            collect(repo, &path, child, found)?;
        }
    }
    Ok(())
}

impl Vault {
    /// What a backup says about its image.
    pub fn image_record(&self, id: &str) -> Result<ImageRecord, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repo = self.indexed()?;
        record(&repo, &snapshot)
    }

    /// Writes the tar of a backup's image: for `docker load`, or when it was flattened the one layer for
    /// `docker import`.
    pub fn write_image_tar(
        &self,
        id: &str,
        out: &mut dyn Write,
        reporter: &dyn Reporter,
    ) -> Result<ImageRecord, VaultError> {
        let snapshot = self.snapshot(id)?;
        let repo = self.indexed()?;
        let image = record(&repo, &snapshot)?;
        let blob = |name: &str| {
            let path = Path::new(IMAGE_DIR).join("blobs").join(name);
            repo.node_from_path(snapshot.tree, &path).map_err(VaultError::from)
        };
        let unwritable =
            |error: io::Error| VaultError::Broken(format!("its image could not be passed on ({error})"));
        if image.flattened {
            let layer =
                image.layers.first().ok_or_else(|| VaultError::Broken("it has no layer".to_owned()))?;
            let mut reader = Blob::new(&repo, &blob(layer)?, reporter)?;
            io::copy(&mut reader, out).map_err(unwritable)?;
            return Ok(image);
        }
        let mut written = HashSet::new();
        let mut total = 0;
        let names = std::iter::once(&image.config).chain(&image.layers);
        let mut files = Vec::new();
        for name in names.filter(|name| written.insert(name.as_str().to_owned())) {
            let node = blob(name)?;
            let path =
                if *name == image.config { format!("{name}.json") } else { format!("{name}/layer.tar") };
            total += node.meta.size;
            files.push((path, node));
        }
        reporter.total_bytes(total);
        let mut tar = tar::Builder::new(out);
        for (path, node) in files {
            let reader = Blob::new(&repo, &node, reporter)?;
            append(&mut tar, &path, node.meta.size, reader).map_err(unwritable)?;
        }
        let layers: Vec<_> = image.layers.iter().map(|layer| format!("{layer}/layer.tar")).collect();
        let config = format!("{}.json", image.config);
        let manifest = json!([{ "Config": config, "RepoTags": null, "Layers": layers }]).to_string();
        append(&mut tar, "manifest.json", manifest.len() as u64, manifest.as_bytes()).map_err(unwritable)?;
        tar.finish().map_err(unwritable)?;
        Ok(image)
    }
}

fn record<S: IndexedFull>(repo: &Repository<S>, snapshot: &SnapshotFile) -> Result<ImageRecord, VaultError> {
    let node = repo.node_from_path(snapshot.tree, &Path::new(IMAGE_DIR).join("image.json"))?;
    let mut text = Vec::new();
    repo.dump(&node, &mut text)?;
    serde_json::from_slice(&text)
        .map_err(|error| VaultError::Broken(format!("its image is not understood ({error})")))
}

fn append(
    tar: &mut tar::Builder<&mut dyn Write>,
    path: &str,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, path, content)
}

/// A file of the vault as a reader.
struct Blob<'a, S> {
    repo: &'a Repository<S>,
    file: rustic_core::vfs::OpenFile,
    at: usize,
    piece: bytes::Bytes,
    reporter: &'a dyn Reporter,
}

impl<'a, S: IndexedFull> Blob<'a, S> {
    fn new(repo: &'a Repository<S>, node: &Node, reporter: &'a dyn Reporter) -> Result<Self, VaultError> {
        Ok(Self { repo, file: repo.open_file(node)?, at: 0, piece: bytes::Bytes::new(), reporter })
    }
}

impl<S: IndexedFull> Read for Blob<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let piece = self.repo.read_file_at(&self.file, self.at, PIECE);
            self.piece = piece.map_err(|error| io::Error::other(VaultError::from(error).to_string()))?;
            self.at += self.piece.len();
            self.reporter.add_bytes(self.piece.len() as u64);
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
