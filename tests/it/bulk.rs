//! One wish for several containers, and the less common things of one.

use serde_json::{Value, json};

use crate::harness::{App, Bench, wait_for};

fn results(answer: &Value) -> Vec<(String, bool)> {
    let rows = answer["results"].as_array().unwrap().iter();
    rows.map(|row| (row["name"].as_str().unwrap().to_owned(), row["success"].as_bool().unwrap())).collect()
}

#[test]
fn several_containers_are_stopped_and_each_failure_is_told() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (one, two) = (bench.run("one", &[], &[]), bench.run("two", &[], &[]));
    let idle = bench.create("idle", &[], &[]);
    let missing = bench.name("missing");
    let body = json!({ "ids": [one, idle, two, one, missing], "timeout": 1 });
    let answer = admin.post("/api/containers/stop", &body).expect(207);
    assert_eq!(answer["success"], false);
    assert_eq!(
        results(&answer),
        [(one.clone(), true), (idle.clone(), false), (two.clone(), true), (missing, false)]
    );
    let why = |place: usize| answer["results"][place]["error"].as_str().unwrap().to_owned();
    assert!(why(1).contains("not running") && why(3).contains("not found"), "{answer:#}");
    assert!(!bench.is_running(&one) && !bench.is_running(&two));

    let all = admin.post("/api/containers/start", &json!({ "ids": [one, two] })).expect(200);
    assert_eq!(all["success"], true);
    for action in ["pause", "resume", "restart", "kill"] {
        admin
            .post(&format!("/api/containers/{action}"), &json!({ "ids[]": [one], "timeout": 1 }))
            .expect(200);
    }
    assert!(bench.is_running(&two) && !bench.is_running(&one));
    admin.post("/api/containers/explode", &json!({ "ids": [one] })).error(404);
    admin.post("/api/containers/stop", &json!({ "ids": [] })).error(400);
    admin.post("/api/containers/stop", &json!({ "ids": ["../x"] })).error(400);
}

#[test]
fn a_browser_confirms_with_the_names_and_sees_each_result() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (one, two) = (bench.run("one", &[], &[]), bench.run("two", &[], &[]));
    let idle = bench.create("idle", &[], &[]);
    let list = admin.get("/containers");
    assert!(list.attributes("td.pick input[form=bulk]", "name").contains(&"ids".to_owned()));
    let chosen = [("op", "stop"), ("ids", one.as_str()), ("ids", two.as_str()), ("ids", idle.as_str())];
    let confirm = admin.submit("/containers", &chosen);
    assert_eq!(confirm.status, 200);
    assert!(confirm.texts("h1").contains(&"Stop 2 containers?".to_owned()), "{:?}", confirm.texts("h1"));
    let lines = confirm.texts(".results li");
    assert!(lines.iter().any(|line| line.contains(&one)) && lines.iter().any(|line| line.contains(&two)));
    assert!(lines.iter().any(|line| line.contains(&idle) && line.contains("Left out")), "{lines:?}");
    assert!(bench.is_running(&one), "nothing is done before it is confirmed");
    let ids = confirm.attributes("input[name=ids]", "value");
    let mut fields = vec![("op", "stop"), ("confirmed", "true"), ("timeout", "1")];
    fields.extend(ids.iter().map(|id| ("ids", id.as_str())));
    let done = admin.submit("/containers", &fields);
    assert_eq!(done.status, 303);
    let page = wait_for("the end", || {
        let page = admin.get(done.header("location").unwrap());
        page.text.contains("All done").then_some(page)
    });
    assert_eq!(page.texts(".results li").len(), 2);
    assert!(!bench.is_running(&one) && !bench.is_running(&two));
    assert_eq!(admin.get("/batches/01ARZ3NDEKTSV4RRFFQ69G5FAV").status, 404);
}

#[test]
fn deleting_several_takes_what_only_they_use() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (common, shared) = (bench.volume("common"), bench.volume("shared"));
    let mounts = [format!("{common}:/common"), format!("{shared}:/shared")];
    let other_image = format!("{}-other", bench.image());
    bench.make_image(&other_image);
    let one = bench.run("one", &["-v", &mounts[0], "-v", &mounts[1]], &[]);
    let two = bench.name("two");
    let label = bench.inspect(&one)["Config"]["Labels"].as_object().unwrap().clone();
    let label = label.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap())).next().unwrap();
    bench.docker(&["create", "--name", &two, "--label", &label, "-v", &mounts[0], &other_image]);
    let keeper = bench.create("keeper", &["-v", &mounts[1]], &[]);

    let confirm = admin.submit("/containers", &[("op", "delete"), ("ids", &one), ("ids", &two)]);
    let offered = confirm.texts("label.check").join(" ");
    assert!(offered.contains(&common) && !offered.contains(&shared), "{offered}");
    assert!(offered.contains(&other_image), "{offered}");
    let kept = confirm.texts(".effects li").join(" ");
    assert!(kept.contains(&shared) && kept.contains(&keeper), "{kept}");

    let fields = [("op", "delete"), ("confirmed", "true"), ("ids", one.as_str())];
    assert_eq!(admin.submit("/containers", &fields).status, 400, "the word was not typed");
    let gentle = admin.post("/api/containers/delete", &json!({ "ids": [one] })).expect(207);
    assert!(gentle["results"][0]["error"].as_str().unwrap().contains("Stop it first"), "{gentle:#}");
    let body = json!({ "ids": [one, two], "force": true, "delete_volumes": true, "delete_image": true });
    let done = admin.post("/api/containers/delete", &body).expect(200);
    assert!(done["results"][1]["message"].as_str().unwrap().contains(&common), "{done:#}");
    assert!(!bench.exists("container", &one) && !bench.exists("container", &two));
    assert!(!bench.exists("volume", &common) && bench.exists("volume", &shared));
    assert!(!bench.exists("image", &other_image) && bench.exists("image", &bench.image()));
}

