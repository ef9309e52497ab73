//! Stacks: listed, and acted on in the order in which their containers need each other.

use serde_json::{Value, json};

use crate::harness::{App, Bench, wait_for};

/// A service of a project, as Compose labels it.
fn service(bench: &Bench, project: &str, name: &str, needs: &str, more: &[&str], command: &[&str]) -> String {
    let labels = [
        format!("com.docker.compose.project={project}"),
        format!("com.docker.compose.service={name}"),
        format!("com.docker.compose.depends_on={needs}"),
    ];
    let mut options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
    options.extend(more);
    bench.create(name, &options, command)
}

fn time(bench: &Bench, container: &str, field: &str) -> String {
    bench.inspect(container)["State"][field].as_str().unwrap().to_owned()
}

fn failures(answer: &Value) -> Vec<String> {
    let rows = answer["results"].as_array().unwrap().iter().filter(|row| row["success"] == false);
    rows.map(|row| format!("{}: {}", row["name"].as_str().unwrap(), row["error"].as_str().unwrap())).collect()
}

#[test]
fn a_stack_starts_and_stops_in_order() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("shop");
    // Their names sort the other way round.
    let check = ["--health-cmd", "[ -e /tmp/ok ]", "--health-interval", "500ms", "--health-retries", "60"];
    let script = ["sh", "-c", "sleep 2; touch /tmp/ok; sleep 1000"];
    let db = service(&bench, &project, "z-db", "", &check, &script);
    let network = format!("container:{db}");
    let web =
        service(&bench, &project, "a-web", "m-api:service_started:false", &["--network", &network], &[]);
    let api = service(&bench, &project, "m-api", "z-db:service_healthy:true", &[], &[]);
    let path = |action: &str| format!("/api/stack/{project}/{action}");

    let list = admin.get("/api/stacks").expect(200);
    let stack = list["stacks"].as_array().unwrap().iter().find(|stack| stack["name"] == project).unwrap();
    assert_eq!(stack["kind"], "compose");
    assert_eq!(stack["services"], json!(["a-web", "m-api", "z-db"]));
    assert_eq!(
        (stack["status"].as_str(), stack["containers"][2]["name"].as_str()),
        (Some("stopped"), Some(db.as_str()))
    );

    let started = admin.post(&path("start"), &json!({})).expect(200);
    assert_eq!(started["success"], true, "{started:#}");
    let at = |container: &str| time(&bench, container, "StartedAt");
    assert!(at(&db) < at(&api) && at(&api) < at(&web), "{} {} {}", at(&db), at(&api), at(&web));
    let health = |name: &str| bench.inspect(name)["State"]["Health"]["Status"].as_str().map(str::to_owned);
    assert_eq!(health(&db).as_deref(), Some("healthy"));

    let before = at(&api);
    admin.post(&path("restart"), &json!({})).expect(200);
    assert!(at(&api) > before && at(&db) < at(&api) && at(&api) < at(&web));
    admin.post(&path("stop"), &json!({})).expect(200);
    let end = |container: &str| time(&bench, container, "FinishedAt");
    assert!(end(&web) < end(&api) && end(&api) < end(&db), "{} {} {}", end(&web), end(&api), end(&db));
    assert!(!bench.is_running(&db));
    admin.post("/api/stack/no-such-stack/stop", &json!({})).error(404);
    admin.post(&path("explode"), &json!({})).error(404);
}

#[test]
fn what_needs_a_container_that_fails_is_not_started() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("broken");
    let init = service(&bench, &project, "init", "", &[], &["sh", "-c", "exit 7"]);
    let web = service(&bench, &project, "web", "init:service_completed_successfully:false", &[], &[]);
    let worker = service(&bench, &project, "worker", "web:service_started:false", &[], &[]);
    let alone = service(&bench, &project, "alone", "", &[], &[]);
    let answer = admin.post(&format!("/api/stack/{project}/start"), &json!({})).expect(207);
    let failed = failures(&answer);
    assert_eq!(failed.len(), 2, "{answer:#}");
    assert!(failed[0].contains(&init) && failed[0].contains("exit code 7"), "{failed:?}");
    assert!(failed[1].contains(&worker) && failed[1].contains(&web), "{failed:?}");
    assert!(bench.is_running(&alone) && !bench.is_running(&web) && !bench.is_running(&worker));
}

