//! Notifications: every kind of channel, one message a run, none lost, nothing secret shown.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, MailServer, Options, Receiver, in_container, wait_for};

fn add(admin: &Client, url: &str, more: &Value) -> i64 {
    let mut body = json!({ "url": url });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/api/notifications", &body).expect(201)["id"].as_i64().unwrap()
}

#[test]
fn every_kind_of_channel_gets_a_test_message_its_own_way_and_no_secret_is_shown() {
    if in_container() {
        return;
    }
    let app = App::start_with(Options::default().with("MONKEY_BASE_URL", "https://monkey.example.org/"));
    let admin = app.admin();
    let (http, mail) = (Receiver::start(), MailServer::start());
    let host = format!("127.0.0.1:{}", http.port);
    let try_one = |url: &str| {
        let id = add(&admin, url, &json!({ "name": url.split(':').next() }));
        let said = admin.post(&format!("/api/notifications/{id}/test"), &json!({})).expect(200);
        assert!(said["message"].as_str().unwrap().contains("127.0.0.1"), "{said}");
        http.take().pop()
    };
    let got = try_one(&format!("generic+http://{host}/T0PSECRET?key=T0PSECRET")).unwrap();
    assert_eq!(got.path, "/T0PSECRET?key=T0PSECRET");
    let body = got.json();
    assert_eq!(
        (&body["event"], &body["level"], &body["server"]),
        (&json!("test"), &json!("info"), &json!("test-server"))
    );
    assert_eq!(body["link"], "https://monkey.example.org/settings/notifications");
    let got = try_one(&format!("ntfy+http://me:T0PSECRET@{host}/sub/T0PSECRET")).unwrap();
    assert_eq!((got.path.as_str(), &got.json()["topic"]), ("/sub/", &json!("T0PSECRET")));
    assert!(got.headers.iter().any(|header| header.to_lowercase().starts_with("authorization: basic ")));
    let got = try_one(&format!("gotify+http://{host}/T0PSECRET")).unwrap();
    assert_eq!((got.path.as_str(), &got.json()["priority"]), ("/message", &json!(2)));
    assert!(got.headers.iter().any(|header| header.eq_ignore_ascii_case("x-gotify-key: T0PSECRET")));
    let got = try_one(&format!("slack+http://{host}/services/T0PSECRET")).unwrap();
    assert!(got.json()["text"].as_str().unwrap().contains("Test message"));
    let got = try_one(&format!("discord+http://{host}/T0PSECRET")).unwrap();
    assert!(got.json()["content"].as_str().unwrap().contains("Test message"));
    let got = try_one(&format!("healthchecks+http://{host}/T0PSECRET")).unwrap();
    assert_eq!(got.path, "/T0PSECRET/log", "a test is no success");
    try_one(&format!(
        "smtp://127.0.0.1:{}/?from=monkey@example.org&to=a@example.org,b@example.org&tls=none",
        mail.port
    ));
    let letter = mail.got().pop().unwrap();
    assert!(letter.contains("Subject: test-server: Test message"), "{letter}");
    assert!(letter.contains("<a@example.org>") && letter.contains("<b@example.org>"), "{letter}");

    // The real answer, without what it repeats of the address.
    http.answer(404);
    let page = admin.get("/settings/notifications");
    let failed = admin.submit_form(&page, "Test generic+http", &[]);
    assert_eq!(failed.status, 502);
    assert!(failed.text.contains("answered 404"), "{}", failed.text);
    let list = admin.get("/api/notifications").expect(200);
    assert!(list["channels"][1]["problem"].as_str().unwrap().contains("no such hook as ••••"), "{list:#}");
    let edit = admin.get(&format!("/settings/notifications/{}", list["channels"][1]["id"]));
    let audit = admin.get("/api/audit-logs?limit=100").expect(200).to_string();
    assert!(audit.contains("channel_create") && audit.contains("channel_test"));
    for text in [&page.text, &failed.text, &edit.text, &list.to_string(), &audit] {
        assert!(!text.contains("T0PSECRET"), "{text}");
    }
    assert_eq!(app.logged("T0PSECRET"), None);
    let database = fs::read(app.data().join("config/monkey.db")).unwrap();
    assert!(!database.windows(9).any(|part| part == b"T0PSECRET"));
}

