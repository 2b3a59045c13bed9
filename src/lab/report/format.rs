//! Numbers as people read them: three significant digits, thousands separators, a unit.
//!
//! It knows the units of figures and nothing of runs. What cannot be said is [`NOTHING`], never 0 and
//! never NaN.

use std::time::Duration;

use crate::lab::verdict::{Figure, Ratio, units};

/// Stands where there is no number.
pub const NOTHING: &str = "–";

/// A figure with its unit, as in sentences: `18.3 ms`, `3.72 MB`, `12.3 %`, `84.1/s`.
pub fn figure(figure: Figure, value: f64) -> String {
    if value.is_finite() { units::figure(figure, value) } else { NOTHING.to_owned() }
}

/// An interval of a figure with its unit: `17.9 to 18.8 ms`.
pub fn range(figure: Figure, (low, high): (f64, f64)) -> String {
    if low.is_finite() && high.is_finite() {
        units::interval(figure, (low, high))
    } else {
        NOTHING.to_owned()
    }
}

/// A ratio: `1.42×`.
pub fn ratio(ratio: &Ratio) -> String {
    times(ratio.value)
}

/// A factor: `1.42×`.
pub fn times(factor: f64) -> String {
    if factor.is_finite() { format!("{}×", units::ratio(factor)) } else { NOTHING.to_owned() }
}

/// A share of 0 to 1: `12.3 %`. One too small to matter is `<0.01 %`.
pub fn share(share: f64) -> String {
    match share {
        share if !share.is_finite() => NOTHING.to_owned(),
        share if share > 0.0 && share < 0.0001 => "<0.01 %".to_owned(),
        share => format!("{} %", trimmed(share * 100.0)),
    }
}

/// A plain number to three significant digits; whole ones, and the whole part of others, are never
/// rounded: `0.0123`, `1.42`, `20`, `1,234,567`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    // Scientific notation rounds first, so 9.996 is told to be 1.00e1.
    let scientific = format!("{value:.2e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let decimals = if value.fract() == 0.0 { 0 } else { (2 - exponent).clamp(0, 6) as usize };
    let text = format!("{value:.decimals$}");
    let digits = text.trim_start_matches('-');
    let nothing_left = value != 0.0 && digits.bytes().all(|b| matches!(b, b'0' | b'.'));
    match (nothing_left, value) {
        (true, value) if value < 0.0 => "-<0.000001".to_owned(),
        (true, _) => "<0.000001".to_owned(),
        // "-0" says nothing that "0" does not.
        (false, 0.0) => digits.to_owned(),
        (false, _) => units::separated(&text),
    }
}

/// A number without the zeros at its end, for those that were set and not measured.
pub fn trimmed(value: f64) -> String {
    let text = number(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A count with thousands separators.
pub fn count(count: u64) -> String {
    units::count(count)
}

/// Memory: `75.2 MiB`.
pub fn memory(bytes: u64) -> String {
    figure(Figure::ApiMemory, bytes as f64)
}

/// A time as in `233 ms`, `4 s`, `2.5 s`, `1 min 30 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration {
        d if d.is_zero() => "0 s".to_owned(),
        d if d < Duration::from_secs(1) => format!("{} ms", number(d.as_secs_f64() * 1000.0)),
        d if seconds < 120 => format!("{} s", d.as_millis() as f64 / 1000.0),
        _ if seconds.is_multiple_of(60) => format!("{} min", count(seconds / 60)),
        _ => format!("{} min {} s", count(seconds / 60), seconds % 60),
    }
}

/// The moment of an RFC 3339 time in UTC, to the minute; other texts as they are.
pub fn moment(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(10..11), rfc3339.get(11..16)) {
        (Some(date), Some("T"), Some(time)) if rfc3339.ends_with('Z') => {
            format!("{date} {time} UTC")
        }
        _ => rfc3339.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_significant_digits_and_its_whole_part_stays_whole() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.012_345, "0.0123"),
            (9.996, "10.0"),
            (18.26, "18.3"),
            (20.0, "20"),
            (99.96, "100"),
            (233.4, "233"),
            (1_234_567.0, "1,234,567"),
            (-1234.6, "-1,235"),
            (0.000_000_01, "<0.000001"),
            (f64::NAN, NOTHING),
            (f64::INFINITY, NOTHING),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn a_figure_is_shown_in_its_own_unit() {
        for (of, value, text) in [
            (Figure::LatencyP95, 18.26, "18.3 ms"),
            (Figure::Rate, 84.123, "84.1/s"),
            (Figure::Errors, 0.0042, "0.420 %"),
            (Figure::HitRate, 1.0, "100 %"),
            (Figure::ApiCpu, 143.2, "143 %"),
            (Figure::BodyBytes, 3_720_000.0, "3.72 MB"),
            (Figure::BodyBytesRate, 318_000_000.0, "318 MB/s"),
            (Figure::ApiMemory, 78_643_200.0, "75.0 MiB"),
            (Figure::DatabaseMemory, 5_798_205_849.6, "5.40 GiB"),
            (Figure::RedisSent, 812.0, "812 bytes"),
            (Figure::ApiCpuCost, 8.214, "8.21 s"),
            (Figure::PoolWaiting, 0.5, "0.5"),
        ] {
            assert_eq!(figure(of, value), text);
        }
        assert_eq!(range(Figure::ApiMemory, (900_000.0, 2_097_152.0)), "879 KiB to 2.00 MiB");
        assert_eq!(range(Figure::LatencyP50, (1.5, f64::NAN)), NOTHING);
        assert_eq!([0.0, 1e-17, 0.021, f64::NAN].map(share), ["0 %", "<0.01 %", "2.1 %", NOTHING]);
    }

    #[test]
    fn times_read_as_people_say_them() {
        let of_millis = |millis| duration(Duration::from_millis(millis));
        assert_eq!(of_millis(0), "0 s");
        assert_eq!(of_millis(233), "233 ms");
        assert_eq!(of_millis(2500), "2.5 s");
        assert_eq!(of_millis(60_000), "60 s");
        assert_eq!(of_millis(150_000), "2 min 30 s");
        assert_eq!(of_millis(1_800_000), "30 min");
        assert_eq!(moment("2025-03-04T05:06:07Z"), "2025-03-04 05:06 UTC");
        assert_eq!(moment("yesterday"), "yesterday");
    }
}
