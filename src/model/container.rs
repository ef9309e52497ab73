//! Containers as the pages and the API show them.

use serde::{Deserialize, Serialize};

use super::backup::words;

/// One row of the list, from a single `GET /containers/json`. Field names are
/// those of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image as the user gave it.
    pub image: String,
    /// Name and full id of the image.
    pub image_info: ImageInfo,
    /// State word.
    pub status: Status,
    /// Docker's sentence: "Up 3 hours (healthy)".
    pub status_text: String,
    /// `healthy`, `unhealthy`, `starting`, or nothing.
    pub health: Option<String>,
    /// First address on any network, or empty.
    pub ip_address: String,
    /// Published ports.
    pub port_mappings: Vec<PortMapping>,
    /// Volumes and binds.
    pub volumes: Vec<Mount>,
    /// Networks by name.
    pub networks: Vec<String>,
    /// Compose project and service, or swarm stack.
    pub stack_info: Option<StackInfo>,
    /// Seconds since 1970.
    pub created: i64,
    /// The container this program runs in.
    pub is_self: bool,
    /// What its labels say about backups.
    #[serde(default, skip_serializing)]
    pub marks: Marks,
}

#[cfg(test)]
impl Container {
    /// A running one with nothing special.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            id: format!("id of {name}"),
            name: name.to_owned(),
            image: "web".to_owned(),
            image_info: ImageInfo { name: "web".to_owned(), id: "sha256:0".to_owned() },
            status: Status::Running,
            status_text: String::new(),
            health: None,
            ip_address: String::new(),
            port_mappings: Vec::new(),
            volumes: Vec::new(),
            networks: Vec::new(),
            stack_info: None,
            created: 0,
            is_self: false,
            marks: Marks::default(),
        }
    }
}

/// What labels say about backups of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// `container-monkey.enable=true`: schedules of labelled containers take it.
    pub enable: bool,
    /// `container-monkey.exclude=true`: no schedule ever takes it.
    pub exclude: bool,
    /// `com.docker.compose.container-number`.
    pub number: Option<u32>,
}

/// Name and id of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// Reference.
    pub name: String,
    /// `sha256:…`.
    pub id: String,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// `0.0.0.0:8080`; empty when only exposed.
    pub host: String,
    /// `80/tcp`.
    pub container: String,
    /// `8080:80`.
    pub display: String,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Volume name or host path.
    pub name: String,
    /// Path in the container.
    pub destination: String,
    /// Volume driver; empty for binds.
    pub driver: String,
    /// `volume`, `bind`, `tmpfs`…
    pub kind: String,
}

/// Where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackInfo {
    /// Project.
    pub name: String,
    /// Service.
    pub service: String,
    /// `project / service`.
    pub display: String,
    /// Compose or Swarm.
    #[serde(default)]
    pub kind: super::stack::Kind,
}

/// State of a container (Docker's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Running.
    Running,
    /// Paused.
    Paused,
    /// Restarting.
    Restarting,
    /// Created, never started.
    Created,
    /// Exited. The API calls it `stopped`, as the Flask application did.
    Stopped,
    /// Being removed.
    Removing,
    /// Dead.
    Dead,
}

words!(Status {
    Running => "running",
    Paused => "paused",
    Restarting => "restarting",
    Created => "created",
    Stopped => "stopped",
    Removing => "removing",
    Dead => "dead",
});

/// What can be done to a container by one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start.
    Start,
    /// Stop: its stop signal, then SIGKILL after its stop timeout.
    Stop,
    /// SIGKILL now.
    Kill,
    /// Stop and start.
    Restart,
    /// Freeze.
    Pause,
    /// Thaw.
    Resume,
}

words!(Action {
    Start => "start",
    Stop => "stop",
    Kill => "kill",
    Restart => "restart",
    Pause => "pause",
    Resume => "resume",
});

impl Action {
    /// What was done, in a word.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Start => "Started",
            Self::Stop => "Stopped",
            Self::Kill => "Killed",
            Self::Restart => "Restarted",
            Self::Pause => "Paused",
            Self::Resume => "Resumed",
        }
    }

    /// Why the action makes no sense in this state; `None` = it does.
    pub const fn refused_in(self, status: Status) -> Option<&'static str> {
        match (self, status) {
            (Self::Start, Status::Running | Status::Restarting) => Some("It is running already"),
            (Self::Start, Status::Paused) => Some("It is paused; resume it instead"),
            (Self::Stop | Self::Kill, Status::Stopped | Status::Created | Status::Dead) => {
                Some("It is not running")
            }
            (Self::Pause, Status::Running) | (Self::Resume, Status::Paused) => None,
            (Self::Pause, _) => Some("Only a running container can be paused"),
            (Self::Resume, _) => Some("It is not paused"),
            (_, Status::Removing) => Some("It is being removed"),
            _ => None,
        }
    }
}

/// The engine behind the socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// `20.10.24`.
    pub version: String,
    /// `1.41`.
    pub api_version: String,
    /// Number of CPUs.
    pub cpus: u64,
    /// Memory of the host in bytes.
    pub memory_bytes: u64,
    /// Host's name.
    pub name: String,
}
