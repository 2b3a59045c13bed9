//! The domain words: which products an answer holds, validated and bounded.
//!
//! Knows nothing of HTTP, SQL or configuration; everything else may import it.

use std::fmt;
use std::str::FromStr;

/// The largest `limit` a client may ask for.
pub const MAX_LIMIT: u32 = 10_000;
/// So many parameters are said to be wrong at once.
const MAX_PROBLEMS: usize = 20;
/// The longest `category` a client may ask for, in characters.
pub const MAX_CATEGORY_CHARS: usize = 100;

/// A price in cents, from 0.00 to 99999999.99: what `numeric(10,2)` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(i64);

impl Price {
    /// The highest price that the column can hold.
    pub const MAX: Price = Price(9_999_999_999);

    /// A price of this many cents; `None` outside 0 to [`Price::MAX`].
    pub fn from_cents(cents: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&cents).then_some(Self(cents))
    }

    /// The price in cents.
    pub fn cents(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl FromStr for Price {
    type Err = &'static str;

    /// Reads digits with at most two decimals: `12`, `12.5`, `12.50`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str =
            "must be a price from 0 to 99999999.99 with at most two decimals, such as 12.50";
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 2 || whole.len() > 8 {
            return Err(SHAPE);
        }
        let whole: i64 = whole.parse().map_err(|_| SHAPE)?;
        let fraction: i64 = format!("{fraction:0<2}").parse().map_err(|_| SHAPE)?;
        Price::from_cents(whole * 100 + fraction).ok_or(SHAPE)
    }
}

/// Where a list of products starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// With the first product that matches.
    #[default]
    First,
    /// This many matching products later.
    Offset(i64),
    /// With the first id above this one (keyset paging).
    After(i64),
}

/// Which products to answer with, ordered by id.
///
/// Made by [`ProductQuery::from_pairs`] or [`ProductQuery::by_id`], so that a value out of range
/// cannot reach a backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ProductQuery {
    id: Option<i64>,
    category: Option<String>,
    min_price: Option<Price>,
    max_price: Option<Price>,
    in_stock: Option<bool>,
    limit: Option<u32>,
    start: Start,
}

/// A query parameter that was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidParameter {
    /// The parameter's name as the client wrote it.
    pub name: String,
    /// What is wrong and what is allowed, as the end of the sentence "parameter `name` ...".
    pub reason: String,
}

