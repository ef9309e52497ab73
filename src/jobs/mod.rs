//! The queue: apalis on its own SQLite file. It only delivers run ids, one at a
//! time; the `runs` table says what is to be done and whether it still is, so
//! an id that is delivered twice does no harm.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis::layers::WorkerBuilderExt;
use apalis::prelude::{BackendExt, BoxDynError, Data, TaskBuilder, TaskSink, WorkerBuilder, WorkerError};
use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::names::RunId;

const QUEUE: &str = "runs";

/// How long a pushed id waits at most before it is seen.
const POLL: Duration = Duration::from_millis(500);

/// Looks every [`POLL`]. apalis' own interval does not ask to be woken again after a tick that found
/// nothing, so that the next id would wait for the worker's heartbeat, up to 30 s.
struct Ticks(tokio::time::Interval);

impl PollStrategy for Ticks {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut ticked = false;
        while self.0.poll_tick(cx).is_ready() {
            ticked = true;
        }
        if ticked { Poll::Ready(Some(())) } else { Poll::Pending }
    }
}

/// What goes wrong with the queue.
#[derive(Debug, thiserror::Error)]
#[error("The job queue can't be used: {0}")]
pub struct QueueError(BoxDynError);

impl QueueError {
    fn of(cause: impl Into<BoxDynError>) -> Self {
        Self(cause.into())
    }
}

/// What travels through the queue.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    run: RunId,
}

/// What to do with a run id. A named type, because `Data` of a bare trait object
/// does not survive being spawned.
#[derive(Clone)]
pub struct Perform(Arc<dyn Fn(RunId) -> Work + Send + Sync>);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Perform {
    /// Wraps an async function that never fails: the outcome belongs to the run.
    pub fn new<F, R>(perform: F) -> Self
    where
        F: Fn(RunId) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move |run| Box::pin(perform(run))))
    }
}

/// A handle to the queue; cheap to clone.
#[derive(Clone)]
pub struct Queue {
    pool: SqlitePool,
}

impl Queue {
    /// Opens (or makes) the queue's database.
    pub async fn open(path: &Path) -> Result<Self, QueueError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "NORMAL");
        let pool = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(options)
            .await
            .map_err(QueueError::of)?;
        // Not `SqliteStorage::setup`: it would set `synchronous = OFF`.
        SqliteStorage::<()>::migrations().run(&pool).await.map_err(QueueError::of)?;
        Ok(Self { pool })
    }

    /// Hands a run over.
    pub async fn push(&self, run: &RunId) -> Result<(), QueueError> {
        let task = TaskBuilder::new(Job { run: run.clone() }).max_attempts(1).build();
        self.storage().push_task(task).await.map_err(QueueError::of)?;
        Ok(())
    }

    /// Delivers ids one at a time until `shutdown`, then waits for the one in hand.
    pub async fn work(self, perform: Perform, shutdown: CancellationToken) -> Result<(), QueueError> {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A fresh name: the same one is refused within 30 s of a crash.
        let worker = WorkerBuilder::new(format!("worker-{}", ulid::Ulid::new()))
            .backend(self.storage().poll_with_strategy(Ticks(ticks)))
            .data(perform)
            .concurrency(1)
            .build(deliver);
        let stop = async move {
            shutdown.cancelled().await;
            Ok::<_, WorkerError>(())
        };
        worker.run_until(stop).await.map_err(QueueError::of)
    }

    fn storage(&self) -> SqliteStorage<Job> {
        // With a larger batch, tasks wait in a buffer while one is in hand.
        SqliteStorage::new(&self.pool).with_config(Config::default().queue(QUEUE).batch_size(1))
    }
}

async fn deliver(job: Job, perform: Data<Perform>) {
    (perform.0.0)(job.run).await;
}
