//! The data sets as the seed function makes them, and what a query over them must answer: worked
//! out by brute force, past every database.

use std::sync::OnceLock;

use poolwise::encode::{JsonRows, Layout};
use poolwise::rows::Cell;
use poolwise::seed::Products;
use poolwise::store::backend::{COLUMNS, ProductFeed};

/// Rows of the small data set.
pub const FEW: u64 = 2_000;
/// Rows of the data set whose body no socket buffer swallows.
pub const MANY: u64 = 60_000;
/// The seed of both.
pub const SEED: u64 = 42;

/// A product and its JSON.
pub struct Row {
    pub id: i64,
    pub name: String,
    pub category: String,
    pub cents: i64,
    pub stock: i64,
    pub json: Vec<u8>,
}

/// Every row, ordered by id.
pub struct Dataset(pub Vec<Row>);

impl Dataset {
    /// The data set of this many rows.
    pub fn of(rows: u64) -> &'static Self {
        static SETS: [OnceLock<Dataset>; 2] = [OnceLock::new(), OnceLock::new()];
        let place = [FEW, MANY].iter().position(|known| *known == rows).expect("a known size");
        SETS[place].get_or_init(|| Self::make(rows))
    }

    fn make(rows: u64) -> Self {
        let mut feed = Products::new(rows, SEED);
        let mut all = Vec::new();
        while let Some(cells) = feed.next_row() {
            let [id, _, name, category, price, stock, ..] = cells;
            let (Cell::Int(id), Cell::Text(name), Cell::Text(category)) = (id, name, category)
            else {
                panic!("a product of other types")
            };
            let (Cell::Decimal { unscaled: cents, .. }, Cell::Int(stock)) = (price, stock) else {
                panic!("a product of other types")
            };
            let mut json = Vec::new();
            JsonRows::new(&COLUMNS, Layout::Object).row(&mut json, &cells);
            let (name, category) = (name.to_owned(), category.to_owned());
            all.push(Row { id, name, category, cents, stock, json });
        }
        Self(all)
    }

    /// The whole set as one body, straight from the encoder.
    pub fn body(&self) -> Vec<u8> {
        self.answer(&Filter::default())
    }

    /// The rows that match, in the window that is asked for.
    pub fn select(&self, filter: &Filter) -> impl Iterator<Item = &Row> {
        let matching = self.0.iter().filter(|row| filter.matches(row));
        let window = matching.skip(filter.offset.unwrap_or(0));
        window.take(filter.limit.unwrap_or(usize::MAX))
    }

    /// The body that answers `filter`.
    pub fn answer(&self, filter: &Filter) -> Vec<u8> {
        let rows: Vec<&[u8]> = self.select(filter).map(|row| &*row.json).collect();
        [b"[", &*rows.join(&b","[..]), b"]"].concat()
    }
}

/// The parameters of a product list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    pub category: Option<&'static str>,
    pub min_cents: Option<i64>,
    pub max_cents: Option<i64>,
    pub in_stock: Option<bool>,
    pub limit: Option<usize>,
    pub offset: Option<usize>,
    pub after: Option<i64>,
}

impl Filter {
    fn matches(&self, row: &Row) -> bool {
        self.category.is_none_or(|category| row.category == category)
            && self.min_cents.is_none_or(|min| row.cents >= min)
            && self.max_cents.is_none_or(|max| row.cents <= max)
            && self.in_stock.is_none_or(|wanted| (row.stock > 0) == wanted)
            && self.after.is_none_or(|after| row.id > after)
    }

    /// The parameters as names and values.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let price = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        [
            ("category", self.category.map(str::to_owned)),
            ("min_price", self.min_cents.map(price)),
            ("max_price", self.max_cents.map(price)),
            ("in_stock", self.in_stock.map(|wanted| wanted.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("offset", self.offset.map(|offset| offset.to_string())),
            ("after", self.after.map(|after| after.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// The parameters as the end of a URL.
    pub fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.pairs()).finish()
    }
}
