//! Containers: listed, acted on, deleted.

use serde_json::json;

use crate::harness::{App, Bench};

#[test]
fn each_action_does_what_it_says_or_says_why_not() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let act = |action: &str| admin.post(&format!("/api/container/{web}/{action}"), &json!({ "timeout": 1 }));
    let state = || bench.inspect(&web)["State"]["Status"].as_str().unwrap().to_owned();
    assert!(act("start").error(409).contains("running already"));
    for (action, after) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("restart", "running"),
        ("stop", "exited"),
        ("start", "running"),
        ("kill", "exited"),
    ] {
        act(action).expect(200);
        assert_eq!(state(), after, "after {action}");
    }
    assert!(act("pause").error(409).contains("Only a running container"));
    act("explode").error(404);
}

#[test]
fn a_container_is_deleted_with_its_own_volumes_only() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (own, shared) = (bench.volume("own"), bench.volume("shared"));
    let mounts = [format!("{own}:/own"), format!("{shared}:/shared")];
    let web = bench.run("web", &["-v", &mounts[0], "-v", &mounts[1]], &[]);
    let other = bench.run("other", &["-v", &mounts[1]], &[]);
    let refused = admin.delete(&format!("/api/container/{web}/delete?delete_volumes=true")).error(409);
    assert!(refused.contains("Stop it first"), "{refused}");
    assert!(bench.exists("container", &web));
    let page = admin.get(&format!("/containers/{web}/delete"));
    assert!(
        page.text.contains(&own)
            && !page.texts("li").iter().any(|line| line.contains(&shared) && line.contains("deleted"))
    );
    let unconfirmed =
        admin.submit(&format!("/containers/{web}/delete"), &[("force", "true"), ("confirm", "nonsense")]);
    assert_eq!(unconfirmed.status, 400);
    let deleted =
        admin.delete(&format!("/api/container/{web}/delete?delete_volumes=true&force=true")).expect(200);
    assert_eq!(deleted["deleted_volumes"], json!([own]));
    assert!(!bench.exists("container", &web) && !bench.exists("volume", &own));
    assert!(bench.exists("container", &other) && bench.exists("volume", &shared));
}

#[test]
fn the_list_is_searched_and_filtered() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("shop");
    let label = format!("com.docker.compose.project={project}");
    let options =
        ["--label", label.as_str(), "--label", "com.docker.compose.service=front", "-p", "127.0.0.1::80"];
    let web = bench.run("web", &options, &[]);
    let idle = bench.create("idle", &[], &[]);
    let names = |query: &str| -> Vec<String> {
        let list = admin.get(&format!("/api/containers?{query}")).expect(200);
        let rows = list["containers"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&format!("stack={project}")), std::slice::from_ref(&web));
    assert_eq!(names(&format!("search={project}")), std::slice::from_ref(&web));
    assert!(names("status=created").contains(&idle) && !names("status=created").contains(&web));
    let fragment = admin.get_fragment(&format!("/containers?search={idle}"));
    assert!(!fragment.text.contains("<html"), "a fragment is not a page");
    assert_eq!(fragment.texts("tbody th a"), std::slice::from_ref(&idle));
    let row = &admin.get(&format!("/api/containers?search={web}")).expect(200)["containers"][0];
    assert_eq!(row["stack_info"]["display"], format!("{project} / front"));
    assert_eq!(row["port_mappings"][0]["container"], "80/tcp");
    let created = bench.create("created", &[], &[]);
    let waiting = admin.get(&format!("/containers/{created}"));
    assert_eq!(waiting.status, 200);
}