#[test]
fn a_wrong_address_is_refused_at_its_field_and_changes_nothing() {
    if in_container() {
        return;
    }
    let app = App::start();
    let admin = app.admin();
    let http = Receiver::start();
    let good = format!("generic+http://127.0.0.1:{}/hook", http.port);
    let page = admin.get("/settings/notifications");
    let added = admin.submit_form(&page, "Add channel", &[("url", &good), ("name", "Hook")]);
    assert!(admin.follow(&added).text.contains("Hook is told from now on"));
    let before = admin.get("/api/notifications").expect(200)["channels"][0].clone();
    let path = format!("/settings/notifications/{}", before["id"]);
    for wrong in ["nonsense", "gopher://x/y", "generic+http://127.0.0.1:1/hook", "smtp://127.0.0.1/"] {
        let refused = admin.submit_form(&admin.get(&path), "Save", &[("url", wrong), ("level", "all")]);
        assert_eq!(refused.status, 422, "{wrong}");
        assert_eq!(refused.texts("#nu-e").len(), 1, "{wrong}");
        let answer = admin.post("/api/notifications", &json!({ "url": wrong }));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text.contains("\"url\""), "{}", answer.text);
    }
    admin.post("/api/notifications", &json!({ "url": good, "name": "hOOK" })).error(400);
    assert_eq!(admin.get("/api/notifications").expect(200)["channels"], json!([before]));
    // Without an address the old one stays.
    let saved = admin.submit_form(&admin.get(&path), "Save", &[("level", "all"), ("enabled", "off")]);
    assert_eq!(saved.status, 303);
    let after = admin.get("/api/notifications").expect(200)["channels"][0].clone();
    assert_eq!((&after["level"], &after["enabled"]), (&json!("all"), &json!(false)));
    admin.post(&format!("/api/notifications/{}/test", after["id"]), &json!({})).expect(200);
    assert_eq!(http.got().len(), 1);
    admin.delete(&format!("/api/notifications/{}", after["id"])).expect(200);
    assert_eq!(admin.get("/api/notifications").expect(200)["channels"], json!([]));
}

#[test]
fn a_message_waits_for_its_server_also_over_a_restart_and_no_job_fails_of_it() {
    if in_container() {
        return;
    }
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (all, errors) = (Receiver::start(), Receiver::start());
    let url = |receiver: &Receiver| format!("generic+http://127.0.0.1:{}/hook", receiver.port);
    let id = add(&admin, &url(&all), &json!({ "name": "all", "level": "all" }));
    add(&admin, &url(&errors), &json!({ "name": "errors" }));
    all.answer(503);
    let web = bench.run("web", &[], &[]);
    assert_eq!(admin.back_up(&web)["status"], "complete");
    let waiting = || {
        let channel = admin.get(&format!("/api/notifications/{id}")).expect(200);
        (channel["waiting"] == 1 && channel["problem"].is_string()).then_some(channel)
    };
    let channel = wait_for("the attempt", waiting);
    assert!(channel["problem"].as_str().unwrap().contains("answered 503"), "{channel}");
    assert!(admin.get("/settings/notifications").text.contains("1 waiting"));
    all.answer(200);
    all.take();
    let app = App::start_with(Options { data: Some(app.kill()), ..Options::default() });
    let got = wait_for("the message after the restart", || all.take().pop());
    assert_eq!(got.json()["title"], format!("Backup of {web} is done"));
    let facts = got.json()["facts"].clone();
    assert_eq!((&facts["state"], &facts["subject"]), (&json!("complete"), &json!(web)));
    assert!(errors.got().is_empty(), "only errors were wanted");

    // A failure reaches both, once.
    let mut app = app;
    app.expect_errors();
    let admin = app.admin();
    let config = app.data().join("vault/config");
    fs::rename(&config, app.data().join("config.away")).unwrap();
    assert_eq!(admin.back_up(&web)["status"], "error");
    let got = wait_for("the failure", || errors.take().pop());
    assert_eq!((&got.json()["level"], &got.json()["event"]), (&json!("error"), &json!("job_ended")));
    assert_eq!(got.json()["title"], format!("Backup of {web} failed"));
    wait_for("the failure for all", || (!all.got().is_empty()).then_some(()));
    assert_eq!(all.got().len(), 1);
    assert!(errors.got().is_empty());
}

