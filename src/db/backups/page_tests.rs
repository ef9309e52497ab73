//! What SQLite answers is what the filter says.

use chrono::TimeDelta;

use super::{super::*, *};
use crate::{
    db::Db,
    model::{
        backup_list::Column,
        verify::{Damaged, Verified},
    },
};

fn open() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("test.db")).unwrap();
    (directory, db)
}

/// Number `n`, made `n` minutes after the first.
fn backup(n: u8, container: &str, change: impl FnOnce(&mut Backup)) -> Backup {
    let created = "2026-03-10T02:30:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(n.into());
    let mut backup = Backup::sample(format!("{n:02x}").repeat(32), container, created, State::Complete);
    change(&mut backup);
    backup
}

/// Of two servers, in two vaults, of all kinds.
fn some() -> Vec<Backup> {
    vec![
        backup(0, "web", |it| it.meta.image = "nginx:1.29".to_owned()),
        backup(1, "db", |it| {
            it.trigger = Trigger::Scheduled;
            it.size = 3000;
            it.stored_size = 100;
        }),
        backup(2, "web", |it| {
            it.meta.state = State::CompleteWithWarnings;
            it.storage = Storage::S3;
            it.size = 2000;
            it.stored_size = 200;
        }),
        backup(3, "Öl_100%", |it| it.server_name = "attic".to_owned()),
        backup(4, "web", |it| it.meta.state = State::Partial),
        backup(5, "backend", |it| it.meta.kind = Kind::Network),
        backup(6, "db", |it| it.trigger = Trigger::Safety),
    ]
}

async fn numbers(db: &Db, filter: Filter) -> (Vec<u64>, usize) {
    let page = db.read(move |c| page(c, &filter)).await.unwrap();
    let number = |backup: &Backup| u64::from_str_radix(&backup.id[..2], 16).unwrap();
    (page.backups.iter().map(number).collect(), page.total)
}

fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    change(&mut filter);
    filter
}

#[tokio::test]
async fn lists_are_filtered_searched_and_sorted() {
    let (_directory, db) = open();
    let found = Verified {
        backups: vec![some()[0].id.clone(), some()[1].id.clone()],
        damaged: vec![Damaged {
            backup: some()[1].id.clone(),
            filename: String::new(),
            files: vec!["/db/rows".to_owned()],
            more: 0,
        }],
        ..Verified::default()
    };
    db.write(move |c| {
        some().iter().try_for_each(|backup| upsert(c, backup))?;
        marks::verified(c, Storage::Local, &found, true, Utc::now())
    })
    .await
    .unwrap();
    let text = |text: &str| Some(text.to_owned());
    let expected: [(Filter, &[u64]); 21] = [
        (filter(|_| ()), &[6, 5, 4, 3, 2, 1, 0]),
        (filter(|it| it.kind = text("network")), &[5]),
        (filter(|it| it.backup_type = text("scheduled")), &[1]),
        (filter(|it| it.storage = text("s3")), &[2]),
        (filter(|it| it.server = text("attic")), &[3]),
        (filter(|it| it.container = text("web")), &[4, 2, 0]),
        (filter(|it| it.container = text("")), &[6, 5, 4, 3, 2, 1, 0]),
        (filter(|it| it.container = text("nobody")), &[]),
        (filter(|it| it.state = text("complete")), &[6, 5, 3, 0]),
        (filter(|it| it.state = text("damaged")), &[1]),
        (filter(|it| it.state = text("partial")), &[4]),
        (filter(|it| it.search = text("NGINX")), &[0]),
        (filter(|it| it.search = text(" web  with warnings")), &[2]),
        // Letters that are not English, and signs that mean something to databases.
        (filter(|it| it.search = text("öL_100%")), &[3]),
        (filter(|it| it.search = text("2026-03-10 02:35")), &[5]),
        (filter(|it| it.search = text("0404")), &[4]),
        (filter(|it| it.search = text("web attic")), &[]),
        (filter(|it| it.sort = text("name")), &[5, 6, 1, 4, 2, 0, 3]),
        (filter(|it| (it.sort, it.order) = (text("size"), text("desc"))), &[1, 2, 6, 5, 4, 3, 0]),
        (filter(|it| (it.sort, it.order) = (text("state"), text("asc"))), &[6, 5, 3, 0, 2, 1, 4]),
        (filter(|it| (it.sort, it.order) = (text("verified"), text("desc"))), &[1, 0, 6, 5, 4, 3, 2]),
    ];
    for (filter, expected) in expected {
        let found = numbers(&db, filter.clone()).await;
        assert_eq!(found, (expected.to_vec(), expected.len()), "{filter:?}");
    }
    let paged = filter(|it| (it.limit, it.offset) = (Some(2), Some(4)));
    assert_eq!(numbers(&db, paged).await, (vec![2, 1], 7));
    assert_eq!(numbers(&db, filter(|it| it.offset = Some(5))).await, (vec![1, 0], 7));
    assert_eq!(numbers(&db, filter(|it| it.offset = Some(50))).await, (vec![], 7));
    for (column, word) in [
        ("nonsense; DROP TABLE backups", Column::Created),
        ("storage", Column::Storage),
        ("type", Column::Type),
    ] {
        let filter = filter(|it| it.sort = text(column));
        assert_eq!(filter.column(), word);
        assert_eq!(numbers(&db, filter).await.1, 7);
    }
    let sums = db.read(sums).await.unwrap();
    assert_eq!((sums.count(), sums.size(), sums.stored_size()), (7, 5000, 300));
    assert_eq!(sums.servers(), ["attic", "nas"]);
    assert_eq!(sums.of(Storage::S3).size(), 2000);
}

