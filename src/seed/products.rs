//! The data set: a pure function of row number and seed, the same bytes everywhere.
//!
//! Whole-number arithmetic only, so that no machine rounds differently.

use crate::rows::Cell;
use crate::store::backend::{ProductFeed, ProductRow};

/// Every 20 rows in a row, 7 are of this category: exactly 35 % of any multiple of 20.
pub const THE_CATEGORY: &str = "electronics";
const BLOCK: u64 = 20;
const THE_CATEGORY_IN_A_BLOCK: u64 = 7;

/// The other categories and their shares of the rest, in 1/100.
const OTHER_CATEGORIES: [(&str, u64); 9] = [
    ("books", 24),
    ("home", 19),
    ("toys", 15),
    ("garden", 12),
    ("sports", 10),
    ("clothing", 8),
    ("music", 6),
    ("tools", 4),
    ("food", 2),
];

const ADJECTIVES: [&str; 16] = [
    "Red", "Blue", "Solar", "Mini", "Quiet", "Swift", "Oak", "Steel", "Soft", "Bright", "Smart",
    "Retro", "Nordic", "Ultra", "Eco", "Pro",
];
const NOUNS: [&str; 16] = [
    "Lamp", "Radio", "Chair", "Kettle", "Drone", "Clock", "Mug", "Tent", "Phone", "Globe", "Fan",
    "Bike", "Drum", "Scale", "Desk", "Torch",
];
/// Every 97th name is one that an encoder has to escape or that is not ASCII.
const AWKWARD_EVERY: u64 = 97;
const AWKWARD: [&str; 10] = [
    "15\" \"Cinema\" Screen",
    "Café Crème Brûlée",
    "Rocket 🚀 Kit",
    "Back\\slash Ruler",
    "Tab\there",
    "Line\nbreak",
    "Bell\u{7} and \u{1f}unit",
    "日本の茶碗",
    "</script><b>",
    "Zoë's Ünïque\r\nVase",
];

/// 2020-01-01T00:00:00Z.
const FIRST_CREATED_MICROS: i64 = 1_577_836_800_000_000;
const FIVE_YEARS_MICROS: u64 = 5 * 365 * 86_400 * 1_000_000;
const ONE_YEAR_MICROS: u64 = 365 * 86_400 * 1_000_000;

/// SplitMix64's finaliser over its sequence (Steele, Lea, Flood: "Fast Splittable Pseudorandom
/// Number Generators", 2014): a well-mixed number for each (seed, row, purpose).
fn mixed(seed: u64, row: u64, purpose: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .wrapping_add(row.wrapping_mul(8).wrapping_add(purpose).wrapping_mul(GOLDEN));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Makes rows one after another.
pub struct Products {
    seed: u64,
    rows: u64,
    next: u64,
    sku: String,
    name: String,
}

impl Products {
    /// The first `rows` products of `seed`.
    pub fn new(rows: u64, seed: u64) -> Self {
        Self { seed, rows, next: 1, sku: String::new(), name: String::new() }
    }
}

impl ProductFeed for Products {
    fn next_row(&mut self) -> Option<ProductRow<'_>> {
        let row = self.next;
        if row > self.rows {
            return None;
        }
        self.next += 1;
        let category = category(self.seed, row);
        write_sku(&mut self.sku, category, row);
        write_name(&mut self.name, self.seed, row);
        let created = FIRST_CREATED_MICROS + (mixed(self.seed, row, 3) % FIVE_YEARS_MICROS) as i64;
        let updated = created + (mixed(self.seed, row, 4) % ONE_YEAR_MICROS) as i64;
        Some([
            Cell::Int(row as i64),
            Cell::Text(&self.sku),
            Cell::Text(&self.name),
            Cell::Text(category),
            Cell::Decimal { unscaled: price_cents(self.seed, row), scale: 2 },
            Cell::Int(stock(self.seed, row)),
            Cell::Timestamp(created),
            Cell::Timestamp(updated),
        ])
    }
}

fn category(seed: u64, row: u64) -> &'static str {
    let (block, place) = ((row - 1) / BLOCK, (row - 1) % BLOCK);
    // A rotation of each block by its own number: 7 of 20 whatever the seed.
    let shift = mixed(seed, block, 5) % BLOCK;
    // Steps of 3 spread the seven over the block.
    if (place * 3 + shift) % BLOCK < THE_CATEGORY_IN_A_BLOCK {
        return THE_CATEGORY;
    }
    let mut share = mixed(seed, row, 0) % 100;
    for (name, percent) in OTHER_CATEGORIES {
        if share < percent {
            return name;
        }
        share -= percent;
    }
    unreachable!("the shares of the categories add up to 100: a test holds it")
}

/// Two letters of the category and the row number to the base 36.
fn write_sku(out: &mut String, category: &str, row: u64) {
    out.clear();
    out.extend(category.chars().take(2).map(|c| c.to_ascii_uppercase()));
    let mut digits = [b'0'; 13];
    let (mut rest, mut first) = (row, digits.len());
    while rest > 0 || first > digits.len() - 4 {
        first -= 1;
        digits[first] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize];
        rest /= 36;
    }
    out.extend(digits[first..].iter().map(|digit| *digit as char));
}