#[test]
fn a_vault_that_is_away_is_told() {
    if in_container() {
        return;
    }
    let app = App::start();
    let receiver = Receiver::start();
    add(
        &app.admin(),
        &format!("generic+http://127.0.0.1:{}/hook", receiver.port),
        &json!({ "level": "all" }),
    );
    let data = app.stop();
    let away = tempfile::tempdir_in(data.parent().unwrap()).unwrap();
    fs::rename(data.join("vault"), away.path().join("vault")).unwrap();
    let mut app = App::start_with(Options { data: Some(data), ..Options::default() });
    app.expect_errors();
    let told = wait_for("the alarm", || receiver.take().pop()).json();
    assert_eq!((&told["event"], &told["level"]), (&json!("warning"), &json!("error")));
    assert!(told["title"].as_str().unwrap().contains("Local storage can’t be used"), "{told:#}");
    app.stop();
}

#[test]
fn a_watchdog_hears_how_its_schedule_begins_and_ends_and_people_get_one_message() {
    if in_container() {
        return;
    }
    let bench = Bench::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let (dog, people) = (Receiver::start(), Receiver::start());
    let (one, two) = (bench.run("one", &[], &[]), bench.run("two", &[], &[]));
    let plan = json!({
        "name": "Nightly", "schedule_type": "daily", "hour": 3, "minute": 0, "lifecycle": 1,
        "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "selection": "named", "containers": [one, two],
    });
    let schedule = admin.post("/api/schedules", &plan).expect(200)["schedule"]["id"].clone();
    let url =
        |kind: &str, receiver: &Receiver| format!("{kind}+http://127.0.0.1:{}/T0PSECRET", receiver.port);
    add(&admin, &url("healthchecks", &dog), &json!({ "schedule": schedule }));
    add(&admin, &url("generic", &people), &json!({ "level": "all" }));
    let run =
        || admin.post(&format!("/api/schedules/{}/run", schedule.as_str().unwrap()), &json!({})).expect(202);
    let paths = |count: usize| {
        let got = wait_for("the pings", || (dog.got().len() >= count).then(|| dog.take()));
        got.into_iter().map(|request| request.path).collect::<Vec<_>>()
    };
    run();
    assert_eq!(paths(2), ["/T0PSECRET/start", "/T0PSECRET"]);
    let told = wait_for("the message", || people.take().pop()).json();
    assert_eq!((&told["event"], &told["level"]), (&json!("schedule_ended"), &json!("info")));
    assert_eq!((&told["facts"]["containers"], &told["facts"]["ended"]["complete"]), (&json!(2), &json!(2)));

    fs::rename(app.data().join("vault/config"), app.data().join("config.away")).unwrap();
    run();
    assert_eq!(paths(2), ["/T0PSECRET/start", "/T0PSECRET/fail"]);
    let told = wait_for("the message", || people.take().pop()).json();
    assert_eq!((&told["level"], &told["facts"]["ended"]["failed"]), (&json!("error"), &json!(2)));
    assert!(told["message"].as_str().unwrap().contains(&one), "{told:#}");
    assert!(people.got().is_empty(), "one message a run");
}
