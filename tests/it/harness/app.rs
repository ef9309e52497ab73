//! The program as a user starts it: a process with a data directory of its own, on a free port.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use super::{Client, wait_for};

/// How to start it.
#[derive(Default)]
pub(crate) struct Options {
    /// Further environment.
    pub(crate) environment: Vec<(String, String)>,
    /// An existing data directory.
    pub(crate) data: Option<PathBuf>,
}

impl Options {
    /// Adds a variable.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// A running program. Dropping it kills it and fails the test if it logged an error nobody expected.
pub(crate) struct App {
    child: Child,
    address: String,
    data: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    expects_errors: bool,
    own: Option<tempfile::TempDir>,
}

impl App {
    /// With defaults on an empty data directory.
    pub(crate) fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub(crate) fn start_with(options: Options) -> Self {
        let own = options.data.is_none().then(|| tempfile::tempdir().unwrap());
        let data = options.data.unwrap_or_else(|| own.as_ref().unwrap().path().to_owned());
        let mut command = Command::new(env!("CARGO_BIN_EXE_container-monkey"));
        command
            .env("MONKEY_LISTEN", "127.0.0.1:0")
            .env("MONKEY_DATA", &data)
            .env("MONKEY_SERVER_NAME", "test-server")
            .env("MONKEY_STOP_TIMEOUT", "5")
            .env("NO_COLOR", "1")
            .envs(options.environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, out) = (log.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // Shown by the test runner when the test fails.
                println!("    {line}");
                lines.lock().unwrap().push(line);
            }
        });
        let mut app = Self { child, address: String::new(), data, log, expects_errors: false, own };
        app.address = wait_for("the first log line", || {
            if let Some(status) = app.child.try_wait().unwrap() {
                panic!("the program ended at once: {status}");
            }
            let address = app.logged("is at http://")?;
            Some(address.split("is at ").nth(1)?.trim().to_owned())
        });
        wait_for("the job loop", || app.logged("started"));
        app
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

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
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

    /// Ends it as `docker stop` does; returns once it is gone.
    pub(crate) fn stop(mut self) -> PathBuf {
        super::run("kill", &["-TERM", &self.child.id().to_string()]);
        let status = wait_for("the end", || self.child.try_wait().unwrap());
        assert!(status.success(), "it ended with {status}");
        self.leave()
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.leave()
    }

    /// Keeps the data directory for the next start. It is then the caller's to remove.
    fn leave(mut self) -> PathBuf {
        if let Some(own) = self.own.take() {
            return own.keep();
        }
        self.data.clone()
    }

    /// Processes that this one started.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let list = super::try_run("pgrep", &["-P", &self.pid().to_string()]);
        String::from_utf8_lossy(&list.stdout).lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// restic on this program's vault.
    pub(crate) fn restic(&self, arguments: &[&str]) -> String {
        restic(&self.data, arguments)
    }
}

/// restic on the vault of a data directory.
pub(crate) fn restic(data: &Path, arguments: &[&str]) -> String {
    let (vault, key) = (data.join("vault"), data.join("config/vault.key"));
    let mut all = vec!["--no-cache", "-r", vault.to_str().unwrap(), "--password-file", key.to_str().unwrap()];
    all.extend(arguments);
    assert!(File::open(&key).is_ok(), "no key");
    super::run("restic", &all)
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() || self.expects_errors {
            return;
        }
        let log = self.log.lock().unwrap();
        let errors: Vec<_> = log.iter().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.is_empty(), "errors in the log: {errors:#?}");
    }
}
