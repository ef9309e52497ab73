//! What monitoring reads, and what the log says.

use serde_json::json;

use crate::harness::{App, Bench, Client, Options, in_container, wait_for};

#[test]
fn figures_are_there_for_who_asked_for_them_and_has_the_token() {
    let off = App::start();
    assert_eq!(off.stranger().get("/metrics").status, 404);
    let admin = off.admin();
    assert_eq!(admin.get("/metrics").status, 404);
    switched_on_by_its_page(&off, &admin);

    let bench = Bench::new();
    let options =
        Options::default().with("MONKEY_METRICS", "true").with("MONKEY_METRICS_TOKEN", "T0PSECRET-token");
    let app = App::start_with(options);
    let admin = app.admin();
    let page = admin.get("/settings");
    assert!(page.texts("#metrics").join(" ").contains("the environment says so"), "{}", page.text);
    let web = bench.run("web", &[], &[]);
    let done = admin.back_up(&web);
    assert_eq!(done["status"], "complete");
    let script = app.stranger();
    assert_eq!(script.get("/metrics").status, 401);
    let wrong = script.get_with("/metrics", &[("Authorization", "Bearer T0PSECRET")]);
    assert_eq!(wrong.status, 401);
    let right = script.get_with("/metrics", &[("Authorization", "Bearer T0PSECRET-token")]);
    assert_eq!(right.status, 200);
    assert!(right.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let value = |name: &str| {
        let begin = format!("container_monkey_{name} ");
        let line = right.text.lines().find_map(|line| line.strip_prefix(&begin));
        line.unwrap_or_else(|| panic!("no {name} in {}", right.text)).parse::<f64>().unwrap()
    };
    let at = value(&format!("backup_last_success_timestamp_seconds{{container=\"{web}\"}}"));
    let now = chrono::Utc::now().timestamp();
    assert!((at - f64::from(i32::try_from(now).unwrap())).abs() < 120.0, "{at}");
    for (name, expected) in [
        (format!("backup_last_outcome{{container=\"{web}\"}}"), 1.0),
        ("vault_usable{storage=\"local\"}".to_owned(), 1.0),
        ("vault_backups{storage=\"local\"}".to_owned(), 1.0),
        ("jobs_queued".to_owned(), 0.0),
        (format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert!((value(&name) - expected).abs() < f64::EPSILON, "{name}: {}", value(&name));
    }
    assert!(value("vault_stored_bytes{storage=\"local\"}") > 0.0);
    assert!(right.text.ends_with("# EOF\n"));
}

fn switched_on_by_its_page(app: &App, admin: &Client) {
    let page = admin.get("/settings");
    let short = admin.submit_form(&page, "Save monitoring", &[("enabled", "true"), ("token", "short")]);
    assert_eq!((short.status, app.stranger().get("/metrics").status), (422, 404));
    assert!(short.texts("#mt-e")[0].contains("8 to 200"), "{}", short.text);
    let good = [("enabled", "true"), ("token", "T0PSECRET-page")];
    let saved = admin.follow(&admin.submit_form(&page, "Save monitoring", &good));
    assert_eq!(saved.texts("#metrics .good"), ["Saved"]);
    let script = app.stranger();
    assert_eq!(script.get("/metrics").status, 401);
    let with = |token: &str| script.get_with("/metrics", &[("Authorization", token)]).status;
    assert_eq!((with("Bearer T0PSECRET"), with("Bearer T0PSECRET-page")), (401, 200));
    for text in [&saved.text, &admin.get("/api/metrics/settings").text, &admin.get("/api/audit-logs").text] {
        assert!(!text.contains("T0PSECRET"), "{text}");
    }
    // It stays until it is taken away.
    admin.post("/api/metrics/settings", &json!({ "enabled": true })).expect(200);
    assert_eq!(script.get("/metrics").status, 401);
    admin.post("/api/metrics/settings", &json!({ "enabled": true, "forget_token": true })).expect(200);
    assert_eq!(script.get("/metrics").status, 200);
    admin.post("/api/metrics/settings", &json!({ "enabled": false })).expect(200);
    assert_eq!(script.get("/metrics").status, 404);
}

#[test]
fn each_request_and_each_step_of_a_job_is_a_line_in_the_log_without_secrets() {
    if in_container() {
        return;
    }
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &["-e", "PASSWORD=T0PSECRET"], &[]);
    admin.get("/vault?search=T0PSECRET");
    admin.sign_in("admin", "T0PSECRET");
    app.stranger().get_with("/api/containers", &[("Authorization", "Bearer T0PSECRET")]);
    admin.back_up(&web);
    let line = wait_for("the line", || app.logged("path=\"/vault\""));
    assert!(
        line.contains("method=GET") && line.contains("status=200") && line.contains("user=\"admin\""),
        "{line}"
    );
    let line = wait_for("the line", || app.logged("path=\"/api/containers\""));
    assert!(line.contains("status=401") && line.contains("user=\"-\""), "{line}");
    assert!(app.logged("step=").is_some(), "no step of the job");
    assert_eq!(app.logged("T0PSECRET"), None);
    assert_eq!(app.logged(crate::harness::PASSWORD), None);
}
