//! Engines that are reached in other ways than by the usual socket.

use std::{fs, path::Path, sync::Arc};

use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use crate::harness::{App, Bench, Options, run, wait_for};

/// A front of the engine's socket on a port of its own, until the test ends.
fn front(tls: Option<ServerConfig>) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let tls = tls.clone();
                tokio::spawn(async move {
                    let mut engine = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                    let mut client = client;
                    // Somebody who is refused, or who leaves, is no failure of the front's.
                    let _ = match tls {
                        None => copy_bidirectional(&mut client, &mut engine).await,
                        Some(tls) => match tls.accept(client).await {
                            Ok(mut client) => copy_bidirectional(&mut client, &mut engine).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
    });
    port
}

/// Lets in only who has a certificate of the authority, as `dockerd --tlsverify` does.
fn verifying(directory: &Path) -> ServerConfig {
    let read = |name: &str| fs::read(directory.join(name)).unwrap();
    let certificates =
        |name: &str| CertificateDer::pem_slice_iter(&read(name)).map(Result::unwrap).collect::<Vec<_>>();
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca.pem"));
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            certificates("server.pem"),
            PrivateKeyDer::from_pem_slice(&read("server-key.pem")).unwrap(),
        )
        .unwrap()
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
    let port = front(None);
    let app = App::start_with(Options::default().with("DOCKER_HOST", format!("tcp://127.0.0.1:{port}")));
    main_job(&app, &bench);
}

#[test]
fn an_engine_with_tls() {
    let bench = Bench::new();
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let port = front(Some(verifying(directory.path())));
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
