//! Damage in the vault is found, and leads to backups and files.

use std::fs;

use serde_json::json;

use crate::harness::{App, Bench, run};

#[test]
fn damage_is_found_named_and_shown_until_it_is_gone() {
    let bench = Bench::new();
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let volume = bench.volume("data");
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    let noise = fs::File::open("/dev/urandom").unwrap();
    let mut content = vec![0; 3_000_000];
    std::io::Read::read_exact(&mut &noise, &mut content).unwrap();
    fs::write(bench.path(&volume).join("precious"), content).unwrap();
    let id = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();

    let page = admin.get("/vault/verify");
    let queued = admin.submit_form(&page, "Verify", &[("percent", "100")]);
    let job = queued.header("location").unwrap().trim_start_matches("/jobs/").to_owned();
    let done = admin.finished(&job);
    assert_eq!(done["status"], "complete", "{done:#}");
    let backup = || admin.get(&format!("/api/backups?container={web}")).expect(200)["backups"][0].clone();
    assert!(backup()["verified"].is_string() && backup()["damage"].is_null(), "{:#}", backup());

    // The largest pack holds the file.
    let data = app.data().join("vault/data");
    let list = run("find", &[data.to_str().unwrap(), "-type", "f", "-size", "+2M"]);
    let pack = list.lines().next().unwrap();
    let good = fs::read(pack).unwrap();
    fs::remove_file(pack).unwrap();
    let asked = admin.post(&format!("/api/backup/{id}/verify"), &json!({})).expect(202);
    let bad = admin.finished(asked["progress_id"].as_str().unwrap());
    assert_eq!(bad["status"], "error", "{bad:#}");
    assert!(bad["error"].as_str().unwrap().contains(&web), "{bad:#}");
    assert!(backup()["damage"].as_str().unwrap().contains("/precious"), "{:#}", backup());
    assert!(admin.get("/vault").text.contains("Damaged"));
    assert!(admin.get(&format!("/vault/{id}")).text.contains("/precious"));
    let audit = admin.get("/api/audit-logs?operation_type=verify").expect(200);
    assert_eq!(audit["logs"][0]["status"], "error", "{audit:#}");

    fs::write(pack, good).unwrap();
    let asked = admin.post("/api/vaults/local/verify", &json!({ "percent": 100 })).expect(202);
    assert_eq!(admin.finished(asked["progress_id"].as_str().unwrap())["status"], "complete");
    assert!(backup()["damage"].is_null());
    assert!(done["bytes_total"].as_u64().unwrap() > 3_000_000, "what was read: {done:#}");

    // Deleting frees space: one job marks it, and says from when on it is free.
    admin.post("/api/maintenance", &json!({ "keep_deleted": 0 })).expect(200);
    let confirm = admin.get(&format!("/vault/{id}/delete"));
    assert!(confirm.text.contains("its space is free from"), "{}", confirm.text);
    admin.delete(&format!("/api/backup/{id}")).expect(200);
    let runs = admin.get("/api/runs").expect(200);
    let prune = runs["runs"].as_array().unwrap().iter().find(|run| run["kind"] == "prune").unwrap();
    let freed = admin.finished(prune["id"].as_str().unwrap());
    assert_eq!(freed["status"], "complete", "{freed:#}");
    assert!(freed["log"].to_string().contains("its space is free from"), "{freed:#}");
    let again = admin.post("/api/vaults/local/prune", &json!({})).expect(202);
    assert_eq!(admin.finished(again["progress_id"].as_str().unwrap())["status"], "complete");

    let set = json!({ "verify": "monthly", "percent": 10, "prune": "daily" });
    assert!(admin.post("/api/maintenance", &set).expect(200)["next_verification"].is_string());
    let page = admin.get("/settings/maintenance");
    let saved = admin.follow(&admin.submit_form(&page, "Save", &[("verify", "off")]));
    assert_eq!(saved.texts(".form-foot .good"), ["Saved"]);
    let now = admin.get("/api/maintenance").expect(200);
    assert_eq!(
        (&now["verify"], &now["percent"], &now["prune"]),
        (&json!("off"), &json!(10), &json!("daily"))
    );
    assert!(now["next_verification"].is_null());
    admin.post("/api/maintenance", &json!({ "verify": "sometimes" })).error(400);
    admin.post("/api/maintenance", &json!({ "percent": 101 })).error(400);
    admin.post("/api/vaults/tape/prune", &json!({})).error(400);
    admin.post("/api/vaults/local/verify", &json!({ "percent": 101 })).error(400);
    admin.post("/api/vaults/tape/verify", &json!({})).error(400);
}
