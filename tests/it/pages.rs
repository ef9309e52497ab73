//! Every page for every caller, and the main job without JavaScript.

use std::{collections::HashSet, fs};

use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::harness::{Answer, App, Bench};

/// What is wrong with a page, or with a part of one.
fn faults(answer: &Answer, whole: bool) -> Vec<String> {
    let page = Html::parse_document(&answer.text);
    let select = |css: &str| Selector::parse(css).unwrap();
    let count = |css: &str| page.select(&select(css)).count();
    let mut faults = Vec::new();
    if whole {
        for (css, expected) in [("h1", 1), ("main", 1), ("title", 1), ("html[lang]", 1)] {
            if count(css) != expected {
                faults.push(format!("{} × {css}", count(css)));
            }
        }
    } else if answer.text.contains("<html") || answer.text.contains("<!DOCTYPE") {
        faults.push("a part is a whole page".to_owned());
    }
    let mut seen = HashSet::new();
    for element in page.select(&select("[id]")) {
        let id = element.attr("id").unwrap_or_default();
        if !seen.insert(id) {
            faults.push(format!("the id {id} stands there twice"));
        }
    }
    let named: HashSet<_> =
        page.select(&select("label[for]")).filter_map(|label| label.attr("for")).collect();
    let wrapped: HashSet<_> =
        page.select(&select("label :is(input, select, textarea)")).map(|e| e.id()).collect();
    for control in page.select(&select("input:not([type=hidden]), select, textarea, meter, progress")) {
        let own = control.attr("aria-label").or(control.attr("aria-labelledby")).is_some();
        let by_id = control.attr("id").is_some_and(|id| named.contains(id));
        let around = wrapped.contains(&control.id())
            || control
                .ancestors()
                .any(|node| node.value().as_element().is_some_and(|element| element.name() == "label"));
        if !own && !by_id && !around {
            faults.push(format!("no label: {}", control.html()));
        }
    }
    for button in page.select(&select("button:not([hidden]), a")) {
        let text: String = button.text().collect();
        if text.trim().is_empty() && button.attr("aria-label").is_none() {
            faults.push(format!("no name: {}", button.html()));
        }
    }
    for (css, attribute) in [("[aria-labelledby]", "aria-labelledby"), ("[popovertarget]", "popovertarget")] {
        for element in page.select(&select(css)).filter(|_| whole) {
            for id in element.attr(attribute).unwrap_or_default().split_whitespace() {
                if !seen.contains(id) {
                    faults.push(format!("{attribute} leads to nothing: {id}"));
                }
            }
        }
    }
    faults
}

