//! What a container changed in its own file system, outside of its mounts.

use serde_json::json;

use crate::harness::{App, Bench, try_run};

/// Changes a file's mode, deletes files, replaces a directory, adds some.
const CHANGE: &str = "
chmod 700 /bin/busybox
busybox rm /bin/httpd /etc/image
busybox rm -r /tmp && mkdir /tmp && busybox chmod 1777 /tmp
mkdir -p /srv/new && echo added > /srv/new/file
busybox chown 1234:5678 /srv/new/file && busybox chmod 640 /srv/new/file
busybox ln -s file /srv/new/link && busybox ln /srv/new/file /srv/new/twin
busybox rm -r /old && mkdir /old && echo fresh > /old/only";

fn sh(container: &str, script: &str) -> String {
    let out = try_run("docker", &["exec", container, "sh", "-c", script]);
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// All that is in it, as the container sees it.
fn tree(container: &str) -> String {
    let list = sh(
        container,
        "for f in $(busybox find /bin /etc/passwd /etc/image /etc/made /tmp /srv /old /data 2>/dev/null); do \
         echo \"$f $(stat -c '%F %a %u:%g %h %s' $f) $(busybox readlink $f)\"; done",
    );
    let mut lines: Vec<_> = list.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Whether this engine keeps changes as files.
fn is_possible(bench: &Bench, container: &str) -> bool {
    let driver = bench.inspect(container)["GraphDriver"].clone();
    let told = driver["Data"]["UpperDir"].is_string();
    assert!(
        told || !["overlay2", "fuse-overlayfs"].contains(&driver["Name"].as_str().unwrap()),
        "{driver:#}"
    );
    told
}

/// A container of an image with a directory that the container replaces.
fn changed(bench: &Bench) -> String {
    let base =
        bench.run("base", &[], &["sh", "-c", "mkdir -p /old && echo base > /old/gone && sleep 1000000"]);
    sh(&base, "while [ ! -e /old/gone ]; do busybox usleep 10000; done");
    let image = format!("{}-with-old", bench.image().replace(":1", ""));
    bench.docker(&[
        "commit",
        "-c",
        "CMD [\"sleep\", \"1000000\"]",
        "-c",
        &format!("LABEL {}", bench.label()),
        &base,
        &image,
    ]);
    let name = bench.name("web");
    let volume = format!("{}:/data", bench.volume("data"));
    bench.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--label",
        bench.label(),
        "--stop-timeout",
        "1",
        "-v",
        &volume,
        &image,
    ]);
    sh(&name, CHANGE);
    name
}

#[test]
fn changes_and_deletions_come_back_exactly() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = changed(&bench);
    if !is_possible(&bench, &web) {
        let backup = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
        let page = admin.get(&format!("/vault/{backup}"));
        assert!(page.text.contains("left out: the engine does not keep it as files"), "{}", page.text);
        return;
    }
    let before = tree(&web);
    assert!(before.contains("/srv/new/file regular file 640 1234:5678 2 6"), "{before}");
    assert!(!before.contains("/bin/httpd") && !before.contains("/old/gone"), "{before}");
    for consistency in ["live", "stop"] {
        let asked = admin.post(&format!("/api/backup/{web}"), &json!({ "consistency": consistency }));
        let made = admin.finished(asked.expect(202)["progress_id"].as_str().unwrap());
        assert_eq!(made["status"], "complete", "{made:#}");
        let backup = made["backup_id"].as_str().unwrap();
        let plan = admin.get(&format!("/vault/{backup}/restore"));
        assert!(plan.text.contains("What it had changed in its own file system comes back"));
        bench.docker(&["rm", "-f", &web]);
        let restored = admin.restore(backup, json!({ "overwrite_volumes": true }));
        assert_eq!(restored["status"], "complete", "{restored:#}");
        assert_eq!(tree(&web), before, "{consistency}");
    }
    app.restic(&["check"]);

    // Beside it under another name, while the first one goes on.
    sh(&web, "echo later > /srv/new/later");
    let again = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    let twin = bench.name("twin");
    let restored = admin.restore(&again, json!({ "new_name": twin }));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    assert_eq!(sh(&twin, "cat /srv/new/later; ls /old"), "later\nonly");
    bench.docker(&["rm", "-f", &twin]);
}

#[test]
fn they_are_left_out_when_not_wanted_and_told_when_they_do_not_fit() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = changed(&bench);
    if !is_possible(&bench, &web) {
        return;
    }
    let asked = admin.post(&format!("/api/backup/{web}"), &json!({ "include_layer": false }));
    let made = admin.finished(asked.expect(202)["progress_id"].as_str().unwrap());
    assert_eq!(made["status"], "complete", "{made:#}");
    let backup = made["backup_id"].as_str().unwrap();
    let page = admin.get(&format!("/vault/{backup}"));
    assert!(page.text.contains("left out: not chosen for this backup"), "{}", page.text);
    bench.docker(&["rm", "-f", &web]);
    let restored = admin.restore(backup, json!({ "overwrite_volumes": true }));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    assert_eq!(
        sh(&web, "cat /old/gone; ls /bin/httpd; ls / | busybox grep -c srv || true"),
        "base\n/bin/httpd\n0"
    );
    admin.post(&format!("/api/backup/{web}"), &json!({ "include_layer": "maybe" })).error(400);
}
