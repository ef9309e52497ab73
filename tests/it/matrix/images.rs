//! Image names, and images that changed under their containers.

use serde_json::json;

use super::frame::Matrix;
use crate::harness::{App, try_run, wait_for};

/// Containers whose image names mean different things by now.
fn containers() -> Matrix {
    let mut m = Matrix::new();
    let spare = m.image("spare", &["ENV SPARE=1"]);
    let id = |m: &Matrix, image: &str| m.bench.docker(&["image", "inspect", "-f", "{{.Id}}", image]);
    let command = ["sleep", "1000000"];

    let plain = m.image("plain", &["ENV PLAIN=1"]);
    m.bench.docker(&["tag", &plain, &m.bench.name("localhost:5000/plain")]);
    m.run_image("plain", &plain, &[], &command);

    let full = m.image("full-id", &["ENV FULL=1"]);
    m.run_image("full-id", &id(&m, &full), &[], &command);
    let short = m.image("short-id", &["ENV SHORT=1"]);
    m.run_image("short-id", &id(&m, &short)["sha256:".len()..][..12], &[], &command);

    let moved = m.image("moved", &["ENV MOVED=old", "LABEL version=1", "CMD [\"sleep\", \"4321\"]"]);
    m.run_image("moved", &moved, &[], &[]);
    m.image("moved", &["ENV MOVED=new", "LABEL version=2", "ENTRYPOINT [\"/bin/sh\"]"]);

    let untagged = m.image("untagged", &["ENV UNTAGGED=1"]);
    m.run_image("untagged", &untagged, &[], &command);
    m.bench.docker(&["tag", &spare, &untagged]);
    m.bench.docker(&["rmi", &untagged]);
    m
}

#[test]
fn image_names_mean_the_same_before_and_after() {
    containers().round_trip(|_| {});
}

#[test]
fn images_come_back_with_their_own_names_and_no_other() {
    containers().round_trip(|bench| {
        let filter = format!("label={}", bench.label());
        // Children before their parents.
        wait_for("the images to be gone", || {
            let ids = bench.docker(&["images", "-a", "-q", "--filter", &filter]);
            ids.lines().for_each(|id| drop(try_run("docker", &["rmi", "-f", id])));
            ids.is_empty().then_some(())
        });
    });
}

#[test]
fn a_container_whose_image_was_deleted_comes_back_with_its_files() {
    let mut m = Matrix::new();
    let image = m.image(
        "deleted",
        &["ENTRYPOINT [\"/bin/sh\", \"-c\"]", "CMD [\"exec sleep 1000000\"]", "ENV LOST=1", "USER nobody"],
    );
    let web = m.run_image("deleted", &image, &["-u", "0"], &["echo inside > /written; exec sleep 1000000"]);
    wait_for("the file", || m.bench.docker(&["diff", &web]).contains("/written").then_some(()));
    m.bench.docker(&["stop", "-t", "0", &web]);
    m.bench.docker(&["rmi", "-f", &image]);
    m.bench.docker(&["start", &web]);
    m.flattened(&web);
    m.round_trip(|_| {});
    assert_eq!(m.bench.docker(&["exec", &web, "cat", "/written"]), "inside");
    remove_with_image(&m, &web);
}

#[test]
fn each_backup_without_an_image_has_the_files_of_its_own_time() {
    let m = Matrix::new();
    let image = m.image("lost", &["ENV LOST=1"]);
    let web = m.bench.name("web");
    let label = m.bench.label();
    m.bench.docker(&[
        "run",
        "-d",
        "--name",
        &web,
        "--label",
        label,
        &image,
        "sh",
        "-c",
        "exec sleep 1000000",
    ]);
    let write = |text: &str| m.bench.docker(&["exec", &web, "sh", "-c", &format!("echo {text} > /written")]);
    write("first");
    m.bench.docker(&["stop", "-t", "0", &web]);
    m.bench.docker(&["rmi", "-f", &image]);
    m.bench.docker(&["start", &web]);
    let app = App::start();
    let admin = app.admin();
    let first = admin.back_up(&web);
    assert_eq!(first["status"], "complete", "{first:#}");
    write("later");
    let second = admin.back_up(&web);
    assert_eq!(second["status"], "complete", "{second:#}");
    for (backup, text) in [(second, "later"), (first, "first")] {
        remove_with_image(&m, &web);
        let restored = admin.restore(backup["backup_id"].as_str().unwrap(), json!({}));
        assert_eq!(restored["status"], "complete", "{restored:#}");
        assert_eq!(m.bench.docker(&["exec", &web, "cat", "/written"]), text);
    }
    remove_with_image(&m, &web);
}

/// What is made of a container's files carries no label of the test.
fn remove_with_image(m: &Matrix, container: &str) {
    let image = m.bench.inspect(container)["Image"].as_str().unwrap().to_owned();
    m.bench.docker(&["rm", "-f", container]);
    try_run("docker", &["rmi", &image]);
}
