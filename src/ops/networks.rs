//! Networks: list with what is in them, delete.

use serde_json::json;

use super::{Actor, containers::record};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{names::NetworkRef, network::Network},
};

/// All networks, in two questions to the engine.
pub async fn list(app: &App) -> Result<Vec<Network>> {
    let (networks, containers) = tokio::try_join!(app.docker.networks(), app.docker.containers())?;
    Ok(networks
        .into_iter()
        .map(|network| {
            let users = containers.iter().filter(|container| container.networks.contains(&network.name));
            let stack =
                users.clone().find_map(|user| user.stack_info.as_ref().map(|stack| stack.name.clone()));
            let is_self = users.clone().any(|user| user.is_self);
            let containers = users.map(|user| user.name.clone()).collect();
            // What every engine has belongs to no stack, whoever uses it.
            let stack = network.stack.clone().or(stack.filter(|_| !network.built_in));
            Network { containers, is_self, stack, ..network }
        })
        .collect())
}

/// One of them by name, id or unique prefix of the id.
pub async fn find(app: &App, id: &NetworkRef) -> Result<Network> {
    let mut all = list(app).await?;
    let wanted = id.as_str();
    if let Some(index) = all.iter().position(|network| network.id == wanted) {
        return Ok(all.swap_remove(index));
    }
    let named = all.iter().filter(|network| network.name == wanted).count();
    all.retain(|network| {
        let begins = wanted.len() >= 4 && network.id.starts_with(wanted);
        if named > 0 { network.name == wanted } else { begins }
    });
    match (all.pop(), all.len()) {
        (None, _) => Err(AppError::NotFound(format!("The network “{wanted}”").into())),
        (Some(network), 0) => Ok(network),
        (Some(_), more) => {
            Err(AppError::Conflict(format!("“{wanted}” can mean {} networks. Use the whole id.", more + 1)))
        }
    }
}

/// Deletes it, unless it is in use.
pub async fn delete(app: &App, actor: &Actor, id: &NetworkRef) -> Result<Network> {
    let network = find(app, id).await?;
    if let Some(why) = refused(&network) {
        return Err(AppError::Conflict(why));
    }
    let removed = app.docker.remove_network(&network.id).await;
    let problem = removed.as_ref().err().map(ToString::to_string);
    let details = json!({ "network_id": network.id, "subnet": network.subnet, "driver": network.driver });
    record(app, actor, "network_delete", &network.name, problem, details).await?;
    match removed {
        Ok(()) => Ok(network),
        // An engine refuses with 403 what others refuse with 409.
        Err(crate::docker::DockerError::Refused { status: 403, message }) => Err(AppError::Conflict(message)),
        Err(error) => Err(error.into()),
    }
}

/// Why a network can't be deleted.
pub fn refused(network: &Network) -> Option<String> {
    let name = &network.name;
    if network.built_in {
        return Some(format!("The network {name} is built into Docker and can't be deleted."));
    }
    if network.is_self {
        return Some(format!(
            "Container Monkey itself is in the network {name}; it can't be deleted from here."
        ));
    }
    match network.containers.as_slice() {
        [] => None,
        [one] => {
            Some(format!("The container {one} is in the network {name}. Delete or disconnect it first."))
        }
        many => {
            Some(format!("{} are in the network {name}. Delete or disconnect them first.", many.join(", ")))
        }
    }
}
