//! The files in a backup: listed, shown, taken out, without a restore.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    time::Instant,
};

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, run};

fn bytes(admin: &Client, path: &str, headers: &[(&str, &str)], status: u16) -> Vec<u8> {
    let mut answer = admin.open(path, headers);
    assert_eq!(answer.status().as_u16(), status, "{path}");
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_backup_shows_its_files_as_they_were_and_gives_them_out() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("sub/inner.txt"), "inner\n").unwrap();
    fs::hard_link(root.join("sub/inner.txt"), root.join("sub/twin.txt")).unwrap();
    fs::write(root.join("large.bin"), vec![7; 3_000_000]).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"latin \xfc.txt")), "odd").unwrap();
    fs::write(root.join("dot.png"), b"\x89PNG\r\n\x1a\n\0").unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    std::os::unix::fs::chown(root.join("sub/inner.txt"), Some(70_001), Some(999)).unwrap();
    fs::set_permissions(root.join("sub/inner.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    run("setfattr", &["-n", "user.color", "-v", "red", root.join("sub/inner.txt").to_str().unwrap()]);
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    let id = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    // What happens afterwards is not in it.
    fs::write(root.join("sub/inner.txt"), "changed\n").unwrap();
    fs::remove_file(root.join("large.bin")).unwrap();

    let data = format!("/{web}/volumes/{volume}");
    let list = |path: &str| admin.get(&format!("/api/backup/{id}/files?path={path}"));
    let began = Instant::now();
    let top = list("/").expect(200);
    let first = began.elapsed();
    let began = Instant::now();
    let listed = list(&data).expect(200);
    println!("first look {first:?}, second look {:?}", began.elapsed());
    assert_eq!((&top["backup_id"], &top["path"]), (&json!(id), &json!("/")));
    assert!(top["items"].as_array().unwrap().iter().any(|item| item["name"] == json!(web)));
    let names: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sub", "dot.png", "large.bin", "latin \u{EFFC}.txt", "link"]);
    assert_eq!(listed["items"][4]["target"], "/etc/passwd");
    let largest = list(&format!("{data}&sort=size&order=desc&offset=1&limit=1")).expect(200);
    assert_eq!((&largest["items"][0]["name"], &largest["total"]), (&json!("large.bin"), &json!(5)));
    let inner = &list(&format!("{data}/sub")).expect(200)["items"][0];
    assert_eq!((&inner["mode"], &inner["uid"], &inner["gid"]), (&json!("0640"), &json!(70_001), &json!(999)));

    // Nothing leads out of the backup, and links are not followed.
    assert!(list("/../etc").status >= 400);
    assert!(list(&format!("{data}/nothing")).error(404).contains("in this backup"));
    list(&format!("{data}/link")).error(422);
    list(&format!("{data}/link/passwd")).error(404);
    admin.get(&format!("/api/backup/{id}/file?path={data}/link")).error(422);
    assert!(list(&format!("{data}/dot.png")).error(422).contains("a file"));

    let file = format!("/api/backup/{id}/file?path={data}");
    assert_eq!(bytes(&admin, &format!("{file}/sub/inner.txt"), &[], 200), b"inner\n");
    assert_eq!(bytes(&admin, &format!("{file}/latin%20%EE%BF%BC.txt"), &[], 200), b"odd");
    assert_eq!(bytes(&admin, &format!("{file}/large.bin"), &[("Range", "bytes=2999990-")], 206), [7; 10]);
    assert_eq!(bytes(&admin, &format!("{file}/large.bin"), &[], 200).len(), 3_000_000);
    bytes(&admin, &format!("{file}/large.bin"), &[("Range", "bytes=9000000-")], 416);

    // The folder as tar is what it was, with owner, mode, attributes and hard links.
    let out = tempfile::tempdir().unwrap();
    let tar = out.path().join("sub.tar");
    fs::write(&tar, bytes(&admin, &format!("{file}/sub"), &[], 200)).unwrap();
    let (tar, there) = (tar.to_str().unwrap(), out.path().to_str().unwrap());
    run("tar", &["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", tar, "-C", there]);
    let unpacked = out.path().join("sub/inner.txt");
    let meta = fs::metadata(&unpacked).unwrap();
    assert_eq!(fs::read(&unpacked).unwrap(), b"inner\n");
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.nlink()), (70_001, 999, 0o640, 2));
    let color = run("getfattr", &["--only-values", "-n", "user.color", unpacked.to_str().unwrap()]);
    assert_eq!(color.trim(), "red");

    let page = admin.get(&format!("/vault/{id}"));
    let links = page.attributes("ul.effects a", "href");
    assert!(links.contains(&format!("/vault/{id}/files?path=/{}", &data[1..])), "{links:?}");
    let page = admin.get(&format!("/vault/{id}/files?path={data}"));
    assert!(page.texts("tbody th a").contains(&"large.bin".to_owned()), "{:?}", page.texts("tbody th a"));
    let page = admin.get(&format!("/vault/{id}/file?path={data}/sub/inner.txt"));
    assert_eq!(page.texts("pre span"), ["inner"]);
    let page = admin.get(&format!("/vault/{id}/file?path={data}/dot.png"));
    let picture = page.attributes("img.preview", "src");
    assert_eq!(bytes(&admin, &picture[0], &[], 200), b"\x89PNG\r\n\x1a\n\0");
    let shown = || admin.get("/api/audit-logs?operation_type=show_secrets").expect(200)["total"].clone();
    assert_eq!(shown(), 0);
    assert!(admin.get(&format!("/vault/{id}/file?path=/{web}/backup.json")).text.contains("app_version"));
    assert_eq!(shown(), 1, "the manifest holds secrets");
    let log = admin.get("/api/audit-logs?operation_type=backup_download").expect(200);
    assert!(
        log["logs"].as_array().unwrap().iter().any(|entry| entry["details"]["backup_id"] == json!(id)),
        "{log}"
    );
    restore_parts(&bench, &admin, &id, &web, &volume);
}

