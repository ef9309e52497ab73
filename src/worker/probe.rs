//! Looks at paths of the host. Links are followed: a bind mount follows them, too.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use crate::model::host_path::PathKind;

pub(super) fn probe(paths: &[PathBuf]) -> Vec<PathKind> {
    paths.iter().map(|path| kind(path)).collect()
}

fn kind(path: &Path) -> PathKind {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return PathKind::Missing,
        Err(_) => return PathKind::Unknown,
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        return if empty { PathKind::EmptyDirectory } else { PathKind::Directory };
    }
    if kind.is_file() {
        return if metadata.len() == 0 { PathKind::EmptyFile } else { PathKind::File };
    }
    if kind.is_socket() { PathKind::Socket } else { PathKind::Special }
}
