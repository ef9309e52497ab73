//! Logs of a container: read once, or followed through its restarts.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    app::App,
    docker::{DockerError, LogStream, Writer},
    error::{AppError, Result},
    model::{
        log::{After, Cursor, LogLine, Wanted},
        names::ContainerRef,
    },
};

/// Lines that a page keeps; nobody is sent more than that at once.
pub const PAGE_LINES: u32 = 2000;
/// The same in bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// The most that is read at once for a script, bytes.
const READ_BYTES: usize = 8 * 1024 * 1024;
/// How long lines are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(250);
/// How long a reader may take for one batch before it is left behind.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a stopped container is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Lines that were read at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// The newest ones.
    pub lines: VecDeque<LogLine>,
    /// Older ones that there was no room for.
    pub left_out: u64,
    /// Where to read on.
    pub cursor: Cursor,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, line: LogLine, most: usize, most_bytes: usize) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > most || self.bytes > most_bytes {
            let Some(old) = self.lines.pop_front() else { return };
            self.bytes -= old.text.len();
            self.left_out += 1;
        }
    }
}

/// What a follower is told.
#[derive(Debug)]
pub enum Told {
    /// New lines.
    Lines(Batch),
    /// Lines come as they are written.
    Following,
    /// It does not run; lines come when it is started.
    Waiting(String),
    /// Nothing more will come; why.
    End(String),
}

/// Why a container has no logs to read, if so.
fn refusal(writer: &Writer) -> Option<&'static str> {
    writer.silent.then_some(
        "This container was created with “--log-driver none”: Docker keeps nothing of what it writes.",
    )
}

/// Reads what is there, with time limit and bounded memory: the newest lines win.
pub async fn read(app: &App, id: &ContainerRef, wanted: &Wanted) -> Result<Batch> {
    let writer = app.docker.writer(id.as_str()).await?;
    if let Some(why) = refusal(&writer) {
        return Err(AppError::Impossible(why.to_owned()));
    }
    let work = async {
        let mut stream = app.docker.logs(&writer, wanted, false).await?;
        let mut batch = Batch::default();
        let most = wanted.tail.map_or(usize::MAX, |lines| lines as usize);
        while let Some(lines) = stream.next().await? {
            for line in lines {
                batch.cursor.pass(&line);
                if wanted.matches(&line) {
                    batch.push(line, most, READ_BYTES);
                }
            }
        }
        Ok::<_, DockerError>(batch)
    };
    let late = || DockerError::Timeout { what: "reading the logs".to_owned(), seconds: 60 };
    Ok(timeout(Duration::from_mins(1), work).await.unwrap_or_else(|_| Err(late()))?)
}

/// Opens the logs for somebody who takes the lines at their own pace.
pub async fn open(app: &App, id: &ContainerRef, wanted: &Wanted) -> Result<LogStream> {
    let writer = app.docker.writer(id.as_str()).await?;
    if let Some(why) = refusal(&writer) {
        return Err(AppError::Impossible(why.to_owned()));
    }
    Ok(app.docker.logs(&writer, wanted, false).await?)
}

/// Follows the logs from `cursor` on. The task ends with its reader, with the server, or when there is
/// nothing to wait for; it then says why.
pub fn follow(
    app: App,
    id: ContainerRef,
    wanted: Wanted,
    cursor: Cursor,
) -> (mpsc::Receiver<Told>, JoinHandle<Option<Told>>) {
    // Two batches on their way are enough: whoever is slower is left behind, not waited for.
    let (tell, told) = mpsc::channel(2);
    let task = tokio::spawn(async move {
        let shutdown = app.shutdown.clone();
        let follower = Follower { app, id, wanted, cursor, tell: tell.clone() };
        tokio::select! {
            () = shutdown.cancelled() => None,
            () = tell.closed() => None,
            end = follower.run() => end.err().flatten(),
        }
    });
    (told, task)
}

struct Follower {
    app: App,
    id: ContainerRef,
    wanted: Wanted,
    cursor: Cursor,
    tell: mpsc::Sender<Told>,
}

/// Why following ended; nothing = nobody is there to be told.
type Ended = Option<Told>;

impl Follower {
    async fn run(mut self) -> Result<(), Ended> {
        let mut last: Option<Writer> = None;
        let mut waiting = None;
        loop {
            let writer = match self.app.docker.writer(self.id.as_str()).await {
                Ok(writer) => writer,
                Err(DockerError::NotFound(_)) => return ended("The container is gone.".to_owned()),
                Err(error) => {
                    self.wait(&mut waiting, error.to_string()).await?;
                    continue;
                }
            };
            if let Some(why) = refusal(&writer) {
                return ended(why.to_owned());
            }
            let changed =
                last.as_ref().is_none_or(|last| (&last.id, &last.started) != (&writer.id, &writer.started));
            if !writer.running && !changed {
                self.wait(&mut waiting, why_waiting(&writer)).await?;
                continue;
            }
            if writer.running {
                self.say(Told::Following).await?;
                waiting = None;
            }
            self.pass_on(&writer).await?;
            last = Some(writer);
            sleep(GATHER).await;
        }
    }

    /// From one start of the container to its stop.
    async fn pass_on(&mut self, writer: &Writer) -> Result<(), Ended> {
        let since = self.wanted.since.unwrap_or(0).max(self.cursor.at);
        let wanted = Wanted { tail: Some(PAGE_LINES), since: Some(since), ..self.wanted.clone() };
        let mut stream = match self.app.docker.logs(writer, &wanted, true).await {
            Ok(stream) => stream,
            // It was removed or Docker went away just now; the next look tells which.
            Err(DockerError::NotFound(_) | DockerError::Unreachable { .. }) => return Ok(()),
            Err(error) => return ended(error.to_string()),
        };
        let mut after = After::new(self.cursor);
        let mut batch = Batch::default();
        let mut due = Instant::now();
        loop {
            let lines = tokio::select! {
                biased;
                () = sleep_until(due), if !batch.lines.is_empty() => {
                    self.send(&mut batch).await?;
                    continue;
                }
                lines = stream.next() => lines,
            };
            let Ok(Some(lines)) = lines else {
                return self.send(&mut batch).await;
            };
            if batch.lines.is_empty() {
                due = Instant::now() + GATHER;
            }
            for line in lines.into_iter().filter(|line| after.is_new(line)) {
                self.cursor.pass(&line);
                if self.wanted.matches(&line) {
                    batch.push(line, PAGE_LINES as usize, BATCH_BYTES);
                }
            }
        }
    }

    async fn send(&self, batch: &mut Batch) -> Result<(), Ended> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        let batch = Batch { cursor: self.cursor, ..std::mem::take(batch) };
        self.say(Told::Lines(batch)).await
    }

    async fn say(&self, told: Told) -> Result<(), Ended> {
        match self.tell.send_timeout(told, PATIENCE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(None),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => ended(
                "The container writes faster than this page was read, so the connection was ended."
                    .to_owned(),
            ),
        }
    }

    async fn wait(&self, told: &mut Option<String>, why: String) -> Result<(), Ended> {
        if told.as_ref() != Some(&why) {
            self.say(Told::Waiting(why.clone())).await?;
            *told = Some(why);
        }
        sleep(LOOK).await;
        Ok(())
    }
}

fn ended(why: String) -> Result<(), Ended> {
    Err(Some(Told::End(why)))
}

fn why_waiting(writer: &Writer) -> String {
    if writer.is_fresh() {
        "Not started yet. Lines appear when it runs.".to_owned()
    } else {
        format!("Stopped with exit code {}. New lines appear when it runs again.", writer.exit_code)
    }
}
