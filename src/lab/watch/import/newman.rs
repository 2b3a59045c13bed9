//! Newman's JSON export (`--reporters json`, and `client-NN.json` of `scripts/newman.sh`).
//!
//! It has each request with how long it took, in their order, and begin and end of the whole, but not when
//! a request was sent. Newman sends one after the other, so that the `Date` header of each answer, which
//! has whole seconds, says where between the two it belongs.

use std::io::BufRead;

use serde::Deserialize;

use super::{Entry, Imported, Parsed, WRONG_ANSWER, without_answer};

#[derive(Deserialize)]
struct Export {
    run: Run,
}

#[derive(Deserialize)]
struct Run {
    timings: Timings,
    executions: Vec<Execution>,
}

#[derive(Deserialize)]
struct Timings {
    started: f64,
    completed: Option<f64>,
}

#[derive(Deserialize)]
struct Execution {
    request: Option<Request>,
    response: Option<Response>,
    #[serde(rename = "requestError")]
    error: Option<RequestError>,
    #[serde(default)]
    assertions: Vec<Assertion>,
}

#[derive(Deserialize)]
struct RequestError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Request {
    url: Url,
}

#[derive(Deserialize)]
struct Url {
    #[serde(default)]
    path: Vec<String>,
}

#[derive(Deserialize)]
struct Response {
    code: u16,
    #[serde(rename = "responseTime", default)]
    milliseconds: f64,
    #[serde(rename = "responseSize", default)]
    bytes: u64,
    #[serde(default)]
    header: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    key: String,
    #[serde(default)]
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Assertion {
    error: Option<serde::de::IgnoredAny>,
}

impl Response {
    fn date(&self) -> Option<f64> {
        let date = self.header.iter().find(|header| header.key.eq_ignore_ascii_case("date"))?;
        seconds_since_1970(date.value.as_str()?)
    }
}

/// Reads it.
///
/// # Errors
/// What is wrong, `unknown` where it is something else in JSON.
pub(super) fn parse(reader: &mut impl BufRead, unknown: &str) -> Result<Parsed, String> {
    let export: Export = serde_json::from_reader(reader).map_err(|error| match error.is_eof() {
        true => format!(
            "ends in the middle of its JSON (line {}): it was cut off while it was written or copied",
            error.line()
        ),
        false => unknown.to_owned(),
    })?;
    let Run { timings, executions } = export.run;
    let started = timings.started / 1000.0;
    let completed = timings.completed.map_or(f64::INFINITY, |ms| ms / 1000.0);
    let mut latest = started;
    let mut entries = Vec::new();
    for execution in executions {
        let Some(request) = &execution.request else { continue };
        let took = execution.response.as_ref().map_or(0.0, |answer| answer.milliseconds / 1000.0);
        // A Date has been cut to its second: it was that late at least.
        let ended = execution.response.as_ref().and_then(Response::date).unwrap_or(latest + took);
        let ended = ended.max(latest + took).min(completed.max(latest + took));
        latest = ended;
        let (is_good, outcome) = outcome(&execution);
        let bytes = execution.response.as_ref().map_or(0, |answer| answer.bytes);
        let asked = format!("/{}", request.url.path.join("/"));
        let began = ended - took;
        entries.push(Entry { began, took, first_byte: None, asked, outcome, is_good, bytes });
    }
    let note = "Newman does not write when it sent a request: each stands where the Date of its answer is, to the second";
    Ok(Parsed {
        imported: Imported::Requests(entries),
        measured_by: "Newman",
        format: "Newman's JSON export",
        notes: vec![note.to_owned()],
    })
}

fn outcome(execution: &Execution) -> (bool, String) {
    let failed = execution.assertions.iter().any(|assertion| assertion.error.is_some());
    match (&execution.response, &execution.error) {
        // As everywhere in the lab, also where a test wanted just that.
        (Some(answer), _) if answer.code >= 400 => (false, answer.code.to_string()),
        (Some(_), _) if failed => (false, WRONG_ANSWER.to_owned()),
        (Some(answer), _) => (true, answer.code.to_string()),
        (None, Some(error)) => {
            (false, without_answer(&format!("{} {}", error.code, error.message)).to_owned())
        }
        (None, None) => (false, without_answer("").to_owned()),
    }
}

/// A moment as HTTP has it: `Mon, 23 Nov 2026 02:04:00 GMT`.
fn seconds_since_1970(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let moment = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64())
}
