//! Starts a worker, feeds it its order and listens to it.

use std::{collections::VecDeque, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
};
use tokio_util::sync::CancellationToken;

use super::order::{Answer, Event, Failure, FailureKind, Gate, Order};

/// Who hears what the worker says.
#[async_trait::async_trait]
pub trait Listener: Send {
    /// Progress or a note.
    async fn event(&mut self, event: Event);
    /// It waits to be let through; an error stops it.
    async fn pass(&mut self, gate: Gate) -> Result<(), Failure>;
}

/// A listener for jobs that nobody watches.
pub struct Silent;

#[async_trait::async_trait]
impl Listener for Silent {
    async fn event(&mut self, _: Event) {}

    async fn pass(&mut self, _: Gate) -> Result<(), Failure> {
        Ok(())
    }
}

/// Runs one order in a worker process. `cancel` kills the worker.
pub async fn run(
    order: &Order,
    listener: &mut dyn Listener,
    cancel: &CancellationToken,
) -> Result<Answer, Failure> {
    let mut child = start().map_err(|error| died(&error.to_string()))?;
    let outcome = tokio::select! {
        outcome = converse(&mut child, order, listener) => outcome,
        () = cancel.cancelled() => Err(Failure {
            kind: FailureKind::Cancelled,
            message: "Cancelled.".to_owned(),
            detail: String::new(),
        }),
    };
    // Waits until the process is gone, so that nothing goes on behind the run's back.
    if outcome.is_err() {
        let _ = child.kill().await;
    } else {
        let _ = child.wait().await;
    }
    outcome
}

fn start() -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("worker")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

fn died(detail: &str) -> Failure {
    Failure {
        kind: FailureKind::Worker,
        message: format!("The worker process ended before its job did: {detail}"),
        detail: detail.to_owned(),
    }
}

async fn converse(child: &mut Child, order: &Order, listener: &mut dyn Listener) -> Result<Answer, Failure> {
    let broken = |error: std::io::Error| died(&error.to_string());
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(died("it has no pipes"));
    };
    let complaints = tokio::spawn(last_lines(stderr));
    let text = serde_json::to_string(order).map_err(|error| died(&error.to_string()))?;
    say(&mut stdin, &text).await.map_err(broken)?;
    drop(text);

    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.map_err(broken)? {
        match serde_json::from_str::<Event>(&line) {
            Ok(Event::Answer(answer)) => return *answer,
            Ok(Event::Waiting(gate)) => {
                listener.pass(gate).await?;
                say(&mut stdin, "go").await.map_err(broken)?;
            }
            Ok(event) => listener.event(event).await,
            Err(error) => return Err(died(&format!("it said something odd ({error})"))),
        }
    }
    let status = child.wait().await.map_err(broken)?;
    let complaints = complaints.await.unwrap_or_default();
    let why = if complaints.is_empty() { status.to_string() } else { format!("{status}; {complaints}") };
    Err(died(&why))
}

async fn say(stdin: &mut ChildStdin, line: &str) -> std::io::Result<()> {
    stdin.write_all(line.as_bytes()).await?;
    stdin.write_all(b"\n").await?;
    stdin.flush().await
}

/// The end of what a worker wrote to standard error, for the failure's text; all of it goes to the log.
async fn last_lines(stderr: tokio::process::ChildStderr) -> String {
    let mut kept = VecDeque::new();
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(worker = %line, "worker");
        kept.push_back(line);
        if kept.len() > 5 {
            kept.pop_front();
        }
    }
    kept.into_iter().collect::<Vec<_>>().join(" / ")
}
