//! The handles that everything shares, and how they start and stop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{config::Config, live::Live};

/// The running application; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Settings.
    pub config: Arc<Config>,
    /// Progress of running jobs.
    pub live: Live,
    /// Cancelled when the server stops.
    pub shutdown: CancellationToken,
}
