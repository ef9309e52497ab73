//! How long the vault page takes with 10,000 backups. Goal: 50 ms for every page of it, however it is searched,
//! filtered, sorted or deep. `cargo bench --bench vault`. The vault itself stays empty: the backups stand in the
//! catalog only.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a program to measure")]

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use container_monkey::{
    db::{self, Db},
    model::{
        backup::Backup,
        vault::Storage,
        verify::{Damaged, Verified},
    },
};
use serde_json::json;

const COUNT: usize = 10_000;
const ROUNDS: usize = 21;
const GOAL: Duration = Duration::from_millis(50);

/// Ended, whatever happens.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(data: &std::path::Path) -> (Server, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_container-monkey"))
        .env("MONKEY_LISTEN", "127.0.0.1:0")
        .env("MONKEY_DATA", data)
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let server = Server(child);
    let address = loop {
        let line = lines.next().expect("the server ended").unwrap();
        if let Some((_, address)) = line.split_once("is at ") {
            break address.trim().to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    (server, address)
}

/// Of 200 containers with two volumes each, on two servers, for some months.
fn backup(number: usize) -> Backup {
    let container = format!("web-{:03}", number % 200);
    let item = |path: &str| json!({ "path": format!("{container}/{path}"), "state": "saved", "bytes": 1_000_000, "files": 90 });
    let at =
        chrono::DateTime::from_timestamp(1_767_225_600 + 600 * i64::try_from(number).unwrap(), 0).unwrap();
    let (server, trigger) = (["nas", "attic"][number % 2], ["scheduled", "manual", "safety"][number % 3]);
    let state = ["complete", "complete", "complete", "complete_with_warnings", "partial"][number % 5];
    serde_json::from_value(json!({
        "id": format!("{:064x}", (number as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)),
        "storage": Storage::Local, "created": at, "server_name": server, "trigger": trigger,
        "meta": {
            "format": 1, "kind": "container", "container": container, "stack": format!("stack-{}", number % 20),
            "state": state, "image": format!("registry.example.org/team/web:1.{}", number % 50),
            "image_id": format!("sha256:{:064x}", number % 50), "files": 180, "data_bytes": 2_000_000,
            "image_bytes": 90_000_000, "items": [
                item("backup.json"), item("image"), item("volumes/data"), item("volumes/media"),
                item("layer"),
            ],
        },
        "size": 92_000_000 + number * 7919 % 1_000_003, "stored_size": number * 104_729 % 90_001,
        "duration_seconds": 2.5,
    }))
    .unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn fill(data: &std::path::Path) {
    let db = Db::open(&data.join("config/monkey.db")).unwrap();
    let all: Vec<Backup> = (0..COUNT).map(backup).collect();
    let damaged = Damaged {
        backup: all[77].id.clone(),
        filename: all[77].filename(),
        files: vec!["/lost".to_owned()],
        more: 0,
    };
    let verified = Verified {
        backups: all.iter().map(|backup| backup.id.clone()).collect(),
        damaged: vec![damaged],
        ..Verified::default()
    };
    db.write(move |c| db::backups::replace_all(c, Storage::Local, &[], &all)).await.unwrap();
    db.write(move |c| db::marks::verified(c, Storage::Local, &verified, true, chrono::Utc::now()))
        .await
        .unwrap();
}

/// Median and worst.
fn measure(mut once: impl FnMut()) -> (Duration, Duration) {
    once();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            // The server answers an address ten times a second.
            std::thread::sleep(Duration::from_millis(110));
            let began = Instant::now();
            once();
            began.elapsed()
        })
        .collect();
    times.sort();
    (times[ROUNDS / 2], times[ROUNDS - 1])
}

fn main() {
    // `cargo test --benches` only asks whether it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let (_server, address) = serve(data.path());
    fill(data.path());
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(1))).build().into();
    let login = json!({ "username": "admin", "password": "c0Nta!nerM0nK3y#Q92x" });
    agent.post(format!("{address}/api/login")).send_json(&login).unwrap();
    let get = |path: &str, holds: &str| {
        let text = agent.get(format!("{address}{path}")).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(text.contains(holds), "{path}");
    };
    for (path, holds) in [
        ("/vault", "web-199"),
        ("/vault?offset=5000", "web-199"),
        ("/vault?offset=9900", "web-000"),
        ("/vault?search=web-077", "web-077"),
        ("/vault?search=registry+team+2026-02", "web-"),
        ("/vault?search=nothing+of+this", "Nothing found"),
        ("/vault?state=damaged", "web-077"),
        ("/vault?state=complete&backup_type=manual&server=nas", "web-"),
        ("/vault?container=web-042&storage=local", "web-042"),
        ("/vault?sort=name&order=asc&offset=5000", "web-"),
        ("/vault?sort=size&order=desc&offset=9900", "web-"),
        ("/vault?sort=state&order=asc&offset=5000", "web-"),
        ("/vault?sort=verified&order=desc&offset=5000", "web-"),
        ("/api/backups?limit=100", "web-199"),
        ("/api/backups?search=web-077&limit=20", "web-077"),
    ] {
        let (median, worst) = measure(|| get(path, holds));
        let verdict = if median < GOAL { "within" } else { "OVER" };
        println!("GET {path:<56} median {median:?}, worst {worst:?}: {verdict} the goal of {GOAL:?}");
    }
    let (median, worst) = measure(|| get("/api/backups", "web-000"));
    println!("GET /api/backups, all {COUNT} at once: median {median:?}, worst {worst:?}");
}
