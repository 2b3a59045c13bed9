//! The domain words of writing: products and orders as clients send them, validated and bounded, with
//! everything that is wrong with them said at once.
//!
//! Knows JSON, but nothing of HTTP, SQL or configuration.

mod json;
mod order;
mod product;

pub use json::{Invalid, MAX_PROBLEMS};
pub(crate) use json::{Reader, below};
pub use order::{MAX_LINES, MAX_QUANTITY, NewOrder, OrderLine};
pub use product::{
    MAX_BATCH, MAX_CATEGORY_CHARS, MAX_NAME_CHARS, MAX_SKU_CHARS, MAX_STOCK, NewProduct,
    ProductPatch,
};

#[cfg(test)]
mod tests;
