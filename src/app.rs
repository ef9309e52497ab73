//! The handles that everything shares, and how they start and stop.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::sync::{Mutex, Notify, OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    batches::Batches,
    config::Config,
    db::{self, Db},
    docker::{Docker, DockerError},
    downloads::Downloads,
    error::{AppError, Result},
    events::EventLog,
    jobs::{Perform, Queue},
    live::Live,
    model::{
        names::RunId,
        vault::{Access, Storage},
        weights::Weights,
    },
    ops,
    seal::Seal,
    vaults::{State, Vaults},
    vitals::Sampler,
    watchers::Watchers,
    worker::{
        launch::{self, Listener, Silent},
        order::{Answer, Failure, FailureKind, FilesTask, Order, Task},
        place::{Beside, Place},
        readers::{Bytes, Readers},
    },
};

/// What is left of a container's grace time to end a job and to start again what it had stopped, seconds.
const TIDY: u64 = 5;

/// The running application; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Settings.
    pub config: Arc<Config>,
    /// Time zone of the page.
    pub zone: chrono_tz::Tz,
    /// The database.
    pub db: Db,
    /// The engine.
    pub docker: Docker,
    /// CPU and memory of the host.
    pub vitals: Sampler,
    /// The job queue.
    pub queue: Queue,
    /// Progress of running jobs.
    pub live: Live,
    /// Statistics of containers, while somebody looks.
    pub stats: ops::stats::Watch,
    /// What was asked for several things at once.
    pub batches: Batches,
    /// What scripts prepared to download.
    pub downloads: Downloads,
    /// Pages that follow something.
    pub watchers: Watchers,
    /// Free seats for consoles and commands in containers.
    pub seats: Arc<Semaphore>,
    /// Work that must be brought to its end before the program ends.
    pub tasks: TaskTracker,
    /// What the engine did in the last day.
    pub events: EventLog,
    /// Cancelled when the server stops.
    pub shutdown: CancellationToken,
    /// Wakes who brings back what an ended job could not.
    pub unsettled: Arc<Notify>,
    /// Held while something is brought back.
    pub settling: Arc<Mutex<()>>,
    /// Keeps secrets in the database unreadable.
    pub seal: Seal,
    /// What opens the vaults, or why one cannot be opened.
    pub vaults: Arc<Vaults>,
    /// Wakes the clock of the schedules.
    pub schedules: Arc<Notify>,
    /// Held while schedules are started or ended.
    pub scheduling: Arc<Mutex<()>>,
    /// Wakes who carries notifications out.
    pub notices: Arc<Notify>,
    readers: Readers,
    place: Arc<OnceCell<Place>>,
    cancels: Arc<std::sync::Mutex<HashMap<RunId, CancellationToken>>>,
}

impl App {
    /// Makes the data directory, opens the databases and finds the vault's key. Neither Docker
    /// nor the vault need to answer yet.
    pub async fn start(config: Config) -> Result<Self> {
        let directory = config.config_dir();
        make_private(&config.data, 0o755)?;
        make_private(&directory, 0o700)?;
        make_private(&config.tmp_dir(), 0o700)?;
        make_private(&config.uploads_dir(), 0o700)?;
        let seal = Seal::load(&directory).map_err(|error| {
            let why = format!("The key {} can't be used: {error}", directory.join("secret.key").display());
            AppError::unavailable(why, Some(Box::new(error)))
        })?;
        let db = Db::open(&db::path_in(&directory)?)?;
        let queue = Queue::open(&directory.join("queue.db")).await?;
        let zone = config.zone().map_err(|error| AppError::invalid(error.to_string()))?;
        let docker = Docker::new(&config.engine, Some(directory.clone()))?;
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let app = Self {
            zone,
            db,
            docker,
            vitals: Sampler::default(),
            queue,
            live: Live::default(),
            stats: ops::stats::Watch::default(),
            batches: Batches::default(),
            downloads: Downloads::default(),
            watchers: Watchers::default(),
            seats: Arc::new(Semaphore::new(ops::consoles::SEATS)),
            readers: Readers::new(tasks.clone(), shutdown.clone()),
            tasks,
            events: EventLog::default(),
            shutdown,
            unsettled: Arc::default(),
            settling: Arc::default(),
            seal,
            vaults: Arc::default(),
            schedules: Arc::default(),
            scheduling: Arc::default(),
            notices: Arc::default(),
            place: Arc::default(),
            cancels: Arc::default(),
            config: Arc::new(config),
        };
        ops::users::ensure_first(&app).await?;
        for storage in Storage::ALL {
            ops::vault_keys::find(&app, storage);
        }
        Ok(app)
    }

    /// Brings back what an earlier process left behind, reads the vault's list, then works on the
    /// queue until `shutdown`. A running job is waited for.
    pub async fn work(self) -> Result<()> {
        clear_directory(&self.config.tmp_dir());
        for storage in Storage::ALL {
            ops::vaults::prepare_at_start(&self, storage).await;
        }
        ops::recovery::run(&self).await?;
        ops::imports::sweep(&self).await?;
        self.tasks.spawn(ops::schedules::clock::run(self.clone()));
        self.tasks.spawn(ops::notices::run(self.clone()));
        self.tasks.spawn(ops::vaults::keep_up(self.clone()));
        self.tasks.spawn(ops::alarms::run(self.clone()));
        self.tasks.spawn(ops::saved_settings::keep_up(self.clone()));
        self.tasks.spawn(ops::upkeep::clock::run(self.clone()));
        let app = self.clone();
        let perform = Perform::new(move |run| {
            let app = app.clone();
            async move { Box::pin(ops::perform::perform(&app, &run)).await }
        });
        self.queue.clone().work(perform, self.shutdown.clone()).await?;
        Ok(())
    }

