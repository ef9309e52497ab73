//! What people do, in a real browser.

use std::fs;

use serde_json::json;

use crate::harness::{App, Bench, Browser, PASSWORD};

#[test]
fn a_container_is_backed_up_deleted_and_brought_back_by_clicks() {
    let bench = Bench::new();
    let app = App::start();
    let volume = bench.volume("data");
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    fs::write(bench.path(&volume).join("precious"), "only copy").unwrap();
    let browser = Browser::open(app.address());
    browser.go("/");
    assert!(browser.place().starts_with("/login"), "{}", browser.place());
    browser.sign_in();

    browser.press("Back up containers");
    browser.dismiss();
    browser.fill("#q", &web);
    browser.wait_text("#results footer", "1 of");
    browser.click(&format!("tbody form[action='/containers/{web}/backup'] .btn"));
    browser.wait_text(".toast", &format!("Backing up {web}"));
    browser.press("Show progress");
    browser.dismiss();
    browser.wait_text("#now-h", &format!("{web} is backed up"));
    assert!(!browser.exists("#job-live[hx-trigger]"), "the page still asks though the job has ended");

    browser.click(".facts a[href^='/containers/']");
    browser.dismiss();
    browser.click("[popovertarget=c-more]");
    browser.press("Delete");
    browser.wait_until("document.querySelector('#confirm:modal')");
    browser.click("#confirm [name=delete_volumes]");
    browser.fill("#typed", "nonsense");
    browser.press("Delete container");
    assert!(bench.exists("container", &web), "the typed name must match");
    browser.fill("#typed", &web);
    browser.press("Delete container");
    browser.wait_text(".toast", &format!("{web} is deleted"));
    assert!(!bench.exists("container", &web) && !bench.exists("volume", &volume));

    browser.dismiss();
    browser.press("Backup vault");
    browser.dismiss();
    browser.press("Restore");
    browser.dismiss();
    browser.wait_text("#plan", &format!("Container {web} is created and started"));
    browser.click(".form-foot .btn.primary");
    browser.dismiss();
    browser.wait_text("#now-h", &format!("{web} is back"));
    assert!(bench.is_running(&web));
    assert_eq!(fs::read_to_string(bench.path(&volume).join("precious")).unwrap(), "only copy");
    assert!(browser.failed_requests().is_empty(), "{:?}", browser.failed_requests());
}

#[test]
fn lists_are_searched_as_one_types_and_sorted_by_a_click() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (first, second) = (bench.run("aaa", &[], &[]), bench.create("bbb", &[], &[]));
    for container in [&first, &second] {
        assert_eq!(admin.back_up(container)["status"], "complete");
    }
    let browser = Browser::open(app.address());
    browser.sign_in();
    let common = first.trim_start_matches("aaa-");
    for page in ["/containers", "/vault"] {
        browser.go(page);
        browser.dismiss();
        browser.fill("#q", common);
        browser.wait_until("document.querySelectorAll('#results tbody th').length === 2");
        assert_eq!(browser.script("return document.activeElement.id", &[]), json!("q"));
        browser.wait_until(&format!("location.search.includes('search={common}')"));
        let names = || browser.texts("#results tbody th a");
        let order = |wanted: &str| {
            browser.wait_until(&format!(
                "document.querySelector('[aria-sort]').getAttribute('aria-sort') === '{wanted}'"
            ));
        };
        browser.click("#results th a[href*='sort=size'], #results th a[href*='sort=image']");
        order("ascending");
        browser.click("#results th a[href*='sort=name']");
        order("ascending");
        browser
            .wait_until("document.querySelector('th:has(a[href*=\"sort=name\"])').hasAttribute('aria-sort')");
        assert_eq!(names(), [first.clone(), second.clone()]);
        browser.click("[aria-sort] a");
        order("descending");
        assert_eq!(names(), [second.clone(), first.clone()]);
        browser.fill("#q", &second);
        browser.wait_until("document.querySelectorAll('#results tbody th').length === 1");
        assert_eq!(names(), std::slice::from_ref(&second));
        browser.fill("#q", "nothing-is-called-so");
        browser.wait_text("#results", "Nothing found");
    }
}

