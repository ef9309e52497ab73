//! Which container we run in. Candidates come from the host name and from
//! `/proc`; what each of them says can be wrong (a shared network shows another
//! container's name, cgroup v2 hides the id), so one counts only if the engine
//! sees in it a file that we just made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyper::Method;

use super::{
    client::{Docker, QUICK, escape},
    error::DockerError,
};

impl Docker {
    /// The id of our own container; `None` outside of one.
    pub async fn own_id(&self) -> Result<Option<String>, DockerError> {
        let find = || async {
            let (Some(state), true) = (self.state_dir(), inside_a_container()) else { return Ok(None) };
            let nonce = Nonce::make(state)?;
            let mut tried = candidates();
            for candidate in &tried {
                if let Some(id) = self.confirm(candidate, &nonce.0).await? {
                    return Ok(Some(id));
                }
            }
            // Nothing led to it: ask every one that runs.
            let all = self.get("/containers/json").await?;
            for id in all.as_array().into_iter().flatten().filter_map(|row| row["Id"].as_str()) {
                if !tried.iter().any(|candidate| id.starts_with(candidate.as_str())) {
                    if let Some(id) = self.confirm(id, &nonce.0).await? {
                        return Ok(Some(id));
                    }
                    tried.push(id.to_owned());
                }
            }
            Ok(None)
        };
        Ok(self.own_id_cell().get_or_try_init(find).await?.clone())
    }

    /// The full id if the engine sees the file in this container.
    async fn confirm(&self, candidate: &str, nonce: &Path) -> Result<Option<String>, DockerError> {
        let path = escape(&nonce.to_string_lossy());
        let asked = format!("/containers/{candidate}/archive?path={path}");
        match self.call(Method::HEAD, &asked, None, QUICK).await {
            Ok(_) => {
                let inspect = self.inspect(candidate).await?;
                Ok(inspect["Id"].as_str().map(str::to_owned))
            }
            Err(error) if error.is_away() => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// A file that nobody else has, removed when dropped.
struct Nonce(PathBuf);

impl Nonce {
    fn make(directory: &Path) -> Result<Self, DockerError> {
        let failed = |error: std::io::Error| DockerError::File {
            path: directory.display().to_string(),
            cause: error.to_string(),
        };
        let path = directory.canonicalize().map_err(failed)?.join(format!("self-{}", ulid::Ulid::new()));
        fs::write(&path, "").map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Nonce {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Docker and Podman each leave a mark.
fn inside_a_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

fn candidates() -> Vec<String> {
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
    found.sort();
    found.dedup();
    found
}
