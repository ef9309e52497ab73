//! Shells and commands inside containers. Who opened one, as whom and when, is
//! written to the audit log; what is typed is not.

use std::time::Duration;

use serde_json::json;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use super::{Actor, containers};
use crate::{
    app::App,
    docker::{Exec, ExecOptions, Process, Program},
    error::{AppError, Result},
    model::{container::Status, names::ContainerRef},
};

/// Consoles and commands that may be open at once.
pub const SEATS: usize = 20;
/// So often it is tried to end the shell of a console that was closed.
const HANG_UPS: usize = 3;
/// What is kept of a command's output, bytes.
const OUTPUT: usize = 1024 * 1024;

/// How a console or a command is started; empty texts mean nothing given.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// As whom.
    pub user: String,
    /// Where.
    pub working_dir: String,
}

impl How {
    /// Checks what goes to the engine.
    fn options(&self, tty: bool) -> Result<ExecOptions> {
        let user = self.user.trim();
        let fine =
            user.len() <= 100 && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-:".contains(&b));
        if !fine {
            let why = "A user is a name or number, with “:group” after it if wanted.";
            return Err(AppError::field("user", why));
        }
        let directory = self.working_dir.trim();
        if !directory.is_empty() && (!directory.starts_with('/') || directory.chars().any(char::is_control)) {
            return Err(AppError::field("working_dir", "The directory begins with “/”."));
        }
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(ExecOptions { user: given(user), working_dir: given(directory), tty })
    }
}

/// An open console. Its process must be ended by [`Console::close`].
pub struct Console {
    app: App,
    actor: Actor,
    container: String,
    /// The shell.
    pub exec: Exec,
    _seat: OwnedSemaphorePermit,
}

fn seat(app: &App) -> Result<OwnedSemaphorePermit> {
    app.seats.clone().try_acquire_owned().map_err(|_| {
        AppError::Conflict(format!("{SEATS} consoles are open already. Close one that is not needed."))
    })
}

/// Opens a shell with a terminal.
pub async fn open(app: &App, actor: &Actor, id: &ContainerRef, shell: &str, how: &How) -> Result<Console> {
    let shell = Some(shell.trim()).filter(|shell| !shell.is_empty());
    if let Some(shell) = shell
        && !shell.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.- ".contains(&b))
    {
        return Err(AppError::field("shell", "A shell is a path, such as /bin/sh."));
    }
    let options = how.options(true)?;
    let container = running(app, id).await?;
    let seat = seat(app)?;
    let opened = app.docker.exec(&container.id, Program::Shell(shell), &options).await;
    let details = json!({
        "container_id": container.id, "user": options.user, "working_dir": options.working_dir,
        "shell": opened.as_ref().ok().map(|exec| &exec.process.shell),
    });
    let error = opened.as_ref().err().map(ToString::to_string);
    containers::record(app, actor, "console_open", &container.name, error, details).await?;
    let exec = opened.map_err(impossible)?;
    Ok(Console { app: app.clone(), actor: actor.clone(), container: container.name, exec, _seat: seat })
}

impl Console {
    /// Ends the shell and what runs in it, if it has not ended by itself.
    pub async fn close(self) {
        let Self { app, actor, container, exec: Exec { process, .. }, _seat } = self;
        // More than once: a busy engine may not be in time.
        for _ in 0..HANG_UPS {
            let Ok(None) = app.docker.exec_exit_code(&process).await else { break };
            if let Err(error) = app.docker.hang_up(&process).await {
                tracing::warn!(container, %error, "the shell of a console could not be ended");
            }
            if exit_code(&app, &process).await.is_some() {
                break;
            }
        }
        let closed = containers::record(&app, &actor, "console_close", &container, None, json!({}));
        if let Err(error) = closed.await {
            tracing::error!(error = crate::error::chain(&error), "the audit log could not be written");
        }
    }
}

