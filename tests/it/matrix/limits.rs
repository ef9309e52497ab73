//! Rights, devices, limits and logs.

use std::fs;

use serde_json::json;

use super::frame::Matrix;

#[test]
fn rights_devices_limits_and_logs_come_back_as_they_were() {
    let mut m = Matrix::new();
    let profiles = tempfile::tempdir().unwrap();
    let profile = profiles.path().join("seccomp.json");
    fs::write(&profile, r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO"}]}"#)
        .unwrap();
    let seccomp = format!("seccomp={}", profile.display());
    m.run(
        "locked",
        &[
            "--read-only",
            "--tmpfs",
            "/run",
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            &seccomp,
        ],
        &[],
    );
    m.run(
        "open",
        &[
            "--security-opt",
            "systempaths=unconfined",
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "apparmor=unconfined",
            "--cgroupns",
            "private",
        ],
        &[],
    );
    m.run("capable", &["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "CHOWN"], &[]);
    m.create("privileged", &["--privileged"], &[]);
    m.run(
        "devices",
        &[
            "--device",
            "/dev/null:/dev/other:r",
            "--device",
            "/dev/zero",
            "--device-cgroup-rule",
            "c 1:* rmw",
            "--device-read-bps",
            "/dev/vda:10mb",
            "--device-write-iops",
            "/dev/vda:500",
        ],
        &[],
    );
    m.run(
        "kernel",
        &[
            "--ulimit",
            "nofile=1000:2000",
            "--ulimit",
            "core=0",
            "--ulimit",
            "memlock=65536:65536",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--sysctl",
            "kernel.msgmax=8192",
            "--shm-size",
            "128m",
            "--tmpfs",
            "/t:size=1m,mode=1770,uid=7",
            "--mount",
            "type=tmpfs,dst=/u,tmpfs-size=2m,tmpfs-mode=0750",
            "--oom-score-adj",
            "200",
        ],
        &[],
    );
    m.run(
        "memory",
        &[
            "-m",
            "64m",
            "--memory-reservation",
            "32m",
            "--memory-swap",
            "-1",
            "--memory-swappiness",
            "0",
            "--oom-kill-disable",
            "--pids-limit",
            "50",
        ],
        &[],
    );
    m.run(
        "swap",
        &["-m", "64m", "--memory-swap", "96m", "--memory-swappiness", "-1", "--pids-limit", "-1"],
        &[],
    );
    m.run(
        "cpu",
        &[
            "-c",
            "512",
            "--cpu-period",
            "50000",
            "--cpu-quota",
            "20000",
            "--cpuset-cpus",
            "0",
            "--cpuset-mems",
            "0",
        ],
        &[],
    );
    m.run("cpus", &["--cpus", "0.75", "--cgroup-parent", "/monkey-test"], &[]);
    m.run(
        "log-options",
        &[
            "--log-driver",
            "json-file",
            "--log-opt",
            "max-size=1m",
            "--log-opt",
            "max-file=2",
            "--log-opt",
            "labels=",
        ],
        &[],
    );
    m.run("log-none", &["--log-driver", "none"], &[]);
    m.run("log-local", &["--log-driver", "local", "--log-opt", "compress=false"], &[]);
    m.run("runtime", &["--runtime", "io.containerd.runc.v2"], &[]);
    m.api(
        "masked",
        json!({ "HostConfig": { "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": [], "BlkioWeight": 0, "PidsLimit": 0,
            "ConsoleSize": [0, 0], "NetworkMode": "" } }),
    );
    m.round_trip(|_| {});
}
