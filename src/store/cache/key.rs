//! What an entry is called, and what it depends on.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Entry;
use crate::config::{self, Invalidation};
use crate::query::ProductQuery;
use crate::store::{Coding, Tag, Version, Versions};

/// Changes when the bytes of an entry change their meaning, so that old entries are never read.
const FORMAT: u32 = 2;

/// The name of an entry: equal for equal queries of one strategy in one coding. Beside it stands, for
/// whoever looks for the entry, which version it must be of.
#[derive(Debug, Clone)]
pub struct CacheKey {
    text: Arc<str>,
    tag: Tag,
    epoch: u64,
}

impl CacheKey {
    /// The key of the answer to `query`. The free text of the query comes last, so no two
    /// different queries share a key. Its version is one that does not matter.
    pub fn new(strategy: &str, query: &ProductQuery, coding: Option<Coding>) -> Self {
        let coding = coding.map_or("identity", Coding::name);
        let text = format!("{FORMAT}:{strategy}:{coding}:{}", query.canonical()).into();
        Self { text, tag: Tag::of(query), epoch: 0 }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the entry depends on.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The version in this process when this key was made.
    pub fn version(&self) -> Version {
        Version { epoch: self.epoch, ..Version::default() }
    }

    /// Whether this process knows of no change since `entry` was made.
    pub fn admits(&self, entry: &Entry) -> bool {
        entry.version.epoch == self.epoch
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Makes the keys of a strategy.
pub(super) struct Keys {
    strategy: Arc<str>,
    /// `None` where what is kept has no version.
    versions: Option<Arc<Versions>>,
}

impl Keys {
    pub fn new(strategy: &Arc<str>, versions: &Arc<Versions>, settings: &config::Cache) -> Self {
        let by_version = settings.invalidation == Invalidation::Version;
        Self { strategy: strategy.clone(), versions: by_version.then(|| versions.clone()) }
    }

    /// The key of the answer to `query` as of now.
    pub fn of(&self, query: &ProductQuery, coding: Option<Coding>) -> CacheKey {
        let mut key = CacheKey::new(&self.strategy, query, coding);
        key.epoch = self.epoch(&key.tag);
        key
    }

    /// Whether nothing has changed since `key` was made.
    pub fn is_current(&self, key: &CacheKey) -> bool {
        self.epoch(&key.tag) == key.epoch
    }

    fn epoch(&self, tag: &Tag) -> u64 {
        self.versions.as_ref().map_or(0, |versions| versions.current(tag))
    }
}
