//! The words of the program: plain data and pure rules. Nothing here talks to
//! Docker, the vault, the database or the network, so everything may use it.

pub mod audit;
pub mod backup;
pub mod backup_list;
pub mod batch;
pub mod container;
pub mod engine;
pub mod event;
pub mod files;
pub mod host_path;
pub mod human;
pub mod image;
pub mod log;
pub mod manifest;
pub mod names;
pub mod network;
pub mod notice;
pub mod progress;
pub mod restore;
pub mod retention;
pub mod run;
pub mod saved_settings;
pub mod schedule;
pub mod schedule_run;
pub mod schedule_warning;
pub mod secret;
pub mod stack;
pub mod stats;
pub mod timing;
pub mod token;
pub mod upkeep;
pub mod user;
pub mod vault;
pub mod verify;
pub mod volume;
pub mod weights;
