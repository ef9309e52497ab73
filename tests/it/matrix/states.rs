//! A container that did not run must not run afterwards.

use super::frame::Matrix;

#[test]
fn stopped_paused_and_created_containers_stay_what_they_were() {
    let mut m = Matrix::new();
    m.create("created", &["--restart", "always"], &[]);
    let stopped = m.run("stopped", &["--restart", "unless-stopped", "-v", "/data"], &[]);
    m.bench.docker(&["stop", &stopped]);
    m.run("ended", &[], &["true"]);
    m.run("failed", &[], &["false"]);
    m.create("never", &[], &["/no/such/program"]);
    let paused = m.run("paused", &["--restart", "always"], &[]);
    m.bench.docker(&["pause", &paused]);
    m.run("running", &[], &[]);
    m.round_trip(|_| {});
}
