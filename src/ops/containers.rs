//! Containers: list, look at, act on, delete.
use super::Actor;
use crate::{
    app::App,
    error::Result,
    model::{
        container::{Action, Container},
        names::ContainerRef,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
/// A container with everything its page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Details {
    /// The list's row.
    pub container: Container,
    /// Raw inspect.
    pub inspect: Value,
}
/// How to delete.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeleteOptions {
    /// Its volumes too, those that nobody else uses.
    pub delete_volumes: bool,
    /// Even while it runs.
    pub force: bool,
}
/// All containers.
pub async fn list(app: &App) -> Result<Vec<Container>> {
    todo!()
}
/// One container by id, prefix or name.
pub async fn details(app: &App, id: &ContainerRef) -> Result<Details> {
    todo!()
}
/// Start, stop…; `timeout` in seconds overrides the container's own.
pub async fn act(
    app: &App,
    actor: &Actor,
    id: &ContainerRef,
    action: Action,
    timeout: Option<u32>,
) -> Result<Container> {
    todo!()
}
/// Deletes it; returns the names of deleted volumes.
pub async fn delete(app: &App, actor: &Actor, id: &ContainerRef, how: &DeleteOptions) -> Result<Vec<String>> {
    todo!()
}
