//! What goes wrong while one file or folder is restored: what was there stays, whole and in its place.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    faults::{Scene, start_again},
    harness::{App, Bench, Client, SmallDisk, run},
};

/// Asks for a file of the scene's volume and returns once its data is being written.
fn begin(scene: &Scene, client: &Client, backup: &Value) -> String {
    let id = backup["backup_id"].as_str().unwrap();
    let path = format!("/{}/volumes/{}/large", scene.container, scene.volume);
    let asked = client.post(&format!("/api/backup/{id}/restore-files"), &json!({ "path": path }));
    let run = asked.expect(202)["progress_id"].as_str().unwrap().to_owned();
    client.running(&run, |progress| progress["bytes_done"].as_u64() > Some(4_000_000));
    run
}

fn ended(client: &Client, run: &str, why: &str) -> Value {
    let ended = client.finished(run);
    assert_eq!(ended["status"], "error", "{ended:#}");
    assert!(ended["error"].as_str().unwrap().contains(why), "{ended:#}");
    ended
}

#[test]
fn a_killed_worker_leaves_the_file_as_it_was() {
    let scene = Scene::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let backup = admin.back_up(&scene.container);
    scene.fill("second");
    let sum = scene.sum();
    let job = begin(&scene, &admin, &backup);
    assert!(!scene.bench.is_running(&scene.container), "stopped while its data is replaced");
    // The one that does it, and one that has looked into the backup before and waits.
    for worker in app.workers() {
        run("kill", &["-KILL", &worker.to_string()]);
    }
    ended(&admin, &job, "worker process ended");
    assert_eq!(scene.sum(), sum);
    assert!(scene.bench.is_running(&scene.container), "started again");
    assert_eq!(names(&scene.path()), ["large", "what"]);
}

#[test]
fn a_server_that_dies_takes_it_back_at_its_next_start() {
    let scene = Scene::new();
    let app = App::start();
    let backup = app.admin().back_up(&scene.container);
    let first = scene.sum();
    scene.fill("second");
    let second = scene.sum();
    let run = begin(&scene, &app.admin(), &backup);
    let data = app.kill();
    let app = start_again(&data);
    ended(&app.admin(), &run, "");
    assert_eq!(scene.sum(), second);
    assert!(scene.bench.is_running(&scene.container), "started again");
    assert_eq!(names(&scene.path()), ["large", "what"]);
    // And it can be done again.
    let run = begin(&scene, &app.admin(), &backup);
    assert_eq!(app.admin().finished(&run)["status"], "complete");
    assert_eq!(scene.sum(), first);
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_full_disk_and_a_mount_in_the_way_are_told_and_change_nothing() {
    let bench = Bench::new();
    let disk = SmallDisk::new(64);
    let data = disk.path().join("data");
    fs::create_dir_all(data.join("folder/inner")).unwrap();
    let large = data.join("folder/large");
    let noise = |megabytes: u32| {
        let target = format!("of={}", large.display());
        run("dd", &["if=/dev/urandom", &target, "bs=1M", &format!("count={megabytes}"), "status=none"]);
    };
    noise(40);
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let web = bench.run("web", &["-v", &format!("{}:/data", data.display())], &[]);
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup:#}");
    let ask = |path: &str| {
        let id = backup["backup_id"].as_str().unwrap();
        let body = json!({ "path": format!("/{web}/binds/0/{path}"), "keep": false });
        admin.post(&format!("/api/backup/{id}/restore-files"), &body)
    };
    let restore = |path: &str| ask(path).expect(202)["progress_id"].as_str().unwrap().to_owned();

    // The new one does not fit beside the old one.
    noise(38);
    let old = fs::read(&large).unwrap();
    ended(&admin, &restore("folder/large"), "not enough space");
    assert!(fs::read(&large).unwrap() == old, "it is as it was");
    assert_eq!(names(&data), ["folder"]);
    assert!(bench.is_running(&web));

    // A folder can't change places while something is mounted on it, or in it.
    fs::remove_file(&large).unwrap();
    for place in ["folder", "folder/inner"] {
        let mounted = data.join(place);
        let at = mounted.to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=1m", "container-monkey-test", at]);
        fs::write(mounted.join("kept"), "kept").unwrap();
        let told = ask("folder").error(409);
        let kept = fs::read_to_string(mounted.join("kept"));
        run("umount", &["-l", at]);
        assert!(told.contains("mounted"), "{place}: {told}");
        assert_eq!(kept.unwrap(), "kept", "{place}: {told}");
        assert_eq!(names(&data), ["folder"], "{place}: {told}");
        assert_eq!(names(&data.join("folder")), ["inner"], "{place}: {told}");
    }
    assert!(bench.is_running(&web));
    // Without them it goes.
    assert_eq!(admin.finished(&restore("folder"))["status"], "complete");
    assert_eq!(fs::metadata(&large).unwrap().len(), 40 * 1024 * 1024);
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
