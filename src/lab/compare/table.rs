//! A comparison as plain text for a terminal.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::{Change, Compared, ComparedEndpoint, MAIN};
use crate::lab::verdict::{Meaning, units};

/// A table for each endpoint: the main figures, or `all`. Below it what else differs, and what is worse.
pub fn render(compared: &Compared, all: bool) -> String {
    let [first, second] = &compared.names;
    let mut text = format!("first:  {first}\nsecond: {second}\n");
    for endpoint in &compared.endpoints {
        let _ = write!(text, "\n{}\n", heading(endpoint));
        let shown = |change: &&Change| all || MAIN.contains(&change.figure);
        let changes: Vec<&Change> = endpoint.changes.iter().filter(shown).collect();
        match changes.is_empty() {
            true => text.push_str("no figure is known in both runs\n"),
            false => {
                let _ = writeln!(text, "{}", table(&changes));
            }
        }
    }
    section(&mut text, "In one run only", &compared.only_in_one);
    section(&mut text, "To know before believing it", &compared.notes);
    let threshold = units::percent(compared.threshold);
    match compared.worse.is_empty() {
        true => {
            let _ = writeln!(text, "\nNothing is measurably worse by more than {threshold}.");
        }
        false => section(&mut text, &format!("Worse by more than {threshold}"), &compared.worse),
    }
    text
}

fn heading(endpoint: &ComparedEndpoint) -> String {
    let [first, second] = endpoint.stamps.map(|stamp| stamp.word());
    format!("{} at {} ({first} against {second})", endpoint.strategy, endpoint.point)
}

fn section(text: &mut String, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = write!(text, "\n{heading}:\n");
    }
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
}

fn table(changes: &[&Change]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "first", "second", "second / first", "95 % interval", ""]);
    for change in changes {
        let value = |value| units::figure(change.figure, value);
        let ratio = change.ratio.map_or("–".to_owned(), |ratio| units::ratio(ratio.value));
        let interval = change.ratio.and_then(|ratio| ratio.interval);
        table.add_row([
            change.figure.label().to_owned(),
            value(change.before),
            value(change.after),
            ratio,
            interval.map_or("–".to_owned(), units::ratio_interval),
            words(change.meaning).to_owned(),
        ]);
    }
    for column in 1..=4 {
        let column = table.column_mut(column).expect("the header has six");
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn words(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Better => "better",
        Meaning::Worse => "worse",
        Meaning::Different => "different",
        Meaning::NoMeasurableDifference => "no measurable difference",
        Meaning::NotKnown => "not known: too few rounds",
    }
}
