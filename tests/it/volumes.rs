//! Volumes: listed with what uses and protects them, made, deleted.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client, Options};

fn row(admin: &Client, name: &str) -> Value {
    let list = admin.get(&format!("/api/volumes?search={name}")).expect(200);
    list["volumes"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
}

#[test]
fn the_list_says_who_uses_a_volume_and_whether_a_backup_holds_it() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("shop");
    let stack = format!("com.docker.compose.project={project}");
    let (data, cache, idle) = (bench.volume("data"), bench.volume("cache"), bench.volume("idle"));
    let mounts = [format!("{data}:/data"), format!("{cache}:/cache")];
    let web = bench.run("web", &["--label", &stack, "-v", &mounts[0], "-v", &mounts[1]], &[]);
    fs::write(bench.path(&data).join("file"), "content").unwrap();

    let before = row(&admin, &data);
    assert_eq!(before["containers"], json!([web]));
    assert_eq!(before["in_use"], true);
    assert_eq!(before["stack"], json!(project));
    assert_eq!(before["driver"], "local");
    assert_eq!(before["protection"], "unprotected");
    assert_eq!(before["is_self"], false);
    assert!(before["created"].as_str().unwrap().starts_with("20"));
    assert_eq!(before["mountpoint"], json!(bench.path(&data)));
    assert_eq!(row(&admin, &idle)["in_use"], false);

    let asked = admin.post(&format!("/api/backup/{web}"), &json!({ "volumes": [data] })).expect(202);
    let backup = admin.finished(asked["progress_id"].as_str().unwrap());
    assert_eq!(backup["status"], "complete", "{backup:#}");
    let after = row(&admin, &data);
    assert_eq!(after["protection"], "protected");
    assert_eq!(after["backup"]["id"], backup["backup_id"]);
    assert_eq!(after["backup"]["bytes"], 7);
    assert_eq!(row(&admin, &cache)["protection"], "left_out");

    let names = |query: &str| -> Vec<String> {
        let list = admin.get(&format!("/api/volumes?search={}&{query}", &data[5..])).expect(200);
        let rows = list["volumes"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(""), [cache.clone(), data.clone(), idle.clone()]);
    assert_eq!(names("order=desc"), [idle.clone(), data.clone(), cache.clone()]);
    assert_eq!(names("use=unused"), std::slice::from_ref(&idle));
    assert_eq!(names("protection=protected"), std::slice::from_ref(&data));
    assert_eq!(names("protection=left_out"), std::slice::from_ref(&cache));
    assert_eq!(names(&format!("stack={project}")), [cache, data.clone()]);
    assert_eq!(names("sort=backup&order=desc")[0], data);
    assert_eq!(names(&format!("container={web}")).len(), 2);

    let page = admin.get(&format!("/volumes?search={data}"));
    assert_eq!(page.texts("tbody th a"), std::slice::from_ref(&data));
    assert!(page.attributes("tbody a", "href").contains(&format!("/containers/{web}")));
    let fragment = admin.get_fragment("/volumes?search=nothing-is-called-this");
    assert!(!fragment.text.contains("<html") && fragment.text.contains("Nothing found"));
}

#[test]
fn sizes_are_measured_only_when_asked_for() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let data = bench.volume("data");
    fs::write(bench.path(&data).join("file"), vec![b'x'; 300_000]).unwrap();
    assert_eq!(row(&admin, &data)["size_bytes"], Value::Null);
    assert!(admin.get(&format!("/volumes?search={data}")).text.contains("not measured"));
    let measured = admin.get(&format!("/api/volumes?search={data}&sizes=1")).expect(200);
    let bytes = measured["volumes"][0]["size_bytes"].as_u64().unwrap();
    assert!((300_000..400_000).contains(&bytes), "{bytes}");
    // The page shows what is known and does not measure again.
    assert_eq!(row(&admin, &data)["size_bytes"], bytes);
    assert!(admin.get(&format!("/volumes?search={data}")).text.contains("Sizes measured"));
}

#[test]
fn a_volume_in_use_is_kept_and_its_users_are_named() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (used, free, gone) = (bench.volume("used"), bench.volume("free"), bench.volume("gone"));
    let mount = format!("{used}:/data");
    let web = bench.create("web", &["-v", &mount], &[]);
    let refused = admin.delete(&format!("/api/volume/{used}/delete")).error(409);
    assert!(refused.contains(&web), "{refused}");
    let dialog = admin.get_fragment(&format!("/volumes/{used}/delete"));
    assert!(dialog.text.contains("can't be deleted") || dialog.text.contains("can&#39;t be deleted"));
    assert!(dialog.text.contains(&web) && dialog.texts("button[type=submit]").is_empty());

    // Several at once: all or none.
    let refused = admin.post("/api/volumes/delete", &json!({ "volume_names": [free, used] })).error(409);
    assert!(refused.contains(&web) && refused.contains("Nothing was deleted"), "{refused}");
    assert!(bench.exists("volume", &free));

    bench.docker(&["volume", "rm", &gone]);
    let refused = admin.delete(&format!("/api/volume/{gone}/delete")).error(404);
    assert!(refused.contains(&gone), "{refused}");
    admin.post("/api/volumes/delete", &json!({ "volume_names": [free, gone] })).error(404);
    assert!(bench.exists("volume", &free));
    admin.post("/api/volumes/delete", &json!({ "volume_names": [] })).error(400);
    admin.post("/api/volumes/delete", &json!({ "volume_names": ["../etc"] })).error(400);
    admin.delete(&format!("/api/volume/{free}/delete")).expect(200);
    assert!(!bench.exists("volume", &free) && bench.exists("volume", &used));
}

