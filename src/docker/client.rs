//! The connection: bollard for plain actions, and beside it a small raw client
//! for JSON that must pass through unchanged and for streams.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, Uri,
    body::{Body as HttpBody, Frame, Incoming},
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE},
    http::request::Builder,
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{sync::OnceCell, time::timeout};

use super::{connect::Address, error::DockerError};
use crate::model::{container::Engine, engine::EngineAddress};

/// How long a question may take that the engine answers from memory.
pub(super) const QUICK: Duration = Duration::from_secs(20);

/// How long a piece of heavy work may take until the engine answers.
pub(super) const LONG: Duration = Duration::from_hours(6);

/// The newest API whose answers are known here. From 1.52 on, `Config.MacAddress` is no longer told.
const NEWEST: (u32, u32) = (1, 51);

type Body = BoxBody<Bytes, std::io::Error>;

/// A handle to the engine; cheap to clone. Connects when it is used, so that an engine that is away
/// is noticed, and noticed again when it is back.
#[derive(Clone)]
pub struct Docker(Arc<Inner>);

struct Inner {
    address: Address,
    version: OnceCell<String>,
    typed: OnceCell<bollard::Docker>,
    own_id: OnceCell<Option<String>>,
    state_dir: Option<PathBuf>,
}

impl Docker {
    /// Understands the address; does not connect. `state_dir` is a directory of ours that the engine can see
    /// when we run in a container; without it we do not look for ourselves.
    pub fn new(engine: &EngineAddress, state_dir: Option<PathBuf>) -> Result<Self, DockerError> {
        let address = Address::new(engine)?;
        Ok(Self(Arc::new(Inner {
            address,
            version: OnceCell::new(),
            typed: OnceCell::new(),
            own_id: OnceCell::new(),
            state_dir,
        })))
    }

    pub(super) fn own_id_cell(&self) -> &OnceCell<Option<String>> {
        &self.0.own_id
    }

    pub(super) fn state_dir(&self) -> Option<&Path> {
        self.0.state_dir.as_deref()
    }

    /// Where the engine is, for messages.
    pub fn address(&self) -> &str {
        self.0.address.name()
    }

    /// Whether it is reached over a network: its files may be another machine's.
    pub fn is_remote(&self) -> bool {
        !matches!(self.0.address, Address::Unix(_))
    }

    /// Whether the engine answers.
    pub async fn ping(&self) -> Result<(), DockerError> {
        let answer = self.send(Method::GET, "/_ping", None, Duration::from_secs(5)).await?;
        drain(answer).await
    }

    /// The engine behind the socket.
    pub async fn engine(&self) -> Result<Engine, DockerError> {
        let (version, info) = tokio::try_join!(self.get("/version"), self.get("/info"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Engine {
            version: text(&version["Version"]),
            api_version: text(&version["ApiVersion"]),
            cpus: info["NCPU"].as_u64().unwrap_or(0),
            memory_bytes: info["MemTotal"].as_u64().unwrap_or(0),
            name: text(&info["Name"]),
        })
    }

    /// bollard, with the version both sides speak.
    pub(super) async fn typed(&self) -> Result<&bollard::Docker, DockerError> {
        use bollard::errors::Error;
        let connect = || async {
            let version = self.version().await?;
            let (major, minor) = parse_version(version).unwrap_or(NEWEST);
            let version =
                bollard::ClientVersion { major_version: major as usize, minor_version: minor as usize };
            let address = self.0.address.clone();
            let transport = move |request: bollard::BollardRequest| {
                let address = address.clone();
                async move {
                    let (mut parts, body) = request.into_parts();
                    parts.headers.insert(HOST, HeaderValue::from_static("docker"));
                    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                    parts.uri = Uri::try_from(path).map_err(hyper::http::Error::from)?;
                    let request = Request::from_parts(parts, body);
                    let stream = address.connect().await.map_err(|err| Error::IOError { err })?;
                    Ok(exchange(stream, request).await?)
                }
            };
            let made = bollard::Docker::connect_with_custom_transport(
                transport,
                Some("http://docker"),
                600,
                &version,
            );
            made.map_err(|error| DockerError::of_bollard(error, self.address()))
        };
        self.0.typed.get_or_try_init(connect).await
    }

    /// `1.41`: what both sides speak; asked once, a failure is not remembered.
    pub(super) async fn version(&self) -> Result<&str, DockerError> {
        let ask = || async {
            let answer = self.send(Method::GET, "/version", None, QUICK).await?;
            let value = json(answer).await?;
            let theirs = value["ApiVersion"].as_str().and_then(parse_version).unwrap_or(NEWEST);
            let (major, minor) = theirs.min(NEWEST);
            Ok::<_, DockerError>(format!("{major}.{minor}"))
        };
        Ok(self.0.version.get_or_try_init(ask).await?.as_str())
    }

    /// The minor number of the API version, 41 for 1.41.
    pub(super) async fn api(&self) -> Result<u32, DockerError> {
        Ok(parse_version(self.version().await?).map_or(41, |(_, minor)| minor))
    }

    /// `GET` of JSON.
    pub(super) async fn get(&self, path: &str) -> Result<Value, DockerError> {
        json(self.call(Method::GET, path, None, QUICK).await?).await
    }

    /// `GET` of JSON, `None` on 404.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, DockerError> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(DockerError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST` of JSON, answered with JSON (or nothing = null).
    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, DockerError> {
        json(self.call(Method::POST, path, body, Duration::from_mins(2)).await?).await
    }

    /// `DELETE`.
    pub(super) async fn delete(&self, path: &str) -> Result<(), DockerError> {
        drain(self.call(Method::DELETE, path, None, Duration::from_mins(5)).await?).await
    }

    /// A request with the API version in its path; any status but success is an error.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Response<Incoming>, DockerError> {
        let path = format!("/v{}{path}", self.version().await?);
        let body = body.map(|value| Full::from(value.to_string()).map_err(|never| match never {}).boxed());
        self.send(method, &path, body.map(|body| (body, "application/json")), limit).await
    }

