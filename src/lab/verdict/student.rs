//! Student's t distribution, as far as 95 % intervals need it.

/// The normal distribution's two-sided 95 % quantile.
pub(super) const NORMAL: f64 = 1.960;

/// Two-sided 95 % quantiles for 1 to 30 degrees of freedom, then 40, 60 and 120 (NIST/SEMATECH
/// e-Handbook of Statistical Methods, 1.3.6.7.2).
const TABLE: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// Student's two-sided 95 % quantile. Between the places of the table the one of fewer degrees of
/// freedom counts: an interval is rather too wide. A table, because functions that compute it give
/// other last digits on other machines.
///
/// # Panics
/// Without any degree of freedom there is none: callers ask for at least three rounds.
pub(super) fn t95(degrees: usize) -> f64 {
    match degrees {
        0 => panic!("no interval without a degree of freedom"),
        1..=30 => TABLE[degrees - 1],
        31..=39 => TABLE[29],
        40..=59 => 2.021,
        60..=119 => 2.000,
        120..=999 => 1.980,
        _ => NORMAL,
    }
}
