//! The real program against the real Docker engine. One story a file; what they share is in `harness`.

mod architecture;
mod containers;
mod harness;
mod main_job;
mod security;
mod sign_in;
