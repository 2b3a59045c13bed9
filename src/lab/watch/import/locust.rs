//! Locust: the records of `load/locust`, a line a request, and what `--csv` writes, which is summed up.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::lines::{self, Line};
use super::{Count, Entry, Imported, Parsed, Total, WRONG_ANSWER, without_answer};
use crate::lab::record::Reported;

/// How Locust calls the sum of all names.
const ALL: &str = "Aggregated";

/// Reads the records of `load/locust`.
///
/// # Errors
/// What is wrong.
pub(super) fn records(reader: &mut impl BufRead, is_cut: bool) -> Result<Parsed, String> {
    let mut entries = Vec::new();
    lines::for_each(reader, is_cut, |line| {
        let took = line.number("milliseconds")? / 1000.0;
        let failure = line.text("failure");
        entries.push(Entry {
            began: line.number("ended")? - took,
            took,
            first_byte: None,
            asked: line.text("name").unwrap_or_default().to_owned(),
            outcome: failure.map_or_else(|| "200".to_owned(), outcome),
            is_good: failure.is_none(),
            bytes: 0,
        });
        Ok(())
    })?;
    Ok(parsed(Imported::Requests(entries), "the records of load/locust", Vec::new()))
}

/// "status 503: pool_exhausted" is a 503; "19 rows instead of 20 rows" is a wrong answer.
fn outcome(failure: &str) -> String {
    let status = failure.strip_prefix("status ").and_then(|rest| rest.get(..3));
    match status.and_then(|status| status.parse::<u16>().ok()) {
        Some(status) if status >= 400 => status.to_string(),
        Some(_) => WRONG_ANSWER.to_owned(),
        None if failure.contains("no answer") || failure.starts_with("status 0") => {
            without_answer(failure).to_owned()
        }
        None => WRONG_ANSWER.to_owned(),
    }
}

/// Reads `_stats_history.csv`: running totals of each method and name, once a second.
///
/// # Errors
/// What is wrong, and which option of Locust makes it right.
pub(super) fn history(reader: &mut impl BufRead, is_cut: bool) -> Result<Parsed, String> {
    // A line is of a method and a name: the GET and the POST of one name are counted apart.
    let mut before: BTreeMap<(String, String), Sums> = BTreeMap::new();
    let (mut counts, mut summed) = (Vec::new(), false);
    lines::for_each(reader, is_cut, |line| {
        let name = line.text("Name").unwrap_or_default();
        if name == ALL {
            summed = true;
            return Ok(());
        }
        let method = line.text("Type").unwrap_or_default();
        let now = Sums::of(line)?;
        let last = before
            .insert((method.to_owned(), name.to_owned()), now)
            .unwrap_or(Sums { at: now.at - 1.0, ..Sums::default() });
        // Locust forgets what it counted when all users are there, where --reset-stats says so.
        let last = if now.requests < last.requests {
            Sums { at: last.at, ..Sums::default() }
        } else {
            last
        };
        let requests = (now.requests - last.requests) as u64;
        if requests > 0 {
            let errors = ((now.failures - last.failures).max(0.0) as u64).min(requests);
            counts.push(Count {
                at: (now.at + last.at) / 2.0,
                asked: name.to_owned(),
                answers: requests - errors,
                errors,
                sum_ms: (now.sum_ms - last.sum_ms).max(0.0),
                bytes: (now.bytes - last.bytes).max(0.0),
            });
        }
        Ok(())
    })?;
    if counts.is_empty() && summed {
        return Err("holds all requests together only: run Locust with --csv-full-history".into());
    }
    let note = "Locust keeps counts and mean times by the second and no single request: the percentiles of a \
                window are not in the file"
        .to_owned();
    Ok(parsed(Imported::Counts(counts), "Locust's _stats_history.csv", vec![note]))
}

/// Running totals of a name.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    at: f64,
    requests: f64,
    failures: f64,
    sum_ms: f64,
    bytes: f64,
}

impl Sums {
    fn of(line: &Line) -> Result<Self, String> {
        let requests = line.count("Total Request Count")?;
        let mean = |column| line.number(column).unwrap_or(0.0);
        Ok(Self {
            at: line.number("Timestamp")?,
            requests,
            failures: line.count("Total Failure Count")?,
            sum_ms: mean("Total Average Response Time") * requests,
            bytes: mean("Total Average Content Size") * requests,
        })
    }
}

/// Reads `_stats.csv`: a line for each name, over the whole run.
///
/// # Errors
/// What is wrong.
pub(super) fn totals(reader: &mut impl BufRead, is_cut: bool) -> Result<Parsed, String> {
    let mut totals = Vec::new();
    lines::for_each(reader, is_cut, |line| {
        let name = line.text("Name").unwrap_or_default();
        if name == ALL {
            return Ok(());
        }
        let (requests, failures) = (line.count("Request Count")?, line.count("Failure Count")?);
        let time = |column| line.number(column).ok();
        totals.push(Total {
            asked: name.to_owned(),
            answers: (requests - failures).max(0.0) as u64,
            errors: failures as u64,
            rate: line.number("Requests/s")?,
            reported: Reported {
                mean_ms: time("Average Response Time"),
                p50_ms: time("50%"),
                p95_ms: time("95%"),
                p99_ms: time("99%"),
            },
            bytes: line.number("Average Content Size").unwrap_or(0.0) * requests,
        });
        Ok(())
    })?;
    let note = "the figures are Locust's own, of its whole run with its begin; there are no windows, so there \
                are no intervals"
        .to_owned();
    Ok(parsed(Imported::Totals(totals), "Locust's _stats.csv", vec![note]))
}

fn parsed(imported: Imported, format: &'static str, notes: Vec<String>) -> Parsed {
    Parsed { imported, measured_by: "Locust", format, notes }
}
