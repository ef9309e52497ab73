//! Messages to the world outside: HTTP through reqwest, e-mail through lettre. The only place that knows them.

mod address;
mod http;
mod mail;

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use tokio::{net::TcpStream, time::timeout};

use crate::model::{
    notice::{Kind, Notice},
    secret::Secret,
};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Where messages go.
pub struct Target {
    kind: Kind,
    /// Without what `Kind` says already.
    url: Url,
    /// What only the server may see, where it is not in `url`.
    token: Option<Secret>,
    /// From whom and to whom e-mail goes.
    mail: Option<mail::Addresses>,
}

/// A message with what is only known when it is sent.
#[derive(Debug)]
pub struct Message<'a> {
    /// The message.
    pub notice: &'a Notice,
    /// Name of this server.
    pub server: &'a str,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The page that tells more.
    pub link: Option<&'a str>,
}

impl Message<'_> {
    fn title(&self) -> String {
        format!("{}: {}", self.server, self.notice.title)
    }

    /// The text with the link.
    fn body(&self) -> String {
        match self.link {
            Some(link) => format!("{}\n\n{link}", self.notice.text),
            None => self.notice.text.clone(),
        }
    }
}

impl Target {
    /// How it is spoken to.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its address without what is secret of it.
    pub fn shown(&self) -> String {
        match &self.mail {
            Some(addresses) => addresses.shown(),
            None => format!("{}/••••", self.server()),
        }
    }

    /// Host and port.
    fn server(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether its server can be reached; else what to do, in a sentence.
    pub async fn reach(&self) -> Result<(), String> {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port =
            self.url.port_or_known_default().unwrap_or(if self.url.scheme() == "smtps" { 465 } else { 587 });
        let problem = match timeout(CONNECT, TcpStream::connect((host, port))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", CONNECT.as_secs()),
        };
        Err(format!("{host} can't be reached at port {port}: {problem}. Check the address."))
    }

    /// Sends it. Either way what the server said; nothing of it is secret.
    pub async fn send(&self, message: &Message<'_>) -> Result<String, String> {
        let sent = async {
            match &self.mail {
                Some(addresses) => mail::send(&self.url, addresses, message).await,
                None => http::send(self, message).await,
            }
        };
        let said = timeout(PATIENCE, sent).await;
        let said = said.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        let tell = |text: String| format!("{}: {}", self.server(), self.hide(text));
        said.map(tell).map_err(tell)
    }

    /// Servers like to repeat what they were asked.
    fn hide(&self, mut text: String) -> String {
        let path = self.url.path().split('/');
        let query: Vec<String> = self.url.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let parts = path.chain(query.iter().map(String::as_str)).chain(self.url.password());
        let parts = parts.chain(self.token.as_ref().map(Secret::reveal));
        for part in parts.filter(|part| part.len() >= 6) {
            text = text.replace(part, "••••");
        }
        text
    }
}
