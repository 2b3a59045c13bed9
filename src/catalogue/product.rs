//! Products as clients send them.

use std::collections::HashMap;

use super::json::{Invalid, Raw, Reader, below};
use crate::query::Price;

/// The longest `sku`, in characters.
pub const MAX_SKU_CHARS: usize = 64;
/// The longest `name`, in characters.
pub const MAX_NAME_CHARS: usize = 255;
/// The longest `category` of a product, in characters.
pub const MAX_CATEGORY_CHARS: usize = 64;
/// The largest `stock`.
pub const MAX_STOCK: i64 = i32::MAX as i64;
/// The most products that are made at once.
pub const MAX_BATCH: usize = 1_000;

/// Codes are printed and compared.
const OF_CODES: (fn(char) -> bool, &str) = (char::is_control, "control characters");
/// No column of PostgreSQL holds it.
const OF_NAMES: (fn(char) -> bool, &str) = (|c| c == '\0', "U+0000");

const FIELDS: [&str; 5] = ["sku", "name", "category", "price", "stock"];

/// Everything of a product that a client decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProduct {
    sku: String,
    name: String,
    category: String,
    price: Price,
    stock: i64,
}

/// Some of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductPatch {
    sku: Option<String>,
    name: Option<String>,
    category: Option<String>,
    price: Option<Price>,
    stock: Option<i64>,
}

impl NewProduct {
    /// Reads a product from JSON.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader::default();
        let read = reader.document(json).and_then(|raw| Self::of(&mut reader, "", raw));
        reader.finish(read)
    }

    /// Reads an array of 1 to [`MAX_BATCH`] products with different skus from JSON.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn read_batch(json: &[u8]) -> Result<Vec<Self>, Vec<Invalid>> {
        let mut reader = Reader::default();
        let read = reader.document(json).and_then(|raw| {
            let members = reader.members("", raw, (1, MAX_BATCH), "products")?;
            let mut products = Vec::with_capacity(members.len());
            for (place, member) in members.into_iter().enumerate() {
                products.push(Self::of(&mut reader, &format!("/{place}"), member));
            }
            let mut places = HashMap::new();
            for (place, product) in products.iter().enumerate() {
                let Some(product) = product else { continue };
                if let Some(first) = places.insert(&product.sku, place) {
                    let reason = format!("is the same as /{first}/sku, and there may be only one");
                    reader.refuse(format!("/{place}/sku"), reason);
                }
            }
            products.into_iter().collect()
        });
        reader.finish(read)
    }

    fn of(reader: &mut Reader, at: &str, raw: Raw<'_>) -> Option<Self> {
        let fields = reader.fields(at, raw, FIELDS)?;
        for (name, field) in FIELDS.iter().zip(fields) {
            reader.required(at, name, field);
        }
        let patch = ProductPatch::of(reader, at, fields);
        Some(Self {
            sku: patch.sku?,
            name: patch.name?,
            category: patch.category?,
            price: patch.price?,
            stock: patch.stock?,
        })
    }

    /// A product with these values, which must be within the bounds.
    pub(crate) fn from_parts(
        (sku, name, category): (String, String, String),
        price: Price,
        stock: i64,
    ) -> Self {
        Self { sku, name, category, price, stock }
    }

    /// Its unique article code.
    pub fn sku(&self) -> &str {
        &self.sku
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The category that it belongs to.
    pub fn category(&self) -> &str {
        &self.category
    }

    /// Its price.
    pub fn price(&self) -> Price {
        self.price
    }

    /// How many there are.
    pub fn stock(&self) -> i64 {
        self.stock
    }
}

impl ProductPatch {
    /// Reads at least one field of a product from JSON (RFC 7396; nothing can be removed).
    ///
    /// # Errors
    /// Every problem at once.
    pub fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader::default();
        let read = reader.document(json).and_then(|raw| {
            let fields = reader.fields("", raw, FIELDS)?;
            if fields.iter().all(Option::is_none) {
                reader.refuse("", format!("must have at least one of {}", FIELDS.join(", ")));
            }
            Some(Self::of(&mut reader, "", fields))
        });
        reader.finish(read)
    }

    fn of(reader: &mut Reader, at: &str, fields: [Option<Raw<'_>>; 5]) -> Self {
        let [sku, name, category, price, stock] = fields;
        let place = |name| below(at, name);
        Self {
            sku: sku.and_then(|raw| reader.text(place("sku"), raw, MAX_SKU_CHARS, OF_CODES)),
            name: name.and_then(|raw| reader.text(place("name"), raw, MAX_NAME_CHARS, OF_NAMES)),
            category: category
                .and_then(|raw| reader.text(place("category"), raw, MAX_CATEGORY_CHARS, OF_CODES)),
            price: price.and_then(|raw| reader.price(place("price"), raw)),
            stock: stock.and_then(|raw| reader.whole(place("stock"), raw, (0, MAX_STOCK))),
        }
    }

    /// Its new article code, where that changes.
    pub fn sku(&self) -> Option<&str> {
        self.sku.as_deref()
    }

    /// `product` with these changes.
    pub fn apply(&self, product: NewProduct) -> NewProduct {
        NewProduct {
            sku: self.sku.clone().unwrap_or(product.sku),
            name: self.name.clone().unwrap_or(product.name),
            category: self.category.clone().unwrap_or(product.category),
            price: self.price.unwrap_or(product.price),
            stock: self.stock.unwrap_or(product.stock),
        }
    }
}
