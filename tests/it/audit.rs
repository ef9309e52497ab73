//! The audit log: every action stands in it, changes show, and it is quick when it is long.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, PASSWORD, run, wait_for};

/// The newest entry of this operation and outcome.
#[track_caller]
fn entry(admin: &Client, operation: &str, outcome: &str) -> Value {
    let found = admin
        .get(&format!("/api/audit-logs?operation_type={operation}&status={outcome}&limit=1"))
        .expect(200);
    found["logs"].get(0).unwrap_or_else(|| panic!("no entry {operation} {outcome}")).clone()
}

fn intact(admin: &Client) -> Value {
    admin.get("/api/audit-logs/chain").expect(200)
}

/// SQL in a program's database, as somebody with access to its files.
fn sql(app: &App, text: &str) -> String {
    let file = app.data().join("config/monkey.db");
    run("sqlite3", &["-cmd", ".timeout 5000", file.to_str().unwrap(), text])
}

#[test]
fn every_action_leaves_its_entry() {
    let bench = Bench::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let volume = bench.volume("data");
    fs::write(bench.path(&volume).join("file"), "text").unwrap();
    let web = bench.run("web", &["-v", &format!("{volume}:/data"), "-e", "API_KEY=hunter2"], &[]);
    let doomed = bench.run("doomed", &[], &[]);
    let net = bench.network("net", &[]);
    let other = format!("{}-other", bench.image());
    bench.make_image(&other);
    let made = bench.name("made");
    let renamed = bench.name("renamed");
    let stack = bench.name("stack");
    let labels = [
        "--label",
        &format!("com.docker.compose.project={stack}"),
        "--label",
        "com.docker.compose.service=s",
    ];
    bench.run("member", &labels, &[]);
    let api = |name: &str, action: &str| format!("/api/container/{name}/{action}");
    let post = |path: String, body: Value| assert!(admin.post(&path, &body).status < 300, "{path}");
    let check = |operation: &str, target: &str, outcome: &str| {
        let found = entry(&admin, operation, outcome);
        assert_eq!(found["target"], target, "{operation}: {found:#}");
        assert_eq!(found["user"], "admin", "{operation}: {found:#}");
        assert_eq!(found["address"], "127.0.0.1", "{operation}: {found:#}");
        assert_eq!(outcome == "error", found["error_message"].is_string(), "{operation}: {found:#}");
        found
    };
    check("login", "", "completed");
    for action in ["pause", "resume", "restart", "stop", "start", "kill"] {
        post(api(&doomed, action), json!({}));
        let found = check(&format!("container_{action}"), &doomed, "completed");
        assert_eq!(found["container_name"], doomed.as_str());
        let id = bench.docker(&["inspect", "-f", "{{.Id}}", &doomed]);
        assert_eq!(found["container_id"], id);
        let by_id = admin.get(&format!("/api/audit-logs?container_id={}", &id[..12])).expect(200);
        assert_eq!(by_id["logs"][0]["id"], found["id"]);
    }
    let run = admin.back_up(&web);
    let started = check("backup_manual", &web, "started");
    let ended = check("backup_manual", &web, "completed");
    assert_eq!(started["details"]["progress_id"], ended["details"]["progress_id"]);
    assert_eq!(ended["backup_filename"], run["backup_filename"]);
    let backup = run["backup_id"].as_str().unwrap().to_owned();
    admin.restore(&backup, json!({ "new_name": bench.name("twin"), "overwrite_volumes": true }));
    assert_eq!(check("restore", &bench.name("twin"), "started")["details"]["backup_id"], backup.as_str());
    check("restore", &bench.name("twin"), "completed");
    post(api(&bench.name("twin"), "redeploy"), json!({}));
    check("container_redeploy", &bench.name("twin"), "completed");
    admin.post(&api(&bench.name("twin"), "redeploy"), &json!({ "pull": true })).error(422);
    check("container_redeploy", &bench.name("twin"), "error");
    post(api(&web, "exec"), json!({ "command": "echo --password=hunter2" }));
    assert_eq!(check("container_exec", &web, "completed")["details"]["exit_code"], 0);
    post(api(&doomed, "rename"), json!({ "name": renamed }));
    assert_eq!(check("container_rename", &doomed, "completed")["details"]["new_name"], renamed.as_str());
    admin.delete(&format!("/api/container/{renamed}/delete")).expect(200);
    check("container_delete", &renamed, "completed");
    post("/api/volumes".into(), json!({ "name": made }));
    check("volume_create", &made, "completed");
    admin.delete(&format!("/api/volume/{made}/delete")).expect(200);
    check("volume_delete", &made, "completed");
    assert_eq!(admin.get(&format!("/api/volume/{volume}/download?path=/file")).status, 200);
    assert_eq!(check("volume_download", &volume, "completed")["details"]["path"], "/file");
    admin.delete(&format!("/api/network/{net}/delete")).expect(200);
    check("network_delete", &net, "completed");
    post("/api/images/delete".into(), json!({ "image_ids": [other] }));
    check("image_delete", &other, "completed");
    post("/api/cleanup/dangling-images".into(), json!({ "label": bench.label() }));
    check("cleanup_images", "dangling images", "completed");
    post("/api/cleanup/temp-containers".into(), json!({}));
    check("cleanup_helpers", "helper containers", "completed");
    for action in ["stop", "start", "restart"] {
        post(format!("/api/stack/{stack}/{action}"), json!({}));
        let operation = format!("stack_{action}");
        check(&operation, &stack, "started");
        let query = format!("/api/audit-logs?operation_type={operation}&status=completed");
        wait_for("the stack", || (admin.get(&query).expect(200)["total"] == 1).then_some(()));
        check(&operation, &stack, "completed");
    }
    admin.delete(&format!("/api/stack/{stack}/delete")).expect(200);
    let query = "/api/audit-logs?operation_type=stack_delete&status=completed";
    wait_for("the stack", || (admin.get(query).expect(200)["total"] == 1).then_some(()));
    admin.delete(&format!("/api/backup/{backup}")).expect(200);
    assert_eq!(
        check("delete_backup", run["backup_filename"].as_str().unwrap(), "completed")["details"]["backup_id"],
        backup.as_str()
    );
    post("/api/ui/settings/server_name".into(), json!({ "value": "other" }));
    assert_eq!(check("change_settings", "server_name", "completed")["details"]["after"], "other");
    admin
        .post("/api/change-password", &json!({ "current_password": "wrong", "new_username": "root" }))
        .error(400);
    check("change_user", "admin", "error");
    post(
        "/api/change-password".into(),
        json!({ "current_password": PASSWORD, "new_password": "N3w-Secret-Word!" }),
    );
    assert_eq!(check("change_user", "admin", "completed")["details"]["password_changed"], true);
    app.stranger().sign_in("=nobody", "wrong").error(401);
    let failed = entry(&admin, "login", "error");
    assert_eq!((&failed["user"], &failed["address"]), (&json!("=nobody"), &json!("127.0.0.1")));
    assert_eq!(admin.get("/api/audit-logs/export").status, 200);
    check("audit_export", "", "completed");
    let everything = admin.get("/api/audit-logs/export?format=json").text;
    for secret in ["hunter2", "N3w-Secret", PASSWORD, "argon2"] {
        assert!(!everything.contains(secret), "{secret}");
    }
    assert_eq!(intact(&admin)["intact"], true);
    admin.post("/api/logout", &json!({})).expect(200);
    admin.sign_in("admin", "N3w-Secret-Word!").expect(200);
    check("logout", "", "completed");
}

