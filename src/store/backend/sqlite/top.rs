//! What SQLite says of its load: the room that tables take. It is a file, so nobody counts the rest.

use rusqlite::Connection;

use super::super::top::{Known, MOST, Table, Top};

const STATEMENTS: &str = "SQLite counts no statements. The log has the time of each answer (duration_ms), and \
    Server-Timing where it went.";
const CONNECTIONS: &str = "SQLite is a file, and nobody knows who has it open. /stats has the connections of the service.";

const TABLES: &str = "select tbl_name, sum(pgsize * (type = 'table')), sum(pgsize * (type = 'index')) \
    from dbstat join sqlite_schema using (name) where aggregate = true \
    group by 1 order by sum(pgsize) desc, 1 limit ?";

pub(super) fn look(connection: &mut Connection) -> rusqlite::Result<Top> {
    let mut ask = connection.prepare(TABLES)?;
    let tables = ask.query_map([MOST as i64], |row| {
        let bytes = |column| row.get::<_, i64>(column).map(|bytes| bytes.max(0) as u64);
        Ok(Table { name: row.get(0)?, table_bytes: bytes(1)?, index_bytes: bytes(2)?, rows: None })
    })?;
    Ok(Top {
        statements: Known::Not(STATEMENTS.into()),
        connections: Known::Not(CONNECTIONS.into()),
        tables: Known::Is(tables.collect::<Result<_, _>>()?),
    })
}