#[test]
fn every_page_is_well_made_for_every_caller() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    fs::write(bench.path(&volume).join("file"), "text").unwrap();
    let web = bench.run("web", &["-v", &format!("{volume}:/data"), "-p", "127.0.0.1::80"], &[]);
    let run = admin.back_up(&web);
    let (backup, job) = (run["backup_id"].as_str().unwrap(), run["progress_id"].as_str().unwrap());
    let network = bench.network("net", &[]);
    let pages: [(String, Option<&str>); 47] = [
        ("/".into(), Some("containers")),
        ("/containers".into(), Some("containers")),
        (format!("/containers?search={web}"), Some("containers")),
        (format!("/containers/{web}"), Some("id")),
        (format!("/containers/{web}/backup"), None),
        (format!("/containers/{web}/logs"), Some("logs")),
        (format!("/containers/{web}/console"), Some("user")),
        (format!("/containers/{web}/inspect"), Some("Id")),
        (format!("/containers/{web}/rename"), None),
        (format!("/containers/{web}/redeploy"), None),
        ("/statistics?all=1".into(), Some("containers")),
        ("/statistics?view=table&all=1".into(), Some("containers")),
        ("/volumes".into(), Some("volumes")),
        ("/volumes/-/new".into(), None),
        (format!("/volumes/{volume}"), Some("items")),
        (format!("/volumes/{volume}/delete"), None),
        ("/images".into(), Some("images")),
        ("/images/-/pull".into(), None),
        ("/images/-/clean-up".into(), None),
        (format!("/images/{}/delete", bench.image()), None),
        ("/networks".into(), Some("networks")),
        ("/networks/-/new".into(), None),
        (format!("/networks/{network}/delete"), None),
        ("/stacks".into(), Some("stacks")),
        ("/events".into(), Some("events")),
        (format!("/containers/{web}/delete"), None),
        (format!("/containers/{web}/kill"), None),
        ("/vault".into(), Some("backups")),
        (format!("/vault?container={web}"), Some("backups")),
        (format!("/vault/{backup}"), Some("id")),
        ("/vault/-/deleted".into(), Some("total")),
        ("/vault/upload".into(), None),
        (format!("/vault/{backup}/files"), Some("items")),
        (format!("/vault/{backup}/changes"), Some("items")),
        (format!("/vault/{backup}/restore"), Some("conflicts")),
        (format!("/vault/{backup}/restore-files?path=/{web}/volumes/{volume}/file"), Some("conflicts")),
        (format!("/vault/{backup}/delete"), None),
        ("/jobs".into(), Some("runs")),
        (format!("/jobs/{job}"), Some("progress_id")),
        ("/settings".into(), Some("server_name")),
        ("/settings/maintenance".into(), Some("percent")),
        ("/settings/tokens".into(), Some("tokens")),
        ("/settings/saved".into(), Some("vaults")),
        ("/settings/notifications".into(), Some("channels")),
        ("/audit".into(), Some("logs")),
        ("/audit/chain".into(), Some("intact")),
        ("/audit/clear".into(), None),
    ];
    for (path, field) in pages {
        let page = admin.get(&path);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert_eq!(faults(&page, true), [""; 0], "{path}");
        assert!(!page.texts("nav[aria-label=Main] a").is_empty(), "{path} has no navigation");
        assert_eq!(
            page.attributes("#default-password[open]", "role"),
            ["alertdialog"],
            "{path} does not warn"
        );
        let part = admin.get_fragment(&path);
        assert_eq!(part.status, 200, "{path}: {}", part.text);
        assert_eq!(faults(&part, false), [""; 0], "part of {path}");
        let data = admin.get_with(&path, &[("Accept", "application/json")]);
        assert_eq!(data.status, 200, "{path}: {}", data.text);
        let data: Value = serde_json::from_str(&data.text).unwrap();
        assert!(field.is_none_or(|field| !data[field].is_null()), "{path}: {data:#}");
        let stranger = app.stranger().get(&path);
        assert_eq!(stranger.status, 303, "{path} for strangers");
        assert!(stranger.header("location").unwrap().starts_with("/login"), "{path}");
        assert_eq!(app.stranger().get_fragment(&path).status, 401, "{path}");
        app.stranger().get_with(&path, &[("Accept", "application/json")]).error(401);
    }
    let login = app.stranger().get("/login");
    assert_eq!(faults(&login, true), [""; 0]);
    for missing in
        ["/nothing-here", "/containers/nothing", "/vault/0123456789", "/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV"]
    {
        let page = admin.get(missing);
        assert_eq!(page.status, 404, "{missing}");
        assert_eq!(faults(&page, true), [""; 0], "{missing}");
        assert_eq!(page.texts("h1"), ["Page not found"]);
    }
}

