//! A worker's process, wherever it runs: pipes in and out, its end, its death.

use std::{collections::VecDeque, io, pin::Pin, process::Stdio};

use bytes::Bytes;
use futures::StreamExt;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

use super::{
    order::{Failure, FailureKind, Order},
    place::{Names, Place, with_host_names},
};
use crate::docker::{Docker, Running, Said};

/// A worker with its order in hand.
pub(super) struct Process {
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    pub(super) stdout: BufReader<Pin<Box<dyn AsyncRead + Send>>>,
    complaints: JoinHandle<String>,
    life: Life,
    names: Names,
}

/// What keeps it alive; dropping it kills the worker.
enum Life {
    Child(Box<Child>),
    Sibling(Removal),
}

/// Removes a container when it is dropped, running or not.
struct Removal {
    docker: Docker,
    id: Option<String>,
}

impl Removal {
    async fn now(mut self) {
        if let Some(id) = self.id.take()
            && let Err(error) = self.docker.remove_container(&id, true, true).await
        {
            tracing::debug!(%error, "a worker's container could not be removed; the next start does it");
        }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let docker = self.docker.clone();
            tokio::spawn(Self { docker, id: Some(id) }.now());
        }
    }
}

pub(super) fn died(detail: &str) -> Failure {
    Failure {
        kind: FailureKind::Worker,
        message: format!("The worker process ended before its job did: {detail}"),
        detail: detail.to_owned(),
    }
}

fn elsewhere() -> Failure {
    Failure {
        kind: FailureKind::Other,
        message: "The files of this Docker engine are on another machine, so they can't be read or written from here. Run \
                  Container Monkey there, best as a container."
            .to_owned(),
        detail: String::new(),
    }
}

fn reader(stdout: impl AsyncRead + Send + 'static) -> BufReader<Pin<Box<dyn AsyncRead + Send>>> {
    BufReader::with_capacity(64 * 1024, Box::pin(stdout))
}

fn broken(error: &io::Error) -> Failure {
    died(&error.to_string())
}

impl Process {
    /// Starts a worker and hands it its order.
    pub(super) async fn start(place: &Place, mut order: Order) -> Result<Self, Failure> {
        let mut process = match place {
            Place::Elsewhere(_) if !order.task.host_paths().is_empty() => return Err(elsewhere()),
            Place::Here(weights) | Place::Elsewhere(weights) => {
                let niceness = if order.task.is_quick() { 0 } else { weights.niceness() };
                Self::child(niceness).map_err(|error| broken(&error))?
            }
            Place::Beside(beside) => {
                let (running, names) = beside.start(&mut order).await?;
                Self::sibling(beside.docker.clone(), running, names)
            }
        };
        let text = serde_json::to_string(&order).map_err(|error| died(&error.to_string()))?;
        process.say(&text).await?;
        Ok(process)
    }

    fn child(niceness: u32) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let nice = (niceness > 0)
            .then(|| Self::spawn(Command::new("nice").arg(format!("-n{niceness}")).arg(&program)));
        // Without the command `nice` there is no harm but a busier machine.
        let spawned = match nice {
            Some(Ok(child)) => Ok(child),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Self::spawn(&mut Command::new(program)),
        };
        let mut child = spawned?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self {
            stdin: Box::pin(stdin),
            stdout: reader(stdout),
            complaints: tokio::spawn(complaints(stderr)),
            life: Life::Child(Box::new(child)),
            names: Names::new(),
        })
    }

    fn spawn(command: &mut Command) -> io::Result<Child> {
        command
            .arg("worker")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn sibling(docker: Docker, running: Running, names: Names) -> Self {
        let (sender, receiver) = mpsc::channel(8);
        Self {
            stdin: running.input,
            stdout: reader(StreamReader::new(ReceiverStream::new(receiver))),
            complaints: tokio::spawn(pump(running.output, sender)),
            life: Life::Sibling(Removal { docker, id: Some(running.id) }),
            names,
        }
    }

    /// Writes one line to the worker.
    pub(super) async fn say(&mut self, line: &str) -> Result<(), Failure> {
        let written = async {
            self.stdin.write_all(line.as_bytes()).await?;
            self.stdin.write_all(b"\n").await?;
            self.stdin.flush().await
        };
        written.await.map_err(|error| broken(&error))
    }

    /// The next line of the worker, with the host's names for paths; `None` at its end.
    pub(super) async fn line(&mut self) -> Result<Option<String>, Failure> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).await.map_err(|error| broken(&error))?;
        Ok((read > 0).then(|| with_host_names(line, &self.names)))
    }

    /// Waits until it has ended by itself; the error says how it ended otherwise.
    pub(super) async fn end(self) -> Result<(), Failure> {
        let status = match self.life {
            Life::Child(mut child) => child.wait().await.map_err(|error| broken(&error))?.code(),
            Life::Sibling(removal) => {
                let code = match &removal.id {
                    Some(id) => removal.docker.sibling_end(id).await?,
                    None => None,
                };
                removal.now().await;
                code.and_then(|code| i32::try_from(code).ok())
            }
        };
        if status == Some(0) {
            return Ok(());
        }
        let how = status.map_or_else(|| "it was killed".to_owned(), |code| format!("exit code {code}"));
        let complaints = self.complaints.await.unwrap_or_default();
        Err(died(&if complaints.is_empty() { how } else { format!("{how}; {complaints}") }))
    }

    /// Kills it and waits until it is gone, so that nothing goes on behind the run's back.
    pub(super) async fn kill(self) {
        match self.life {
            Life::Child(mut child) => {
                let _ = child.kill().await;
            }
            Life::Sibling(removal) => removal.now().await,
        }
    }
}

/// The end of what a worker writes to standard error, for the failure's text; all of it goes to the log.
#[derive(Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: String) {
        tracing::debug!(worker = %line, "worker");
        self.0.push_back(line);
        if self.0.len() > 5 {
            self.0.pop_front();
        }
    }

    fn text(self) -> String {
        self.0.into_iter().collect::<Vec<_>>().join(" / ")
    }
}

async fn complaints(stderr: ChildStderr) -> String {
    let mut tail = Tail::default();
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tail.push(line);
    }
    tail.text()
}

/// Sorts what a sibling writes: output to the reader, complaints to the tail.
async fn pump(
    mut said: impl futures::Stream<Item = Result<Said, crate::docker::DockerError>> + Unpin,
    output: mpsc::Sender<io::Result<Bytes>>,
) -> String {
    let mut tail = Tail::default();
    while let Some(piece) = said.next().await {
        let sent = match piece {
            Ok(Said::Output(bytes)) => output.send(Ok(bytes)).await,
            Ok(Said::Complaint(bytes)) => {
                tail.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
                Ok(())
            }
            Err(error) => output.send(Err(io::Error::other(error.to_string()))).await,
        };
        if sent.is_err() {
            break;
        }
    }
    tail.text()
}
