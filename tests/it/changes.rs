//! What changed: between two backups, and between a backup and now.

use std::fs;

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
    assert_eq!(environment["before"], json!(["TOKEN=***", "COLOUR=red"]), "{environment:#}");
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
