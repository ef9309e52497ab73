//! The engine's events, as they happen.

use bytes::{Buf, BytesMut};
use chrono::DateTime;
use futures::StreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use hyper::{Method, body::Incoming};
use serde_json::Value;

use super::{
    client::{Docker, QUICK},
    error::DockerError,
};
use crate::model::event::{Actor, Event};

/// The longest event that is read, bytes; all labels of a container are in it.
const EVENT: usize = 4 * 1024 * 1024;

/// An open stream of events. Dropping it ends it.
pub struct EventStream {
    body: BodyDataStream<Incoming>,
    unread: BytesMut,
}

impl Docker {
    /// All events from `since` (nanoseconds since 1970) on, then those that come. The engine itself
    /// remembers few: the last 256 or so.
    pub async fn events(&self, since: i64) -> Result<EventStream, DockerError> {
        let path = format!("/events?since={}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
        let answer = self.call(Method::GET, &path, None, QUICK).await?;
        Ok(EventStream { body: answer.into_body().into_data_stream(), unread: BytesMut::new() })
    }
}

impl EventStream {
    /// The next event; `None` = the engine ended the stream. May be given up and asked again.
    pub async fn next(&mut self) -> Result<Option<Event>, DockerError> {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    let read = values.byte_offset();
                    self.unread.advance(read);
                    if let Some(event) = event(&value) {
                        return Ok(Some(event));
                    }
                    continue;
                }
                Some(Err(error)) if !error.is_eof() => return Err(DockerError::Answer(error.to_string())),
                _ if self.unread.len() > EVENT => {
                    return Err(DockerError::Answer("an event is too long".to_owned()));
                }
                _ => {}
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.unread.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(DockerError::Answer(error.to_string())),
                None => return Ok(None),
            }
        }
    }
}

fn event(value: &Value) -> Option<Event> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, action) = (text(&value["Type"]), text(&value["Action"]));
    let actor = &value["Actor"];
    let (id, facts) = (text(&actor["ID"]), &actor["Attributes"]);
    // What follows a colon is a health state, or the command of an exec, which may hold secrets.
    let (action, state) = action.split_once(": ").unwrap_or((&action, ""));
    let detail = match (kind.as_str(), action) {
        ("container", "die") => format!("exit code {}", text(&facts["exitCode"])),
        ("container", "kill") => format!("signal {}", text(&facts["signal"])),
        ("container", "health_status") => state.to_owned(),
        // The engine tells the id only; whoever keeps the event may know the name.
        ("network", "connect" | "disconnect") => text(&facts["container"]),
        _ => String::new(),
    };
    let name = facts["name"].as_str().filter(|name| !name.is_empty()).unwrap_or(&id);
    Some(Event {
        time: DateTime::from_timestamp_nanos(value["timeNano"].as_i64()?),
        kind,
        action: action.to_owned(),
        actor: Actor { name: name.to_owned(), id },
        detail,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_of_execs_are_not_told() {
        let told = json!({
            "Type": "container", "Action": "exec_create: sh -c echo hunter2", "timeNano": 1_000_000_001_i64,
            "Actor": { "ID": "abc", "Attributes": { "name": "web", "secret.label": "hunter2" } },
        });
        let event = event(&told).unwrap();
        assert_eq!(
            (event.action.as_str(), event.actor.name.as_str(), event.nanos()),
            ("exec_create", "web", 1_000_000_001)
        );
        assert!(!format!("{event:?}").contains("hunter2"));
    }

    #[test]
    fn details_are_told_in_words() {
        let detail = |action: &str, facts: Value| {
            let told = json!({
                "Type": "container", "Action": action, "timeNano": 1,
                "Actor": { "ID": "abc", "Attributes": facts },
            });
            event(&told).unwrap().detail
        };
        assert_eq!(detail("die", json!({ "exitCode": "137" })), "exit code 137");
        assert_eq!(detail("health_status: unhealthy", json!({})), "unhealthy");
        assert_eq!(detail("start", json!({})), "");
        assert!(event(&json!({ "status": "old" })).is_none());
    }
}
