//! Logs: read, followed through restarts, searched, downloaded.

use std::time::{Duration, Instant};

use crate::harness::{App, Bench, Live, Options, wait_for};

/// Writes what the tests look for, then stays. The pause keeps the order: the engine reads both outputs at once.
const TALK: &str =
    "echo out; echo err >&2; sleep 0.3; printf '\\033[31mred\\033[0m <b>bold</b>\\n'; sleep 1000";

/// Writes a line into a running container's log.
fn write(bench: &Bench, container: &str, line: &str) {
    bench.docker(&["exec", container, "sh", "-c", &format!("echo {line} > /proc/1/fd/1")]);
}

#[test]
fn logs_are_read_as_text() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &["sh", "-c", TALK]);
    let path = format!("/api/container/{web}/logs");
    let ask = |query: &str| {
        let answer = admin.get(&format!("{path}{query}")).expect(200);
        answer["logs"].as_str().unwrap().to_owned()
    };
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    wait_for("the lines", || ask("").contains("red").then_some(()));
    assert_eq!(sorted(&ask("")), ["err", "out", "red <b>bold</b>"]);
    assert_eq!(ask("?source=stderr"), "err\n");
    assert_eq!(ask("?tail=1&source=stdout"), "red <b>bold</b>\n");
    assert_eq!(ask("?search=OUT"), "out\n");
    assert_eq!(ask("?tail=0"), "");
    assert_eq!(sorted(&ask("?tail=all&since=1h")).len(), 3);
    assert_eq!(ask("?until=1h"), "");
    assert!(ask("?timestamps=1&source=stderr").starts_with("20"));
    for bad in ["?tail=many", "?since=soon", "?until=13", "?source=both", "?timestamps=maybe"] {
        let status = admin.get(&format!("{path}{bad}")).status;
        assert_eq!(status, if bad == "?until=13" { 200 } else { 400 }, "{bad}");
    }
    assert!(admin.get("/api/container/no-such-container/logs").error(404).contains("no-such-container"));
    app.stranger().get(&path).expect(401);
}

#[test]
fn the_page_shows_colours_and_streams_and_never_markup() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &["sh", "-c", TALK]);
    let path = format!("/containers/{web}/logs");
    let page =
        wait_for("the lines", || Some(admin.get(&path)).filter(|page| page.texts(".log p").len() == 3));
    assert_eq!(page.texts(".log .a-f1"), ["red"]);
    assert_eq!(page.texts(".log .stderr .msg"), ["err"]);
    assert!(page.texts(".log b").is_empty() && page.text.contains("&#60;b&#62;bold"), "{}", page.text);
    assert_eq!(page.texts(".tabs [aria-current]"), ["Logs"]);
    // Without scripts.
    assert!(page.text.contains("Refresh</a> to see newer lines"));
    let found = admin.get_fragment(&format!("{path}?search=red"));
    assert!(!found.text.contains("<html"));
    assert_eq!(found.texts(".log .msg"), ["red <b>bold</b>"]);
    let over = admin.get(&format!("{path}?until=2020-01-01T10:00"));
    assert!(over.attributes(".log", "hx-sse:connect").is_empty());
    assert_eq!(admin.get(&format!("{path}?from=never")).status, 400);
    assert_eq!(admin.get("/containers/no-such-container/logs").status, 404);
    assert_eq!(app.stranger().get(&path).status, 303);
    assert_eq!(admin.get(&format!("/containers/{web}")).texts(".tabs [aria-current]"), ["Overview"]);
}

#[test]
fn containers_without_logs_say_why() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let silent = bench.run("silent", &["--log-driver", "none"], &["sh", "-c", TALK]);
    assert!(admin.get(&format!("/containers/{silent}/logs")).text.contains("Docker keeps nothing"));
    assert!(admin.get(&format!("/api/container/{silent}/logs")).error(422).contains("--log-driver none"));
    assert_eq!(admin.get(&format!("/containers/{silent}/logs/download")).status, 422);
    let stream = Live::open(&app, &format!("/containers/{silent}/logs/stream"), &[]);
    assert!(stream.end().contains("Docker keeps nothing"));
    let fresh = bench.create("fresh", &[], &[]);
    assert_eq!(admin.get(&format!("/containers/{fresh}/logs")).status, 200);
    let stream = Live::open(&app, &format!("/containers/{fresh}/logs/stream"), &[]);
    stream.hear("Not started yet");
    let gone = Live::open(&app, "/containers/no-such-container/logs/stream", &[]);
    assert!(gone.end().contains("The container is gone"));
}

