//! Settings of the page: server name.
use super::Actor;
use crate::{app::App, error::Result};
/// The server's name.
pub async fn server_name(app: &App) -> Result<String> {
    todo!()
}
/// Changes it; empty = the host's name again.
pub async fn set_server_name(app: &App, actor: &Actor, name: &str) -> Result<String> {
    todo!()
}
