//! The dashboard: is everything safe, and is there room for more?

use crate::harness::{App, Bench};

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
