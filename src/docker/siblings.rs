//! Containers that the program starts beside itself for a job: from its own image, with exactly the job's paths
//! mounted, no network unless the vault needs it, and no rights but those that reading and writing foreign files
//! takes. The engine removes them when they end, also when the program is gone by then.

use std::{path::PathBuf, pin::Pin};

use bollard::{
    container::LogOutput,
    query_parameters::{AttachContainerOptionsBuilder, WaitContainerOptions},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWrite;

use super::{
    client::{Docker, escape},
    containers::HELPER,
    error::DockerError,
};
use crate::model::weights::Weights;

/// To read and write files whoever owns them, with all their attributes (capabilities(7)); found by trying, see
/// `trusted.*` and `security.*` attributes, device files and set-id bits. `SYS_CHROOT` confines the restore of a
/// single file or folder to a directory of its own.
const CAPABILITIES: [&str; 9] = [
    "DAC_READ_SEARCH",
    "DAC_OVERRIDE",
    "CHOWN",
    "FOWNER",
    "FSETID",
    "MKNOD",
    "SETFCAP",
    "SYS_ADMIN",
    "SYS_CHROOT",
];

/// How long `docker stop` waits unless it is told otherwise, seconds.
const GRACE: u64 = 10;

/// The container we run in, as far as siblings need to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnContainer {
    /// Its id.
    pub id: String,
    /// Id of its image.
    pub image: String,
    /// What is mounted in it: path inside and path on the host.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// Where its image wants volumes.
    pub volumes: Vec<PathBuf>,
    /// How long `docker stop` waits for it, seconds.
    pub grace: u64,
}

/// A path of the host for a sibling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub host: PathBuf,
    /// In the sibling.
    pub inside: PathBuf,
    /// Whether it may be written.
    pub write: bool,
    /// Whether the engine makes the directory when it is missing; else the start is refused.
    pub make: bool,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Sibling<'a> {
    /// Where we are.
    pub own: &'a OwnContainer,
    /// Arguments of the program.
    pub arguments: &'a [&'a str],
    /// What it may see.
    pub binds: &'a [Bind],
    /// Whether it shares our network.
    pub network: bool,
    /// How much of the machine it gets.
    pub weights: Weights,
}

/// A sibling that runs, with what it says and hears.
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes.
    pub output: Pin<Box<dyn Stream<Item = Result<Said, DockerError>> + Send>>,
}

/// A piece of what a sibling writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// To standard output.
    Output(Bytes),
    /// To standard error.
    Complaint(Bytes),
}

impl Docker {
    /// What siblings need to know of our own container; `None` outside of one.
    pub async fn own_container(&self) -> Result<Option<OwnContainer>, DockerError> {
        let Some(id) = self.own_id().await? else { return Ok(None) };
        let inspect = self.inspect(&id).await?;
        let path = |value: &Value| PathBuf::from(value.as_str().unwrap_or_default());
        let mounts = inspect["Mounts"].as_array().into_iter().flatten();
        Ok(Some(OwnContainer {
            image: inspect["Image"].as_str().unwrap_or_default().to_owned(),
            mounts: mounts.map(|mount| (path(&mount["Destination"]), path(&mount["Source"]))).collect(),
            volumes: inspect["Config"]["Volumes"]
                .as_object()
                .map(|volumes| volumes.keys().map(PathBuf::from).collect())
                .unwrap_or_default(),
            grace: inspect["Config"]["StopTimeout"].as_u64().unwrap_or(GRACE),
            id,
        }))
    }

    /// Creates and starts a sibling. A bind whose path is missing on the host is refused by the engine with
    /// 400 and “bind source path does not exist”.
    pub async fn start_sibling(&self, sibling: &Sibling<'_>) -> Result<Running, DockerError> {
        let created = self.post("/containers/create", Some(&payload(sibling))).await?;
        let id = created["Id"].as_str().unwrap_or_default().to_owned();
        match self.attach_and_start(&id).await {
            Ok((input, output)) => Ok(Running { id, input, output }),
            Err(error) => {
                // It never ran, so the engine does not remove it by itself.
                let _ = self.remove_container(&id, true, true).await;
                Err(error)
            }
        }
    }

