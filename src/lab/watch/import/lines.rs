//! Files of comma-separated values: which of them it is, by the names of its columns, and its lines.

use std::io::BufRead;

use csv::{ReaderBuilder, StringRecord};

use super::{Parsed, jtl, locust};

/// No tool sends more; sums of it over all lines of a file stay exact.
const MOST_REQUESTS: f64 = 1e12;

/// A line with its columns' names.
pub(super) struct Line<'a> {
    columns: &'a StringRecord,
    fields: &'a StringRecord,
    /// Its number in the file, from 1.
    pub number: u64,
}

impl<'a> Line<'a> {
    /// A field; `None` where there is no such column, or nothing in it.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.fields.get(place).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A field that has to be a number of at least 0.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn number(&self, column: &str) -> Result<f64, String> {
        self.at_most(column, f64::MAX, "a number")
    }

    /// A field that has to be a number of requests.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn count(&self, column: &str) -> Result<f64, String> {
        self.at_most(column, MOST_REQUESTS, "a number of requests")
    }

    fn at_most(&self, column: &str, most: f64, what: &str) -> Result<f64, String> {
        let text = self.text(column).unwrap_or("");
        let number = text.parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
        number.ok_or_else(|| {
            format!("has {text:?} as {column} in line {}, where {what} should be", self.number)
        })
    }
}

/// Reads lines until the end, each into `each`. The last one of a file that was cut off is left out where
/// `is_cut` says that this is to be expected.
///
/// # Errors
/// What is wrong: the file is cut off, a line has other columns, or `each` refused it.
pub(super) fn for_each(
    reader: &mut impl BufRead,
    is_cut: bool,
    mut each: impl FnMut(&Line) -> Result<(), String>,
) -> Result<(), String> {
    let (columns, delimiter) = (header(reader)?, b',');
    let delimiter = if columns.1 { b';' } else { delimiter };
    let columns = columns.0;
    let watched = Ending { inner: reader, last: b'\n' };
    let mut lines = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(watched);
    let mut fields = StringRecord::new();
    // One behind, because the last line may be half a line.
    let mut before: Option<(StringRecord, u64)> = None;
    loop {
        let more = lines.read_record(&mut fields);
        let more = more.map_err(|error| format!("is no text in line {}", line_of(&error)))?;
        // The header was read already.
        let number = fields.position().map_or(0, csv::Position::line) + 1;
        if !more {
            break;
        }
        if let Some((fields, number)) = before.take() {
            check(&columns, &fields, number)?;
            each(&Line { columns: &columns, fields: &fields, number })?;
        }
        before = Some((fields.clone(), number));
    }
    let is_whole = lines.get_ref().last == b'\n';
    if let Some((fields, number)) = before {
        if !is_whole && !is_cut {
            return Err(cut_off(number));
        }
        if is_whole {
            check(&columns, &fields, number)?;
            each(&Line { columns: &columns, fields: &fields, number })?;
        }
    }
    Ok(())
}

fn line_of(error: &csv::Error) -> u64 {
    error.position().map_or(0, csv::Position::line) + 1
}

/// What is said of a file that ends in a line.
pub(super) fn cut_off(line: u64) -> String {
    format!("ends in the middle of line {line}: it was cut off while it was written or copied")
}

fn check(columns: &StringRecord, fields: &StringRecord, number: u64) -> Result<(), String> {
    (columns.len() == fields.len()).then_some(()).ok_or_else(|| {
        format!("has {} values in line {number} and {} columns", fields.len(), columns.len())
    })
}

/// The names of the columns, and whether semicolons divide them.
fn header(reader: &mut impl BufRead) -> Result<(StringRecord, bool), String> {
    let mut line = Vec::new();
    let _ = reader.read_until(b'\n', &mut line);
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
    let is_semicolon = !line.contains(&b',') && line.contains(&b';');
    let delimiter = if is_semicolon { b';' } else { b',' };
    let mut names = ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line);
    let mut columns = StringRecord::new();
    match names.read_record(&mut columns) {
        Ok(true) => Ok((columns, is_semicolon)),
        _ => Err("begins with a line that is no text".to_owned()),
    }
}

/// Recognises a file by the names of its columns.
///
/// # Errors
/// What is wrong with it, `unknown` where it is none of them.
pub(super) fn parse(
    reader: &mut impl BufRead,
    is_cut: bool,
    unknown: &str,
) -> Result<Parsed, String> {
    let head = reader.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
    let (columns, _) = header(&mut &*first).map_err(|_| unknown.to_owned())?;
    let has = |names: &[&str]| names.iter().all(|name| columns.iter().any(|one| one == *name));
    let begins_with_a_moment = || {
        let moment = columns.get(0).unwrap_or_default();
        moment.len() == 13 && moment.bytes().all(|byte| byte.is_ascii_digit()) && columns.len() > 5
    };
    match () {
        () if has(&["timeStamp", "elapsed"]) => jtl::parse(reader, is_cut),
        () if has(&["ended", "milliseconds", "name"]) => locust::records(reader, is_cut),
        () if has(&["Timestamp", "User Count", "Name", "Total Request Count"]) => {
            locust::history(reader, is_cut)
        }
        () if has(&["Type", "Name", "Request Count", "Failure Count"]) => {
            locust::totals(reader, is_cut)
        }
        () if begins_with_a_moment() => {
            Err("looks like a .jtl without the names of its columns: run JMeter with \
             -Jjmeter.save.saveservice.print_field_names=true"
                .to_owned())
        }
        () => Err(unknown.to_owned()),
    }
}

/// Remembers the last byte that was read.
struct Ending<'a, R> {
    inner: &'a mut R,
    last: u8,
}

impl<R: BufRead> std::io::Read for Ending<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(last) = buffer[..count].last() {
            self.last = *last;
        }
        Ok(count)
    }
}
