//! Schedules as people use them: by page, by script, on time, after a power cut. They name their containers, because
//! other tests have containers, too.

use serde_json::{Value, json};

use crate::harness::{App, Bench, Browser, Client, Options, run, wait_for};

/// Makes a schedule for these containers; its id.
fn make(admin: &Client, more: &Value, containers: &[&str]) -> String {
    let mut plan = json!({
        "name": "Nightly", "schedule_type": "daily", "hour": 3, "minute": 0, "lifecycle": 1,
        "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "selection": "named", "containers": containers,
    });
    plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = admin.post("/api/schedules", &plan).expect(200);
    made["schedule"]["id"].as_str().unwrap().to_owned()
}

/// Waits until a run of a schedule has ended.
fn ended(admin: &Client, id: &str) -> Value {
    wait_for("the schedule's run", || {
        let run = admin.get(&format!("/api/schedule-runs/{id}")).expect(200);
        run["finished"].is_string().then_some(run)
    })
}

/// Runs a schedule now and waits until it has ended.
fn run_now(admin: &Client, id: &str) -> Value {
    let started = admin.post(&format!("/api/schedules/{id}/run"), &json!({})).expect(202);
    ended(admin, started["schedule_run"]["id"].as_str().unwrap())
}

fn backups(admin: &Client, container: &str) -> Vec<Value> {
    let found = admin.get(&format!("/api/backups?container={container}")).expect(200);
    found["backups"].as_array().unwrap().clone()
}

fn audit(admin: &Client, operation: &str, status: &str) -> Vec<Value> {
    let query = format!("/api/audit-logs?operation_type={operation}&status={status}");
    admin.get(&query).expect(200)["logs"].as_array().unwrap().clone()
}

#[test]
fn a_schedule_made_on_its_page_backs_up_and_cleans_up() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let empty = admin.get("/schedules");
    assert!(empty.text.contains("No schedule yet"));
    let form = admin.get("/schedules/new");
    let bad = [("name", "Night"), ("time", "25:00"), ("selection", "named"), ("container", &web)];
    let again = admin.submit_form(&form, "Make schedule", &bad);
    assert_eq!(again.status, 422);
    assert!(again.texts("#e-time").join(" ").contains("The hour goes from 0 to 23"), "{}", again.text);
    assert_eq!(again.attributes("#nm", "value"), ["Night"], "what was typed stays");
    let good = [
        ("time", "00:05"),
        ("lifecycle", "1"),
        ("keep_daily", "0"),
        ("keep_weekly", "0"),
        ("keep_monthly", "0"),
        ("include_layer", "false"),
    ];
    let page = admin.follow(&admin.submit_form(&again, "Make schedule", &good));
    assert_eq!(page.texts("h1"), ["Night"]);
    assert_eq!(page.attributes("#tm", "value"), ["00:05"], "midnight is midnight");
    assert!(page.texts("#side").join(" ").contains(&format!("1 container {web}")), "{}", page.text);
    let list = admin.get("/schedules");
    assert!(list.texts("tbody tr").join(" ").contains("Daily at 00:05"), "{}", list.text);

    let taken = admin.submit_form(&admin.get("/schedules/new"), "Make schedule", &[("name", "night")]);
    assert_eq!(taken.status, 422);
    assert!(taken.texts("#e-name").join(" ").contains("There is a schedule called night already"));

    let manual = admin.back_up(&web)["backup_id"].clone();
    for _ in 0..2 {
        let run = admin.follow(&admin.submit_form(&page, "Run now", &[]));
        let id = run.attributes("#schedule-run", "hx-get")[0].rsplit('/').next().unwrap().to_owned();
        let run = ended(&admin, &id);
        assert_eq!((run["complete"].as_u64(), run["failed"].as_u64()), (Some(1), Some(0)), "{run:#}");
    }
    let left = backups(&admin, &web);
    assert_eq!(left.len(), 2, "the newest scheduled one and the one made by hand: {left:#?}");
    assert!(left.iter().any(|backup| backup["id"] == manual));
    let removed = audit(&admin, "cleanup", "completed");
    assert_eq!(removed.len(), 1, "{removed:#?}");
    assert_eq!(removed[0]["target"], web.as_str());
    assert_eq!(removed[0]["details"]["deleted_count"], 1);
    assert_eq!(audit(&admin, "backup_scheduled", "started").len(), 2);
    wait_for("the prune", || (audit(&admin, "prune", "completed").len() == 1).then_some(()));
    assert_eq!(audit(&admin, "backup_scheduled", "completed").len(), 2);
    let list = admin.get("/schedules").texts("tbody tr").join(" ");
    assert!(list.contains("1 complete; 1 old backup removed"), "{list}");
    let jobs = admin.get("/api/runs").expect(200);
    let jobs = jobs["runs"].as_array().unwrap();
    let job = jobs.iter().find(|run| run["backup_type"] == "scheduled" && run["kind"] == "backup").unwrap();
    let page = admin.get(&format!("/jobs/{}", job["id"].as_str().unwrap()));
    assert!(page.text.contains("All jobs of this scheduled run"));
    assert!(page.texts("dt").contains(&"Changes in its own file system".to_owned()), "{}", page.text);
    assert_eq!(admin.get("/api/schedules").expect(200)["schedules"][0]["include_layer"], false);
    app.restic(&["check"]);

    let confirm = admin.get(&format!("{}/delete", page_of(&admin)));
    assert!(confirm.text.contains("1 backup stays"), "{}", confirm.text);
    admin.follow(&admin.submit_form(&confirm, "Delete schedule", &[]));
    assert!(admin.get("/schedules").text.contains("No schedule yet"));
    assert_eq!(backups(&admin, &web).len(), 2);
}

