//! A container made again: same settings, same data, and the old one back when the new one fails.

use std::fs;

use serde_json::json;

use crate::harness::{App, Bench};

#[test]
fn a_redeployed_container_keeps_its_settings_and_its_volumes() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (volume, network) = (bench.volume("data"), bench.network("net", &[]));
    let mount = format!("{volume}:/data");
    let options = [
        "--network",
        network.as_str(),
        "-v",
        &mount,
        "-v",
        "/anonymous",
        "-e",
        "COLOUR=blue",
        "-p",
        "127.0.0.1::80",
    ];
    let web = bench.run("web", &options, &["sleep", "5000"]);
    let before = bench.inspect(&web);
    let anonymous = |inspect: &serde_json::Value| {
        let mounts = inspect["Mounts"].as_array().unwrap().iter();
        let found = mounts.clone().find(|mount| mount["Destination"] == "/anonymous").unwrap();
        found["Name"].as_str().unwrap().to_owned()
    };
    fs::write(bench.path(&volume).join("named"), "1").unwrap();
    fs::write(bench.path(&anonymous(&before)).join("unnamed"), "2").unwrap();
    bench.docker(&["exec", &web, "touch", "/inside"]);

    let confirm = admin.get(&format!("/containers/{web}/redeploy"));
    assert!(confirm.text.contains("the old one comes back"));
    let done = admin.post(&format!("/api/container/{web}/redeploy"), &json!({})).expect(200);
    let after = bench.inspect(&web);
    assert_eq!(done["container_id"], after["Id"]);
    assert_ne!(before["Id"], after["Id"]);
    assert!(bench.is_running(&web));
    assert_eq!(anonymous(&before), anonymous(&after));
    assert_eq!(fs::read_to_string(bench.path(&volume).join("named")).unwrap(), "1");
    assert_eq!(fs::read_to_string(bench.path(&anonymous(&after)).join("unnamed")).unwrap(), "2");
    assert_eq!(after["Config"]["Cmd"], json!(["sleep", "5000"]));
    assert_eq!(before["Config"]["Env"], after["Config"]["Env"]);
    assert!(after["NetworkSettings"]["Networks"][&network].is_object());
    let names = bench.docker(&["ps", "-a", "--format", "{{.Names}}"]);
    assert!(!names.contains(&format!("{web}-before-")), "{names}");
    let run = admin.get(&format!("/api/runs/{}", done["progress_id"].as_str().unwrap())).expect(200);
    assert_eq!((run["kind"].as_str(), run["status"].as_str()), (Some("redeploy"), Some("complete")));
    // Once more, with the volume that has a place in the settings now, and on another port.
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free();
    let again = |ports: serde_json::Value| {
        admin.post(&format!("/api/container/{web}/redeploy"), &json!({ "port_overrides": ports }))
    };
    assert!(again(json!({ "81/tcp": "8081" })).error(400).contains("no port 81/tcp"));
    assert!(again(json!({ "80/tcp": "http" })).error(400).contains("not a port"));
    again(json!({ "80/tcp": port })).expect(200);
    let bound = |inspect: &serde_json::Value| inspect["HostConfig"]["PortBindings"]["80/tcp"].clone();
    let there = json!([{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }]);
    assert_eq!(bound(&bench.inspect(&web)), there);
    let confirm = admin.get(&format!("/containers/{web}/redeploy"));
    assert_eq!(confirm.attributes("[name='port-80/tcp']", "value"), [port.to_string()]);
    let other = free().to_string();
    assert_eq!(admin.submit_form(&confirm, "Redeploy container", &[("port-80/tcp", &other)]).status, 303);
    assert_eq!(bound(&bench.inspect(&web))[0]["HostPort"], other);
    assert_eq!(anonymous(&before), anonymous(&bench.inspect(&web)));
}

#[test]
fn a_name_that_means_another_image_now_brings_that_image() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &["-e", "COLOUR=blue"], &[]);
    let before = bench.inspect(&web);
    bench.make_image(&bench.image());
    let page = admin.get(&format!("/containers/{web}/redeploy"));
    assert!(page.text.contains("means another image now"));
    admin.post(&format!("/api/container/{web}/redeploy"), &json!({})).expect(200);
    let after = bench.inspect(&web);
    assert_ne!(before["Image"], after["Image"]);
    assert_eq!(after["Config"]["Image"], bench.image());
    assert!(after["Config"]["Env"].as_array().unwrap().contains(&json!("COLOUR=blue")));
    bench.docker(&["rmi", "-f", before["Image"].as_str().unwrap()]);
}

#[test]
fn the_old_container_comes_back_when_the_new_one_does_not_run() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let network = bench.network("net", &[]);
    // It runs only once: its mark is inside the container, and a new one finds the volume's.
    let volume = bench.volume("data");
    let mount = format!("{volume}:/data");
    let script =
        "if [ -e /data/ran ] && [ ! -e /tmp/mine ]; then exit 3; fi; touch /data/ran /tmp/mine; sleep 1000";
    let web = bench.run("web", &["--network", &network, "-v", &mount], &["sh", "-c", script]);
    let before = bench.inspect(&web);
    crate::harness::wait_for("its mark", || bench.path(&volume).join("ran").exists().then_some(()));
    let why = admin.post(&format!("/api/container/{web}/redeploy"), &json!({})).error(422);
    assert!(why.contains("exit code 3") && why.contains("is back"), "{why}");
    let after = bench.inspect(&web);
    assert_eq!(before["Id"], after["Id"]);
    assert!(bench.is_running(&web));
    assert!(after["NetworkSettings"]["Networks"][&network].is_object());
    let failed = admin.post(&format!("/api/container/{web}/redeploy"), &json!({ "pull": true })).error(422);
    assert!(failed.contains("nothing was changed"), "{failed}");
    assert_eq!(before["Id"], bench.inspect(&web)["Id"]);
}

#[test]
fn what_would_vanish_when_stopped_is_not_redeployed() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let fleeting = bench.run("fleeting", &["--rm"], &[]);
    let why = admin.post(&format!("/api/container/{fleeting}/redeploy"), &json!({})).error(409);
    assert!(why.contains("--rm"), "{why}");
    assert!(bench.is_running(&fleeting));
    admin.post("/api/container/no-such-container/redeploy", &json!({})).error(404);
}
