//! API tokens: shown once, kept as a fingerprint, scoped, ending.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Answer, App, Bench, Client, run};

/// A new token.
fn make(admin: &Client, name: &str, scope: &str) -> String {
    let made = admin.post("/api/tokens", &json!({ "name": name, "scope": scope })).expect(201);
    made["token"].as_str().unwrap().to_owned()
}

fn get(script: &Client, path: &str, token: &str) -> Answer {
    script.get_with(path, &[("Authorization", &format!("Bearer {token}"))])
}

fn post(script: &Client, path: &str, token: &str, body: &Value) -> Answer {
    let headers = [("Authorization", &*format!("Bearer {token}")), ("Content-Type", "application/json")];
    script.post_with(path, &headers, &body.to_string())
}

#[test]
fn a_token_may_what_its_scope_says_and_nothing_else() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let web = bench.run("web", &["-e", "DB_PASSWORD=hunter2"], &[]);
    let [read, operate, all] = ["read", "operate", "admin"].map(|scope| make(&admin, scope, scope));
    let script = app.stranger();
    let allowed = |token: &str, answer: Answer, path: &str| {
        assert!(answer.status < 300, "{token} {path}: {} {}", answer.status, answer.text);
    };
    for path in [
        "/api/containers",
        "/api/backups",
        "/api/runs",
        "/api/statistics",
        "/api/dashboard-stats",
        "/api/volumes",
        "/api/notifications",
        "/api/saved-settings",
    ] {
        for token in [&read, &operate, &all] {
            allowed(token, get(&script, path, token), path);
        }
    }
    let logs = format!("/api/container/{web}/logs");
    assert!(get(&script, &logs, &read).error(403).contains("“operate”"));
    allowed(&operate, get(&script, &logs, &operate), &logs);
    for path in [
        format!("/api/container/{web}/inspect"),
        format!("/api/container/{web}/details"),
        format!("/containers/{web}"),
        "/api/tokens".to_owned(),
        "/api/audit-logs".to_owned(),
        "/api/nothing-here".to_owned(),
    ] {
        for token in [&read, &operate] {
            let refused = get(&script, &path, token);
            assert_eq!(refused.status, 403, "{path}: {}", refused.text);
            assert!(!refused.text.contains("hunter2"));
        }
        let answer = get(&script, &path, &all);
        assert_eq!(
            answer.status,
            if path.contains("nothing") { 404 } else { 200 },
            "{path}: {}",
            answer.text
        );
    }
    let backup = format!("/api/backup/{web}");
    post(&script, &backup, &read, &json!({})).error(403);
    assert_eq!(admin.get("/api/runs").expect(200)["total"], 0, "nothing was begun");
    let asked = post(&script, &backup, &operate, &json!({})).expect(202);
    let done = admin.finished(asked["progress_id"].as_str().unwrap());
    assert_eq!(done["status"], "complete");
    assert_eq!(done["user"], "admin (token operate)");
    // Which files there are, not what is in them.
    let files = format!("/api/backup/{}/files?path={web}", done["backup_id"].as_str().unwrap());
    assert!(get(&script, &files, &read).expect(200).to_string().contains("backup.json"));
    let content = files.replace("/files?", "/file?") + "/backup.json";
    assert!(!get(&script, &content, &operate).error(403).contains("hunter2"));
    for path in
        [format!("/api/container/{web}/exec"), "/api/restore-backup".to_owned(), "/api/tokens".to_owned()]
    {
        let body =
            json!({ "command": "true", "filename": done["backup_id"], "name": "more", "scope": "admin" });
        post(&script, &path, &operate, &body).error(403);
    }
    // A deletion among actions that the scope has, also in other letters.
    for action in ["delete", "%64elete", "backup/../delete"] {
        let refused = post(&script, &format!("/api/containers/{action}"), &operate, &json!({ "ids": [web] }));
        assert!([403, 404].contains(&refused.status), "{action}: {}", refused.text);
    }
    assert!(bench.is_running(&web));
    post(&script, &format!("/api/container/{web}/stop"), &operate, &json!({})).expect(200);
    assert!(!bench.is_running(&web));
    let entry = admin.get("/api/audit-logs?operation_type=container_stop").expect(200)["logs"][0].clone();
    assert_eq!(entry["user"], "admin (token operate)");
    let ran = post(&script, &format!("/api/container/{web}/start"), &all, &json!({}));
    assert_eq!(ran.status, 200);
    // A script never gets a session, whatever it does.
    for answer in [ran, get(&script, "/api/containers", &all), get(&script, "/settings", &all)] {
        assert_eq!(answer.header("set-cookie"), None);
    }
    script.get("/api/containers").error(401);
}

