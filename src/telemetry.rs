//! Logging: one line per thing that happened, readable alone and with fields.
//! Never secrets, environment values or file contents.

use tracing_subscriber::EnvFilter;

/// Sends log lines to standard output. `filter` as in `MONKEY_LOG`.
pub fn init(filter: &str) {
    // Engine internals warn about each file they skip; we count and name those ourselves.
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).compact().init();
}
