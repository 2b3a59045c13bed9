//! What load tools write about their requests, read into one shape. A format is recognised by content.
//!
//! | file | holds | what is read |
//! | --- | --- | --- |
//! | JMeter's `.jtl` (CSV), that of `scripts/newman.sh` too | a line a request | [`Requests`](Imported::Requests) |
//! | `--records` of `load/locust` | a line a request | the same |
//! | k6's `--out json` | a line a sample | the same, of `http_req_duration` |
//! | Newman's JSON reporter | an execution a request, without its moment | the same, by the `Date` of the answers |
//! | Locust's `_stats_history.csv` | running totals a second | [`Counts`](Imported::Counts) |
//! | Locust's `_stats.csv` | totals and percentiles of the run | [`Totals`](Imported::Totals) |
//!
//! It knows files, not strategies nor windows.

mod jtl;
mod k6;
mod lines;
mod locust;
mod newman;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::lab::record::{RecordsFile, Reported};

/// File systems note a moment a little before the clock says it.
const CLOCK_GRAIN: Duration = Duration::from_millis(20);

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// When it began, in seconds since 1970.
    pub began: f64,
    /// From its begin to the last byte, in seconds.
    pub took: f64,
    /// From its begin to the first byte, in seconds, where that is known.
    pub first_byte: Option<f64>,
    /// Its URL, or the path of it; else the name that the tool gave it.
    pub asked: String,
    /// As [`crate::lab::record::Lane::outcomes`] names it.
    pub outcome: String,
    /// Whether it was answered, and rightly.
    pub is_good: bool,
    /// Bytes of its answer; 0 where they are not known.
    pub bytes: u64,
}

impl Entry {
    /// When it ended, in seconds since 1970.
    pub fn ended(&self) -> f64 {
        self.began + self.took
    }
}

/// Requests of one name within a second or so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Count {
    /// In the middle of which they ended, in seconds since 1970.
    pub at: f64,
    /// What they asked for.
    pub asked: String,
    /// Requests that were answered rightly.
    pub answers: u64,
    /// Those that were not.
    pub errors: u64,
    /// The times of all of them together, in ms.
    pub sum_ms: f64,
    /// Bytes of their answers together.
    pub bytes: f64,
}

/// All requests of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Total {
    /// What they asked for.
    pub asked: String,
    /// Requests that were answered rightly.
    pub answers: u64,
    /// Those that were not.
    pub errors: u64,
    /// A second, by the tool's own account.
    pub rate: f64,
    /// The tool's own times.
    pub reported: Reported,
    /// Bytes of their answers together.
    pub bytes: f64,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Imported {
    /// Each request.
    Requests(Vec<Entry>),
    /// How many there were in each second.
    Counts(Vec<Count>),
    /// How many there were in all.
    Totals(Vec<Total>),
}

impl Imported {
    fn requests(&self) -> u64 {
        match self {
            Imported::Requests(entries) => entries.len() as u64,
            Imported::Counts(counts) => counts.iter().map(|one| one.answers + one.errors).sum(),
            Imported::Totals(totals) => totals.iter().map(|one| one.answers + one.errors).sum(),
        }
    }
}

/// A file as it was read: what it holds, in which format, and what is to be known of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub imported: Imported,
    pub measured_by: &'static str,
    pub format: &'static str,
    pub notes: Vec<String>,
}

/// The formats that are known, for whoever has another one.
const KNOWN: &str = "JMeter's .jtl in CSV, Newman's JSON export, Locust's CSV (--csv, or --records of load/locust) \
                     and k6's --out json";

/// Reads a file that a load tool wrote since `since`. `is_cut`: the tool was stopped, so the last line may
/// be half a line, and is then left out.
///
/// # Errors
/// A sentence without a full stop: the file is not there, older, empty, cut off, or nothing that is known.
pub(super) fn read(
    path: &Path,
    since: SystemTime,
    is_cut: bool,
) -> Result<(Imported, RecordsFile), String> {
    let name = path.display();
    let about = |error: std::io::Error| format!("{name} cannot be read: {error}");
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name} is not there: COMMAND did not write it"),
        _ => about(error),
    })?;
    let facts = file.metadata().map_err(about)?;
    if facts.is_dir() {
        return Err(format!("{name} is a folder: name the file in it"));
    }
    let written = facts.modified().map_err(about)?;
    if written + CLOCK_GRAIN < since {
        return Err(format!(
            "{name} is older than the start of COMMAND: it is of another run, so have COMMAND write it anew"
        ));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let parsed = parse(&mut reader, is_cut).map_err(|why| format!("{name} {why}"))?;
    let requests = parsed.imported.requests();
    if requests == 0 {
        return Err(format!("{name} holds not one request"));
    }
    let file = path.file_name().unwrap_or(path.as_os_str());
    let record = RecordsFile {
        file: file.to_string_lossy().into_owned(),
        measured_by: parsed.measured_by.to_owned(),
        format: parsed.format.to_owned(),
        requests,
        notes: parsed.notes,
    };
    Ok((parsed.imported, record))
}

/// Recognises a format by the first bytes, and reads the rest.
///
/// # Errors
/// What is wrong, to be read behind the name of the file.
pub(super) fn parse(reader: &mut impl BufRead, is_cut: bool) -> Result<Parsed, String> {
    let head = reader.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    let unknown = || format!("is nothing that is known: {KNOWN}");
    match first {
        None => Err("is empty".to_owned()),
        Some(b'{') if k6::is_it(head) => k6::parse(reader, is_cut),
        Some(b'{') => newman::parse(reader, &unknown()),
        Some(b'<') if find(head, b"<testResults") => {
            Err("is a .jtl in XML, and CSV is read: run JMeter with \
             -Jjmeter.save.saveservice.output_format=csv"
                .to_owned())
        }
        Some(_) => lines::parse(reader, is_cut, &unknown()),
    }
}

fn find(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted)
}

/// The outcome of a request without an answer, from what a tool says of it.
fn without_answer(said: &str) -> &'static str {
    let said = said.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match () {
        () if has(&["timeout", "timed out", "timedout"]) => "timeout",
        () if has(&["refused", "connectexception"]) => "refused",
        () if has(&["reset", "socketexception", "nohttpresponse", "hang up", "eof"]) => "reset",
        () => "no answer",
    }
}

/// A request that was answered, and not rightly although its status says so.
const WRONG_ANSWER: &str = "wrong answer";

#[cfg(test)]
mod tests;
