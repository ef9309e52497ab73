//! HTTP: the router, the pages and the API. The only place that knows axum.

mod access;
mod ansi;
mod api_shapes;
mod assets;
mod audit_export;
mod client;
mod download;
mod errors;
mod format;
mod guard;
mod input;
mod pages;
mod router;
mod scopes;
mod session;
mod shell;
mod watcher;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};

use crate::{app::App, config::Config, error::chain, ops};

/// How long consoles get to end their processes.
const TIDY: Duration = Duration::from_secs(8);

/// Serves the page until a signal, then stops: running jobs get their time, a second signal ends
/// everything at once.
pub async fn serve(config: Config) -> Result<(), String> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("{} can't be listened on: {error}", config.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tracing::info!("Container Monkey {} is at http://{address}", env!("CARGO_PKG_VERSION"));
    let app = App::start(config).await.map_err(|error| chain(&error))?;
    let router = router::router(&app).await.map_err(|error| chain(&error))?;
    let signals = stop_on_signal(&app)?;
    let work = tokio::spawn(app.clone().work());
    tokio::spawn(ops::events::collect(app.clone()));
    let stop = app.shutdown.clone();
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .map_err(|error| error.to_string())?;
    app.tasks.close();
    if timeout(TIDY, app.tasks.wait()).await.is_err() {
        tracing::warn!("stopped before all consoles were closed");
    }
    // The job's own deadline, and a little to write its outcome.
    let patience = app.stop_timeout() + Duration::from_secs(10);
    match timeout(patience, work).await {
        Ok(Ok(Err(error))) => return Err(chain(&error)),
        Ok(Ok(Ok(()))) => tracing::info!("stopped"),
        Ok(Err(_)) => return Err("the job loop panicked".to_owned()),
        Err(_) => tracing::warn!("stopped before the running job had ended"),
    }
    signals.abort();
    Ok(())
}

fn stop_on_signal(app: &App) -> Result<JoinHandle<()>, String> {
    let hear = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    let shutdown = app.shutdown.clone();
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal ends everything at once");
            shutdown.cancel();
        }
    }))
}

/// Asks the running server whether it is well.
pub async fn healthcheck(config: &Config) -> Result<(), String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(10), ask)
        .await
        .map_err(|_| "no answer within 10 s".to_owned())?
        .map_err(|error| format!("no answer at {address}: {error}"))?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status == "200" { Ok(()) } else { Err(answer.lines().last().unwrap_or_default().to_owned()) }
}