    /// What opens this vault.
    pub fn vault(&self, storage: Storage) -> Result<Access> {
        match self.vaults.of(storage).state() {
            State::Ready(access) => Ok(access),
            State::Refused(why) | State::Locked(why) => Err(AppError::unavailable(why, None)),
            State::Absent => Err(AppError::Impossible(format!(
                "There is no vault on {} storage. Set it up in the settings, under Storage.",
                storage.label()
            ))),
        }
    }

    /// Why this vault can't be used, if it is set up.
    pub fn problem_of(&self, storage: Storage) -> Option<String> {
        match self.vaults.of(storage).state() {
            State::Refused(why) | State::Locked(why) => Some(why),
            State::Absent => None,
            State::Ready(_) => self.vaults.of(storage).trouble(),
        }
    }

    /// Whether this vault is there and waits for its key.
    pub fn is_locked(&self, storage: Storage) -> bool {
        matches!(self.vaults.of(storage).state(), State::Locked(_))
    }

    /// The first reason why a vault can't be used.
    pub fn vault_problem(&self) -> Option<String> {
        Storage::ALL.into_iter().find_map(|storage| self.problem_of(storage))
    }

    /// Where workers run; found out once, which takes the engine only when we are in a container.
    pub async fn place(&self) -> Result<&Place, DockerError> {
        let find = || async {
            let weights = Weights { cpu: self.config.job_cpu_weight, disk: self.config.job_io_weight };
            let Some(own) = self.docker.own_container().await? else {
                let here = self.docker.shares_files().await?;
                return Ok(if here { Place::Here(weights) } else { Place::Elsewhere(weights) });
            };
            let data = fs::canonicalize(&self.config.data).unwrap_or_else(|_| self.config.data.clone());
            Ok(Place::Beside(Beside { docker: self.docker.clone(), own, data, weights }))
        };
        self.place.get_or_try_init(find).await
    }

    /// How long a running job may go on when the server stops, so that what it had stopped runs again before the
    /// server is killed.
    pub fn stop_timeout(&self) -> Duration {
        let allowed = match (self.config.stop_timeout, self.place.get()) {
            (Some(seconds), _) => seconds,
            (None, Some(Place::Beside(beside))) => beside.own.grace.saturating_sub(TIDY),
            (None, _) => 60,
        };
        Duration::from_secs(allowed)
    }

    /// Does a short task that needs no vault, in a worker process that nobody watches.
    pub async fn ask_worker(&self, task: Task) -> Result<Answer, Failure> {
        self.run_worker(None, task, &mut Silent, &CancellationToken::new()).await
    }

    /// The same with a vault.
    pub async fn ask_vault(&self, storage: Storage, task: Task) -> Result<Answer, Failure> {
        self.run_worker(Some(storage), task, &mut Silent, &CancellationToken::new()).await
    }

    /// Does a task with a vault that may not be one of ours.
    pub async fn ask_at(&self, access: Access, task: Task) -> Result<Answer, Failure> {
        let order = Order { vault: Some(access), engine: self.config.engine.clone(), task };
        launch::run(self.place().await?, order, &mut Silent, &CancellationToken::new()).await
    }

    /// Does a task in a worker process, which gets the key of no other vault than this.
    pub async fn run_worker(
        &self,
        storage: Option<Storage>,
        task: Task,
        listener: &mut dyn Listener,
        cancel: &CancellationToken,
    ) -> Result<Answer, Failure> {
        let vault = self.access(storage)?;
        let order = Order { vault, engine: self.config.engine.clone(), task };
        launch::run(self.place().await?, order, listener, cancel).await
    }

    /// What a worker gets to open this vault.
    fn access(&self, storage: Option<Storage>) -> Result<Option<Access>, Failure> {
        storage.map(|storage| self.vault(storage)).transpose().map_err(|error| Failure {
            kind: FailureKind::Vault,
            message: error.to_string(),
            detail: String::new(),
        })
    }

    /// Looks at files of a volume or backup in a worker process. For a volume it gets no key of a vault.
    pub async fn look(&self, task: FilesTask) -> Result<Answer, Failure> {
        self.readers.ask(self.place().await?, self.access(task.root.storage())?, task).await
    }

    /// The same for tasks whose answer bytes follow.
    pub async fn stream(&self, task: FilesTask) -> Result<(Answer, Bytes), Failure> {
        self.readers.stream(self.place().await?, self.access(task.root.storage())?, task).await
    }

    /// The token that cancels this run; made when the run begins.
    pub fn cancel_token(&self, run: &RunId) -> CancellationToken {
        self.cancels().entry(run.clone()).or_default().clone()
    }

    /// The token of a run that is being done.
    pub fn running_token(&self, run: &RunId) -> Option<CancellationToken> {
        self.cancels().get(run).cloned()
    }

    /// Forgets the token of a run that ended.
    pub fn drop_cancel_token(&self, run: &RunId) {
        self.cancels().remove(run);
    }

    fn cancels(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, CancellationToken>> {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_private(path: &Path, mode: u32) -> Result<()> {
    let created = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    created.map_err(|error| {
        AppError::unavailable(
            format!("The data directory {} can't be made: {error}", path.display()),
            Some(Box::new(error)),
        )
    })
}

/// Removes what is inside: temporary files of a process that is gone.
fn clear_directory(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "a temporary file could not be removed");
        }
    }
}
