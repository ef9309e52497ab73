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
    admin.post("/api/vaults/local/verify", &json!({ "percent": 101 })).error(400);
    admin.post("/api/vaults/tape/verify", &json!({})).error(400);
}
