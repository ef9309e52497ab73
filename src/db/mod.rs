//! SQLite through diesel: the pool, the migrations and the two verbs `read`
//! and `write`. The only place that knows diesel; queries stand in one file
//! per table.

pub mod audit;
pub mod backups;
pub mod runs;
mod schema;
pub mod settings;
pub mod users;

use std::{
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
    use super::*;

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
}
