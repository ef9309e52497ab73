//! The program's settings from arguments and environment. Nothing else reads
//! the environment.

use std::{
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};
use sha2::{Digest, Sha256};

use crate::model::{
    engine::{EngineAddress, EngineTls},
    secret::Secret,
    vault::RoleSource,
};

/// Backup and recovery for Docker containers, with a page to manage them.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
pub struct Cli {
    /// What to do; without it the program serves its page.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings of the server.
    #[command(flatten)]
    pub config: Config,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the page (default).
    Serve,
    /// Do one job: reads a work order from standard input. Started by the server.
    #[command(hide = true)]
    Worker,
    /// Ask the running server whether it is well; exit code 0 means yes.
    Healthcheck,
    /// Give a user a new password, read from standard input.
    ResetPassword {
        /// The user.
        #[arg(default_value = "admin")]
        username: String,
    },
}

/// Settings of the server.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address and port to listen on.
    #[arg(long, env = "MONKEY_LISTEN", default_value = "127.0.0.1:1066", global = true)]
    pub listen: SocketAddr,
    /// Port to listen on, for people who come from the Flask application; changes only the port of `listen`.
    #[arg(long, env = "FLASK_PORT", hide = true, global = true)]
    pub flask_port: Option<u16>,
    /// Directory for settings, the local vault and temporary files.
    #[arg(long, env = "MONKEY_DATA", default_value = "./data", global = true)]
    pub data: PathBuf,
    /// Name of this server, shown on the page and on every backup; default: the host's name at the first start.
    #[arg(long, env = "MONKEY_SERVER_NAME", global = true)]
    pub server_name: Option<String>,
    /// Password of the first user; only used when the database is new. Twin: `MONKEY_ADMIN_PASSWORD_FILE`.
    #[arg(skip)]
    pub admin_password: Option<Secret>,
    /// File with the first user's password.
    #[arg(long, env = "MONKEY_ADMIN_PASSWORD_FILE", global = true)]
    pub admin_password_file: Option<PathBuf>,
    /// Password of the vault, instead of the one kept in `config/vault.key`. Twin: `MONKEY_VAULT_PASSWORD_FILE`.
    #[arg(skip)]
    pub vault_password: Option<Secret>,
    /// File with the vault's password.
    #[arg(long, env = "MONKEY_VAULT_PASSWORD_FILE", global = true)]
    pub vault_password_file: Option<PathBuf>,
    /// Addresses of proxies whose `X-Forwarded-*` headers are believed: networks in CIDR form, comma separated.
    #[arg(long, env = "MONKEY_TRUSTED_PROXIES", value_delimiter = ',', global = true)]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Address under which people reach the page, such as `https://monkey.example.org`.
    #[arg(long, env = "MONKEY_BASE_URL", global = true)]
    pub base_url: Option<String>,
    /// Whether to give figures to monitoring at `/metrics`; default: as the page's settings say.
    #[arg(long, env = "MONKEY_METRICS", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1,
        require_equals = true, default_missing_value = "true", global = true)]
    pub metrics: Option<bool>,
    /// Token that monitoring must send; without it nobody is asked for one. Twin: `MONKEY_METRICS_TOKEN_FILE`.
    #[arg(skip)]
    pub metrics_token: Option<Secret>,
    /// File with the token of monitoring.
    #[arg(long, env = "MONKEY_METRICS_TOKEN_FILE", global = true)]
    pub metrics_token_file: Option<PathBuf>,
    /// What to log: a level, or `target=level` pairs.
    #[arg(long, env = "MONKEY_LOG", default_value = "info", global = true)]
    pub log: String,
    /// Time zone for the page, such as `Europe/Berlin`.
    #[arg(long, env = "TZ", default_value = "UTC", global = true)]
    pub time_zone: String,
    /// Docker engine: `unix:///path` or `tcp://host:port`; default: the current Docker context's, else the usual socket.
    #[arg(long, env = "DOCKER_HOST", global = true)]
    pub docker_host: Option<String>,
    /// Anything but nothing: reach the engine with TLS, and let both sides prove who they are.
    #[arg(long, env = "DOCKER_TLS_VERIFY", default_value = "", hide_default_value = true, global = true)]
    pub docker_tls_verify: String,
    /// Directory with `ca.pem`, `cert.pem` and `key.pem` for an engine with TLS; default: `~/.docker`.
    #[arg(long, env = "DOCKER_CERT_PATH", global = true)]
    pub docker_cert_path: Option<PathBuf>,
    /// The engine that these settings name.
    #[arg(skip)]
    pub engine: EngineAddress,
    /// Minutes after which a console is closed in which nothing was typed; 0 = never.
    #[arg(long, env = "MONKEY_CONSOLE_IDLE_MINUTES", default_value_t = 30, global = true)]
    pub console_idle_minutes: u64,
    /// Seconds that a running job gets to end when the server stops; default: 60, in a container 5 less than its
    /// `--stop-timeout`.
    #[arg(long, env = "MONKEY_STOP_TIMEOUT", global = true)]
    pub stop_timeout: Option<u64>,
    /// The largest file that may be uploaded, such as `20GiB`; default: as large as the disk allows.
    #[arg(long, env = "MONKEY_UPLOAD_LIMIT", global = true)]
    pub upload_limit: Option<bytesize::ByteSize>,
    /// How much of the CPUs jobs get when others want them too; other containers and processes have 1024.
    #[arg(long, env = "MONKEY_JOB_CPU_WEIGHT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=262_144), global = true)]
    pub job_cpu_weight: u32,
    /// The same for the disks, of jobs in containers: 10 to 1000; default: what the engine gives to all.
    #[arg(long, env = "MONKEY_JOB_IO_WEIGHT", value_parser = clap::value_parser!(u16).range(10..=1000), global = true)]
    pub job_io_weight: Option<u16>,
    /// Who gives the keys of this machine's role; Amazon's own variables say it.
    #[arg(skip)]
    pub role: RoleSource,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A secret's file cannot be read.
    #[error("{variable} names the file {path}, which can't be read: {source}")]
    SecretFile {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Both twins are set.
    #[error("{0} and {0}_FILE are both set; keep one")]
    Both(&'static str),
    /// The Docker context that is chosen is not there.
    #[error("the Docker context “{0}” is chosen, but it can't be read; name the engine in DOCKER_HOST")]
    Context(String),
    /// The time zone is unknown.
    #[error("TZ names the time zone “{0}”, which is not known")]
    TimeZone(String),
}

impl Config {
    /// Reads secrets from the environment or their files, and settles what depends on other settings.
    /// Secrets are not arguments: arguments can be read by every user of the machine.
    pub fn complete(mut self) -> Result<Self, ConfigError> {
        self.admin_password = secret("MONKEY_ADMIN_PASSWORD", self.admin_password_file.as_ref())?;
        self.vault_password = secret("MONKEY_VAULT_PASSWORD", self.vault_password_file.as_ref())?;
        self.metrics_token = secret("MONKEY_METRICS_TOKEN", self.metrics_token_file.as_ref())?;
        if let Some(port) = self.flask_port {
            self.listen.set_port(port);
        }
        self.zone()?;
        self.engine = self.find_engine()?;
        self.role = role(variable);
        Ok(self)
    }

    /// The engine as the `docker` command would find it, contexts included.
    fn find_engine(&self) -> Result<EngineAddress, ConfigError> {
        let home = std::env::var_os("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
        let given = self.docker_host.clone().filter(|host| !host.is_empty());
        let context = variable("DOCKER_CONTEXT");
        let host = match (given, &home) {
            (None, Some(home)) => context_host(home, context)?,
            (given, _) => given,
        };
        if self.docker_tls_verify.is_empty() {
            return Ok(EngineAddress { host, tls: None });
        }
        let directory = self.docker_cert_path.clone().or(home).unwrap_or_default();
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).map_err(|source| ConfigError::SecretFile {
                variable: "DOCKER_CERT_PATH",
                path,
                source,
            })
        };
        let tls = EngineTls {
            authority: read("ca.pem")?,
            certificate: read("cert.pem")?,
            key: Secret::new(read("key.pem")?),
        };
        Ok(EngineAddress { host, tls: Some(tls) })
    }

    /// The time zone of the page.
    pub fn zone(&self) -> Result<chrono_tz::Tz, ConfigError> {
        let name = self.time_zone.trim_start_matches(':');
        name.parse().map_err(|_| ConfigError::TimeZone(name.to_owned()))
    }

    /// `<data>/config`.
    pub fn config_dir(&self) -> PathBuf {
        self.data.join("config")
    }

    /// `<data>/tmp`.
    pub fn tmp_dir(&self) -> PathBuf {
        self.data.join("tmp")
    }

    /// `<data>/uploads`.
    pub fn uploads_dir(&self) -> PathBuf {
        self.data.join("uploads")
    }

    /// `<data>/backups`, where the Flask application kept its archives.
    pub fn flask_backups(&self) -> PathBuf {
        self.data.join("backups")
    }

    /// `<data>/vault`.
    pub fn local_vault(&self) -> PathBuf {
        self.data.join("vault")
    }
}

