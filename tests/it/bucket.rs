//! Vaults in a bucket: set up, backed up into, shared, and the storage failing in all its ways.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{
    App, Bench, Bucket, Client, Fault, Metadata, Mood, Options, PASSWORD, POD_TOKEN, ROLE_TOKEN, Receiver,
    SECRET_KEY, in_container,
};

fn key(app: &App) -> String {
    fs::read_to_string(app.data().join("config/vault.key")).unwrap().trim().to_owned()
}

fn with_file(bench: &Bench, name: &str, text: &str) -> (String, String) {
    let volume = bench.volume(name);
    let mount = format!("{volume}:/data");
    let write = format!("[ -e /data/file ] || echo {text} > /data/file; touch /ready; exec sleep 1000");
    let container = bench.run(name, &["-v", &mount], &["sh", "-c", &write]);
    crate::harness::wait_for("the file", || {
        (bench.docker(&["exec", &container, "cat", "/data/file"]) == text).then_some(())
    });
    (container, volume)
}

fn lose(bench: &Bench, container: &str, volume: &str) {
    bench.docker(&["rm", "-f", container]);
    bench.docker(&["volume", "rm", volume]);
}

fn restored(admin: &Client, bench: &Bench, backup: &Value, container: &str, text: &str) {
    let restore = admin.restore(backup["backup_id"].as_str().unwrap(), json!({}));
    assert_eq!(restore["status"], "complete", "{restore}");
    assert_eq!(bench.docker(&["exec", container, "cat", "/data/file"]), text);
}

#[test]
fn a_container_goes_into_a_bucket_and_comes_back() {
    let (bench, bucket) = (Bench::new(), Bucket::start());
    let app = App::start();
    let admin = app.admin();
    let (web, volume) = with_file(&bench, "web", "kept");
    let connected = bucket.connect(&app, &json!({}));
    assert_eq!(connected["s3_secret_key"], "***");
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup}");
    let list = admin.get("/api/backups").expect(200);
    assert_eq!(list["backups"][0]["storage_location"], "s3");
    bucket.restic(&key(&app), &["check", "--read-data"]);
    lose(&bench, &web, &volume);
    restored(&admin, &bench, &backup, &web, "kept");

    // Nowhere does the program show the secret, and it is not written down as it is.
    for page in ["/settings/storage", "/api/storage/settings", "/api/audit-logs"] {
        assert!(!admin.get(page).text.contains(SECRET_KEY), "{page}");
    }
    let kept = fs::read_to_string(app.data().join("config/storage.json")).unwrap();
    assert!(kept.contains("monkey") && !kept.contains(SECRET_KEY) && !kept.contains(&key(&app)));
    assert!(app.logged(SECRET_KEY).is_none());

    // The bucket is known without the database, which may be lost.
    let data = app.stop();
    for entry in fs::read_dir(data.join("config")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".db") {
            fs::remove_file(path).unwrap();
        }
    }
    let app = App::start_with(Options { data: Some(data.clone()), ..Options::default() });
    let admin = app.admin();
    crate::harness::wait_for("the list", || {
        (admin.get("/api/backups?storage=s3").expect(200)["total"] == 1).then_some(())
    });
    assert_eq!(admin.get("/api/storage/settings").expect(200)["storage_type"], "s3");
    drop(app);
    fs::remove_dir_all(data).unwrap();
}

/// The bucket, signed in to with the machine's role.
fn with_role(bucket: &Bucket) -> Value {
    let mut settings = bucket.settings();
    settings["s3_credentials"] = json!("instance");
    settings["s3_access_key"] = json!("");
    settings["s3_secret_key"] = json!("");
    settings
}

#[test]
fn the_role_of_a_machine_opens_the_bucket() {
    let (bench, bucket, metadata) = (Bench::new(), Bucket::start(), Metadata::start());
    let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let app = App::start_with(Options::default().with(variable, metadata.endpoint()));
    let admin = app.admin();
    bucket.connect(&app, &with_role(&bucket));
    let (web, volume) = with_file(&bench, "web", "by-role");
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup}");
    lose(&bench, &web, &volume);
    restored(&admin, &bench, &backup, &web, "by-role");
    // Neither the keys nor who gives them are kept.
    let kept = fs::read_to_string(app.data().join("config/storage.json")).unwrap();
    assert!(!kept.contains(ROLE_TOKEN) && !kept.contains(&metadata.endpoint()), "{kept}");

    let test = || {
        let began = Instant::now();
        let why = admin.post("/api/storage/test-s3", &with_role(&bucket)).error(400);
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}: {why}", began.elapsed());
        assert!(why.contains("This machine gives no credentials: the metadata service at"), "{why}");
        assert!(why.contains(&metadata.endpoint()), "{why}");
        why
    };
    metadata.mood(Mood::NoRole);
    assert!(test().contains("knows no role"));
    metadata.mood(Mood::Silent);
    assert!(test().contains("does not answer"));
    metadata.mood(Mood::Gives);
    admin.post("/api/storage/test-s3", &with_role(&bucket)).expect(200);
}

