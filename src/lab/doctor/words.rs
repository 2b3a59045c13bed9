//! Numbers as they are read in findings: three digits, and the unit.

use std::time::Duration;

/// Three significant digits, whole numbers in full with commas.
pub(super) fn number(value: f64) -> String {
    let whole = value.round();
    if value.abs() >= 999.5 || (value - whole).abs() < 1e-9 {
        let digits = format!("{:.0}", whole.abs());
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        return if whole < 0.0 { format!("-{text}") } else { text };
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (2 - magnitude).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// A time in milliseconds below 1 s, else in seconds.
pub(super) fn seconds(time: f64) -> String {
    if time < 1.0 { format!("{} ms", number(time * 1000.0)) } else { format!("{} s", number(time)) }
}

/// The same of a [`Duration`].
pub(super) fn time(time: Duration) -> String {
    seconds(time.as_secs_f64())
}

/// Bytes in powers of 1000, as networks count them.
pub(super) fn bytes(value: f64) -> String {
    scaled(value, &["bytes", "kB", "MB", "GB", "TB"])
}

/// Bits a second.
pub(super) fn bits_per_second(value: f64) -> String {
    scaled(value, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

fn scaled(value: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().expect("there is one unit at least");
    while value >= 999.5
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = next;
    }
    format!("{} {unit}", number(value))
}

/// `a, b and c`.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_their_unit() {
        for (value, text) in [
            (85.836, "85.8"),
            (0.8333, "0.833"),
            (20.0, "20"),
            (999.7, "1,000"),
            (2_000_000.0, "2,000,000"),
            (233.4, "233"),
            (-12.5, "-12.5"),
            (0.0, "0"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!((seconds(0.0269), seconds(300.0)), ("26.9 ms".into(), "300 s".into()));
        assert_eq!((bytes(3_717_000.0), bytes(999.0)), ("3.72 MB".into(), "999 bytes".into()));
        assert_eq!(
            (bits_per_second(2.552e9), percent(0.832)),
            ("2.55 Gbit/s".into(), "83.2 %".into())
        );
        assert_eq!((list(&["a", "b", "c"]), list(&["a"])), ("a, b and c".into(), "a".into()));
    }
}
