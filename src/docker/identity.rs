//! Which container we run in. Candidates come from the host name and from
//! `/proc`; one counts only if the engine knows it.

use std::fs;

use super::{client::Docker, error::DockerError};

impl Docker {
    /// The id of our own container; `None` outside of one.
    pub async fn own_id(&self) -> Result<Option<String>, DockerError> {
        let find = || async {
            for candidate in candidates() {
                if let Some(inspect) = self.find(&format!("/containers/{candidate}/json")).await? {
                    return Ok::<_, DockerError>(inspect["Id"].as_str().map(str::to_owned));
                }
            }
            Ok(None)
        };
        Ok(self.own_id_cell().get_or_try_init(find).await?.clone())
    }
}

fn candidates() -> Vec<String> {
    if !std::path::Path::new("/.dockerenv").exists() {
        return Vec::new();
    }
    let mut found = Vec::new();
    // Right also for a container that shares another one's network, but hidden by cgroup v2.
    for file in ["/proc/self/cgroup", "/proc/self/mountinfo"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        found.extend(
            text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 64).map(str::to_owned),
        );
    }
    if let Ok(name) = nix::unistd::gethostname()
        && let Some(name) = name.to_str()
        && name.len() == 12
        && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        found.push(name.to_owned());
    }
    found.dedup();
    found
}