fn write_name(out: &mut String, seed: u64, row: u64) {
    out.clear();
    if row.is_multiple_of(AWKWARD_EVERY) {
        out.push_str(AWKWARD[(row / AWKWARD_EVERY) as usize % AWKWARD.len()]);
        return;
    }
    let mixed = mixed(seed, row, 1);
    out.push_str(ADJECTIVES[mixed as usize % ADJECTIVES.len()]);
    out.push(' ');
    out.push_str(NOUNS[(mixed >> 8) as usize % NOUNS.len()]);
}

/// 12 % are out of stock, the rest have 1 to 500.
fn stock(seed: u64, row: u64) -> i64 {
    let mixed = mixed(seed, row, 2);
    if mixed % 100 < 12 { 0 } else { (mixed >> 32) as i64 % 500 + 1 }
}

/// Where a row stands among all prices, from 0 to 2^32 - 1. Multiples of the golden ratio lie so
/// evenly (a Weyl sequence) that any stretch of 35 % holds 35 % of the rows, to within a few.
fn price_rank(seed: u64, row: u64) -> u64 {
    row.wrapping_mul(GOLDEN).wrapping_add(mixed(seed, 0, 6)) >> 32
}

/// The price at a rank: from 1.00 to 2000.99, cheap ones denser than dear ones.
const fn price_at(rank: u64) -> i64 {
    (100 + rank * 20_000 / (1 << 32) + ((((rank * rank) >> 32) * 180_000) >> 32)) as i64
}

fn price_cents(seed: u64, row: u64) -> i64 {
    price_at(price_rank(seed, row))
}

/// How many documented price windows there are.
pub const PRICE_WINDOWS: usize = 22;

/// The price windows of docs/DATA.md, as `min_price` and `max_price` in cents, of which each matches 35 % of the rows
/// (34 to 36 % of any data set of 1,000 rows or more).
pub fn price_windows() -> [(i64, i64); PRICE_WINDOWS] {
    // From 0 in steps of 2.95 %: the last one ends just below 100 %.
    std::array::from_fn(|window| {
        let percent_of = |hundredths: u64| (hundredths << 32) / 10_000;
        let from = window as u64 * 295;
        (price_at(percent_of(from)), price_at(percent_of(from + 3500)) - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rows: u64, seed: u64, matches: impl Fn(&ProductRow<'_>) -> bool) -> u64 {
        let mut products = Products::new(rows, seed);
        let mut found = 0;
        while let Some(row) = products.next_row() {
            found += u64::from(matches(&row));
        }
        found
    }

    #[test]
    fn exactly_35_percent_are_electronics() {
        for (rows, seed) in [(60_000, 42), (2_000, 42), (20, 0), (100_000, u64::MAX)] {
            let found = count(rows, seed, |row| row[3] == Cell::Text(THE_CATEGORY));
            assert_eq!(found * 20, rows * 7, "{rows} rows of seed {seed}");
        }
    }

    #[test]
    fn the_shares_of_the_other_categories_add_up() {
        assert_eq!(OTHER_CATEGORIES.iter().map(|(_, share)| share).sum::<u64>(), 100);
    }

    #[test]
    fn every_price_window_matches_34_to_36_percent() {
        for (rows, seed) in [(60_000, 42), (2_000, 42), (2_000, 7)] {
            for (min, max) in price_windows() {
                let found = count(rows, seed, |row| match row[4] {
                    Cell::Decimal { unscaled, .. } => (min..=max).contains(&unscaled),
                    _ => false,
                });
                let percent = found as f64 * 100.0 / rows as f64;
                assert!((34.0..=36.0).contains(&percent), "{min}..{max} of {rows}: {percent} %");
            }
        }
    }

    #[test]
    fn every_price_window_is_documented() {
        let document = include_str!("../../docs/DATA.md");
        for (min, max) in price_windows() {
            let decimal = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
            let window = format!("`min_price={}&max_price={}`", decimal(min), decimal(max));
            assert!(document.contains(&window), "{window} is not in docs/DATA.md");
        }
    }

    #[test]
    fn price_windows_are_distinct_and_prices_positive() {
        let windows = price_windows();
        let distinct: std::collections::HashSet<_> = windows.iter().collect();
        assert_eq!(distinct.len(), PRICE_WINDOWS);
        assert!(windows.iter().all(|(min, max)| *min >= 100 && min < max));
    }

    #[test]
    fn skus_are_unique_and_no_text_has_a_nul() {
        let mut products = Products::new(60_000, 42);
        let mut skus = std::collections::HashSet::new();
        while let Some(row) = products.next_row() {
            let Cell::Text(sku) = row[1] else { panic!("a sku is text") };
            assert!(skus.insert(sku.to_owned()), "{sku} twice");
            for cell in row {
                assert!(!matches!(cell, Cell::Null));
                if let Cell::Text(text) = cell {
                    assert!(!text.contains('\0'));
                }
            }
        }
    }

    /// The bytes are a promise: a change of them breaks everybody's comparisons.
    #[test]
    fn the_first_rows_of_the_default_seed_do_not_change() {
        let mut products = Products::new(2, 42);
        let first = format!("{:?}", products.next_row().unwrap());
        assert_eq!(first, FIRST_ROW);
    }

    const FIRST_ROW: &str = "[Int(1), Text(\"BO0001\"), Text(\"Blue Phone\"), Text(\"books\"), \
        Decimal { unscaled: 74155, scale: 2 }, Int(205), Timestamp(1661002530217878), \
        Timestamp(1668078444188872)]";
}
