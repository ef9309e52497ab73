//! The shape of the code: each outside crate behind one door, files small.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    rust_files(Path::new("src"), &mut found);
    assert!(found.len() > 50);
    found
}

#[test]
fn outside_crates_stay_behind_their_door() {
    let doors = [
        ("diesel", "db"),
        ("bollard", "docker"),
        ("rustic_core", "vault"),
        ("object_store", "vault"),
        ("apalis", "jobs"),
        ("axum", "web"),
        ("askama", "web"),
        ("governor", "web"),
        ("lettre", "notify"),
        ("prometheus_client", "web"),
        ("reqwest", "notify"),
    ];
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for (outside, home) in doors {
            let home = Path::new("src").join(home);
            let inside = file.starts_with(&home);
            assert!(inside || !text.contains(&format!("{outside}::")), "{} uses {outside}", file.display());
        }
    }
}

#[test]
fn leaves_do_not_know_each_other() {
    let leaves = ["db", "docker", "vault", "jobs", "notify"];
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let Some(own) = leaves.iter().find(|leaf| file.starts_with(Path::new("src").join(leaf))) else {
            continue;
        };
        for other in leaves.iter().chain(&["ops", "web", "app", "worker"]).filter(|other| *other != own) {
            assert!(!text.contains(&format!("crate::{other}")), "{} knows {other}", file.display());
        }
    }
}

#[test]
fn files_stay_small() {
    let mut files = sources();
    rust_files(Path::new("tests"), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines < 500, "{} has {lines} lines", file.display());
    }
}
