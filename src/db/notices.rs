//! Messages that have not arrived yet. They are written in the transaction that makes them true, so that each is
//! written exactly once, whatever dies when.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{
    Connection, DbError, channels, json,
    schema::{channels as channel_table, notices},
    time, to_json,
};
use crate::model::notice::Notice;

diesel::joinable!(notices -> channel_table (channel));
diesel::allow_tables_to_appear_in_same_query!(notices, channel_table);

/// The most that wait for one channel; then the oldest go.
const MOST: i64 = 500;

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its number.
    pub id: i64,
    /// Number of its channel.
    pub channel: i64,
    /// The channel's sealed address.
    pub address: String,
    /// When it was written.
    pub created: DateTime<Utc>,
    /// What it says.
    pub notice: Notice,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next: DateTime<Utc>,
}

/// Writes it for every channel that wants to hear it.
pub fn post(connection: &mut Connection, notice: &Notice, now: DateTime<Utc>) -> Result<(), DbError> {
    let text = to_json(notice)?;
    for channel in channels::all(connection)?.iter().filter(|channel| channel.wants(notice)) {
        diesel::insert_into(notices::table)
            .values((
                notices::channel.eq(channel.id),
                notices::created.eq(now.timestamp_millis()),
                notices::notice.eq(&text),
                notices::next.eq(now.timestamp_millis()),
            ))
            .execute(connection)?;
        let mine = notices::table.filter(notices::channel.eq(channel.id));
        let last: Option<i64> =
            mine.order(notices::id.desc()).offset(MOST).select(notices::id).first(connection).optional()?;
        if let Some(last) = last {
            diesel::delete(mine.filter(notices::id.le(last))).execute(connection)?;
        }
    }
    Ok(())
}

type Row = (i64, i64, i64, String, i64, i64, String);

/// The oldest message of each channel: they go out in the order in which things happened.
pub fn heads(connection: &mut Connection) -> Result<Vec<Waiting>, DbError> {
    let oldest: Vec<Option<i64>> =
        notices::table.group_by(notices::channel).select(diesel::dsl::min(notices::id)).load(connection)?;
    let oldest: Vec<i64> = oldest.into_iter().flatten().collect();
    let rows: Vec<Row> = notices::table
        .inner_join(channel_table::table)
        .filter(notices::id.eq_any(oldest))
        .select((
            notices::id,
            notices::channel,
            notices::created,
            notices::notice,
            notices::attempts,
            notices::next,
            channel_table::address,
        ))
        .load(connection)?;
    let waiting = |(id, channel, created, notice, attempts, next, address): Row| {
        Ok(Waiting {
            id,
            channel,
            address,
            created: time(created),
            notice: json(&notice)?,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            next: time(next),
        })
    };
    rows.into_iter().map(waiting).collect()
}

/// It has arrived, or is given up.
pub fn remove(connection: &mut Connection, id: i64) -> Result<(), DbError> {
    diesel::delete(notices::table.find(id)).execute(connection)?;
    Ok(())
}

/// It has not arrived and is tried again then.
pub fn again(connection: &mut Connection, id: i64, next: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(notices::table.find(id))
        .set((notices::attempts.eq(notices::attempts + 1), notices::next.eq(next.timestamp_millis())))
        .execute(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        db::Db,
        model::{
            notice::{Channel, Event, Kind, Wish},
            progress::Level,
        },
    };

    #[tokio::test]
    async fn messages_wait_in_order_and_not_without_bound() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("test.db")).unwrap();
        let done = db.write(|c| {
            let channel = Channel {
                id: 0,
                name: "phone".into(),
                kind: Kind::Ntfy,
                shown: String::new(),
                wish: Wish::Error,
                schedule: None,
                enabled: true,
                last: None,
                problem: None,
                waiting: 0,
            };
            let id = channels::insert(c, &channel, "sealed")?;
            let say = |text: String, level| Notice {
                event: Event::JobEnded,
                level,
                title: text,
                text: String::new(),
                path: String::new(),
                schedule: None,
                facts: serde_json::Value::Null,
            };
            let now = Utc::now();
            post(c, &say("went well".into(), Level::Info), now)?;
            assert!(heads(c)?.is_empty(), "only errors are wanted");
            for number in 0..MOST + 2 {
                post(c, &say(number.to_string(), Level::Error), now)?;
            }
            assert_eq!(channels::all(c)?[0].waiting, usize::try_from(MOST).unwrap());
            let head = heads(c)?.remove(0);
            assert_eq!(
                (head.notice.title.as_str(), head.address.as_str(), head.attempts),
                ("2", "sealed", 0)
            );
            again(c, head.id, now + chrono::TimeDelta::minutes(1))?;
            assert_eq!(heads(c)?[0].attempts, 1, "it stays the first");
            remove(c, head.id)?;
            assert_eq!(heads(c)?[0].notice.title, "3");
            channels::remove(c, id)?;
            assert!(heads(c)?.is_empty());
            Ok(())
        });
        done.await.unwrap();
    }
}
