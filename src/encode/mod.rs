//! Rows to bytes: the one encoder, and the buffers that it fills within a budget.
//!
//! Knows cells and memory, nothing of databases, caches or HTTP.

mod buffer;
mod json;
mod pump;

pub use buffer::{Budget, Charge, Digest, Fingerprint, Whole};
pub use json::{JsonRows, Layout, timestamp};
pub use pump::{BodyLimits, Encoded, RowBytes, encode, encode_reserved};
