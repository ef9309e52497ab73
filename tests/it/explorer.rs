//! The files of a volume: listed, shown, downloaded.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::Path,
    time::Instant,
};

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, run, wait_for};

fn explore(admin: &Client, volume: &str, query: &str) -> Value {
    admin.get(&format!("/api/volume/{volume}/explore?{query}")).expect(200)
}

fn bytes(admin: &Client, path: &str) -> Vec<u8> {
    let mut answer = admin.open(path, &[]);
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut bytes).unwrap();
    bytes
}

/// For an address.
fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").unwrap();
        out
    })
}

#[test]
fn a_folder_is_listed_with_owner_mode_time_and_where_links_lead() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("sub/inner.txt"), "inner").unwrap();
    fs::write(root.join("Readme.md"), "twelve bytes").unwrap();
    fs::write(root.join("a<b>&\"c"), "").unwrap();
    std::os::unix::fs::chown(root.join("Readme.md"), Some(70_001), Some(999)).unwrap();
    fs::set_permissions(root.join("Readme.md"), fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("sub/inner.txt", root.join("link")).unwrap();
    run("touch", &["-d", "2020-02-03T04:05:06Z", root.join("Readme.md").to_str().unwrap()]);

    let list = explore(&admin, &volume, "path=/");
    let names: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sub", "a<b>&\"c", "link", "Readme.md"], "folders first, then by name");
    assert_eq!((&list["path"], &list["total"]), (&json!("/"), &json!(4)));
    let readme = &list["items"][3];
    let expected = json!({
        "name": "Readme.md", "path": "/Readme.md", "type": "file", "size": 12, "mode": "4750",
        "permissions": "-rwsr-x---", "uid": 70001, "gid": 999, "modified": "2020-02-03T04:05:06+00:00",
        "target": null,
    });
    assert_eq!(*readme, expected);
    assert_eq!(list["items"][2]["target"], "sub/inner.txt");
    assert_eq!(list["items"][0]["type"], "dir");
    assert_eq!(explore(&admin, &volume, "path=sub/")["items"][0]["path"], "/sub/inner.txt");
    admin.get(&format!("/api/volume/{volume}/explore?path=/nothing")).error(404);
    assert!(
        admin.get(&format!("/api/volume/{volume}/explore?path=/Readme.md")).error(422).contains("a file")
    );
    admin.get("/api/volume/no-such-volume/explore").error(404);

    let page = admin.get(&format!("/volumes/{volume}"));
    assert!(page.texts("tbody th a").contains(&"a<b>&\"c".to_owned()), "{:?}", page.texts("tbody th a"));
    let inner = admin.get_fragment(&format!("/volumes/{volume}?path=/sub"));
    assert!(!inner.text.contains("<html"));
    assert_eq!(inner.texts("nav.path a"), std::slice::from_ref(&volume));
    assert_eq!(inner.texts("nav.path b"), ["sub"]);
}

#[test]
fn text_is_shown_and_other_files_are_offered_for_download() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    fs::write(root.join("config.yml"), "a: 1\nb: grün <script>alert(1)</script>\n").unwrap();
    fs::write(root.join("latin.txt"), b"gr\xfcn").unwrap();
    fs::write(root.join("program"), b"\x7fELF\x02\x01\x01\x00\x00").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("long.log"), "ü".repeat(300_000)).unwrap();
    let file = |name: &str| admin.get(&format!("/api/volume/{volume}/file?path=/{name}"));
    let shown = file("config.yml").expect(200);
    assert_eq!(shown["content"], "a: 1\nb: grün <script>alert(1)</script>\n");
    assert_eq!((&shown["size"], &shown["truncated"]), (&json!(40), &json!(false)));
    let refused = file("program").expect(415);
    assert_eq!(refused["size"], 9);
    assert!(refused["error"].as_str().unwrap().contains("Download"));
    let long = file("long.log").expect(200);
    assert_eq!((&long["size"], &long["truncated"]), (&json!(600_000), &json!(true)));
    assert_eq!(long["content"].as_str().unwrap().len(), 262_144);
    assert_eq!(file("empty").expect(200)["content"], "");
    assert_eq!(file("latin.txt").expect(200)["utf8"], false);
    assert!(file("").error(422).contains("a folder"));
    file("nothing").error(404);

    let page = admin.get(&format!("/volumes/{volume}/file?path=/config.yml"));
    assert_eq!(page.texts("pre span"), ["a: 1", "b: grün <script>alert(1)</script>"]);
    assert!(!page.text.contains("<script>alert"));
    let page = admin.get(&format!("/volumes/{volume}/file?path=/program"));
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Not text") && page.text.contains("Download 9 B"));
    assert!(admin.get(&format!("/volumes/{volume}/file?path=/long.log")).text.contains("Only the beginning"));
}

