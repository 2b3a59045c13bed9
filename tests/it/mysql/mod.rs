//! MySQL and MariaDB, on a real MariaDB: what the other backends promise, and what is its own.

mod faults;
mod seeding;
mod start_up;
mod values;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::harness::{Database, MariaDb};

const DIRECT: &str = "{ kind = \"direct\", limit = 4 }";
const POOL: &str = "{ kind = \"pool\", size = 4 }";

/// One number past the service.
async fn number(conn: &mut Conn, sql: &str) -> u64 {
    let found: Option<u64> = conn.query_first(sql).await.expect(sql);
    found.expect("a count has a row")
}

/// A connection that may do everything to this database of the shared server.
async fn root(database: &Database) -> Conn {
    MariaDb::shared().root(database.name()).await
}
