//! Images: listed, deleted, cleaned up; and what jobs left behind.

use serde_json::{Value, json};

use crate::harness::{App, Bench, Client};

fn find(admin: &Client, id: &str) -> Option<Value> {
    let list = admin.get("/api/images").expect(200);
    list["images"].as_array().unwrap().iter().find(|row| row["id"] == id).cloned()
}

fn id(bench: &Bench, name: &str) -> String {
    bench.docker(&["image", "inspect", "-f", "{{.Id}}", name])
}

#[test]
fn the_list_says_who_uses_an_image_and_which_ones_are_dangling() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let old = id(&bench, &bench.image());
    // The same name for a new image: the old one loses it.
    bench.make_image(&bench.image());
    let new = id(&bench, &bench.image());
    let second = format!("{}-second:2", bench.image().split(':').next().unwrap());
    bench.docker(&["tag", &new, &second]);
    let web = bench.run("web", &[], &[]);
    let used = find(&admin, &new).unwrap();
    let mut tags: Vec<_> = used["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    tags.sort_unstable();
    assert_eq!(tags, [second.clone(), bench.image()]);
    assert_eq!(used["containers"], json!([web]));
    assert_eq!((&used["in_use"], &used["dangling"]), (&json!(true), &json!(false)));
    assert!(used["size"].as_u64().unwrap() > 500_000);
    let dangling = find(&admin, &old).unwrap();
    assert_eq!((&dangling["tags"], &dangling["dangling"]), (&json!([]), &json!(true)));
    let page = admin.get(&format!("/images?search={second}&use=used"));
    assert_eq!(page.attributes("tbody .pick input", "value"), std::slice::from_ref(&new));
    let short = &old[7..19];
    assert!(admin.get_fragment(&format!("/images?search={short}&use=dangling")).text.contains(short));
    assert!(admin.get_fragment(&format!("/images?search={short}&use=used")).text.contains("Nothing found"));
}

#[test]
fn an_image_in_use_is_kept_unless_forced_and_nothing_running_loses_it() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let image = bench.image();
    let web = bench.run("web", &[], &[]);
    let path = format!("/api/image/{}/delete", image.replace('/', "%2F"));
    for query in ["", "?force=true"] {
        let refused = admin.delete(&format!("{path}{query}")).error(409);
        assert!(refused.contains(&web), "{refused}");
    }
    bench.docker(&["stop", &web]);
    assert!(admin.delete(&path).error(409).contains("use force"));
    assert!(admin.get_fragment(&format!("/images/{image}/delete")).text.contains("Delete by force"));
    let deleted = admin.delete(&format!("{path}?force=true")).expect(200);
    assert!(deleted["deleted"].as_array().unwrap().len() + deleted["untagged"].as_array().unwrap().len() > 0);
    assert!(!bench.exists("image", &image));
    admin.delete(&path).error(404);
    admin.delete("/api/image/a%20b/delete").error(400);
    admin.delete("/api/image/no-such-image/delete").error(404);
}

#[test]
fn a_name_goes_alone_and_an_id_takes_all_names_along() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let base = bench.image().split(':').next().unwrap().to_owned();
    let first = id(&bench, &bench.image());
    let names = [format!("{base}-x:1"), format!("registry.invalid:5000/{base}/deep:2")];
    for name in &names {
        bench.docker(&["tag", &first, name]);
    }
    let one = admin.delete(&format!("/api/image/{}/delete", names[1].replace('/', "%2F"))).expect(200);
    assert_eq!(one["untagged"], json!([names[1]]));
    assert!(bench.exists("image", &names[0]) && !bench.exists("image", &names[1]));
    let other = format!("{base}-other:1");
    bench.make_image(&other);
    let second = id(&bench, &other);
    let chosen = [("image_ids", first.as_str()), ("image_ids", second.as_str())];
    let question = admin.submit("/images/-/delete", &chosen);
    assert!(question.texts("h1").contains(&"Delete 2 images?".to_owned()), "{}", question.text);
    assert!(bench.exists("image", &first));
    let done = admin.submit("/images/-/delete", &[chosen[0], chosen[1], ("confirmed", "true")]);
    assert_eq!(done.status, 303);
    assert!(!bench.exists("image", &first) && !bench.exists("image", &second));
    admin.post("/api/images/delete", &json!({ "image_ids": [first] })).error(404);
}

