//! Stacks: containers that belong together, and the order in which they start.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::backup::words;

/// Who made a stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `docker compose`.
    #[default]
    Compose,
    /// `docker stack`.
    Swarm,
}

words!(Kind { Compose => "compose", Swarm => "swarm" });

/// A service of a Swarm stack, as a manager knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its whole name, `<stack>_<service>`.
    pub name: String,
    /// The stack.
    pub stack: String,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that should run.
    pub desired: u64,
    /// Replicas it had before it was stopped from here.
    pub former: Option<u64>,
    /// It has a number of replicas. Global services and jobs have none.
    pub scalable: bool,
}

impl Service {
    /// Its name without the stack's.
    pub fn short_name(&self) -> &str {
        self.name.strip_prefix(&format!("{}_", self.stack)).unwrap_or(&self.name)
    }
}

/// What must be true of a container before one that needs it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It runs.
    Started,
    /// Its health check says it is well.
    Healthy,
    /// It has ended without an error.
    Completed,
}

/// A container's place in the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its compose service; empty outside of compose.
    pub service: String,
    /// Services it needs, from the label `com.docker.compose.depends_on`.
    pub depends_on: Vec<(String, Condition)>,
    /// Containers it needs by id or name: whose network, volumes or processes it shares, or which it links to.
    pub shares: Vec<String>,
}

/// Reads the label: `db:service_healthy:false,cache:service_started:true`.
pub fn depends_on(label: &str) -> Vec<(String, Condition)> {
    let one = |part: &str| {
        let mut fields = part.trim().split(':');
        let service = fields.next().filter(|service| !service.is_empty())?;
        let condition = match fields.next() {
            Some("service_healthy") => Condition::Healthy,
            Some("service_completed_successfully") => Condition::Completed,
            _ => Condition::Started,
        };
        Some((service.to_owned(), condition))
    };
    label.split(',').filter_map(one).collect()
}

/// What one container needs: others by their id.
pub type Needs = BTreeMap<String, Condition>;

/// Turns names of services and containers into ids; `nodes` is id and name and place.
pub fn needs(nodes: &[(String, String, Node)]) -> BTreeMap<String, Needs> {
    let mut all = BTreeMap::new();
    for (id, _, node) in nodes {
        let mut needs = Needs::new();
        for (service, condition) in &node.depends_on {
            for (other, _, _) in nodes.iter().filter(|(_, _, other)| other.service == *service) {
                needs.insert(other.clone(), *condition);
            }
        }
        for wanted in &node.shares {
            let other = nodes.iter().find(|(other, name, _)| {
                name == wanted
                    || other == wanted
                    || (wanted.len() >= 12 && other.starts_with(wanted.as_str()))
            });
            if let Some((other, _, _)) = other {
                needs.entry(other.clone()).or_insert(Condition::Started);
            }
        }
        needs.remove(id);
        all.insert(id.clone(), needs);
    }
    all
}

/// Ids in the order in which they start: what is needed comes first. Within a circle, and where
/// nothing is said, the order is that of `ids`.
pub fn order(ids: &[String], needs: &BTreeMap<String, Needs>) -> Vec<String> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut ordered = Vec::new();
    while ordered.len() < ids.len() {
        let left = || ids.iter().filter(|id| !done.contains(id.as_str()));
        let free = |id: &&String| {
            let needed = needs.get(*id).into_iter().flatten().map(|(other, _)| other);
            needed.filter(|other| ids.contains(other)).all(|other| done.contains(other.as_str()))
        };
        let Some(next) = left().find(free).or_else(|| left().next()) else { break };
        ordered.push(next.clone());
        done.insert(next);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, service: &str, label: &str, shares: &[&str]) -> (String, String, Node) {
        let shares = shares.iter().map(|name| (*name).to_owned()).collect();
        let node = Node { service: service.to_owned(), depends_on: depends_on(label), shares };
        (id.to_owned(), format!("shop-{service}-1"), node)
    }

    #[test]
    fn what_is_needed_starts_first() {
        let nodes = [
            node("1", "web", "api:service_started:false,cache:service_started:true", &[]),
            node("2", "api", "db:service_healthy:false", &[]),
            node("3", "vpn-user", "", &["shop-cache-1"]),
            node("4", "cache", "", &[]),
            node("5", "db", "", &[]),
        ];
        let ids: Vec<_> = nodes.iter().map(|(id, _, _)| id.clone()).collect();
        let needs = needs(&nodes);
        assert_eq!(needs["2"]["5"], Condition::Healthy);
        assert_eq!(order(&ids, &needs), ["4", "3", "5", "2", "1"]);
    }

    #[test]
    fn a_circle_ends_too() {
        let nodes = [node("1", "a", "b", &[]), node("2", "b", "a", &[])];
        let ids: Vec<_> = nodes.iter().map(|(id, _, _)| id.clone()).collect();
        assert_eq!(order(&ids, &needs(&nodes)), ["1", "2"]);
    }
}