impl ProductQuery {
    /// The one product with this id.
    pub fn by_id(id: i64) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Reads a list query from decoded name and value pairs.
    ///
    /// # Errors
    /// Every problem at once: unknown, repeated and malformed parameters, values out of range,
    /// `after` together with `offset`, `min_price` above `max_price`.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Vec<InvalidParameter>> {
        let mut query = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let mut problems = Vec::new();
        for (name, value) in pairs {
            let name = name.as_ref();
            let refused = if seen.iter().any(|other| other == name) {
                Err("is given more than once".to_owned())
            } else {
                seen.push(name.to_owned());
                query.set(name, value.as_ref())
            };
            if let Err(reason) = refused {
                // Enough to mend it; a URL can hold thousands.
                if problems.len() == MAX_PROBLEMS {
                    break;
                }
                problems.push(InvalidParameter { name: name.to_owned(), reason });
            }
        }
        problems.extend(query.contradictions(&seen));
        if problems.is_empty() { Ok(query) } else { Err(problems) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "category" => self.category = Some(category(value)?),
            "min_price" => self.min_price = Some(value.parse()?),
            "max_price" => self.max_price = Some(value.parse()?),
            "in_stock" => {
                self.in_stock = Some(value.parse().map_err(|_| "must be true or false")?);
            }
            "limit" => self.limit = Some(whole_number(value, 1, i64::from(MAX_LIMIT))? as u32),
            "offset" => self.start = Start::Offset(whole_number(value, 0, i64::MAX)?),
            "after" => self.start = Start::After(whole_number(value, 0, i64::MAX)?),
            _ => return Err(format!("is not known; known are {}", PARAMETER_NAMES.join(", "))),
        }
        Ok(())
    }

    fn contradictions(&self, seen: &[String]) -> Vec<InvalidParameter> {
        let mut found = Vec::new();
        let given = |name: &str| seen.iter().any(|other| other == name);
        if given("after") && given("offset") {
            found.push(InvalidParameter {
                name: "after".into(),
                reason: "cannot be combined with offset; use one of the two".into(),
            });
        }
        if let (Some(min), Some(max)) = (self.min_price, self.max_price)
            && min > max
        {
            found.push(InvalidParameter {
                name: "min_price".into(),
                reason: format!("is {min} and must not be above max_price, which is {max}"),
            });
        }
        found
    }

    /// The id of the one product asked for, where it is not a list.
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Only products of this category.
    pub fn category(&self) -> Option<&str> {
        self.category.as_deref()
    }

    /// Only products that cost at least this.
    pub fn min_price(&self) -> Option<Price> {
        self.min_price
    }

    /// Only products that cost at most this.
    pub fn max_price(&self) -> Option<Price> {
        self.max_price
    }

    /// Only products with a stock above 0 (`true`) or of 0 (`false`).
    pub fn in_stock(&self) -> Option<bool> {
        self.in_stock
    }

    /// At most this many products; `None` is all that match.
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Where the list starts.
    pub fn start(&self) -> Start {
        self.start
    }

    /// The query of the page after a full one whose last product was `last_id`; `None` without a limit.
    pub fn next_page(&self, last_id: i64) -> Option<Self> {
        let limit = i64::from(self.limit?);
        let start = match self.start {
            Start::First | Start::After(_) => Start::After(last_id),
            Start::Offset(offset) => Start::Offset(offset.checked_add(limit)?),
        };
        Some(Self { start, ..self.clone() })
    }

    /// The parameters as the query of a URL, without the question mark.
    pub fn to_url(&self) -> String {
        let mut url = form_urlencoded::Serializer::new(String::new());
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                url.append_pair(name, &value);
            }
        };
        put("category", self.category.clone());
        put("min_price", self.min_price.map(|price| price.to_string()));
        put("max_price", self.max_price.map(|price| price.to_string()));
        put("in_stock", self.in_stock.map(|in_stock| in_stock.to_string()));
        put("limit", self.limit.map(|limit| limit.to_string()));
        match self.start {
            Start::First => {}
            Start::Offset(offset) => put("offset", Some(offset.to_string())),
            Start::After(id) => put("after", Some(id.to_string())),
        }
        url.finish()
    }

    /// The parameters in one order and one spelling: equal queries give equal text, unequal ones
    /// do not, so it can be a cache key.
    pub fn canonical(&self) -> String {
        use fmt::Write;
        let mut text = String::with_capacity(64);
        let mut put = |name: &str, value: &dyn fmt::Display| {
            let separator = if text.is_empty() { "" } else { "&" };
            write!(text, "{separator}{name}={value}").expect("writing to a String cannot fail");
        };
        if let Some(id) = self.id {
            put("id", &id);
        }
        if let Some(min) = self.min_price {
            put("min_price", &min);
        }
        if let Some(max) = self.max_price {
            put("max_price", &max);
        }
        if let Some(in_stock) = self.in_stock {
            put("in_stock", &in_stock);
        }
        if let Some(limit) = self.limit {
            put("limit", &limit);
        }
        match self.start {
            Start::First | Start::Offset(0) | Start::After(0) => {}
            Start::Offset(offset) => put("offset", &offset),
            Start::After(id) => put("after", &id),
        }
        // Last, because it is the only free text: nothing that it contains can pose as a parameter.
        if let Some(category) = &self.category {
            put("category", category);
        }
        text
    }
}

/// The names of the list parameters, in the order in which they are documented.
pub const PARAMETER_NAMES: [&str; 7] =
    ["category", "min_price", "max_price", "in_stock", "limit", "offset", "after"];

fn category(value: &str) -> Result<String, String> {
    if value.chars().count() > MAX_CATEGORY_CHARS {
        return Err(format!("must have at most {MAX_CATEGORY_CHARS} characters"));
    }
    if value.contains('\0') {
        return Err("must not contain U+0000".into());
    }
    Ok(value.to_owned())
}

