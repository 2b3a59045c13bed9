//! The binary form of `numeric`, without a float in between.
//!
//! PostgreSQL, src/backend/utils/adt/numeric.c, `numeric_send`: number of digits, weight, sign and
//! scale as 16-bit numbers, then the digits to the base 10000; the value is the sum of
//! digit\[i\] x 10000^(weight - i).

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;

/// Reads a value as an unscaled whole number and its scale; `None` for NaN, infinities and what
/// does not fit.
pub(super) fn read(bytes: &[u8]) -> Option<(i64, u8)> {
    let (header, digits) = bytes.split_first_chunk::<8>()?;
    let word = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
    let count = word(0);
    let weight = i32::from(word(2) as i16);
    let sign = word(4);
    let scale = u8::try_from(word(6)).ok()?;
    if !matches!(sign, POSITIVE | NEGATIVE) || digits.len() != usize::from(count) * 2 {
        return None;
    }
    let mut unscaled: i64 = 0;
    for digit in digits.chunks_exact(2) {
        let digit = i64::from(u16::from_be_bytes([digit[0], digit[1]]));
        unscaled = unscaled.checked_mul(10_000)?.checked_add(digit)?;
    }
    // The last digit stands for 10000^(weight - count + 1); the scale asks for 10^-scale.
    let exponent = (weight - i32::from(count) + 1) * 4 + i32::from(scale);
    if unscaled != 0 {
        let power = 10i64.checked_pow(exponent.unsigned_abs())?;
        unscaled = if exponent >= 0 { unscaled.checked_mul(power)? } else { unscaled / power };
    }
    Some((if sign == NEGATIVE { -unscaled } else { unscaled }, scale))
}

/// Writes an amount in cents, from 0 to 9999999999.
pub(super) fn write_cents(out: &mut BytesMut, cents: i64) {
    let (whole, fraction) = (cents / 100, cents % 100 * 100);
    // Of weight 1, 0 and -1; zeros at either end are left out.
    let groups = [(whole / 10_000) as u16, (whole % 10_000) as u16, fraction as u16];
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let end = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
    let digits = &groups[first..end];
    out.put_i16(digits.len() as i16);
    out.put_i16(if digits.is_empty() { 0 } else { 1 - first as i16 });
    out.put_u16(POSITIVE);
    out.put_i16(2);
    digits.iter().for_each(|digit| out.put_u16(*digit));
}

/// An amount in cents, from 0.00 to 99999999.99, bound as `numeric`.
#[derive(Debug)]
pub(super) struct Cents(pub i64);

impl ToSql for Cents {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        write_cents(out, self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn not_a_number_is_refused() {
        assert_eq!(read(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), None);
        assert_eq!(read(&[0, 1]), None);
        assert_eq!(read(&[0, 1, 0, 0, 0, 0, 0, 2]), None, "a digit is missing");
    }

    proptest! {
        #[test]
        fn amounts_read_back_as_written(cents in 0i64..=9_999_999_999) {
            let mut out = BytesMut::new();
            write_cents(&mut out, cents);
            prop_assert_eq!(read(&out), Some((cents, 2)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes);
        }
    }
}