fn page_of(admin: &Client) -> String {
    let all = admin.get("/api/schedules").expect(200);
    format!("/schedules/{}", all["schedules"][0]["id"].as_str().unwrap())
}

#[test]
fn scripts_of_the_flask_application_go_on() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let id = bench.docker(&["inspect", "-f", "{{.Id}}", &web]);
    let config = admin.get("/api/scheduler/config").expect(200);
    assert_eq!((&config["enabled"], &config["next_run"]), (&json!(false), &Value::Null));
    assert!(admin.post("/api/scheduler/test", &json!({})).error(400).contains("no schedule yet"));
    let plan =
        json!({ "schedule_type": "daily", "hour": 0, "lifecycle": 2, "selected_containers": [&id[..12]] });
    let saved = admin.post("/api/scheduler/config", &plan).expect(200);
    assert_eq!(saved["config"]["selected_containers"], json!([web]), "kept by name");
    let config = admin.get("/api/scheduler/config").expect(200);
    assert_eq!(
        (&config["hour"], &config["lifecycle"], &config["enabled"]),
        (&json!(0), &json!(2), &json!(true))
    );
    assert!(config["next_run"].as_str().unwrap().contains("T00:00:00"), "{config:#}");

    for (wrong, field) in [
        (json!({ "hour": 24 }), "hour"),
        (json!({ "hour": "soon" }), "hour"),
        (json!({ "lifecycle": 0 }), "lifecycle"),
        (json!({ "schedule_type": "weekly", "day_of_week": 7 }), "day_of_week"),
        (json!({ "schedule_type": "cron", "cron": "30 2 * * 8" }), "cron"),
        (json!({ "selected_containers": ["no-such-container"] }), "selected_containers"),
        (json!({ "time_zone": "Mars/Olympus" }), "time_zone"),
        (json!({ "schedule_type": "sometimes" }), "schedule_type"),
    ] {
        let answer = admin.post("/api/scheduler/config", &wrong).expect(400);
        assert!(answer["fields"][field].is_string(), "{wrong}: {answer}");
        let after = admin.get("/api/scheduler/config").expect(200);
        assert_eq!(after, config, "nothing changed");
    }
    let weekly = json!({ "schedule_type": "weekly", "day_of_week": 0, "hour": 23 });
    let config = admin.post("/api/scheduler/config", &weekly).expect(200);
    assert_eq!((&config["day_of_week"], &config["selected_containers"]), (&json!(0), &json!([web])));
    let tested = admin.post("/api/scheduler/test", &json!({})).expect(202);
    let run = tested["runs"][0]["progress_id"].as_str().unwrap();
    assert_eq!(admin.finished(run)["status"], "complete");
    ended(&admin, tested["schedule_run"]["id"].as_str().unwrap());
    assert_eq!(backups(&admin, &web)[0]["backup_type"], "scheduled");
    let cleaned = admin.post("/api/scheduler/cleanup", &json!({})).expect(200);
    assert_eq!(cleaned["deleted_backups"], json!([]));
    admin.post("/api/scheduler/config", &json!({ "selected_containers": [] })).expect(200);
    assert_eq!(admin.get("/api/scheduler/config").expect(200)["enabled"], false);
    let stats = admin.get("/api/dashboard-stats").expect(200);
    assert_eq!(stats["schedule"]["enabled"], false, "{stats:#}");
}

