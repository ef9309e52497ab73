//! How long the containers page takes beside the engine's own list of 500 containers. Goal: less than 1.5 times the
//! raw question and 50 ms. `cargo bench --bench lists`; needs a Docker engine, makes its containers and removes them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program to measure"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const LABEL: &str = "container-monkey.bench=lists";
const IMAGE: &str = "container-monkey-bench-lists:1";
const COUNT: usize = 500;
const ROUNDS: usize = 15;

/// Removed in the end, whatever happens.
struct Stage {
    data: tempfile::TempDir,
    server: Option<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        clear();
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker's command line");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn clear() {
    let filter = format!("label={LABEL}");
    let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]);
    let ids: Vec<&str> = ids.lines().collect();
    for some in ids.chunks(50) {
        docker(&[&["rm", "-f"], some].concat());
    }
    let _ = Command::new("docker").args(["rmi", "-f", IMAGE]).output();
}

fn create() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "nothing").unwrap();
    let tar = directory.path().with_extension("tar");
    let packed = Command::new("tar").arg("-C").arg(directory.path()).arg("-cf").arg(&tar).arg(".").status();
    assert!(packed.unwrap().success());
    docker(&["import", tar.to_str().unwrap(), IMAGE]);
    fs::remove_file(tar).unwrap();
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for number in (0..COUNT).filter(|number| number % 4 == part) {
                    let name = format!("container-monkey-bench-{number:03}");
                    let project = format!("com.docker.compose.project=bench-{}", number / 10);
                    docker(&["create", "--name", &name, "--label", LABEL, "--label", &project, IMAGE, "x"]);
                }
            });
        }
    });
}

/// One question over the socket, as the program asks it.
fn raw(socket: &str) -> usize {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .write_all(b"GET /containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer.len()
}

fn serve(stage: &mut Stage) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_container-monkey"))
        .env("MONKEY_LISTEN", "127.0.0.1:0")
        .env("MONKEY_DATA", stage.data.path())
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    stage.server = Some(child);
    let address = loop {
        let line = lines.next().expect("the server ended").unwrap();
        if let Some((_, address)) = line.split_once("is at ") {
            break address.trim().to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

/// Median and worst.
fn measure(mut once: impl FnMut()) -> (Duration, Duration) {
    once();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
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
    let socket = "/var/run/docker.sock";
    clear();
    let mut stage = Stage { data: tempfile::tempdir().unwrap(), server: None };
    create();
    let address = serve(&mut stage);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(1))).build().into();
    let login = serde_json::json!({ "username": "admin", "password": "c0Nta!nerM0nK3y#Q92x" });
    agent.post(format!("{address}/api/login")).send_json(&login).unwrap();
    let get = |path: &str| {
        let text = agent.get(format!("{address}{path}")).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(text.contains("container-monkey-bench-000"), "{path}");
    };
    let (base, base_worst) = measure(|| assert!(raw(socket) > 100_000));
    println!("raw GET /containers/json?all=1  median {base:?}, worst {base_worst:?}");
    let goal = base.mul_f64(1.5) + Duration::from_millis(50);
    for path in ["/containers", "/api/containers"] {
        let (median, worst) = measure(|| get(path));
        let verdict = if median < goal { "within" } else { "OVER" };
        println!("GET {path:<28} median {median:?}, worst {worst:?}: {verdict} the goal of {goal:?}");
    }
}