/// Brings a file back where it was and a folder into another volume, out of the backup of the story above.
fn restore_parts(bench: &Bench, admin: &Client, id: &str, web: &str, volume: &str) {
    let data = format!("/{web}/volumes/{volume}");
    let (root, other) = (bench.path(volume), bench.volume("other"));
    let there = bench.path(&other);
    fs::create_dir(there.join("in")).unwrap();
    symlink("in", there.join("link")).unwrap();
    let address = format!("/api/backup/{id}/restore-files");
    let review = admin.get(&format!("{address}?path={data}/sub/inner.txt")).expect(200);
    assert_eq!((&review["conflicts"], &review["stop"]), (&json!([]), &json!(true)), "{review:#}");
    assert_eq!(review["used_by"], json!([{ "name": web, "running": true, "is_self": false }]));
    assert_eq!((&review["measure"]["files"], &review["present"]["size"]), (&json!(1), &json!(8)));
    let restore = |body: Value| {
        let asked = admin.post(&address, &body).expect(202);
        let ended = admin.finished(asked["progress_id"].as_str().unwrap());
        assert_eq!(ended["status"], "complete", "{ended:#}");
    };
    restore(json!({ "path": format!("{data}/sub/inner.txt") }));
    assert_eq!(fs::read_to_string(root.join("sub/inner.txt")).unwrap(), "inner\n");
    let meta = fs::metadata(root.join("sub/inner.txt")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.nlink()), (70_001, 999, 0o640, 1));
    let was = admin.get(&format!("/api/backup/{id}/files?path={data}/sub")).expect(200);
    let modified = chrono::DateTime::from_timestamp(meta.mtime(), 0).unwrap().to_rfc3339();
    assert_eq!(was["items"][0]["modified"], json!(modified));
    let names = |path: &std::path::Path| {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let beside = names(&root.join("sub"));
    assert!(beside.len() == 3 && beside[1].starts_with("inner.txt.before-2"), "{beside:?}");
    assert_eq!(fs::read_to_string(root.join("sub").join(&beside[1])).unwrap(), "changed\n");
    assert!(!names(&root).iter().any(|name| name.starts_with('.')), "no work directory is left");
    assert!(bench.is_running(web), "it was stopped and started again");

    restore(json!({ "path": format!("{data}/sub"), "volume": other, "folder": "/in" }));
    assert_eq!(names(&there.join("in/sub")), ["inner.txt", "twin.txt"]);
    assert_eq!(fs::metadata(there.join("in/sub/inner.txt")).unwrap().nlink(), 2);
    assert_eq!(names(&there), ["in", "link"]);

    let refused = |body: Value, status: u16| admin.post(&address, &body).error(status);
    let into = |volume: &str, folder: &str| json!({ "path": format!("{data}/sub"), "volume": volume, "folder": folder });
    assert!(refused(json!({ "path": data }), 422).contains("all of"));
    assert!(refused(json!({ "path": format!("/{web}/backup.json") }), 422).contains("whole restore"));
    assert!(refused(into("no-such-volume", "/"), 409).contains("not on this host"));
    assert!(refused(into(&other, "/link"), 409).contains("link"));
    assert!(refused(into(&other, "/nothing"), 409).contains("not there"));
    refused(into(&other, "/../up"), 400);
    let page =
        admin.get(&format!("/vault/{id}/restore-files?path={data}/sub&to=volume&volume={other}&folder=/no"));
    assert!(page.texts("#plan .banner")[0].contains("not there"), "{:?}", page.texts("#plan .banner"));
    let log = admin.get("/api/audit-logs?operation_type=restore_files").expect(200);
    assert_eq!(log["total"], 4, "two were asked for and done: {log:#}");
}
