//! What the stories share: the program itself, an engine to play with, and trees of odd files.

mod app;
mod browser;
mod bucket;
mod disk;
mod docker;
mod engine;
mod image;
mod live;
mod metadata;
mod receiver;
mod web;

pub(crate) use app::{App, Options, in_container, restic};
pub(crate) use browser::Browser;
pub(crate) use bucket::{Bucket, Fault, ROLE_TOKEN, SECRET_KEY};
pub(crate) use disk::SmallDisk;
pub(crate) use docker::Bench;
pub(crate) use engine::Engine;
pub(crate) use live::Live;
pub(crate) use metadata::{Metadata, Mood, POD_TOKEN};
pub(crate) use receiver::{MailServer, Receiver};
pub(crate) use web::{Answer, Client, PASSWORD};

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Runs a program that must succeed; returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = try_run(program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a program that may fail.
pub(crate) fn try_run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program} can't be started ({error}); `tests/run` installs what tests need")
    })
}

/// Waits until `ready` gives something; fails after three minutes.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(began.elapsed() < Duration::from_mins(3), "waited three minutes for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
