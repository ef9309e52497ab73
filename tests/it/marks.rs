//! Pinned backups stay, and notes are kept.

use serde_json::json;

use crate::harness::{App, Bench, wait_for};

#[test]
fn a_pinned_backup_is_kept_by_rules_and_refuses_to_go_until_it_is_unpinned() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &[], &[]);
    let plan = json!({
        "name": "Nightly", "schedule_type": "daily", "hour": 3, "minute": 0, "lifecycle": 1,
        "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "selection": "named", "containers": [web],
    });
    let schedule = admin.post("/api/schedules", &plan).expect(200)["schedule"]["id"].clone();
    let run = || {
        let path = format!("/api/schedules/{}/run", schedule.as_str().unwrap());
        let started = admin.post(&path, &json!({})).expect(202);
        let id = started["schedule_run"]["id"].as_str().unwrap().to_owned();
        wait_for("the schedule", || {
            admin.get(&format!("/api/schedule-runs/{id}")).expect(200)["finished"].is_string().then_some(())
        });
        admin.get(&format!("/api/backups?container={web}")).expect(200)["backups"].as_array().unwrap().clone()
    };
    let id = run()[0]["id"].as_str().unwrap().to_owned();
    let page = admin.get(&format!("/vault/{id}"));
    let pinned = admin.submit_form(&page, "Pin", &[]);
    assert!(admin.follow(&pinned).text.contains("Unpin"));
    let noted = admin.submit_form(&page, "Save note", &[("note", "  before the\tmove ")]);
    assert_eq!(noted.status, 303);
    run();
    let left = run();
    assert_eq!(left.len(), 2, "the newest, and the pinned one: {left:#?}");
    let kept = left.iter().find(|backup| backup["id"] == json!(id)).unwrap();
    assert_eq!((&kept["pinned"], &kept["note"]), (&json!(true), &json!("before the move")));
    let list = admin.get("/vault");
    assert!(list.text.contains("pinned") && list.text.contains("before the move"));

    let refused = admin.delete(&format!("/api/backup/{id}")).error(409);
    assert!(refused.contains("pinned"), "{refused}");
    let form = admin.get(&format!("/vault/{id}/delete"));
    assert_eq!(admin.submit_form(&form, "Delete backup", &[("confirm", &web)]).status, 409);
    admin.post(&format!("/api/backup/{id}/note"), &json!({ "note": "x".repeat(501) })).error(400);
    // It is read from the vault anew, and stays pinned.
    admin.post("/api/vaults/local/refresh", &json!({})).expect(200);
    assert_eq!(admin.get(&format!("/api/backups?container={web}")).expect(200)["total"], 2);
    // Several at once: each is verified, and deleted unless it must stay.
    let other = left.iter().find(|backup| backup["id"] != json!(id)).unwrap()["id"].as_str().unwrap();
    let chosen = [("ids", id.as_str()), ("ids", other)];
    let list = admin.get("/vault");
    assert_eq!(list.attributes("td.pick input[name=ids]", "value").len(), 2);
    let asked = admin.post("/api/backups/verify", &json!({ "ids": [id, other] })).expect(202);
    let run = asked["runs"][0]["progress_id"].as_str().unwrap();
    assert_eq!(admin.finished(run)["status"], "complete");
    let verified = admin.get(&format!("/api/backups?container={web}")).expect(200);
    assert!(
        verified["backups"].as_array().unwrap().iter().all(|it| it["verified"].is_string()),
        "{verified:#}"
    );
    let confirm = admin.submit("/vault/-/delete", &chosen);
    let lines = confirm.texts(".results li");
    assert!(lines[0].contains("Delete") && lines[1].contains("It is pinned"), "{lines:?}");
    assert_eq!(confirm.attributes("form[action$='/delete']", "action"), [format!("/vault/{other}/delete")]);
    assert_eq!(admin.submit("/vault/-/delete", &[("ids", other), ("confirm", "yes")]).status, 400);
    let missing = "0123456789abcdef";
    let some = admin.post("/api/backups/delete", &json!({ "ids": [id, other, missing] })).expect(207);
    let row = |place: usize| {
        let row = &some["results"][place];
        (row["success"].as_bool().unwrap(), row["error"].as_str().unwrap_or_default().to_owned())
    };
    assert!(!row(0).0 && row(0).1.contains("pinned"), "{some:#}");
    assert!(row(1).0 && !row(2).0 && row(2).1.contains("not found"), "{some:#}");
    let left = admin.get("/api/backups").expect(200);
    assert_eq!((&left["total"], &left["backups"][0]["id"]), (&json!(1), &json!(id)));
    assert!(admin.delete("/api/backups/delete-all").error(409).contains("1 of 1 backups are pinned"));
    let unpinned = admin.post(&format!("/api/backup/{id}/unpin"), &json!({})).expect(200);
    assert_eq!(unpinned["pinned"], false);
    assert!(admin.delete(&format!("/api/backup/{id}")).expect(200)["kept_until"].is_string());

    // Both are out of every list, also after that is read again, and can be brought back.
    admin.post("/api/vaults/local/refresh", &json!({})).expect(200);
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 0);
    admin.get(&format!("/api/backup/{id}/preview")).error(404);
    assert!(admin.get("/vault").text.contains("2 deleted"));
    let deleted = admin.get("/vault/-/deleted");
    assert_eq!(deleted.attributes("form input[name=ids]", "value").len(), 2);
    assert_eq!(admin.submit("/vault/-/undelete", &[("ids", &id)]).status, 303);
    let back = admin.get("/api/backups").expect(200);
    assert_eq!((&back["total"], &back["backups"][0]["note"]), (&json!(1), &json!("before the move")));
    admin.get(&format!("/api/backup/{id}/preview")).expect(200);
    admin.post("/api/backups/undelete", &json!({ "ids": [id] })).error(404);
    assert_eq!(admin.get("/api/backups/deleted").expect(200)["total"], 1);
    let all = admin.delete("/api/backups/delete-all").expect(200);
    assert_eq!((&all["success"], &all["results"][0]["success"]), (&json!(true), &json!(true)));
    assert_eq!(admin.get("/api/backups").expect(200)["total"], 0);
    let operations = admin.get("/api/audit-logs?limit=100").expect(200).to_string();
    for operation in ["pin_backup", "unpin_backup", "note_backup", "undelete_backup"] {
        assert!(operations.contains(operation), "{operation}");
    }
}
