//! Engines that are reached in other ways than by the usual socket.

use std::{fs, net::TcpListener, path::Path, process::Child};

use serde_json::json;

use crate::harness::{App, Bench, Options, run, wait_for};

/// A front of the engine's socket; ends with the test.
struct Front(Child);

impl Front {
    fn start(listen: &str) -> Self {
        let to = "UNIX-CONNECT:/var/run/docker.sock";
        Self(std::process::Command::new("socat").args([listen, to]).spawn().unwrap())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for_port(port: u16) {
    wait_for("the front", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
}

/// An authority with a certificate for the engine and one for its client, as the engine's manual makes them.
fn certificates(directory: &Path) {
    let make = |arguments: &str| {
        let mut words = vec!["-C", directory.to_str().unwrap(), "openssl"];
        words.extend(arguments.split_whitespace());
        run("env", &words);
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    make(&format!("req -x509 {key} -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=authority"));
    for (name, extension) in
        [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")]
    {
        make(&format!("req {key} -keyout {name}-key.pem -out {name}.csr -subj /CN={name}"));
        fs::write(directory.join(format!("{name}.ext")), extension).unwrap();
        make(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile {name}.ext -out {name}.pem"
        ));
    }
    fs::copy(directory.join("client.pem"), directory.join("cert.pem")).unwrap();
    fs::copy(directory.join("client-key.pem"), directory.join("key.pem")).unwrap();
}

/// Backs up, loses and restores a container by whatever leads to the engine.
fn main_job(app: &App, bench: &Bench) {
    let admin = app.admin();
    let volume = bench.volume("data");
    let web = bench.run(
        "web",
        &["-v", &format!("{volume}:/data")],
        &["sh", "-c", "echo kept > /data/file; sleep 1000"],
    );
    wait_for("the file", || (bench.docker(&["exec", &web, "cat", "/data/file"]) == "kept").then_some(()));
    let backup = admin.back_up(&web);
    assert_eq!(backup["status"], "complete", "{backup}");
    bench.docker(&["rm", "-f", &web]);
    bench.docker(&["volume", "rm", &volume]);
    let restore = admin.restore(backup["backup_id"].as_str().unwrap(), json!({}));
    assert_eq!(restore["status"], "complete", "{restore}");
    assert_eq!(bench.docker(&["exec", &web, "cat", "/data/file"]), "kept");
    let answer = admin.post(&format!("/api/container/{web}/exec"), &json!({ "command": "echo here" }));
    assert_eq!(answer.expect(200)["output"], "here\n");
}

#[test]
fn an_engine_behind_a_network_address() {
    let bench = Bench::new();
    let port = free_port();
    let _front = Front::start(&format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"));
    wait_for_port(port);
    let app = App::start_with(Options::default().with("DOCKER_HOST", format!("tcp://127.0.0.1:{port}")));
    main_job(&app, &bench);
}

#[test]
fn an_engine_with_tls() {
    let bench = Bench::new();
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let port = free_port();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let _front = Front::start(&format!(
        "OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,cert={},key={},cafile={},verify=1",
        at("server.pem"),
        at("server-key.pem"),
        at("ca.pem")
    ));
    wait_for_port(port);
    let options = || {
        Options::default()
            .with("DOCKER_HOST", format!("tcp://127.0.0.1:{port}"))
            .with("DOCKER_TLS_VERIFY", "1")
            .with("DOCKER_CERT_PATH", directory.path().display().to_string())
    };
    main_job(&App::start_with(options()), &bench);
    // Somebody else's authority: it says so, and nothing is trusted.
    certificates(directory.path());
    let mut app = App::start_with(options());
    app.expect_errors();
    let error = app.admin().get("/api/containers").error(503);
    assert!(error.contains("certificate"), "{error}");
}