#[test]
fn one_container_goes_with_its_image_only_when_nobody_else_uses_it() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (one, two) = (bench.create("one", &[], &[]), bench.create("two", &[], &[]));
    let first = admin.delete(&format!("/api/container/{one}/delete?delete_image=true")).expect(200);
    assert_eq!(first["deleted_image"], Value::Null);
    assert!(first["kept"][0].as_str().unwrap().contains(&two), "{first:#}");
    let page = admin.get(&format!("/containers/{two}/delete"));
    assert!(page.texts("label.check").iter().any(|line| line.contains(&bench.image())));
    let second = admin.delete(&format!("/api/container/{two}/delete?delete_image=true")).expect(200);
    assert_eq!(second["deleted_image"], bench.image());
    assert!(!bench.exists("image", &bench.image()));
}

#[test]
fn several_are_backed_up_one_after_the_other() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (one, two) = (bench.run("one", &[], &[]), bench.run("two", &[], &[]));
    let asked = admin.post("/api/containers/backup", &json!({ "ids": [one, two] })).expect(202);
    let runs = asked["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1]["name"], two);
    for run in runs {
        let ended = admin.finished(run["progress_id"].as_str().unwrap());
        assert_eq!(ended["status"], "complete", "{ended:#}");
    }
    let batch = admin.get(&format!("/api/batches/{}", asked["batch_id"].as_str().unwrap())).expect(200);
    assert_eq!(batch["results"][0]["job"]["status"], "complete", "{batch:#}");
}

#[test]
fn a_container_gets_another_name_unless_it_is_taken() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (one, two) = (bench.run("one", &[], &[]), bench.run("two", &[], &[]));
    let rename = |name: &str| admin.post(&format!("/api/container/{one}/rename"), &json!({ "name": name }));
    assert!(rename(&two).error(409).contains(&two));
    assert!(rename("no/slash").error(400).contains("not a name"));
    rename(&one).error(400);
    admin.post(&format!("/api/container/{one}/rename"), &json!({})).error(400);
    assert_eq!(admin.get(&format!("/containers/{one}/rename")).status, 200);
    let new = bench.name("renamed");
    let done = admin.submit(&format!("/containers/{one}/rename"), &[("name", &new)]);
    assert_eq!(done.header("location"), Some(format!("/containers/{new}").as_str()));
    assert!(bench.is_running(&new) && !bench.exists("container", &one));
}

#[test]
fn settings_are_searched_and_secrets_hidden() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &["-e", "DB_PASSWORD=hunter2", "-e", "COLOUR=blue"], &[]);
    let path = format!("/containers/{web}/inspect");
    let hidden = admin.get(&path);
    assert!(hidden.text.contains("COLOUR=blue") && !hidden.text.contains("hunter2"));
    assert!(admin.get(&format!("{path}?reveal=1")).text.contains("hunter2"));
    let found = admin.get_fragment(&format!("{path}?search=colour"));
    assert_eq!(found.texts("pre").len(), 1);
    assert!(found.text.contains("Config.Env[") && !found.text.contains("HostConfig"), "{}", found.text);
    assert!(admin.get(&format!("{path}?search=zzzzzz")).text.contains("Nothing found"));
}

#[test]
fn the_list_is_filtered_by_network_and_image() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let network = bench.network("net", &[]);
    let web = bench.run("web", &["--network", &network], &[]);
    let other = bench.create("other", &[], &[]);
    let names = |query: &str| -> Vec<String> {
        let list = admin.get(&format!("/api/containers?{query}")).expect(200);
        list["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&format!("network={network}")), std::slice::from_ref(&web));
    let by_image = names(&format!("image={}", bench.image()));
    assert!(by_image.len() == 2 && by_image.contains(&web) && by_image.contains(&other), "{by_image:?}");
    assert!(admin.get("/containers").texts("#f-network option").contains(&network));
}
