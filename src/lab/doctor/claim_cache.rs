//! Claims of a cache: hits, keys and traffic.

use super::arithmetic::hits_by_construction;
use super::words::{bytes, number, percent, time};
use super::{Claims, Found};

/// D13
pub(super) fn nothing_expires(claims: &Claims) -> Option<Found> {
    let (ttl, duration) = (claims.cache.ttl?, claims.load.duration?);
    let by_rate = || {
        let rate = claims.measured.requests_per_second;
        rate.map(|rate| rate * duration.as_secs_f64())
    };
    let reads = claims.cache.reads.or_else(by_rate);
    let built_in = claims.cache.keys.zip(reads).and_then(|(keys, reads)| {
        let hits = hits_by_construction(keys, reads)?;
        Some(format!(
            ": {} reads of {} keys are {} hits by construction",
            number(reads),
            number(keys),
            percent(hits)
        ))
    });
    (ttl >= duration).then(|| Found {
        fact: format!(
            "with a TTL of {} no key expires even once in a test of {}{}",
            time(ttl),
            time(duration),
            built_in.unwrap_or_default(),
        ),
        advice: "test for several TTLs, or with a shorter one, and with as many keys as there are in life".into(),
    })
}

/// D18
pub(super) fn more_written_than_read(claims: &Claims) -> Option<Found> {
    let received = claims.cache.received?.as_u64() as f64;
    let sent = claims.cache.sent?.as_u64() as f64;
    let times = if sent > 0.0 {
        format!("{} times as much", number(received / sent))
    } else {
        "all of it".into()
    };
    (received > sent).then(|| Found {
        fact: format!(
            "the cache received {} and sent {}: {times} was written as read, so hardly anything was a hit, or the columns are swapped",
            bytes(received),
            bytes(sent),
        ),
        advice: "report hits and misses as the server counts them (keyspace_hits, keyspace_misses), as differences over the test".into(),
    })
}

/// D19
pub(super) fn fewer_keys_than_answers(claims: &Claims) -> Option<Found> {
    let (keys, answers) = (claims.cache.keys?, claims.cache.distinct_answers?);
    let entry = claims.cache.entry_rows.zip(claims.answer.row_bytes).map(|(rows, row_bytes)| {
        format!("; {} rows in one entry are {}", number(rows), bytes(rows * row_bytes))
    });
    let plural = if keys == 1.0 { "" } else { "s" };
    (keys < answers).then(|| Found {
        fact: format!(
            "{} key{plural} for {} different answers: page 2 answers as page 1{}",
            number(keys),
            number(answers),
            entry.unwrap_or_default(),
        ),
        advice:
            "put every parameter that changes the answer into the key, in one order and spelling"
                .into(),
    })
}
