//! Files: every kind, owner, mode, time, attribute and name goes into a backup and comes back.

mod churn;
mod tree;

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use serde_json::{Value, json};

use crate::harness::{App, Bench, run};

#[test]
fn a_volume_and_a_bind_come_back_entry_by_entry() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("nasty");
    let host = tempfile::tempdir().unwrap();
    let bound = host.path().join("bound");
    fs::create_dir(&bound).unwrap();
    let mounts = [format!("{volume}:/volume"), format!("{}:/bind", bound.display())];
    let web = bench.run("web", &["-v", &mounts[0], "-v", &mounts[1]], &[]);
    let path = bench.path(&volume);
    tree::plant(&path);
    tree::plant(&bound);
    let before = (tree::walk(&path), tree::walk(&bound));

    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup:#}");
    bench.docker(&["rm", "-f", "-v", &web]);
    bench.docker(&["volume", "rm", &volume]);
    fs::remove_dir_all(host.path()).unwrap();
    let id = backup["backup_id"].as_str().unwrap();
    let restored = admin.restore(id, json!({}));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    tree::compare(&before.0, &tree::walk(&path));
    tree::compare(&before.1, &tree::walk(&bound));

    // Once more over what is there: nothing changes, and what was right is not written again.
    let again = admin.restore(id, json!({ "replace": true, "overwrite_volumes": true }));
    assert_eq!(again["status"], "complete", "{again:#}");
    tree::compare(&before.0, &tree::walk(&path));
    tree::compare(&before.1, &tree::walk(&bound));
    app.restic(&["check", "--read-data"]);
}

#[test]
fn overwriting_leaves_nothing_of_what_was_there_and_touches_nothing_else() {
    let bench = Bench::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let (volume, unrelated) = (bench.volume("data"), bench.volume("unrelated"));
    let mounts = [format!("{volume}:/data"), format!("{unrelated}:/unrelated")];
    let web = bench.run("web", &["-v", &mounts[0]], &[]);
    let other = bench.run("other", &["-v", &mounts[1]], &[]);
    let (path, apart) = (bench.path(&volume), bench.path(&unrelated));
    tree::plant(&path);
    tree::plant(&apart);
    fs::write(path.join("app.db"), "database").unwrap();
    fs::create_dir(path.join("was-directory")).unwrap();
    fs::write(path.join("was-directory/inside"), "inside").unwrap();
    fs::write(path.join("was-file"), "file").unwrap();
    fs::write(path.join("alone"), "alone").unwrap();
    let (before, other_before) = (tree::walk(&path), tree::walk(&apart));
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup:#}");

    // A database's companions, which would be played into the restored one.
    fs::write(path.join("app.db-wal"), "stale").unwrap();
    fs::write(path.join("app.db-journal"), "stale").unwrap();
    fs::write(path.join("app.db"), "newer database, longer").unwrap();
    fs::create_dir_all(path.join("extra/deep/tree")).unwrap();
    fs::write(path.join("extra/deep/tree/file"), "x").unwrap();
    fs::remove_dir_all(path.join("was-directory")).unwrap();
    fs::write(path.join("was-directory"), "a file now").unwrap();
    fs::remove_file(path.join("was-file")).unwrap();
    fs::create_dir_all(path.join("was-file/deep")).unwrap();
    fs::write(path.join("was-file/deep/x"), "x").unwrap();
    fs::set_permissions(path.join("alone"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::hard_link(path.join("alone"), path.join("alone-linked")).unwrap();
    tree::disturb(&path);
    let other_id = bench.inspect(&other)["State"]["StartedAt"].clone();

    // Another disk is mounted in it since: what is on that is not deleted, and nothing is done by halves.
    let id = backup["backup_id"].as_str().unwrap();
    let options = json!({ "replace": true, "overwrite_volumes": true });
    let disk = path.join("extra/disk");
    fs::create_dir(&disk).unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=1m", "container-monkey-test", disk.to_str().unwrap()]);
    fs::write(disk.join("kept"), "kept").unwrap();
    let refused = admin.restore(id, options.clone());
    let kept = fs::read_to_string(disk.join("kept"));
    run("umount", &["-l", disk.to_str().unwrap()]);
    assert_eq!(refused["status"], "error", "{refused:#}");
    assert!(refused["error"].as_str().unwrap().contains("extra/disk"), "{refused:#}");
    assert_eq!(kept.unwrap(), "kept");
    assert_eq!(fs::read_to_string(path.join("app.db")).unwrap(), "newer database, longer");
    assert!(bench.is_running(&web));

    let restored = admin.restore(id, options);
    assert_eq!(restored["status"], "complete", "{restored:#}");
    tree::compare(&before, &tree::walk(&path));
    tree::compare(&other_before, &tree::walk(&apart));
    assert_eq!(bench.inspect(&other)["State"]["StartedAt"], other_id, "the other container was left alone");
}

/// What Docker says, with the mounts in one order: it has none.
fn inspected(bench: &Bench, container: &str) -> Value {
    let mut inspect = bench.inspect(container);
    let mounts = inspect["Mounts"].as_array_mut().unwrap();
    mounts.sort_by_key(|mount| mount["Destination"].to_string());
    inspect
}

#[test]
fn under_another_name_the_live_container_keeps_its_data() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let device = tempfile::tempdir().unwrap();
    let pointed = bench.name("pointed");
    let option = format!("device={}", device.path().display());
    bench.docker(&[
        "volume",
        "create",
        "--label",
        bench.label(),
        "-o",
        "type=none",
        "-o",
        "o=bind",
        "-o",
        &option,
        &pointed,
    ]);
    let mounts = [format!("{volume}:/data"), format!("{pointed}:/pointed")];
    let web = bench.run("web", &["-v", &mounts[0], "-v", &mounts[1], "-v", "/anonymous"], &[]);
    let path = bench.path(&volume);
    fs::write(path.join("file"), "old").unwrap();
    fs::write(device.path().join("file"), "old").unwrap();
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup:#}");
    fs::write(path.join("file"), "live").unwrap();
    fs::write(device.path().join("file"), "live").unwrap();
    let (before, inspect, volume_before) = (
        (tree::walk(&path), tree::walk(device.path())),
        inspected(&bench, &web),
        bench.docker(&["volume", "inspect", &volume]),
    );
    let copy = bench.name("copy");
    let id = backup["backup_id"].as_str().unwrap();
    let restored = admin.restore(id, json!({ "new_name": copy }));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    tree::compare(&before.0, &tree::walk(&path));
    tree::compare(&before.1, &tree::walk(device.path()));
    assert_eq!(inspected(&bench, &web), inspect);
    assert_eq!(bench.docker(&["volume", "inspect", &volume]), volume_before);
    let mounts = bench.inspect(&copy)["Mounts"].clone();
    for place in ["/data", "/pointed"] {
        let mount = mounts.as_array().unwrap().iter().find(|mount| mount["Destination"] == place).unwrap();
        let source = Path::new(mount["Source"].as_str().unwrap());
        assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "old", "{place}");
        assert_ne!(source.as_os_str().as_bytes(), path.as_os_str().as_bytes());
    }
}
