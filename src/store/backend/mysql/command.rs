//! Statements of fixed texts, run to their end.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::{Boundary, Command, Datum, Done, Kind};
use super::connection::{MysqlConnection, params};
use super::decode;
use crate::rows::Failed;
use crate::store::{ErrorKind, StoreError};

/// What becomes of a statement, and whether rows could be read.
type Answer = mysql_async::Result<Result<Done, StoreError>>;

impl MysqlConnection {
    /// Runs `command`, which has this text.
    pub(super) async fn execute(
        &self,
        text: &str,
        command: &Command<'_>,
    ) -> Result<Done, Failed<StoreError>> {
        self.with(async |conn: &mut Conn| run(conn, text, command).await).await
    }

    pub(super) async fn end(&self, boundary: Boundary) -> Result<(), Failed<StoreError>> {
        let text = boundary.text("begin");
        self.with(async |conn: &mut Conn| Ok(Ok(conn.query_drop(text).await?))).await
    }
}

async fn run(conn: &mut Conn, text: &str, command: &Command<'_>) -> Answer {
    let statement = conn.prep(text).await?;
    let mut result = conn.exec_iter(&statement, params(command.binds)).await?;
    let rows: Vec<Row> = result.collect().await?;
    let affected = result.affected_rows();
    drop(result);
    let rows: Result<_, _> = rows.iter().map(|row| read(row, command)).collect();
    Ok(rows.map(|rows| Done { affected, rows }))
}

fn read(row: &Row, command: &Command<'_>) -> Result<Vec<Datum>, StoreError> {
    let read = |(index, kind): (usize, &Kind)| {
        decode::datum(row, index, *kind).ok_or_else(|| {
            let name = command.name;
            let detail = format_args!("column {} of {name} cannot be read as {kind:?}", index + 1);
            StoreError::new(ErrorKind::NotPrepared, detail)
        })
    };
    command.columns.iter().enumerate().map(read).collect()
}
