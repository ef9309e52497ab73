//! Commands inside a container. Docker leaves such a process alone when its
//! stream closes; so each is started through a shell that first tells its
//! number, by which it can be ended.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    time::timeout,
};

use super::{
    client::{Docker, QUICK, escape},
    error::DockerError,
    streams::Streams,
};

/// Shells that images have, the best first. Found by trying: reading a container's files would lock it.
const SHELLS: [&[&str]; 9] = [
    &["bash"],
    &["ash"],
    &["sh"],
    &["busybox", "sh"],
    &["/bin/bash"],
    &["/bin/sh"],
    &["/bin/busybox", "sh"],
    &["/busybox/sh"],
    &["/busybox/busybox", "sh"],
];

/// Tells its number, then becomes the command.
const BEGIN: &str = "echo $$; exec \"$0\" \"$@\"";

/// Hangs up on all processes of a session, as a terminal does that is closed; what is left of them after two
/// seconds is killed. What is to live on is started with `setsid`. Only with what every shell has built in.
const HANG_UP: &str = "
each() {
  for f in /proc/[0-9]*/stat; do
    read -r line < \"$f\" || continue
    p=${f#/proc/}; p=${p%/stat}
    set -- \"$1\" ${line##*) }
    [ \"$5\" = \"$session\" ] && kill \"$1\" \"$p\" && found=1
  done 2>/dev/null
}
session=$0
each -HUP; each -CONT
i=0
while [ $i -lt 20 ]; do
  found=; each -0; [ -n \"$found\" ] || exit 0
  i=$((i+1)); sleep 0.1 2>/dev/null || i=20
done
each -KILL
exit 0";

/// How long the first sign of a process may take.
const FIRST: Duration = Duration::from_secs(20);

/// How to run a command.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// As whom; the container's own user if not given.
    pub user: Option<String>,
    /// Where; the container's own directory if not given.
    pub working_dir: Option<String>,
    /// With a terminal, which makes one stream of both outputs and reads input.
    pub tty: bool,
}

/// What runs.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// The shell itself: the one that is named, else the best there is.
    Shell(Option<&'a str>),
    /// A command line for a shell.
    Line(&'a str),
    /// A program with its arguments.
    List(&'a [String]),
}

/// What a process is known by.
#[derive(Debug, Clone)]
pub struct Process {
    /// The engine's name for it.
    pub id: String,
    /// The shell that it runs in or is; empty = started without one.
    pub shell: String,
    container: String,
    user: Option<String>,
    /// Its number inside the container, and the shell that can end it.
    number: Option<(String, Vec<String>)>,
}

/// A process in a container, with its streams.
pub struct Exec {
    /// What it is known by.
    pub process: Process,
    output: Streams,
    input: Option<Input>,
    /// Read already.
    first: VecDeque<Bytes>,
}

/// Standard input of a process.
pub struct Input(WriteHalf<TokioIo<Upgraded>>);

impl Input {
    /// Types.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }
}

impl Docker {
    /// Starts a program in a container.
    pub async fn exec(
        &self,
        container: &str,
        program: Program<'_>,
        options: &ExecOptions,
    ) -> Result<Exec, DockerError> {
        let candidates: Vec<Vec<String>> = match program {
            Program::Shell(Some(name)) => vec![name.split(' ').map(str::to_owned).collect()],
            Program::Shell(None) => owned(&SHELLS),
            Program::Line(_) | Program::List(_) => owned(&SHELLS[2..]),
        };
        let mut refused = None;
        for shell in candidates {
            let own: Vec<String> = match program {
                Program::Shell(_) => shell.clone(),
                Program::Line(line) => [shell.as_slice(), &["-c".to_owned(), line.to_owned()]].concat(),
                Program::List(list) => list.to_vec(),
            };
            let command = [shell.as_slice(), &["-c".to_owned(), BEGIN.to_owned()], &own].concat();
            let mut exec = self.start_exec(container, &command, options).await?;
            match exec.read_number().await? {
                Ok(number) => {
                    exec.process.shell = shell.join(" ");
                    exec.process.number = Some((number, shell));
                    return Ok(exec);
                }
                // This shell is not there; anything else would go wrong with the next one too.
                Err(words) if is_missing(&words) => refused = Some(words),
                Err(words) => return Err(DockerError::NotReady(words)),
            }
        }
        match program {
            // It can do without a shell; then nothing can end it before its time.
            Program::List(list) => self.start_exec(container, list, options).await,
            Program::Shell(Some(name)) => Err(DockerError::NotReady(format!(
                "There is no “{name}” in this container. Choose another shell."
            ))),
            _ => {
                tracing::debug!(refused, "no shell");
                Err(DockerError::NotReady(
                    "There is no shell in this container: its image holds only the program itself."
                        .to_owned(),
                ))
            }
        }
    }

    async fn start_exec(
        &self,
        container: &str,
        command: &[String],
        options: &ExecOptions,
    ) -> Result<Exec, DockerError> {
        let mut body = json!({
            "AttachStdin": options.tty, "AttachStdout": true, "AttachStderr": true, "Tty": options.tty, "Cmd": command,
        });
        if options.tty {
            body["Env"] = json!(["TERM=xterm-256color"]);
        }
        if let Some(user) = &options.user {
            body["User"] = json!(user);
        }
        if let Some(directory) = &options.working_dir {
            body["WorkingDir"] = json!(directory);
        }
        let made = self.post(&format!("/containers/{}/exec", escape(container)), Some(&body)).await?;
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        let how = json!({ "Detach": false, "Tty": options.tty });
        let stream = self.attach(&format!("/exec/{}/start", escape(&id)), &how, FIRST).await?;
        let (output, input) = tokio::io::split(stream);
        let process = Process {
            id,
            shell: String::new(),
            container: container.to_owned(),
            user: options.user.clone(),
            number: None,
        };
        Ok(Exec {
            process,
            output: Streams::new(output, options.tty),
            input: Some(Input(input)),
            first: VecDeque::new(),
        })
    }

    /// How a process ended; `None` while it runs.
    pub async fn exec_exit_code(&self, process: &Process) -> Result<Option<i64>, DockerError> {
        let inspect = self.get(&format!("/exec/{}/json", escape(&process.id))).await?;
        Ok(if inspect["Running"] == true { None } else { inspect["ExitCode"].as_i64() })
    }

    /// Tells a terminal its size in characters.
    pub async fn resize_exec(&self, process: &Process, columns: u16, rows: u16) -> Result<(), DockerError> {
        let path = format!("/exec/{}/resize?w={columns}&h={rows}", escape(&process.id));
        let answer = timeout(QUICK, self.post(&path, None)).await;
        answer.unwrap_or(Ok(Value::Null)).map(drop)
    }

    /// Ends a process and those it started in its session. Whether there is a way to do so.
    pub async fn hang_up(&self, process: &Process) -> Result<bool, DockerError> {
        let Some((number, shell)) = &process.number else { return Ok(false) };
        let command = [shell.as_slice(), &["-c".to_owned(), HANG_UP.to_owned(), number.clone()]].concat();
        let options = ExecOptions { user: process.user.clone(), ..ExecOptions::default() };
        let mut last = self.start_exec(&process.container, &command, &options).await?;
        let read = async { while let Some(Ok(_)) = last.read().await {} };
        let late = |_| DockerError::Timeout { what: "ending a process".to_owned(), seconds: FIRST.as_secs() };
        timeout(FIRST, read).await.map_err(late)?;
        Ok(true)
    }
}

impl Exec {
    /// Takes its input; there is one.
    pub fn take_input(&mut self) -> Option<Input> {
        self.input.take()
    }

    /// The next piece of output; `None` = it has ended.
    pub async fn read(&mut self) -> Option<Result<Bytes, DockerError>> {
        if let Some(first) = self.first.pop_front() {
            return Some(Ok(first));
        }
        let next = self.output.next().await.transpose()?;
        Some(next.map(|piece| piece.bytes).map_err(|error| DockerError::Answer(error.to_string())))
    }

    /// Reads the number that [`BEGIN`] tells. Without it: what was said instead.
    async fn read_number(&mut self) -> Result<Result<String, String>, DockerError> {
        let mut told = BytesMut::new();
        let read = async {
            while !told.contains(&b'\n') && told.len() < 4096 && self.first.len() < 64 {
                let next = self.output.next().await;
                match next.map_err(|error| DockerError::Answer(error.to_string()))? {
                    // The streams are not in step: errors of the command may come before its number.
                    Some(piece) if piece.is_error => self.first.push_back(piece.bytes),
                    Some(piece) => told.extend_from_slice(&piece.bytes),
                    None => break,
                }
            }
            Ok(())
        };
        let late = |_| DockerError::Timeout { what: "exec".to_owned(), seconds: FIRST.as_secs() };
        timeout(FIRST, read).await.map_err(late)??;
        let end = told.iter().position(|byte| *byte == b'\n').map_or(told.len(), |end| end + 1);
        let line = told.split_to(end);
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()) {
            self.first.extend(Some(told.freeze()).filter(|rest| !rest.is_empty()));
            return Ok(Ok(line));
        }
        let errors: Vec<_> = self.first.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        Ok(Err(format!("{line} {}", errors.concat()).trim().to_owned()))
    }
}

fn owned(shells: &[&[&str]]) -> Vec<Vec<String>> {
    shells.iter().map(|shell| shell.iter().map(|word| (*word).to_owned()).collect()).collect()
}

/// Whether the engine's words mean that the program is not in the image.
fn is_missing(words: &str) -> bool {
    ["executable file not found", "no such file or directory", "not found", "permission denied"]
        .iter()
        .any(|sign| words.to_lowercase().contains(sign))
        && !words.contains("unable to find user")
        && !words.contains("chdir to cwd")
}
