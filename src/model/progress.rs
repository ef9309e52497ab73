//! What a worker tells while it works.

use serde::{Deserialize, Serialize};

/// How far a run is. The newest value replaces the one before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What happens now, for people: "Reading volume data".
    pub step: String,
    /// Number of the step, from 1.
    pub current_step: u32,
    /// How many steps there are.
    pub total_steps: u32,
    /// Bytes handled so far in the whole run.
    pub bytes_done: u64,
    /// Bytes to handle; 0 = not known yet.
    pub bytes_total: u64,
    /// Bytes per second over the last seconds.
    pub rate: u64,
}

impl Progress {
    /// 0 to 100, `None` while the total is not known.
    pub fn percent(&self) -> Option<u8> {
        if self.bytes_total == 0 {
            return None;
        }
        let part = u128::from(self.bytes_done) * 100 / u128::from(self.bytes_total);
        Some(u8::try_from(part.min(100)).unwrap_or(100))
    }

    /// Seconds left at the present rate.
    pub fn eta_seconds(&self) -> Option<u64> {
        if self.rate == 0 || self.bytes_total == 0 {
            return None;
        }
        Some(self.bytes_total.saturating_sub(self.bytes_done) / self.rate)
    }
}

/// Something the user should know about a run, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How serious.
    pub level: Level,
    /// One sentence.
    pub text: String,
}

/// Seriousness of a [`Note`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A step that went well.
    Info,
    /// Something is missing or different.
    Warning,
    /// Something failed.
    Error,
}

/// Receives what happens. Called from several threads, often: must be cheap.
pub trait Reporter: Send + Sync {
    /// A new step began.
    fn step(&self, number: u32, total: u32, text: &str);
    /// The whole size is known (or better known).
    fn total_bytes(&self, bytes: u64);
    /// That many more bytes were handled.
    fn add_bytes(&self, bytes: u64);
    /// Something for the run's log.
    fn note(&self, note: Note);
}
