//! JMeter's `.jtl` as CSV, whichever columns were saved; `scripts/newman.sh` writes the same.

use std::io::BufRead;

use super::lines::{self, Line};
use super::{Entry, Imported, Parsed, WRONG_ANSWER, without_answer};

/// How JMeter describes a line that sums up those before it.
const TRANSACTION: &str = "Number of samples in transaction";

/// Reads it.
///
/// # Errors
/// What is wrong, and which property of JMeter makes it right.
pub(super) fn parse(reader: &mut impl BufRead, is_cut: bool) -> Result<Parsed, String> {
    let (mut entries, mut transactions, mut is_newman) = (Vec::new(), 0, false);
    lines::for_each(reader, is_cut, |line| {
        if line.text("responseMessage").is_some_and(|message| message.starts_with(TRANSACTION)) {
            transactions += 1;
            return Ok(());
        }
        // The column that only ours has; its threads are called "client 7".
        is_newman |= line.text("threadName").is_some_and(|name| name.starts_with("client "))
            && line.text("rows").is_some();
        entries.push(entry(line)?);
        Ok(())
    })?;
    let mut notes = Vec::new();
    if transactions > 0 {
        let lines = match transactions {
            1 => "1 line that sums up a transaction".to_owned(),
            more => format!("{more} lines that sum up a transaction each"),
        };
        if entries.is_empty() {
            return Err(format!(
                "holds no request, only {lines}: switch off \"Generate parent sample\" in JMeter's \
                 Transaction Controller, so that each request gets a line of its own"
            ));
        }
        let is = if transactions == 1 { "is" } else { "are" };
        notes.push(format!(
            "{lines} {is} not counted, only the requests that have lines of their own; those of a Transaction \
             Controller with \"Generate parent sample\" have none"
        ));
    }
    let measured_by = if is_newman { "Newman" } else { "JMeter" };
    let format = if is_newman { "the .jtl of scripts/newman.sh" } else { "a .jtl file of JMeter" };
    Ok(Parsed { imported: Imported::Requests(entries), measured_by, format, notes })
}

fn entry(line: &Line) -> Result<Entry, String> {
    let began = line.number("timeStamp").map_err(|why| {
        format!("{why}; run JMeter with -Jjmeter.save.saveservice.timestamp_format=ms")
    })? / 1000.0;
    let took = line.number("elapsed")? / 1000.0;
    let url = line.text("URL").filter(|url| *url != "null");
    let asked = url.or(line.text("label")).ok_or_else(|| {
        format!(
            "has neither a label nor a URL in line {}: run JMeter with \
             -Jjmeter.save.saveservice.label=true",
            line.number
        )
    })?;
    let code = line.text("responseCode");
    let status = code.and_then(|code| code.parse::<u16>().ok()).filter(|status| *status >= 100);
    // A line without a word about it is one of a request that went well.
    let is_good = line.text("success").map_or(status.is_none_or(|status| status < 400), is_true);
    let outcome = match (status, is_good) {
        (Some(status), true) => status.to_string(),
        (Some(status), false) if status >= 400 => status.to_string(),
        (Some(_), false) => WRONG_ANSWER.to_owned(),
        (None, true) => "200".to_owned(),
        (None, false) => {
            let message = line.text("responseMessage").unwrap_or_default();
            without_answer(&format!("{} {message}", code.unwrap_or_default())).to_owned()
        }
    };
    // JMeter writes 0 where nothing came.
    let first_byte = line.number("Latency").ok().filter(|ms| *ms > 0.0 && is_good);
    Ok(Entry {
        began,
        took,
        first_byte: first_byte.map(|ms| (ms / 1000.0).min(took)),
        asked: asked.to_owned(),
        outcome,
        is_good,
        bytes: line.number("bytes").unwrap_or(0.0) as u64,
    })
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}
