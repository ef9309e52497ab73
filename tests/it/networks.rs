//! Networks: listed with what is in them, deleted when nothing is.

use serde_json::{Value, json};

use crate::harness::{App, Bench};

#[test]
fn the_list_says_what_a_network_is_and_who_is_in_it() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let net = bench.network("net", &["--internal", "--subnet", "10.213.77.0/24", "--gateway", "10.213.77.1"]);
    let empty = bench.network("empty", &[]);
    let web = bench.run("web", &["--network", &net], &[]);
    let list = |query: &str| admin.get(&format!("/api/networks?{query}")).expect(200);
    let row = list(&format!("search={net}"))["networks"][0].clone();
    assert_eq!(row["name"], json!(net));
    assert_eq!(row["driver"], "bridge");
    assert_eq!(row["scope"], "local");
    assert_eq!(row["internal"], true);
    assert_eq!(row["ipv6"], false);
    assert_eq!(row["subnet"], "10.213.77.0/24");
    assert_eq!(row["gateway"], "10.213.77.1");
    assert_eq!(row["containers"], json!([web]));
    assert_eq!(row["built_in"], false);
    let names = |query: &str| -> Vec<String> {
        let rows = list(query)["networks"].as_array().unwrap().clone();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("search=10.213.77"), std::slice::from_ref(&net));
    assert_eq!(names(&format!("search={web}")), std::slice::from_ref(&net));
    assert!(names("show=unused").contains(&empty) && !names("show=unused").contains(&net));
    assert!(names("show=built_in").contains(&"host".to_owned()));
    assert!(!names("show=own").contains(&"bridge".to_owned()));
    let page = admin.get(&format!("/networks?search={net}"));
    let link = format!("/containers?network={net}");
    assert!(page.attributes("tbody a", "href").contains(&link));
    assert_eq!(admin.get(&link).texts("tbody th a"), [web]);
}

#[test]
fn only_a_network_that_is_not_in_use_is_deleted() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (net, empty) = (bench.network("net", &[]), bench.network("empty", &[]));
    // Also a container that does not run needs its network.
    let web = bench.create("web", &["--network", &net], &[]);
    let refused = admin.delete(&format!("/api/network/{net}/delete")).error(409);
    assert!(refused.contains(&web), "{refused}");
    assert!(bench.exists("network", &net));
    for built_in in ["bridge", "host", "none"] {
        let refused = admin.delete(&format!("/api/network/{built_in}/delete")).error(409);
        assert!(refused.contains("built into Docker"), "{refused}");
    }
    let page = admin.get(&format!("/networks?search={net}"));
    assert!(page.attributes("button[aria-disabled]", "title")[0].contains(&web));
    assert!(admin.get_fragment(&format!("/networks/{empty}/delete")).text.contains("Delete network"));
    let id = bench.docker(&["network", "inspect", "-f", "{{.Id}}", &empty]);
    assert_eq!(admin.submit(&format!("/networks/{}/delete", &id[..12]), &[]).status, 303);
    assert!(!bench.exists("network", &empty));
    admin.delete(&format!("/api/network/{empty}/delete")).error(404);
    admin.delete("/api/network/a%2Fb/delete").error(400);
}

/// The first three numbers of a subnet that no other test uses: each test is a process of its own.
fn own_subnet(second: u8) -> String {
    format!("10.{second}.{}", std::process::id() % 250)
}

/// A network with every setting that one can have on a single host.
fn rich(bench: &Bench) -> String {
    let subnet = own_subnet(214);
    let options = [
        "--driver=bridge",
        "--internal",
        "--attachable",
        &format!("--subnet={subnet}.0/24"),
        &format!("--gateway={subnet}.1"),
        &format!("--ip-range={subnet}.128/25"),
        &format!("--aux-address=printer={subnet}.9"),
        "--opt=com.docker.network.driver.mtu=1400",
        "--label=tier=back end",
    ];
    bench.network("net", &options)
}