    async fn attach_and_start(
        &self,
        id: &str,
    ) -> Result<
        (Pin<Box<dyn AsyncWrite + Send>>, Pin<Box<dyn Stream<Item = Result<Said, DockerError>> + Send>>),
        DockerError,
    > {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true);
        let typed = self.typed().await?;
        let failed = |error| DockerError::of_bollard(error, self.address());
        let attached = typed.attach_container(id, Some(options.build())).await.map_err(failed)?;
        self.post(&format!("/containers/{}/start", escape(id)), None).await?;
        let address = self.address().to_owned();
        let output = attached.output.map_err(move |error| DockerError::of_bollard(error, &address));
        let said = output.map_ok(|piece| match piece {
            LogOutput::StdErr { message } => Said::Complaint(message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                Said::Output(message)
            }
        });
        Ok((attached.input, said.boxed()))
    }

    /// Waits until a sibling has ended: its exit code, `None` when it is gone already.
    pub async fn sibling_end(&self, id: &str) -> Result<Option<i64>, DockerError> {
        let typed = self.typed().await?;
        let mut ends = typed.wait_container(id, None::<WaitContainerOptions>);
        match ends.next().await {
            Some(Ok(end)) => Ok(Some(end.status_code)),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
            Some(Err(error)) => match DockerError::of_bollard(error, self.address()) {
                DockerError::NotFound(_) => Ok(None),
                error => Err(error),
            },
            None => Ok(None),
        }
    }
}

fn payload(sibling: &Sibling<'_>) -> Value {
    let mounts: Vec<Value> = sibling
        .binds
        .iter()
        .filter(|bind| !bind.make)
        .map(|bind| {
            // No word about propagation: the engine knows what a path inside its own directory needs.
            json!({
                "Type": "bind", "Source": bind.host, "Target": bind.inside, "ReadOnly": !bind.write,
            })
        })
        .collect();
    // Only this older form makes a missing directory.
    let binds: Vec<String> = sibling
        .binds
        .iter()
        .filter(|bind| bind.make)
        .map(|bind| {
            let mode = if bind.write { "rw" } else { "ro" };
            format!("{}:{}:{mode}", bind.host.display(), bind.inside.display())
        })
        .collect();
    // Where nothing is mounted the engine would make a volume, which everybody would see.
    let empty: serde_json::Map<String, Value> = sibling
        .own
        .volumes
        .iter()
        .filter(|path| !sibling.binds.iter().any(|bind| bind.inside == **path))
        .map(|path| (path.display().to_string(), json!("size=4k")))
        .collect();
    let network = if sibling.network { format!("container:{}", sibling.own.id) } else { "none".to_owned() };
    json!({
        "Image": sibling.own.image,
        "Cmd": sibling.arguments,
        "Labels": { HELPER: "worker", "container-monkey.server": sibling.own.id },
        "User": "0:0",
        "OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
        "Healthcheck": { "Test": ["NONE"] },
        "HostConfig": {
            "Mounts": mounts,
            "Binds": binds,
            "Tmpfs": empty,
            "NetworkMode": network,
            // Otherwise everything it says would be written to the disk as well.
            "LogConfig": { "Type": "none" },
            "AutoRemove": true,
            "ReadonlyRootfs": true,
            "CapDrop": ["ALL"],
            "CapAdd": CAPABILITIES,
            // A bind must not be relabelled on hosts with SELinux.
            "SecurityOpt": ["no-new-privileges", "label=disable"],
            // The services come first. 0 is as good as nothing.
            "CpuShares": sibling.weights.cpu,
            "BlkioWeight": sibling.weights.disk.unwrap_or(0),
        },
    })
}
