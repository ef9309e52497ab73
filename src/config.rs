//! The program's settings from arguments and environment. Nothing else reads
//! the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::model::{secret::Secret, vault};

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
    /// Name of this server, shown on the page and on every backup; default: the host's name.
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
    /// What to log: a level, or `target=level` pairs.
    #[arg(long, env = "MONKEY_LOG", default_value = "info", global = true)]
    pub log: String,
    /// Time zone for the page, such as `Europe/Berlin`.
    #[arg(long, env = "TZ", default_value = "UTC", global = true)]
    pub time_zone: String,
    /// Docker engine: `unix:///path` or `tcp://host:port`; default: the usual socket.
    #[arg(long, env = "DOCKER_HOST", global = true)]
    pub docker_host: Option<String>,
    /// Minutes after which a console is closed in which nothing was typed; 0 = never.
    #[arg(long, env = "MONKEY_CONSOLE_IDLE_MINUTES", default_value_t = 30, global = true)]
    pub console_idle_minutes: u64,
    /// Seconds that a running job gets to end when the server stops.
    #[arg(long, env = "MONKEY_STOP_TIMEOUT", default_value_t = 60, global = true)]
    pub stop_timeout: u64,
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
        if let Some(port) = self.flask_port {
            self.listen.set_port(port);
        }
        self.zone()?;
        Ok(self)
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

    /// The local vault.
    pub fn local_vault(&self) -> vault::Location {
        vault::Location::Local { path: self.data.join("vault") }
    }
}

#[expect(clippy::disallowed_methods, reason = "here the environment is read")]
fn secret(variable: &'static str, file: Option<&PathBuf>) -> Result<Option<Secret>, ConfigError> {
    let direct = std::env::var(variable).ok().filter(|text| !text.is_empty());
    match (direct, file) {
        (Some(_), Some(_)) => Err(ConfigError::Both(variable)),
        (Some(text), None) => Ok(Some(Secret::new(text))),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
            .map_err(|source| ConfigError::SecretFile { variable, path: path.clone(), source }),
        (None, None) => Ok(None),
    }
}
