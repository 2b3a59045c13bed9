//! Orders as clients send them.

use std::collections::HashMap;

use super::json::{Invalid, Raw, Reader, below};

/// The most lines of one order.
pub const MAX_LINES: usize = 100;
/// The most pieces of one product in one order.
pub const MAX_QUANTITY: i64 = 1_000_000;

const LINE: [&str; 2] = ["product_id", "quantity"];

/// So many pieces of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLine {
    /// The product's number, from 1.
    pub product_id: i64,
    /// From 1 to [`MAX_QUANTITY`].
    pub quantity: i64,
}

/// What somebody wants: 1 to [`MAX_LINES`] lines, each of another product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    lines: Vec<OrderLine>,
}

impl NewOrder {
    /// Reads an order from JSON.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader::default();
        let read = reader.document(json).and_then(|raw| Self::of(&mut reader, raw));
        reader.finish(read)
    }

    fn of(reader: &mut Reader, raw: Raw<'_>) -> Option<Self> {
        let [lines] = reader.fields("", raw, ["lines"])?;
        let lines = reader.required("", "lines", lines)?;
        let members = reader.members("/lines", lines, (1, MAX_LINES), "lines")?;
        let mut lines = Vec::with_capacity(members.len());
        let mut places = HashMap::new();
        for (place, member) in members.into_iter().enumerate() {
            let at = format!("/lines/{place}");
            let line = line(reader, &at, member);
            if let Some(line) = line
                && let Some(first) = places.insert(line.product_id, place)
            {
                let reason = format!("is in /lines/{first} already; order both there");
                reader.refuse(below(&at, "product_id"), reason);
            }
            lines.push(line);
        }
        Some(Self { lines: lines.into_iter().collect::<Option<_>>()? })
    }

    /// Its lines, in the order in which they were sent.
    pub fn lines(&self) -> &[OrderLine] {
        &self.lines
    }
}

fn line(reader: &mut Reader, at: &str, raw: Raw<'_>) -> Option<OrderLine> {
    let fields = reader.fields(at, raw, LINE)?;
    for (name, field) in LINE.iter().zip(fields) {
        reader.required(at, name, field);
    }
    let [product_id, quantity] = fields;
    let product_id =
        product_id.and_then(|raw| reader.whole(below(at, "product_id"), raw, (1, i64::MAX)));
    let quantity =
        quantity.and_then(|raw| reader.whole(below(at, "quantity"), raw, (1, MAX_QUANTITY)));
    Some(OrderLine { product_id: product_id?, quantity: quantity? })
}