#[test]
fn a_row_changes_in_place_and_keeps_the_focus() {
    let bench = Bench::new();
    let app = App::start();
    let browser = Browser::open(app.address());
    let web = bench.run("web", &[], &[]);
    let short = bench.inspect(&web)["Id"].as_str().unwrap()[..12].to_owned();
    browser.sign_in();
    browser.go(&format!("/containers?search={web}"));
    browser.dismiss();
    browser.script(&format!("window.row = document.getElementById('c-{short}')"), &[]);
    for (action, word, told) in [
        ("pause", "Paused", "is paused"),
        ("resume", "Running", "is resumed"),
        ("restart", "Running", "is restarted"),
        ("stop", "Stopped", "is stopped"),
    ] {
        browser.click(&format!("#b-{short}"));
        browser.click(&format!("#m-{short} form[action$='/{action}'] button:not([aria-disabled])"));
        browser.wait_text(".toast", told);
        browser.wait_text(&format!("#c-{short} .state"), word);
    }
    assert_eq!(
        browser.script(&format!("return window.row === document.getElementById('c-{short}')"), &[]),
        json!(true)
    );
    browser.click(&format!("#b-{short}"));
    browser.script("htmx.trigger(document.body, 'list-changed')", &[]);
    bench.docker(&["start", &web]);
    browser.script("htmx.trigger(document.body, 'list-changed')", &[]);
    browser.wait_text(&format!("#c-{short} .state"), "Running");
    let kept = format!("document.querySelector('#m-{short}').matches(':popover-open')");
    browser.wait_until(&kept);
    browser.keys("\u{e00c}");
    browser.wait_until(&format!("!{kept}"));
    assert_eq!(browser.script("return document.activeElement.id", &[]), json!(format!("b-{short}")));
}

#[test]
fn the_default_password_is_warned_about_until_it_is_changed() {
    let app = App::start();
    let browser = Browser::open(app.address());
    browser.sign_in();
    for page in ["/", "/containers", "/vault", "/jobs"] {
        browser.go(page);
        browser.wait_until("document.querySelector('#default-password:modal')");
        browser.keys("\u{e00c}");
        browser.wait_until("!document.querySelector('#default-password:modal')");
    }
    browser.go("/");
    browser.click("#default-password a");
    browser.wait_text("h1", "Settings");
    browser.fill("#cur", "not the password");
    browser.fill("#new", "short");
    browser.wait_text("#rules .met", "a lower case letter");
    assert_eq!(browser.texts("#rules li:not(.met)").len(), 4);
    browser.fill("#new", "Long-enough-2-be-good");
    browser.wait_until("document.querySelectorAll('#rules .met').length === 5");
    browser.fill("#rep", "Long-enough-2-be-good");
    browser.click("[data-reveal=new]");
    assert_eq!(browser.script("return document.getElementById('new').type", &[]), json!("text"));
    browser.click("#account [type=submit].primary");
    browser.wait_text("#cur-e", "current password is wrong");
    let kept = browser.script("return document.getElementById('new').value", &[]);
    assert_eq!(kept, json!("Long-enough-2-be-good"), "what was typed stays");
    browser.fill("#cur", PASSWORD);
    browser.click("#account [type=submit].primary");
    browser.wait_text("#account .good", "Changed");
    assert!(!browser.exists("#default-password"));
    browser.go("/containers");
    browser.wait_text("h1", "Containers");
    assert!(!browser.exists("#default-password"));
}

#[test]
fn a_restore_next_to_what_runs_is_planned_as_one_types() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let web = bench.run("web", &["-v", &format!("{volume}:/data"), "-p", "127.0.0.1::80"], &[]);
    let backup = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    let browser = Browser::open(app.address());
    browser.sign_in();
    browser.go(&format!("/vault/{backup}/restore"));
    browser.dismiss();
    let copy = bench.name("copy");
    browser.fill("#nn", &web);
    browser.wait_text("#nn-check", "exists already");
    browser.fill("#nn", &copy);
    browser.wait_text("#nn-check", &format!("{copy} is free"));
    browser.fill("#d-0-name", &volume);
    browser.wait_text("#d-0-check", "exists already");
    let fresh = bench.name("fresh");
    browser.fill("#d-0-name", &fresh);
    browser.wait_text("#plan", &format!("Volume {fresh} is created"));
    browser.click(".form-foot .btn.primary");
    browser.dismiss();
    browser.wait_text("#now-h", &format!("{copy} is back"));
    assert!(bench.is_running(&copy) && bench.is_running(&web) && bench.exists("volume", &fresh));
    bench.docker(&["rm", "-f", "-v", &copy]);
    bench.docker(&["volume", "rm", "-f", &fresh]);
}