#[tokio::test]
async fn a_search_finds_the_note_of_today_also_after_the_vault_is_listed_again() {
    let (_directory, db) = open();
    let mut noted = backup(1, "web", |it| it.meta.note = "Old words".to_owned());
    let id = noted.id.clone();
    let find = |word: &str| numbers(&db, filter(|it| it.search = Some(word.to_owned())));
    let row = noted.clone();
    db.write(move |c| upsert(c, &row)).await.unwrap();
    assert_eq!(find("old").await.1, 1);
    let marked = id.clone();
    db.write(move |c| marks::note(c, Storage::Local, &marked, "Before the Move")).await.unwrap();
    assert_eq!((find("before").await.1, find("old").await.1), (1, 0));
    noted.size = 7;
    let list = vec![noted.clone()];
    db.write(move |c| replace_all(c, Storage::Local, &[id], &list)).await.unwrap();
    assert_eq!((find("before").await.1, find("old").await.1), (1, 0));
    assert_eq!(db.read(sums).await.unwrap().size(), 7, "what has changed is taken over");
    db.write(move |c| upsert(c, &noted)).await.unwrap();
    assert_eq!((find("move").await.1, find("old").await.1), (1, 0));
}

#[tokio::test]
async fn the_newest_of_each_is_one_that_can_be_relied_on() {
    let (_directory, db) = open();
    db.write(|c| some().iter().try_for_each(|backup| upsert(c, backup))).await.unwrap();
    let newest = |kind, until: Option<DateTime<Utc>>| {
        let db = db.clone();
        async move {
            let found = db.read(move |c| newest(c, "nas", kind, until)).await.unwrap();
            let mut names: Vec<_> =
                found.into_iter().map(|it| (it.meta.container, it.storage, it.meta.state)).collect();
            names.sort_by(|a, b| a.0.cmp(&b.0));
            names
        }
    };
    let row = |name: &str, storage, state| (name.to_owned(), storage, state);
    let db_row = row("db", Storage::Local, State::Complete);
    let web_row = row("web", Storage::S3, State::CompleteWithWarnings);
    assert_eq!(newest(Kind::Container, None).await, [db_row.clone(), web_row]);
    assert_eq!(newest(Kind::Network, None).await, [row("backend", Storage::Local, State::Complete)]);
    let before = Some(some()[1].created);
    assert_eq!(newest(Kind::Container, before).await, [db_row, row("web", Storage::Local, State::Complete)]);
}

/// Backups that were listed before there were columns to search by are found like others.
#[tokio::test]
async fn the_migration_fills_the_columns() {
    use diesel::connection::SimpleConnection;
    let (_directory, db) = open();
    let written: Vec<Backup> = some();
    let (before, after) = db
        .write(move |c| {
            written.iter().try_for_each(|backup| upsert(c, backup))?;
            let rows = |c: &mut Connection| {
                backups::table
                    .order(backups::created)
                    .select((
                        backups::kind,
                        backups::triggered_by,
                        backups::state,
                        backups::size,
                        backups::search,
                    ))
                    .load::<(String, String, String, i64, String)>(c)
            };
            let before = rows(c)?;
            c.batch_execute(include_str!("../../../migrations/20261126034000_search_backups/down.sql"))?;
            c.batch_execute(include_str!("../../../migrations/20261126034000_search_backups/up.sql"))?;
            Ok((before, rows(c)?))
        })
        .await
        .unwrap();
    let ascii = |rows: Vec<(String, String, String, i64, String)>| {
        rows.into_iter()
            .map(|mut row| {
                row.4 = row.4.replace('Ö', "ö");
                row
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(ascii(after), before);
}