    /// `POST` of a stream (a tar); waits for the engine's answer to begin.
    pub(super) async fn upload(
        &self,
        path: &str,
        stream: impl futures::Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Result<Response<Incoming>, DockerError> {
        let path = format!("/v{}{path}", self.version().await?);
        let body = BodyExt::boxed(StreamBody::new(stream.map_ok(Frame::data)));
        self.send(Method::POST, &path, Some((body, "application/x-tar")), LONG).await
    }

    /// `POST` after which the connection is a stream in both directions.
    pub(super) async fn attach(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<TokioIo<Upgraded>, DockerError> {
        let path = format!("/v{}{path}", self.version().await?);
        let builder = Request::builder().method(Method::POST).uri(path);
        let builder = builder.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        let body = Full::from(body.to_string()).map_err(|never| match never {}).boxed();
        let answer = self.send_request(builder, Some((body, "application/json")), limit).await?;
        let upgraded = hyper::upgrade::on(answer).await;
        upgraded.map(TokioIo::new).map_err(|error| self.unreachable(&error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(Body, &str)>,
        limit: Duration,
    ) -> Result<Response<Incoming>, DockerError> {
        let builder = Request::builder().method(method).uri(path);
        // Boxed: it is part of very many futures.
        Box::pin(self.send_request(builder, body, limit)).await
    }

    async fn send_request(
        &self,
        mut builder: Builder,
        body: Option<(Body, &str)>,
        limit: Duration,
    ) -> Result<Response<Incoming>, DockerError> {
        builder = builder.header(HOST, "docker");
        let body = match body {
            Some((body, kind)) => {
                builder = builder.header(CONTENT_TYPE, kind);
                body
            }
            None => Full::default().map_err(|never| match never {}).boxed(),
        };
        let request = builder.body(body).map_err(|error| DockerError::Answer(error.to_string()))?;
        let what = format!("{} {}", request.method(), request.uri().path());
        let work = async {
            let stream = self.0.address.connect().await.map_err(|error| self.unreachable(&error))?;
            let answer = exchange(stream, request).await.map_err(|error| self.unreachable(&error))?;
            let status = answer.status().as_u16();
            if answer.status().is_success() || matches!(status, 101 | 304) {
                return Ok(answer);
            }
            let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes);
            Err(DockerError::of_status(status, &body.unwrap_or_default()))
        };
        let seconds = limit.as_secs();
        timeout(limit, work).await.unwrap_or(Err(DockerError::Timeout { what, seconds }))
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> DockerError {
        DockerError::Unreachable { address: self.address().to_owned(), cause: crate::error::chain(error) }
    }
}

/// One request over a connection of its own.
async fn exchange<B>(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: Request<B>,
) -> Result<Response<Incoming>, hyper::Error>
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body, or when that is dropped; an attached stream takes it over.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

/// Reads a whole answer as JSON; nothing is null.
pub(super) async fn json(answer: Response<Incoming>) -> Result<Value, DockerError> {
    let body = answer.into_body().collect().await.map_err(|error| DockerError::Answer(error.to_string()))?;
    let bytes = body.to_bytes();
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|error| DockerError::Answer(error.to_string()))
}

async fn drain(answer: Response<Incoming>) -> Result<(), DockerError> {
    answer.into_body().collect().await.map_err(|error| DockerError::Answer(error.to_string()))?;
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Escapes a name for a path or query.
pub(super) fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
