//! Statistics: right numbers, and no stream when nobody looks.

use std::{collections::HashSet, fs, time::Duration};

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, wait_for};

fn row(client: &Client, name: &str) -> Value {
    let list = client.get("/api/statistics").expect(200);
    let rows = list["containers"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} is not in {list:#}")).clone()
}

/// Open connections of a process over unix sockets; a few are its own.
fn connections(pid: u32) -> usize {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let sockets: HashSet<&str> = table.lines().filter_map(|line| line.split_whitespace().nth(6)).collect();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(Result::ok);
    let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter(|target| {
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            inode.is_some_and(|inode| sockets.contains(inode))
        })
        .count()
}

#[test]
fn numbers_are_those_of_docker_stats() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let busy = bench.run("busy", &["--cpus", "0.2", "-m", "64m"], &["sh", "-c", "while true; do true; done"]);
    let measured =
        wait_for("a sample", || Some(row(&admin, &busy)).filter(|row| row["cpu_percent"].is_number()));
    let cpu = measured["cpu_percent"].as_f64().unwrap();
    assert!((2.0..45.0).contains(&cpu), "a fifth of a CPU, not {cpu}");
    assert_eq!(measured["memory_limit_bytes"], 64 * 1024 * 1024);
    assert!(measured["pids"].as_u64().unwrap() >= 1 && measured["status"] == "running");
    for field in
        ["network_rx_bytes", "network_tx_bytes", "block_read_bytes", "block_write_bytes", "memory_percent"]
    {
        assert!(measured[field].is_number(), "{field}: {measured:#}");
    }
    let told = bench.docker(&["stats", "--no-stream", "--format", "{{.MemUsage}}", &busy]);
    let used = told.split_whitespace().next().unwrap();
    let number: f64 = used.trim_end_matches(char::is_alphabetic).parse().unwrap();
    let unit = if used.ends_with("MiB") { 1_048_576.0 } else { 1024.0 };
    let ours = measured["memory_used_bytes"].as_f64().unwrap();
    assert!((number * unit - ours).abs() < 1_500_000.0, "docker stats says {told}, we say {ours}");

    let one = admin.get(&format!("/api/container/{busy}/stats")).expect(200);
    assert_eq!(one["name"], busy);
    assert!(one["cpu_percent"].as_f64().unwrap() > 1.0, "{one:#}");
    admin.get("/api/container/no-such-container/stats").error(404);
    assert_eq!(admin.post("/api/statistics/refresh", &json!({})).expect(200)["success"], true);
}

#[test]
fn stopped_and_paused_containers_are_shown_as_such() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (paused, idle, up) =
        (bench.run("paused", &[], &[]), bench.create("idle", &[], &[]), bench.run("up", &[], &[]));
    bench.docker(&["pause", &paused]);
    assert_eq!(row(&admin, &paused)["status"], "paused");
    assert_eq!(row(&admin, &paused)["cpu_percent"], Value::Null);
    assert_eq!(row(&admin, &idle)["status"], "created");
    assert_eq!(
        admin.get(&format!("/api/container/{idle}/stats")).expect(200)["memory_used_bytes"],
        Value::Null
    );
    let suffix = bench.name("");
    let grid = |query: &str| admin.get(&format!("/statistics?search={suffix}&{query}"));
    let running = grid("");
    assert!(running.texts("article.off").iter().any(|text| text.contains("nothing to measure")));
    assert!(!running.texts("h2").contains(&idle) && grid("all=1").texts("h2").contains(&idle));
    wait_for("its line", || (!grid("sort=memory").texts("svg.spark").is_empty()).then_some(()));
    let table = grid("view=table&sort=name&order=asc&all=1");
    assert_eq!(table.texts("tbody th"), [idle, paused.clone(), up]);
    let fragment = admin.get_fragment("/statistics?view=table");
    assert!(!fragment.text.contains("<html") && fragment.text.contains("id=\"results\""));
    bench.docker(&["unpause", &paused]);
}

#[test]
fn nothing_is_measured_when_nobody_looks() {
    let bench = Bench::new();
    let app = App::start();
    let (first, second) = (app.admin(), app.admin());
    let web = bench.run("web", &[], &[]);
    first.get("/containers");
    let before = wait_for("quiet", || Some(connections(app.pid())).filter(|count| *count < 10));
    for client in [&first, &second, &first, &second] {
        row(client, &web);
    }
    let running = bench.docker(&["ps", "-q"]).lines().count();
    let during = connections(app.pid());
    assert!(during > before, "somebody looks: {during} connections, {before} before");
    assert!(during <= before + running + 6, "{during} connections for {running} containers and two viewers");
    let began = std::time::Instant::now();
    wait_for("the streams' end", || (connections(app.pid()) <= before).then_some(()));
    assert!(began.elapsed() < Duration::from_secs(20), "after {:?}", began.elapsed());
}