fn settings(bench: &Bench, name: &str) -> Value {
    let inspect = bench.docker(&["network", "inspect", name]);
    let mut inspect: Value = serde_json::from_str(&inspect).unwrap();
    for field in ["Id", "Created", "Containers"] {
        inspect[0].as_object_mut().unwrap().remove(field);
    }
    inspect[0].take()
}

#[test]
fn a_lost_network_comes_back_with_all_its_settings() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let net = rich(&bench);
    // A container of the same name is another thing.
    let namesake = bench.docker(&["create", "--label", bench.label(), "--name", &net, &bench.image()]);
    let was = settings(&bench, &net);
    assert_eq!(admin.get("/api/network-backups").expect(200)["total"], 0);
    let backup = admin.post(&format!("/api/network/{net}/backup"), &json!({ "note": "first" })).expect(200);
    assert_eq!(backup["success"], true);
    let filename = backup["filename"].as_str().unwrap();
    assert!(filename.starts_with(&format!("{net}_")) && filename.contains(".tar"), "{filename}");
    let list = admin.get("/api/network-backups").expect(200);
    assert_eq!((&list["total"], &list["backups"][0]["filename"]), (&json!(1), &json!(filename)));
    let row = &list["backups"][0];
    assert_eq!(
        (&row["type"], &row["state"], &row["note"]),
        (&json!("network"), &json!("complete"), &json!("first"))
    );
    assert!(row["size"].as_u64().unwrap() > 100, "{row}");
    assert_eq!(admin.get("/api/backups?type=network").expect(200)["total"], 1);
    assert_eq!(admin.get("/api/backups?type=container").expect(200)["total"], 0);
    let container = &admin.get(&format!("/api/containers?search={net}")).expect(200)["containers"][0];
    assert!(container["last_backup"].is_null(), "{container}");
    let networks = admin.get(&format!("/api/networks?show=own&search={net}")).expect(200);
    let network = &networks["networks"][0];
    assert!(network["last_backup"].is_string(), "{network}");

    bench.docker(&["rm", namesake.trim()]);
    bench.docker(&["network", "rm", &net]);
    let preview = admin.get(&format!("/api/backup/{filename}/preview")).expect(200);
    assert_eq!(preview["conflicts"], json!([]));
    assert_eq!(preview["config"]["Labels"]["tier"], "back end");
    let restored = admin.post("/api/network/restore", &json!({ "filename": filename })).expect(200);
    let id = bench.docker(&["network", "inspect", "-f", "{{.Id}}", &net]);
    assert_eq!(restored["network_id"], json!(id.trim()));
    assert_eq!(
        (&restored["success"], &restored["status"]),
        (&json!(true), &json!("complete")),
        "{restored:#}"
    );
    assert_eq!(settings(&bench, &net), was);

    // What the page offers as a command makes the same.
    bench.docker(&["network", "rm", &net]);
    crate::harness::run("sh", &["-c", preview["docker_run_command"].as_str().unwrap()]);
    assert_eq!(settings(&bench, &net), was);

    admin.delete(&format!("/api/backup/{filename}")).expect(200);
    assert_eq!(admin.get("/api/network-backups").expect(200)["total"], 0);
    assert!(bench.exists("network", &net), "only its backup is gone");
    app.restic(&["check", "--read-data"]);
}

