//! SQLite through diesel: the pool, the migrations and the two verbs `read`
//! and `write`. The only place that knows diesel; queries stand in one file
//! per table.

pub mod audit;
pub mod backups;
pub mod channels;
pub mod deleted_backups;
pub mod marks;
pub mod notices;
mod place;
pub mod runs;
pub mod saved_settings;
pub mod schedule_runs;
pub mod schedules;
mod schema;
pub mod settings;
pub mod tokens;
pub mod users;

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    panic::resume_unwind,
    path::{Path, PathBuf},
    time::Duration,
};

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
pub use place::path_in;
use tokio::task::spawn_blocking;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// What goes wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A query failed.
    #[error("The database did not do what it was asked")]
    Query(#[from] diesel::result::Error),
    /// No connection.
    #[error("The database can't be opened")]
    Pool(#[from] diesel::r2d2::PoolError),
    /// Opening failed.
    #[error("The database {path} can't be opened: {cause}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The database was written by a later version.
    #[error(
        "The database {path} was written by a newer Container Monkey. Start that version, or use another data directory."
    )]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// A stored value is not what this version writes.
    #[error("The database holds a value this version does not understand: {0}")]
    Value(String),
    /// What was to be written is not wanted after all, so that nothing of it was.
    #[error("{0}")]
    Refused(String),
}

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<SqliteConnection>>,
}

#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        connection
            .batch_execute(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                 PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -1000;",
            )
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Db {
    /// Opens (or makes) the database and brings its tables up to date.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let open_error = |cause: String| DbError::Open { path: path.to_owned(), cause };
        let manager = ConnectionManager::new(path.to_string_lossy());
        let pool = Pool::builder()
            .max_size(4)
            .min_idle(Some(1))
            .connection_timeout(Duration::from_secs(10))
            .connection_customizer(Box::new(Pragmas))
            .build(manager)
            .map_err(|error| open_error(error.to_string()))?;
        let mut connection = pool.get().map_err(|error| open_error(error.to_string()))?;
        refuse_newer(&mut connection, path)?;
        keep_copy(&mut connection, path).map_err(open_error)?;
        connection.run_pending_migrations(MIGRATIONS).map_err(|error| open_error(error.to_string()))?;
        drop(connection);
        Ok(Self { pool })
    }

    /// Runs queries that only read.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut SqliteConnection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let pool = self.pool.clone();
        let task = spawn_blocking(move || query(&mut *pool.get()?));
        task.await.unwrap_or_else(|failed| resume_unwind(failed.into_panic()))
    }

    /// Runs queries that write, in one `BEGIN IMMEDIATE` transaction.
    pub async fn write<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut SqliteConnection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.read(|connection| connection.immediate_transaction(query)).await
    }
}

/// A connection inside a closure of [`Db::read`] or [`Db::write`].
pub type Connection = SqliteConnection;

fn refuse_newer(connection: &mut SqliteConnection, path: &Path) -> Result<(), DbError> {
    use diesel::migration::{Migration, MigrationSource};
    let cause = |error: Box<dyn std::error::Error + Send + Sync>| DbError::Open {
        path: path.to_owned(),
        cause: error.to_string(),
    };
    let known: Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>> = MIGRATIONS.migrations().map_err(cause)?;
    let applied = connection.applied_migrations().map_err(cause)?;
    let newest = known.iter().map(|migration| migration.name().version()).max();
    match (applied.first(), newest) {
        (Some(applied), Some(newest)) if *applied > newest => Err(DbError::Newer { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// Before the tables of an existing database change, a copy of it is kept beside it, named after the last
/// migration it has: `monkey.db.before-upgrade-from-<version>`. To go back, stop the program, put the copy in the place of
/// the database and start the older version.
fn keep_copy(connection: &mut SqliteConnection, path: &Path) -> Result<(), String> {
    let text = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
    let applied = connection.applied_migrations().map_err(text)?;
    let Some(newest) = applied.first() else { return Ok(()) };
    if !connection.has_pending_migration(MIGRATIONS).map_err(text)? {
        return Ok(());
    }
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".before-upgrade-from-{newest}"));
    let copy = PathBuf::from(copy);
    let mut part = copy.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let io = |error: std::io::Error| format!("its copy {} can't be made: {error}", copy.display());
    // SQLite writes only into a file that is empty; the file is there before, so that nobody else may read it.
    let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
    made.and_then(|file| file.sync_all()).map_err(io)?;
    diesel::sql_query("VACUUM INTO ?")
        .bind::<diesel::sql_types::Text, _>(part.to_string_lossy())
        .execute(connection)
        .map_err(|error| format!("its copy {} can't be made: {error}", copy.display()))?;
    fs::File::open(&part).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&part, &copy).map_err(io)?;
    tracing::info!(copy = %copy.display(), "kept a copy of the database before its tables change");
    Ok(())
}

/// A count of bytes, for a column.
fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970 → time.
fn time(milliseconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

/// Reads a JSON column.
fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Value(error.to_string()))
}

/// Writes a JSON column.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Value(error.to_string()))
}

/// Reads a word column.
fn word<T: std::str::FromStr>(text: &str) -> Result<T, DbError> {
    text.parse().map_err(|_| DbError::Value(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FIRST: &str = "20261124000000";

    #[test]
    fn migrations_go_up_down_and_up_again() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("test.db")).unwrap();
        let mut connection = db.pool.get().unwrap();
        connection.revert_all_migrations(MIGRATIONS).unwrap();
        connection.run_pending_migrations(MIGRATIONS).unwrap();
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let db = Db::open(&path).unwrap();
        let mut connection = db.pool.get().unwrap();
        connection
            .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')")
            .unwrap();
        assert!(matches!(Db::open(&path), Err(DbError::Newer { .. })));
    }

    #[test]
    fn a_copy_is_kept_before_the_tables_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let copies = || {
            let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().contains("before")).count()
        };
        let db = Db::open(&path).unwrap();
        let mut connection = db.pool.get().unwrap();
        settings::set(&mut connection, "server_name", Some("attic")).unwrap();
        drop((connection, db));
        // Opened again without a new migration: no copy.
        let db = Db::open(&path).unwrap();
        assert_eq!(copies(), 0);
        let mut connection = db.pool.get().unwrap();
        let newest = connection.applied_migrations().unwrap()[0].to_string();
        connection
            .batch_execute(&format!("DELETE FROM __diesel_schema_migrations WHERE version <> '{FIRST}'"))
            .unwrap();
        let copy = directory.path().join(format!("test.db.before-upgrade-from-{FIRST}"));
        if newest == FIRST {
            keep_copy(&mut connection, &path).unwrap();
            assert!(!copy.exists(), "nothing is pending");
            return;
        }
        keep_copy(&mut connection, &path).unwrap();
        let kept = Db { pool: Pool::new(ConnectionManager::new(copy.to_string_lossy())).unwrap() };
        let value = settings::get(&mut kept.pool.get().unwrap(), "server_name").unwrap();
        assert_eq!(value.as_deref(), Some("attic"));
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        // An earlier attempt is replaced.
        keep_copy(&mut connection, &path).unwrap();
    }
}
