//! The program as a user starts it, with a data directory of its own, on a free port: a process on the host, or with
//! `MONKEY_TEST_TARGET=container` a container with the engine's socket and one volume.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
};

use super::{Client, image, run, try_run, wait_for};

/// How to start it.
#[derive(Default)]
pub(crate) struct Options {
    /// Further environment.
    pub(crate) environment: Vec<(String, String)>,
    /// An existing data directory.
    pub(crate) data: Option<PathBuf>,
    /// As a container, whatever the other tests do.
    pub(crate) container: bool,
}

impl Options {
    /// Adds a variable.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// What runs it: the process itself, or the follower of a container's log.
enum Running {
    Process(Child),
    Container { id: String, log: Child },
}

/// A running program. Dropping it kills it and fails the test if it logged an error nobody expected.
pub(crate) struct App {
    running: Running,
    address: String,
    data: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    expects_errors: bool,
    cookie: OnceLock<String>,
    own: Option<tempfile::TempDir>,
}

/// Whether the program under test runs as a container.
pub(crate) fn in_container() -> bool {
    std::env::var_os("MONKEY_TEST_TARGET").is_some_and(|target| target == "container")
}

impl App {
    /// With defaults on an empty data directory.
    pub(crate) fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub(crate) fn start_with(options: Options) -> Self {
        let own = options.data.is_none().then(|| tempfile::tempdir().unwrap());
        let data = options.data.unwrap_or_else(|| own.as_ref().unwrap().path().to_owned());
        let mut environment = vec![
            ("MONKEY_SERVER_NAME".to_owned(), "test-server".to_owned()),
            ("NO_COLOR".to_owned(), "1".to_owned()),
        ];
        if !options.container {
            environment.push(("MONKEY_STOP_TIMEOUT".to_owned(), "5".to_owned()));
        }
        environment.extend(options.environment);
        let log = Arc::new(Mutex::new(Vec::new()));
        let running = if options.container || in_container() {
            container(&data, &environment, &log)
        } else {
            process(&data, &environment, &log)
        };
        let cookie = OnceLock::new();
        let mut app = Self { running, address: String::new(), data, log, expects_errors: false, cookie, own };
        let line = wait_for("the first log line", || {
            app.assert_alive();
            app.logged("is at http://")
        });
        app.address = match &app.running {
            Running::Process(_) => line.split("is at ").nth(1).unwrap().trim().to_owned(),
            Running::Container { id, .. } => format!("http://{}", run("docker", &["port", id, "80/tcp"])),
        };
        wait_for("the job loop", || {
            app.assert_alive();
            app.logged("started")
        });
        app
    }

    fn assert_alive(&mut self) {
        let child = match &mut self.running {
            Running::Process(child) | Running::Container { log: child, .. } => child,
        };
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the program ended at once: {status}");
        }
    }

    /// A log line with this text.
    pub(crate) fn logged(&self, text: &str) -> Option<String> {
        self.log.lock().unwrap().iter().find(|line| line.contains(text)).cloned()
    }

    /// This test makes things fail on purpose.
    pub(crate) fn expect_errors(&mut self) {
        self.expects_errors = true;
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        match &self.running {
            Running::Process(child) => child.id(),
            Running::Container { id, .. } => {
                run("docker", &["inspect", "-f", "{{.State.Pid}}", id]).parse().unwrap()
            }
        }
    }

    /// The container it runs in.
    pub(crate) fn container(&self) -> &str {
        match &self.running {
            Running::Process(_) => panic!("it runs on the host"),
            Running::Container { id, .. } => id,
        }
    }

