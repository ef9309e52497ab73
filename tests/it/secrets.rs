//! What is shown only when asked for, and what is done only when meant.

use std::fs;

use crate::harness::{App, Bench};

const SECRET: &str = "hunter2-never-seen";

#[test]
fn secret_values_are_shown_when_asked_for_and_that_is_remembered() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let password = format!("DB_PASSWORD={SECRET}");
    let web = bench.run("web", &["-e", &password, "-e", "DB_HOST=visible-host"], &[]);
    let backup = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    let pages =
        [format!("/containers/{web}"), format!("/containers/{web}/inspect"), format!("/vault/{backup}")];
    for path in &pages {
        let page = admin.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains(SECRET) && page.text.contains("visible-host"), "{path}");
        assert!(page.text.contains("?reveal=1"), "{path} tells how to see it");
    }
    let told =
        || admin.get("/api/audit-logs?operation_type=show_secrets").expect(200)["total"].as_u64().unwrap();
    assert_eq!(told(), 0);
    for path in &pages {
        let page = admin.get(&format!("{path}?reveal=1"));
        assert!(page.text.contains(SECRET) && page.text.contains("Hide secrets"), "{path}");
    }
    assert_eq!(told(), 3);
    let log = admin.get("/audit?operation_type=show_secrets");
    assert!(log.text.contains("Secrets shown of") && log.text.contains(&web), "{}", log.text);
}

#[test]
fn data_is_overwritten_only_when_its_name_was_typed() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let web = bench.run("web", &["-v", &format!("{volume}:/data")], &[]);
    let file = bench.path(&volume).join("file");
    fs::write(&file, "old").unwrap();
    let backup = admin.back_up(&web)["backup_id"].as_str().unwrap().to_owned();
    fs::write(&file, "new").unwrap();
    let path = format!("/vault/{backup}/restore");
    let page = admin.get(&path);
    assert_eq!(page.attributes(".confirm-name input", "name"), ["confirm"]);
    let restore = |action: &str, confirm: &str| {
        let fields = [("name-mode", "replace"), ("data-0", action), ("start", "true"), ("confirm", confirm)];
        admin.submit(&path, &fields)
    };
    for confirm in ["", "something else"] {
        let refused = restore("overwrite", confirm);
        assert_eq!(refused.status, 422);
        assert!(refused.texts("#cn-e")[0].contains(&format!("type the name {web}")), "{}", refused.text);
        assert_eq!(refused.attributes("#cn", "value"), [confirm]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
    let begun = restore("overwrite", &web);
    assert_eq!(begun.status, 303, "{}", begun.text);
    let run = begun.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(admin.finished(&run)["status"], "complete");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    // Nothing is lost: nothing is to be typed.
    assert_eq!(restore("skip", "").status, 303);
}
