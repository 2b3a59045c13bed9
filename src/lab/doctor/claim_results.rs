//! Claims of what was measured: times, rates, traffic and samples that must fit together.

use super::arithmetic::{FEWEST_SAMPLES, NETWORK_BITS_PER_SECOND, TOLERANCE, time_in_system};
use super::claim_load::{client_ceiling, users_and_pause};
use super::words::{bits_per_second, bytes, number, seconds, time};
use super::{Claims, Found};

/// Bytes of an answer.
fn body(claims: &Claims) -> Option<f64> {
    Some(claims.answer.rows? * claims.answer.row_bytes?).filter(|body| *body > 0.0)
}

/// D2: more bits a second than there are.
pub(super) fn bodies_fill_the_network(claims: &Claims) -> Option<Found> {
    let body = body(claims)?;
    let rate = claims.measured.requests_per_second.or_else(|| client_ceiling(claims))?;
    let network = claims.network.bits_per_second.unwrap_or(NETWORK_BITS_PER_SECOND);
    let needed = body * 8.0 * rate;
    (needed > network).then(|| Found {
        fact: format!(
            "answers of {} rows are {} each; {} of them a second are {}, and the network carries {}: this measures JSON and bandwidth, not connections",
            number(claims.answer.rows.unwrap_or_default()),
            bytes(body),
            number(rate),
            bits_per_second(needed),
            bits_per_second(network),
        ),
        advice: "measure pages of 100 rows as well, and report the bytes of an answer beside its time".into(),
    })
}

/// D2: fewer bytes than the answers weigh.
pub(super) fn bodies_were_not_sent(claims: &Claims) -> Option<Found> {
    let body = body(claims)?;
    let sent = claims.measured.sent?.as_u64() as f64;
    let duration = claims.load.duration.map(|duration| duration.as_secs_f64());
    let by_rate = || {
        let rate = claims.measured.requests_per_second.or_else(|| client_ceiling(claims));
        Some(rate? * duration?)
    };
    let requests = claims.measured.requests.or_else(by_rate)?;
    (sent < requests * body * 0.5).then(|| Found {
        fact: format!(
            "{} of traffic are {} answers of {} rows ({} each), but the load asked for up to {}: most answers were smaller, or never came",
            bytes(sent),
            number((sent / body).floor()),
            number(claims.answer.rows.unwrap_or_default()),
            bytes(body),
            number(requests),
        ),
        advice: "count the answers and the bytes of each, and check that an answer holds the rows it should".into(),
    })
}

/// D3
pub(super) fn cpu_of_unequal_loads(claims: &Claims) -> Option<Found> {
    let (users, _) = users_and_pause(claims)?;
    let endpoints = claims.load.endpoints.filter(|endpoints| *endpoints >= 2.0)?;
    let rates = &claims.compared.requests_per_second;
    let least = rates.iter().copied().reduce(f64::min);
    let most = rates.iter().copied().reduce(f64::max);
    let equal = matches!((least, most), (Some(least), Some(most)) if most <= least * (1.0 + TOLERANCE / 2.0));
    let got = match (least, most) {
        (Some(least), Some(most)) => {
            format!(": here {} to {} requests/s", number(least), number(most))
        }
        _ => "; how many each got is not reported".into(),
    };
    (claims.compared.cpu_percent && !equal).then(|| Found {
        fact: format!(
            "CPU in percent is compared between {} endpoints of a closed load of {} users, which gives the faster endpoint more requests{got}",
            number(endpoints),
            number(users),
        ),
        advice: "compare CPU seconds per 1,000 requests, or drive every endpoint at the same arrival rate".into(),
    })
}

/// D4
pub(super) fn time_unexplained(claims: &Claims) -> Option<Found> {
    let (users, pause) = users_and_pause(claims)?;
    let (rate, mean) = (claims.measured.requests_per_second?, claims.measured.mean?.as_secs_f64());
    // While users are added, half of them are there on average.
    let ramp = claims.load.ramp.unwrap_or_default().as_secs_f64();
    let ramped = claims.load.duration.map_or(0.0, |all| ramp / (2.0 * all.as_secs_f64()));
    let there = users * (1.0 - ramped.clamp(0.0, 1.0));
    let round = time_in_system(there, rate)?;
    let explained = mean + pause;
    ((round - explained).abs() > TOLERANCE * round).then(|| {
        let difference = if round > explained { "nobody explains" } else { "are too many" };
        Found {
            fact: format!(
                "{} users at {} requests/s make one every {} each (Little's law), but a mean of {} and a pause of {} are {}: {} {difference}",
                number(there),
                number(rate),
                seconds(round),
                seconds(mean),
                seconds(pause),
                seconds(explained),
                seconds((round - explained).abs()),
            ),
            advice: "report the pause and the ramp, and time from the intended begin to the last byte".into(),
        }
    })
}

/// D5
pub(super) fn breaker_trips(claims: &Claims) -> Option<Found> {
    let limit = claims.breaker.p50?;
    let (what, found) = match (claims.measured.p50, claims.measured.mean) {
        (Some(p50), _) => ("the median", p50),
        (None, Some(mean)) => ("the median is not reported, and the mean", mean),
        (None, None) => return None,
    };
    (found > limit).then(|| Found {
        fact: format!(
            "the circuit breaker opens when the median is above {}; {what} is {}: it would open unless half of the answers took less",
            time(limit),
            time(found),
        ),
        advice: "report the median, and set the breaker from a measured percentile, well above it".into(),
    })
}

/// D8
pub(super) fn queueing(claims: &Claims) -> Option<Found> {
    let slots = slots(claims)?;
    let (rate, mean) = (claims.measured.requests_per_second?, claims.measured.mean?.as_secs_f64());
    let service = time_in_system(slots, rate)?;
    (mean > service * (1.0 + TOLERANCE)).then(|| Found {
        fact: format!(
            "{} requests are in service at once at most; at {} requests/s that is at most {} of service each, and the other {} of the mean of {} are waiting",
            number(slots),
            number(rate),
            seconds(service),
            seconds(mean - service),
            seconds(mean),
        ),
        advice: "report waiting and service apart; add workers or copies while cores are free, or refuse early".into(),
    })
}

/// Requests that workers which block can serve at once.
pub(super) fn slots(claims: &Claims) -> Option<f64> {
    let server = &claims.server;
    let slots = server.workers? * server.threads.unwrap_or(1.0) * server.replicas.unwrap_or(1.0);
    server.blocking.then_some(slots)
}

/// D17
pub(super) fn too_few_samples(claims: &Claims) -> Option<Found> {
    let interval = claims.sampling.interval.filter(|interval| !interval.is_zero())?;
    let duration = claims.load.duration?;
    let endpoints = claims.load.endpoints.unwrap_or(1.0).max(1.0);
    let all = duration.as_secs_f64() / interval.as_secs_f64();
    let samples = all / endpoints;
    (samples < FEWEST_SAMPLES).then(|| Found {
        fact: format!(
            "a sample every {} makes {} in a test of {}, {} for each of {} endpoints",
            time(interval),
            number(all),
            time(duration),
            number(samples),
            number(endpoints),
        ),
        advice: format!(
            "sample every {} or test longer: a mean needs {} samples at the very least",
            seconds((duration.as_secs_f64() / endpoints / 20.0).min(1.0)),
            number(FEWEST_SAMPLES),
        ),
    })
}