#[test]
fn a_job_that_is_cancelled_and_a_password_from_the_command_line_are_told() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let noise = format!("of={}", bench.path(&volume).join("noise").display());
    run("dd", &["if=/dev/urandom", &noise, "bs=1M", "count=300", "status=none"]);
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    let asked = admin.post(&format!("/api/backup/{web}"), &json!({ "include_image": false })).expect(202);
    let id = asked["progress_id"].as_str().unwrap();
    admin.post(&format!("/api/backup-progress/{id}/cancel"), &json!({})).expect(200);
    assert_eq!(admin.finished(id)["status"], "cancelled");
    assert_eq!(entry(&admin, "cancel_job", "completed")["target"], web.as_str());
    let data = app.stop();
    let mut reset = Command::new(env!("CARGO_BIN_EXE_container-monkey"))
        .args(["reset-password", "admin"])
        .env("MONKEY_DATA", &data)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut reset.stdin.take().unwrap(), b"An0ther-Secret!\n").unwrap();
    assert!(reset.wait().unwrap().success());
    let app = App::start_with(crate::harness::Options { data: Some(data.clone()), ..Default::default() });
    let admin = app.stranger();
    admin.sign_in("admin", "An0ther-Secret!").expect(200);
    assert_eq!(entry(&admin, "change_user", "completed")["user"], "command line");
    assert_eq!(intact(&admin)["intact"], true);
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

