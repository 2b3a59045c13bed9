//! What MySQL and MariaDB say of their load: `performance_schema`, the list of processes and the sizes
//! of tables.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::super::top::{Known, MOST, Statement, Table, Top};
use super::statement_error;
use crate::store::StoreError;

const OFF: &str = "The server counts statements in performance_schema, which is off. In its configuration file:\n  \
    [mysqld]\n  \
    performance_schema = ON\n  \
    performance_schema_instrument = 'statement/%=ON'\n  \
    performance_schema_consumer_statements_digest = ON\n\
    and restart it.";
const REFUSED: &str = "This user may not read performance_schema. As an administrator:\n  \
    grant select on performance_schema.* to USER;   -- the one of database.url";
const NOTHING: &str = "Nothing was counted for this database yet. If that stays so, as an administrator:\n  \
    update performance_schema.setup_instruments set enabled = 'YES', timed = 'YES' where name like 'statement/%';\n  \
    update performance_schema.setup_consumers set enabled = 'YES' where name = 'statements_digest';";

/// ER_TABLEACCESS_DENIED_ERROR and ER_DBACCESS_DENIED_ERROR.
const DENIED: [u16; 2] = [1142, 1044];

/// Without the privilege PROCESS, the connections of our own user.
const CONNECTIONS: &str = "select lower(command), count(*) from information_schema.processlist \
    where db = database() group by 1 order by 2 desc, 1";
const TABLES: &str = "select table_name, coalesce(data_length, 0), coalesce(index_length, 0), table_rows \
    from information_schema.tables where table_schema = database() and table_type = 'BASE TABLE' \
    order by coalesce(data_length, 0) + coalesce(index_length, 0) desc, 1 limit 10";

pub(super) async fn look(conn: &mut Conn) -> Result<Top, StoreError> {
    let run = async {
        let statements = statements(conn).await?;
        let connections: Vec<(String, u64)> = conn.query(CONNECTIONS).await?;
        let tables: Vec<(String, u64, u64, Option<u64>)> = conn.query(TABLES).await?;
        let table =
            |(name, table_bytes, index_bytes, rows)| Table { name, table_bytes, index_bytes, rows };
        Ok(Top {
            statements,
            connections: Known::Is(connections),
            tables: Known::Is(tables.into_iter().map(table).collect()),
        })
    };
    run.await.map_err(|error: Error| statement_error(&error))
}

async fn statements(conn: &mut Conn) -> Result<Known<Vec<Statement>>, Error> {
    let on: Option<u8> = conn.query_first("select @@performance_schema").await?;
    if on != Some(1) {
        return Ok(Known::Not(OFF.into()));
    }
    // Times are in picoseconds.
    let ask = format!(
        "select digest_text, count_star, avg_timer_wait / 1e9, max_timer_wait / 1e9, \
         sum_timer_wait / 1e9, sum_rows_sent + sum_rows_affected \
         from performance_schema.events_statements_summary_by_digest \
         where schema_name = database() and digest_text is not null \
         order by avg_timer_wait desc limit {MOST}"
    );
    let found: Vec<(String, u64, f64, f64, f64, u64)> = match conn.query(ask).await {
        Ok(found) => found,
        Err(Error::Server(error)) if DENIED.contains(&error.code) => {
            return Ok(Known::Not(REFUSED.into()));
        }
        Err(error) => return Err(error),
    };
    if found.is_empty() {
        return Ok(Known::Not(NOTHING.into()));
    }
    let statement = |(text, calls, mean_ms, max_ms, total_ms, rows)| Statement {
        text,
        calls,
        mean_ms,
        max_ms,
        total_ms,
        rows,
    };
    Ok(Known::Is(found.into_iter().map(statement).collect()))
}
