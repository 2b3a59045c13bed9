//! What PostgreSQL says of its load: `pg_stat_statements` (with the columns of version 13 and later),
//! `pg_stat_activity` and the sizes of its tables.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::error::SqlState;

use super::super::top::{Known, MOST, Statement, Table, Top};
use super::failure;
use crate::store::StoreError;

const ABSENT: &str = "PostgreSQL counts statements in an extension that is not there. As a superuser:\n  \
    alter system set shared_preload_libraries = 'pg_stat_statements';   -- with what stands there already\n  \
    -- restart the server, then in this database:\n  \
    create extension pg_stat_statements;";
const NOT_LOADED: &str = "The extension is there, but the server did not load it when it started. As a superuser:\n  \
    alter system set shared_preload_libraries = 'pg_stat_statements';   -- with what stands there already\n  \
    -- and restart the server.";
const OLD: &str = "The extension has the columns of PostgreSQL 12. On PostgreSQL 13 or later, as its owner:\n  \
    alter extension pg_stat_statements update;";

/// Extensions may be in a schema that is not searched.
const EXTENSION: &str = "select quote_ident(nspname) from pg_extension \
    join pg_namespace on pg_namespace.oid = extnamespace where extname = 'pg_stat_statements'";
const CONNECTIONS: &str = "select coalesce(state, 'unknown'), count(*) from pg_stat_activity \
    where datname = current_database() and backend_type = 'client backend' group by 1 order by 2 desc, 1";
const TABLES: &str = "select relname::text, pg_table_size(c.oid), pg_indexes_size(c.oid), reltuples::bigint \
    from pg_class c join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'm') \
    and nspname <> 'information_schema' and nspname not like 'pg\\_%' \
    order by pg_total_relation_size(c.oid) desc, 1 limit $1";

pub(super) async fn look(client: &ClientWrapper) -> Result<Top, StoreError> {
    let failed = |error| failure::of_statement(&error);
    let statements = statements(client).await.map_err(failed)?;
    let connections = client.query_typed(CONNECTIONS, &[]).await.map_err(failed)?;
    let connections =
        connections.iter().map(|row| (row.get(0), count(row.get(1)))).collect::<Vec<_>>();
    let limit = (&(MOST as i64) as _, tokio_postgres::types::Type::INT8);
    let tables = client.query_typed(TABLES, &[limit]).await.map_err(failed)?;
    let table = |row: &tokio_postgres::Row| Table {
        name: row.get(0),
        table_bytes: count(row.get(1)),
        index_bytes: count(row.get(2)),
        // -1 or 0 until the table is analysed.
        rows: u64::try_from(row.get::<_, i64>(3)).ok().filter(|rows| *rows > 0),
    };
    Ok(Top {
        statements,
        connections: Known::Is(connections),
        tables: Known::Is(tables.iter().map(table).collect()),
    })
}

fn count(number: i64) -> u64 {
    number.max(0) as u64
}

async fn statements(
    client: &ClientWrapper,
) -> Result<Known<Vec<Statement>>, tokio_postgres::Error> {
    let found = client.query_typed(EXTENSION, &[]).await?;
    let Some(schema) = found.first().map(|row| row.get::<_, String>(0)) else {
        return Ok(Known::Not(ABSENT.into()));
    };
    let ask = format!(
        "select query, calls, mean_exec_time, max_exec_time, total_exec_time, rows \
         from {schema}.pg_stat_statements \
         where dbid = (select oid from pg_database where datname = current_database()) \
         order by mean_exec_time desc limit {MOST}"
    );
    let rows = match client.query_typed(&ask, &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            let state = error.code();
            return if state == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) {
                Ok(Known::Not(NOT_LOADED.into()))
            } else if state == Some(&SqlState::UNDEFINED_COLUMN) {
                Ok(Known::Not(OLD.into()))
            } else {
                Err(error)
            };
        }
    };
    let statement = |row: &tokio_postgres::Row| Statement {
        // Hidden from those who may not see it.
        text: row.get::<_, Option<String>>(0).unwrap_or_else(|| "<hidden>".into()),
        calls: count(row.get(1)),
        mean_ms: row.get(2),
        max_ms: row.get(3),
        total_ms: row.get(4),
        rows: count(row.get(5)),
    };
    Ok(Known::Is(rows.iter().map(statement).collect()))
}
