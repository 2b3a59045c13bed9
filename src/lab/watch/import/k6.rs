//! k6's `--out json`: a line of JSON for each sample of each metric.

use std::io::BufRead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::lines::cut_off;
use super::{Entry, Imported, Parsed, WRONG_ANSWER, without_answer};

/// The metric with one sample for each request: from sending to the last byte, in ms.
const REQUESTS: &str = "http_req_duration";

#[derive(Deserialize)]
struct Sample<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    metric: String,
    #[serde(borrow)]
    data: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
struct Point {
    time: String,
    value: f64,
    #[serde(default)]
    tags: Tags,
}

#[derive(Deserialize, Default)]
struct Tags {
    url: Option<String>,
    name: Option<String>,
    status: Option<String>,
    error: Option<String>,
    error_code: Option<String>,
    expected_response: Option<String>,
}

/// Whether the first line is one of k6's.
pub(super) fn is_it(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    line.contains("\"metric\"") && line.contains("\"type\"") && line.contains("\"data\"")
}

/// Reads it.
///
/// # Errors
/// What is wrong: a line that is none of k6's, or half a line at the end.
pub(super) fn parse(reader: &mut impl BufRead, is_cut: bool) -> Result<Parsed, String> {
    let (mut entries, mut line, mut number) = (Vec::new(), String::new(), 0u64);
    loop {
        line.clear();
        number += 1;
        let count = reader.read_line(&mut line);
        if count.map_err(|_| format!("is no text in line {number}"))? == 0 {
            break;
        }
        if !line.ends_with('\n') {
            if is_cut {
                break;
            }
            return Err(cut_off(number));
        }
        // Of ten lines one is of interest; the others need not be understood.
        let wrong = |error| format!("has a line {number} that is none of k6's --out json: {error}");
        let sample: Sample = serde_json::from_str(&line).map_err(wrong)?;
        if sample.kind == "Point" && sample.metric == REQUESTS {
            let point: Point = serde_json::from_str(sample.data.get()).map_err(wrong)?;
            entries.push(entry(point, number)?);
        }
    }
    Ok(Parsed {
        imported: Imported::Requests(entries),
        measured_by: "k6",
        format: "k6's --out json",
        notes: Vec::new(),
    })
}

fn entry(point: Point, number: u64) -> Result<Entry, String> {
    let ended = seconds_since_1970(&point.time)
        .ok_or_else(|| format!("has {:?} as time in line {number}", point.time))?;
    let Tags { url, name, status, error, error_code, expected_response } = point.tags;
    let status = status.and_then(|text| text.parse::<u16>().ok()).filter(|status| *status >= 100);
    let is_expected = expected_response.is_none_or(|text| text == "true");
    let is_good = is_expected && status.is_some_and(|status| status < 400);
    let outcome = match status {
        Some(status) if is_good || status >= 400 => status.to_string(),
        Some(_) => WRONG_ANSWER.to_owned(),
        // 1050 is k6's own time limit.
        None if error_code.as_deref() == Some("1050") => "timeout".to_owned(),
        None => without_answer(&error.unwrap_or_default()).to_owned(),
    };
    let took = point.value.max(0.0) / 1000.0;
    let asked = url.or(name).unwrap_or_default();
    let began = ended - took;
    Ok(Entry { began, took, first_byte: None, asked, outcome, is_good, bytes: 0 })
}

/// A moment as RFC 3339 has it, with any offset.
fn seconds_since_1970(text: &str) -> Option<f64> {
    let (local, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0.0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let sign = match offset.as_bytes()[0] {
                b'+' => 1.0,
                b'-' => -1.0,
                _ => return None,
            };
            let (hours, minutes) = offset[1..].split_once(':')?;
            let minutes = hours.parse::<f64>().ok()? * 60.0 + minutes.parse::<f64>().ok()?;
            (local, sign * minutes * 60.0)
        }
    };
    let at: SystemTime = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    Some(at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64() - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_at_every_offset() {
        let expected = 1_795_399_440.25;
        for text in [
            "2026-11-23T02:04:00.25Z",
            "2026-11-23T03:04:00.250000000+01:00",
            "2026-11-22T20:34:00.25-05:30",
        ] {
            let found = seconds_since_1970(text).unwrap_or_else(|| panic!("{text}"));
            assert!((found - expected).abs() < 1e-6, "{text}: {found}");
        }
        assert_eq!(seconds_since_1970("yesterday"), None);
        assert_eq!(seconds_since_1970("2026-11-23T02:04:00"), None);
    }
}
