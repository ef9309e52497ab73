//! The main job: back up, lose everything, get it back.

use std::fs;

use serde_json::json;

use crate::harness::{App, Bench};

#[test]
fn a_lost_container_comes_back_with_image_volume_network_and_settings() {
    let bench = Bench::new();
    let app = App::start();
    let admin = app.admin();
    let volume = bench.volume("data");
    let network = bench.network("net", &[]);
    let mount = format!("{volume}:/data");
    let web =
        bench.run("web", &["--network", &network, "-v", &mount, "-e", "COLOUR=blue"], &["sleep", "5000"]);
    fs::write(bench.path(&volume).join("precious"), "only copy").unwrap();

    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup:#}");
    bench.docker(&["rm", "-f", &web]);
    bench.docker(&["volume", "rm", &volume]);
    bench.docker(&["network", "rm", &network]);
    bench.docker(&["rmi", "-f", &bench.image()]);

    let restored = admin.restore(backup["backup_id"].as_str().unwrap(), json!({}));
    assert_eq!(restored["status"], "complete", "{restored:#}");
    assert_eq!(fs::read_to_string(bench.path(&volume).join("precious")).unwrap(), "only copy");
    assert!(bench.is_running(&web));
    let inspect = bench.inspect(&web);
    assert!(inspect["Config"]["Env"].as_array().unwrap().contains(&json!("COLOUR=blue")));
    assert_eq!(inspect["Config"]["Cmd"], json!(["sleep", "5000"]));
    assert!(inspect["NetworkSettings"]["Networks"][&network].is_object());
    assert_eq!(inspect["Config"]["Image"], json!(bench.image()));
    app.restic(&["check", "--read-data"]);
}
