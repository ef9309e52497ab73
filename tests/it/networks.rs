//! Networks: listed with what is in them, deleted when nothing is.

use serde_json::json;

use crate::harness::{App, Bench};

#[test]
fn the_list_says_what_a_network_is_and_who_is_in_it() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let net = bench.network("net", &["--internal", "--subnet", "10.213.77.0/24", "--gateway", "10.213.77.1"]);
    let empty = bench.network("empty", &[]);
    let web = bench.run("web", &["--network", &net], &[]);
    let list = |query: &str| admin.get(&format!("/api/networks?{query}")).expect(200);
    let row = list(&format!("search={net}"))["networks"][0].clone();
    assert_eq!(row["name"], json!(net));
    assert_eq!(row["driver"], "bridge");
    assert_eq!(row["scope"], "local");
    assert_eq!(row["internal"], true);
    assert_eq!(row["ipv6"], false);
    assert_eq!(row["subnet"], "10.213.77.0/24");
    assert_eq!(row["gateway"], "10.213.77.1");
    assert_eq!(row["containers"], json!([web]));
    assert_eq!(row["built_in"], false);
    let names = |query: &str| -> Vec<String> {
        let rows = list(query)["networks"].as_array().unwrap().clone();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("search=10.213.77"), std::slice::from_ref(&net));
    assert_eq!(names(&format!("search={web}")), std::slice::from_ref(&net));
    assert!(names("show=unused").contains(&empty) && !names("show=unused").contains(&net));
    assert!(names("show=built_in").contains(&"host".to_owned()));
    assert!(!names("show=own").contains(&"bridge".to_owned()));
    let page = admin.get(&format!("/networks?search={net}"));
    let link = format!("/containers?network={net}");
    assert!(page.attributes("tbody a", "href").contains(&link));
    assert_eq!(admin.get(&link).texts("tbody th a"), [web]);
}

#[test]
fn only_a_network_that_is_not_in_use_is_deleted() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let (net, empty) = (bench.network("net", &[]), bench.network("empty", &[]));
    // Also a container that does not run needs its network.
    let web = bench.create("web", &["--network", &net], &[]);
    let refused = admin.delete(&format!("/api/network/{net}/delete")).error(409);
    assert!(refused.contains(&web), "{refused}");
    assert!(bench.exists("network", &net));
    for built_in in ["bridge", "host", "none"] {
        let refused = admin.delete(&format!("/api/network/{built_in}/delete")).error(409);
        assert!(refused.contains("built into Docker"), "{refused}");
    }
    let page = admin.get(&format!("/networks?search={net}"));
    assert!(page.attributes("button[aria-disabled]", "title")[0].contains(&web));
    assert!(admin.get_fragment(&format!("/networks/{empty}/delete")).text.contains("Delete network"));
    let id = bench.docker(&["network", "inspect", "-f", "{{.Id}}", &empty]);
    assert_eq!(admin.submit(&format!("/networks/{}/delete", &id[..12]), &[]).status, 303);
    assert!(!bench.exists("network", &empty));
    admin.delete(&format!("/api/network/{empty}/delete")).error(404);
    admin.delete("/api/network/a%2Fb/delete").error(400);
}
