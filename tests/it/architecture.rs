//! The shape of the code: each outside crate behind one door, files small.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::run;

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

/// The part before the patch level.
fn minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap_or(0))
}

#[test]
fn the_image_is_built_with_what_the_code_needs() {
    let dockerfile = fs::read_to_string("Dockerfile").unwrap();
    let line = dockerfile.lines().find_map(|line| line.strip_prefix("ARG BUILDER=rust:")).unwrap();
    let compiler = minor(line.split('-').next().unwrap());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata =
        run("cargo", &["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let own = packages.iter().find(|package| package["name"] == env!("CARGO_PKG_NAME")).unwrap();
    assert_eq!(minor(own["rust_version"].as_str().unwrap()), compiler);
    for package in packages {
        let needs = package["rust_version"].as_str().unwrap_or("1.0");
        assert!(minor(needs) <= compiler, "{} needs Rust {needs}", package["name"]);
    }
    // Dependencies are compiled before the sources are there, in place of which it puts empty files.
    let sources =
        own["targets"].as_array().unwrap().iter().map(|target| target["src_path"].as_str().unwrap());
    for source in sources {
        let path = Path::new(source).strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert!(dockerfile.contains(path.to_str().unwrap()), "{}", path.display());
    }
}
