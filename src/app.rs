//! The handles that everything shares, and how they start and stop.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, PoisonError},
};

use tokio::sync::{Mutex, Notify, OnceCell, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    batches::Batches,
    config::Config,
    db::Db,
    docker::{Docker, DockerError},
    error::{AppError, Result},
    events::EventLog,
    jobs::{Perform, Queue},
    live::Live,
    model::{engine::EngineAddress, names::RunId, secret::Secret, vault::Access},
    ops,
    vitals::Sampler,
    worker::{
        launch::{self, Listener, Silent},
        order::{Answer, Failure, FilesTask, Order, Task},
        place::{Beside, Place},
    },
};

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
    /// Held while the catalog is made equal to the vault, or backups are deleted.
    pub catalog: Arc<Mutex<()>>,
    /// What opens the vault, or why it cannot be opened.
    vault: Arc<std::sync::Mutex<Result<Access, String>>>,
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
        let db = Db::open(&directory.join("monkey.db"))?;
        let queue = Queue::open(&directory.join("queue.db")).await?;
        let zone = config.zone().map_err(|error| AppError::invalid(error.to_string()))?;
        let docker = Docker::new(&config.engine, Some(directory.clone()))?;
        let vault = vault_access(&config);
        let app = Self {
            zone,
            db,
            docker,
            vitals: Sampler::default(),
            queue,
            live: Live::default(),
            stats: ops::stats::Watch::default(),
            batches: Batches::default(),
            seats: Arc::new(Semaphore::new(ops::consoles::SEATS)),
            tasks: TaskTracker::new(),
            events: EventLog::default(),
            shutdown: CancellationToken::new(),
            unsettled: Arc::default(),
            settling: Arc::default(),
            catalog: Arc::default(),
            vault: Arc::new(std::sync::Mutex::new(vault)),
            place: Arc::default(),
            cancels: Arc::default(),
            config: Arc::new(config),
        };
        ops::users::ensure_first(&app).await?;
        Ok(app)
    }

    /// Brings back what an earlier process left behind, reads the vault's list, then works on the
    /// queue until `shutdown`. A running job is waited for.
    pub async fn work(self) -> Result<()> {
        clear_directory(&self.config.tmp_dir());
        ops::vaults::prepare_at_start(&self).await;
        ops::recovery::run(&self).await?;
        let app = self.clone();
        let perform = Perform::new(move |run| {
            let app = app.clone();
            async move { Box::pin(ops::perform::perform(&app, &run)).await }
        });
        self.queue.clone().work(perform, self.shutdown.clone()).await?;
        Ok(())
    }

    /// What opens the vault.
    pub fn vault(&self) -> Result<Access> {
        let vault = self.vault.lock().unwrap_or_else(PoisonError::into_inner);
        vault.clone().map_err(|message| AppError::unavailable(message, None))
    }

    /// Whether the vault can be used; the sentence says why not.
    pub fn vault_problem(&self) -> Option<String> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner).as_ref().err().cloned()
    }

    /// Looks for the vault's key again.
    pub fn reopen_vault(&self) {
        self.set_vault(vault_access(&self.config));
    }

    /// Remembers whether the vault can be used.
    pub fn set_vault(&self, state: Result<Access, String>) {
        *self.vault.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Where workers run; found out once, which takes the engine only when we are in a container.
    pub async fn place(&self) -> Result<&Place, DockerError> {
        let find = || async {
            let Some(own) = self.docker.own_container().await? else {
                return Ok(if self.docker.shares_files().await? { Place::Here } else { Place::Elsewhere });
            };
            let data = fs::canonicalize(&self.config.data).unwrap_or_else(|_| self.config.data.clone());
            Ok(Place::Beside(Beside { docker: self.docker.clone(), own, data }))
        };
        self.place.get_or_try_init(find).await
    }

    /// Does a short task in a worker process that nobody watches.
    pub async fn ask_worker(&self, task: Task) -> Result<Answer, Failure> {
        self.run_worker(task, &mut Silent, &CancellationToken::new()).await
    }

    /// Does a task in a worker process.
    pub async fn run_worker(
        &self,
        task: Task,
        listener: &mut dyn Listener,
        cancel: &CancellationToken,
    ) -> Result<Answer, Failure> {
        let vault = self.vault().map_err(|error| Failure {
            kind: crate::worker::order::FailureKind::Vault,
            message: error.to_string(),
            detail: String::new(),
        });
        let vault = if task.needs_vault() { Some(vault?) } else { None };
        let order = Order { vault, engine: self.config.engine.clone(), task };
        launch::run(self.place().await?, order, listener, cancel).await
    }

    /// Looks at files of a volume in a worker process. It gets no key of the vault.
    pub async fn look(&self, task: FilesTask) -> Result<Answer, Failure> {
        self.run_worker(Task::Files(task), &mut Silent, &self.shutdown).await
    }

    /// The same for tasks whose answer bytes follow.
    pub async fn stream(&self, task: FilesTask) -> Result<(Answer, launch::Bytes), Failure> {
        let order = Order { vault: None, engine: EngineAddress::default(), task: Task::Files(task) };
        launch::stream(self.place().await?, order, self.shutdown.clone()).await
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

/// The vault's location and password. A new password is made only where there is no vault yet:
/// with another key an existing vault would look lost.
fn vault_access(config: &Config) -> Result<Access, String> {
    let location = config.local_vault();
    if let Some(password) = &config.vault_password {
        return Ok(Access { location, password: password.clone() });
    }
    let path = config.config_dir().join("vault.key");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Access { location, password: Secret::new(text.trim()) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let crate::model::vault::Location::Local { path: vault } = &location;
            if vault.join("config").exists() {
                return Err(format!(
                    "There is a vault in {}, but its key {} is gone. Put the key back, or give it in \
                     MONKEY_VAULT_PASSWORD. The backups are untouched.",
                    vault.display(),
                    path.display()
                ));
            }
            let password = new_key();
            write_key(&path, &password).map_err(|error| {
                format!("The vault's key can't be written to {}: {error}", path.display())
            })?;
            Ok(Access { location, password })
        }
        Err(error) => Err(format!("The vault's key {} can't be read: {error}", path.display())),
    }
}

/// 256 random bits as hex.
fn new_key() -> Secret {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in rand::random::<[u8; 32]>() {
        let _ = write!(text, "{byte:02x}");
    }
    Secret::new(text)
}

fn write_key(path: &Path, key: &Secret) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", key.reveal())?;
    file.sync_all()
}
