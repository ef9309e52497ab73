//! Volumes, binds and memory, with what is in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::frame::Matrix;
use crate::harness::{Bench, run};

/// Host directories of this test.
struct Host(tempfile::TempDir);

impl Host {
    fn directory(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path.display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// Where a container's mount is on the host.
fn at(bench: &Bench, container: &str, destination: &str) -> PathBuf {
    let inspect = bench.inspect(container);
    let mounts = inspect["Mounts"].as_array().unwrap().iter();
    let mut found = mounts.filter(|mount| mount["Destination"] == destination);
    found.next().unwrap()["Source"].as_str().unwrap().into()
}

fn volume(bench: &Bench, name: &str, options: &[&str]) -> String {
    let name = bench.name(name);
    let all = [&["volume", "create", "--label", bench.label()], options, &[&name]].concat();
    run("docker", &all);
    name
}

#[test]
fn volumes_binds_and_what_is_in_them_come_back_as_they_were() {
    let mut m = Matrix::new();
    let host = Host(tempfile::tempdir().unwrap());
    let with_volume = m.image("with-volume", &["VOLUME [\"/bin\", \"/image volume\"]"]);
    let named = volume(&m.bench, "named", &["--label", "empty=", "--label", "k=v=w"]);
    let memory =
        volume(&m.bench, "memory", &["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000"]);
    let device = host.directory("device");
    let bound =
        volume(&m.bench, "bound", &["-o", "type=none", "-o", "o=bind", "-o", &format!("device={device}")]);
    let hash = "0123456789abcdef".repeat(3) + &m.bench.name("")[1..] + "000000";
    let hash: String = hash.chars().map(|c| if c.is_ascii_hexdigit() { c } else { 'f' }).collect();
    assert_eq!(hash.len(), 64);
    run("docker", &["volume", "create", "--label", m.bench.label(), &hash]);
    let (readable, file) = (host.directory("only read"), host.file("etc/one.conf", "one"));
    let linked = host.0.path().join("link.conf");
    std::os::unix::fs::symlink(&file, &linked).unwrap();
    let empty = host.directory("empty");

    let v = |source: &str, rest: &str| format!("{source}:{rest}");
    let first = m.run(
        "volumes",
        &["-v", &v(&named, "/rw"), "-v", &v(&named, "/ro:ro"), "-v", &v(&named, "/bin/more:nocopy")],
        &[],
    );
    let second = m.run(
        "shares-volume",
        &["-v", &v(&named, "/other"), "-v", "/anonymous", "-v", "/anonymous two"],
        &[],
    );
    let third = m.run(
        "special-volumes",
        &["-v", &v(&memory, "/memory"), "-v", &v(&bound, "/bound"), "-v", &v(&hash, "/hash")],
        &[],
    );
    let fourth = m.run_image("image-volumes", &with_volume, &["-v", "/third"], &["sleep", "1000000"]);
    let fifth = m.run(
        "binds",
        &[
            "-v",
            &v(&readable, "/ro:ro"),
            "-v",
            &v(&file, "/etc/one.conf"),
            "-v",
            &v(&empty, "/empty:private"),
            "-v",
            &format!("{}:/link", linked.display()),
            "-v",
            "/var/run/docker.sock:/docker.sock",
            "-v",
            "/etc/localtime:/etc/localtime:ro",
        ],
        &[],
    );
    let made = m.bench.name("made-by-mount");
    let by_mount = format!(
        "type=volume,src={made},dst=/m,volume-label={},volume-label=x=,volume-nocopy",
        m.bench.label()
    );
    let bind = format!("type=bind,src={readable},dst=/b,readonly,bind-propagation=rprivate");
    let sixth = m.run(
        "mounts",
        &[
            "--mount",
            &by_mount,
            "--mount",
            &bind,
            "--mount",
            "type=tmpfs,dst=/t",
            "--mount",
            "type=volume,dst=/anonymous",
            "--volume-driver",
            "local",
        ],
        &[],
    );
    let child = m.run(
        "volumes-from",
        &["--volumes-from", &second, "--volumes-from", &format!("{fifth}:ro"), "-v", "/own"],
        &[],
    );
    let owned = at(&m.bench, &second, "/anonymous");
    let owned = owned.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let guest = m.run("uses-anonymous", &["-v", &v(&owned, "/guest")], &[]);
    let id = m.bench.inspect(&second)["Id"].as_str().unwrap().to_owned();
    m.api(
        "volumes-from-id",
        json!({ "Volumes": { "/plain": {} }, "HostConfig": { "VolumesFrom": [format!("{id}:ro")],
        "Mounts": [{ "Type": "volume", "Target": "/api" }], "Binds": [] } }),
    );

    let marks = [
        (&first, "/rw"),
        (&second, "/anonymous"),
        (&second, "/anonymous two"),
        (&third, "/hash"),
        (&fourth, "/bin"),
        (&fourth, "/image volume"),
        (&fourth, "/third"),
        (&fifth, "/ro"),
        (&sixth, "/m"),
        (&sixth, "/anonymous"),
        (&child, "/own"),
    ];
    for (container, path) in marks {
        fs::write(at(&m.bench, container, path).join("mark"), format!("{container}{path}")).unwrap();
    }
    fs::write(Path::new(&device).join("mark"), "device").unwrap();
    let busybox = at(&m.bench, &fourth, "/bin").join("busybox");
    fs::remove_file(busybox.with_file_name("httpd")).unwrap();

    m.round_trip(|_| fs::remove_dir_all(host.0.path()).unwrap());

    for (container, path) in marks {
        let text = fs::read_to_string(at(&m.bench, container, path).join("mark"));
        assert_eq!(text.ok(), Some(format!("{container}{path}")), "{container}{path}");
    }
    assert_eq!(fs::read_to_string(Path::new(&device).join("mark")).unwrap(), "device");
    assert_eq!(fs::read_to_string(&file).unwrap(), "one");
    assert_eq!(fs::read_to_string(&linked).unwrap(), "one");
    assert!(fs::read_dir(&empty).unwrap().next().is_none());
    let bin = at(&m.bench, &fourth, "/bin");
    assert!(bin.join("busybox").exists() && !bin.join("httpd").exists(), "a copy of the image came on top");
    assert_eq!(at(&m.bench, &guest, "/guest"), at(&m.bench, &second, "/anonymous"));
    assert_eq!(at(&m.bench, &child, "/anonymous"), at(&m.bench, &second, "/anonymous"));
}

#[test]
fn a_guest_of_anothers_anonymous_volume_never_overwrites_it_unasked() {
    let bench = Bench::new();
    let app = crate::harness::App::start();
    let admin = app.admin();
    let owner = bench.run("owner", &["-v", "/data"], &[]);
    let guest = bench.run("guest", &["--volumes-from", &owner], &[]);
    let mark = at(&bench, &owner, "/data").join("mark");
    fs::write(&mark, "old").unwrap();
    let backup = admin.back_up(&guest);
    assert_eq!(backup["status"], "complete", "{backup:#}");
    fs::write(&mark, "new").unwrap();
    bench.docker(&["rm", "-f", "-v", &guest]);
    let id = backup["backup_id"].as_str().unwrap();
    let refused = admin.post("/api/restore-backup", &json!({ "filename": id })).expect(409);
    assert_eq!(refused["status"], "volume_conflict", "{refused:#}");
    let kept = admin.restore(id, json!({ "overwrite_volumes": false }));
    assert_eq!(kept["status"], "complete", "{kept:#}");
    assert_eq!(fs::read_to_string(&mark).unwrap(), "new");
    bench.docker(&["rm", "-f", "-v", &guest]);
    let replaced = admin.restore(id, json!({ "overwrite_volumes": true }));
    assert_eq!(replaced["status"], "complete", "{replaced:#}");
    assert_eq!(fs::read_to_string(&mark).unwrap(), "old");
    assert!(bench.is_running(&owner), "the owner runs again");
}