#[test]
fn changes_by_other_hands_show_and_clearing_says_who_did_it() {
    let app = App::start();
    let admin = app.admin();
    for name in ["one", "two", "three"] {
        admin.post("/api/ui/settings/server_name", &json!({ "value": name })).expect(200);
    }
    let whole = intact(&admin);
    assert_eq!(whole["intact"], true, "{whole:#}");
    assert!(admin.get("/audit/chain").text.contains("Unbroken"));
    let last = whole["last_hash"].as_str().unwrap().to_owned();
    assert_eq!(admin.get("/api/audit-logs?limit=1").expect(200)["logs"][0]["hash"], last.as_str());
    // Entry 1 is the sign-in.
    sql(&app, "UPDATE audit SET actor = 'nobody' WHERE id = 2");
    let broken = intact(&admin);
    assert_eq!((&broken["intact"], &broken["broken_at"]), (&json!(false), &json!(2)), "{broken:#}");
    let part = admin.get_fragment("/audit/chain").text;
    assert!(part.contains("The log is not what was written") && part.contains("Entry 2"), "{part}");
    sql(&app, "UPDATE audit SET actor = 'admin' WHERE id = 2");
    assert_eq!(intact(&admin)["intact"], true);
    sql(&app, "DELETE FROM audit WHERE id = 4");
    assert_eq!(intact(&admin)["broken_at"], 4, "the newest entry is missed");
    // What is written next does not hide it.
    admin.post("/api/ui/settings/server_name", &json!({ "value": "four" })).expect(200);
    assert_eq!(intact(&admin)["broken_at"], 4);
    let before = admin.get("/api/audit-logs").expect(200);
    let last = before["logs"][0]["hash"].as_str().unwrap();
    assert_eq!(admin.submit("/audit/clear", &[("confirm", "clear")]).status, 400);
    assert_eq!(admin.get("/api/audit-logs").expect(200)["total"], before["total"]);
    let dialog = admin.get("/audit/clear");
    let cleared = admin.submit_form(&dialog, "Clear log", &[("confirm", "clear log")]);
    assert!(admin.follow(&cleared).text.contains("Audit log cleared"));
    let logs = admin.get("/api/audit-logs").expect(200);
    assert_eq!(logs["total"], 1);
    let first = &logs["logs"][0];
    assert_eq!(first["operation_type"], "audit_clear");
    assert_eq!(first["user"], "admin");
    assert_eq!(first["details"], json!({ "deleted": before["total"], "last_hash": last }));
    assert_eq!(intact(&admin)["intact"], true);
    assert_eq!(admin.delete("/api/audit-logs/clear").expect(200)["deleted_count"], 1);
    assert_eq!(intact(&admin)["intact"], true);
}

