//! What is only so when the program runs as a container.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::harness::{App, Bench, Options, run, wait_for};

fn start() -> App {
    App::start_with(Options { container: true, ..Options::default() })
}

/// Containers of this server's jobs, running or not.
fn helpers(server: &str) -> String {
    run("docker", &["ps", "-aq", "--filter", &format!("label=container-monkey.server={server}")])
}

#[test]
fn files_are_looked_at_quickly_and_no_helper_is_left() {
    let bench = Bench::new();
    let app = start();
    let admin = app.admin();
    let volume = bench.volume("data");
    fs::write(bench.path(&volume).join("file"), "one").unwrap();
    let look = |volume: &str, what: &str| {
        let began = Instant::now();
        let answer = admin.get(&format!("/api/volume/{volume}/{what}"));
        (answer, began.elapsed())
    };
    let names = |volume: &str| {
        let list = look(volume, "explore").0.expect(200);
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (list, first) = look(&volume, "explore");
    assert_eq!(list.expect(200)["total"], 1);
    let worker = app.workers();
    assert_eq!(worker.len(), 1);
    let mut next = Vec::new();
    for _ in 0..5 {
        for what in ["explore", "file?path=/file", "download?path=/file"] {
            let (answer, took) = look(&volume, what);
            assert_eq!(answer.status, 200, "{what}");
            next.push(took);
        }
    }
    next.sort();
    let half = next[next.len() / 2];
    println!("first look {first:?}, next {:?} to {:?}, half of them in {half:?}", next[0], next[14]);
    assert!(half < Duration::from_millis(150) && half < first, "{first:?}, {next:?}");
    assert_eq!(app.workers(), worker, "all by the same worker");

    // It dies, the file is not there, the volume is another one meanwhile.
    run("kill", &["-9", &worker[0].to_string()]);
    assert_eq!(names(&volume), ["file"]);
    look(&volume, "file?path=/nothing").0.error(404);
    look(&volume, "explore?path=/file").0.error(422);
    assert_eq!(names(&volume), ["file"]);
    bench.docker(&["volume", "rm", &volume]);
    look(&volume, "explore").0.error(404);
    assert_eq!(bench.volume("data"), volume);
    assert_eq!(names(&volume), Vec::<String>::new());
    fs::write(bench.path(&volume).join("other"), "two").unwrap();
    assert_eq!(names(&volume), ["other"]);

    let others: Vec<_> = (0..6).map(|number| bench.volume(&format!("other-{number}"))).collect();
    for other in &others {
        assert_eq!(names(other), Vec::<String>::new());
    }
    wait_for("at most four to wait", || (app.workers().len() <= 4).then_some(()));
    wait_for("nobody to wait for ever", || helpers(app.container()).is_empty().then_some(()));

    names(&volume);
    assert_eq!(app.workers().len(), 1);
    let server = app.container().to_owned();
    let data = app.stop();
    wait_for("them to end with the server", || helpers(&server).is_empty().then_some(()));
    run("docker", &["rm", "-v", &server]);
    fs::remove_dir_all(data).unwrap();
}
