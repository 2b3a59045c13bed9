//! `datetime(6)` and microseconds since 1970, both in UTC, by whole numbers only.
//!
//! The arithmetic of days is Howard Hinnant's ("chrono-Compatible Low-Level Date Algorithms",
//! `days_from_civil` and `civil_from_days`): years begin in March, so that the leap day is the last,
//! and eras have 400 years.

const DAY_MICROS: i64 = 86_400_000_000;
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// A date and a time of day, as the protocol has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateTime {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

impl DateTime {
    /// Microseconds since 1970; `None` for what is no day, such as `0000-00-00`.
    #[inline]
    pub fn micros_since_1970(self) -> Option<i64> {
        if !(1..=12).contains(&self.month) || !(1..=31).contains(&self.day) {
            return None;
        }
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
        let days = era * ERA_DAYS + day_of_era - EPOCH_DAYS;
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        Some(days * DAY_MICROS + seconds * 1_000_000 + i64::from(self.micros))
    }

    /// The date and time of an instant between the years 0 and 9999.
    pub fn of_micros(micros: i64) -> Self {
        let days = micros.div_euclid(DAY_MICROS) + EPOCH_DAYS;
        let of_day = micros.rem_euclid(DAY_MICROS);
        let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        let seconds = of_day / 1_000_000;
        Self {
            year: (year_of_era + era * 400 + i64::from(month <= 2)) as u16,
            month: month as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            micros: (of_day % 1_000_000) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(year: u16, month: u8, day: u8, second: u8, micros: u32) -> DateTime {
        DateTime { year, month, day, hour: 0, minute: 0, second, micros }
    }

    #[test]
    fn known_days_are_where_they_belong() {
        for (date, micros) in [
            (at(1970, 1, 1, 0, 0), 0),
            (at(1969, 12, 31, 0, 0), -DAY_MICROS),
            (at(2000, 3, 1, 1, 7), 951_868_801_000_007),
            (at(1000, 1, 1, 0, 0), -30_610_224_000_000_000),
            (at(9999, 12, 31, 0, 0), 253_402_214_400_000_000),
        ] {
            assert_eq!(date.micros_since_1970(), Some(micros));
            assert_eq!(DateTime::of_micros(micros), date);
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        assert_eq!(at(0, 0, 0, 0, 0).micros_since_1970(), None);
        assert_eq!(at(2024, 5, 0, 0, 0).micros_since_1970(), None);
    }

    proptest! {
        #[test]
        fn instants_come_back(micros in -62_167_219_200_000_000i64..253_402_300_800_000_000) {
            prop_assert_eq!(DateTime::of_micros(micros).micros_since_1970(), Some(micros));
        }
    }
}
