//! What changed: between two backups, and between a backup and now.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use serde_json::{Value, json};

use crate::harness::{App, Bench};

/// Each change with its path, sorted.
fn told(found: &Value) -> Vec<(&str, &str)> {
    let items = found["items"].as_array().unwrap().iter();
    let mut told: Vec<_> =
        items.map(|item| (item["change"].as_str().unwrap(), item["path"].as_str().unwrap())).collect();
    told.sort_unstable();
    told
}

#[test]
fn what_changed_between_backups_and_since_one_is_told() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (volume, cache) = (bench.volume("data"), bench.volume("cache"));
    let root = bench.path(&volume);
    fs::create_dir(root.join("old")).unwrap();
    for number in 0..3 {
        fs::write(root.join(format!("old/{number}")), [7; 100]).unwrap();
    }
    fs::write(root.join("same"), "same").unwrap();
    fs::write(root.join("notes.txt"), "one").unwrap();
    fs::write(bench.path(&cache).join("file"), "cached").unwrap();
    let mounts = [format!("{volume}:/data"), format!("{cache}:/cache")];
    let options = ["-v", &mounts[0], "-v", &mounts[1], "-e", "TOKEN=first-secret", "-e", "COLOUR=red"];
    let web = bench.run("web", &options, &[]);
    let first = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();

    bench.docker(&["rm", "-f", &web]);
    let options = ["-v", &mounts[0], "-v", &mounts[1], "-e", "TOKEN=second-secret", "-e", "COLOUR=blue"];
    bench.run("web", &options, &[]);
    fs::write(root.join("notes.txt"), "two!").unwrap();
    fs::remove_dir_all(root.join("old")).unwrap();
    fs::write(root.join("new"), [1; 50]).unwrap();
    let second = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();

    // Whichever is asked for, the earlier one is before; without a base it is the previous one.
    let address = format!("/api/backup/{second}/changes");
    let found = admin.get(&address).expect(200);
    let other = admin.get(&format!("/api/backup/{first}/changes?base={second}")).expect(200);
    for found in [&found, &other] {
        assert_eq!((&found["before"]["id"], &found["after"]["id"]), (&json!(first), &json!(second)));
        let expected = [("added", "/new"), ("changed", "/notes.txt"), ("removed", "/old")];
        assert_eq!(told(found), expected, "{found:#}");
    }
    assert_eq!(found["removed"], json!({ "rows": 1, "files": 3, "bytes": 300 }), "{found:#}");
    assert_eq!(found["added"], json!({ "rows": 1, "files": 1, "bytes": 50 }));
    let notes = found["items"].as_array().unwrap().iter().find(|item| item["path"] == "/notes.txt").unwrap();
    assert_eq!((&notes["differs"], &notes["part"]["name"]), (&json!(["content"]), &json!(volume)));
    assert_eq!((&notes["before"]["size"], &notes["after"]["size"]), (&json!(3), &json!(4)));
    let environment = found["settings"].as_array().unwrap().iter();
    let environment = environment.clone().find(|setting| setting["field"] == "Config.Env").unwrap();
    assert_eq!(environment["before"], json!(["COLOUR=red", "TOKEN=***"]), "{environment:#}");
    assert!(!found.to_string().contains("secret"), "{found:#}");
    let shown = admin.get(&format!("{address}?reveal=1")).expect(200);
    assert!(shown.to_string().contains("second-secret"), "{shown:#}");
    let removed = admin.get(&format!("{address}?kind=removed")).expect(200);
    assert_eq!((told(&removed), &removed["total"]), (vec![("removed", "/old")], &json!(1)));
    let rest = admin.get(&format!("{address}?offset=1&limit=1")).expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["total"]), (1, &json!(3)));

    // As a page, where rows lead to the file in the backup that has it.
    let page = admin.get(&format!("/vault/{second}/changes?base={first}"));
    assert_eq!(page.texts("dl.tiles dd").len(), 4);
    let links = page.attributes("tbody a", "href");
    let inside = |id: &str, path: &str| format!("/vault/{id}/{path}");
    let file = inside(&second, &format!("file?path=/{web}/volumes/{volume}/new"));
    let folder = inside(&first, &format!("files?path=/{web}/volumes/{volume}/old"));
    assert!(links.contains(&file) && links.contains(&folder), "{links:?}");
    assert!(page.attributes("form [name=base] option[selected]", "value").contains(&first));
    assert!(!page.text.contains("-secret"), "{}", page.text);
    assert!(admin.get(&format!("/vault/{second}")).text.contains(&format!("/vault/{second}/changes")));

    // What is there now: nothing changed since; then something does, and a volume goes.
    let now = format!("/api/backup/{second}/changes?base=now");
    let found = admin.get(&now).expect(200);
    assert_eq!((&found["after"], &found["total"]), (&json!("now"), &json!(0)), "{found:#}");
    assert_eq!(found["settings"], json!([]), "{found:#}");
    fs::write(root.join("notes.txt"), "three").unwrap();
    fs::create_dir_all(root.join("fresh/deep")).unwrap();
    fs::write(root.join("fresh/deep/file"), [0; 10]).unwrap();
    bench.docker(&["rm", "-f", &web]);
    bench.docker(&["volume", "rm", &cache]);
    let found = admin.get(&now).expect(200);
    // The volume, and what the container had written into its own file system.
    let expected = [("added", "/fresh"), ("changed", "/notes.txt"), ("removed", "/"), ("removed", "/")];
    assert_eq!(told(&found), expected, "{found:#}");
    assert_eq!(found["settings"], Value::Null);
    let notes = found["notes"].to_string();
    assert!(notes.contains("does not exist now") && notes.contains(&cache), "{notes}");
    let page = admin.get(&format!("/vault/{second}/changes?base=now"));
    let restore = format!("/vault/{second}/restore-files?path=/{web}/volumes/{volume}/notes.txt");
    assert!(page.attributes("tbody a", "href").contains(&restore), "{}", page.text);

    // What can't be compared is told.
    let foreign = bench.run("other", &[], &[]);
    let foreign = admin.back_up(&foreign)["backup_id"].as_str().unwrap().to_owned();
    let refused = |base: &str, status: u16| {
        admin.get(&format!("/api/backup/{second}/changes?base={base}")).error(status)
    };
    assert!(refused(&foreign, 400).contains("backup of the same"));
    assert!(refused(&second, 400).contains("same backup"));
    refused(&"0".repeat(64), 404);
    refused("a/b", 400);
    admin.get(&format!("{address}?kind=moved")).error(400);
}

