//! The worker's own main.

use std::{
    io::BufRead,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::{
    backup, files, import,
    order::{Answer, Event, Failure, FailureKind, Gate, Order, Task},
    probe,
    report::Report,
    restore,
};
use crate::{
    model::{progress::Reporter, vault::Location},
    vault::{self, Vault, VaultError},
};

/// What a task may use.
pub(super) struct Context {
    pub(super) report: Arc<dyn Reporter>,
    pub(super) runtime: tokio::runtime::Handle,
    /// While true the job goes on even if the server dies.
    committing: Arc<AtomicBool>,
    replies: Mutex<mpsc::Receiver<String>>,
}

impl Context {
    /// Waits for the server's word.
    pub(super) fn pass(&self, gate: Gate) -> Result<(), Failure> {
        Report::send(&Event::Waiting(gate));
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.recv().map_err(|_| Failure {
            kind: FailureKind::Worker,
            message: "The server went away.".to_owned(),
            detail: String::new(),
        })?;
        if gate == Gate::Replace {
            self.committing.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Does the one job that standard input names. The exit code is 0 when an answer was given,
/// whatever it says.
pub fn serve() -> std::process::ExitCode {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).is_err() {
        return std::process::ExitCode::from(2);
    }
    let Ok(order) = serde_json::from_str::<Order>(&line) else {
        eprintln!("this is not a work order");
        return std::process::ExitCode::from(2);
    };
    drop(line);
    let committing = Arc::new(AtomicBool::new(false));
    let lines = listen(committing.clone());
    let order = match order {
        Order { task: Task::Files(task), vault, .. } => return files::serve(task, vault.as_ref(), &lines),
        order => order,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no threads: {error}");
            return std::process::ExitCode::from(2);
        }
    };
    let context = Context {
        report: Arc::new(Report::new()),
        runtime: runtime.handle().clone(),
        replies: Mutex::new(lines),
        committing,
    };
    let answer = perform(&order, &context);
    Report::send(&Event::Answer(Box::new(answer)));
    std::process::ExitCode::SUCCESS
}

/// Reads what the server says further. When the server is gone, so is the reason for the job, unless it
/// is replacing files: then it is finished.
fn listen(committing: Arc<AtomicBool>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        if !committing.load(Ordering::SeqCst) {
            std::process::exit(3);
        }
    });
    receiver
}

fn perform(order: &Order, context: &Context) -> Result<Answer, Failure> {
    let access = match (&order.task, &order.vault) {
        (Task::Probe { paths }, _) => return Ok(Answer::Probed(probe::probe(paths))),
        (Task::MakePaths { paths }, _) => {
            restore::make_paths(paths)?;
            return Ok(Answer::Done);
        }
        (Task::Inspect { archive, name }, _) => return import::inspect(archive, name),
        (Task::Resume { run, targets }, _) => return restore::resume(run, targets),
        (Task::LookAtPlace { to }, _) => return Ok(Answer::There(vault::look_at_place(to)?)),
        (Task::ResumeFile { run, to, finish }, _) => {
            return Ok(Answer::Resumed { finished: vault::resume_file(to, run, *finish)? });
        }
        (_, Some(access)) => access,
        (_, None) => {
            return Err(Failure {
                kind: FailureKind::Worker,
                message: "The order names no vault.".to_owned(),
                detail: String::new(),
            });
        }
    };
    match &order.task {
        Task::Create => {
            Vault::create(access)?;
            return Ok(Answer::Done);
        }
        Task::TryStorage => {
            if let Location::S3(place) = &access.location {
                vault::probe(place)?;
            }
            return Ok(Answer::Done);
        }
        _ => {}
    }
    let vault = Vault::open(access)?;
    match &order.task {
        Task::List => {
            let (backups, settings) = vault.contents()?;
            Ok(Answer::List { backups, settings })
        }
        Task::SaveSettings(settings) => Ok(Answer::SettingsList(vault.save_settings(settings)?)),
        Task::ReadSettings { id } => Ok(Answer::Settings(Box::new(vault.read_settings(id)?))),
        Task::Import(task) => import::run(&vault, task, context),
        Task::Manifest { backup } => Ok(Answer::Manifest(Box::new(vault.manifest(backup)?))),
        Task::Forget { backups } => {
            vault.forget(backups)?;
            Ok(Answer::Done)
        }
        Task::Prune => {
            let pruned = vault.prune(context.report.as_ref())?;
            Ok(Answer::Pruned { freed: pruned.freed, later: pruned.later })
        }
        Task::Copy { backups, to } => {
            let copied = vault.copy_to(&Vault::open(to)?, backups, &context.report)?;
            Ok(Answer::Copied {
                copied: copied.copied,
                failed: copied.failed,
                added: copied.added,
                known: copied.known,
            })
        }
        Task::Verify { backups, part } => {
            Ok(Answer::Verified(vault.verify(backups, *part, &context.report)?))
        }
        Task::Backup(task) => backup::run(&vault, &order.engine, task, context),
        Task::LoadImage { backup } => restore::load_image(vault, &order.engine, backup, context),
        Task::Restore { backup, run, items } => restore::files(&vault, backup, run, items, context),
        Task::RestoreFile { backup, path, run, to } => restore::file(&vault, backup, path, run, to, context),
        Task::Create
        | Task::TryStorage
        | Task::LookAtPlace { .. }
        | Task::ResumeFile { .. }
        | Task::Probe { .. }
        | Task::Inspect { .. }
        | Task::MakePaths { .. }
        | Task::Resume { .. }
        | Task::Files(_) => Ok(Answer::Done),
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let kind = match &error {
            VaultError::Missing { .. } => FailureKind::VaultMissing,
            VaultError::Storage { .. } | VaultError::Gone { .. } => FailureKind::Storage,
            VaultError::Archive(_) => FailureKind::Archive,
            VaultError::WrongPassword => FailureKind::WrongKey,
            VaultError::Foreign { .. } => FailureKind::Foreign,
            VaultError::NoBackup { .. } => FailureKind::BackupMissing,
            VaultError::Absent { .. } => FailureKind::FileMissing,
            VaultError::NewerSettings { .. } | VaultError::Place(_) => FailureKind::Other,
            _ => FailureKind::Vault,
        };
        let detail = crate::error::chain(&error);
        Self { kind, message: error.to_string(), detail }
    }
}
