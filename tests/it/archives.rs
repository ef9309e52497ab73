//! Backups as files: downloaded, deleted, uploaded, restored.

use std::{fs, io::Read, os::unix::fs::MetadataExt};

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, Options, run};

fn download(admin: &Client, path: &str) -> (String, Vec<u8>) {
    let mut answer = admin.open(path, &[]);
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut bytes).unwrap();
    (name, bytes)
}

#[test]
fn a_container_goes_through_a_file_to_another_server() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    fs::write(bench.path(&volume).join("file"), "kept").unwrap();
    fs::write(bench.path(&volume).join("large"), vec![7; 3_000_000]).unwrap();
    let web = bench.run("web", &["-v", &format!("{volume}:/data"), "-e", "TOKEN=secret"], &[]);
    let first = admin.back_up(&web);
    let second = admin.back_up(&web);
    let (id, name) = (first["backup_id"].as_str().unwrap(), first["backup_filename"].as_str().unwrap());

    // Its page offers it; what a page or a script gets, `tar` opens.
    let page = admin.get(&format!("/vault/{id}"));
    assert_eq!(page.attributes("form[method=get]", "action"), [format!("/vault/{id}/archive")]);
    let (called, zst) = download(&admin, &format!("/vault/{id}/archive?format=tar.zst"));
    assert!(called.contains(&format!("{name}.zst")), "{called}");
    let (_, tar) = download(&admin, &format!("/api/download/{name}"));
    let (_, gz) = download(&admin, &format!("/api/download/{name}.gz"));
    assert!(tar.len() > 3_000_000 && zst.len() < tar.len() && gz.len() < tar.len());
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("backup.tar.gz");
    fs::write(&file, &gz).unwrap();
    run("tar", &["-xzf", file.to_str().unwrap(), "-C", out.path().to_str().unwrap()]);
    let unpacked = out.path().join(format!("{web}/volumes/{volume}/file"));
    assert_eq!(fs::read_to_string(unpacked).unwrap(), "kept");
    admin.get(&format!("/api/download/{name}?format=rar")).error(400);
    admin.get("/api/download/nothing_20260101_000000_01234567.tar").error(404);
    let other = second["backup_id"].as_str().unwrap();
    let (called, both) =
        download(&admin, &format!("/api/backups/archive?ids={id}&ids={other}&format=tar.gz"));
    assert!(called.contains("2_backups_"), "{called}");
    let log = admin.get("/api/audit-logs?operation_type=download_backup").expect(200);
    assert_eq!(log["total"], 5, "{log}");

    // What is there is not taken twice, and what is no backup is refused; nothing of either stays.
    let answer = admin.upload(name, &zst);
    assert!(answer.error(409).contains("in the vault already"));
    assert!(admin.upload("x.tar", b"no backup").error(422).contains("can't be imported"));
    assert!(admin.upload("x.tar", b"").error(400).contains("empty"));
    assert_eq!(fs::read_dir(app.data().join("uploads")).unwrap().count(), 0);

    // On another server, which allows no large files.
    let mut away = App::start_with(Options::default().with("MONKEY_UPLOAD_LIMIT", "4MiB"));
    away.expect_errors();
    let there = away.admin();
    assert!(there.upload(name, &tar).error(413).contains("MONKEY_UPLOAD_LIMIT"));
    assert_eq!(fs::read_dir(away.data().join("uploads")).unwrap().count(), 0);
    let cut = there.upload(name, &zst[..zst.len() - 100]).expect(202);
    let cut = there.finished(cut["progress_id"].as_str().unwrap());
    assert_eq!(cut["status"], "error", "{cut}");
    assert_eq!(there.get("/api/backups").expect(200)["total"], 0);
    let run = there.upload("both.tar.gz", &both).expect(202);
    let run = there.finished(run["progress_id"].as_str().unwrap());
    assert_eq!(run["status"], "complete", "{run}");
    let list = there.get("/api/backups").expect(200);
    assert_eq!((&list["total"], &list["backups"][0]["backup_type"]), (&json!(2), &json!("import")));
    assert_eq!(fs::read_dir(away.data().join("uploads")).unwrap().count(), 0);

    // One that was deleted is still in the vault for a while; who uploads it again has it back.
    let deleted = list["backups"][0]["id"].as_str().unwrap();
    there.delete(&format!("/api/backup/{deleted}")).expect(200);
    assert_eq!(there.get("/api/backups").expect(200)["total"], 1);
    let run = there.upload("both.tar.gz", &both).expect(202);
    let run = there.finished(run["progress_id"].as_str().unwrap());
    assert_eq!(run["status"], "complete", "{run}");
    assert!(run["log"].to_string().contains("had been deleted"), "{run}");
    assert_eq!(there.get("/api/backups").expect(200)["total"], 2);
    assert_eq!(there.get("/api/backups/deleted").expect(200)["total"], 0);

    bench.docker(&["rm", "-f", &web]);
    bench.docker(&["volume", "rm", &volume]);
    let restored = there.restore(list["backups"][1]["id"].as_str().unwrap(), json!({}));
    assert_eq!(restored["status"], "complete", "{restored}");
    assert_eq!(bench.docker(&["exec", &web, "cat", "/data/file"]), "kept");
    assert!(bench.docker(&["inspect", &web]).contains("TOKEN=secret"));
}