#[test]
fn a_removed_stack_takes_only_what_it_made() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("gone");
    let label = format!("com.docker.compose.project={project}");
    let (own, network) = (bench.name("own"), bench.network("net", &["--label", &label]));
    let test_label = bench.inspect(&bench.create("probe", &[], &[]))["Config"]["Labels"].clone();
    let test_label = test_label.as_object().unwrap().iter().next().unwrap();
    let test_label = format!("{}={}", test_label.0, test_label.1.as_str().unwrap());
    bench.docker(&["volume", "create", "--label", &label, "--label", &test_label, &own]);
    let outside = bench.volume("outside");
    let mounts = [format!("{own}:/own"), format!("{outside}:/outside")];
    let more = ["--network", network.as_str(), "-v", &mounts[0], "-v", &mounts[1]];
    let db = service(&bench, &project, "db", "", &more, &[]);
    let web = service(&bench, &project, "web", "db:service_started:false", &["--network", &network], &[]);
    bench.docker(&["start", &db, &web]);

    let confirm = admin.get(&format!("/stacks/{project}/delete"));
    let effects = confirm.texts(".effects li").join("; ");
    for name in [&db, &web, &network, &outside] {
        assert!(effects.contains(name.as_str()), "{effects}");
    }
    assert!(confirm.texts("label.check").join(" ").contains(&own));
    let form = format!("/stacks/{project}/delete");
    assert_eq!(admin.submit(&form, &[("confirm", "something")]).status, 400);
    assert!(bench.is_running(&db));
    let done = admin.delete(&format!("/api/stack/{project}/delete?delete_volumes=true")).expect(200);
    assert_eq!(done["success"], true, "{done:#}");
    assert!(!bench.exists("container", &db) && !bench.exists("container", &web));
    assert!(!bench.exists("network", &network) && !bench.exists("volume", &own));
    assert!(bench.exists("volume", &outside));
    admin.delete(&format!("/api/stack/{project}/delete")).error(404);
}

#[test]
fn a_stack_is_backed_up_with_one_summary() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("shop");
    let (db, web) =
        (service(&bench, &project, "db", "", &[], &[]), service(&bench, &project, "web", "db", &[], &[]));
    let page = admin.get("/stacks");
    assert!(page.texts("summary").iter().any(|line| line.contains(&project)));
    let asked = admin.submit(&format!("/stacks/{project}/backup"), &[]);
    assert_eq!(asked.status, 303);
    let summary = asked.header("location").unwrap().to_owned();
    let page = wait_for("both backups", || {
        let page = admin.get(&summary);
        page.text.contains("All done").then_some(page)
    });
    let lines = page.texts(".results li");
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.contains("Complete")), "{lines:?}");
    let json = admin.get(&format!("/api{summary}")).expect(200);
    let names: Vec<_> = json["runs"].as_array().unwrap().iter().map(|run| run["name"].clone()).collect();
    assert_eq!(names, [json!(db), json!(web)]);
}

#[test]
fn a_swarm_stack_of_another_manager_is_listed_and_left_alone() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let name = bench.name("swarm");
    let label = format!("com.docker.stack.namespace={name}");
    let task = bench.run("task", &["--label", &label, "--label", "com.docker.swarm.service.name=web"], &[]);
    let list = admin.get("/api/stacks").expect(200);
    let stack = list["stacks"].as_array().unwrap().iter().find(|stack| stack["name"] == name).unwrap();
    assert_eq!((stack["kind"].as_str(), stack["status"].as_str()), (Some("swarm"), Some("running")));
    let why = admin.delete(&format!("/api/stack/{name}/delete")).error(422);
    assert!(why.contains("docker stack rm"), "{why}");
    assert!(bench.is_running(&task));
}

/// Makes the engine a swarm of one node for as long as it lives. Others use the engine meanwhile: it joins no other
/// node, publishes nothing, and what it made goes with it.
struct Swarm;

