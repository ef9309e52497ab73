//! What goes wrong in the middle of a job: killed workers and servers, an engine that goes away.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, Engine, Options, in_container, restic, run, try_run, wait_for};

/// Enough random data that a job takes a few seconds.
const MEGABYTES: usize = 120;

pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) volume: String,
    pub(crate) container: String,
}

impl Scene {
    /// A container that writes to a volume with a lot of data.
    pub(crate) fn new() -> Self {
        let bench = Bench::new();
        let volume = bench.volume("data");
        let mount = format!("{volume}:/data");
        let container = bench.run("app", &["-v", &mount], &[]);
        let scene = Self { bench, volume, container };
        scene.fill("first");
        scene
    }

    /// New random data, and a file that says which.
    pub(crate) fn fill(&self, what: &str) {
        let path = self.path();
        let size = format!("count={MEGABYTES}");
        let target = format!("of={}", path.join("large").display());
        run("dd", &["if=/dev/urandom", &target, "bs=1M", &size, "status=none"]);
        fs::write(path.join("what"), what).unwrap();
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.bench.path(&self.volume)
    }

    fn what(&self) -> String {
        fs::read_to_string(self.path().join("what")).unwrap()
    }

    pub(crate) fn sum(&self) -> String {
        run("sha256sum", &[self.path().join("large").to_str().unwrap()])
    }

    /// Asks for a backup and returns once data is being read.
    fn begin_backup(&self, client: &Client) -> String {
        let asked =
            client.post(&format!("/api/backup/{}", self.container), &json!({ "consistency": "stop" }));
        let id = asked.expect(202)["progress_id"].as_str().unwrap().to_owned();
        client.running(&id, |progress| {
            progress["current_step"] == 2 && progress["bytes_done"].as_u64() > Some(8_000_000)
        });
        id
    }

    /// Asks for a restore over the existing container and volume, and returns once data is being staged.
    fn begin_restore(&self, client: &Client, backup: &Value) -> String {
        let options = json!({
            "filename": backup["backup_id"], "replace": true, "overwrite_volumes": true, "safety_backup": false,
        });
        let asked = client.post("/api/restore-backup", &options);
        let id = asked.expect(202)["progress_id"].as_str().unwrap().to_owned();
        client.running(&id, |progress| {
            let step = progress["step"].as_str().unwrap();
            step.starts_with("Reading data") && progress["bytes_done"].as_u64() > Some(4_000_000)
        });
        id
    }

    fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with('.')).collect()
    }
}

fn kill_worker(app: &App) {
    let workers = app.workers();
    assert_eq!(workers.len(), 1, "one worker does the job");
    run("kill", &["-KILL", &workers[0].to_string()]);
}

pub(crate) fn start_again(data: &Path) -> App {
    let mut app = App::start_with(Options { data: Some(data.to_owned()), ..Options::default() });
    app.expect_errors();
    app
}

#[test]
fn a_killed_backup_worker_leaves_no_backup_and_a_running_container() {
    let scene = Scene::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let id = scene.begin_backup(&admin);
    assert!(!scene.bench.is_running(&scene.container), "stopped while it is read");
    if !in_container() {
        let nice = run("ps", &["-o", "ni=", "-p", &app.workers()[0].to_string()]);
        assert_eq!(nice, "6", "it gives way to the services");
    }
    kill_worker(&app);
    let ended = admin.finished(&id);
    assert_eq!(ended["status"], "error", "{ended:#}");
    assert!(ended["error"].as_str().unwrap().contains("worker process ended"), "{ended:#}");
    assert!(scene.bench.is_running(&scene.container), "started again");
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 0);
    app.restic(&["check"]);
    assert_eq!(admin.back_up(&scene.container)["status"], "complete");
    app.restic(&["check", "--read-data"]);
}