#[test]
fn a_recreated_container_stays_in_and_a_gone_one_is_told() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (project, one) = (bench.name("shop"), "com.docker.compose.container-number=1");
    let place = format!("com.docker.compose.project={project}");
    let labels = ["--label", &place, "--label", "com.docker.compose.service=web", "--label", one];
    let old = bench.run("shop_web_1", &labels, &[]);
    let plain = bench.run("plain", &[], &[]);
    let gone = bench.run("gone", &[], &[]);
    let id = make(&admin, &json!({}), &[&old, &plain, &gone]);
    for name in [&old, &plain, &gone] {
        bench.docker(&["rm", "-f", name]);
    }
    // Another compose gives it another name.
    let new = bench.run("shop-web-1", &labels, &[]);
    bench.run("plain", &["--label", "recreated=yes"], &[]);
    let run = run_now(&admin, &id);
    assert_eq!((run["complete"].as_u64(), run["missing"].as_u64()), (Some(2), Some(1)), "{run:#}");
    assert!(
        run["notes"][0]["text"].as_str().unwrap().starts_with(&format!("{gone} is not there")),
        "{run:#}"
    );
    for name in [&new, &plain] {
        assert_eq!(backups(&admin, name).len(), 1, "{name}");
    }
    let page = admin.get(&format!("/schedules/{id}"));
    assert!(
        page.texts("#side").join(" ").contains(&format!("{gone} is not there any more")),
        "{}",
        page.text
    );
    // Saving the page keeps it selected.
    let saved = admin.submit_form(&page, "Save schedule", &[("name", "Every night")]);
    assert_eq!(saved.status, 303, "{}", saved.text);
    bench.run("gone", &[], &[]);
    assert_eq!(run_now(&admin, &id)["complete"], 3);
}

#[test]
fn a_slot_is_kept_and_a_paused_schedule_waits() {
    let bench = Bench::new();
    let app = App::start_with(Options::default().with("TZ", "Asia/Kathmandu"));
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let id = make(&admin, &json!({ "schedule_type": "cron", "cron": "* * * * *" }), &[&web]);
    let paused =
        make(&admin, &json!({ "schedule_type": "cron", "cron": "* * * * *", "name": "Off" }), &[&web]);
    admin.post(&format!("/api/schedules/{paused}/pause"), &json!({})).expect(200);
    let schedule = admin.get(&format!("/api/schedules/{id}")).expect(200);
    assert!(schedule["next_run"].as_str().unwrap().ends_with("+05:45"), "{schedule:#}");
    let run = wait_for("its minute", || {
        let run = admin.get(&format!("/api/schedules/{id}")).expect(200)["last"].clone();
        run["finished"].is_string().then_some(run)
    });
    assert_eq!((&run["cause"], &run["complete"]), (&json!("slot"), &json!(1)), "{run:#}");
    let off = admin.get(&format!("/api/schedules/{paused}")).expect(200);
    assert_eq!((&off["last"], &off["next_run"]), (&Value::Null, &Value::Null));
    assert_eq!(audit(&admin, "backup_scheduled", "started")[0]["user"], "schedule");
    assert!(audit(&admin, "change_schedule", "completed").len() == 3);
}