#[test]
fn a_script_of_the_flask_application_downloads_all() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let prepare = |admin: &Client, body: &Value| admin.post("/api/backups/download-all-prepare", body);
    assert_eq!(prepare(&admin, &json!({})).error(404), "No backups found to download");
    let names: Vec<String> = ["one", "two"]
        .iter()
        .map(|name| {
            let backup = admin.back_up(&bench.run(name, &[], &[]));
            backup["backup_filename"].as_str().unwrap().to_owned()
        })
        .collect();

    let session = prepare(&admin, &json!({})).expect(200);
    assert_eq!((&session["success"], &session["total"]), (&json!(true), &json!(2)), "{session}");
    assert_eq!(session["files"], json!([names[1], names[0]]), "the newest is first");
    let id = session["session_id"].as_str().unwrap();
    let (progress, file) =
        (format!("/api/backups/download-all-progress/{id}"), format!("/api/backups/download-all/{id}"));
    let before = json!({
        "total": 2, "completed": 0, "current_file": null, "status": "preparing", "archive_filename": null,
    });
    assert_eq!(admin.get(&progress).expect(200), before);
    assert_eq!(admin.get(&file).error(400), "Archive file not ready");
    let created = admin.post(&format!("/api/backups/download-all-create/{id}"), &json!({})).expect(200);
    let name = created["archive_filename"].as_str().unwrap();
    assert!(name.starts_with("all_backups_") && name.ends_with(".tar.gz"), "{name}");
    assert_eq!(created["session_id"], id);
    let after = admin.get(&progress).expect(200);
    assert_eq!((&after["status"], &after["completed"]), (&json!("complete"), &json!(2)), "{after}");
    assert_eq!(after["archive_filename"], name);
    // Nobody who is not signed in, and nothing that is no session.
    app.stranger().get(&file).error(401);
    for path in ["", "-progress"] {
        let other = format!("/api/backups/download-all{path}/01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert!(admin.get(&other).error(404).contains("download"), "{other}");
    }
    let (called, bytes) = download(&admin, &file);
    assert!(called.contains(name), "{called}");
    admin.get(&file).error(404);
    admin.get(&progress).error(404);
    let log = admin.get("/api/audit-logs?operation_type=download_backup").expect(200);
    assert_eq!(log["total"], 2, "{log}");

    let away = App::start();
    let there = away.admin();
    let run = there.upload(name, &bytes).expect(202);
    assert_eq!(there.finished(run["progress_id"].as_str().unwrap())["status"], "complete");
    assert_eq!(there.get("/api/backups").expect(200)["total"], 2);

    // Only some; one that goes meanwhile is not left out.
    let some = prepare(&admin, &json!({ "filenames": [names[0]] })).expect(200);
    assert_eq!(some["files"], json!([names[0]]));
    let id = some["session_id"].as_str().unwrap();
    admin.post(&format!("/api/backups/download-all-create/{id}"), &json!({})).expect(200);
    admin.delete(&format!("/api/backup/{}", names[0])).expect(200);
    assert!(admin.get(&format!("/api/backups/download-all/{id}")).error(404).contains("backup"));
    prepare(&admin, &json!({ "filenames": [names[0]] })).error(404);
}

