//! The dashboard: is everything safe, and is there room for more?

use serde_json::json;

use crate::harness::{Answer, App, Bench, Options, PASSWORD};

#[test]
fn counts_lead_to_their_pages_and_the_disk_is_watched() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let project = bench.name("shop");
    let label = format!("com.docker.compose.project={project}");
    let web = bench.run("web", &["--label", &label], &[]);
    let stats = admin.get("/api/dashboard-stats").expect(200);
    let disk = &stats["vault"]["disk"];
    let (free, total) = (disk["free_bytes"].as_u64().unwrap(), disk["total_bytes"].as_u64().unwrap());
    assert!(0 < free && free < total, "{disk:#}");
    assert!(stats["containers"]["running"].as_u64().unwrap() >= 1 && stats["stacks"].as_u64().unwrap() >= 1);
    let page = admin.get("/");
    let links = page.attributes(".tile a", "href");
    for path in ["/containers", "/stacks"] {
        assert!(links.contains(&path.to_owned()), "{links:?}");
        assert_eq!(admin.get(path).status, 200);
    }
    assert!(page.texts(".target").join(" ").contains("free of"));

    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup:#}");
    let after = admin.get("/");
    assert!(
        after.texts("#jobs tbody tr").iter().any(|line| line.contains(&web) && line.contains("Complete"))
    );
    assert!(!after.texts("th .name a").contains(&web), "it is protected now");
}

/// The steps that are done, the one that is next, and what is told besides.
fn steps(page: &Answer) -> (Vec<String>, Vec<String>) {
    let done = page.texts("#first-steps li.done b");
    let done = done.iter().map(|text| text.trim_end_matches(": done").to_owned()).collect();
    (done, page.texts("#first-steps li.now b"))
}

#[test]
fn a_new_installation_is_led_through_its_first_steps() {
    let [change_it, place, backup, schedule, kit] = [
        "Change the first password",
        "Choose where backups go",
        "Back up the first container",
        "Make a schedule",
        "Save the recovery kit",
    ]
    .map(str::to_owned);
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let page = admin.get("/");
    assert_eq!(steps(&page), (vec![], vec![change_it.clone()]));
    let places = page.texts("#first-steps li").join(" ");
    assert!(
        places.contains(app.data().join("vault").to_str().unwrap()) && places.contains("free"),
        "{places}"
    );
    let links = page.attributes("#first-steps a", "href");
    for link in links.iter().map(|link| link.split('#').next().unwrap()) {
        assert_eq!(admin.get(link).status, 200, "{link}");
    }
    assert!(links.contains(&"/settings/storage#kit".to_owned()), "{links:?}");

    let new = "An0ther-longer-password";
    let change = json!({ "current_password": PASSWORD, "new_password": new });
    admin.post("/api/change-password", &change).expect(200);
    let admin = app.stranger();
    admin.sign_in("admin", new).expect(200);
    let page = admin.get("/");
    assert_eq!(steps(&page), (vec![change_it.clone()], vec![place.clone()]));
    // It is told once: on other pages by the banner, here by the steps.
    let banner = "Your recovery kit is not saved yet";
    assert!(!page.text.contains(banner) && admin.get("/containers").text.contains(banner));

    let web = bench.run("web", &[], &[]);
    assert_eq!(admin.back_up(&web)["status"], "complete");
    let done = vec![change_it.clone(), place.clone(), backup.clone()];
    assert_eq!(steps(&admin.get("/")), (done.clone(), vec![schedule.clone()]));
    admin.post("/api/vault-key/saved", &json!({})).expect(200);
    let done = [done, vec![kit.clone()]].concat();
    assert_eq!(steps(&admin.get("/")), (done, vec![schedule.clone()]));
    let plan = json!({
        "name": "Nightly", "schedule_type": "daily", "hour": 3, "minute": 0, "lifecycle": 7,
        "selection": "named", "containers": [web],
    });
    admin.post("/api/schedules", &plan).expect(200);
    assert!(admin.get("/").texts("#first-steps").is_empty(), "nothing is left");
}

#[test]
fn first_steps_that_are_hidden_stay_hidden() {
    let app = App::start_with(Options::default().with("MONKEY_ADMIN_PASSWORD", PASSWORD));
    let admin = app.admin();
    let page = admin.get("/");
    assert_eq!(steps(&page).1.len(), 1);
    let hidden = admin.submit_form(&page, "Hide the first steps", &[]);
    let page = admin.follow(&hidden);
    assert!(page.texts("#first-steps").is_empty());
    assert!(page.text.contains("Your recovery kit is not saved yet"), "now the banner tells it");
    let data = app.stop();
    let app = App::start_with(Options { data: Some(data.clone()), ..Options::default() });
    assert!(app.admin().get("/").texts("#first-steps").is_empty());
    drop(app);
    std::fs::remove_dir_all(data).unwrap();
}
