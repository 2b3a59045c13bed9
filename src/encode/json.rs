//! Cells to JSON text, straight into a byte buffer: no value tree, no struct a row.

use crate::rows::Cell;

/// What surrounds the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[{...},{...}]`, `[]` when there is none.
    Array,
    /// `{...}` for the first row, nothing when there is none.
    Object,
}

/// Encodes rows of fixed columns.
#[derive(Debug)]
pub struct JsonRows {
    /// What stands before each cell: `{"id":`, then `,"sku":` and so on.
    prefixes: Vec<Prefix>,
    layout: Layout,
    rows: u64,
}

impl JsonRows {
    /// An encoder for rows with these columns.
    pub fn new(columns: &[&str], layout: Layout) -> Self {
        let prefixes = columns
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let mut prefix = vec![if i == 0 { b'{' } else { b',' }];
                write_text(&mut prefix, name);
                prefix.push(b':');
                Prefix::new(&prefix)
            })
            .collect();
        Self { prefixes, layout, rows: 0 }
    }

    /// Writes what stands before the first row.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if self.layout == Layout::Array {
            out.push(b'[');
        }
    }

    /// Writes one row; cells in the order of the columns.
    pub fn row(&mut self, out: &mut Vec<u8>, cells: &[Cell<'_>]) {
        debug_assert_eq!(cells.len(), self.prefixes.len());
        if self.rows > 0 {
            out.push(b',');
        }
        self.rows += 1;
        for (prefix, cell) in self.prefixes.iter().zip(cells) {
            prefix.write(out);
            write_cell(out, cell);
        }
        out.push(b'}');
    }

    /// Writes what stands after the last row.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.layout == Layout::Array {
            out.push(b']');
        }
    }
}

/// A constant text that is written once a row.
#[derive(Debug)]
struct Prefix {
    /// Its first bytes, padded: a copy of a fixed size is two moves, one of any size is a call.
    padded: [u8; Self::PADDED],
    /// How many of them count.
    short: usize,
    /// The rest of a long one.
    rest: Box<[u8]>,
}

impl Prefix {
    const PADDED: usize = 16;

    fn new(text: &[u8]) -> Self {
        let short = text.len().min(Self::PADDED);
        let mut padded = [0; Self::PADDED];
        padded[..short].copy_from_slice(&text[..short]);
        Self { padded, short, rest: text[short..].into() }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.short;
        out.extend_from_slice(&self.padded);
        out.truncate(end);
        if !self.rest.is_empty() {
            out.extend_from_slice(&self.rest);
        }
    }
}

#[inline]
fn write_cell(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match *cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Bool(true) => out.extend_from_slice(b"true"),
        Cell::Bool(false) => out.extend_from_slice(b"false"),
        Cell::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Cell::Text(text) => write_text(out, text),
        Cell::Unchecked(bytes) => write_unchecked(out, bytes),
        Cell::Decimal { unscaled, scale } => write_decimal(out, unscaled, scale),
        Cell::Timestamp(micros) => write_timestamp(out, micros),
    }
}

/// For each byte 0 where it may stand as it is, `u` where it becomes `\u00XX`, else the letter
/// that follows the backslash (RFC 8259, section 7; the same choices as serde_json).
const ESCAPE: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0A] = b'n';
    table[0x0C] = b'f';
    table[0x0D] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

#[inline]
fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    match look(text.as_bytes()) {
        Found { special: false, .. } => out.extend_from_slice(text.as_bytes()),
        _ => write_escaped(out, text.as_bytes()),
    }
    out.push(b'"');
}

#[inline]
fn write_unchecked(out: &mut Vec<u8>, bytes: &[u8]) {
    match look(bytes) {
        Found { special: false, beyond_ascii: false } => {
            out.push(b'"');
            out.extend_from_slice(bytes);
            out.push(b'"');
        }
        _ => write_text(out, &String::from_utf8_lossy(bytes)),
    }
}

/// What a text contains.
#[derive(Clone, Copy)]
struct Found {
    /// Bytes that must be escaped.
    special: bool,
    /// Bytes of 0x80 and above.
    beyond_ascii: bool,
}

/// Looks at eight bytes at a time. For each byte of a word: below 0x20, or 0 after a quote or a
/// backslash was taken away. ("Bit Twiddling Hacks", Sean Eron Anderson, "Determine if a word has
/// a byte less than n" and "has a zero byte".)
#[inline]
fn look(bytes: &[u8]) -> Found {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    let (mut special, mut beyond_ascii) = (0, 0);
    let mut see = |word: u64| {
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * b'"' as u64));
        let backslash = zero(word ^ (ONES * b'\\' as u64));
        special |= control | quote | backslash;
        beyond_ascii |= word;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().for_each(|word| see(u64::from_le_bytes(*word)));
    if let Some(last) = bytes.last_chunk::<8>() {
        see(u64::from_le_bytes(*last));
    } else {
        // Padded with a byte that needs no escape.
        let mut last = [b' '; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        see(u64::from_le_bytes(last));
    }
    Found { special: special & HIGH != 0, beyond_ascii: beyond_ascii & HIGH != 0 }
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut written = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPE[byte as usize];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[written..i]);
        written = i + 1;
        if escape == b'u' {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let [high, low] = [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&bytes[written..]);
}

fn write_decimal(out: &mut Vec<u8>, unscaled: i64, scale: u8) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs()).as_bytes();
    if unscaled < 0 {
        out.push(b'-');
    }
    let scale = usize::from(scale);
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An instant as it stands in an answer, without quotes.
pub fn timestamp(micros: i64) -> String {
    let mut out = Vec::with_capacity(29);
    write_timestamp(&mut out, micros);
    String::from_utf8_lossy(&out).trim_matches('"').to_owned()
}

