//! The console: a page with a terminal, the WebSocket behind it, and commands
//! for scripts.
//!
//! On the socket, binary messages are what is typed and shown. Text messages
//! are JSON: the page tells its size and how much it has shown, the server
//! tells how it begins and ends.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use askama::Template;
use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep, timeout},
};

use super::containers::{Row, row};
use crate::{
    app::App,
    docker::{Exec, Input as Keys, Process},
    error::{AppError, Result},
    model::names::ContainerRef,
    ops::{
        Actor,
        consoles::{self, Command, Console, How},
        containers,
    },
    watchers::Seat,
    web::{
        guard,
        input::{Input, Path, Query},
        shell::{Nav, Screen, Shell, json_response, render},
        watcher::Watcher,
    },
};

/// The largest message of a browser, bytes; pasted text comes in several.
const MESSAGE: usize = 64 * 1024;
/// How far the page may be behind with showing, bytes. So Ctrl+C works while a program floods the terminal.
const WINDOW: u64 = 1024 * 1024;
/// How often a silent browser is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// After this silence it is gone.
const SILENCE: Duration = Duration::from_secs(70);

/// What the form says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct ConsoleQuery {
    shell: String,
    user: String,
    working_dir: String,
}

#[derive(Template)]
#[template(path = "containers/console.html")]
struct ConsoleScreen {
    row: Row,
    tab: &'static str,
    query: ConsoleQuery,
    own_user: String,
    own_directory: String,
    idle_minutes: u64,
}

impl Screen for ConsoleScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Console in {}", self.row.container.name).into()
    }

    fn nav(&self) -> Nav {
        Nav::Containers
    }
}