#[test]
fn pictures_are_shown_without_rights_and_drawings_are_text() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    fs::write(root.join("photo.PNG"), b"\x89PNG\r\n\x1a\n\x00\x00").unwrap();
    fs::write(
        root.join("drawing.svg"),
        "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    )
    .unwrap();
    fs::write(root.join("page.html"), "<script>alert(1)</script>").unwrap();
    fs::create_dir(root.join("folder.png")).unwrap();
    let page = admin.get(&format!("/volumes/{volume}/file?path=/photo.PNG"));
    let image = page.attributes("img.preview", "src").remove(0);
    let answer = admin.open(&image, &[]);
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("sandbox"));
    assert!(!header("content-security-policy").contains("self"));
    for refused in ["drawing.svg", "page.html", "folder.png"] {
        assert_eq!(admin.get(&format!("/volumes/{volume}/image?path=/{refused}")).status, 415, "{refused}");
    }
    for name in ["drawing.svg", "page.html"] {
        let answer = admin.open(&format!("/api/volume/{volume}/download?path=/{name}"), &[]);
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
        assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
    }
}

#[test]
fn a_file_is_downloaded_whole_or_in_parts() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let content: Vec<u8> = (0..500_000u32).flat_map(u32::to_le_bytes).collect();
    let file = bench.path(&volume).join("größe \"1\".bin");
    fs::write(&file, &content).unwrap();
    let path = format!("/api/volume/{volume}/download?path={}", escape("/größe \"1\".bin"));
    assert!(bytes(&admin, &path) == content);
    let answer = admin.open(&path, &[]);
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let name = answer.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(
        name,
        "attachment; filename=\"gr__e _1_.bin\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22.bin"
    );
    assert_eq!(answer.headers()["accept-ranges"], "bytes");
    let part = |headers: &[(&str, &str)]| {
        let mut answer = admin.open(&path, headers);
        let range = answer.headers().get("content-range").map(|range| range.to_str().unwrap().to_owned());
        (answer.status().as_u16(), range, answer.body_mut().read_to_vec().unwrap())
    };
    let size = content.len();
    for (asked, first, last) in
        [("100-199", 100, 199), ("1999990-", 1_999_990, size - 1), ("-10", size - 10, size - 1)]
    {
        let range = format!("bytes={asked}");
        let (status, range, bytes) = part(&[("Range", &range), ("If-Range", &tag)]);
        assert_eq!((status, range), (206, Some(format!("bytes {first}-{last}/{size}"))));
        assert!(bytes == content[first..=last]);
    }
    assert_eq!(part(&[("Range", "bytes=2000000-")]).0, 416);
    assert_eq!(part(&[("Range", "bytes=2000000-")]).1, Some(format!("bytes */{size}")));
    assert_eq!(part(&[("Range", "pages=1-2")]).0, 200);
    // The file is another one meanwhile: all of it, not a part that does not fit.
    fs::write(&file, "changed").unwrap();
    assert_eq!(part(&[("Range", "bytes=2-3"), ("If-Range", &tag)]), (200, None, b"changed".to_vec()));
    admin.get(&format!("/api/volume/{volume}/download?path=/nothing")).error(404);
}

#[test]
fn a_folder_is_downloaded_as_tar_with_everything_in_it() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    let deep = root.join("sub").join("d".repeat(200)).join("e".repeat(200));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    fs::write(root.join("sub/big"), vec![7; 3_000_000]).unwrap();
    fs::hard_link(root.join("sub/big"), root.join("sub/twin")).unwrap();
    fs::write(root.join("sub").join(OsStr::from_bytes(b"latin \xfc")), "name").unwrap();
    fs::set_permissions(root.join("sub/big"), fs::Permissions::from_mode(0o2640)).unwrap();
    std::os::unix::fs::chown(root.join("sub/twin"), Some(4_000_000_000), Some(33)).unwrap();
    symlink("/etc/passwd", root.join("sub/outside")).unwrap();
    symlink("l".repeat(300), root.join("sub/long")).unwrap();
    run("mkfifo", &[root.join("sub/pipe").to_str().unwrap()]);
    let _socket = std::os::unix::net::UnixListener::bind(root.join("sub/socket")).unwrap();

    let answer = admin.open(&format!("/api/volume/{volume}/download?path=/sub"), &[]);
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("\"sub.tar\""));
    let place = tempfile::tempdir().unwrap();
    let tar = place.path().join("x.tar");
    fs::write(&tar, bytes(&admin, &format!("/api/volume/{volume}/download?path=/"))).unwrap();
    run("tar", &["-xpf", tar.to_str().unwrap(), "-C", place.path().to_str().unwrap(), "--numeric-owner"]);
    let list = |root: &Path| {
        let out = run(
            "sh",
            &[
                "-c",
                "cd \"$1\" && find . ! -type s -printf '%P %y %m %U:%G %n %l %s\\n' -o -type s -true | grep -v ' d ' | sort",
                "sh",
                root.to_str().unwrap(),
            ],
        );
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(list(&place.path().join(&volume)), list(&root));
    assert_eq!(fs::read(place.path().join(&volume).join("sub/twin")).unwrap(), vec![7; 3_000_000]);
}

