//! Turns what the engine reports into events, a few per second.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::order::Event;
use crate::model::progress::{Note, Progress, Reporter};

/// At most one progress line in this time.
const INTERVAL: Duration = Duration::from_millis(250);

/// The rate is that of this time.
const WINDOW: Duration = Duration::from_secs(8);

/// Writes events to standard output.
pub(super) struct Report(Mutex<State>);

struct State {
    progress: Progress,
    sent: Option<Instant>,
    marks: VecDeque<(Instant, u64)>,
}

impl Report {
    pub(super) fn new() -> Self {
        let state = State { progress: Progress::default(), sent: None, marks: VecDeque::new() };
        Self(Mutex::new(state))
    }

    /// Writes one line. When nobody listens any more the job has no purpose: the process ends.
    pub(super) fn send(event: &Event) {
        let mut out = std::io::stdout().lock();
        let written = serde_json::to_writer(&mut out, event)
            .map_err(std::io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush());
        if written.is_err() {
            std::process::exit(3);
        }
    }

    fn update(&self, now: bool, change: impl FnOnce(&mut Progress)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.progress);
        if !now && state.sent.is_some_and(|sent| sent.elapsed() < INTERVAL) {
            return;
        }
        let at = Instant::now();
        let done = state.progress.bytes_done;
        state.sent = Some(at);
        state.marks.push_back((at, done));
        while state.marks.front().is_some_and(|mark| at - mark.0 > WINDOW) {
            state.marks.pop_front();
        }
        if let Some((since, bytes)) = state.marks.front() {
            let milliseconds = u64::try_from((at - *since).as_millis()).unwrap_or(u64::MAX);
            let rate = done.saturating_sub(*bytes).saturating_mul(1000).checked_div(milliseconds);
            state.progress.rate = rate.unwrap_or(state.progress.rate);
        }
        Self::send(&Event::Progress(state.progress.clone()));
    }
}

impl Reporter for Report {
    fn step(&self, number: u32, total: u32, text: &str) {
        self.update(true, |progress| {
            progress.current_step = number;
            progress.total_steps = total;
            text.clone_into(&mut progress.step);
        });
    }

    fn total_bytes(&self, bytes: u64) {
        self.update(false, |progress| progress.bytes_total = bytes);
    }

    fn add_bytes(&self, bytes: u64) {
        self.update(false, |progress| progress.bytes_done += bytes);
    }

    fn note(&self, note: Note) {
        Self::send(&Event::Note(note));
    }
}