    /// Somebody who is not signed in.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&self.address)
    }

    /// The first user, signed in.
    pub(crate) fn admin(&self) -> Client {
        let client = self.stranger();
        client.sign_in("admin", super::PASSWORD).expect(200);
        client
    }

    /// The first user's session, for connections that are not a client's.
    pub(crate) fn cookie(&self) -> &str {
        self.cookie.get_or_init(|| self.sign_in())
    }

    /// Another session's cookie.
    pub(crate) fn sign_in(&self) -> String {
        let answer = self.stranger().sign_in("admin", super::PASSWORD);
        let cookie = answer.header("set-cookie").expect("a session");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Its open connections to the engine (and few others, always the same).
    pub(crate) fn docker_connections(&self) -> usize {
        let process = Path::new("/proc").join(self.pid().to_string());
        let known = std::fs::read_to_string(process.join("net/unix")).unwrap();
        let inodes: Vec<&str> = known.lines().filter_map(|line| line.split_whitespace().nth(6)).collect();
        let open = std::fs::read_dir(process.join("fd")).unwrap();
        let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let sockets = links.filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
            inodes.contains(&inode.as_str()).then_some(())
        });
        sockets.count()
    }

    /// What it has in memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Ends it as `docker stop` does; returns its data directory once it is gone.
    pub(crate) fn stop(mut self) -> PathBuf {
        match &mut self.running {
            Running::Process(child) => {
                run("kill", &["-TERM", &child.id().to_string()]);
                let status = wait_for("the end", || child.try_wait().unwrap());
                assert!(status.success(), "it ended with {status}");
            }
            Running::Container { id, .. } => {
                run("docker", &["stop", "-t", "60", id]);
                assert_eq!(run("docker", &["inspect", "-f", "{{.State.ExitCode}}", id]), "0");
            }
        }
        self.leave()
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) -> PathBuf {
        match &mut self.running {
            Running::Process(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Running::Container { id, .. } => {
                run("docker", &["kill", id]);
            }
        }
        self.leave()
    }

    /// Keeps the data directory for the next start. It is then the caller's to remove.
    fn leave(mut self) -> PathBuf {
        if let Some(own) = self.own.take() {
            return own.keep();
        }
        self.data.clone()
    }

    /// Processes that do jobs for it.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let list = match &self.running {
            Running::Process(child) => try_run("pgrep", &["-P", &child.id().to_string()]).stdout,
            Running::Container { id, .. } => {
                let filter = format!("label=container-monkey.server={id}");
                let ids = run("docker", &["ps", "-q", "--filter", &filter]);
                let inspect = |id: &str| try_run("docker", &["inspect", "-f", "{{.State.Pid}}", id]).stdout;
                ids.lines().flat_map(inspect).collect()
            }
        };
        String::from_utf8_lossy(&list).lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// restic on this program's vault.
    pub(crate) fn restic(&self, arguments: &[&str]) -> String {
        restic(&self.data, arguments)
    }
}

fn process(data: &Path, environment: &[(String, String)], log: &Arc<Mutex<Vec<String>>>) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_container-monkey"))
        .env("MONKEY_LISTEN", "127.0.0.1:0")
        .env("MONKEY_DATA", data)
        .envs(environment.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    follow(child.stdout.take().unwrap(), log);
    Running::Process(child)
}

fn container(data: &Path, environment: &[(String, String)], log: &Arc<Mutex<Vec<String>>>) -> Running {
    let mut arguments = vec!["run".to_owned(), "-d".to_owned(), "-p".to_owned(), "127.0.0.1::80".to_owned()];
    let given = environment.iter().find(|(name, _)| name == "DOCKER_HOST").map(|(_, host)| host.clone());
    let host = given.or_else(|| std::env::var_os("DOCKER_HOST")?.into_string().ok()).unwrap_or_default();
    let socket = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    for mount in [format!("{socket}:/var/run/docker.sock"), format!("{}:/backups", data.display())] {
        arguments.extend(["-v".to_owned(), mount]);
    }
    for (name, value) in environment.iter().filter(|(name, _)| name != "DOCKER_HOST") {
        arguments.extend(["-e".to_owned(), format!("{name}={value}")]);
    }
    arguments.push(image::program());
    let id = run("docker", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = Command::new("docker").args(["logs", "-f", &id]).stdout(Stdio::piped()).spawn().unwrap();
    follow(child.stdout.take().unwrap(), log);
    Running::Container { id, log: child }
}

fn follow(out: impl Read + Send + 'static, log: &Arc<Mutex<Vec<String>>>) {
    let lines = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Shown by the test runner when the test fails.
            println!("    {line}");
            lines.lock().unwrap().push(line);
        }
    });
}

/// restic on the vault of a data directory.
pub(crate) fn restic(data: &Path, arguments: &[&str]) -> String {
    let (vault, key) = (data.join("vault"), data.join("config/vault.key"));
    let mut all = vec!["--no-cache", "-r", vault.to_str().unwrap(), "--password-file", key.to_str().unwrap()];
    all.extend(arguments);
    run("restic", &all)
}

impl Drop for App {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Process(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Running::Container { id, log } => {
                try_run("docker", &["rm", "-f", "-v", id]);
                let _ = log.kill();
                let _ = log.wait();
                let filter = format!("label=container-monkey.server={id}");
                for helper in run("docker", &["ps", "-aq", "--filter", &filter]).lines() {
                    try_run("docker", &["rm", "-f", helper]);
                }
            }
        }
        if std::thread::panicking() || self.expects_errors {
            return;
        }
        let log = self.log.lock().unwrap();
        let errors: Vec<_> = log.iter().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.is_empty(), "errors in the log: {errors:#?}");
    }
}
