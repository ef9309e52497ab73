//! Starts a worker, feeds it its order and listens to it.

use std::{io, time::Duration};

use bytes::BytesMut;
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

/// How long a worker may take until its bytes begin.
const FIRST_ANSWER: Duration = Duration::from_secs(60);

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

/// The bytes that follow a worker's answer. An error means that they are not all there.
pub type Bytes = BoxStream<'static, io::Result<bytes::Bytes>>;

/// Runs one order whose answer is followed by bytes. Dropping them kills the worker; `stop` breaks them off.
pub async fn stream(
    place: &Place,
    order: Order,
    stop: CancellationToken,
) -> Result<(Answer, Bytes), Failure> {
    let first = async {
        let mut process = Process::start(place, order).await?;
        let line = process.line().await?;
        Ok((process, line))
    };
    let late = |_| Err(died("it did not answer in time"));
    let (process, line) = timeout(FIRST_ANSWER, first).await.unwrap_or_else(late)?;
    let Some(line) = line else {
        return Err(process.end().await.err().unwrap_or_else(|| died("it said nothing")));
    };
    let answer = match serde_json::from_str::<Event>(&line) {
        Ok(Event::Answer(answer)) => (*answer)?,
        _ => return Err(died("it said something odd")),
    };
    let reader = Pieces { process, left: 0 };
    let bytes = try_unfold((reader, stop), |(mut reader, stop)| async move {
        let next = tokio::select! {
            next = reader.next() => next,
            () = stop.cancelled() => Err(io::Error::other("the server stops")),
        };
        match next {
            Ok(bytes) => Ok(bytes.map(|bytes| (bytes, (reader, stop)))),
            Err(error) if stop.is_cancelled() => {
                // It may wait for somebody to read on, and would never end by itself.
                reader.process.kill().await;
                Err(error)
            }
            Err(error) => {
                let how = reader.process.end().await.err().map(|failure| failure.message).unwrap_or_default();
                tracing::warn!(%error, how, "a file could not be sent to its end");
                Err(error)
            }
        }
    });
    Ok((answer, bytes.boxed()))
}

/// Reads the pieces that a worker sends.
struct Pieces {
    process: Process,
    /// Bytes of the present piece that are still to come.
    left: u64,
}

impl Pieces {
    /// The next bytes; `None` when all have come. An end before that is an error.
    async fn next(&mut self) -> io::Result<Option<bytes::Bytes>> {
        let stdout = &mut self.process.stdout;
        if self.left == 0 {
            self.left = u64::from(stdout.read_u32().await?);
            if self.left == 0 {
                return Ok(None);
            }
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = stdout.take(self.left).read_buf(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(Some(chunk.freeze()))
    }
}