#[test]
fn dangling_images_are_cleaned_up_and_what_was_freed_is_told() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let old = id(&bench, &bench.image());
    bench.make_image(&bench.image());
    assert!(admin.get("/images/-/clean-up").text.contains(&old[7..19]));
    // Only this test's own.
    let cleaned = admin.post("/api/cleanup/dangling-images", &json!({ "label": bench.label() })).expect(200);
    assert_eq!(cleaned["success"], true);
    assert!(cleaned["deleted"].as_array().unwrap().contains(&json!(old)), "{cleaned}");
    assert!(cleaned["space_reclaimed"].as_u64().unwrap() > 500_000, "{cleaned}");
    assert!(!bench.exists("image", &old) && bench.exists("image", &bench.image()));
    let again = admin.post("/api/cleanup/dangling-images", &json!({ "label": bench.label() })).expect(200);
    assert_eq!(again["deleted"], json!([]));
}

#[test]
fn helper_containers_left_behind_are_removed_and_running_ones_are_not() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let label = ["--label", "container-monkey.helper=test"];
    let dead = bench.run("dead", &label, &["true"]);
    let busy = bench.run("busy", &label, &[]);
    let mine = bench.create("mine", &[], &[]);
    // Whoever started a helper has ten seconds to look after it.
    let early = admin.post("/api/cleanup/temp-containers", &json!({})).expect(200);
    assert!(!early["removed"].as_array().unwrap().contains(&json!(dead)), "{early}");
    std::thread::sleep(std::time::Duration::from_secs(11));
    let cleaned = admin.post("/api/cleanup/temp-containers", &json!({})).expect(200);
    assert_eq!(cleaned["success"], true);
    let removed = cleaned["removed"].as_array().unwrap();
    assert!(!bench.exists("container", &dead));
    // Another server on this engine may have been quicker; nobody takes one that works.
    assert!(!removed.contains(&json!(busy)) && !removed.contains(&json!(mine)), "{removed:?}");
    assert!(bench.is_running(&busy) && bench.exists("container", &mine));
    let list = admin.get("/api/containers").expect(200).to_string();
    assert!(!list.contains(&busy) && list.contains(&mine), "helpers are not in lists");
}

#[test]
fn an_image_that_can_not_be_fetched_is_told_with_its_reason() {
    let app = App::start();
    let admin = app.admin();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let name = format!("{nobody}/team/web:3");
    let why = admin.post("/api/images/pull", &json!({ "image": name })).error(422);
    assert!(why.contains(&name) && why.contains("reach its registry") && why.contains("refused"), "{why}");
    admin.post("/api/images/pull", &json!({ "image": "no/../good" })).error(400);
    let id = format!("sha256:{}", "a".repeat(64));
    assert!(admin.post("/api/images/pull", &json!({ "image": id })).error(400).contains("name"));
    let page = admin.get("/images/-/pull");
    let asked = admin.submit_form(&page, "Fetch image", &[("image", &name)]);
    let address = asked.header("location").unwrap();
    let result = crate::harness::wait_for("the refusal", || {
        let page = admin.get(address);
        page.text.contains("Not done").then_some(page)
    });
    assert!(result.text.contains("reach its registry"), "{}", result.text);
}

#[test]
fn an_image_is_fetched_from_a_registry() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let registry = Registry::start("text of the image");
    let name = format!("{}/team/web:3", registry.address);
    let fetched = admin.post("/api/images/pull", &json!({ "image": name })).expect(200);
    assert_eq!(fetched["id"], json!(id(&bench, &name)));
    let image = find(&admin, fetched["id"].as_str().unwrap()).unwrap();
    assert_eq!(image["tags"], json!([name]));
    bench.docker(&["rmi", &name]);
}

/// As much of a registry as one image of one file needs; engines speak plain HTTP with this host.
struct Registry {
    address: std::net::SocketAddr,
}

impl Registry {
    fn start(text: &str) -> Self {
        use std::io::{BufRead, BufReader, Write};
        let digest = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let sum = crate::harness::run("sha256sum", &[file.path().to_str().unwrap()]);
            format!("sha256:{}", &sum[..64])
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), text).unwrap();
        let tar = folder.path().join("layer.tar");
        let (inside, out) = (folder.path().to_str().unwrap(), tar.to_str().unwrap());
        crate::harness::run("tar", &["-C", inside, "-cf", out, "file"]);
        let layer = std::fs::read(&tar).unwrap();
        let layer_digest = digest(&layer);
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["true"] },
            "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
        });
        let config = config.to_string().into_bytes();
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
                "digest": digest(&config),
            },
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar", "size": layer.len(),
                "digest": layer_digest,
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        let blobs = [(digest(&config), config), (digest(&layer), layer), (digest(&manifest), manifest)];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let wanted = path.rsplit('/').next().unwrap_or_default();
                let found = blobs.iter().find(|(digest, _)| digest == wanted);
                let found = found.or_else(|| path.contains("/manifests/").then_some(&blobs[2]));
                let (digest, body) = found.cloned().unwrap_or_default();
                let body = if request.starts_with("HEAD") { Vec::new() } else { body };
                let length = found.map_or(0, |(_, body)| body.len());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nDocker-Content-Digest: {digest}\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address }
    }
}
