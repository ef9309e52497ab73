//! Connections that stay open: pages that follow something, and consoles. Only so many at once, and none outlives the
//! sign-in that opened it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast},
    time::timeout,
};

/// So many at once.
pub const SEATS: usize = 100;

/// After this time a page that follows has to come again, and to show that it is still signed in: sign-ins and tokens
/// also end by themselves.
const LONGEST: Duration = Duration::from_hours(1);

/// Which sign-in has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// That of one browser.
    Session(String),
    /// All of a user; those that are still good come again.
    User(i64),
}

/// The seats, and the word that a sign-in has ended.
#[derive(Clone)]
pub struct Watchers {
    seats: Arc<Semaphore>,
    ended: broadcast::Sender<Ended>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { seats: Arc::new(Semaphore::new(SEATS)), ended: broadcast::Sender::new(16) }
    }
}

impl Watchers {
    /// A seat for somebody who is signed in, if one is free.
    pub fn sit(&self, session: Option<String>, user: i64) -> Option<Seat> {
        let permit = self.seats.clone().try_acquire_owned().ok()?;
        Some(Seat { session, user, ended: self.ended.subscribe(), _permit: permit })
    }

    /// Whether no seat is free.
    pub fn is_full(&self) -> bool {
        self.seats.available_permits() == 0
    }

    /// Ends what this sign-in has opened.
    pub fn end(&self, what: Ended) {
        // Nobody may be there.
        let _ = self.ended.send(what);
    }
}

/// A seat; free again when it is dropped.
#[derive(Debug)]
pub struct Seat {
    session: Option<String>,
    user: i64,
    ended: broadcast::Receiver<Ended>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// Returns when its sign-in has ended.
    pub async fn signed_out(&mut self) {
        loop {
            let own = match self.ended.recv().await {
                Ok(Ended::Session(session)) => self.session.as_ref() == Some(&session),
                Ok(Ended::User(user)) => self.user == user,
                // It may have been among those that were missed.
                Err(_) => true,
            };
            if own {
                return;
            }
        }
    }

    /// Returns when its sign-in has ended, or has to be looked at again.
    pub async fn over(mut self) {
        let _ = timeout(LONGEST, self.signed_out()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_seat_ends_with_its_own_sign_in_only() {
        let watchers = Watchers::default();
        let seat = |session: &str, user| watchers.sit(Some(session.to_owned()), user).unwrap();
        let (first, second, other) = (seat("a", 1), seat("b", 1), seat("c", 2));
        watchers.end(Ended::Session("a".to_owned()));
        first.over().await;
        watchers.end(Ended::User(1));
        second.over().await;
        assert!(timeout(Duration::from_millis(20), other.over()).await.is_err());
    }
}