/// What a command is.
#[derive(Debug, Clone)]
pub enum Command {
    /// For a shell.
    Line(String),
    /// A program with arguments.
    List(Vec<String>),
}

/// What came out of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Both outputs, as they came.
    pub output: String,
    /// There was more.
    pub truncated: bool,
    /// `None`: it was ended because its time was over.
    pub exit_code: Option<i64>,
}

/// Runs a command and waits for it, at most `limit`.
pub async fn exec(
    app: &App,
    actor: &Actor,
    id: &ContainerRef,
    command: Command,
    how: &How,
    limit: Duration,
) -> Result<Outcome> {
    let empty = match &command {
        Command::Line(line) => line.trim().is_empty(),
        Command::List(list) => list.first().is_none_or(String::is_empty),
    };
    if empty {
        return Err(AppError::field("command", "Say what to run."));
    }
    let options = how.options(false)?;
    let container = running(app, id).await?;
    let seat = seat(app)?;
    let (app, actor) = (app.clone(), actor.clone());
    // In a task of its own: it is ended in time even if the one who asked is gone.
    let work = app.tasks.clone().spawn(async move {
        let _seat = seat;
        let done = run(&app, &container.id, &command, &options, limit).await;
        let error = done.as_ref().err().map(ToString::to_string);
        let details = json!({
            "container_id": container.id, "user": options.user, "working_dir": options.working_dir,
            "exit_code": done.as_ref().ok().and_then(|outcome| outcome.exit_code),
        });
        containers::record(&app, &actor, "container_exec", &container.name, error, details).await?;
        done
    });
    work.await.map_err(AppError::internal)?
}

async fn run(
    app: &App,
    id: &str,
    command: &Command,
    options: &ExecOptions,
    limit: Duration,
) -> Result<Outcome> {
    let program = match command {
        Command::Line(line) => Program::Line(line),
        Command::List(list) => Program::List(list),
    };
    let mut exec = app.docker.exec(id, program, options).await.map_err(impossible)?;
    let process = exec.process.clone();
    let mut output = Vec::new();
    let mut truncated = false;
    let read = async {
        while let Some(bytes) = exec.read().await {
            let bytes = bytes?;
            let room = bytes.len().min(OUTPUT - output.len());
            output.extend_from_slice(&bytes[..room]);
            truncated |= room < bytes.len();
        }
        Ok::<_, AppError>(())
    };
    let in_time = tokio::select! {
        read = timeout(limit, read) => match read {
            Ok(read) => read.map(|()| true)?,
            Err(_) => false,
        },
        () = app.shutdown.cancelled() => false,
    };
    let exit_code = if in_time { exit_code(app, &process).await } else { None };
    let mut output = String::from_utf8_lossy(&output).into_owned();
    if exit_code.is_none() && !app.docker.hang_up(&process).await? {
        output.push_str("\n(It still runs: without a shell in the container it can't be ended from here.)");
    }
    Ok(Outcome { output, truncated, exit_code })
}

/// How a process ended; waits a moment for the engine to know.
pub async fn exit_code(app: &App, process: &Process) -> Option<i64> {
    for _ in 0..20 {
        if let Ok(Some(code)) = app.docker.exec_exit_code(process).await {
            return Some(code);
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}

async fn running(app: &App, id: &ContainerRef) -> Result<crate::model::container::Container> {
    let container = containers::find(app, id).await?;
    match container.status {
        Status::Running => Ok(container),
        Status::Paused => Err(AppError::Conflict(format!("{} is paused. Resume it first.", container.name))),
        _ => Err(AppError::Conflict(format!("{} does not run. Start it first.", container.name))),
    }
}

/// The engine's refusal is about what was asked, not about us.
fn impossible(error: crate::docker::DockerError) -> AppError {
    match error {
        crate::docker::DockerError::NotReady(why) => AppError::Impossible(why),
        other => other.into(),
    }
}
