//! Events: listed, filtered, live.

use serde_json::Value;

use crate::harness::{App, Bench, Live, wait_for};

#[test]
fn what_happens_is_listed_the_newest_first() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    bench.docker(&["exec", &web, "sh", "-c", "echo hunter2"]);
    bench.docker(&["kill", &web]);
    let ask = |query: &str| admin.get(&format!("/api/events?search={web}&{query}")).expect(200);
    let actions = |query: &str| -> Vec<String> {
        let answer = ask(query);
        let rows = answer["events"].as_array().unwrap().iter();
        rows.map(|event: &Value| event["action"].as_str().unwrap().to_owned()).collect()
    };
    wait_for("its end", || actions("").contains(&"die".to_owned()).then_some(()));
    let own = actions("type=container");
    let order: Vec<_> = own.iter().rev().filter(|action| !action.starts_with("exec")).collect();
    assert_eq!(order, ["create", "start", "kill", "die"]);
    assert!(own.contains(&"exec_create".to_owned()) && own.contains(&"exec_start".to_owned()));
    let died = &ask("action=die")["events"][0];
    assert_eq!(died["actor"]["name"], *web);
    assert_eq!((died["type"].as_str(), died["detail"].as_str()), (Some("container"), Some("exit code 137")));
    assert_eq!(died["actor"]["id"].as_str().unwrap().len(), 64);
    assert!(died["time"].as_str().unwrap().starts_with("20"));
    assert_eq!(actions("until=1h"), [""; 0]);
    assert_eq!(actions("since=1h&limit=1").len(), 1);
    assert_eq!(admin.get("/api/events?since=soon").status, 400);
    assert!(!ask("").to_string().contains("hunter2"), "commands may hold secrets");
    app.stranger().get("/api/events").expect(401);
    // A server that comes later asks the engine what it remembers.
    let later = App::start();
    let late = later.admin();
    wait_for("what was before", || {
        let answer = late.get(&format!("/api/events?search={web}&action=die")).expect(200);
        (answer["total"] == 1).then_some(())
    });
}

#[test]
fn the_page_lists_filters_and_follows() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let path = format!("/events?search={web}");
    let page = wait_for("the start", || {
        Some(admin.get(&path))
            .filter(|page| page.texts(".timeline li").iter().any(|line| line.contains(" start")))
    });
    assert_eq!(page.texts("nav [aria-current]"), ["Events"]);
    let stream = page.attributes("#event-list", "hx-sse:connect")[0].clone();
    let live = Live::open(&app, &stream, &[]);
    // Not pausing and going on, which the engine tells twice when they follow at once.
    bench.docker(&["update", "--restart", "no", &web]);
    let all = live.hear(" update<");
    assert!(!all.contains(" start<"), "what the page has is not sent again: {all}");
    let id = live.last_id();
    drop(live);
    bench.docker(&["pause", &web]);
    let again = Live::open(&app, &stream, &[("Last-Event-ID", &id)]);
    let all = again.hear(" pause<");
    assert!(!all.contains(" update<"), "{all}");
    bench.docker(&["unpause", &web]);
    // Another filter, another stream; commands in containers only when they are asked for.
    let only = Live::open(&app, &format!("/events/stream?type=volume&search={}", bench.name("data")), &[]);
    bench.docker(&["exec", &web, "true"]);
    bench.volume("data");
    let all = only.hear(" create<");
    assert!(!all.contains(&web) && !again.text().contains("exec_"));
    assert!(admin.get(&format!("{path}&action=exec_start")).texts(".timeline li").len() == 1);
    assert!(admin.get_fragment(&path).text.trim_start().starts_with("<div id=\"results\""));
    assert_eq!(admin.get("/events/stream?after=nowhere").status, 400);
    // All viewers share one connection.
    let idle = app.docker_connections();
    let many: Vec<_> = (0..5).map(|_| Live::open(&app, "/events/stream", &[])).collect();
    bench.docker(&["stop", "-t", "0", &web]);
    for viewer in &many {
        viewer.hear(" die");
    }
    assert!(app.docker_connections() <= idle);
    drop(many);
    let began = std::time::Instant::now();
    let data = app.stop();
    assert!(began.elapsed().as_secs() < 8, "a viewer kept the server from stopping");
    again.end();
    std::fs::remove_dir_all(data).unwrap();
}