#[test]
fn without_docker_a_page_says_so_and_the_vault_still_opens() {
    let mut app = App::start_with(
        crate::harness::Options::default().with("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
    );
    app.expect_errors();
    let admin = app.admin();
    let page = admin.get("/containers");
    assert_eq!(page.status, 503);
    assert_eq!(page.texts("h1"), ["Docker can’t be reached"]);
    assert_eq!(faults(&page, true), [""; 0]);
    assert_eq!(admin.get("/vault").status, 200);
    assert_eq!(admin.get("/settings").status, 200);
}

#[test]
fn the_main_job_needs_no_javascript() {
    let bench = Bench::new();
    let app = App::start();
    let browser = app.stranger();
    let volume = bench.volume("data");
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    fs::write(bench.path(&volume).join("precious"), "only copy").unwrap();
    let login = browser.get("/login");
    let signed_in = [("username", "admin"), ("password", crate::harness::PASSWORD)];
    let home = browser.follow(&browser.submit_form(&login, "Sign in", &signed_in));
    assert_eq!(home.texts("h1"), ["Dashboard"]);

    let page = browser.get(&format!("/containers/{web}/backup"));
    let job = browser.submit_form(&page, "Back up", &[("note", "before it goes"), ("consistency", "pause")]);
    let address = job.header("location").unwrap().to_owned();
    browser.finished(address.trim_start_matches("/jobs/"));
    let job = browser.get(&address);
    assert_eq!(job.texts("#now-h"), [format!("{web} is backed up")]);

    let page = browser.get(&format!("/containers/{web}/delete"));
    let wrong = browser.submit_form(&page, "Delete container", &[("confirm", "something else")]);
    assert_eq!(wrong.status, 400);
    let chosen = [("confirm", web.as_str()), ("delete_volumes", "true")];
    let list = browser.follow(&browser.submit_form(&page, "Delete container", &chosen));
    assert!(
        list.texts(".toast")[0].contains(&format!("{web} is deleted with its volume")),
        "{:?}",
        list.texts(".toast")
    );
    assert!(!bench.exists("container", &web) && !bench.exists("volume", &volume));

    let vault = browser.get(&format!("/vault?search={web}"));
    let link = vault.attributes("#results td a[href$='/restore']", "href").remove(0);
    let review = browser.get(&link);
    let job = browser.submit_form(&review, "Restore", &[]);
    let address = job.header("location").unwrap().to_owned();
    browser.finished(address.trim_start_matches("/jobs/"));
    assert_eq!(browser.get(&address).texts("#now-h"), [format!("{web} is back")]);
    assert!(bench.is_running(&web));
    assert_eq!(fs::read_to_string(bench.path(&volume).join("precious")).unwrap(), "only copy");
}

#[test]
fn a_restore_form_comes_back_with_what_is_wrong_and_all_choices() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:80");
    let web = bench.run("web", &["-v", &format!("{volume}:/data"), "-p", &publish], &[]);
    let backup = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    let address = format!("/vault/{backup}/restore");
    let page = admin.get(&address);
    // What touches nothing is chosen.
    assert_eq!(page.attributes("[name=name-mode][checked]", "value"), ["new"]);
    assert_eq!(page.attributes("[name=data-0][checked]", "value"), ["new"]);
    let suggested = page.attributes("[name=new_name]", "value").remove(0);
    assert_eq!(suggested, format!("{web}-restored"));
    let inside = admin.submit_form(&page, "Restore", &[("start", "")]);
    assert_eq!(inside.status, 409, "the port is taken");
    assert!(
        inside.texts("#p-1-check")[0].contains(&format!("In use by {web}")),
        "{:?}",
        inside.texts("#p-1-check")
    );
    assert!(inside.attributes("[name=start]", "checked").is_empty(), "the choice is kept");
    let refused =
        admin.submit_form(&page, "Restore", &[("new_name", "no good name"), ("port-80/tcp", "99999")]);
    assert_eq!(refused.status, 422);
    assert_eq!(refused.attributes("[name=new_name]", "value"), ["no good name"]);
    assert_eq!(refused.attributes("[aria-invalid=true]", "name"), ["new_name", "port-80/tcp"]);
    assert_eq!(faults(&refused, true), [""; 0]);
    let taken = admin.submit_form(&page, "Restore", &[("data-0-name", &volume)]);
    assert_eq!(taken.status, 409, "a new volume never fills one that exists");
    // One click on the free port, and the plan is without conflicts.
    let free = page.attributes("#p-1-check button", "value").remove(0);
    let settled = admin.submit_form(&page, &free, &[]);
    assert_eq!(settled.status, 200, "{}", settled.text);
    assert_eq!(settled.attributes("[name='port-80/tcp']", "value"), [free]);
    assert!(settled.texts("#plan .banner").is_empty(), "{:?}", settled.texts("#plan .banner"));
    // Scripts are told by JSON.
    let fields = [("Accept", "application/json"), ("Content-Type", "application/json")];
    let conflict = admin.post_with(&address, &fields, &json!({ "name-mode": "same" }).to_string());
    assert_eq!(conflict.expect(409)["status"], "name_conflict");
}

#[test]
fn settings_come_back_with_what_is_wrong() {
    let app = App::start();
    let admin = app.admin();
    let page = admin.get("/settings");
    let wrong = admin.submit_form(
        &page,
        "Change user name",
        &[("new_username", "x"), ("current_password", crate::harness::PASSWORD)],
    );
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.attributes("[name=new_username]", "value"), ["x"]);
    assert!(wrong.texts("#u-e")[0].contains("3 to 64"));
    assert_eq!(faults(&wrong, true), [""; 0]);
    let renamed = admin.submit_form(
        &page,
        "Change user name",
        &[("new_username", "dana"), ("current_password", crate::harness::PASSWORD)],
    );
    let saved = admin.follow(&renamed);
    assert_eq!(saved.texts("#username .good"), ["Changed"]);
    let dark = admin.submit_form(&page, "Dark", &[]);
    assert_eq!(dark.status, 303);
    assert_eq!(admin.get("/settings").attributes("html", "data-theme"), ["dark"]);
    assert_eq!(app.stranger().get("/login").attributes("html", "data-theme"), [""; 0]);
    let named = admin.submit_form(&page, "Save", &[("value", "nas-01")]);
    assert_eq!(admin.follow(&named).texts("#server .good"), ["Saved"]);
    let long = admin.submit_form(&page, "Save", &[("value", &"x".repeat(65))]);
    assert_eq!(long.status, 422);
}
