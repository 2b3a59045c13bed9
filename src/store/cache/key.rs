//! What an entry is called.

use std::sync::Arc;

use crate::query::ProductQuery;
use crate::store::Coding;

/// Changes when the bytes of an entry change their meaning, so that old entries are never read.
const FORMAT: u32 = 1;
/// Will change when the data changes; constant as long as nothing writes.
const NAMESPACE: u64 = 0;

/// The name of an entry: equal for equal queries of one strategy in one coding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey(Arc<str>);

impl CacheKey {
    /// The key of the answer to `query`. The free text of the query comes last, so no two
    /// different queries share a key.
    pub fn new(strategy: &str, query: &ProductQuery, coding: Option<Coding>) -> Self {
        let coding = coding.map_or("identity", Coding::name);
        let query = query.canonical();
        Self(format!("{FORMAT}:{NAMESPACE}:{strategy}:{coding}:{query}").into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
