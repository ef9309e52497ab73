//! An S3 server in this process that checks signatures, with one bucket and faults on demand in front of it.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{App, in_container, run};

/// What the bucket is called.
pub(crate) const BUCKET: &str = "backups";

/// Who may use it.
pub(crate) const ACCESS_KEY: &str = "AKIATEST";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI-planted-secret";

/// The same for who has the machine's role: with these keys goes a token.
pub(crate) const ROLE_KEY: &str = "ASIATEST";
pub(crate) const ROLE_SECRET: &str = "secret-of-the-role";
pub(crate) const ROLE_TOKEN: &str = "token-of-the-role";

/// What goes wrong between the program and the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It answers with this status and code.
    Refuses(u16, &'static str),
    /// It takes so many milliseconds longer.
    Slow(u64),
    /// It closes the connection without an answer.
    Resets,
    /// It sends half of what it announced.
    Truncates,
    /// It tells another entity tag than that of the object.
    WrongTag,
    /// The key may not do this: the method.
    Forbids(&'static str),
}

/// What the server asks before each request.
struct Weather {
    fault: Fault,
    /// Requests that are still served well before the fault begins.
    after: usize,
    /// Requests that it hits; then it is over.
    left: usize,
}

/// A running server. It ends with the test's process.
pub(crate) struct Bucket {
    directory: tempfile::TempDir,
    address: SocketAddr,
    weather: Arc<Mutex<Weather>>,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        let mut keys = SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY);
        keys.register(ROLE_KEY.to_owned(), ROLE_SECRET.into());
        builder.set_auth(keys);
        let service = builder.build();
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let weather = Arc::new(Mutex::new(Weather { fault: Fault::None, after: 0, left: 0 }));
        let sky = weather.clone();
        let handle = move |request: Request| {
            let (service, fault) = (service.clone(), now(&sky));
            async move {
                if lacks_token(&request) {
                    return refusal(403, "InvalidToken");
                }
                if let Some(answer) = before(fault, request.method().clone()).await {
                    return answer;
                }
                let answer = service.oneshot(request).await.unwrap();
                after(fault, answer.map(Body::new)).await
            }
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, axum::Router::new().fallback(handle)).await.unwrap();
            });
        });
        Self { directory, address, weather }
    }

    /// From now on, for the next `left` requests after `after` good ones.
    pub(crate) fn fault_after(&self, after: usize, left: usize, fault: Fault) {
        *self.weather.lock().unwrap() = Weather { fault, after, left };
    }

    /// From now on.
    pub(crate) fn fault(&self, fault: Fault) {
        self.fault_after(0, usize::MAX, fault);
    }

    /// Where the program reaches it.
    pub(crate) fn endpoint(&self) -> String {
        reachable(self.address.port())
    }

    /// Where its objects are.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().join(BUCKET)
    }

    /// What a person enters.
    pub(crate) fn settings(&self) -> Value {
        json!({
            "s3_bucket": BUCKET, "s3_region": "us-east-1", "s3_endpoint": self.endpoint(), "s3_path_style": true,
            "s3_prefix": "monkey", "s3_access_key": ACCESS_KEY, "s3_secret_key": SECRET_KEY,
        })
    }

    /// Sets it up in this program; new backups go there.
    pub(crate) fn connect(&self, app: &App, more: &Value) -> Value {
        let mut settings = self.settings();
        settings["storage_type"] = json!("s3");
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        app.admin().post("/api/storage/settings", &settings).expect(200)
    }

    /// restic on the vault in it.
    pub(crate) fn restic(&self, key: &str, arguments: &[&str]) -> String {
        // Not by s3s-fs, which lists nothing below folders where restic asks with an empty delimiter. What it keeps
        // is the repository as it is.
        let repository = self.directory().join("monkey").display().to_string();
        let output = std::process::Command::new("restic")
            .args(["--no-cache", "-r", &repository])
            .args(arguments)
            .env("RESTIC_PASSWORD", key)
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "restic {arguments:?}: {text}");
        text
    }
}

/// How the program reaches a server of this process.
pub(crate) fn reachable(port: u16) -> String {
    let host = if in_container() {
        // The engine does not always tell the gateway: it is the first address.
        let subnet =
            run("docker", &["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Subnet}}"]);
        let network = subnet.split('/').next().unwrap();
        format!("{}.1", network.rsplit_once('.').unwrap().0)
    } else {
        "127.0.0.1".to_owned()
    };
    format!("http://{host}:{port}")
}

/// The keys of a role are worth nothing without their token, and the signature covers it.
fn lacks_token(request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let signed = header("authorization").unwrap_or_default();
    signed.contains(ROLE_KEY)
        && !(header("x-amz-security-token") == Some(ROLE_TOKEN) && signed.contains("x-amz-security-token"))
}

fn now(weather: &Mutex<Weather>) -> Fault {
    let mut weather = weather.lock().unwrap();
    if weather.after > 0 {
        weather.after -= 1;
        return Fault::None;
    }
    if weather.left == 0 {
        return Fault::None;
    }
    weather.left = weather.left.saturating_sub(usize::from(weather.left != usize::MAX));
    weather.fault
}

fn refusal(status: u16, code: &str) -> Response {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as asked</Message></Error>");
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/xml")], body).into_response()
}

async fn before(fault: Fault, method: axum::http::Method) -> Option<Response> {
    match fault {
        Fault::Refuses(status, code) => Some(refusal(status, code)),
        Fault::Forbids(which) if method == which => Some(refusal(403, "AccessDenied")),
        Fault::Slow(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            None
        }
        // An answer that ends before its first byte.
        Fault::Resets => Some(broken("100", Vec::new())),
        _ => None,
    }
}

/// An answer that is longer than what is sent of it.
fn broken(length: &str, part: Vec<u8>) -> Response {
    let end = std::io::Error::other("the connection breaks");
    let parts: Vec<std::io::Result<Vec<u8>>> = vec![Ok(part), Err(end)];
    let body = Body::from_stream(futures::stream::iter(parts));
    ([("content-length", length)], body).into_response()
}

async fn after(fault: Fault, mut answer: Response) -> Response {
    match fault {
        Fault::Truncates if answer.status().is_success() => {
            let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            broken(&bytes.len().max(2).to_string(), bytes[..bytes.len() / 2].to_vec())
        }
        Fault::WrongTag => {
            answer.headers_mut().insert("etag", "\"00000000000000000000000000000000\"".parse().unwrap());
            answer
        }
        _ => answer,
    }
}