/// `GET /containers/{id}/console`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<ConsoleQuery>,
) -> Result<Response> {
    let details = containers::details(&app, &id).await?;
    let own = |name: &str, default: &str| {
        let text = details.inspect["Config"][name].as_str().filter(|text| !text.is_empty());
        text.unwrap_or(default).to_owned()
    };
    let screen = ConsoleScreen {
        own_user: own("User", "root"),
        own_directory: own("WorkingDir", "/"),
        row: row(&shell, details.container).await?,
        tab: "console",
        query,
        idle_minutes: app.config.console_idle_minutes,
    };
    let mut response = shell
        .show(
            &screen,
            render,
            |screen| json!({ "user": screen.own_user, "working_dir": screen.own_directory }),
        )
        .await?;
    let policy = HeaderValue::from_static(guard::TERMINAL_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// `GET /containers/{id}/console/socket`: the WebSocket of the page.
pub(in crate::web) async fn connect(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Query(query): Query<ConsoleQuery>,
    headers: HeaderMap,
    Watcher(seat): Watcher,
    upgrade: std::result::Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response> {
    guard::same_origin(&app, &headers)?;
    let upgrade = upgrade.map_err(|_| AppError::invalid("This address is for WebSockets."))?;
    let upgrade = upgrade.max_message_size(MESSAGE).max_frame_size(MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| {
        let tasks = app.tasks.clone();
        tasks.track_future(serve(socket, app, (actor, seat), id, query))
    }))
}

async fn serve(
    mut socket: WebSocket,
    app: App,
    (actor, mut seat): (Actor, Seat),
    id: ContainerRef,
    query: ConsoleQuery,
) {
    let how = How { user: query.user, working_dir: query.working_dir };
    let mut console = match consoles::open(&app, &actor, &id, &query.shell, &how).await {
        Ok(console) => console,
        Err(error) => {
            if error.status() >= 500 {
                tracing::error!(container = %id, error = crate::error::chain(&error), "no console");
            }
            let told = json!({ "state": "failed", "message": error.to_string() });
            say(&mut socket, &told).await;
            return;
        }
    };
    let opened = json!({ "state": "open", "shell": console.exec.process.shell });
    if say(&mut socket, &opened).await {
        let end = talk(&mut socket, &app, &mut console, &mut seat).await;
        if let Some(end) = end {
            say(&mut socket, &end).await;
            let close = CloseFrame { code: 1000, reason: "ended".into() };
            let _ = timeout(PING, socket.send(Message::Close(Some(close)))).await;
        }
    }
    console.close().await;
}

/// Whether it was sent.
async fn say(socket: &mut (impl SinkExt<Message> + Unpin), what: &Value) -> bool {
    matches!(timeout(PING, socket.send(Message::Text(what.to_string().into()))).await, Ok(Ok(())))
}

/// What both directions know of each other.
struct Line {
    began: Instant,
    /// Seconds from `began` until something was typed, and until anything was heard.
    typed: AtomicU64,
    heard: AtomicU64,
    /// Bytes that the page has shown.
    shown: watch::Sender<u64>,
}

impl Line {
    fn now(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

/// Carries both directions until one ends; what the page is told then, if it is there.
async fn talk(socket: &mut WebSocket, app: &App, console: &mut Console, seat: &mut Seat) -> Option<Value> {
    let line = Line {
        began: Instant::now(),
        typed: AtomicU64::new(0),
        heard: AtomicU64::new(0),
        shown: watch::Sender::new(0),
    };
    let keys = console.exec.take_input()?;
    let process = console.exec.process.clone();
    let (mut to, mut from) = socket.split();
    let limit = Duration::from_secs(app.config.console_idle_minutes * 60);
    let ended = |message: String| Some(json!({ "state": "closed", "message": message }));
    tokio::select! {
        () = type_in(&mut from, keys, app, &process, &line) => None,
        over = show_output(&mut to, &mut console.exec, &line) => {
            if !over {
                return None;
            }
            let code = consoles::exit_code(app, &process).await;
            Some(json!({ "state": "ended", "exit_code": code }))
        }
        () = seat.signed_out() => ended("The sign-in that opened this console has ended.".to_owned()),
        () = app.shutdown.cancelled() => ended("Container Monkey is stopping.".to_owned()),
        () = idle(&line, limit) => {
            ended(format!("Nothing was typed for {} minutes.", app.config.console_idle_minutes))
        }
    }
}

/// What is typed, until the page is left.
async fn type_in(
    from: &mut SplitStream<&mut WebSocket>,
    mut keys: Keys,
    app: &App,
    process: &Process,
    line: &Line,
) {
    while let Some(Ok(message)) = from.next().await {
        line.heard.store(line.now(), Ordering::Relaxed);
        match message {
            Message::Binary(bytes) => {
                line.typed.store(line.now(), Ordering::Relaxed);
                // An ended shell reads nothing more; its end is told by the other direction.
                let _ = keys.write(&bytes).await;
            }
            Message::Text(text) => {
                let Ok(Told { size, shown }) = serde_json::from_str(&text) else { continue };
                if let Some((columns, rows)) = size
                    && let Err(error) =
                        app.docker.resize_exec(process, columns.clamp(1, 1000), rows.clamp(1, 1000)).await
                {
                    tracing::debug!(%error, "a terminal could not be resized");
                }
                if let Some(shown) = shown {
                    line.shown.send_replace(shown);
                }
            }
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

/// What the page tells.
#[derive(Deserialize)]
struct Told {
    /// Columns and rows.
    size: Option<(u16, u16)>,
    /// Bytes shown since the beginning.
    shown: Option<u64>,
}

/// What is shown, until the shell has ended (true) or the page is gone (false).
async fn show_output(to: &mut SplitSink<&mut WebSocket, Message>, exec: &mut Exec, line: &Line) -> bool {
    let mut ping = interval(PING);
    let mut shown = line.shown.subscribe();
    let mut sent = 0;
    loop {
        let behind = sent > shown.borrow_and_update().saturating_add(WINDOW);
        let message = tokio::select! {
            bytes = exec.read(), if !behind => match bytes {
                Some(Ok(bytes)) => {
                    sent += bytes.len() as u64;
                    Message::Binary(bytes)
                }
                Some(Err(_)) | None => return true,
            },
            _ = shown.changed() => continue,
            _ = ping.tick() => {
                if line.now() > line.heard.load(Ordering::Relaxed) + SILENCE.as_secs() {
                    return false;
                }
                Message::Ping(bytes::Bytes::new())
            }
        };
        if !matches!(timeout(SILENCE, to.send(message)).await, Ok(Ok(()))) {
            return false;
        }
    }
}

/// Returns when nothing was typed for so long.
async fn idle(line: &Line, limit: Duration) {
    if limit.is_zero() {
        return std::future::pending().await;
    }
    loop {
        let quiet = line.now() - line.typed.load(Ordering::Relaxed).min(line.now());
        match limit.as_secs().checked_sub(quiet).filter(|left| *left > 0) {
            Some(left) => sleep(Duration::from_secs(left)).await,
            None => return,
        }
    }
}

/// A command line, or a program with arguments.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CommandInput {
    Line(String),
    List(Vec<String>),
}

/// What a script asks for.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct ExecInput {
    command: CommandInput,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    working_dir: Option<String>,
    /// Seconds, at most 600.
    #[serde(default)]
    timeout: Option<u64>,
}

/// `POST /api/container/{id}/exec`: runs a command and waits for it.
pub(in crate::web) async fn exec(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<ContainerRef>,
    Input(input): Input<ExecInput>,
) -> Result<Response> {
    let limit = input.timeout.unwrap_or(60);
    if !(1..=600).contains(&limit) {
        return Err(AppError::field("timeout", "The time limit is between 1 and 600 seconds."));
    }
    let command = match input.command {
        CommandInput::Line(line) => Command::Line(line),
        CommandInput::List(list) => Command::List(list),
    };
    let how =
        How { user: input.user.unwrap_or_default(), working_dir: input.working_dir.unwrap_or_default() };
    let outcome = consoles::exec(&app, &actor, &id, command, &how, Duration::from_secs(limit)).await?;
    let mut body = json!({
        "success": outcome.exit_code.is_some(), "output": outcome.output, "exit_code": outcome.exit_code,
        "truncated": outcome.truncated,
    });
    if outcome.exit_code.is_none() {
        body["error"] = json!(format!("The command did not end within {limit} s and was stopped."));
    }
    Ok(json_response(axum::http::StatusCode::OK, &body))
}