#[test]
fn following_survives_restarts_and_repeats_nothing() {
    let bench = Bench::new();
    let app = App::start();
    let command = ["sh", "-c", "echo boot; sleep 1000"];
    for (name, options) in [("framed", vec![]), ("terminal", vec!["-t"])] {
        let web = bench.run(name, &options, &command);
        let path = format!("/containers/{web}/logs/stream");
        let stream = Live::open(&app, &path, &[]);
        stream.hear("Following");
        stream.hear(">boot<");
        bench.docker(&["restart", "-t", "0", &web]);
        stream.hear_times(">boot<", 2);
        bench.docker(&["stop", "-t", "0", &web]);
        stream.hear("Stopped with exit code 137");
        bench.docker(&["start", &web]);
        stream.hear_times(">boot<", 3);
        write(&bench, &web, "live");
        let all = stream.hear(">live<");
        assert_eq!(all.matches(">boot<").count(), 3, "{all}");
        // A browser that was away goes on where it was.
        let id = stream.last_id();
        drop(stream);
        write(&bench, &web, "missed");
        let again = Live::open(&app, &path, &[("Last-Event-ID", &id)]);
        let all = again.hear(">missed<");
        assert!(!all.contains(">boot<") && !all.contains(">live<"), "{all}");
        // A new container of the same name is followed as well.
        bench.docker(&["rm", "-f", &web]);
        again.hear("The container is gone");
        assert!(again.end().contains("event: end"));
    }
    let broken = app.admin().get(&format!("/containers/{}/logs/stream?after=nowhere", bench.name("framed")));
    assert_eq!(broken.status, 400);
}

#[test]
fn streams_end_with_their_readers_and_with_the_server() {
    let bench = Bench::new();
    let app = App::start();
    let web = bench.run("web", &[], &["sh", "-c", TALK]);
    let path = format!("/containers/{web}/logs/stream?search=nothing-like-it");
    app.admin().get(&format!("/containers/{web}"));
    let idle = app.docker_connections();
    let streams: Vec<_> = (0..4).map(|_| Live::open(&app, &path, &[])).collect();
    for stream in &streams {
        stream.hear("Following");
    }
    wait_for("four streams", || (app.docker_connections() == idle + 4).then_some(()));
    drop(streams);
    wait_for("no streams", || (app.docker_connections() <= idle).then_some(()));
    let last = Live::open(&app, &path, &[]);
    last.hear("Following");
    let began = Instant::now();
    let data = app.stop();
    assert!(began.elapsed() < Duration::from_secs(8), "a reader kept the server from stopping");
    last.end();
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_slow_reader_is_left_behind() {
    let bench = Bench::new();
    let app = App::start_with(Options::default());
    let line = "x".repeat(300);
    let noise = format!("while true; do echo {line}; done");
    let web = bench.run("noise", &["--log-opt", "max-size=10m"], &["sh", "-c", &noise]);
    app.admin().get(&format!("/containers/{web}"));
    let idle = app.docker_connections();
    let before = app.memory();
    let slow: Vec<_> =
        (0..3).map(|_| Live::open_silent(&app, &format!("/containers/{web}/logs/stream"), &[])).collect();
    wait_for("three streams", || (app.docker_connections() == idle + 3).then_some(()));
    wait_for("the end of them", || (app.docker_connections() <= idle).then_some(()));
    bench.docker(&["kill", &web]);
    let grown = app.memory().saturating_sub(before);
    assert!(grown < 60_000_000, "grew by {grown} bytes");
    for reader in slow {
        reader.listen();
        let text = reader.end();
        assert!(
            text.contains("faster than this page was read"),
            "{}",
            &text[text.len().saturating_sub(2000)..]
        );
    }
}

#[test]
fn a_download_is_complete_and_long_lines_are_cut() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let count = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
    let long =
        "l=0123456789abcdef; i=0; while [ $i -lt 12 ]; do l=$l$l; i=$((i+1)); done; echo $l; echo done";
    let web = bench.run("web", &[], &["sh", "-c", &format!("{count}; {long}")]);
    wait_for("its end", || (!bench.is_running(&web)).then_some(()));
    let file = admin.get(&format!("/containers/{web}/logs/download"));
    assert_eq!(file.status, 200);
    let disposition = format!("attachment; filename=\"{web}.log\"");
    assert_eq!(file.header("content-disposition"), Some(disposition.as_str()));
    assert_eq!(file.text.lines().count(), 20_002);
    assert!(file.text.lines().nth(19_999).unwrap().ends_with("line 19999"));
    let cut = file.text.lines().nth(20_000).unwrap();
    // 16 bytes doubled twelve times, of which 8 KiB are kept.
    assert!(cut.ends_with(&format!("… {} bytes more", 65_536 - 8192)), "{}", &cut[cut.len() - 60..]);
    assert_eq!(
        admin.get(&format!("/containers/{web}/logs/download?search=line+777")).text.lines().count(),
        11
    );
    let few = admin.get(&format!("/api/container/{web}/logs?tail=1")).expect(200);
    assert_eq!((few["lines"].as_u64(), few["logs"].as_str()), (Some(1), Some("done\n")));
}
