//! Notices: what is told outside of the page, and to whom.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{backup::words, names::ScheduleId, progress::Level};

/// How a channel's server wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any address that takes JSON.
    Webhook,
    /// A topic of ntfy.
    Ntfy,
    /// An application of Gotify.
    Gotify,
    /// An incoming webhook of Slack or one that is like it.
    Slack,
    /// A webhook of Discord.
    Discord,
    /// E-mail.
    Email,
    /// A watchdog that gives alarm when it hears nothing.
    Healthchecks,
}

impl Kind {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Webhook => "Webhook",
            Self::Ntfy => "ntfy",
            Self::Gotify => "Gotify",
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Email => "E-mail",
            Self::Healthchecks => "Healthchecks",
        }
    }
}

/// How much a channel wants to hear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// What failed.
    #[default]
    Error,
    /// Also what ended with warnings.
    Warning,
    /// Also what went well.
    All,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its number.
    pub id: i64,
    /// What the user calls it.
    pub name: String,
    /// How it is spoken to.
    pub kind: Kind,
    /// Its address without what is secret of it.
    pub shown: String,
    /// How much it wants to hear.
    pub wish: Wish,
    /// Only about this schedule; `None` = about everything.
    pub schedule: Option<ScheduleId>,
    /// Whether it is told at all.
    pub enabled: bool,
    /// When the last message was tried.
    pub last: Option<DateTime<Utc>>,
    /// Why that one did not arrive.
    pub problem: Option<String>,
    /// Messages that wait.
    pub waiting: usize,
}

impl Channel {
    /// Whether it is told this.
    pub fn wants(&self, notice: &Notice) -> bool {
        let about = self.schedule.is_none() || self.schedule == notice.schedule;
        let heard = match (self.kind, notice.event) {
            // A watchdog hears all of a schedule: it is silence that alarms it.
            (Kind::Healthchecks, event) => matches!(event, Event::ScheduleStarted | Event::ScheduleEnded),
            (_, Event::ScheduleStarted) => false,
            _ => match self.wish {
                Wish::All => true,
                Wish::Warning => notice.level != Level::Info,
                Wish::Error => notice.level == Level::Error,
            },
        };
        self.enabled && about && heard
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody tries the channel.
    Test,
    /// A job that no schedule asked for has ended.
    JobEnded,
    /// A schedule begins.
    ScheduleStarted,
    /// All backups of a schedule have ended.
    ScheduleEnded,
    /// Something is not as it should be, though no job says so.
    Warning,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What has happened.
    pub event: Event,
    /// How bad it is.
    pub level: Level,
    /// In a few words.
    pub title: String,
    /// In full.
    pub text: String,
    /// Where the page tells more.
    pub path: String,
    /// The schedule it is about.
    pub schedule: Option<ScheduleId>,
    /// For programs.
    pub facts: serde_json::Value,
}

words!(Kind {
    Webhook => "webhook",
    Ntfy => "ntfy",
    Gotify => "gotify",
    Slack => "slack",
    Discord => "discord",
    Email => "email",
    Healthchecks => "healthchecks",
});
words!(Wish { Error => "error", Warning => "warning", All => "all" });
words!(Event {
    Test => "test",
    JobEnded => "job_ended",
    ScheduleStarted => "schedule_started",
    ScheduleEnded => "schedule_ended",
    Warning => "warning",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_hears_what_it_wants_and_a_watchdog_all_of_a_schedule() {
        let mine = ScheduleId::generate();
        let channel = |kind, wish| Channel {
            id: 1,
            name: "a".into(),
            kind,
            shown: String::new(),
            wish,
            schedule: Some(mine.clone()),
            enabled: true,
            last: None,
            problem: None,
            waiting: 0,
        };
        let notice = |event, level| Notice {
            event,
            level,
            title: String::new(),
            text: String::new(),
            path: String::new(),
            schedule: Some(mine.clone()),
            facts: serde_json::Value::Null,
        };
        let hears = |channel: &Channel| {
            [
                (Event::ScheduleStarted, Level::Info),
                (Event::ScheduleEnded, Level::Info),
                (Event::ScheduleEnded, Level::Warning),
                (Event::JobEnded, Level::Error),
            ]
            .map(|(event, level)| channel.wants(&notice(event, level)))
        };
        assert_eq!(hears(&channel(Kind::Ntfy, Wish::Error)), [false, false, false, true]);
        assert_eq!(hears(&channel(Kind::Ntfy, Wish::Warning)), [false, false, true, true]);
        assert_eq!(hears(&channel(Kind::Ntfy, Wish::All)), [false, true, true, true]);
        assert_eq!(hears(&channel(Kind::Healthchecks, Wish::Error)), [true, true, true, false]);
        let other = Channel { schedule: Some(ScheduleId::generate()), ..channel(Kind::Ntfy, Wish::All) };
        assert_eq!(hears(&other), [false; 4]);
        assert_eq!(hears(&Channel { enabled: false, ..channel(Kind::Ntfy, Wish::All) }), [false; 4]);
    }
}
