//! What is only so when the program runs as a container.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;

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
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn docker_stop_during_a_backup_keeps_to_the_grace_time_and_the_job_ends_after_the_next_start() {
    let bench = Bench::new();
    let volume = bench.volume("data");
    fs::write(bench.path(&volume).join("file"), "content").unwrap();
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    let app = start();
    let admin = app.admin();
    let asked = admin.post(&format!("/api/backup/{web}"), &json!({ "consistency": "stop" }));
    let id = asked.expect(202)["progress_id"].as_str().unwrap().to_owned();
    // A job that would never end by itself.
    let worker = wait_for("the container to be stopped and read", || {
        let worker = app.workers().first().copied();
        worker.filter(|_| !bench.is_running(&web))
    });
    run("kill", &["-STOP", &worker.to_string()]);

    let server = app.container().to_owned();
    let began = Instant::now();
    run("docker", &["stop", &server]);
    let took = began.elapsed();
    println!("stopped in {took:?}");
    assert_eq!(run("docker", &["inspect", "-f", "{{.State.ExitCode}}", &server]), "0", "after {took:?}");
    assert!(bench.is_running(&web), "started again before the end");
    assert_eq!(helpers(&server), "");
    let data = app.stop();

    let app = App::start_with(Options { container: true, data: Some(data.clone()), ..Options::default() });
    let ended = app.admin().finished(&id);
    assert_eq!(ended["status"], "complete", "{ended:#}");
    assert!(bench.is_running(&web));
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn jobs_give_way_to_the_services() {
    let bench = Bench::new();
    let volume = bench.volume("data");
    let options = Options { container: true, ..Options::default() };
    let app =
        App::start_with(options.with("MONKEY_JOB_CPU_WEIGHT", "100").with("MONKEY_JOB_IO_WEIGHT", "50"));
    app.admin().get(&format!("/api/volume/{volume}/explore")).expect(200);
    let helper = bench.inspect(&helpers(app.container()));
    let host = &helper["HostConfig"];
    assert_eq!((&host["CpuShares"], &host["NetworkMode"]), (&json!(100), &json!("none")));
    // The engine leaves it out where the kernel has no weights for disks.
    assert!([json!(50), json!(0)].contains(&host["BlkioWeight"]), "{host:#}");
    let mounts: Vec<_> =
        helper["Mounts"].as_array().unwrap().iter().filter(|mount| mount["Type"] != "tmpfs").collect();
    assert_eq!(mounts.len(), 1, "nothing but what is looked at: {mounts:#?}");
    assert_eq!((&mounts[0]["RW"], &mounts[0]["Type"]), (&json!(false), &json!("bind")));
}

#[test]
fn its_own_container_image_and_network_are_marked_and_refused() {
    let app = start();
    let admin = app.admin();
    let of = |what: &str| run("docker", &["inspect", "-f", what, app.container()]);
    let (name, image) = (of("{{.Name}}").trim_start_matches('/').to_owned(), of("{{.Image}}"));
    let marked = |list: &str| {
        let all = admin.get(&format!("/api/{list}")).expect(200);
        let rows = all[list].as_array().unwrap().iter().filter(|row| row["is_self"] == true);
        rows.map(|row| row[if list == "networks" { "name" } else { "id" }].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(marked("containers"), [app.container()]);
    assert_eq!(marked("images"), std::slice::from_ref(&image));
    assert_eq!(marked("networks"), ["bridge"]);
    for page in ["/containers", "/images", "/networks"] {
        assert!(admin.get(page).text.contains("this app"), "{page}");
    }
    let refusals = [
        admin.post(&format!("/api/container/{name}/stop"), &json!({})),
        admin.post(&format!("/api/container/{name}/kill"), &json!({})),
        admin.delete(&format!("/api/container/{name}/delete")),
        admin.delete(&format!("/api/image/{image}/delete?force=true")),
        admin.delete("/api/network/bridge/delete"),
    ];
    for answer in refusals {
        assert!([403, 409].contains(&answer.status), "{} {}", answer.status, answer.text);
    }
    assert_eq!(of("{{.State.Running}}"), "true");
    // No schedule takes it, so that nobody is asked to.
    let dashboard = admin.get("/");
    assert!(!dashboard.texts("th .name a").contains(&name), "{}", dashboard.text);
    assert!(dashboard.text.contains("Not counted: this program"), "{}", dashboard.text);
}

#[test]
fn an_upgrade_leaves_the_server_its_name_and_its_backups() {
    let bench = Bench::new();
    let web = bench.run("web", &[], &[]);
    let host = run("docker", &["info", "-f", "{{.Name}}"]);
    // As most people run it: without a name.
    let run_it = |data: Option<std::path::PathBuf>| {
        let options = Options { container: true, data, ..Options::default() };
        App::start_with(options.with("MONKEY_SERVER_NAME", ""))
    };
    let name = |app: &App| app.admin().get("/api/ui/settings/server_name").expect(200)["value"].clone();
    let app = run_it(None);
    assert_eq!(name(&app), host);
    app.admin().back_up(&web);
    let before = app.container().to_owned();
    let data = app.stop();

    let app = run_it(Some(data.clone()));
    assert_ne!(app.container(), before, "another container on the same data");
    assert_eq!(name(&app), host);
    let protected = app.admin().get("/containers?protection=protected");
    assert!(protected.text.contains(&web), "{}", protected.text);
    drop(app);
    fs::remove_dir_all(data).unwrap();
}
