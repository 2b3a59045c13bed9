//! Rows on their way into a table: as `LOAD DATA` takes them, or in statements of many rows where the
//! server does not allow that.

use std::io::Write;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::sync::mpsc;

use super::super::{OnProgress, ProductFeed};
use super::datetime::DateTime;
use crate::rows::Cell;

/// Bytes of rows sent to the server at a time.
const CHUNK: usize = 256 * 1024;
/// Room for the row that fills a chunk.
const LARGEST_ROW: usize = 4096;
/// Chunks that wait for the server.
const CHUNKS: usize = 4;
const COLUMNS: &str = "(id, sku, name, category, price, stock, created_at, updated_at)";

/// How a value is written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Fields between tabs, rows between line ends.
    Lines,
    /// Literals of SQL.
    Literals,
}

/// Loads every row of `feed` into `table`; returns how many were sent and how many arrived whole.
pub(super) async fn load(
    conn: &mut Conn,
    table: &str,
    feed: &mut dyn ProductFeed,
    on_progress: OnProgress<'_>,
) -> Result<(u64, u64), Error> {
    let allowed: Option<bool> = conn.query_first("select @@local_infile").await?;
    match allowed {
        Some(true) => load_data(conn, table, feed, on_progress).await,
        _ => insert(conn, table, feed, on_progress).await,
    }
}

async fn load_data(
    conn: &mut Conn,
    table: &str,
    feed: &mut dyn ProductFeed,
    on_progress: OnProgress<'_>,
) -> Result<(u64, u64), Error> {
    let (sender, mut chunks) = mpsc::channel::<Bytes>(CHUNKS);
    conn.set_infile_handler(async move {
        Ok(stream::poll_fn(move |cx| chunks.poll_recv(cx).map(|chunk| chunk.map(Ok))).boxed())
    });
    let text = format!(
        "load data local infile 'products' into table {table} character set utf8mb4 \
         fields terminated by '\\t' escaped by '\\\\' lines terminated by '\\n' {COLUMNS}"
    );
    let feeding = async {
        let (mut rows, mut chunk) = (0, Vec::with_capacity(CHUNK + LARGEST_ROW));
        while let Some(row) = feed.next_row() {
            put_row(&mut chunk, &row, Form::Lines);
            rows += 1;
            if chunk.len() >= CHUNK {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK + LARGEST_ROW));
                if sender.send(full.into()).await.is_err() {
                    break;
                }
                on_progress(rows);
            }
        }
        let _ = sender.send(chunk.into()).await;
        drop(sender);
        rows
    };
    let rows = {
        let loading = std::pin::pin!(conn.query_drop(text));
        match select(loading, std::pin::pin!(feeding)).await {
            // It failed before it had asked for all rows.
            Either::Left((loaded, _)) => {
                loaded?;
                0
            }
            Either::Right((rows, loading)) => {
                loading.await?;
                rows
            }
        }
    };
    on_progress(rows);
    // LOCAL turns what is wrong with a value into a warning.
    let whole = if conn.get_warnings() == 0 { conn.affected_rows() } else { 0 };
    Ok((rows, whole))
}

async fn insert(
    conn: &mut Conn,
    table: &str,
    feed: &mut dyn ProductFeed,
    on_progress: OnProgress<'_>,
) -> Result<(u64, u64), Error> {
    let packet: Option<usize> = conn.query_first("select @@max_allowed_packet").await?;
    let most = packet.unwrap_or(CHUNK).saturating_sub(LARGEST_ROW).min(CHUNK);
    let head = format!("insert into {table} {COLUMNS} values ");
    let (mut rows, mut whole) = (0, 0);
    let mut text = head.clone().into_bytes();
    conn.query_drop("start transaction").await?;
    loop {
        let mut is_last = true;
        while let Some(row) = feed.next_row() {
            text.extend_from_slice(if text.len() == head.len() { b"(" } else { b", (" });
            put_row(&mut text, &row, Form::Literals);
            text.push(b')');
            rows += 1;
            if text.len() >= most {
                is_last = false;
                break;
            }
        }
        if text.len() > head.len() {
            let full = std::mem::replace(&mut text, head.clone().into_bytes());
            conn.query_drop(full).await?;
            whole += conn.affected_rows();
            on_progress(rows);
        }
        if is_last {
            conn.query_drop("commit").await?;
            return Ok((rows, whole));
        }
    }
}

fn put_row(out: &mut Vec<u8>, row: &[Cell<'_>], form: Form) {
    for (index, cell) in row.iter().enumerate() {
        if index > 0 {
            out.push(if form == Form::Lines { b'\t' } else { b',' });
        }
        put_cell(out, *cell, form);
    }
    if form == Form::Lines {
        out.push(b'\n');
    }
}

fn put_cell(out: &mut Vec<u8>, cell: Cell<'_>, form: Form) {
    let quote: &[u8] = if form == Form::Literals { b"'" } else { b"" };
    match cell {
        Cell::Null if form == Form::Lines => out.extend_from_slice(b"\\N"),
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Bool(value) => put(out, format_args!("{}", u8::from(value))),
        Cell::Int(value) => put(out, format_args!("{value}")),
        Cell::Text(text) => put_text(out, text.as_bytes(), quote),
        Cell::Unchecked(text) => put_text(out, text, quote),
        Cell::Decimal { unscaled, scale } => {
            let one = 10u64.pow(u32::from(scale));
            let (sign, digits) = (if unscaled < 0 { "-" } else { "" }, unscaled.unsigned_abs());
            let (whole, fraction, width) = (digits / one, digits % one, usize::from(scale));
            put(out, format_args!("{sign}{whole}.{fraction:0width$}"));
        }
        Cell::Timestamp(micros) => {
            let DateTime { year, month, day, hour, minute, second, micros } =
                DateTime::of_micros(micros);
            out.extend_from_slice(quote);
            put(
                out,
                format_args!(
                    "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"
                ),
            );
            out.extend_from_slice(quote);
        }
    }
}

fn put(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a Vec cannot fail");
}

/// The same escapes in both forms.
fn put_text(out: &mut Vec<u8>, text: &[u8], quote: &[u8]) {
    out.extend_from_slice(quote);
    for byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\'' => out.extend_from_slice(b"\\'"),
            0 => out.extend_from_slice(b"\\0"),
            byte => out.push(*byte),
        }
    }
    out.extend_from_slice(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[Cell<'_>], form: Form) -> String {
        let mut out = Vec::new();
        put_row(&mut out, cells, form);
        String::from_utf8(out).expect("what was text stays text")
    }

    #[test]
    fn values_are_escaped_and_exact() {
        let cells = [
            Cell::Null,
            Cell::Int(-7),
            Cell::Text("a\tb\nc\\d'e\0"),
            Cell::Decimal { unscaled: -5, scale: 2 },
            Cell::Timestamp(-1),
        ];
        assert_eq!(
            written(&cells, Form::Lines),
            "\\N\t-7\ta\\tb\\nc\\\\d\\'e\\0\t-0.05\t1969-12-31 23:59:59.999999\n"
        );
        assert_eq!(
            written(&cells, Form::Literals),
            "null,-7,'a\\tb\\nc\\\\d\\'e\\0',-0.05,'1969-12-31 23:59:59.999999'"
        );
    }
}
