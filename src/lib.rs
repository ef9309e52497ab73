//! Container Monkey: backup and recovery for Docker, with a page to manage what runs.

pub mod app;
pub mod batches;
pub mod config;
pub mod db;
pub mod docker;
pub mod downloads;
pub mod error;
pub mod events;
pub mod jobs;
pub mod live;
pub mod model;
pub mod notify;
pub mod ops;
pub mod seal;
pub mod telemetry;
pub mod tls;
pub mod vault;
pub mod vaults;
pub mod vitals;
pub mod watchers;
pub mod web;
pub mod worker;
