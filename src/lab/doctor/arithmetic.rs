//! The formulas, each with its source. They know nothing of plans or claims.

/// Network that is assumed where none is said: 1 Gbit/s.
pub(super) const NETWORK_BITS_PER_SECOND: f64 = 1e9;
/// PostgreSQL's default of `superuser_reserved_connections`.
pub(super) const RESERVED_BY_DEFAULT: f64 = 3.0;
/// How far a figure may be from what the others say before they contradict each other.
pub(super) const TOLERANCE: f64 = 0.1;
/// Samples from which a mean of a gauge starts to say something.
pub(super) const FEWEST_SAMPLES: f64 = 5.0;
/// A pool this many times as large as its formula says is oversized.
pub(super) const OVERSIZED: f64 = 4.0;

/// The most that users ask for a second: the interactive response time law, `X = N / (R + Z)` (Lazowska
/// et al., Quantitative System Performance, 1984), with `R` the response time and `Z` the pause.
/// `None` where there is nothing to wait for.
pub(super) fn closed_rate(users: f64, response: f64, pause: f64) -> Option<f64> {
    (response + pause > 0.0).then(|| users / (response + pause))
}

/// How many times as many requests the same users make of an endpoint that is twice as fast:
/// `(R + Z) / (R / 2 + Z)`.
pub(super) fn gain_of_twice_as_fast(response: f64, pause: f64) -> f64 {
    (response + pause) / (response / 2.0 + pause)
}

/// The time that each request is in the system, from how many are in it: Little's law, `W = L / X`
/// (J. D. C. Little, 1961).
pub(super) fn time_in_system(in_system: f64, rate: f64) -> Option<f64> {
    (rate > 0.0).then(|| in_system / rate)
}

/// How many are in the system: Little's law, `L = X * W`.
pub(super) fn in_system(rate: f64, time: f64) -> f64 {
    rate * time
}

/// The share of `rate` that a limit refuses at least; 0 where it lets everything pass.
pub(super) fn refused_share(rate: f64, allowed: f64) -> f64 {
    if rate > 0.0 { (1.0 - allowed / rate).max(0.0) } else { 0.0 }
}

/// The share of reads that hit when no key expires: every key misses once.
pub(super) fn hits_by_construction(keys: f64, reads: f64) -> Option<f64> {
    (reads > 0.0 && reads >= keys).then(|| 1.0 - keys / reads)
}

/// Connections that keep so many cores busy: `2 * cores + 1` (the PostgreSQL wiki, Number Of Database
/// Connections, with one effective spindle).
pub(super) fn pool_for_cores(cores: f64) -> f64 {
    2.0 * cores + 1.0
}
