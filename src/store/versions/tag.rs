//! What an answer depends on and a write changes.

use std::fmt;
use std::sync::Arc;

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

const ALL: &str = "all";
const CATEGORIES: &str = "categories";
const CATEGORY: &str = "category:";

impl Tag {
    /// What the answer to `query` depends on.
    pub fn of(query: &ProductQuery) -> Self {
        query.category().map_or(Tag::All, |category| Tag::Category(category.into()))
    }

    /// The tag that [`fmt::Display`] wrote so; `None` for one that only others know.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            ALL => Some(Tag::All),
            CATEGORIES => Some(Tag::Categories),
            _ => text.strip_prefix(CATEGORY).map(|category| Tag::Category(category.into())),
        }
    }

    /// The same in every process.
    pub(super) fn hash(&self) -> u64 {
        match self {
            Tag::All => 0,
            Tag::Categories => 1,
            Tag::Category(category) => xxhash_rust::xxh3::xxh3_64(category.as_bytes()),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tag::All => f.write_str(ALL),
            Tag::Categories => f.write_str(CATEGORIES),
            Tag::Category(category) => write!(f, "{CATEGORY}{category}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_is_written_whatever_a_category_is_called() {
        let named = ["", "all", "categories", "category:x", "ü:\n"];
        let named = named.map(|name| Tag::Category(name.into()));
        for tag in [Tag::All, Tag::Categories].into_iter().chain(named) {
            assert_eq!(Tag::parse(&tag.to_string()).as_ref(), Some(&tag));
        }
        assert_eq!(Tag::parse("supplier:7"), None);
    }
}
