//! The data directory of the Flask application: the program starts on it and changes nothing of what is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::harness::{App, Options, run};

/// Every file with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_program_starts_on_its_data_directory_and_leaves_its_files_alone() {
    let data = tempfile::tempdir().unwrap();
    let at = |name: &str| data.path().join(name);
    for directory in ["backups", "config", "temp"] {
        fs::create_dir(at(directory)).unwrap();
    }
    // As its `sqlite3` module makes them.
    let tables = "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT UNIQUE NOT NULL, \
         password_hash TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP); \
         CREATE TABLE audit_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TIMESTAMP, operation_type TEXT); \
         CREATE TABLE ui_settings (id INTEGER PRIMARY KEY, setting_key TEXT UNIQUE, setting_value TEXT); \
         INSERT INTO users (username, password_hash) VALUES ('monkey', 'scrypt:32768:8:1$salt$00');";
    run("sqlite3", &[at("config/monkey.db").to_str().unwrap(), tables]);
    fs::write(at("config/encryption.key"), "not ours").unwrap();
    fs::write(at("backups/web_20260101_020000.tar.gz"), "an archive").unwrap();
    fs::write(at("backups/network_lan_20260101_020000.json"), "{}").unwrap();
    let before = files(data.path());

    let start = || App::start_with(Options { data: Some(data.path().to_owned()), ..Options::default() });
    let app = start();
    app.admin().post("/api/ui/settings/server_name", &json!({ "value": "moved" })).expect(200);
    app.stop();
    let app = start();
    let name = app.admin().get("/api/ui/settings/server_name").expect(200)["value"].clone();
    assert_eq!(name, "moved", "what was set is still there");
    let after = files(data.path());
    for (path, content) in &before {
        assert!(after.get(path) == Some(content), "{} was touched", path.display());
    }
    assert!(at("config/container-monkey.db").exists() && at("vault/config").exists());
}
