//! What happens in the engine: collected all the time, shown when asked for.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::{Stream, StreamExt, stream};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{
    app::App,
    docker::DockerError,
    model::event::{Event, EventFilter},
};

/// How long to wait when the engine is away.
const AGAIN: Duration = Duration::from_secs(3);

/// Keeps the engine's events until the server stops, and connects again when the engine was away.
pub async fn collect(app: App) {
    let day_ago = Utc::now() - TimeDelta::days(1);
    let mut last = day_ago.timestamp_nanos_opt().unwrap_or(0);
    loop {
        let end = tokio::select! {
            () = app.shutdown.cancelled() => return,
            end = read(&app, &mut last) => end,
        };
        if let Err(error) = end {
            app.events.set_problem(Some(error.to_string()));
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn read(app: &App, last: &mut i64) -> Result<(), DockerError> {
    let mut events = app.docker.events(*last).await?;
    app.events.set_problem(None);
    let known = app.docker.containers().await?;
    app.events.know(known.iter().map(|container| (container.id.as_str(), container.name.as_str())));
    while let Some(event) = events.next().await? {
        // The engine's `since` includes its moment.
        if event.nanos() > *last {
            *last = event.nanos();
            app.events.keep(event);
        }
    }
    Ok(())
}

/// Events of the last day that are wanted, the newest first, at most `limit`; and how many there are.
pub fn list(app: &App, filter: &EventFilter, limit: usize) -> (Vec<Event>, usize) {
    let mut wanted: Vec<_> = app.events.recent().into_iter().filter(|event| filter.wants(event)).collect();
    let total = wanted.len();
    wanted.reverse();
    wanted.truncate(limit);
    (wanted, total)
}

/// What a viewer is told.
#[derive(Debug)]
pub enum Told {
    /// It happened.
    Event(Event),
    /// So many were left out, because the viewer was too slow.
    LeftOut(u64),
}

/// Wanted events after a moment (nanoseconds since 1970), and then those that come, until the server stops.
pub fn follow(app: &App, filter: EventFilter, after: i64) -> impl Stream<Item = Told> + use<> {
    let news = BroadcastStream::new(app.events.watch());
    let missed: Vec<_> = app.events.recent().into_iter().filter(|event| event.nanos() > after).collect();
    let newest = missed.last().map_or(after, Event::nanos);
    let news = news.filter_map(move |told| async move {
        match told {
            Ok(event) => (event.nanos() > newest).then_some(Told::Event(event)),
            Err(BroadcastStreamRecvError::Lagged(count)) => Some(Told::LeftOut(count)),
        }
    });
    let wanted = move |told: &Told| match told {
        Told::Event(event) => filter.wants(event),
        Told::LeftOut(_) => true,
    };
    stream::iter(missed.into_iter().map(Told::Event))
        .chain(news)
        .filter(move |told| std::future::ready(wanted(told)))
        .take_until(app.shutdown.clone().cancelled_owned())
}
