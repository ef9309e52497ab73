#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unused_self,
    clippy::too_many_lines,
    clippy::unnecessary_debug_formatting,
    reason = "a test ends where something is not as it should be"
)]
//! The real program against the real Docker engine. One story a file; what they share is in `harness`.

mod architecture;
mod archives;
mod audit;
mod backup_files;
mod browser;
mod bucket;
mod bulk;
mod changes;
mod console;
mod container;
mod containers;
mod dashboard;
mod engines;
mod events;
mod explorer;
mod explorer_safety;
mod faults;
mod file_restore_faults;
mod files;
mod from_flask;
mod harness;
mod images;
mod layer;
mod logs;
mod main_job;
mod marks;
mod matrix;
mod metrics;
mod networks;
mod notices;
mod pages;
mod podman;
mod redeploy;
mod schedules;
mod secrets;
mod security;
mod sign_in;
mod stacks;
mod statistics;
mod tokens;
mod vault;
mod verify;
mod volumes;