/// `"2024-01-02T03:04:05.000000Z"`; years outside 0 to 9999 in ISO 8601's expanded form.
fn write_timestamp(out: &mut Vec<u8>, micros: i64) {
    let (year, month, day) = civil_from_days(micros.div_euclid(MICROS_PER_DAY));
    if !(0..=9999).contains(&year) {
        return write_expanded_timestamp(out, year, month, day, micros);
    }
    let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
    let mut put = |at: usize, value: u64| {
        text[at..at + 2].copy_from_slice(&DIGIT_PAIRS[(value % 100) as usize]);
    };
    let of_day = micros.rem_euclid(MICROS_PER_DAY) as u64;
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    put(1, year as u64 / 100);
    put(3, year as u64 % 100);
    put(6, month);
    put(9, day);
    put(12, seconds / 3600);
    put(15, seconds / 60 % 60);
    put(18, seconds % 60);
    put(21, fraction / 10_000);
    put(23, fraction / 100 % 100);
    put(25, fraction % 100);
    out.extend_from_slice(&text);
}

#[cold]
fn write_expanded_timestamp(out: &mut Vec<u8>, year: i64, month: u64, day: u64, micros: i64) {
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let text = format!(
        "\"{year:+07}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:06}Z\"",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
    );
    out.extend_from_slice(text.as_bytes());
}

/// Days since 1970-01-01 to year, month and day of the proleptic Gregorian calendar.
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, u64, u64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097) as u64;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era as i64 + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(columns: &[&str], layout: Layout, rows: &[Vec<Cell<'_>>]) -> String {
        let mut json = JsonRows::new(columns, layout);
        let mut out = Vec::new();
        json.begin(&mut out);
        for row in rows {
            json.row(&mut out, row);
        }
        json.end(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    fn cell(cell: Cell<'_>) -> String {
        let mut out = Vec::new();
        write_cell(&mut out, &cell);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn no_rows_are_an_empty_array_and_no_object() {
        assert_eq!(encoded(&["id"], Layout::Array, &[]), "[]");
        assert_eq!(encoded(&["id"], Layout::Object, &[]), "");
    }

    #[test]
    fn rows_keep_the_order_of_their_columns() {
        let rows = [vec![Cell::Int(1), Cell::Null], vec![Cell::Int(2), Cell::Bool(true)]];
        assert_eq!(
            encoded(&["id", "a\"b"], Layout::Array, &rows),
            r#"[{"id":1,"a\"b":null},{"id":2,"a\"b":true}]"#
        );
        assert_eq!(encoded(&["id", "x"], Layout::Object, &rows[..1]), r#"{"id":1,"x":null}"#);
    }

    #[test]
    fn known_instants_are_written_as_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_704_164_645_000_000, "2024-01-02T03:04:05.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "+010000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(cell(Cell::Timestamp(micros)), format!("\"{text}\""));
        }
    }

    proptest! {
        #[test]
        fn text_is_what_serde_json_writes(text in any::<String>(), control in "[\\x00-\\x7f]{0,40}") {
            for text in [&text, &control] {
                let expected = serde_json::to_string(text).unwrap();
                prop_assert_eq!(cell(Cell::Text(text)), expected.clone());
                prop_assert_eq!(cell(Cell::Unchecked(text.as_bytes())), expected);
            }
        }

        #[test]
        fn bytes_that_are_not_utf_8_are_replaced(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = serde_json::to_string(&String::from_utf8_lossy(&bytes)).unwrap();
            prop_assert_eq!(cell(Cell::Unchecked(&bytes)), expected);
        }

        #[test]
        fn whole_numbers_are_what_serde_json_writes(value in any::<i64>()) {
            prop_assert_eq!(cell(Cell::Int(value)), serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn decimals_are_exact_numbers_with_all_their_decimals(unscaled in any::<i64>(), scale in 0u8..=12) {
            let text = cell(Cell::Decimal { unscaled, scale });
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{}", text);
            let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            prop_assert_eq!(decimals, usize::from(scale));
            prop_assert_eq!(text.replace('.', "").parse::<i64>().unwrap(), unscaled);
        }

        #[test]
        fn timestamps_read_back_as_the_same_instant(micros in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            let text = cell(Cell::Timestamp(micros));
            prop_assert_eq!(text.len(), 29);
            let system = humantime::parse_rfc3339(text.trim_matches('"'));
            // humantime reads 1970 to 9999; before that only the shape is checked.
            if micros >= 0 {
                let since = system.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
                prop_assert_eq!(since.as_micros() as i64, micros);
            }
        }

        #[test]
        fn a_row_of_anything_is_one_valid_object(
            text in any::<String>(), number in any::<i64>(), flag in any::<bool>(), micros in 0i64..4_000_000_000_000_000,
        ) {
            let row = vec![
                Cell::Text(&text), Cell::Int(number), Cell::Bool(flag), Cell::Null,
                Cell::Decimal { unscaled: number, scale: 2 }, Cell::Timestamp(micros),
            ];
            let json = encoded(&["t", "n", "b", "z", "d", "at"], Layout::Array, &[row.clone(), row]);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(value.as_array().unwrap().len(), 2);
            prop_assert_eq!(&value[1]["t"], &serde_json::json!(text));
            prop_assert_eq!(&value[1]["n"], &serde_json::json!(number));
            prop_assert_eq!(&value[0]["b"], &serde_json::json!(flag));
            prop_assert!(value[0]["z"].is_null());
        }
    }
}
