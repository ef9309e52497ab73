//! API tokens: what scripts sign in with.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{backup::words, secret::Secret};

/// How every token begins, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "cmk_";

/// What a token may do; each also may what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See lists, states, statistics.
    Read,
    /// Also back up, start and stop, read logs.
    Operate,
    /// Everything its user may.
    Admin,
}

words!(Scope { Read => "read", Operate => "operate", Admin => "admin" });

/// A token. What it is itself is not kept anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// What its owner called it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The user it acts for.
    pub user_id: i64,
    /// Name of that user.
    pub user: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// From when on it is refused; `None` = never.
    pub expires: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used: Option<DateTime<Utc>>,
}

impl Token {
    /// Whether its time is over.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What is kept of a token. One round of SHA-256 is right here, unlike for passwords: a token is 256 random bits, so
/// there is nothing to guess, and it is checked with every request.
pub fn fingerprint(token: &Secret) -> String {
    use std::fmt::Write;
    Sha256::digest(token.reveal()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_each_other() {
        assert!(Scope::Read < Scope::Operate && Scope::Operate < Scope::Admin);
    }

    #[test]
    fn a_token_ends_at_its_time() {
        let now = Utc::now();
        let mut token = Token {
            id: 1,
            name: String::new(),
            scope: Scope::Read,
            user_id: 1,
            user: String::new(),
            created: now,
            expires: None,
            last_used: None,
        };
        assert!(!token.is_expired(now));
        token.expires = Some(now);
        assert!(token.is_expired(now));
        assert!(!token.is_expired(now - chrono::Duration::milliseconds(1)));
    }
}
