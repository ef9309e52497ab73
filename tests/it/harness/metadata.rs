//! What gives a machine in Amazon's cloud the keys of its role: the metadata service (IMDSv2) and an agent beside a pod.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::bucket::{ROLE_KEY, ROLE_SECRET, ROLE_TOKEN, reachable};

/// What an agent beside a pod wants to see.
pub(crate) const POD_TOKEN: &str = "token-of-the-pod";

/// How it is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// The machine has a role.
    Gives,
    /// The machine has none.
    NoRole,
    /// It takes the connection and never answers, as to a container that is a network hop too far away.
    Silent,
}

/// It ends with the test's process.
pub(crate) struct Metadata {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
}

impl Metadata {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let mood = Arc::new(Mutex::new(Mood::Gives));
        let router = Router::new().fallback(answer).with_state(mood.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { address, mood }
    }

    /// Where the program reaches it.
    pub(crate) fn endpoint(&self) -> String {
        reachable(self.address.port())
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn answer(State(mood): State<Arc<Mutex<Mood>>>, request: Request) -> Response {
    const SESSION: &str = "session-of-the-metadata-service";
    let mood = *mood.lock().unwrap();
    if mood == Mood::Silent {
        std::future::pending::<()>().await;
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (method, path) = (request.method().as_str(), request.uri().path());
    let allowed = match path {
        "/latest/api/token" => header("x-aws-ec2-metadata-token-ttl-seconds").is_some(),
        "/v1/credentials" => header("authorization") == Some(POD_TOKEN),
        _ => header("x-aws-ec2-metadata-token") == Some(SESSION),
    };
    if !allowed {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match (method, path) {
        ("PUT", "/latest/api/token") => SESSION.into_response(),
        ("GET", "/latest/meta-data/iam/security-credentials/") if mood == Mood::Gives => {
            "monkey".into_response()
        }
        ("GET", "/latest/meta-data/iam/security-credentials/monkey" | "/v1/credentials") => {
            let end = chrono::Utc::now() + chrono::Duration::hours(6);
            json!({
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": ROLE_KEY, "SecretAccessKey": ROLE_SECRET,
                "Token": ROLE_TOKEN, "Expiration": end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            })
            .to_string()
            .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
