//! What is in a volume is hostile, large, or changes while it is read.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::symlink,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{App, Bench, run, wait_for};

const SECRET: &str = "this must never be seen";

/// A volume with a secret beside it, where `..` and links could lead.
fn with_secret(bench: &Bench) -> (String, std::path::PathBuf, tempfile::TempDir) {
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), SECRET).unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("sub/plain"), "plain").unwrap();
    (volume, root, outside)
}

#[test]
fn no_path_leads_out_of_the_volume() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (volume, root, outside) = with_secret(&bench);
    let out = outside.path().to_str().unwrap().to_owned();
    // Beside the data itself, as Docker lays it out.
    let opts = root.parent().unwrap().join("opts.secret");
    fs::write(&opts, SECRET).unwrap();
    symlink(outside.path(), root.join("away")).unwrap();
    symlink(outside.path().join("secret"), root.join("file-away")).unwrap();
    symlink("../opts.secret", root.join("up")).unwrap();
    symlink("..", root.join("parent")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    let up = "../".repeat(20);
    let paths = [
        "../opts.secret".to_owned(),
        "/../opts.secret".to_owned(),
        "sub/../../opts.secret".to_owned(),
        "%2e%2e/opts.secret".to_owned(),
        "%2E%2E%2Fopts.secret".to_owned(),
        "..%2fopts.secret".to_owned(),
        "%252e%252e%252fopts.secret".to_owned(),
        "..%5copts.secret".to_owned(),
        "%c0%ae%c0%ae/opts.secret".to_owned(),
        "%ef%bc%8e%ef%bc%8e/opts.secret".to_owned(),
        // Our own stand-ins for the bytes of an overlong dot.
        "%ee%bf%80%ee%be%ae%ee%bf%80%ee%be%ae/opts.secret".to_owned(),
        "sub/..%00/opts.secret".to_owned(),
        "up".to_owned(),
        "parent/opts.secret".to_owned(),
        "file-away".to_owned(),
        "away/secret".to_owned(),
        format!("magic{out}/secret"),
        format!("{out}/secret"),
        format!("/{out}/secret"),
        format!("{up}{out}/secret"),
        format!("sub/{up}etc/passwd"),
    ];
    for path in &paths {
        for what in ["file", "download", "explore"] {
            let answer = admin.get(&format!("/api/volume/{volume}/{what}?path={path}"));
            assert!(
                [400, 404, 422].contains(&answer.status),
                "{what} {path}: {} {}",
                answer.status,
                answer.text
            );
            assert!(
                !answer.text.contains(SECRET) && !answer.text.contains("root:"),
                "{path}: {}",
                answer.text
            );
        }
    }
    for folder in ["away", "parent", "magic"] {
        let answer = admin.get(&format!("/api/volume/{volume}/explore?path=/{folder}"));
        assert_eq!(answer.status, 422, "{folder}: {}", answer.text);
    }
    // As an archive a link is a link.
    let mut tar = Vec::new();
    admin
        .open(&format!("/api/volume/{volume}/download?path=/"), &[])
        .body_mut()
        .as_reader()
        .read_to_end(&mut tar)
        .unwrap();
    assert!(!tar.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    // Names of volumes are no way out either.
    for name in ["..", "%2e%2e", "..%2f..", "a%2f..%2fb"] {
        let answer = admin.get(&format!("/api/volume/{name}/explore?path=/"));
        assert!([400, 404].contains(&answer.status), "{name}: {}", answer.status);
    }
    fs::remove_file(opts).unwrap();
}

#[test]
fn a_link_that_is_swapped_while_it_is_read_leads_nowhere() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (volume, root, outside) = with_secret(&bench);
    fs::write(root.join("file"), "plain").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    fs::write(root.join("folder/secret"), "plain").unwrap();
    symlink(outside.path().join("secret"), root.join("bad-file")).unwrap();
    symlink(outside.path(), root.join("bad-folder")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                exchange(&root.join("file"), &root.join("bad-file")).unwrap();
                exchange(&root.join("folder"), &root.join("bad-folder")).unwrap();
            }
        });
        let mut plain = 0;
        for _ in 0..60 {
            for path in ["/file", "/folder/secret"] {
                let answer = admin.get(&format!("/api/volume/{volume}/file?path={path}"));
                assert!(!answer.text.contains(SECRET), "{path}");
                plain += usize::from(answer.status == 200);
            }
        }
        for _ in 0..20 {
            let mut tar = Vec::new();
            let mut answer = admin.open(&format!("/api/volume/{volume}/download?path=/"), &[]);
            let _ = answer.body_mut().as_reader().read_to_end(&mut tar);
            assert!(!tar.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
        }
        done.store(true, Ordering::Relaxed);
        assert!(plain > 0, "it was never there");
    });
}

/// Swaps two names; one of them is missing for a moment.
fn exchange(a: &std::path::Path, b: &std::path::Path) -> std::io::Result<()> {
    let spare = a.with_extension("spare");
    fs::rename(a, &spare)?;
    fs::rename(b, a)?;
    fs::rename(&spare, b)
}