/// The engine of the context that `docker context use` chose, if any: `config.json` names it, and a directory named
/// by the SHA-256 of its name holds it (docker/cli, cli/context/store).
fn context_host(home: &Path, chosen: Option<String>) -> Result<Option<String>, ConfigError> {
    let file = |path: &Path| -> Option<serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    };
    let current = || Some(file(&home.join("config.json"))?["currentContext"].as_str()?.to_owned());
    let Some(name) = chosen.or_else(current).filter(|name| !name.is_empty() && name != "default") else {
        return Ok(None);
    };
    let mut directory = String::new();
    for byte in Sha256::digest(name.as_bytes()) {
        let _ = write!(directory, "{byte:02x}");
    }
    let meta = file(&home.join("contexts/meta").join(directory).join("meta.json"));
    let host = meta.and_then(|meta| Some(meta["Endpoints"]["docker"]["Host"].as_str()?.to_owned()));
    host.map(Some).ok_or(ConfigError::Context(name))
}

/// A variable that is set to something.
#[expect(clippy::disallowed_methods, reason = "here the environment is read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// In the order in which Amazon's own programs look.
fn role(variable: impl Fn(&str) -> Option<String>) -> RoleSource {
    if let (Some(token_file), Some(role)) =
        (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN"))
    {
        let (session, endpoint) = (variable("AWS_ROLE_SESSION_NAME"), variable("AWS_ENDPOINT_URL_STS"));
        return RoleSource::WebIdentity { token_file, role, session, endpoint };
    }
    if let Some(path) = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        return RoleSource::Task { path: Secret::new(path) };
    }
    if let (Some(url), Some(token_file)) =
        (variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"), variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
    {
        return RoleSource::Pod { url, token_file };
    }
    RoleSource::Metadata { endpoint: variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") }
}

fn secret(variable: &'static str, file: Option<&PathBuf>) -> Result<Option<Secret>, ConfigError> {
    let direct = self::variable(variable);
    match (direct, file) {
        (Some(_), Some(_)) => Err(ConfigError::Both(variable)),
        (Some(text), None) => Ok(Some(Secret::new(text))),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
            .map_err(|source| ConfigError::SecretFile { variable, path: path.clone(), source }),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_who_gives_the_keys() {
        let with = |set: &[(&str, &str)]| {
            role(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(&[]), RoleSource::Metadata { endpoint: None });
        let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[fd00:ec2::254]");
        assert_eq!(with(&[metadata]), RoleSource::Metadata { endpoint: Some(metadata.1.to_owned()) });
        let task = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1");
        assert_eq!(with(&[metadata, task]), RoleSource::Task { path: Secret::new(task.1) });
        let url = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
        assert_eq!(with(&[url]), RoleSource::Metadata { endpoint: None }, "nothing to prove who we are");
        let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t");
        let pod = RoleSource::Pod { url: url.1.to_owned(), token_file: "/t".to_owned() };
        assert_eq!(with(&[url, token]), pod);
        let (file, role) = (("AWS_WEB_IDENTITY_TOKEN_FILE", "/w"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"));
        assert_eq!(with(&[file]), RoleSource::Metadata { endpoint: None }, "a token without a role");
        assert!(matches!(with(&[task, file, role]), RoleSource::WebIdentity { .. }));
    }
}