#[test]
fn names_that_are_no_text_are_opened_through_their_links() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    // Not UTF-8; UTF-8 that looks like our stand-ins; a line break; a percent sign; a plus.
    let names: [&[u8]; 6] = [
        b"latin-\xfc\xff",
        "\u{EF80}private".as_bytes(),
        b"two\nlines",
        b"100%41",
        b"a+b c",
        "漢字".as_bytes(),
    ];
    for (number, name) in names.iter().enumerate() {
        let folder = root.join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(OsStr::from_bytes(name)), format!("content {number}")).unwrap();
    }
    let mut seen = Vec::new();
    for folder in admin.get(&format!("/volumes/{volume}")).attributes("tbody th a", "href") {
        let page = admin.get(&folder);
        let file =
            page.attributes("tbody th a", "href").into_iter().find(|link| link.contains("/file?")).unwrap();
        seen.extend(admin.get(&file).texts("pre span"));
        let download = admin.get(&file).attributes(".actions a[download]", "href").remove(0);
        assert!(bytes(&admin, &download).starts_with(b"content"));
    }
    seen.sort();
    assert_eq!(seen, ["content 0", "content 1", "content 2", "content 3", "content 4", "content 5"]);
    // A script gets along with the paths it is given.
    for item in explore(&admin, &volume, "path=/")["items"].as_array().unwrap() {
        let path = escape(item["path"].as_str().unwrap());
        assert_eq!(explore(&admin, &volume, &format!("path={path}"))["total"], 1, "{item}");
    }
}

#[test]
fn a_hundred_thousand_files_come_in_pages() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    for number in 0..100_000 {
        fs::File::create(root.join(format!("file-{number:06}"))).unwrap();
    }
    fs::write(root.join("file-050000"), "not empty").unwrap();
    fs::create_dir(root.join("zzz")).unwrap();
    let began = Instant::now();
    let page = admin.get(&format!("/volumes/{volume}"));
    assert_eq!(page.texts("tbody tr").len(), 500);
    assert!(page.texts("footer")[0].contains("1 folder, 100000 files"), "{:?}", page.texts("footer"));
    let next = page.attributes(".pager a", "href").remove(0);
    assert_eq!(admin.get(&format!("/volumes/{volume}{next}")).texts("tbody th")[0], "file-000499");
    let last = explore(&admin, &volume, "path=/&limit=10&offset=99995");
    assert_eq!((&last["total"], last["items"].as_array().unwrap().len()), (&json!(100_001), 6));
    assert_eq!(last["items"][5]["name"], "file-099999");
    let largest = explore(&admin, &volume, "path=/&sort=size&order=desc&limit=2");
    assert_eq!(largest["items"][1]["name"], "file-050000");
    let many = explore(&admin, &volume, "path=/");
    assert_eq!(many["items"].as_array().unwrap().len(), 10_000);
    assert!(began.elapsed().as_secs() < 30, "it took {:?}", began.elapsed());
}

#[test]
fn volumes_of_stopped_containers_and_of_none_are_looked_at_without_help() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (unused, stopped) = (bench.volume("unused"), bench.volume("stopped"));
    let mount = format!("{stopped}:/data");
    let web = bench.run("web", &["-v", &mount], &["touch", "/data/made-inside"]);
    bench.docker(&["wait", &web]);
    fs::write(bench.path(&unused).join("file"), "x").unwrap();
    assert_eq!(explore(&admin, &stopped, "")["items"][0]["name"], "made-inside");
    assert_eq!(explore(&admin, &unused, "")["items"][0]["name"], "file");
    assert_eq!(bytes(&admin, &format!("/api/volume/{unused}/download?path=/file")), b"x");
    for (volume, users) in [(&unused, ""), (&stopped, web.as_str())] {
        let filter = format!("volume={volume}");
        wait_for("only the user's own container to be left", || {
            (bench.docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]) == users)
                .then_some(())
        });
    }
    wait_for("the workers to be gone", || app.workers().is_empty().then_some(()));
    // What is kept elsewhere is said to be.
    let memory = bench.volume_with("memory", &["-o", "type=tmpfs", "-o", "device=tmpfs"]);
    let refused = admin.get(&format!("/api/volume/{memory}/explore")).error(422);
    assert!(refused.contains("elsewhere"), "{refused}");
}
