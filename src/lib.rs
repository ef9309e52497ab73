//! Container Monkey: backup and recovery for Docker, with a page to manage what runs.

pub mod app;
pub mod config;
pub mod error;
pub mod live;
pub mod model;
pub mod ops;
