//! The vault: opened, never replaced by an empty one, listed again from itself, full.

use std::{fs, path::Path};

use serde_json::json;

use crate::harness::{App, Bench, Client, Options, PASSWORD, SmallDisk, restic, run};

fn start_on(data: &Path) -> App {
    let mut app = App::start_with(Options { data: Some(data.to_owned()), ..Options::default() });
    app.expect_errors();
    app
}

/// A data directory with one backup in its vault.
fn used(bench: &Bench) -> (std::path::PathBuf, String) {
    let app = App::start();
    let web = bench.run("web", &["-v", &format!("{}:/data", bench.volume("data"))], &[]);
    let backup = app.admin().back_up(&web);
    assert_eq!(backup["status"], "complete");
    (app.stop(), backup["backup_id"].as_str().unwrap().to_owned())
}

#[test]
fn everything_is_listed_again_after_the_database_is_lost() {
    let bench = Bench::new();
    let (data, id) = used(&bench);
    for entry in fs::read_dir(data.join("config")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".db") {
            fs::remove_file(path).unwrap();
        }
    }
    let app = start_on(&data);
    let admin = app.admin();
    let list = admin.get("/api/backups").expect(200);
    assert_eq!(list["total"], 1);
    assert_eq!(list["backups"][0]["id"], json!(id));
    assert_eq!(list["backups"][0]["state"], "complete");
    let preview = admin.get(&format!("/api/backup/{id}/preview")).expect(200);
    assert!(preview["docker_run_command"].as_str().unwrap().starts_with("docker run"));
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_vault_that_is_not_there_is_never_made_anew() {
    let bench = Bench::new();
    let (data, id) = used(&bench);
    let (vault, away) = (data.join("vault"), data.join("unmounted"));
    fs::rename(&vault, &away).unwrap();
    // As where its disk is not mounted: an empty directory.
    fs::create_dir(&vault).unwrap();
    let app = start_on(&data);
    let admin = app.admin();
    let web = bench.name("web");
    let refused = admin.post(&format!("/api/backup/{web}"), &json!({})).error(503);
    assert!(refused.contains("There is no vault") && refused.contains("is its disk mounted?"), "{refused}");
    assert!(fs::read_dir(&vault).unwrap().next().is_none(), "nothing was made");
    assert_eq!(admin.get("/healthz").expect(503)["down"], json!(["vault"]));
    assert!(admin.get("/vault").text.contains("is its disk mounted?"));
    // The disk is mounted, and looked for again.
    fs::remove_dir(&vault).unwrap();
    fs::rename(&away, &vault).unwrap();
    admin.post("/api/vaults/local/refresh", &json!({})).expect(200);
    assert_eq!(admin.get("/api/backups").expect(200)["backups"][0]["id"], json!(id));
    assert_eq!(admin.back_up(&web)["status"], "complete");
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_wrong_or_lost_key_and_foreign_files_are_told_and_nothing_is_touched() {
    let bench = Bench::new();
    let (data, _) = used(&bench);
    let web = bench.name("web");
    let key = fs::read(data.join("config/vault.key")).unwrap();
    let refusal = |why: &str| {
        let app = start_on(&data);
        let refused = app.admin().post(&format!("/api/backup/{web}"), &json!({})).error(503);
        assert!(refused.contains(why), "{refused}");
    };
    fs::write(data.join("config/vault.key"), "another key").unwrap();
    refusal("the key is wrong");
    fs::remove_file(data.join("config/vault.key")).unwrap();
    refusal("does not have its key");
    assert!(!data.join("config/vault.key").exists(), "no other key is made for an existing vault");
    fs::write(data.join("config/vault.key"), key).unwrap();
    restic(&data, &["check"]);
    fs::rename(data.join("vault"), data.join("elsewhere")).unwrap();
    fs::create_dir(data.join("vault")).unwrap();
    fs::write(data.join("vault/holiday.jpg"), "picture").unwrap();
    refusal("is not a vault");
    assert_eq!(fs::read_to_string(data.join("vault/holiday.jpg")).unwrap(), "picture");
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_vault_from_another_machine_opens_with_its_key_and_stays_open() {
    let bench = Bench::new();
    let (old, id) = used(&bench);
    let key = fs::read_to_string(old.join("config/vault.key")).unwrap();
    // Only the vault is left, on a machine that never saw it.
    let data = tempfile::tempdir().unwrap();
    fs::rename(old.join("vault"), data.path().join("vault")).unwrap();
    fs::remove_dir_all(old).unwrap();
    let snapshot = || run("find", &[data.path().join("vault").to_str().unwrap(), "-type", "f"]);
    let before = snapshot();
    let app = start_on(data.path());
    let admin = app.admin();
    let home = admin.get("/");
    assert!(home.texts(".banner.bad").join(" ").contains("does not have its key"), "{}", home.text);
    let page = admin.get("/settings/storage");
    assert_eq!(page.texts("#local .state"), ["Locked"]);
    let settings = admin.get("/api/storage/settings").expect(200);
    assert_eq!(settings["local_locked"], true, "{settings}");
    let refused = admin.post(&format!("/api/backup/{}", bench.name("web")), &json!({})).error(503);
    assert!(refused.contains("does not have its key"), "{refused}");

    let wrong = admin.submit_form(&page, "Open the local vault", &[("vault_key", "no such key")]);
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert!(wrong.texts("#lk-e")[0].contains("This is not the key of the vault"), "{}", wrong.text);
    let empty = admin.post("/api/storage/open", &json!({ "vault_key": " " })).error(400);
    assert!(empty.contains("Enter the vault's key"), "{empty}");
    assert_eq!(snapshot(), before, "nothing was made");
    assert!(!data.path().join("config/vault.key").exists());

    let list =
        admin.follow(&admin.submit_form(&wrong, "Open the local vault", &[("vault_key", key.as_str())]));
    assert!(list.texts(".toast")[0].contains("The local vault is open: 1 backup"), "{}", list.text);
    let again = |admin: &Client| {
        let list = admin.get("/api/backups").expect(200);
        assert_eq!((&list["total"], &list["backups"][0]["id"]), (&json!(1), &json!(id)));
        admin.get(&format!("/api/backup/{id}/preview")).expect(200);
        assert!(admin.get("/settings/storage").texts("#local .state") == ["Ready"]);
    };
    again(&admin);
    assert!(
        admin.post("/api/storage/open", &json!({ "vault_key": key })).error(409).contains("open already")
    );
    let log = admin.get("/api/audit-logs?operation_type=change_storage").expect(200);
    assert!(log["total"] == 1 && !log.to_string().contains(key.trim()), "{log}");
    assert!(app.logged(key.trim()).is_none());
    app.stop();

    let app = start_on(data.path());
    let admin = app.admin();
    again(&admin);
    let web = bench.name("web");
    bench.docker(&["rm", "-f", &web]);
    let restored = admin.restore(&id, json!({ "overwrite_volumes": true }));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    assert!(bench.is_running(&web));
}

#[test]
fn a_vault_in_the_place_of_a_new_one_opens_with_its_recovery_kit() {
    let bench = Bench::new();
    let first = App::start();
    let web = bench.run("web", &[], &[]);
    assert_eq!(first.admin().back_up(&web)["status"], "complete");
    let kit = first.admin().post("/api/vault-key", &json!({ "password": PASSWORD })).expect(200);
    let kit = kit["kit"].as_str().unwrap().to_owned();
    let old = first.stop();
    // A new machine has made a vault of its own before somebody thought of the old one.
    let fresh = App::start();
    let why = fresh.admin().post("/api/storage/open", &json!({ "kit": kit })).error(400);
    assert!(why.contains("of a vault on a disk") && why.contains("Stop this program"), "{why}");
    let why = fresh.admin().post("/api/storage/open", &json!({ "kit": "no kit at all" })).error(400);
    assert!(why.contains("There is no vault in this text"), "{why}");
    let data = fresh.stop();
    let own = fs::read_to_string(data.join("config/vault.key")).unwrap();
    fs::rename(data.join("vault"), data.join("own-vault")).unwrap();
    fs::rename(old.join("vault"), data.join("vault")).unwrap();
    let app = start_on(&data);
    let admin = app.admin();
    let page = admin.get("/settings/storage");
    assert!(page.texts(".banner.bad").join(" ").contains("the key is wrong"), "{}", page.text);
    let list = admin.follow(&admin.submit_form(&page, "Open the vault", &[("kit", &kit)]));
    assert!(list.texts(".toast")[0].contains("The local vault is open: 1 backup"), "{}", list.text);
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 1);
    // The key of the vault that was there before is not lost.
    let kept = fs::read_dir(data.join("config")).unwrap().map(|entry| entry.unwrap().path());
    let mut kept = kept.filter(|path| path.to_string_lossy().contains("vault.key.until-"));
    assert_eq!(fs::read_to_string(kept.next().unwrap()).unwrap(), own);
    drop(app);
    fs::remove_dir_all(data).unwrap();
    fs::remove_dir_all(old).unwrap();
}

#[test]
fn the_same_image_and_data_are_stored_once() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    run(
        "dd",
        &[
            "if=/dev/urandom",
            &format!("of={}", bench.path(&volume).join("noise").display()),
            "bs=1M",
            "count=8",
            "status=none",
        ],
    );
    let mount = format!("{volume}:/data");
    let first = bench.run("first", &["-v", &mount], &[]);
    let second = bench.run("second", &["-v", &mount], &[]);
    admin.back_up(&first);
    let again = admin.back_up(&first);
    assert!(again["log"].to_string().contains("The vault has this image already"), "{again:#}");
    // Another container with the same image and data.
    let other = admin.back_up(&second);
    assert!(other["log"].to_string().contains("The vault has this image already"), "{other:#}");
    let list = admin.get("/api/backups?sort=created&order=asc").expect(200);
    let stored: Vec<u64> =
        list["backups"].as_array().unwrap().iter().map(|row| row["stored_size"].as_u64().unwrap()).collect();
    assert!(stored[0] > 8_000_000 && stored[1] < 100_000 && stored[2] < 100_000, "{stored:?}");
    // The image in the second backup is whole all the same: restore from it alone.
    let (old, new) = (&list["backups"][0], &list["backups"][2]);
    for name in [&old["id"], &list["backups"][1]["id"]] {
        admin.delete(&format!("/api/backup/{}", name.as_str().unwrap())).expect(200);
    }
    for container in [&first, &second] {
        bench.docker(&["rm", "-f", container]);
    }
    bench.docker(&["volume", "rm", &volume]);
    bench.docker(&["rmi", "-f", &bench.image()]);
    let restored = admin.restore(new["id"].as_str().unwrap(), json!({}));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    assert!(bench.is_running(&second) && bench.path(&volume).join("noise").exists());
    let largest = largest(&app.data().join("vault"));
    assert!(largest < 64 * 1024 * 1024, "{largest}");
    admin.get(&format!("/api/backup/{}/preview", old["id"].as_str().unwrap())).error(404);
    admin.post("/api/restore-backup", &json!({ "filename": old["id"] })).error(404);
}

