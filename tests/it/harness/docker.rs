//! Containers, volumes, networks and images of one test. All carry its label and go with it.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use serde_json::Value;

use super::{run, try_run};

/// What a test may do with the engine. Uses Docker's own command line, not the program's code.
pub(crate) struct Bench {
    id: String,
    label: String,
}

/// What the test image's busybox is called as.
const APPLETS: [&str; 12] =
    ["sh", "ls", "cat", "sleep", "id", "stat", "touch", "mkdir", "true", "false", "httpd", "sync"];

impl Bench {
    /// Makes an image of a static busybox and nothing else.
    pub(crate) fn new() -> Self {
        let id = ulid::Ulid::new().to_string().to_lowercase();
        let bench = Self { label: format!("container-monkey.test={id}"), id };
        bench.make_image(&bench.image());
        bench
    }

    /// Another image with the same content and another id.
    pub(crate) fn make_image(&self, name: &str) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("tmp")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
            .unwrap();
        fs::write(root.join("etc/image"), name).unwrap();
        // Two that are made within a second would share their layer.
        fs::write(root.join("etc/made"), ulid::Ulid::new().to_string()).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox"))
            .expect("a static busybox; `tests/run` installs busybox-static");
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let tar = directory.path().with_extension("tar");
        run("tar", &["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
        let label = format!("LABEL {}", self.label);
        run(
            "docker",
            &[
                "import",
                "-c",
                "CMD [\"sleep\", \"1000000\"]",
                "-c",
                "ENV PATH=/bin",
                "-c",
                &label,
                tar.to_str().unwrap(),
                name,
            ],
        );
        fs::remove_file(tar).unwrap();
    }

    /// The image's name.
    pub(crate) fn image(&self) -> String {
        format!("container-monkey-test-{}:1", self.id)
    }

    /// The label, `key=value`, that everything of this test carries.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// A name that only this test uses.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", &self.id[16..])
    }

    /// `docker …`, which must succeed; returns what it printed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let output = try_run("docker", arguments);
        if output.status.success() {
            return String::from_utf8_lossy(&output.stdout).trim().to_owned();
        }
        // Under load the engine's storage driver may find a directory of a removed container not empty yet.
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains("failed to remove root filesystem"), "docker {arguments:?}: {complaint}");
        run("docker", arguments)
    }

    /// Runs a container of the test image; returns its name. Options may use `{}` for the suffix of names.
    pub(crate) fn run(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        self.start("run", name, options, command)
    }

    /// Creates one without starting it.
    pub(crate) fn create(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        self.start("create", name, options, command)
    }

    fn start(&self, how: &str, name: &str, options: &[&str], command: &[&str]) -> String {
        let (name, image) = (self.name(name), self.image());
        let mut all = vec![how];
        if how == "run" {
            all.push("-d");
        }
        // Most containers of tests have a shell that ignores signals as process 1: do not wait for it.
        all.extend(["--name", &name, "--label", &self.label, "--stop-timeout", "1"]);
        all.extend(options);
        all.push(&image);
        all.extend(command);
        run("docker", &all);
        name
    }

    /// A volume; returns its name.
    pub(crate) fn volume(&self, name: &str) -> String {
        self.volume_with(name, &[])
    }

    /// A volume with options; returns its name.
    pub(crate) fn volume_with(&self, name: &str, options: &[&str]) -> String {
        let name = self.name(name);
        let mut all = vec!["volume", "create", "--label", &self.label];
        all.extend(options);
        all.push(&name);
        run("docker", &all);
        name
    }

    /// A network; returns its name.
    pub(crate) fn network(&self, name: &str, options: &[&str]) -> String {
        let name = self.name(name);
        let mut all = vec!["network", "create", "--label", &self.label];
        all.extend(options);
        all.push(&name);
        run("docker", &all);
        name
    }

    /// Where the engine keeps a volume's files.
    pub(crate) fn path(&self, volume: &str) -> PathBuf {
        run("docker", &["volume", "inspect", "-f", "{{.Mountpoint}}", volume]).into()
    }

    /// Docker's own words about a container.
    pub(crate) fn inspect(&self, container: &str) -> Value {
        let all: Value = serde_json::from_str(&run("docker", &["inspect", container])).unwrap();
        all[0].clone()
    }

    /// Whether something of that kind and name exists.
    pub(crate) fn exists(&self, kind: &str, name: &str) -> bool {
        try_run("docker", &[kind, "inspect", name]).status.success()
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self, container: &str) -> bool {
        self.inspect(container)["State"]["Running"] == true
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label);
        let list = |arguments: &[&str]| -> Vec<String> {
            let output = try_run("docker", &[arguments, &["-q", "--filter", &filter]].concat());
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
        };
        // Restored without its labels, or an anonymous one that a redeploy gave a place: whose container mounts it is known.
        let mut mounted = Vec::new();
        for container in list(&["ps", "-a"]) {
            let names = "{{range .Mounts}}{{.Name}} {{end}}";
            let output = try_run("docker", &["inspect", "-f", names, &container]);
            mounted.extend(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned));
        }
        let kinds: [(&[&str], &[&str]); 6] = [
            (&["ps", "-a"], &["rm", "-f", "-v"]),
            // Once more, for what the storage driver held on to.
            (&["ps", "-a"], &["rm", "-f", "-v"]),
            (&["volume", "ls"], &["volume", "rm", "-f"]),
            (&["network", "ls"], &["network", "rm"]),
            (&["images"], &["rmi", "-f"]),
            // Once more: images of one second are listed in any order, and one with a child stays.
            (&["images"], &["rmi", "-f"]),
        ];
        for (what, remove) in kinds {
            for id in list(what) {
                try_run("docker", &[remove, &[id.as_str()]].concat());
            }
        }
        // One that somebody else uses stays.
        for volume in mounted {
            try_run("docker", &["volume", "rm", &volume]);
        }
    }
}