#[test]
fn a_machine_without_a_role_is_told() {
    let bucket = Bucket::start();
    let nobody = "http://127.0.0.1:1";
    let app = App::start_with(Options::default().with("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody));
    let why = app.admin().post("/api/storage/settings", &with_role(&bucket)).error(400);
    assert!(why.contains(&format!("the metadata service at {nobody} does not answer")), "{why}");
}

#[test]
fn the_role_of_a_pod_opens_the_bucket() {
    let (bucket, agent) = (Bucket::start(), Metadata::start());
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    fs::write(&token, POD_TOKEN).unwrap();
    let url = format!("{}/v1/credentials", agent.endpoint());
    let app = App::start_with(
        Options::default()
            .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)
            .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.display().to_string()),
    );
    let admin = app.admin();
    let test = || admin.post("/api/storage/test-s3", &with_role(&bucket));
    if !in_container() {
        test().expect(200);
        fs::write(&token, "of somebody else").unwrap();
        let why = test().error(400);
        assert!(why.contains(&format!("the agent at {url} refused with 401")), "{why}");
    }
    fs::remove_file(&token).unwrap();
    let why = test().error(400);
    assert!(why.contains("token file") && why.contains("can't be read"), "{why}");
}

#[test]
fn two_servers_share_a_bucket_while_one_prunes() {
    let (bench, bucket) = (Bench::new(), Bucket::start());
    let named = |name: &str| App::start_with(Options::default().with("MONKEY_SERVER_NAME", name));
    let (nas, attic) = (named("nas"), named("attic"));
    bucket.connect(&nas, &json!({}));
    // Somebody else's key opens nothing, and does no harm.
    let mut wrong = bucket.settings();
    wrong["s3_vault_key"] = json!("no such key");
    let answer = attic.admin().post("/api/storage/settings", &wrong).error(400);
    assert!(answer.contains("not its key"), "{answer}");
    bucket.connect(&attic, &json!({ "s3_vault_key": key(&nas) }));

    let (of_nas, of_attic) = (nas.admin(), attic.admin());
    let (web, web_volume) = with_file(&bench, "web", "of-nas");
    let (wiki, wiki_volume) = with_file(&bench, "wiki", "of-attic");
    // Something for a prune to take: a backup that goes again.
    let old = of_nas.back_up(&web);
    let old = old["backup_id"].as_str().unwrap();
    of_nas.post("/api/maintenance", &json!({ "keep_deleted": 0 })).expect(200);
    of_nas.delete(&format!("/api/backup/{old}")).expect(200);

    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| (0..3).map(|_| of_nas.back_up(&web)).collect::<Vec<_>>());
        let two = scope.spawn(|| (0..3).map(|_| of_attic.back_up(&wiki)).collect::<Vec<_>>());
        (one.join().unwrap(), two.join().unwrap())
    });
    for backup in one.iter().chain(&two) {
        assert_eq!(backup["status"], "complete", "{backup}");
    }
    bucket.restic(&key(&nas), &["check", "--read-data"]);

    // Each sees the other's backups, restores them, and never takes them for its own.
    of_attic.post("/api/vaults/s3/refresh", &json!({})).expect(200);
    let list = of_attic.get("/api/backups?storage=s3&limit=50").expect(200);
    assert_eq!(list["total"], 6, "{list}");
    assert_eq!(of_attic.get("/api/backups?server=nas").expect(200)["total"], 3);
    lose(&bench, &web, &web_volume);
    lose(&bench, &wiki, &wiki_volume);
    for backup in &one {
        restored(&of_attic, &bench, backup, &web, "of-nas");
        lose(&bench, &web, &web_volume);
    }
    restored(&of_attic, &bench, &two[2], &wiki, "of-attic");
}

