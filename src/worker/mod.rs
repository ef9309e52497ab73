//! Heavy jobs run in a process of their own: the same binary, started as
//! `container-monkey worker`. It reads one work order from its standard input
//! and writes events to its standard output, one JSON object per line. It never
//! touches the database.
//!
//! Killing it at any time is safe: a backup becomes visible only with its last
//! write, and a restore replaces nothing before it has said so and was answered.

mod archive;
mod backup;
mod backup_files;
mod files;
mod import;
pub mod launch;
mod look;
pub mod order;
pub mod place;
mod probe;
mod process;
pub mod readers;
mod report;
mod restore;
mod serve;

pub use serve::serve;
