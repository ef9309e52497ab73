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

use serde_json::json;

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
}