#[test]
fn pipes_and_devices_are_never_opened() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    run("mkfifo", &[root.join("pipe").to_str().unwrap()]);
    run("mknod", &[root.join("zero").to_str().unwrap(), "c", "1", "5"]);
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let began = Instant::now();
    for (name, words) in [("pipe", "named pipe"), ("zero", "device"), ("socket", "socket")] {
        for what in ["file", "download"] {
            let refused = admin.get(&format!("/api/volume/{volume}/{what}?path=/{name}")).error(422);
            assert!(refused.contains(words), "{refused}");
        }
    }
    let list = admin.get(&format!("/api/volume/{volume}/explore")).expect(200);
    let kinds: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, [json!("fifo"), json!("socket"), json!("device")]);
    assert!(began.elapsed() < Duration::from_secs(20));
}

fn peak_kilobytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn ten_gigabytes_go_through_little_memory() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let size = 10_000_000_001;
    let mut file = fs::File::create(bench.path(&volume).join("big")).unwrap();
    file.set_len(size).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"the end", size - 7).unwrap();
    file.flush().unwrap();
    let before = peak_kilobytes(app.pid());
    let page = admin.get(&format!("/volumes/{volume}/file?path=/big"));
    assert_eq!(page.status, 200);
    assert!(page.text.contains("10 GB"), "{}", page.text);
    // So much of it that nothing can pile up unseen.
    for (path, wanted) in [("/big", 3_000_000_000), ("/", 400_000_000)] {
        let mut answer = admin.open(&format!("/api/volume/{volume}/download?path={path}"), &[]);
        if path == "/big" {
            assert_eq!(answer.headers()["content-length"].to_str().unwrap(), size.to_string());
        }
        let mut reader = answer.body_mut().as_reader();
        let mut take =
            |bytes: u64| std::io::copy(&mut (&mut reader).take(bytes), &mut std::io::sink()).unwrap();
        let mut total = take(wanted - 100_000_000);
        let worker = app.workers().first().map_or(0, |pid| peak_kilobytes(*pid));
        assert!((1..150_000).contains(&worker), "{path}: the worker took {worker} kB");
        total += take(100_000_000);
        assert_eq!(total, wanted, "{path}");
    }
    let grown = peak_kilobytes(app.pid()) - before;
    assert!(grown < 50_000, "the server grew by {grown} kB");
    let end = admin.get_with(&format!("/api/volume/{volume}/download?path=/big"), &[("Range", "bytes=-7")]);
    assert_eq!((end.status, end.text.as_str()), (206, "the end"));
    wait_for("the workers to end", || app.workers().is_empty().then_some(()));
}

#[test]
fn a_reader_who_leaves_takes_the_worker_along() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    fs::File::create(bench.path(&volume).join("big")).unwrap().set_len(3_000_000_000).unwrap();
    for path in ["/big", "/"] {
        let client = app.admin();
        let mut answer = client.open(&format!("/api/volume/{volume}/download?path={path}"), &[]);
        answer.body_mut().as_reader().read_exact(&mut vec![0; 100_000]).unwrap();
        assert_eq!(app.workers().len(), 1);
        drop(answer);
        drop(client);
        wait_for("the worker to end", || app.workers().is_empty().then_some(()));
    }
    admin.get("/api/volumes").expect(200);
}

#[test]
fn a_file_that_becomes_shorter_breaks_the_download() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let path = bench.path(&volume).join("big");
    for what in ["/big", "/"] {
        fs::File::create(&path).unwrap().set_len(500_000_000).unwrap();
        let mut answer = admin.open(&format!("/api/volume/{volume}/download?path={what}"), &[]);
        let mut reader = answer.body_mut().as_reader();
        reader.read_exact(&mut vec![0; 100_000]).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_000_000).unwrap();
        let end = std::io::copy(&mut reader, &mut std::io::sink());
        assert!(end.is_err(), "{what}: a part passed for the whole: {end:?}");
    }
    wait_for("the workers to end", || app.workers().is_empty().then_some(()));
}

#[test]
fn without_rights_the_worker_says_what_is_missing() {
    let private = tempfile::tempdir().unwrap();
    fs::create_dir(private.path().join("root")).unwrap();
    run("chmod", &["700", private.path().to_str().unwrap()]);
    let order = json!({
        "vault": null, "engine": {"host": null, "tls": null},
        "task": { "files": {
            "root": { "host": private.path().join("root") }, "path": "",
            "look": { "list": { "sort": "name", "descending": false, "offset": 0, "limit": 10 } },
        } },
    });
    // A copy, for the build directory may be closed to others.
    let open = tempfile::tempdir().unwrap();
    run("chmod", &["755", open.path().to_str().unwrap()]);
    let program = open.path().join("container-monkey");
    fs::copy(env!("CARGO_BIN_EXE_container-monkey"), &program).unwrap();
    let mut worker = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = worker.stdin.take().unwrap();
    writeln!(stdin, "{order}").unwrap();
    let mut answer = String::new();
    worker.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    drop(stdin);
    worker.wait().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let message = answer["answer"]["Err"]["message"].as_str().unwrap();
    assert!(message.contains("must run as root"), "{message}");
    assert!(
        !message.contains(private.path().to_str().unwrap()),
        "paths of the server are not told: {message}"
    );
}