#[test]
fn what_is_there_already_is_told() {
    let bucket = Bucket::start();
    let app = App::start();
    let admin = app.admin();
    let save = |more: &Value| {
        let mut settings = bucket.settings();
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        admin.post("/api/storage/settings", &settings)
    };
    // Not a vault.
    fs::create_dir_all(bucket.directory().join("photos")).unwrap();
    fs::write(bucket.directory().join("photos/cat.jpg"), "miaow").unwrap();
    let answer = save(&json!({ "s3_prefix": "photos" })).error(400);
    assert!(answer.contains("is not a vault") && answer.contains("another prefix"), "{answer}");
    assert_eq!(fs::read_dir(bucket.directory().join("photos")).unwrap().count(), 1, "nothing was touched");
    // No such bucket, a wrong secret, an unknown key, nobody there.
    let answer = save(&json!({ "s3_bucket": "other" })).error(400);
    assert!(answer.contains("There is no bucket other"), "{answer}");
    let answer = save(&json!({ "s3_secret_key": "wrong" })).error(400);
    assert!(answer.contains("secret key") || answer.contains("refused"), "{answer}");
    let answer = save(&json!({ "s3_endpoint": "http://127.0.0.1:1" })).error(400);
    assert!(answer.contains("can't be reached"), "{answer}");
    let answer = save(&json!({ "s3_endpoint": "ftp://nas" })).expect(400);
    assert!(answer["fields"]["s3_endpoint"].as_str().unwrap().contains("https://"), "{answer}");
    assert_eq!(save(&json!({ "s3_endpoint": "http://:9000" })).status, 400);
    // A right that is missing is named.
    for (method, right) in [("PUT", "write"), ("DELETE", "delete")] {
        bucket.fault(Fault::Forbids(method));
        let answer = admin.post("/api/storage/test-s3", &bucket.settings()).error(400);
        assert!(answer.contains(&format!("may not {right}")), "{answer}");
    }
    bucket.fault(Fault::None);
    assert_eq!(admin.get("/api/storage/settings").expect(200)["s3_configured"], false, "nothing was saved");
    let answer = admin.post("/api/storage/test-s3", &bucket.settings()).expect(200);
    assert_eq!(answer["success"], true);

    save(&json!({})).expect(200);
    // A vault that vanished is not made anew.
    fs::remove_dir_all(bucket.directory().join("monkey")).unwrap();
    let answer = save(&json!({ "s3_secret_key": "***" })).error(400);
    assert!(answer.contains("is gone") && answer.contains("Nothing was made"), "{answer}");
    admin.delete("/api/storage/s3").expect(200);
    save(&json!({})).expect(200);
}

#[test]
fn a_storage_that_fails_fails_the_backup_with_its_cause() {
    let (bench, bucket) = (Bench::new(), Bucket::start());
    let mut app = App::start();
    app.expect_errors();
    let admin = app.admin();
    let (web, _) = with_file(&bench, "web", "kept");
    bucket.connect(&app, &json!({}));
    assert_eq!(admin.back_up(&web)["status"], "complete");
    // Short faults are got over.
    for fault in [
        Fault::Refuses(503, "SlowDown"),
        Fault::Refuses(500, "InternalError"),
        Fault::Slow(300),
        Fault::Resets,
        Fault::Truncates,
    ] {
        bucket.fault_after(3, 2, fault);
        let backup = admin.back_up(&web);
        assert_eq!(backup["status"], "complete", "{fault:?}: {backup}");
    }
    bucket.fault(Fault::WrongTag);
    assert_eq!(admin.back_up(&web)["status"], "complete");
    // Lasting ones are told, and leave a good vault.
    for (fault, words) in [
        (Fault::Refuses(403, "ExpiredToken"), "expired"),
        (Fault::Refuses(403, "AccessDenied"), "refused access"),
        (Fault::Refuses(404, "NoSuchBucket"), "There is no bucket"),
        (Fault::Forbids("PUT"), "refused access"),
    ] {
        bucket.fault_after(2, usize::MAX, fault);
        let run = admin.back_up(&web);
        assert_eq!(run["status"], "error", "{fault:?}: {run}");
        let error = run["error"].as_str().unwrap();
        assert!(error.contains(words), "{fault:?}: {error}");
        // The pages stay.
        assert_eq!(admin.get("/vault").status, 200);
        bucket.fault(Fault::None);
        admin.post("/api/vaults/s3/refresh", &json!({})).expect(200);
        bucket.restic(&key(&app), &["check"]);
    }
    assert_eq!(admin.back_up(&web)["status"], "complete");
    if !in_container() {
        bucket.restic(&key(&app), &["check", "--read-data"]);
    }
}

/// A line of the recovery kit.
fn line<'a>(kit: &'a str, name: &str) -> &'a str {
    let found = kit.lines().rev().find_map(|line| line.trim().strip_prefix(name));
    found.unwrap_or_else(|| panic!("{name} in {kit}")).trim()
}

