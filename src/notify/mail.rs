//! E-mail.

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use reqwest::Url;

use super::{CONNECT, Message};
use crate::error::chain;

/// From whom, and to whom.
pub(super) struct Addresses {
    from: Address,
    to: Vec<Address>,
}

impl Addresses {
    /// `to` may be several, with commas between them.
    pub(super) fn parse(from: &str, to: &str) -> Result<Self, String> {
        let address = |text: &str| {
            text.trim()
                .parse::<Address>()
                .map_err(|_| "In “from” and “to” stand e-mail addresses, such as you@example.org.".to_owned())
        };
        let to = to
            .split(',')
            .filter(|text| !text.trim().is_empty())
            .map(address)
            .collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err("The address names nobody who gets the mail.".to_owned());
        }
        Ok(Self { from: address(from)?, to })
    }

    pub(super) fn shown(&self) -> String {
        self.to.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
    }
}

pub(super) async fn send(url: &Url, addresses: &Addresses, message: &Message<'_>) -> Result<String, String> {
    let mut mail = Mail::builder()
        .from(Mailbox::new(Some("Container Monkey".to_owned()), addresses.from.clone()))
        .subject(message.title().split_whitespace().collect::<Vec<_>>().join(" "))
        .date(message.at.into())
        .header(ContentType::TEXT_PLAIN);
    for to in &addresses.to {
        mail = mail.to(Mailbox::new(None, to.clone()));
    }
    let mail = mail.body(message.body()).map_err(|error| chain(&error))?;
    let server =
        AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|error| chain(&error))?;
    let server = server.timeout(Some(CONNECT)).build();
    let answer = server.send(mail).await.map_err(|error| chain(&error))?;
    Ok(format!("took it ({})", answer.code()))
}
