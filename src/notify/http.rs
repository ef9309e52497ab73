//! Messages over HTTP, each service's way.

use reqwest::{Client, RequestBuilder, Url, redirect::Policy};
use serde_json::{Value, json};

use super::{CONNECT, Message, PATIENCE, Target, address::topic};
use crate::model::{
    notice::{Event, Kind},
    progress::Level,
    secret::Secret,
};

/// The most of an answer that is repeated, bytes.
const HEARD: usize = 300;

/// The longest message that Discord takes, characters.
const DISCORD: usize = 1900;

pub(super) async fn send(target: &Target, message: &Message<'_>) -> Result<String, String> {
    crate::tls::set_up();
    // To follow a redirection would give the address' secrets to another server.
    let client =
        Client::builder().redirect(Policy::none()).connect_timeout(CONNECT).timeout(PATIENCE).build();
    let client = client.map_err(|error| crate::error::chain(&error.without_url()))?;
    let sent = request(&client, target, message).send().await;
    let mut answer = sent.map_err(|error| crate::error::chain(&error.without_url()))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(format!("answered {status}"));
    }
    let mut said = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        said.extend_from_slice(&chunk);
        if said.len() > HEARD {
            break;
        }
    }
    said.truncate(HEARD);
    let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    Err(if said.is_empty() { format!("answered {status}") } else { format!("answered {status}: {said}") })
}

fn request(client: &Client, target: &Target, message: &Message<'_>) -> RequestBuilder {
    let url = target.url.clone();
    match target.kind {
        Kind::Ntfy => client.post(parent(&url)).json(&ntfy(&url, message)),
        Kind::Gotify => {
            let token = target.token.as_ref().map_or("", Secret::reveal);
            client.post(url).header("X-Gotify-Key", token).json(&gotify(message))
        }
        Kind::Slack => client.post(url).json(&json!({ "text": slack(message) })),
        Kind::Discord => client.post(url).json(&json!({
            "content": text(message).chars().take(DISCORD).collect::<String>(),
            "allowed_mentions": { "parse": [] },
        })),
        Kind::Healthchecks => client.post(ping(url, message)).body(text(message)),
        Kind::Webhook | Kind::Email => client.post(url).json(&webhook(message)),
    }
}

fn text(message: &Message<'_>) -> String {
    format!("{}\n{}", message.title(), message.body())
}

fn slack(message: &Message<'_>) -> String {
    text(message).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// ntfy takes JSON where its topics are.
fn parent(url: &Url) -> Url {
    let mut url = url.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop().push("");
    }
    url
}

fn ntfy(url: &Url, message: &Message<'_>) -> Value {
    let (priority, tag) = match message.notice.level {
        Level::Info => (3, "white_check_mark"),
        Level::Warning => (4, "warning"),
        Level::Error => (5, "rotating_light"),
    };
    let mut body = json!({
        "topic": topic(url), "title": message.title(), "message": message.notice.text,
        "priority": priority, "tags": [tag],
    });
    if let Some(link) = message.link {
        body["click"] = json!(link);
    }
    body
}

fn gotify(message: &Message<'_>) -> Value {
    let priority = match message.notice.level {
        Level::Info => 2,
        Level::Warning => 5,
        Level::Error => 8,
    };
    let mut body = json!({ "title": message.title(), "message": message.body(), "priority": priority });
    if let Some(link) = message.link {
        body["extras"] = json!({ "client::notification": { "click": { "url": link } } });
    }
    body
}

fn webhook(message: &Message<'_>) -> Value {
    let notice = message.notice;
    json!({
        "event": notice.event, "level": notice.level, "server": message.server, "title": notice.title,
        "message": notice.text, "time": message.at.to_rfc3339(), "link": message.link, "facts": notice.facts,
    })
}

/// What a watchdog is told by the address: a beginning, a failure, a success, or only a line for its log.
fn ping(mut url: Url, message: &Message<'_>) -> Url {
    let word = match (message.notice.event, message.notice.level) {
        (Event::ScheduleStarted, _) => Some("start"),
        (Event::ScheduleEnded, Level::Error) => Some("fail"),
        (Event::ScheduleEnded, _) => None,
        _ => Some("log"),
    };
    if let (Some(word), Ok(mut parts)) = (word, url.path_segments_mut()) {
        parts.pop_if_empty().push(word);
    }
    url
}
