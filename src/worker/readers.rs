//! Workers that look at files of a volume or backup. Starting a container takes half a second, and opening a vault
//! as long, so one that has looked waits for a while for the next look at the same volume or backup. A process for
//! a volume is there at once and never waits.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use futures::{
    StreamExt,
    stream::{BoxStream, try_unfold},
};
use tokio::{io::AsyncReadExt, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use ulid::Ulid;

use super::{
    order::{Answer, Event, Failure, FailureKind, FilesTask, Glance, Order, Root, Task},
    place::Place,
    process::{Process, died},
};
use crate::model::{engine::EngineAddress, vault::Access};

/// How long one waits.
const KEEP: Duration = Duration::from_secs(30);

/// So many wait at most.
const MOST: usize = 4;

/// Bytes in hand per stream.
const CHUNK: usize = 64 * 1024;

/// How long a worker may take until its bytes begin.
const FIRST_ANSWER: Duration = Duration::from_mins(1);

/// The bytes that follow a worker's answer. An error means that they are not all there.
pub type Bytes = BoxStream<'static, io::Result<bytes::Bytes>>;

/// Looks at files, and keeps the workers that wait.
#[derive(Clone)]
pub struct Readers {
    waiting: Arc<Mutex<Vec<(Ulid, Reader)>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A worker that has a volume before it. Dropping it kills it.
struct Reader {
    process: Process,
    root: Root,
    lasting: bool,
}

impl Reader {
    async fn start(place: &Place, vault: Option<Access>, mut task: FilesTask) -> Result<Told, Failure> {
        let root = task.root.clone();
        let lasting = matches!(place, Place::Beside(_)) || root.storage().is_some();
        task.more = lasting;
        let order = Order { vault, engine: EngineAddress::default(), task: Task::Files(task) };
        let process = Process::start(place, order).await?;
        Self { process, root, lasting }.told().await
    }

    async fn again(mut self, task: &FilesTask) -> Result<Told, Failure> {
        let glance = Glance { path: task.path.clone(), look: task.look.clone() };
        let line = serde_json::to_string(&glance).map_err(|error| died(&error.to_string()))?;
        self.process.say(&line).await?;
        self.told().await
    }

    /// Its answer. An error means that it is gone.
    async fn told(mut self) -> Result<Told, Failure> {
        let Some(line) = self.process.line().await? else {
            return Err(self.process.end().await.err().unwrap_or_else(|| died("it said nothing")));
        };
        match serde_json::from_str(&line) {
            Ok(Event::Answer(answer)) => Ok((self, *answer)),
            _ => Err(died("it said something odd")),
        }
    }
}

/// A worker and what it said.
type Told = (Reader, Result<Answer, Failure>);

impl Readers {
    /// None yet. They end when `stop` is cancelled, as one of `tasks`.
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { waiting: Arc::default(), tasks, stop }
    }

    /// Looks at files whose answer is all there is.
    pub async fn ask(
        &self,
        place: &Place,
        vault: Option<Access>,
        task: FilesTask,
    ) -> Result<Answer, Failure> {
        let looked = async {
            let (reader, answer) = self.look(place, vault, task).await?;
            self.done(reader).await;
            Ok(answer)
        };
        tokio::select! {
            answer = looked => answer,
            () = self.stop.cancelled() => Err(stopping()),
        }
    }

    /// Looks at files whose answer bytes follow. Dropping them kills the worker.
    pub async fn stream(
        &self,
        place: &Place,
        vault: Option<Access>,
        task: FilesTask,
    ) -> Result<(Answer, Bytes), Failure> {
        let late = |_| Err(died("it did not answer in time"));
        let (reader, answer) =
            timeout(FIRST_ANSWER, self.look(place, vault, task)).await.unwrap_or_else(late)?;
        let pieces = Pieces { reader, left: None };
        let bytes = try_unfold((Some(pieces), self.clone()), |(pieces, readers)| async move {
            let Some(mut pieces) = pieces else { return Ok(None) };
            let next = tokio::select! {
                next = pieces.next() => next,
                () = readers.stop.cancelled() => Err(io::Error::other("the server stops")),
            };
            match next {
                Ok(bytes) if pieces.left == Some(0) => {
                    // Before the last bytes are passed on: nobody asks for what comes after them.
                    readers.done(pieces.reader).await;
                    Ok(bytes.map(|bytes| (bytes, (None, readers))))
                }
                Ok(bytes) => Ok(bytes.map(|bytes| (bytes, (Some(pieces), readers)))),
                Err(error) if readers.stop.is_cancelled() => {
                    // It may wait for somebody to read on, and would never end by itself.
                    pieces.reader.process.kill().await;
                    Err(error)
                }
                Err(error) => {
                    let end = pieces.reader.process.end().await;
                    let how = end.err().map(|failure| failure.message).unwrap_or_default();
                    tracing::warn!(%error, how, "a file could not be sent to its end");
                    Err(error)
                }
            }
        });
        Ok((answer, bytes.boxed()))
    }

    async fn look(
        &self,
        place: &Place,
        vault: Option<Access>,
        task: FilesTask,
    ) -> Result<(Reader, Answer), Failure> {
        if let Some(waiting) = self.take(|(_, reader)| reader.root == task.root) {
            match waiting.again(&task).await {
                Ok((reader, Ok(answer))) => return Ok((reader, answer)),
                // It may have a volume before it that was deleted and made again meanwhile. A new one knows better.
                Ok((reader, Err(failure)))
                    if failure.kind == FailureKind::FileMissing && task.root.is_on_host() =>
                {
                    reader.process.kill().await;
                }
                Ok((reader, Err(failure))) => {
                    self.done(reader).await;
                    return Err(failure);
                }
                Err(failure) => tracing::debug!(%failure, "a waiting worker was gone"),
            }
        }
        match Reader::start(place, vault, task).await? {
            (reader, Ok(answer)) => Ok((reader, answer)),
            (reader, Err(failure)) => {
                self.done(reader).await;
                Err(failure)
            }
        }
    }

    fn take(&self, which: impl Fn(&(Ulid, Reader)) -> bool) -> Option<Reader> {
        let mut waiting = self.waiting();
        let index = waiting.iter().rposition(which)?;
        Some(waiting.remove(index).1)
    }

    /// Lets one wait that has nothing more to say, or end.
    async fn done(&self, reader: Reader) {
        if !reader.lasting {
            // It has said all; how it ends matters no more.
            let _ = reader.process.end().await;
            return;
        }
        let visit = Ulid::new();
        let surplus = {
            let mut waiting = self.waiting();
            waiting.push((visit, reader));
            (waiting.len() > MOST).then(|| waiting.remove(0).1)
        };
        let readers = self.clone();
        self.tasks.spawn(async move {
            if let Some(reader) = surplus {
                reader.process.kill().await;
            }
            let _ = timeout(KEEP, readers.stop.cancelled()).await;
            if let Some(reader) = readers.take(|(waits, _)| *waits == visit) {
                reader.process.kill().await;
            }
        });
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Ulid, Reader)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopping() -> Failure {
    Failure { kind: FailureKind::Cancelled, message: "The server stops.".to_owned(), detail: String::new() }
}

/// Reads the pieces that a worker sends.
struct Pieces {
    reader: Reader,
    /// Bytes of the present piece that are still to come; 0 = all have come.
    left: Option<u64>,
}

impl Pieces {
    /// The next bytes; `None` when all have come. An end before that is an error.
    async fn next(&mut self) -> io::Result<Option<bytes::Bytes>> {
        let stdout = &mut self.reader.process.stdout;
        let left = match self.left {
            Some(left) => left,
            None => u64::from(stdout.read_u32().await?),
        };
        if left == 0 {
            self.left = Some(0);
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = stdout.take(left).read_buf(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - read as u64;
        self.left = Some(if left > 0 { left } else { u64::from(stdout.read_u32().await?) });
        Ok(Some(chunk.freeze()))
    }
}