fn whole_number(value: &str, min: i64, max: i64) -> Result<i64, String> {
    let range = || format!("must be a whole number from {min} to {max}");
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(range());
    }
    value.parse().ok().filter(|n| (min..=max).contains(n)).ok_or_else(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        ProductQuery::from_pairs(pairs.iter().copied())
            .expect_err("must be refused")
            .into_iter()
            .map(|p| format!("{} {}", p.name, p.reason))
            .collect()
    }

    #[test]
    fn every_documented_parameter_is_understood() {
        let values = ["books", "1", "2.50", "true", "20", "0", "7"];
        for (name, value) in PARAMETER_NAMES.iter().zip(values) {
            ProductQuery::from_pairs([(*name, value)]).expect(name);
        }
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let found = problems(&[
            ("limit", "0"),
            ("colour", "red"),
            ("min_price", "1.234"),
            ("in_stock", "yes"),
            ("offset", "-1"),
            ("after", "1"),
            ("limit", "5"),
        ]);
        for expected in [
            "limit must be a whole number from 1 to 10000",
            "colour is not known",
            "min_price must be a price",
            "in_stock must be true or false",
            "offset must be a whole number from 0",
            "limit is given more than once",
            "after cannot be combined with offset",
        ] {
            assert!(found.iter().any(|f| f.starts_with(expected)), "{expected} in {found:?}");
        }
    }

    #[test]
    fn a_minimum_above_the_maximum_is_refused() {
        let found = problems(&[("min_price", "10"), ("max_price", "9.99")]);
        assert_eq!(found, ["min_price is 10.00 and must not be above max_price, which is 9.99"]);
    }

    #[test]
    fn prices_are_exact() {
        for (text, cents) in [("0", 0), ("12.5", 1250), ("0.01", 1), ("99999999.99", 9_999_999_999)]
        {
            assert_eq!(text.parse::<Price>().unwrap().cents(), cents, "{text}");
        }
        for text in ["", ".5", "1.", "-1", "1e3", "1.000", "100000000", "NaN", "1,5", "+1", "１"] {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_next_page_begins_where_this_one_ends_and_can_be_asked_for() {
        let read =
            |pairs: &[(&str, &str)]| ProductQuery::from_pairs(pairs.iter().copied()).unwrap();
        for (pairs, next) in [
            (vec![("limit", "20")], Some("limit=20&after=77")),
            (vec![("limit", "20"), ("after", "57")], Some("limit=20&after=77")),
            (vec![("limit", "20"), ("offset", "0")], Some("limit=20&offset=20")),
            (
                vec![
                    ("category", "a&b é"),
                    ("min_price", "1.5"),
                    ("in_stock", "true"),
                    ("limit", "1"),
                ],
                Some("category=a%26b+%C3%A9&min_price=1.50&in_stock=true&limit=1&after=77"),
            ),
            (vec![("category", "a")], None),
        ] {
            let found = read(&pairs).next_page(77);
            assert_eq!(found.as_ref().map(ProductQuery::to_url).as_deref(), next);
            if let Some(found) = found {
                let url = found.to_url();
                let pairs = form_urlencoded::parse(url.as_bytes());
                assert_eq!(ProductQuery::from_pairs(pairs), Ok(found));
            }
        }
        let last = [("limit", "10"), ("offset", "9223372036854775807")];
        assert_eq!(read(&last).next_page(1), None, "there is no such offset");
    }

    #[test]
    fn the_order_and_spelling_of_parameters_do_not_change_the_key() {
        let key = |pairs: &[(&str, &str)]| {
            ProductQuery::from_pairs(pairs.iter().copied()).unwrap().canonical()
        };
        assert_eq!(
            key(&[("limit", "5"), ("min_price", "1"), ("offset", "0")]),
            key(&[("min_price", "1.00"), ("limit", "05")]),
        );
        assert_ne!(key(&[("offset", "3")]), key(&[("after", "3")]));
        assert_ne!(key(&[("category", "a"), ("limit", "5")]), key(&[("category", "a&limit=5")]),);
    }
}