fn largest(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { largest(&path) } else { path.metadata().unwrap().len() })
        .max()
        .unwrap_or(0)
}

fn noise(bench: &Bench, volume: &str, megabytes: u32) {
    let target = format!("of={}", bench.path(volume).join("noise").display());
    run("dd", &["if=/dev/urandom", &target, "bs=1M", &format!("count={megabytes}"), "status=none"]);
}

#[test]
fn a_full_disk_fails_the_backup_with_its_reason_and_leaves_the_vault_sound() {
    let bench = Bench::new();
    let disk = SmallDisk::new(48);
    let app = start_on(disk.path());
    let admin = app.admin();
    let (small, large) = (bench.volume("small"), bench.volume("large"));
    noise(&bench, &small, 4);
    noise(&bench, &large, 80);
    let first = bench.run("first", &["-v", &format!("{small}:/data")], &[]);
    let second = bench.run("second", &["-v", &format!("{large}:/data")], &[]);
    let kept = admin.back_up(&first);
    assert_eq!(kept["status"], "complete", "{kept:#}");
    let failed = admin.back_up(&second);
    assert_eq!(failed["status"], "error", "{failed:#}");
    assert!(failed["error"].as_str().unwrap().contains("The vault's disk is full"), "{failed:#}");
    restic(disk.path(), &["check", "--read-data"]);
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 1);
    bench.docker(&["rm", "-f", &first]);
    bench.docker(&["volume", "rm", &small]);
    let restored = admin.restore(kept["backup_id"].as_str().unwrap(), json!({}));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    drop(app);
}