#[test]
fn a_server_that_dies_during_a_backup_starts_the_container_at_its_next_start() {
    let scene = Scene::new();
    let app = App::start();
    let id = scene.begin_backup(&app.admin());
    let workers = app.workers();
    let data = app.kill();
    wait_for("the worker to notice", || {
        (!Path::new(&format!("/proc/{}", workers[0])).exists()).then_some(())
    });
    assert!(!scene.bench.is_running(&scene.container));

    let app = start_again(&data);
    assert!(scene.bench.is_running(&scene.container), "started again before anything else");
    let admin = app.admin();
    let ended = admin.get(&format!("/api/runs/{id}")).expect(200);
    assert_eq!(ended["status"], "error", "{ended:#}");
    assert!(ended["error"].as_str().unwrap().contains("was stopped while this backup was made"), "{ended:#}");
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 0);
    restic(&data, &["check"]);
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_stopped_server_gives_a_backup_its_time_and_does_it_again_afterwards() {
    let scene = Scene::new();
    // Not enough time to end.
    let app = App::start_with(Options::default().with("MONKEY_STOP_TIMEOUT", "0"));
    let id = scene.begin_backup(&app.admin());
    let data = app.stop();
    assert!(scene.bench.is_running(&scene.container), "started again before the end");
    let app = start_again(&data);
    let ended = app.admin().finished(&id);
    assert_eq!(ended["status"], "complete", "{ended:#}");
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_killed_restore_worker_leaves_the_data_and_the_old_container_as_they_were() {
    let scene = Scene::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let backup = admin.back_up(&scene.container);
    scene.fill("second");
    let (sum, old) = (scene.sum(), scene.bench.inspect(&scene.container)["Id"].clone());
    let id = scene.begin_restore(&admin, &backup);
    kill_worker(&app);
    let ended = admin.finished(&id);
    assert_eq!(ended["status"], "error", "{ended:#}");
    assert_eq!((scene.what().as_str(), scene.sum()), ("second", sum));
    let inspect = scene.bench.inspect(&scene.container);
    assert_eq!((&inspect["Id"], &inspect["State"]["Running"]), (&old, &json!(true)), "{ended:#}");
    assert!(scene.leftovers().is_empty(), "{:?}", scene.leftovers());
}

#[test]
fn a_cancelled_restore_leaves_everything_as_it_was() {
    let scene = Scene::new();
    let app = App::start();
    let admin = app.admin();
    let backup = admin.back_up(&scene.container);
    scene.fill("second");
    let id = scene.begin_restore(&admin, &backup);
    admin.post(&format!("/api/backup-progress/{id}/cancel"), &json!({})).expect(200);
    assert_eq!(admin.finished(&id)["status"], "cancelled");
    assert_eq!(scene.what(), "second");
    assert!(scene.bench.is_running(&scene.container) && scene.leftovers().is_empty());
    admin.post(&format!("/api/backup-progress/{id}/cancel"), &json!({})).error(409);
}

#[test]
fn a_server_that_dies_during_a_restore_takes_it_back_at_its_next_start() {
    let scene = Scene::new();
    let app = App::start();
    let admin = app.admin();
    let backup = admin.back_up(&scene.container);
    scene.fill("second");
    let old = scene.bench.inspect(&scene.container)["Id"].clone();
    let id = scene.begin_restore(&admin, &backup);
    let data = app.kill();
    let app = start_again(&data);
    let ended = app.admin().finished(&id);
    assert_eq!(ended["status"], "error", "{ended:#}");
    assert_eq!(scene.what(), "second");
    let inspect = scene.bench.inspect(&scene.container);
    assert_eq!((&inspect["Id"], &inspect["State"]["Running"]), (&old, &json!(true)), "{ended:#}");
    assert!(scene.leftovers().is_empty(), "{:?}", scene.leftovers());
    // And it can be done again.
    let options = json!({ "replace": true, "overwrite_volumes": true });
    let restored = app.admin().restore(backup["backup_id"].as_str().unwrap(), options);
    assert_eq!(restored["status"], "complete", "{restored:#}");
    assert_eq!(scene.what(), "first");
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn what_was_stopped_runs_again_as_soon_as_docker_is_back() {
    let scene = Scene::new();
    let engine = Engine::start();
    let mut app = App::start_with(Options::default().with("DOCKER_HOST", engine.host()));
    app.expect_errors();
    let admin = app.admin();
    let id = scene.begin_backup(&admin);
    engine.cut();
    let ended = admin.finished(&id);
    // A worker on the host reads on, and the backup is whole; one in a container goes with its engine.
    let expected = if in_container() { "error" } else { "complete_with_warnings" };
    assert_eq!(ended["status"], expected, "{ended:#}");
    let log = ended["log"].to_string();
    assert!(log.contains("can't be brought back yet") && log.contains("Docker does not answer"), "{log}");
    assert!(!scene.bench.is_running(&scene.container));
    let page = admin.get("/containers");
    assert_eq!(page.status, 503);
    assert!(page.text.contains("Docker does not answer"), "{}", page.text);
    assert_eq!(admin.get("/vault").status, 200, "backups can be looked at without Docker");
    assert_eq!(admin.get("/healthz").expect(503)["down"], json!(["docker"]));
    engine.back();
    wait_for("the container to run", || scene.bench.is_running(&scene.container).then_some(()));
    wait_for("the log to say so", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let run = admin.get(&format!("/api/runs/{id}")).expect(200);
        run["log"].to_string().contains("Docker answers again").then_some(())
    });
}

#[test]
fn jobs_are_done_one_after_the_other_and_waiting_ones_can_be_cancelled() {
    let scene = Scene::new();
    let app = App::start();
    let admin = app.admin();
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let asked = admin.post(&format!("/api/backup/{}", scene.container), &json!({})).expect(202);
            asked["progress_id"].as_str().unwrap().to_owned()
        })
        .collect();
    admin.post(&format!("/api/backup-progress/{}/cancel", ids[2]), &json!({})).expect(200);
    let ends: Vec<Value> = ids.iter().map(|id| admin.finished(id)).collect();
    assert_eq!(ends[0]["status"], "complete");
    assert_eq!(ends[1]["status"], "complete");
    assert_eq!(ends[2]["status"], "cancelled");
    let time = |run: &Value, what: &str| {
        run[what].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    };
    assert!(time(&ends[0], "finished") <= time(&ends[1], "started"));
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 2);
    assert!(try_run("pgrep", &["-P", &app.pid().to_string()]).stdout.is_empty(), "no worker is left");
}

#[test]
fn a_server_that_is_there_before_docker_works_once_docker_is() {
    let bench = Bench::new();
    let web = bench.run("web", &[], &[]);
    let engine = Engine::start();
    engine.cut();
    let mut app = App::start_with(Options::default().with("DOCKER_HOST", engine.host()));
    app.expect_errors();
    let admin = app.admin();
    assert_eq!(admin.get("/containers").status, 503);
    engine.back();
    wait_for("the vault", || app.logged("made a new vault"));
    assert_eq!(admin.back_up(&web)["status"], "complete");
}
