//! Container Monkey: backup and recovery for Docker, with a page to manage what runs.

pub mod model;