/// As the Flask application packs a container; returns the file's name.
fn flask(bench: &Bench, app: &App, container: &str, volume: &str) -> String {
    let work = tempfile::tempdir().unwrap();
    let (path, at) = (work.path(), work.path().to_str().unwrap());
    let inspect: Value = serde_json::from_str(&bench.docker(&["inspect", container])).unwrap();
    let image = inspect[0]["Config"]["Image"].as_str().unwrap();
    fs::write(path.join("container_config.json"), inspect[0].to_string()).unwrap();
    let metadata = json!({ "container_name": container, "backup_date": "2026-11-23T23:34:00.071811" });
    fs::write(path.join("backup_metadata.json"), metadata.to_string()).unwrap();
    bench.docker(&["save", "-o", path.join("image.tar").to_str().unwrap(), image]);
    fs::create_dir(path.join("volumes")).unwrap();
    let data = path.join(format!("volumes/{volume}_data.tar.gz"));
    run("tar", &["-czf", data.to_str().unwrap(), "-C", bench.path(volume).to_str().unwrap(), "."]);
    let name = format!("{container}_20261123_233326.tar.gz");
    let folder = app.data().join("backups");
    fs::create_dir_all(&folder).unwrap();
    run("tar", &["-czf", folder.join(&name).to_str().unwrap(), "-C", at, "."]);
    name
}

#[test]
fn what_the_flask_application_left_is_imported_and_restored() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    fs::write(bench.path(&volume).join("file"), "kept").unwrap();
    std::os::unix::fs::chown(bench.path(&volume).join("file"), Some(70_001), Some(999)).unwrap();
    let web = bench.run("web", &["-v", &format!("{volume}:/data"), "-e", "TOKEN=secret"], &[]);
    let name = flask(&bench, &app, &web, &volume);
    fs::write(app.data().join("backups/settings.json"), "{}").unwrap();

    let page = admin.get("/vault/upload");
    assert_eq!(page.attributes("[name=names]", "value"), std::slice::from_ref(&name));
    assert!(
        admin
            .post("/api/found-archives", &json!({ "names": ["../config/vault.key"] }))
            .error(404)
            .contains("archive")
    );
    let queued = admin.follow(&admin.submit("/vault/upload/found", &[("names", name.as_str())]));
    assert_eq!(queued.status, 200);
    let runs = admin.get("/api/runs").expect(200);
    let run = admin.finished(runs["runs"][0]["progress_id"].as_str().unwrap());
    assert_eq!(run["status"], "complete", "{run}");
    let again = admin.post("/api/found-archives", &json!({ "names": [name] }));
    assert!(again.error(409).contains("in the vault already"));
    let offered = admin.get("/api/found-archives").expect(200);
    assert_eq!(offered["archives"][0]["imported"], run["backup_id"], "{offered}");
    let page = admin.get("/vault/upload");
    let backup = format!("/vault/{}", run["backup_id"].as_str().unwrap());
    assert!(page.attributes("fieldset a", "href").contains(&backup));
    assert!(page.attributes("[name=names]", "checked").is_empty(), "it is not offered again");
    assert!(app.data().join("backups").join(&name).exists(), "it stays");

    bench.docker(&["rm", "-f", &web]);
    bench.docker(&["volume", "rm", &volume]);
    let restored = admin.restore(run["backup_id"].as_str().unwrap(), json!({}));
    assert_eq!(restored["status"], "complete", "{restored}");
    assert_eq!(bench.docker(&["exec", &web, "cat", "/data/file"]), "kept");
    let meta = fs::metadata(bench.path(&volume).join("file")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (70_001, 999));
    assert!(bench.docker(&["inspect", &web]).contains("TOKEN=secret"));
}
