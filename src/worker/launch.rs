//! Starts a worker, feeds it its order and listens to it.

use tokio_util::sync::CancellationToken;

use super::{
    order::{Answer, Event, Failure, FailureKind, Gate, Order},
    place::Place,
    process::{Process, died},
};

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
    place: &Place,
    order: Order,
    listener: &mut dyn Listener,
    cancel: &CancellationToken,
) -> Result<Answer, Failure> {
    let cancelled =
        || Failure { kind: FailureKind::Cancelled, message: "Cancelled.".to_owned(), detail: String::new() };
    if cancel.is_cancelled() {
        return Err(cancelled());
    }
    let mut process = Process::start(place, order).await?;
    let outcome = tokio::select! {
        outcome = converse(&mut process, listener) => outcome,
        () = cancel.cancelled() => Err(cancelled()),
    };
    match outcome {
        Ok(Some(answer)) => {
            // It has said all; how it ends matters no more.
            let _ = process.end().await;
            *answer
        }
        Ok(None) => Err(process.end().await.err().unwrap_or_else(|| died("it said nothing"))),
        Err(failure) => {
            process.kill().await;
            Err(failure)
        }
    }
}

/// Listens until the answer; `None` when the worker ended without one.
async fn converse(
    process: &mut Process,
    listener: &mut dyn Listener,
) -> Result<Option<Box<Result<Answer, Failure>>>, Failure> {
    while let Some(line) = process.line().await? {
        match serde_json::from_str::<Event>(&line) {
            Ok(Event::Answer(answer)) => return Ok(Some(answer)),
            Ok(Event::Waiting(gate)) => {
                listener.pass(gate).await?;
                process.say("go").await?;
            }
            Ok(event) => listener.event(event).await,
            Err(error) => return Err(died(&format!("it said something odd ({error})"))),
        }
    }
    Ok(None)
}