impl Swarm {
    /// `None` where the engine is part of a swarm already: that is not ours to change.
    fn begin(bench: &Bench) -> Option<Self> {
        let state = bench.docker(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
        if state.trim() != "inactive" {
            return None;
        }
        let address = ["--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1"];
        bench.docker(&[&["swarm", "init"][..], &address[..]].concat());
        Some(Self)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        crate::harness::try_run("docker", &["swarm", "leave", "--force"]);
        crate::harness::try_run("docker", &["network", "rm", "docker_gwbridge"]);
    }
}

#[test]
fn services_of_a_swarm_stack_are_scaled_restarted_and_removed() {
    let bench = Bench::new();
    let Some(_swarm) = Swarm::begin(&bench) else { return };
    let app = App::start();
    let admin = app.admin();
    let name = bench.name("swarm");
    let namespace = format!("com.docker.stack.namespace={name}");
    let (web, every) = (format!("{name}_web"), format!("{name}_every"));
    let volume = format!("{name}_data");
    bench.docker(&["volume", "create", "--label", bench.label(), "--label", &namespace, &volume]);
    let mount = format!("type=volume,source={volume},target=/data");
    let service = |name: &str, more: &[&str]| {
        let common = ["service", "create", "-d", "--no-resolve-image", "--stop-grace-period=1s", "--label"];
        let container = ["--container-label", &namespace, "--container-label", bench.label()];
        let own = ["--name", name];
        let image = bench.image();
        bench.docker(
            &[&common[..], &[namespace.as_str()], &container[..], &own[..], more, &[image.as_str()]].concat(),
        );
    };
    service(&web, &["--replicas=2", "--mount", &mount]);
    let stack = || {
        let list = admin.get("/api/stacks").expect(200);
        let found = list["stacks"].as_array().unwrap().iter().find(|stack| stack["name"] == name).cloned();
        found.unwrap_or_default()
    };
    wait_for("both replicas", || (stack()["status"] == "running").then_some(()));
    assert_eq!(stack()["services"], json!(["web"]), "{:#}", stack());
    let path = |action: &str| format!("/api/stack/{name}/{action}");
    let stopped = admin.post(&path("stop"), &json!({})).expect(200);
    assert_eq!(stopped["success"], true, "{stopped:#}");
    assert_eq!((&stack()["status"], &stack()["swarm_services"][0]["former"]), (&json!("stopped"), &json!(2)));
    let page = admin.get("/stacks");
    assert!(page.text.contains("Scaled to 0"), "it is still shown");
    let started = admin.post(&path("start"), &json!({})).expect(200);
    assert_eq!(started["success"], true, "{started:#}");
    assert_eq!(
        (&stack()["status"], &stack()["swarm_services"][0]["running"]),
        (&json!("running"), &json!(2))
    );
    let tasks = || bench.docker(&["ps", "-q", "--filter", &format!("label={namespace}")]);
    let before = tasks();
    admin.post(&path("restart"), &json!({})).expect(200);
    assert!(before.lines().all(|old| !tasks().contains(old)), "all of them are new ones");
    // One that runs on every node has no number.
    service(&every, &["--mode=global"]);
    let answer = admin.post(&path("stop"), &json!({})).expect(207);
    let failed = failures(&answer);
    assert!(failed.len() == 1 && failed[0].contains(&every) && failed[0].contains("global"), "{failed:?}");

    let confirm = admin.get(&format!("/stacks/{name}/delete"));
    assert!(confirm.texts(".effects li").iter().any(|line| line.contains(&web)));
    let done = admin.delete(&format!("{}?delete_volumes=true", path("delete"))).expect(200);
    assert_eq!(done["success"], true, "{done:#}");
    assert!(stack().is_null() && !bench.exists("volume", &volume));
    // The audit log says what was begun and how it ended, the newest first.
    let told = |operation: &str, target: &str| {
        let log =
            admin.get(&format!("/api/audit-logs?operation_type={operation}&container={target}")).expect(200);
        let log =
            log["logs"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap().to_owned());
        log.collect::<Vec<_>>()
    };
    assert_eq!(told("stack_start", &name), ["completed", "started"]);
    assert_eq!(told("stack_stop", &name), ["error", "started", "completed", "started"]);
    assert_eq!(told("stack_delete", &name), ["completed", "started"]);
    assert_eq!(told("volume_delete", &volume), ["completed"]);
}
