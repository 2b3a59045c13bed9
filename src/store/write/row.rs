//! Products as they are stored, and their JSON: the same bytes as those of a read.

use crate::catalogue::NewProduct;
use crate::encode::{JsonRows, Layout};
use crate::query::Price;
use crate::rows::Cell;
use crate::store::backend::{COLUMNS, Datum};
use crate::store::{ErrorKind, StoreError};

/// A product that is stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub id: i64,
    pub product: NewProduct,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// Microseconds since 1970.
    pub updated_at: i64,
}

impl Stored {
    /// Reads a row of [`COLUMNS`].
    pub fn read(row: Vec<Datum>) -> Result<Self, StoreError> {
        use Datum::{Int, Price as Cents, Text, Timestamp};
        let shape = <[Datum; COLUMNS.len()]>::try_from(row);
        if let Ok(
            [
                Int(id),
                Text(sku),
                Text(name),
                Text(category),
                Cents(cents),
                Int(stock),
                Timestamp(created_at),
                Timestamp(updated_at),
            ],
        ) = shape
            && let Some(price) = Price::from_cents(cents)
        {
            let product = NewProduct::from_parts((sku, name, category), price, stock);
            return Ok(Self { id, product, created_at, updated_at });
        }
        Err(unreadable("a product"))
    }

    fn cells(&self) -> [Cell<'_>; COLUMNS.len()] {
        [
            Cell::Int(self.id),
            Cell::Text(self.product.sku()),
            Cell::Text(self.product.name()),
            Cell::Text(self.product.category()),
            Cell::Decimal { unscaled: self.product.price().cents(), scale: 2 },
            Cell::Int(self.product.stock()),
            Cell::Timestamp(self.created_at),
            Cell::Timestamp(self.updated_at),
        ]
    }

    /// It as an object.
    pub fn json(&self) -> Vec<u8> {
        encode(&COLUMNS, Layout::Object, std::iter::once(self.cells()))
    }

    /// All of these as an array.
    pub fn json_of_all(stored: &[Self]) -> Vec<u8> {
        encode(&COLUMNS, Layout::Array, stored.iter().map(Self::cells))
    }
}

/// The JSON of rows.
pub(super) fn encode<'a, const N: usize>(
    columns: &[&str; N],
    layout: Layout,
    rows: impl Iterator<Item = [Cell<'a>; N]>,
) -> Vec<u8> {
    let mut json = JsonRows::new(columns, layout);
    let mut out = Vec::new();
    json.begin(&mut out);
    rows.for_each(|row| json.row(&mut out, &row));
    json.end(&mut out);
    out
}

/// A row that holds something else than our tables do.
pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::new(ErrorKind::NotPrepared, format_args!("{what} cannot be read"))
}

/// The text of what was encoded.
pub(super) fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).expect("the encoder writes UTF-8")
}
