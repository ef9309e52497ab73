//! Files that change, vanish or cannot be read while they are backed up: named, never a silent hole.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, mkdirat},
};
use serde_json::Value;

use crate::harness::{App, Bench, run, try_run};

/// Files that nobody touches.
const STEADY: usize = 3000;

/// Keeps changing some files of a directory until it is dropped.
struct Churn {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Churn {
    fn begin(directory: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: [fn(&Path, usize); 3] = [rename, grow, shrink];
        let threads = tasks.into_iter().map(|task| {
            let (stop, directory) = (stop.clone(), directory.to_owned());
            std::thread::spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    task(&directory, round);
                }
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

fn rename(directory: &Path, round: usize) {
    let name = |round: usize| directory.join(format!("zz-moves-{round}"));
    fs::write(name(round), "x").unwrap();
    if round >= 20 {
        fs::remove_file(name(round - 20)).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_micros(500));
}

fn grow(directory: &Path, _: usize) {
    let log = OpenOptions::new().append(true).create(true).open(directory.join("zz-grows"));
    log.unwrap().write_all(&[b'x'; 100]).unwrap();
    std::thread::sleep(std::time::Duration::from_micros(200));
}

fn shrink(directory: &Path, round: usize) {
    let size = if round.is_multiple_of(2) { 2_000_000 } else { 10 };
    let path = directory.join("zz-shrinks");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
    file.set_len(size).unwrap();
    std::thread::sleep(std::time::Duration::from_micros(300));
}

fn warnings(run: &Value) -> Vec<&str> {
    run["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// Names in the only snapshot.
fn saved(app: &App) -> Vec<String> {
    app.restic(&["ls", "latest"]).lines().map(str::to_owned).collect()
}

#[test]
fn files_that_change_while_they_are_read_are_named() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("busy");
    let mount = format!("{volume}:/data");
    let web = bench.run("web", &["-v", &mount], &[]);
    let path = bench.path(&volume);
    for index in 0..STEADY {
        fs::write(path.join(format!("steady-{index:05}")), format!("{index}")).unwrap();
    }
    let churn = Churn::begin(&path);
    let backup = admin.back_up(&web);
    drop(churn);
    assert_eq!(backup["status"], "complete_with_warnings", "{backup:#}");
    let warnings = warnings(&backup);
    let said = |name: &str, what: &str| {
        assert!(
            warnings.iter().any(|warning| warning.contains(name) && warning.contains(what)),
            "nothing about {name}: {backup:#}"
        );
    };
    said("zz-moves-", "disappeared");
    said("zz-grows", "changed while it was read");
    let saved = saved(&app);
    let steady = saved.iter().filter(|name| name.contains("/steady-")).count();
    assert_eq!(steady, STEADY, "every file that nobody touched is in the backup");
    for name in ["/zz-grows", "/zz-shrinks"] {
        let there = saved.iter().any(|line| line.ends_with(name));
        assert!(there || warnings.iter().any(|warning| warning.contains(name)), "{name} is a silent hole");
    }
}

/// A file whose content cannot be read, whoever asks: a process's memory, at address 0.
struct Unreadable(PathBuf);

impl Unreadable {
    fn at(path: PathBuf) -> Self {
        fs::write(&path, "").unwrap();
        run("mount", &["--bind", "/proc/self/mem", path.to_str().unwrap()]);
        Self(path)
    }
}

impl Drop for Unreadable {
    fn drop(&mut self) {
        try_run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_saved() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("good"), "good").unwrap();
    deep(host.path(), 50);
    let broken = Unreadable::at(host.path().join("broken"));
    let mount = format!("{}:/data", host.path().display());
    let web = bench.run("web", &["-v", &mount], &[]);
    let backup = admin.back_up(&web);
    drop(broken);
    assert_eq!(backup["status"], "complete_with_warnings", "{backup:#}");
    let warnings = warnings(&backup);
    assert!(warnings.iter().any(|warning| warning.contains("/broken is not in the backup")), "{backup:#}");
    assert!(
        warnings.iter().any(|warning| warning.contains("deep") && warning.contains("too long")),
        "{backup:#}"
    );
    let saved = saved(&app);
    assert!(saved.iter().any(|name| name.ends_with("/good")));
    assert!(!saved.iter().any(|name| name.ends_with("/broken")), "no empty file in its place");
}

/// Directories below each other, of 100 bytes each, beyond what one path can name.
fn deep(root: &Path, levels: usize) {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut at: OwnedFd = open(root, flags, Mode::empty()).unwrap();
    for level in 0..levels {
        let name = format!("deep-{level:03}-{}", "d".repeat(91));
        mkdirat(at.as_fd(), name.as_str(), Mode::from_bits_truncate(0o755)).unwrap();
        at = openat(at.as_fd(), name.as_str(), flags, Mode::empty()).unwrap();
    }
}