/// Rows as `change path`.
fn rows(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|it| format!("{} {}", it["change"].as_str().unwrap(), it["path"].as_str().unwrap())).collect()
}

#[test]
fn a_backup_tells_what_changed_since_another_and_until_now() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let root = bench.path(&volume);
    fs::create_dir_all(root.join("old/deep")).unwrap();
    for (name, content) in [("content", "one"), ("mode", "1"), ("old/a", "1"), ("old/deep/b", "22")] {
        fs::write(root.join(name), content).unwrap();
    }
    let mount = format!("{volume}:/data");
    let run = |variables: &[&str]| {
        let options: Vec<&str> = variables.iter().flat_map(|it| ["-e", it]).chain(["-v", &mount]).collect();
        bench.run("web", &options, &[])
    };
    let web = run(&["DB_PASSWORD=first", "MODE=a"]);
    let first = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    let ask = |id: &str, query: &str| admin.get(&format!("/api/backup/{id}/changes?{query}"));

    // The first backup has none before it: it is compared with what is there.
    let same = ask(&first, "").expect(200);
    assert_eq!((&same["after"], &same["total"], &same["settings"]), (&json!("now"), &json!(0), &json!([])));

    fs::write(root.join("content"), "three").unwrap();
    fs::set_permissions(root.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_dir_all(root.join("old")).unwrap();
    fs::create_dir(root.join("new")).unwrap();
    fs::write(root.join("new/1"), "4444").unwrap();
    fs::write(root.join("new/2"), "4444").unwrap();
    bench.docker(&["rm", "-f", &web]);
    run(&["DB_PASSWORD=second", "MODE=b"]);
    let second = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();

    let found = ask(&second, "").expect(200);
    assert_eq!((&found["before"]["id"], &found["after"]["id"]), (&json!(first), &json!(second)));
    let expected = ["changed /content", "changed /mode", "added /new", "removed /old"];
    assert_eq!(rows(&found), expected, "{found:#}");
    assert_eq!(found["added"], json!({ "rows": 1, "files": 2, "bytes": 8 }));
    assert_eq!(found["removed"], json!({ "rows": 1, "files": 2, "bytes": 3 }));
    let mode = &found["items"][1];
    assert_eq!((&mode["differs"], &mode["after"]["mode"]), (&json!(["mode"]), &json!("0600")));
    assert_eq!(found["items"][3]["before"]["path"], json!(format!("/{web}/volumes/{volume}/old")));
    assert_eq!((&found["problems"], &found["notes"]), (&json!([]), &json!([])));
    assert_eq!(found["size_after"].as_u64(), Some(found["size_before"].as_u64().unwrap() + 8 - 3 + 2));
    let settings = found["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 1, "{settings:#?}");
    assert_eq!(settings[0]["before"], json!(["DB_PASSWORD=***", "MODE=a"]));
    assert!(!found.to_string().contains("second"));
    let revealed = ask(&second, "reveal=1").expect(200);
    assert_eq!(revealed["settings"][0]["after"], json!(["DB_PASSWORD=second", "MODE=b"]));

    // The older one is always what was before.
    assert_eq!(rows(&ask(&first, &format!("base={second}")).expect(200)), expected);
    let page = ask(&second, "kind=changed&offset=1&limit=1").expect(200);
    assert_eq!((rows(&page), &page["total"]), (vec!["changed /mode".to_owned()], &json!(2)));
    now(&bench, &admin, &web, &volume, &second);
    refusals(&bench, &app, &first, &second);
}

/// Compares the second backup of the story above with what is there.
fn now(bench: &Bench, admin: &crate::harness::Client, web: &str, volume: &str, second: &str) {
    let root = bench.path(volume);
    let ask = |query: &str| admin.get(&format!("/api/backup/{second}/changes?{query}")).expect(200);
    assert_eq!(rows(&ask("base=now")), [""; 0]);
    let before = fs::metadata(root.join("content")).unwrap();
    fs::write(root.join("content"), "THREE").unwrap();
    assert_eq!(fs::metadata(root.join("content")).unwrap().size(), before.size());
    fs::remove_file(root.join("new/2")).unwrap();
    fs::write(root.join("more"), "more").unwrap();
    let found = ask("base=now");
    assert_eq!(rows(&found), ["changed /content", "added /more", "removed /new/2"]);
    assert_eq!(found["items"][0]["differs"], json!(["time"]));

    // The page does the same without scripts.
    let page = admin.get(&format!("/vault/{second}"));
    let link = page.attributes("a[href$='/changes']", "href").remove(0);
    let page = admin.get(&link);
    assert_eq!(page.texts("caption"), ["Changed files"]);
    assert!(page.texts("ins").contains(&"+ DB_PASSWORD=***".to_owned()), "{:?}", page.texts("ins"));
    assert_eq!(page.attributes("#base option", "value")[0], "now");
    let page = admin.get(&format!("{link}?base=now"));
    assert_eq!(page.attributes("#base option[selected]", "value"), ["now"]);
    assert_eq!(page.texts("tbody th a").len(), 3, "{:?}", page.texts("tbody th"));
    let path = format!("/{web}/volumes/{volume}");
    let restore = page.attributes("tbody a[href*='/restore-files']", "href");
    let own = |name: &str| format!("/vault/{second}/restore-files?path={path}/{name}");
    assert_eq!(restore, [own("content"), own("new/2")]);
    assert_eq!(admin.get(&restore[1]).status, 200);
    for url in page.attributes("tbody th a", "href") {
        assert_eq!(admin.get(&url).status, 200, "{url}");
    }
    let added = page.attributes(".seg a", "href").into_iter().find(|url| url.contains("kind=added")).unwrap();
    assert_eq!(admin.get(&added).texts("tbody th").len(), 1);

    // Without the container its volume is compared still; without that all of it is gone, in one row.
    bench.docker(&["rm", "-f", web]);
    let found = ask("base=now");
    assert_eq!(found["settings"], Value::Null);
    assert!(rows(&found).contains(&"changed /content".to_owned()), "{found:#}");
    assert!(found["notes"][0].as_str().unwrap().contains("does not exist now"), "{found:#}");
    bench.docker(&["volume", "rm", volume]);
    assert!(
        admin.get(&format!("/api/backup/{second}/changes?base=now")).error(422).contains("on this machine")
    );
    // Where nothing is compared no other backup looks as if it was chosen.
    let first = admin.get(&format!("/vault/{second}/changes"));
    let first = first.attributes("#base option[selected]", "value").remove(0);
    let alone = admin.get(&format!("/vault/{first}/changes"));
    assert_eq!(alone.attributes("#base option[selected]", "value"), [""]);
    assert_eq!(alone.texts("#changes h2"), ["Nothing to compare with"]);
    run_without_volume(bench, admin, web, volume, second);
}

/// The container is there again, with nothing mounted.
fn run_without_volume(bench: &Bench, admin: &crate::harness::Client, web: &str, volume: &str, second: &str) {
    assert_eq!(bench.run("web", &[], &[]), web);
    let found = admin.get(&format!("/api/backup/{second}/changes?base=now&kind=removed")).expect(200);
    let part = json!({ "type": "volume", "name": volume, "destination": "/data" });
    let whole = found["items"].as_array().unwrap().iter().find(|item| item["part"] == part).unwrap();
    assert_eq!((&whole["path"], &whole["before"]["files"]), (&json!("/"), &json!(4)), "{found:#}");
    let note = format!("Volume {volume} is missing: this machine does not have it.");
    assert!(found["notes"].as_array().unwrap().contains(&json!(note)), "{found:#}");
}

fn refusals(bench: &Bench, app: &App, first: &str, second: &str) {
    let admin = app.admin();
    let ask = |base: &str| admin.get(&format!("/api/backup/{second}/changes?base={base}"));
    ask("0123456789abcdef").error(404);
    assert!(ask(second).error(400).contains("same backup"));
    let other = bench.run("other", &[], &[]);
    let other = admin.back_up(&other)["backup_id"].as_str().unwrap().to_owned();
    assert!(ask(&other).error(400).contains("backup of the container other"));
    ask("..").error(400);
    admin.get(&format!("/api/backup/{second}/changes?kind=moved")).error(400);

    // A token for reading hears which settings changed, and not how.
    let token = admin.post("/api/tokens", &json!({ "name": "reader", "scope": "read" })).expect(201);
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let headers = [("Authorization", bearer.as_str())];
    let stranger = app.stranger();
    let address = format!("/api/backup/{second}/changes?base={first}");
    let found = stranger.get_with(&address, &headers).expect(200);
    assert_eq!(found["settings"], json!([{ "field": "Config.Env", "label": "Environment" }]));
    stranger.get_with(&format!("{address}&reveal=1"), &headers).error(403);
}
