//! Which container we run in. Candidates come from the host name and from
//! `/proc`; what each of them says can be wrong (a shared network shows another
//! container's name, cgroup v2 hides the id), so one counts only if the engine
//! sees in it a file that we just made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hyper::Method;
use serde_json::json;

use super::{
    client::{Docker, QUICK, escape},
    containers::HELPER,
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

    /// Whether paths that the engine names are files of the machine we run on. An engine behind a network address, or
    /// one that does not know the container we run in, may be another machine's, whose volumes can have the same
    /// paths as ours: so it makes a volume with a name that nobody else has, and we look for it.
    pub async fn shares_files(&self) -> Result<bool, DockerError> {
        if !self.is_remote() && !inside_a_container() {
            return Ok(true);
        }
        let name = format!("container-monkey-where-{}", ulid::Ulid::new()).to_lowercase();
        let volume = json!({ "Name": name, "Labels": { HELPER: "where" } });
        let made = self.post("/volumes/create", Some(&volume)).await?;
        let seen = made["Mountpoint"].as_str().map(|path| fs::symlink_metadata(path).is_ok());
        self.delete(&format!("/volumes/{name}")).await?;
        Ok(seen.unwrap_or(false))
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

/// Whether a host name is what the engine gives to a container that was given none: the start of an id.
pub fn is_short_id(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
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
        && is_short_id(name)
    {
        found.push(name.to_owned());
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;
    use crate::model::engine::EngineAddress;

    /// An engine that keeps its volumes in `mountpoint`; tells what it was asked.
    fn engine(mountpoint: &str) -> (Docker, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::channel();
        let volume = json!({ "Mountpoint": mountpoint }).to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut first).unwrap();
                while reader.read_line(&mut line).unwrap() > 2 {
                    let lower = line.to_lowercase();
                    length = lower
                        .strip_prefix("content-length:")
                        .map_or(length, |text| text.trim().parse().unwrap());
                    line.clear();
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let body = if first.contains("/version") { "{\"ApiVersion\":\"1.41\"}" } else { &volume };
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).unwrap();
                let _ = sender.send(first.split(" HTTP").next().unwrap_or_default().to_owned());
            }
        });
        (Docker::new(&EngineAddress { host: Some(host), tls: None }, None).unwrap(), asked)
    }

    #[tokio::test]
    async fn an_engine_whose_volumes_are_not_here_is_on_another_machine() {
        let here = tempfile::tempdir().unwrap();
        let (docker, asked) = engine(here.path().to_str().unwrap());
        assert!(docker.shares_files().await.unwrap());
        let asked: Vec<String> = asked.try_iter().collect();
        assert_eq!(asked[1], "POST /v1.41/volumes/create");
        assert!(asked[2].starts_with("DELETE /v1.41/volumes/container-monkey-where-"), "{asked:?}");
        let (docker, _asked) = engine("/var/lib/docker/volumes/nowhere/_data");
        assert!(!docker.shares_files().await.unwrap());
    }
}
