//! Which file is the database. The Flask application of the same name kept its own as `config/monkey.db` in the same
//! directory: where that is, it is left alone and ours has another name beside it.

use std::path::{Path, PathBuf};

use diesel::prelude::*;

use super::DbError;

/// The usual name.
const NAME: &str = "monkey.db";

/// The name beside the Flask application's.
const BESIDE: &str = "container-monkey.db";

/// Tables of the Flask application; ours have other names.
const THEIRS: [&str; 3] = ["audit_logs", "backup_schedules", "ui_settings"];

/// Our database in this directory, which may not be there yet.
pub fn path_in(directory: &Path) -> Result<PathBuf, DbError> {
    let usual = directory.join(NAME);
    Ok(if is_theirs(&usual)? { directory.join(BESIDE) } else { usual })
}

/// Whether this is the Flask application's database. Looks at it without writing anything, not even a lock.
fn is_theirs(path: &Path) -> Result<bool, DbError> {
    if !path.exists() {
        return Ok(false);
    }
    let mut url = "file:".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'?' => url.push_str("%3f"),
            b'#' => url.push_str("%23"),
            b'%' => url.push_str("%25"),
            _ => url.push(char::from(byte)),
        }
    }
    url.push_str("?mode=ro&immutable=1");
    let failed = |cause: String| DbError::Open { path: path.to_owned(), cause };
    let mut connection = SqliteConnection::establish(&url).map_err(|error| failed(error.to_string()))?;
    let mut has = |name: &str| -> Result<bool, DbError> {
        let count = diesel::sql_query(
            "SELECT count(*) AS count FROM sqlite_master WHERE type = 'table' AND name = ?",
        )
        .bind::<diesel::sql_types::Text, _>(name)
        .get_result::<Count>(&mut connection)
        .map_err(|error| failed(error.to_string()))?;
        Ok(count.count > 0)
    };
    for table in THEIRS {
        if has(table)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::db::Db;

    #[test]
    fn the_flask_applications_database_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("50% sure? #1");
        std::fs::create_dir(&odd).unwrap();
        assert_eq!(path_in(&odd).unwrap(), odd.join(NAME), "nothing is there");
        let theirs = odd.join(NAME);
        let mut connection = SqliteConnection::establish(&theirs.to_string_lossy()).unwrap();
        connection
            .batch_execute(
                "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE, password_hash TEXT);
                 CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp TEXT);",
            )
            .unwrap();
        drop(connection);
        let before = std::fs::read(&theirs).unwrap();
        let ours = path_in(&odd).unwrap();
        assert_eq!(ours, odd.join(BESIDE));
        Db::open(&ours).unwrap();
        assert_eq!(std::fs::read(&theirs).unwrap(), before);
        assert_eq!(path_in(&odd).unwrap(), ours, "and so at the next start");
    }

    #[test]
    fn our_own_database_keeps_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path()).unwrap();
        Db::open(&path).unwrap();
        assert_eq!(path_in(directory.path()).unwrap(), path);
    }
}