#[test]
fn deleting_for_good_is_confirmed_by_typing() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volumes = [bench.volume("one"), bench.volume("two"), bench.volume("three")];
    let [one, two, three] = &volumes;
    let page = admin.get(&format!("/volumes/{one}/delete"));
    assert!(page.text.contains("There is no backup"), "{}", page.text);
    let path = format!("/volumes/{one}/delete");
    assert_eq!(admin.submit(&path, &[]).status, 400);
    assert_eq!(admin.submit(&path, &[("confirm", two)]).status, 400);
    assert!(bench.exists("volume", one));
    assert_eq!(admin.submit(&path, &[("confirm", one)]).status, 303);
    assert!(!bench.exists("volume", one));

    // From the list's check boxes: first the question, then the deed.
    let chosen = [("volume_names", two.as_str()), ("volume_names", three.as_str())];
    let question = admin.submit("/volumes/-/delete", &chosen);
    assert_eq!(question.status, 200);
    assert!(question.texts("h1").contains(&"Delete 2 volumes?".to_owned()), "{}", question.text);
    assert_eq!(question.attributes("input[name=volume_names]", "value").len(), 2);
    assert!(bench.exists("volume", two) && bench.exists("volume", three));
    let confirmed = |typed| [chosen[0], chosen[1], ("confirm", typed)];
    assert_eq!(admin.submit("/volumes/-/delete", &confirmed("delete")).status, 400);
    assert_eq!(admin.submit("/volumes/-/delete", &confirmed("delete 2 volumes")).status, 303);
    assert!(!bench.exists("volume", two) && !bench.exists("volume", three));
}

#[test]
fn a_volume_is_made() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (label, value) = bench.label().split_once('=').unwrap();
    let name = bench.name("new");
    let made = admin.post("/api/volumes", &json!({ "name": name, "labels": { label: value } })).expect(200);
    assert_eq!(made["name"], json!(name));
    assert!(bench.exists("volume", &name));
    assert!(admin.post("/api/volumes", &json!({ "name": name })).error(409).contains("exists already"));
    // Without scripts the form comes back with what was typed.
    let again = admin.submit("/volumes", &[("name", name.as_str()), ("options", "type=tmpfs\n=x")]);
    assert_eq!((again.status, again.texts(".err").len()), (422, 1));
    assert_eq!(again.attributes("[name=name]", "value"), std::slice::from_ref(&name));
    let drive = bench.name("drive");
    let fields = [
        ("name", drive.as_str()),
        ("options", "type=tmpfs\ndevice=tmpfs\no=size=1m\n"),
        ("labels", bench.label()),
    ];
    assert_eq!(admin.submit("/volumes", &fields).status, 303);
    let options = bench.docker(&["volume", "inspect", "-f", "{{json .Options}}", &drive]);
    let wanted = json!({ "type": "tmpfs", "device": "tmpfs", "o": "size=1m" });
    assert_eq!(serde_json::from_str::<Value>(&options).unwrap(), wanted);
    admin.post("/api/volumes", &json!({ "name": "a/b" })).error(400);
    admin.post("/api/volumes", &json!({ "name": "x" })).error(400);
    admin.post("/api/volumes", &json!({})).error(400);
    assert_eq!(admin.get("/volumes/-/new").status, 200);
    let form = bench.name("form");
    assert_eq!(admin.submit("/volumes", &[("name", &form), ("driver", "local")]).status, 303);
    assert!(bench.exists("volume", &form));
    bench.docker(&["volume", "rm", &form]);
}

#[test]
fn the_programs_own_data_is_neither_shown_nor_deleted() {
    let bench = Bench::new();
    let own = bench.volume("own");
    let data = bench.path(&own).join("data");
    let app = App::start_with(Options { data: Some(data), ..Options::default() });
    let admin = app.admin();
    assert_eq!(row(&admin, &own)["is_self"], true);
    assert!(admin.get(&format!("/volumes?search={own}")).text.contains("this app"));
    let refused = admin.delete(&format!("/api/volume/{own}/delete")).error(409);
    assert!(refused.contains("own data"), "{refused}");
    for path in
        ["explore?path=/", "explore?path=/data/config", "file?path=/data/config/vault.key", "download?path=/"]
    {
        admin.get(&format!("/api/volume/{own}/{path}")).error(403);
    }
    assert_eq!(admin.get(&format!("/volumes/{own}")).status, 403);
}

#[test]
fn strangers_see_no_volume() {
    let bench = Bench::new();
    let app = App::start();
    let data = bench.volume("data");
    let stranger = app.stranger();
    for path in ["explore", "file?path=/a", "download?path=/"] {
        stranger.get(&format!("/api/volume/{data}/{path}")).error(401);
    }
    stranger.get("/api/volumes").error(401);
    stranger.delete(&format!("/api/volume/{data}/delete")).error(401);
    assert_eq!(stranger.get(&format!("/volumes/{data}")).status, 303);
    assert!(bench.exists("volume", &data));
}
