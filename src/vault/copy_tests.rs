//! Copies between two local vaults: to `copy_to` every location is the same.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{
    model::{
        backup::{Kind, Trigger},
        manifest::{Consistency, FORMAT, Item, ItemKind, Manifest},
        secret::Secret,
        vault::{Access, Location},
    },
    vault::{BackupPlan, Source},
};

#[derive(Default)]
pub(in crate::vault) struct Ear {
    notes: Mutex<Vec<Note>>,
    pub(in crate::vault) total: Mutex<u64>,
    pub(in crate::vault) done: Mutex<u64>,
}

impl Reporter for Ear {
    fn step(&self, _: u32, _: u32, _: &str) {}
    fn total_bytes(&self, bytes: u64) {
        *self.total.lock().unwrap() = bytes;
    }
    fn add_bytes(&self, bytes: u64) {
        *self.done.lock().unwrap() += bytes;
    }
    fn note(&self, note: Note) {
        self.notes.lock().unwrap().push(note);
    }
}

pub(in crate::vault) fn vault(directory: &Path, name: &str) -> Vault {
    let location = Location::Local { path: directory.join(name) };
    // Each vault has a key of its own.
    Vault::create(&Access::new(location, Secret::new(name))).unwrap()
}

/// Backs up a volume with these files.
pub(in crate::vault) fn back_up(
    vault: &Vault,
    directory: &Path,
    container: &str,
    files: &[(&str, &[u8])],
) -> Backup {
    let data = directory.join(format!("{container}-data"));
    fs::create_dir_all(&data).unwrap();
    for (name, content) in files {
        fs::write(data.join(name), content).unwrap();
    }
    let item =
        |kind, path: String| Item { kind, name: "x".to_owned(), path, destination: None, left_out: None };
    let path = format!("{container}/volumes/data");
    let manifest = Manifest {
        format: FORMAT,
        app_version: "1.0.0".to_owned(),
        server_name: "nas".to_owned(),
        created: chrono::Utc::now(),
        kind: Kind::Container,
        container_name: container.to_owned(),
        consistency: Consistency::Live,
        container: serde_json::json!({}),
        image: serde_json::Value::Null,
        networks: Vec::new(),
        volumes: Vec::new(),
        engine: serde_json::Value::Null,
        items: vec![
            item(ItemKind::Settings, format!("{container}/backup.json")),
            item(ItemKind::Volume, path.clone()),
        ],
    };
    let plan = BackupPlan {
        sources: vec![Source { item: path, host_path: data }],
        ..BackupPlan::new(manifest, Trigger::Manual)
    };
    let ear: Arc<dyn Reporter> = Arc::new(Ear::default());
    vault.backup(&plan, &ear).unwrap().backup
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    use rand::{RngCore, SeedableRng};
    let mut bytes = vec![0; length];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn copy(from: &Vault, to: &Vault, ids: &[&Backup]) -> (CopyResult, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    let reporter: Arc<dyn Reporter> = ear.clone();
    let ids: Vec<_> = ids.iter().map(|backup| backup.id.clone()).collect();
    (from.copy_to(to, &ids, &reporter).unwrap(), ear)
}

#[test]
fn a_copy_is_whole_and_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (vault(directory.path(), "a"), vault(directory.path(), "b"));
    let big = noise(1, 3_000_000);
    let web = back_up(&from, directory.path(), "web", &[("big", &big), ("small", b"text")]);
    let wiki = back_up(&from, directory.path(), "wiki", &[("same", &big)]);

    let (done, ear) = copy(&from, &to, &[&web, &wiki]);
    assert_eq!((done.copied, done.failed), (2, 0));
    // What both have goes over once.
    assert!((3_000_000..3_200_000).contains(&done.added), "{done:?}");
    assert_eq!(*ear.total.lock().unwrap(), *ear.done.lock().unwrap());

    let list = to.list().unwrap();
    let copied = list.iter().find(|backup| backup.is_copy_of(&web)).unwrap();
    assert_eq!((copied.meta.clone(), copied.trigger), (web.meta.clone(), web.trigger));
    assert_eq!(to.manifest(&copied.id).unwrap().container_name, "web");
    let second = list.iter().find(|backup| backup.is_copy_of(&wiki)).unwrap();
    assert!(copied.stored_size > 2_900_000 && second.stored_size < 100_000);
    assert_eq!(to.check(true).unwrap(), Vec::<String>::new());

    let (again, ear) = copy(&from, &to, &[&web, &wiki]);
    assert_eq!((again.copied, again.failed, again.added), (0, 0, 0));
    assert_eq!(ear.notes.lock().unwrap().len(), 2, "it says that they are there already");
    assert_eq!(to.list().unwrap().len(), 2);
}

#[test]
fn a_damaged_backup_is_named_and_not_copied_and_the_others_are() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (vault(directory.path(), "a"), vault(directory.path(), "b"));
    let gone = back_up(&from, directory.path(), "lost", &[("file", &noise(2, 1_000_000))]);
    // What the index says about the first backup's data is lost.
    let index = directory.path().join("a/index");
    let first: Vec<_> = fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path()).collect();
    let whole = back_up(&from, directory.path(), "whole", &[("file", &noise(3, 1_000_000))]);
    for path in first {
        fs::remove_file(path).unwrap();
    }

    let (done, ear) = copy(&from, &to, &[&gone, &whole]);
    assert_eq!((done.copied, done.failed), (1, 1));
    let notes = ear.notes.lock().unwrap();
    assert!(notes[0].level == Level::Error && notes[0].text.starts_with(&gone.filename()), "{notes:?}");
    let list = to.list().unwrap();
    assert!(list.len() == 1 && list[0].is_copy_of(&whole));
    assert_eq!(to.check(true).unwrap(), Vec::<String>::new());
}

#[test]
fn a_copy_that_was_interrupted_is_finished_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (vault(directory.path(), "a"), vault(directory.path(), "b"));
    let web = back_up(&from, directory.path(), "web", &[("file", &noise(4, 1_000_000))]);
    copy(&from, &to, &[&web]);
    // Killed before its last write: the data is there, the snapshot is not.
    for entry in fs::read_dir(directory.path().join("b/snapshots")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let (done, _) = copy(&from, &to, &[&web]);
    assert_eq!((done.copied, done.failed, done.added), (1, 0, 0));
    assert!(to.manifest(&to.list().unwrap()[0].id).is_ok());
}