#[test]
fn a_token_is_shown_once_and_opens_nothing_once_it_has_ended() {
    let app = App::start();
    let admin = app.admin();
    let page = admin.get("/settings/tokens");
    assert!(page.text.contains("No tokens yet"));
    let made = admin.submit_form(&page, "Create token", &[("name", "homepage")]);
    assert_eq!(made.status, 201, "{}", made.text);
    let token = made.texts("#tok")[0].clone();
    assert!(token.starts_with("cmk_") && token.len() == 47, "{token}");
    let list = admin.get("/settings/tokens");
    assert!(list.text.contains("homepage") && !list.text.contains(&token));
    let row = admin.get("/api/tokens").expect(200)["tokens"][0].clone();
    assert_eq!((&row["scope"], &row["last_used"]), (&json!("read"), &Value::Null));
    assert!(row["expires"].is_string(), "{row:#}");
    let script = app.stranger();
    get(&script, "/api/containers", &token).expect(200);
    assert!(admin.get("/api/tokens").expect(200)["tokens"][0]["last_used"].is_string());
    for file in fs::read_dir(app.data().join("config")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "it is kept somewhere");
    }
    assert!(app.logged(&token).is_none());
    // Another one; then its time is over.
    let other = make(&admin, "other", "read");
    let database = app.data().join("config/monkey.db");
    run("sqlite3", &[database.to_str().unwrap(), "UPDATE api_tokens SET expires = 1 WHERE name = 'other'"]);
    assert!(get(&script, "/api/containers", &other).error(401).contains("expired"));
    assert!(admin.get("/settings/tokens").text.contains("expired"));
    let id = row["id"].as_i64().unwrap();
    let dialog = admin.get(&format!("/settings/tokens/{id}/revoke"));
    assert_eq!(admin.submit_form(&dialog, "Revoke token", &[]).status, 303);
    get(&script, "/api/containers", &token).error(401);
    admin.delete(&format!("/api/tokens/{id}")).error(404);
    let log = admin.get("/api/audit-logs?search=token_").expect(200);
    assert_eq!(log["total"], 3, "{log:#}");
    assert!(!log.to_string().contains(&token));
}

#[test]
fn wrong_wishes_and_wrong_tokens_are_refused_with_their_reason() {
    let app = App::start();
    let admin = app.admin();
    make(&admin, "taken", "read");
    for (body, field) in [
        (json!({ "name": " ", "scope": "read" }), "name"),
        (json!({ "name": "Taken", "scope": "read" }), "name"),
        (json!({ "name": "a", "scope": "everything" }), "scope"),
        (json!({ "name": "a", "scope": "read", "expires_in_days": 0 }), "expires_in_days"),
        (json!({ "name": "a", "scope": "read", "expires_in_days": "soon" }), "expires_in_days"),
    ] {
        let refused = admin.post("/api/tokens", &body).expect(400);
        assert!(refused["fields"][field].is_string(), "{body}: {refused:#}");
    }
    let again =
        admin.submit("/settings/tokens", &[("name", "taken"), ("scope", "operate"), ("expires_in_days", "")]);
    assert_eq!(again.status, 422);
    assert_eq!(again.attributes("#tn", "value"), ["taken"]);
    assert_eq!(again.texts("#tn-e"), ["Another token has this name."]);
    assert_eq!(again.attributes("[name=scope][checked]", "value"), ["operate"]);
    assert_eq!(admin.get("/api/tokens").expect(200)["tokens"].as_array().unwrap().len(), 1);
    let script = app.stranger();
    for bad in ["", "cmk_", "cmk_0000000000000000000000000000000000000000000", "' OR 1=1 --"] {
        get(&script, "/api/containers", bad).error(401);
    }
    // A wrong token is not helped by a good cookie; a proxy's own header is not ours.
    get(&admin, "/api/containers", "cmk_wrong").error(401);
    admin.get_with("/api/containers", &[("Authorization", "Basic YTpi")]).expect(200);
    // A page of another site can't use a token either.
    let token = make(&admin, "other", "admin");
    let headers = [("Authorization", &*format!("Bearer {token}")), ("Sec-Fetch-Site", "cross-site")];
    script.post_with("/api/cleanup/temp-containers", &headers, "").error(403);
}