#[test]
fn filters_find_what_they_say() {
    let app = App::start();
    let admin = app.admin();
    app.stranger().sign_in("mallory", "wrong").error(401);
    for name in ["100%", "a_b", "größe"] {
        admin.post("/api/ui/settings/server_name", &json!({ "value": name })).expect(200);
    }
    let count =
        |query: &str| admin.get(&format!("/api/audit-logs?{query}")).expect(200)["total"].as_u64().unwrap();
    for (query, expected) in [
        ("", 5),
        ("operation_type=login", 2),
        ("status=error", 1),
        ("user=mallory", 1),
        ("search=MALLORY", 1),
        ("search=100%25", 1),
        ("search=a_b", 1),
        ("search=a_b+server", 1),
        ("search=gr%C3%B6%C3%9Fe", 1),
        ("search=nothing-like-that", 0),
        ("container=server", 3),
        ("container_id=server_name", 3),
        ("start_date=2001-01-01&end_date=2001-12-31", 0),
        ("start_date=1h", 5),
        ("end_date=1h", 0),
        ("limit=2", 5),
    ] {
        // "100%" stands in the entry that set it and in the one that replaced it.
        let expected =
            if query == "search=100%25" || query.starts_with("search=a_b") { expected + 1 } else { expected };
        assert_eq!(count(query), expected, "{query}");
    }
    let today = chrono::Utc::now().format("%Y-%m-%d");
    assert_eq!(count(&format!("start_date={today}&end_date={today}")), 5);
    for (bad, field) in [
        ("status=done", "status"),
        ("start_date=soon", "start_date"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
    ] {
        let refused = admin.get(&format!("/api/audit-logs?{bad}")).expect(400);
        assert!(refused["fields"][field].is_string(), "{bad}: {refused:#}");
    }
    let pages: Vec<u64> = [0, 2, 4]
        .iter()
        .flat_map(|offset| {
            let page = admin.get(&format!("/api/audit-logs?limit=2&offset={offset}")).expect(200);
            let logs = page["logs"].as_array().unwrap().clone();
            logs.into_iter().map(|log| log["id"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(pages, [5, 4, 3, 2, 1]);
    let statistics = admin.get("/api/audit-logs/statistics").expect(200);
    assert_eq!(statistics["total_logs"], 5);
    assert_eq!(statistics["by_operation"], json!({ "change_settings": 3, "login": 2 }));
    assert_eq!(statistics["by_status"], json!({ "completed": 4, "error": 1 }));
    assert_eq!((&statistics["last_24_hours"], &statistics["last_7_days"]), (&json!(5), &json!(5)));
    let page = admin.get("/audit?user=mallory");
    assert_eq!(page.texts(".timeline p b").len(), 0);
    assert!(page.texts(".timeline .meta")[0].starts_with("by mallory from 127.0.0.1"));
    let filtered = admin.get("/audit?search=mallory");
    assert_eq!(filtered.texts(".timeline > li").len(), 1);
    assert!(admin.get_fragment("/audit?search=nothing-like-that").text.contains("Nothing found"));
    let csv = admin.get("/audit/export?format=csv&user=mallory");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.text.lines().count(), 2, "{}", csv.text);
    let json: Value = serde_json::from_str(&admin.get("/audit/export?format=json").text).unwrap();
    assert_eq!(json["logs"].as_array().unwrap().len(), 7, "the two exports stand in it, too");
}

#[test]
fn a_hundred_thousand_entries_are_no_burden() {
    let app = App::start();
    let admin = app.admin();
    sql(
        &app,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
         INSERT INTO audit (at, operation, actor, address, target, outcome, details) \
         SELECT 1700000000000 + i * 60000, CASE i % 3 WHEN 0 THEN 'backup_manual' WHEN 1 THEN 'container_stop' \
         ELSE 'login' END, 'user' || (i % 7), '192.0.2.' || (i % 250), 'container-' || (i % 500), \
         CASE i % 10 WHEN 0 THEN 'error' ELSE 'completed' END, '{\"progress_id\":\"' || hex(randomblob(13)) || '\"}' \
         FROM n; UPDATE audit SET hash = '' WHERE id = 1",
    );
    for path in [
        "/audit",
        "/audit?offset=90000",
        "/audit?operation_type=login&status=error&user=user3",
        "/audit?start_date=2024-01-01&end_date=2024-01-31",
        "/audit?search=container-77+error",
        "/api/audit-logs?limit=100",
        "/api/audit-logs/statistics",
        "/audit/chain",
    ] {
        let began = Instant::now();
        let answer = admin.get(path);
        let took = began.elapsed();
        println!("{path}: {took:?}");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        // An unoptimised build on a busy machine.
        assert!(took < Duration::from_secs(3), "{path} took {took:?}");
    }
    assert_eq!(admin.get("/api/audit-logs/chain").expect(200)["unchained"], 100_001);
    let before = app.memory();
    let export = BufReader::new(admin.open("/audit/export?format=csv", &[]).into_body().into_reader());
    assert_eq!(export.lines().map(Result::unwrap).count(), 1 + 100_001 + 1);
    let more = app.memory().saturating_sub(before);
    assert!(more < 24 * 1024 * 1024, "the export took {more} bytes of memory");
    assert_eq!(admin.delete("/api/audit-logs/clear").expect(200)["deleted_count"], 100_002);
}