/// A picture of one pixel.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\
    \0\0\0\nIDATx\xdach\0\0\0\x82\0\x81\xdaE\x08;\0\0\0\0IEND\xaeB`\x82";

#[test]
fn files_are_looked_at_and_several_containers_are_stopped_by_clicks() {
    let bench = Bench::new();
    let app = App::start();
    let volume = bench.volume("files");
    let folder = bench.path(&volume).join("my settings");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("app.conf"), "listen = 80\nname = caf\u{e9}\n").unwrap();
    fs::write(folder.join("dot.png"), PIXEL).unwrap();
    let (one, two) = (bench.run("one", &[], &[]), bench.run("two", &[], &[]));
    let browser = Browser::open(app.address());
    browser.sign_in();
    look_at_files(&browser, &volume);
    assert!(!bench.exists("volume", &volume));
    act_on_several(&bench, &browser, &one, &two);
}

/// From the list of volumes to a file and a picture, and back; then the volume is deleted.
fn look_at_files(browser: &Browser, volume: &str) {
    browser.go(&format!("/volumes?search={volume}"));
    browser.dismiss();
    browser.click(&format!("#v-{volume} th a"));
    browser.dismiss();
    browser.wait_text("h1", volume);
    browser.click("#browser tbody th a");
    browser.wait_text("#browser .path b", "my settings");
    assert!(browser.place().contains("path=/my%20settings"), "{}", browser.place());
    assert_eq!(browser.texts("#browser tbody th a"), [".. Parent folder", "app.conf", "dot.png"]);
    browser.press("app.conf");
    browser.dismiss();
    browser.wait_text("h1", "app.conf");
    assert_eq!(browser.texts("#file span"), ["listen = 80", "name = caf\u{e9}"]);
    browser.press("my settings");
    browser.dismiss();
    browser.press("dot.png");
    browser.dismiss();
    browser.wait_until("document.querySelector('img.preview').naturalWidth === 1");
    // The first part of the path is the volume itself.
    browser.click(".path a");
    browser.dismiss();
    browser.wait_until("document.querySelectorAll('#browser tbody tr').length === 1");
    assert!(browser.failed_requests().is_empty(), "{:?}", browser.failed_requests());
    browser.press("Delete");
    browser.wait_until("document.querySelector('#confirm:modal')");
    browser.fill("#typed", volume);
    browser.press("Delete volume");
    browser.wait_text(".toast", "is deleted");
}

/// Two are stopped; then one of two that are to start is gone meanwhile.
fn act_on_several(bench: &Bench, browser: &Browser, one: &str, two: &str) {
    let short = |name: &str| bench.inspect(name)["Id"].as_str().unwrap()[..12].to_owned();
    let ids = [short(one), short(two)];
    let common = one.trim_start_matches("one");
    browser.go(&format!("/containers?search={common}"));
    browser.dismiss();
    for id in &ids {
        browser.click(&format!("#p-{id}"));
    }
    // What was chosen stays chosen for the next action.
    let ask = |button: &str, title: &str| {
        browser.wait_text("[data-selected]", "2 selected");
        browser.click(&format!("#bulk [name=op][value={button}]"));
        browser.wait_until("document.querySelector('#confirm:modal')");
        browser.wait_text("#confirm h2", title);
        let named = browser.text("#confirm .results");
        assert!(named.contains(one) && named.contains(two), "{named}");
    };
    ask("stop", "Stop 2 containers?");
    browser.click("#confirm [type=submit]");
    browser.wait_text("#batch-live", "All done");
    let lines = browser.texts("#batch-live li");
    assert!(lines[0].contains(one) && lines[1].contains(two), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("Done")), "{lines:?}");
    assert!(!bench.is_running(one) && !bench.is_running(two));
    browser.click("#confirm [command=close]");
    for id in &ids {
        browser.wait_text(&format!("#c-{id} .state"), "Stopped");
    }
    ask("start", "Start 2 containers?");
    bench.docker(&["rm", "-f", two]);
    browser.click("#confirm [type=submit]");
    browser.wait_text("#batch-live", "1 of 2 not done");
    let lines = browser.texts("#batch-live li");
    assert!(lines[0].contains(one) && lines[0].contains("Done"), "{lines:?}");
    assert!(lines[1].contains("Not done") && lines[1].contains("not found"), "{lines:?}");
    assert!(bench.is_running(one));
}

#[test]
fn pages_fit_a_phone() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let long = bench.name(&"long-name-without-any-space_".repeat(3));
    bench.docker(&[
        "run",
        "-d",
        "--name",
        &long,
        "--label",
        bench.label(),
        "-p",
        "127.0.0.1::80",
        &bench.image(),
    ]);
    let run = admin.back_up(&long);
    let (backup, job) = (run["backup_id"].as_str().unwrap(), run["progress_id"].as_str().unwrap());
    let browser = Browser::phone(app.address(), 360);
    browser.sign_in();
    for page in [
        "/".to_owned(),
        "/containers".to_owned(),
        format!("/containers/{long}"),
        format!("/containers/{long}/backup"),
        format!("/containers/{long}/delete"),
        "/vault".to_owned(),
        format!("/vault/{backup}"),
        format!("/vault/{backup}/restore"),
        format!("/vault/{backup}/delete"),
        "/jobs".to_owned(),
        format!("/jobs/{job}"),
        "/settings".to_owned(),
        "/nothing-here".to_owned(),
    ] {
        browser.go(&page);
        browser.dismiss();
        let wide = browser.script("return [document.documentElement.scrollWidth, innerWidth]", &[]);
        assert_eq!(wide, json!([360, 360]), "{page} scrolls sideways");
    }
    browser.click("[popovertarget=nav]");
    browser.press("Backup vault");
    browser.wait_text("h1", "Backup vault");
}

#[test]
fn the_log_stays_where_its_reader_is() {
    let bench = Bench::new();
    let app = App::start();
    let talk = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo past $i; done; \
                while true; do i=$((i+1)); echo now $i; echo bad $i >&2; sleep 1; done";
    let web = bench.run("web", &[], &["sh", "-c", talk]);
    let browser = Browser::open(app.address());
    browser.sign_in();
    browser.go(&format!("/containers/{web}/logs"));
    browser.dismiss();
    browser.wait_text("#log-state", "Following");
    let at_end = "(l => l.scrollHeight - l.scrollTop - l.clientHeight < 40)(document.getElementById('log'))";
    let count =
        || browser.script("return document.getElementById('log').children.length", &[]).as_u64().unwrap();
    let wait_for_more = || {
        let before = count();
        browser.wait_until(&format!("document.getElementById('log').children.length > {before} + 2"));
    };
    wait_for_more();
    assert_eq!(browser.script(&format!("return {at_end}"), &[]), json!(true), "a follower stays at the end");
    browser.script("document.getElementById('log').scrollTop = 300", &[]);
    browser.wait_until("!document.getElementById('log-follow').checked");
    wait_for_more();
    assert_eq!(browser.script("return document.getElementById('log').scrollTop", &[]), json!(300));
    browser.click("#log-follow");
    browser.wait_until(at_end);
    wait_for_more();
    assert_eq!(browser.script(&format!("return {at_end}"), &[]), json!(true));
    // What is looked for comes while it is written as well; the filter is in the address.
    browser.fill("#search", "bad");
    browser.wait_until("location.search.includes('search=bad')");
    browser.wait_text("#log-state", "Following");
    wait_for_more();
    assert!(browser.texts("#log .msg").iter().all(|line| line.starts_with("bad ")));
    bench.docker(&["stop", "-t", "0", &web]);
    browser.wait_text("#log-state", "Stopped with exit code 137");
    assert!(browser.failed_requests().is_empty(), "{:?}", browser.failed_requests());
}

#[test]
fn a_shell_is_used_in_the_browser() {
    let bench = Bench::new();
    let app = App::start();
    let web = bench.run("web", &[], &[]);
    let browser = Browser::open(app.address());
    browser.sign_in();
    browser.go(&format!("/containers/{web}/console"));
    browser.dismiss();
    browser.wait_text("#console-state", "Connected, sh");
    browser.click("#terminal .xterm-screen");
    browser.keys("echo sum-$((20+3)); busybox stty size\n");
    browser.wait_text(".xterm-rows", "sum-23");
    let columns =
        || browser.script("return document.querySelector('.xterm-rows').innerText", &[]).to_string();
    assert!(!columns().contains("24 80"), "the terminal has the size of its place: {}", columns());
    browser.keys("exit 4\n");
    browser.wait_text("#console-state", "ended with exit code 4");
    browser.press("Reconnect");
    browser.wait_text("#console-state", "Connected, sh");
    browser.go(&format!("/containers/{web}"));
    crate::harness::wait_for("the shell's end", || {
        (bench.docker(&["top", &web, "-eo", "pid,args"]).lines().count() == 2).then_some(())
    });
}