#[test]
fn a_container_moves_to_a_blank_machine_with_the_recovery_kit() {
    let (bench, bucket) = (Bench::new(), Bucket::start());
    let app = App::start();
    let admin = app.admin();
    let (web, volume) = with_file(&bench, "web", "moved");
    bucket.connect(&app, &json!({ "storage_type": "local" }));
    let backup = admin.back_up(&web);
    let id = backup["backup_id"].as_str().unwrap();
    // Into the bucket, by hand; once is enough, also while a deleted copy can still be brought back.
    for again in 0..3 {
        let copy = admin.post(&format!("/api/backup/{id}/copy"), &json!({})).expect(202);
        let copy = admin.finished(copy["progress_id"].as_str().unwrap());
        assert_eq!(copy["status"], "complete", "{copy}");
        let list = admin.get("/api/backups?storage=s3").expect(200);
        assert_eq!(list["total"], 1, "{list}");
        if again == 1 {
            let there = list["backups"][0]["id"].as_str().unwrap();
            admin.delete(&format!("/api/backup/s3:{there}")).expect(200);
            assert_eq!(admin.get("/api/backups?storage=s3").expect(200)["total"], 0);
        }
    }
    let receiver = Receiver::start();
    let schedule = set_up(&admin, &receiver, &web);
    bucket.restic(&key(&app), &["check", "--read-data"]);

    // The kit is for who knows the password, reminds until it is put away, and again when a vault changes.
    let reminder = "Your recovery kit is not saved yet";
    assert!(
        admin
            .post("/api/vault-key", &json!({ "password": "guess" }))
            .error(400)
            .contains("not your password")
    );
    let kit = admin.post("/api/vault-key", &json!({ "password": PASSWORD }));
    assert_eq!(kit.header("cache-control"), Some("no-store"));
    let kit = kit.expect(200)["kit"].as_str().unwrap().to_owned();
    assert_eq!(admin.get("/api/vault-key").expect(200), json!({ "saved": false }));
    admin.post("/api/vault-key/saved", &json!({})).expect(200);
    assert_eq!(admin.get("/api/vault-key").expect(200), json!({ "saved": true }));
    assert!(!admin.get("/containers").text.contains(reminder));
    let log = admin.get("/api/audit-logs?operation_type=vault_key").expect(200);
    assert!(!log.to_string().contains(&key(&app)) && log.to_string().contains("wrong password"), "{log}");

    // Nothing is left but the bucket and the kit.
    drop(app);
    lose(&bench, &web, &volume);
    let blank = App::start();
    let admin = blank.admin();
    let page = admin.get("/settings/storage");
    // Another vault's key, another place, and a key of S3 that is no good.
    for (part, instead, field, words) in [
        (line(&kit, "key of the vault"), "no such key", "#vk-e", "this is not its key"),
        (line(&kit, "prefix"), "elsewhere", "#pf-e", "There is no vault in s3://backups/elsewhere"),
        (SECRET_KEY, "wrong", "#bu-e", "refused the secret key"),
    ] {
        let wrong = kit.replace(part, instead);
        let again = admin.submit_form(&page, "Open the vault", &[("kit", &wrong)]);
        assert_eq!(again.status, 422, "{}", again.text);
        assert!(again.texts(field).join(" ").contains(words), "{field}: {}", again.text);
        // What is not secret need not be typed again.
        assert_eq!(again.attributes("#bu", "value"), ["backups"]);
        assert!(!again.text.contains(SECRET_KEY));
        assert_eq!(admin.get("/api/storage/settings").expect(200)["s3_configured"], false);
    }
    let list = admin.follow(&admin.submit_form(&page, "Open the vault", &[("kit", &kit)]));
    assert!(list.texts(".toast")[0].contains("The vault in the bucket is open: 1 backup"), "{}", list.text);
    let list = admin.get("/api/backups").expect(200);
    assert_eq!(list["total"], 1);
    restored(&admin, &bench, &json!({ "backup_id": list["backups"][0]["id"] }), &web, "moved");
    settings_come_back(&admin, &receiver, &schedule);
    assert!(blank.logged(HOOK).is_none());
}

/// What only the server of a channel may see.
const HOOK: &str = "T0PSECRET";

