//! Which answers a write made old: each answer depends on tags, and each write changes some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::query::ProductQuery;

/// What an answer depends on and a write changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Lists over every category.
    All,
    /// Lists of one category.
    Category(Arc<str>),
    /// The categories and how many products each has.
    Categories,
}

impl Tag {
    /// What the answer to `query` depends on.
    pub fn of(query: &ProductQuery) -> Self {
        query.category().map_or(Tag::All, |category| Tag::Category(category.into()))
    }
}

/// The version of each tag in this process: it goes up with each write that changes it.
#[derive(Default)]
pub struct Versions(Mutex<HashMap<Tag, u64>>);

impl Versions {
    /// The version of a tag as it is now.
    pub fn current(&self, tag: &Tag) -> u64 {
        self.lock().get(tag).copied().unwrap_or_default()
    }

    /// A write that changed these was committed. When this returns, no answer of before it is
    /// served here any more.
    pub async fn changed(&self, tags: &[Tag]) {
        let mut versions = self.lock();
        tags.iter().for_each(|tag| *versions.entry(tag.clone()).or_default() += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Tag, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
