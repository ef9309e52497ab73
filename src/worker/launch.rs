//! Starts a worker, feeds it its order and listens to it.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{BoxStream, try_unfold},
};
use tokio::{io::AsyncReadExt, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    order::{Answer, Event, Failure, FailureKind, Gate, Order},
    place::Place,
    process::{Process, died},
};

/// Bytes in hand per stream.
const CHUNK: usize = 64 * 1024;

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

/// The bytes that follow a worker's answer. An error means that they are not all there.
pub type Bytes = BoxStream<'static, std::io::Result<bytes::Bytes>>;

/// How long a worker may take until its bytes begin.
const FIRST_ANSWER: Duration = Duration::from_secs(60);

/// Runs one order whose answer is followed by raw bytes. Dropping the bytes kills the worker, and
/// so does `stop`, which breaks them off.
pub async fn stream(
    place: &Place,
    order: Order,
    stop: CancellationToken,
) -> Result<(Answer, Bytes), Failure> {
    let mut process = Process::start(place, order).await?;
    let line = match timeout(FIRST_ANSWER, process.line()).await {
        Ok(line) => line?,
        Err(_) => return Err(died("it did not answer in time")),
    };
    let Some(line) = line else {
        return Err(process.end().await.err().unwrap_or_else(|| died("it said nothing")));
    };
    let answer = match serde_json::from_str::<Event>(&line) {
        Ok(Event::Answer(answer)) => (*answer)?,
        Ok(_) => return Err(died("it said something else first")),
        Err(error) => return Err(died(&format!("it said something odd ({error})"))),
    };
    // The worker ends when its standard input does, so the process is kept as long as somebody reads.
    let bytes = try_unfold((process, stop), |(mut process, stop)| async move {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        let read = tokio::select! {
            read = process.stdout.read_buf(&mut chunk) => read?,
            () = stop.cancelled() => return Err(std::io::Error::other("the server stops")),
        };
        if read > 0 {
            return Ok(Some((chunk.freeze(), (process, stop))));
        }
        process.end().await.map(|()| None).map_err(std::io::Error::other)
    });
    Ok((answer, bytes.boxed()))
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