/// Makes what a server has settings for, and saves them in its vaults; the schedule's id.
fn set_up(admin: &Client, receiver: &Receiver, container: &str) -> String {
    let plan = json!({
        "name": "Nightly", "schedule_type": "daily", "hour": 3, "minute": 0, "lifecycle": 7,
        "selection": "named", "containers": [container], "storage": "s3",
    });
    let made = admin.post("/api/schedules", &plan).expect(200);
    let schedule = made["schedule"]["id"].as_str().unwrap().to_owned();
    // In a container the program does not see this receiver.
    if !in_container() {
        let url = format!("generic+http://127.0.0.1:{}/{HOOK}", receiver.port);
        let channel = json!({ "url": url, "name": "Phone", "schedule": schedule });
        admin.post("/api/notifications", &channel).expect(201);
    }
    let copy = admin.get("/api/backups?storage=s3").expect(200)["backups"][0]["id"].clone();
    admin.post(&format!("/api/backup/s3:{}/pin", copy.as_str().unwrap()), &json!({})).expect(200);

    let before = admin.get("/api/saved-settings").expect(200);
    assert_eq!((&before["vaults"][1]["newest"], &before["settings"]), (&Value::Null, &json!([])));
    let saved = admin.post("/api/saved-settings", &json!({})).expect(200);
    assert_eq!(saved["storage_locations"], json!(["local", "s3"]));
    // Once more saves nothing, for nothing has changed.
    admin.post("/api/saved-settings", &json!({})).expect(200);
    let after = admin.get("/api/saved-settings").expect(200);
    assert_eq!(after["settings"].as_array().unwrap().len(), 2, "{after}");
    assert!(after["vaults"].as_array().unwrap().iter().all(|vault| vault["current"] == true), "{after}");
    assert_eq!(after["offer"], Value::Null, "its own are not offered");
    // They are no backups.
    admin.post("/api/vaults/s3/refresh", &json!({})).expect(200);
    assert_eq!(admin.get("/api/backups?storage=s3").expect(200)["total"], 1);

    // As a file, for who knows the password.
    let download =
        |password: &str| admin.post("/api/saved-settings/download", &json!({ "password": password }));
    assert!(download("guess").error(400).contains("not your password"));
    let file = download(PASSWORD);
    assert_eq!(file.header("cache-control"), Some("no-store"));
    let file = file.expect(200);
    assert_eq!((&file["format"], &file["schedules"][0]["plan"]["name"]), (&json!(1), &json!("Nightly")));
    schedule
}

fn settings_come_back(admin: &Client, receiver: &Receiver, schedule: &str) {
    let offer = admin.get("/api/saved-settings").expect(200)["offer"].clone();
    assert_eq!((&offer["server_name"], &offer["schedules"]), (&json!("test-server"), &json!(1)));
    assert!(admin.get("/settings/storage").text.contains("Settings of test-server are in the vault"));
    let address = format!("/api/saved-settings/{}", offer["id"].as_str().unwrap());
    let review = admin.get(&address).expect(200);
    assert_eq!(review["review"]["schedules"]["items"][0]["change"], "new", "{review}");
    assert_eq!((&review["elsewhere"], &review["review"]["run"]["suggested"]), (&json!(true), &json!(false)));
    assert!(!review.to_string().contains(HOOK) && !review.to_string().contains(SECRET_KEY), "{review}");
    assert_eq!(admin.get("/api/schedules").expect(200)["schedules"], json!([]), "so far nothing has changed");

    // By its form: what is ticked there, and the API tokens not.
    let page = admin.get(&address.replace("/api/saved-settings", "/settings/saved"));
    assert_eq!(page.texts("h1"), ["Settings of test-server"]);
    let done = admin.submit_form(&page, "Restore", &[]);
    assert_eq!(done.status, 303, "{}", done.text);
    let found = admin.get(&format!("/api/schedules/{schedule}")).expect(200);
    assert_eq!((&found["name"], &found["enabled"]), (&json!("Nightly"), &json!(false)));
    let pinned = admin.get("/api/backups?storage=s3").expect(200)["backups"][0]["pinned"].clone();
    assert_eq!(pinned, true);
    if !in_container() {
        let channel = admin.get("/api/notifications").expect(200)["channels"][0].clone();
        assert_eq!((&channel["name"], &channel["schedule"]), (&json!("Phone"), &json!(schedule)));
        receiver.take();
        admin.post(&format!("/api/notifications/{}/test", channel["id"]), &json!({})).expect(200);
        assert_eq!(receiver.take()[0].path, format!("/{HOOK}"), "its secret came along");
    }
    // Once more finds all of it here.
    let again = admin.post(&address, &json!({})).expect(200);
    assert_eq!((&again["schedules"], &again["channels"]), (&json!([]), &json!([])), "{again}");
    assert_eq!(admin.get("/api/saved-settings").expect(200)["offer"], Value::Null);
    let log = admin.get("/api/audit-logs?operation_type=restore_settings").expect(200);
    assert!(log.to_string().contains("Nightly") && !log.to_string().contains(HOOK), "{log}");
}