#[test]
fn what_is_in_the_way_of_a_network_is_told_and_nothing_that_exists_is_touched() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let net = rich(&bench);
    let backup = admin.post(&format!("/api/network/{net}/backup"), &json!({})).expect(200);
    let filename = &backup["filename"];
    let restore = |more: Value| {
        let mut body = json!({ "filename": filename });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        admin.post("/api/network/restore", &body)
    };
    let id = |name: &str| bench.docker(&["network", "inspect", "-f", "{{.Id}}", name]);
    let before = id(&net);
    let refused = restore(json!({})).expect(409);
    assert_eq!(refused["status"], "name_conflict");
    let why = refused["error"].as_str().unwrap();
    assert!(why.contains("exactly as in the backup") && !why.contains("overlaps"), "{why}");

    // Another network has taken the name, and one the addresses.
    bench.docker(&["network", "rm", &net]);
    bench.network("net", &["--subnet", &format!("{}.0/24", own_subnet(215))]);
    let part = format!("{}.64/26", own_subnet(214));
    let squatter = bench.network("squatter", &["--subnet", &part]);
    let ids = (id(&net), id(&squatter));
    assert_ne!(ids.0, before);
    let refused = restore(json!({})).expect(409);
    let why = refused["error"].as_str().unwrap();
    assert_eq!(refused["status"], "name_conflict");
    assert!(why.contains("differs from the backup in") && why.contains("Internal"), "{why}");
    assert!(why.contains(&squatter) && why.contains(&part), "{why}");
    let other = bench.name("other");
    let refused = restore(json!({ "new_name": other })).expect(409);
    assert_eq!(refused["status"], "subnet_conflict");
    assert!(!bench.exists("network", &other));
    restore(json!({ "new_name": "no good name" })).error(400);
    restore(json!({ "any_subnet": "perhaps" })).error(400);
    let made = restore(json!({ "new_name": other, "any_subnet": true })).expect(200);
    assert_eq!(made["status"], "complete", "{made:#}");
    assert_eq!(made["network_id"], json!(id(&other).trim()));
    let settings = settings(&bench, &other);
    assert_eq!(settings["Labels"]["tier"], "back end");
    assert_ne!(settings["IPAM"]["Config"][0]["Subnet"], format!("{}.0/24", own_subnet(214)).as_str());
    assert_eq!((id(&net), id(&squatter)), ids, "what exists is as it was");
    bench.docker(&["network", "rm", &other]);

    // What is not a backup of a network, or no network to be backed up.
    let web = bench.run("web", &[], &[]);
    let container = admin.back_up(&web);
    let refused =
        admin.post("/api/network/restore", &json!({ "filename": container["backup_id"] })).error(422);
    assert!(refused.contains("backup of a container"), "{refused}");
    for built_in in ["bridge", "host", "none"] {
        let refused = admin.post(&format!("/api/network/{built_in}/backup"), &json!({})).error(409);
        assert!(refused.contains("built into Docker"), "{refused}");
    }
    admin.post("/api/network/nothing-there/backup", &json!({})).error(404);
}

#[test]
fn a_network_is_backed_up_and_restored_without_javascript() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let net = rich(&bench);
    let page = admin.get(&format!("/networks?search={net}"));
    assert_eq!(page.texts("tbody .state"), ["never"]);
    let job = admin.submit_form(&page, &format!("Back up {net}"), &[]);
    let address = job.header("location").unwrap().to_owned();
    admin.finished(address.trim_start_matches("/jobs/"));
    let job = admin.get(&address);
    assert_eq!(job.texts("h1"), [format!("Back up network {net} Complete")]);
    assert!(
        job.attributes("a", "href").iter().all(|link| !link.starts_with("/containers/")),
        "not a container"
    );
    let vault = admin.get("/vault?type=network");
    assert_eq!(vault.texts("tbody th a"), std::slice::from_ref(&net));
    let link = vault.attributes("tbody th a", "href").remove(0);
    let backup = admin.get(&link);
    assert!(backup.texts("#i-h + *, .effects li")[0].contains("Network settings"));
    assert!(backup.text.contains("docker network create"));
    let deletion = admin.get(&format!("{link}/delete"));
    assert!(
        deletion.text.contains("It is the only backup of") && deletion.text.contains("The network itself")
    );

    // As long as it is there, another name and subnet are chosen; both can be had.
    let review = admin.get(&format!("{link}/restore"));
    assert_eq!(review.attributes("input[type=radio][checked]", "value"), ["new", "true"]);
    let same = [("name-mode", "same"), ("any_subnet", "false")];
    let refused = admin.submit_form(&review, "Restore", &same);
    assert_eq!(refused.status, 409);
    assert!(refused.texts("[role=alert]")[0].contains("There is nothing to restore"), "{}", refused.text);
    assert_eq!(refused.attributes("input[type=radio][checked]", "value"), ["same", "false"]);
    let bad = admin.submit_form(&review, "Restore", &[("new_name", "a b")]);
    assert_eq!((bad.status, bad.attributes("#nn", "aria-invalid")), (422, vec!["true".to_owned()]));
    let part = admin.get_fragment(&format!("{link}/restore?name-mode=new&new_name={net}&any_subnet=true"));
    assert!(part.texts("#nn-check")[0].contains("exists"), "{}", part.text);
    let job = admin.submit_form(&review, "Restore", &[]);
    let address = job.header("location").unwrap().to_owned();
    admin.finished(address.trim_start_matches("/jobs/"));
    assert_eq!(admin.get(&address).texts("#now-h"), [format!("{net}-restored is back")]);
    bench.docker(&["network", "rm", &format!("{net}-restored")]);
}

