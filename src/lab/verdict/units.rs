//! How numbers are written, in sentences and in cells alike, so that both agree.
//!
//! Measured values have three significant digits: more would be noise. Counts are exact. Units are
//! decimal for what is sent (1 MB is 1,000,000 bytes) and binary for memory (1 MiB is 1,048,576), as
//! networks and operating systems count. It knows figures and numbers, not what they mean.

use super::Figure;

/// A value of a figure with its unit: `233 ms`, `3.72 MB`, `12.3 %`, `1,230/s`.
pub fn figure(figure: Figure, value: f64) -> String {
    match figure.unit() {
        "ms" => milliseconds(value),
        "s" => seconds(value),
        "bytes" if is_traffic(figure) => bytes(value),
        "bytes" => memory(value),
        "bytes/s" => format!("{}/s", bytes(value)),
        "%" => percent(value),
        "% of a core" => format!("{} %", significant(value)),
        "/s" => rate(value),
        _ => plain(value),
    }
}

/// Both ends of an interval of a figure, with the unit once where both have the same: `598 to 630/s`.
pub fn interval(of: Figure, (low, high): (f64, f64)) -> String {
    let (low, high) = (figure(of, low), figure(of, high));
    let unit =
        high.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-'));
    let low = match low.strip_suffix(unit) {
        Some(number) if !number.is_empty() => number,
        _ => &low,
    };
    format!("{low} to {high}")
}

/// A ratio, without a word: `1.42`.
pub fn ratio(value: f64) -> String {
    significant(value)
}

/// Both ends of an interval of a ratio: `1.31 to 1.55`.
pub fn ratio_interval((low, high): (f64, f64)) -> String {
    format!("{} to {}", ratio(low), ratio(high))
}

/// A time in milliseconds; from 10 s on in seconds.
pub fn milliseconds(value: f64) -> String {
    match value.abs() >= 10_000.0 {
        true => format!("{} s", significant(value / 1000.0)),
        false => format!("{} ms", significant(value)),
    }
}

/// A time in seconds; below 1 s in milliseconds.
pub fn seconds(value: f64) -> String {
    match value.abs() < 1.0 && value != 0.0 {
        true => format!("{} ms", significant(value * 1000.0)),
        false => format!("{} s", significant(value)),
    }
}

/// A time that was set rather than measured, in seconds: `233 ms`, `10 s`.
pub fn duration(value: f64) -> String {
    match value.abs() < 1.0 && value != 0.0 {
        true => format!("{} ms", plain(value * 1000.0)),
        false => format!("{} s", plain(value)),
    }
}

/// Whether the bytes of a figure went over a network.
fn is_traffic(figure: Figure) -> bool {
    matches!(figure, Figure::BodyBytes | Figure::RedisSent | Figure::RedisReceived)
}

/// Bytes of memory, in binary units.
pub fn memory(value: f64) -> String {
    let units = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB")];
    match units.iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, unit)) => format!("{} {unit}", significant(value / size)),
        None => format!("{} bytes", plain(value)),
    }
}

/// Bytes in decimal units.
pub fn bytes(value: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    // 999.9 kB is 1.00 MB, not 1,000 kB: decided after rounding.
    match units.iter().find(|(size, _)| value.abs() >= 0.9995 * size) {
        Some((size, unit)) => format!("{} {unit}", significant(value / size)),
        None => format!("{} bytes", plain(value)),
    }
}

/// A share of 0 to 1 in percent.
pub fn percent(share: f64) -> String {
    format!("{} %", significant(share * 100.0))
}

/// Something a second.
pub fn rate(value: f64) -> String {
    format!("{}/s", significant(value))
}

/// A number that counts things on average, without the zeros at its end: `8`, `7.52`.
pub fn plain(value: f64) -> String {
    let text = significant(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// An exact count with separators: `1,234,567`.
pub fn count(value: u64) -> String {
    separated(&value.to_string())
}

/// Three significant digits with separators: `1,230`, `84.1`, `0.0123`; a dash for what is no number.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.2e}");
    let (_, exponent) = scientific.split_once('e').expect("that is its form");
    let exponent: i32 = exponent.parse().expect("it is a number");
    let rounded: f64 = scientific.parse().expect("it was one");
    separated(&format!("{rounded:.*}", (2 - exponent).max(0) as usize))
}

/// A number in decimal digits, with separators between thousands: `-1,234.5`.
pub fn separated(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, rest) = digits.find('.').map_or((digits, ""), |dot| digits.split_at(dot));
    let mut text = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_kept_and_thousands_are_separated() {
        let cases = [
            (0.0, "0"),
            (1234.0, "1,230"),
            (12_345_678.0, "12,300,000"),
            (84.149, "84.1"),
            (999.9, "1,000"),
            (0.012_345, "0.0123"),
            (-1.5, "-1.50"),
            (f64::NAN, "–"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn figures_have_their_units() {
        let cases = [
            (Figure::LatencyMean, 233.0, "233 ms"),
            (Figure::LatencyP99, 12_345.0, "12.3 s"),
            (Figure::BodyBytes, 3_716_000.0, "3.72 MB"),
            (Figure::BodyBytes, 999_960.0, "1.00 MB"),
            (Figure::BodyBytesRate, 150_000.0, "150 kB/s"),
            (Figure::Errors, 0.123_4, "12.3 %"),
            (Figure::ApiCpu, 143.21, "143 %"),
            (Figure::ApiCpuCost, 0.5, "500 ms"),
            (Figure::ApiCpuCost, 8.5, "8.50 s"),
            (Figure::DatabaseConnections, 8.0, "8"),
            (Figure::Rate, 84.149, "84.1/s"),
        ];
        for (of, value, text) in cases {
            assert_eq!(figure(of, value), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
    }
}
