//! Where workers run: as child processes when the server runs on the host, as
//! sibling containers when it runs in one. A sibling sees exactly the paths of
//! its job, each under a name of its own; what it says is told with the host's
//! names.

use std::path::{Path, PathBuf};

use super::order::{Failure, FailureKind, Need, Order};
use crate::{
    docker::{Bind, Docker, DockerError, OwnContainer, Running, Sibling},
    model::weights::Weights,
};

/// Where workers run.
#[derive(Clone)]
pub enum Place {
    /// As child processes.
    Here(Weights),
    /// As sibling containers.
    Beside(Beside),
    /// As child processes that don't see the files of the engine's host.
    Elsewhere(Weights),
}

/// What is needed to start siblings.
#[derive(Clone)]
pub struct Beside {
    /// The engine.
    pub docker: Docker,
    /// The container we run in.
    pub own: OwnContainer,
    /// Our data directory, as we see it.
    pub data: PathBuf,
    /// How much of the machine they get.
    pub weights: Weights,
}

/// Names of paths: as a sibling sees them and as the host does.
pub(super) type Names = Vec<(String, String)>;

impl Place {
    /// Where the data directory is on the host, so that it is never backed up into itself.
    pub fn data_on_host(&self, data: &Path) -> PathBuf {
        match self {
            Self::Here(_) | Self::Elsewhere(_) => {
                std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned())
            }
            Self::Beside(beside) => beside.on_host(&beside.data).unwrap_or_else(|| data.to_owned()),
        }
    }
}

impl Beside {
    /// Where a path of ours is on the host; `None` when it is in no mount.
    fn on_host(&self, path: &Path) -> Option<PathBuf> {
        let mounts = self.own.mounts.iter().filter(|(inside, _)| path.starts_with(inside));
        let (inside, host) = mounts.max_by_key(|(inside, _)| inside.components().count())?;
        let rest = path.strip_prefix(inside).ok()?;
        Some(if rest.as_os_str().is_empty() { host.clone() } else { host.join(rest) })
    }

    /// Starts a sibling for this order, whose paths are then those that it sees.
    pub(super) async fn start(&self, order: &mut Order) -> Result<(Running, Names), Failure> {
        let mut binds = self.own_binds(order)?;
        let names = give_paths(order, &mut binds);
        let network = order.needs_network();
        loop {
            let weights = self.weights;
            let sibling = Sibling { own: &self.own, arguments: &["worker"], binds: &binds, network, weights };
            match self.docker.start_sibling(&sibling).await {
                Ok(running) => return Ok((running, names)),
                Err(error) => {
                    // The worker finds out that the path is missing and says what that means.
                    let before = binds.len();
                    binds.retain(|bind| bind.make || !is_missing(&error, &bind.host));
                    if binds.len() == before {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// What a job needs of ours: the data directory with the vault, the engine's socket.
    fn own_binds(&self, order: &Order) -> Result<Vec<Bind>, Failure> {
        let mut binds = Vec::new();
        let mut share = |inside: &Path| match self.on_host(inside) {
            Some(host) => {
                binds.push(Bind { host, inside: inside.to_owned(), write: true, make: false });
                Ok(())
            }
            None => Err(Failure {
                kind: FailureKind::Other,
                message: format!(
                    "{} is not on a volume or host directory, so jobs can't use it. Start the container with one \
                     mounted there, as the README shows.",
                    inside.display()
                ),
                detail: String::new(),
            }),
        };
        if order.task.needs_vault() {
            share(&self.data)?;
        }
        if order.task.needs_docker() && !order.engine.is_remote() {
            share(Path::new(self.docker.address()))?;
        }
        Ok(binds)
    }
}

/// The engine's words for a bind whose source is not there.
fn is_missing(error: &DockerError, host: &Path) -> bool {
    let text = error.to_string();
    text.contains("bind source path does not exist") && text.ends_with(&host.display().to_string())
}

/// Gives each path of the order a name in the sibling.
fn give_paths(order: &mut Order, binds: &mut Vec<Bind>) -> Names {
    let root = format!("/host-{}", ulid::Ulid::new());
    let mut names = Names::new();
    for (index, (path, need)) in order.task.host_paths().into_iter().enumerate() {
        let inside = PathBuf::from(format!("{root}/{index:04}"));
        let (host, file) = match (need, path.parent(), path.file_name()) {
            // A file that is made or replaced: its directory must be writable.
            (Need::WriteFile | Need::MakeFile, Some(parent), Some(name)) => {
                (parent.to_owned(), Some(name.to_owned()))
            }
            _ => (path.clone(), None),
        };
        names.push((inside.display().to_string(), host.display().to_string()));
        *path = file.map_or_else(|| inside.clone(), |name| inside.join(name));
        let make = matches!(need, Need::Make | Need::MakeFile);
        binds.push(Bind { host, inside, write: need != Need::Read, make });
    }
    names
}

/// A line of a sibling with the host's names.
pub(super) fn with_host_names(line: String, names: &Names) -> String {
    names.iter().fold(line, |line, (inside, host)| {
        if !line.contains(inside) {
            return line;
        }
        // The line is JSON: a name stands in it as the inside of a string.
        let host = serde_json::to_string(host).unwrap_or_default();
        line.replace(inside.as_str(), host.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::engine::EngineAddress,
        worker::order::{MakePath, RestoreItem, Task},
    };

    #[test]
    fn a_sibling_sees_the_paths_of_its_job_under_other_names() {
        let items = vec![
            RestoreItem { path: "web/volumes/data".to_owned(), target: "/v/data".into() },
            RestoreItem { path: "web/binds/0/app.conf".to_owned(), target: "/etc/app.conf".into() },
        ];
        let task = Task::Restore { backup: String::new(), run: String::new(), items };
        let mut order = Order { vault: None, engine: EngineAddress::default(), task };
        let mut binds = Vec::new();
        let names = give_paths(&mut order, &mut binds);
        let Task::Restore { items, .. } = &order.task else { unreachable!("it is one") };
        assert_eq!(
            (binds[0].host.as_path(), binds[1].host.as_path()),
            (Path::new("/v/data"), Path::new("/etc"))
        );
        assert_eq!(items[0].target, binds[0].inside);
        assert_eq!(items[1].target, binds[1].inside.join("app.conf"));
        let said = format!("{{\"note\":\"{}/x is gone\"}}", names[1].0);
        assert_eq!(with_host_names(said, &names), "{\"note\":\"/etc/x is gone\"}");
    }

    #[test]
    fn only_what_is_made_may_be_missing() {
        let paths = vec![MakePath { path: "/srv/new".into(), file: false }];
        let mut order =
            Order { vault: None, engine: EngineAddress::default(), task: Task::MakePaths { paths } };
        let mut binds = Vec::new();
        give_paths(&mut order, &mut binds);
        assert!(binds[0].make && binds[0].write);
    }
}
