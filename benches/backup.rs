//! Backup and restore of the same files by a worker and by restic, side by side in one run.
//!
//! `cargo bench --bench backup` (needs restic). Arguments: megabytes of large files (default 1000), number of small
//! files (default 20000), rounds (default 3). Prints the median of each step in seconds, and the worker's peak memory.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends where something goes wrong"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use container_monkey::{
    model::{
        backup::{Kind, Trigger},
        engine::EngineAddress,
        manifest::{Consistency, FORMAT, Item, ItemKind, Manifest},
        names::RunId,
        secret::Secret,
        vault::{Access, Location},
    },
    worker::order::{Answer, BackupTask, Event, Order, RestoreItem, Task},
};
use rand::RngCore;
use serde_json::{Value, json};

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (megabytes, small, rounds) = (number(0, 1000), number(1, 20_000), number(2, 3));
    let directory = tempfile::tempdir().unwrap();
    let (large_files, small_files) = (directory.path().join("large"), directory.path().join("small"));
    make(&large_files, megabytes.div_ceil(64), 64_000_000.min(megabytes * 1_000_000));
    make(&small_files, small, 3000);
    for (name, source) in [("large files", &large_files), ("small files", &small_files)] {
        let mut results: Vec<[f64; 7]> = Vec::new();
        for _ in 0..rounds {
            let ours = monkey(source);
            let theirs = restic(source);
            results.push([ours[0], theirs[0], ours[1], theirs[1], ours[2], theirs[2], ours[3]]);
        }
        let median = |column: usize| {
            let mut values: Vec<f64> = results.iter().map(|row| row[column]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!("{name}: medians of {rounds} rounds, seconds");
        for (step, column) in [("first backup", 0), ("unchanged again", 2), ("restore", 4)] {
            println!("  {step:16} worker {:7.2}   restic {:7.2}", median(column), median(column + 1));
        }
        println!("  peak memory of the worker: {:.0} MiB", median(6));
    }
}

/// Files of random bytes, a hundred in each directory.
fn make(root: &Path, count: usize, size: usize) {
    let mut bytes = vec![0; size];
    for index in 0..count {
        let directory = root.join(format!("{:04}", index / 100));
        fs::create_dir_all(&directory).unwrap();
        rand::rng().fill_bytes(&mut bytes);
        fs::write(directory.join(format!("{index}")), &bytes).unwrap();
    }
}

/// First backup, unchanged again, restore (seconds), peak memory (MiB).
fn monkey(source: &Path) -> [f64; 4] {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let vault = Access::new(Location::Local { path: at("vault") }, Secret::new("bench"));
    let mut peak: f64 = 0.0;
    let mut order = |task| {
        let order = Order { vault: Some(vault.clone()), engine: EngineAddress::default(), task };
        let began = Instant::now();
        let (answer, memory) = work(&order);
        peak = peak.max(memory);
        (answer, began.elapsed().as_secs_f64())
    };
    order(Task::Create);
    let backup = || {
        Task::Backup(Box::new(BackupTask {
            manifest: manifest(),
            trigger: Trigger::Manual,
            note: String::new(),
            schedule: None,
            sources: vec![("bench/volumes/data".to_owned(), source.to_owned())],
            image_of: None,
            spool: at("spool"),
        }))
    };
    let (first, first_time) = order(backup());
    let (_, again_time) = order(backup());
    let Answer::Backup(first) = first else { panic!("not a backup") };
    fs::create_dir(at("out")).unwrap();
    let items = vec![RestoreItem { path: "bench/volumes/data".to_owned(), target: at("out") }];
    let run = RunId::generate().to_string();
    let (_, restore_time) = order(Task::Restore { backup: first.id, run, items });
    [first_time, again_time, restore_time, peak]
}

fn manifest() -> Manifest {
    let item = |kind, path: &str| Item {
        kind,
        name: "data".to_owned(),
        path: path.to_owned(),
        destination: None,
        left_out: None,
    };
    Manifest {
        format: FORMAT,
        app_version: String::new(),
        server_name: "bench".to_owned(),
        created: chrono::Utc::now(),
        kind: Kind::Container,
        container_name: "bench".to_owned(),
        consistency: Consistency::Live,
        container: json!({ "Config": {}, "HostConfig": {} }),
        image: Value::Null,
        networks: Vec::new(),
        volumes: Vec::new(),
        engine: json!({}),
        items: vec![
            item(ItemKind::Settings, "bench/backup.json"),
            item(ItemKind::Volume, "bench/volumes/data"),
        ],
    }
}

/// Does one order in a worker; its answer and the most memory it held, in MiB.
fn work(order: &Order) -> (Answer, f64) {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_container-monkey"))
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = worker.stdin.take().unwrap();
    writeln!(input, "{}", serde_json::to_string(order).unwrap()).unwrap();
    let mut memory = 0.0;
    for line in BufReader::new(worker.stdout.take().unwrap()).lines() {
        let status = fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        memory = peak.map_or(memory, |kib: f64| kib / 1024.0);
        match serde_json::from_str::<Event>(&line.unwrap()).unwrap() {
            Event::Waiting(_) => writeln!(input, "go").unwrap(),
            Event::Answer(answer) => {
                drop(input);
                worker.wait().unwrap();
                return (answer.unwrap(), memory);
            }
            Event::Progress(_) | Event::Note(_) => {}
        }
    }
    panic!("the worker ended without an answer");
}

/// First backup, unchanged again, restore (seconds).
fn restic(source: &Path) -> [f64; 3] {
    let directory = tempfile::tempdir().unwrap();
    let restic = |arguments: &[&str]| {
        let began = Instant::now();
        let status = Command::new("restic")
            .args(["-q", "-r", directory.path().join("repo").to_str().unwrap()])
            .env("RESTIC_CACHE_DIR", directory.path().join("cache"))
            .args(arguments)
            .env("RESTIC_PASSWORD", "bench")
            .status()
            .unwrap();
        assert!(status.success(), "restic {arguments:?}");
        began.elapsed().as_secs_f64()
    };
    let (source, out) = (source.to_str().unwrap(), directory.path().join("out"));
    restic(&["init"]);
    [
        restic(&["backup", source]),
        restic(&["backup", source]),
        restic(&["restore", "latest", "--target", out.to_str().unwrap()]),
    ]
}
