//! Podman in place of Docker, by its socket.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::{App, Bench, Options, run, wait_for};

/// An engine with a storage of its own, until the test ends.
struct Podman {
    directory: tempfile::TempDir,
    service: Child,
    container: String,
}

impl Podman {
    fn start(container: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("podman");
        command.args(own(&directory)).args(["system", "service", "--time=0"]).arg(address(&directory));
        let service = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let socket = directory.path().join("podman.sock");
        wait_for("Podman's socket", || socket.exists().then_some(()));
        Self { directory, service, container: container.to_owned() }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let own = own(&self.directory);
        let all: Vec<&str> = own.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        run("podman", &all)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = Command::new("podman")
            .args(own(&self.directory))
            .args(["rm", "--force", "--ignore", "--time", "0", &self.container])
            .output();
        let _ = self.service.kill();
        let _ = self.service.wait();
        let _ = Command::new("umount").arg(self.directory.path().join("root/overlay")).output();
    }
}

fn own(directory: &tempfile::TempDir) -> [String; 6] {
    let part = |name: &str| directory.path().join(name).display().to_string();
    // The runtime that Docker uses: it is there, and content with any kind of control groups.
    ["--runtime", "/usr/sbin/runc", "--root", &part("root"), "--runroot", &part("run")].map(str::to_owned)
}

fn address(directory: &tempfile::TempDir) -> String {
    format!("unix://{}", directory.path().join("podman.sock").display())
}

#[test]
fn the_main_job_with_podman() {
    let bench = Bench::new();
    let (web, volume) = (bench.name("web"), bench.name("data"));
    let podman = Podman::start(&web);
    let image = podman.directory.path().join("image.tar");
    bench.docker(&["save", "-o", image.to_str().unwrap(), &bench.image()]);
    podman.run(&["load", "-i", image.to_str().unwrap()]);
    podman.run(&["volume", "create", &volume]);
    let mount = format!("{volume}:/data");
    let write = "[ -e /data/file ] || echo kept > /data/file; exec sleep 1000";
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
    let mut create = vec!["run", "-d", "--name", &web, "-v", &mount, "-e", "B=2", "-e", "A=1"];
    create.extend(limits);
    let image = bench.image();
    create.extend([image.as_str(), "sh", "-c", write]);
    podman.run(&create);

    let app = App::start_with(Options::default().with("DOCKER_HOST", address(&podman.directory)));
    let admin = app.admin();
    for page in ["/containers", "/volumes", "/images", "/networks", "/stacks", "/statistics", "/events"] {
        assert_eq!(admin.get(page).status, 200, "{page}");
    }
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup}");
    podman.run(&["exec", &web, "sh", "-c", "echo lost > /data/file"]);
    podman.run(&["rm", "--force", "--time", "0", &web]);
    podman.run(&["volume", "rm", &volume]);
    let restore = admin.restore(backup["backup_id"].as_str().unwrap(), json!({}));
    assert_eq!(restore["status"], "complete", "{restore}");
    assert_eq!(podman.run(&["exec", &web, "cat", "/data/file"]), "kept");
    let answer = admin.post(&format!("/api/container/{web}/exec"), &json!({ "command": "echo $A$B" }));
    assert_eq!(answer.expect(200)["output"], "12\n");
}
