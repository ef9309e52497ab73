//! The commands a backup offers make the same container.

use std::{collections::BTreeMap, fs, path::Path, process::Output};

use serde_json::{Value, json};

use super::{
    frame::Matrix,
    normal::{self, Known},
};
use crate::harness::{App, try_run};

/// What compose understands. It looks for further files where it is started.
fn composed(file: &Path) -> Output {
    let script = "cd \"$(dirname \"$1\")\" && docker-compose -f \"$1\" config";
    try_run("sh", &["-c", script, "-", file.to_str().unwrap()])
}

#[test]
fn the_offered_commands_make_the_same_container() {
    let mut m = Matrix::new();
    let network = m.bench.network("net", &["--subnet", "10.213.7.0/24"]);
    let other = m.bench.network("other", &["--subnet", "10.213.8.0/24"]);
    let volume = m.bench.volume("vol");
    let rich = m.image(
        "rich",
        &[
            "ENTRYPOINT [\"sleep\"]",
            "CMD [\"1000000\"]",
            "VOLUME [\"/of image\"]",
            "EXPOSE 99",
            "USER nobody",
        ],
    );
    let data = format!("{volume}:/data:ro");
    let directory = tempfile::tempdir().unwrap();
    let bind = format!("type=bind,src={},dst=/bind,readonly", directory.path().display());
    let profile = directory.path().join("profile.json");
    fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap();
    let seccomp = format!("seccomp={}", profile.display());

    let many = m.run(
        "many",
        &[
            "-h",
            "box",
            "-u",
            "1:2",
            "-w",
            "/tmp",
            "-e",
            "A=it's $HOME\nnew",
            "-e",
            "B=",
            "-l",
            "x=",
            "-l",
            "y=$z'",
            "--restart",
            "on-failure:3",
            "-p",
            "127.0.0.1:23200:80",
            "-p",
            "23201-23203:8000",
            "-p",
            "81/udp",
            "-p",
            "[::1]:23204:82",
            "--expose",
            "1234",
            "-v",
            &data,
            "-v",
            "/anonymous",
            "--mount",
            &bind,
            "--tmpfs",
            "/t:size=1m",
            "--mount",
            "type=tmpfs,dst=/u,tmpfs-size=4096,tmpfs-mode=1700",
            "--ulimit",
            "nofile=100:200",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--shm-size",
            "1m",
            "-m",
            "64m",
            "--memory-swap",
            "-1",
            "--cpus",
            "0.5",
            "--pids-limit",
            "40",
            "--oom-score-adj",
            "10",
            "--log-opt",
            "max-size=1m",
            "--health-cmd",
            "true || false",
            "--health-interval",
            "1500ms",
            "--cap-add",
            "NET_ADMIN",
            "--cap-drop",
            "KILL",
            "--device",
            "/dev/null:/dev/n:rw",
            "--add-host",
            "a:1.2.3.4",
            "--dns",
            "1.1.1.1",
            "--group-add",
            "7",
            "--stop-signal",
            "INT",
            "--init",
            "-t",
            "--read-only",
            "--security-opt",
            &seccomp,
            "--security-opt",
            "no-new-privileges",
            "--device-read-bps",
            "/dev/vda:1mb",
        ],
        &["sh", "-c", "echo '$x'; exec sleep 1000"],
    );
    let joins = m.run(
        "joins",
        &["--network", &network, "--ip", "10.213.7.7", "--network-alias", "me", "-v", &data],
        &[],
    );
    m.bench.docker(&["network", "connect", "--alias", "you", "--ip", "10.213.8.8", &other, &joins]);
    let shared = format!("container:{joins}");
    let guest = m.run(
        "guest",
        &[
            "--network",
            &shared,
            "--pid",
            &shared,
            "--volumes-from",
            &joins,
            "--no-healthcheck",
            "--init=false",
        ],
        &[],
    );
    let plain = m.run_image("plain", &rich, &["--log-driver", "none", "--rm"], &[]);
    let emptied =
        m.run_image("emptied", &rich, &["--entrypoint", "", "--stop-timeout", "0"], &["sleep", "7777"]);
    let waits = m.create(
        "waits",
        &["-p", "80", "-i", "--security-opt", "systempaths=unconfined", "--memory-swappiness", "0"],
        &[],
    );

    let app = App::start();
    let admin = app.admin();
    let names = [&many, &joins, &guest, &plain, &emptied, &waits];
    let before: BTreeMap<&String, Value> = names.iter().map(|name| (*name, m.bench.inspect(name))).collect();
    let previews: Vec<Value> = names
        .iter()
        .map(|name| {
            let backup = admin.back_up(name);
            assert_eq!(backup["status"], "complete", "{backup:#}");
            let id = backup["backup_id"].as_str().unwrap();
            admin.get(&format!("/api/backup/{id}/preview")).expect(200)
        })
        .collect();
    for name in names {
        m.bench.docker(&["rm", "-f", "-v", name]);
    }
    let mut problems = Vec::new();
    for (name, preview) in names.iter().zip(&previews) {
        let script = directory.path().join("run.sh");
        fs::write(&script, preview["docker_run_command"].as_str().unwrap()).unwrap();
        let done =
            try_run("sh", &["-c", "cd \"$1\" && sh -e run.sh", "-", directory.path().to_str().unwrap()]);
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            problems.push(format!("{name}: {said}\n{}", preview["docker_run_command"].as_str().unwrap()));
            continue;
        }
        let compose = directory.path().join("compose.yaml");
        fs::write(&compose, preview["docker_compose"].as_str().unwrap()).unwrap();
        let done = composed(&compose);
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            problems.push(format!("{name}: {said}\n{}", preview["docker_compose"].as_str().unwrap()));
        }
    }
    for name in names.into_iter().filter(|name| m.bench.exists("container", name)) {
        let now = m.bench.inspect(name);
        let plain = |inspect: &Value| {
            let mut known = Known::default();
            let there = names.iter().filter(|other| m.bench.exists("container", other));
            let there: Vec<Value> = there.map(|other| m.bench.inspect(other)).collect();
            for other in before.values().chain(&there) {
                let name = other["Name"].as_str().unwrap();
                let id = other["Id"].as_str().unwrap();
                known.add(id, format!("<id of {name}>"));
                // Whoever shares a network shows the other's host name.
                known.add(&id[..12], format!("<short id of {name}>"));
            }
            for (volume, path) in normal::anonymous(inspect) {
                known.add(&volume, format!("<anonymous {path}>"));
            }
            let mut plain = normal::container(inspect, &known);
            // Whether the command line stays attached is not a setting of the container.
            for field in ["AttachStdout", "AttachStderr", "AttachStdin", "StdinOnce"] {
                plain["Config"][field] = json!(false);
            }
            // The command line sends variables in any order.
            if let Some(env) = plain["Config"]["Env"].as_array_mut() {
                env.sort_by_key(Value::to_string);
            }
            plain
        };
        problems.extend(normal::differences(name, &plain(&before[name]), &plain(&now)));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // What compose makes of it.
    let compose = directory.path().join("compose.yaml");
    fs::write(&compose, previews[0]["docker_compose"].as_str().unwrap()).unwrap();
    let text = String::from_utf8_lossy(&composed(&compose).stdout).into_owned();
    assert!(text.contains("it''s $$HOME"), "{text}");
    assert!(text.contains("soft: 100") && text.contains("max-size: 1m"), "{text}");
}