#[test]
fn after_a_power_cut_every_backup_has_ended_once() {
    let bench = Bench::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let volume = bench.volume("data");
    let large = format!("of={}", bench.path(&volume).join("large").display());
    run("dd", &["if=/dev/urandom", &large, "bs=1M", "count=120", "status=none"]);
    let first = bench.run("aaa", &["-v", &format!("{volume}:/data")], &[]);
    let (second, third) = (bench.run("bbb", &[], &[]), bench.run("ccc", &[], &[]));
    let id = make(&admin, &json!({}), &[&first, &second, &third]);
    let started = admin.post(&format!("/api/schedules/{id}/run"), &json!({})).expect(202);
    admin.post(&format!("/api/schedules/{id}/run"), &json!({})).error(409);
    let job = started["runs"][0]["progress_id"].as_str().unwrap();
    admin.running(job, |progress| progress["bytes_done"].as_u64() > Some(8_000_000));
    let data = app.kill();
    let mut app = App::start_with(Options { data: Some(data.clone()), ..Options::default() });
    app.expect_errors();
    let admin = app.admin();
    let run = ended(&admin, started["schedule_run"]["id"].as_str().unwrap());
    assert_eq!((run["complete"].as_u64(), run["failed"].as_u64()), (Some(2), Some(1)), "{run:#}");
    assert_eq!(run["runs"][0]["status"], "failed", "{run:#}");
    for name in [&second, &third] {
        assert_eq!(backups(&admin, name).len(), 1, "{name}");
    }
    assert_eq!(audit(&admin, "backup_scheduled", "started").len(), 3);
    assert_eq!(audit(&admin, "backup_scheduled", "completed").len(), 2);
    assert_eq!(run_now(&admin, &id)["complete"], 3);
    drop(app);
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn the_form_saves_as_it_is_changed() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let id = make(&admin, &json!({}), &[&web]);
    let config = || admin.get(&format!("/api/schedules/{id}")).expect(200);
    let browser = Browser::open(app.address());
    browser.sign_in();
    browser.go(&format!("/schedules/{id}"));
    browser.dismiss();
    let change = "const f = document.querySelector(arguments[0]); f.value = arguments[1]; \
                  f.dispatchEvent(new Event('change', { bubbles: true }))";
    browser.script(change, &[json!("#tm"), json!("04:45")]);
    browser.wait_text("#side", "Saved at");
    wait_for("the new time", || (config()["minute"] == 45).then_some(()));
    assert!(browser.text("#side").contains("04:45"), "{}", browser.text("#side"));

    browser.click("label:has([name=kind][value=cron])");
    browser.fill("#cr", "30 2 * * 8");
    browser.keys("\t");
    browser.wait_text("#e-cron", "The last part is the weekday");
    browser.wait_text("#side", "Not saved");
    assert_eq!(config()["schedule_type"], "daily", "the old settings stay");
    browser.fill("#cr", "0 */6 * * *");
    browser.keys("\t");
    browser.wait_text("#side", "Saved at");
    assert_eq!(browser.text("#e-cron"), "", "the message goes");
    assert_eq!(config()["cron"], "0 */6 * * *");
    assert_eq!(browser.texts("#side .runs li").len(), 5);

    browser.click("label[for=sel-labelled]");
    wait_for("the selection", || (config()["selection"] == "labelled").then_some(()));
    assert_eq!(
        browser.script("return document.querySelector('.picklist').checkVisibility()", &[]),
        json!(false)
    );
    let failed: Vec<_> = browser.failed_requests();
    assert!(failed.iter().all(|address| address.contains(&format!("/schedules/{id}"))), "{failed:?}");
    assert!(failed.len() <= 2, "only what was refused at the field: {failed:?}");
}