#[test]
fn a_network_is_made_as_it_is_wished() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (name, subnet) = (bench.name("made"), own_subnet(216));
    let label = bench.label().split_once('=').unwrap();
    let wish = json!({
        "name": name, "subnet": format!("{subnet}.0/24"), "gateway": format!("{subnet}.7"), "internal": true,
        "labels": { (label.0): label.1, "tier": "back" }, "options": { "com.docker.network.driver.mtu": "1400" },
    });
    let made = admin.post("/api/networks", &wish).expect(200);
    assert_eq!(made["id"], json!(bench.docker(&["network", "inspect", "-f", "{{.Id}}", &name]).trim()));
    let settings = settings(&bench, &name);
    assert_eq!((&settings["Driver"], &settings["Internal"]), (&json!("bridge"), &json!(true)));
    assert_eq!(settings["IPAM"]["Config"][0]["Gateway"], format!("{subnet}.7").as_str());
    assert_eq!(
        (&settings["Labels"]["tier"], &settings["Options"]["com.docker.network.driver.mtu"]),
        (&json!("back"), &json!("1400"))
    );
    assert!(admin.post("/api/networks", &wish).error(409).contains("exists"));

    let other = bench.name("other");
    let wrong = |field: &str, more: Value, status: u16| {
        let mut body = json!({ "name": other });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = admin.post("/api/networks", &body).expect(status);
        assert!(status != 400 || answer["fields"][field].is_string(), "{answer:#}");
        assert!(!bench.exists("network", &other));
        answer["error"].as_str().unwrap().to_owned()
    };
    wrong("name", json!({ "name": "a b" }), 400);
    wrong("subnet", json!({ "subnet": "10.1.2.3" }), 400);
    assert!(wrong("subnet", json!({ "subnet": "10.1.2.3/24" }), 400).contains("10.1.2.0/24"));
    wrong("gateway", json!({ "subnet": format!("{subnet}.0/24"), "gateway": "10.9.9.9" }), 400);
    wrong("gateway", json!({ "gateway": "10.9.9.9" }), 400);
    let taken = wrong("", json!({ "subnet": format!("{subnet}.64/26") }), 409);
    assert!(taken.contains(&name), "{taken}");
    wrong("", json!({ "driver": "host" }), 409);

    let page = admin.get("/networks/-/new");
    let back = admin.submit_form(
        &page,
        "Make network",
        &[("name", &other), ("subnet", "nonsense"), ("labels", "a=b\nc")],
    );
    assert_eq!((back.status, back.attributes("#n-subnet", "value")), (422, vec!["nonsense".to_owned()]));
    assert_eq!(back.texts("#n-labels"), ["a=b c"]);
    let labels = format!("{}\nnote=two words", bench.label());
    let done = admin.submit_form(&back, "Make network", &[("subnet", ""), ("labels", &labels)]);
    assert_eq!(done.status, 303, "{}", done.text);
    let inspect = bench.docker(&["network", "inspect", "-f", "{{.Labels.note}}", &other]);
    assert_eq!(inspect.trim(), "two words");
    for network in [&name, &other] {
        bench.docker(&["network", "rm", network]);
    }
}
