//! `poolwise db`: what the databases say of themselves, and their tables.

use std::fmt::Write;

use clap::Subcommand;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::{Failure, Files, load, runtime};
use crate::store::Backends;
use crate::store::backend::top::{Known, Statement, Top};
use crate::store::plugin::Plugins;

#[derive(Debug, Subcommand)]
pub(super) enum Db {
    /// The slowest statements, who is connected, and what takes room
    Top(Files),
    /// Adds the tables and indexes that this version wants; products stay as they are
    Migrate(Files),
}

/// Means above this are marked, in ms.
const SLOW_MS: f64 = 100.0;
/// A statement is shown up to here.
const TEXT_CHARS: usize = 90;

pub(super) fn main(command: &Db, plugins: &Plugins) -> Result<(), Failure> {
    match command {
        Db::Top(files) => show_top(files, plugins),
        Db::Migrate(files) => migrate(files, plugins),
    }
}

fn migrate(files: &Files, plugins: &Plugins) -> Result<(), Failure> {
    let config = load(files, plugins)?;
    runtime()?.block_on(async {
        let backends = Backends::new(&config)?;
        let url = &config.database.url;
        let applied = backends.get(url).admin().await?.migrate().await?;
        match applied {
            0 => println!("{url}: nothing to do"),
            _ => println!("{url}: {applied} migrations applied"),
        }
        Ok(())
    })
}

fn show_top(files: &Files, plugins: &Plugins) -> Result<(), Failure> {
    let config = load(files, plugins)?;
    runtime()?.block_on(async {
        let backends = Backends::new(&config)?;
        for (url, backend) in backends.iter() {
            let key = format!("`{}`", config.url_key(url));
            let top = backend.top().await.map_err(|error| error.during(&key))?;
            println!("{url}\n{}", render(&top));
        }
        Ok(())
    })
}

fn render(top: &Top) -> String {
    let mut text = String::new();
    let statements = known(&top.statements, |found| {
        let rows = found.iter().map(|one| {
            let mark = if one.mean_ms > SLOW_MS { "!" } else { "" };
            let ms = [one.mean_ms, one.max_ms, one.total_ms].map(|ms| format!("{ms:.1}"));
            let [mean, max, total] = ms;
            vec![
                mark.into(),
                mean,
                max,
                total,
                one.calls.to_string(),
                one.rows.to_string(),
                short(one),
            ]
        });
        table(&["", "mean ms", "max ms", "total ms", "calls", "rows", "statement"], 1..6, rows)
    });
    let connections = known(&top.connections, |found| {
        let rows = found.iter().map(|(state, number)| vec![state.clone(), number.to_string()]);
        table(&["state", "connections"], 1..2, rows)
    });
    let tables = known(&top.tables, |found| {
        let rows = found.iter().map(|one| {
            let size = |bytes| bytesize::ByteSize(bytes).display().iec().to_string();
            let rows = one.rows.map_or_else(|| "-".into(), |rows| rows.to_string());
            vec![one.name.clone(), size(one.table_bytes), size(one.index_bytes), rows]
        });
        table(&["table", "size", "indexes", "rows, about"], 1..4, rows)
    });
    for (heading, body) in [
        ("Slowest statements, by mean time (! is over 100 ms)", statements),
        ("Connections to this database", connections),
        ("Largest tables", tables),
    ] {
        let _ = writeln!(text, "\n{heading}\n{body}");
    }
    text
}

fn known<T>(known: &Known<T>, show: impl Fn(&T) -> String) -> String {
    match known {
        Known::Is(found) => show(found),
        Known::Not(reason) => reason.clone(),
    }
}

fn table(
    heads: &[&str],
    numbers: std::ops::Range<usize>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(heads.to_vec());
    table.add_rows(rows);
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// On one line without the comments before it, and not all of it. A control character of somebody's text cannot move the cursor.
fn short(statement: &Statement) -> String {
    let is_comment = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with("--");
    let lines = statement.text.lines().skip_while(is_comment);
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let plain: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    match plain.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => format!("{}...", &plain[..end]),
        None => plain,
    }
}
