//! `[writes]`: how products and orders are written.

use std::time::Duration;

use serde::Deserialize;

use super::PluginCheck;
use super::resolve::{Strategy, not_zero};

/// `[writes]` as written.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    strategy: String,
    #[serde(with = "humantime_serde")]
    idempotency_keep: Duration,
}

/// `[writes]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Writes {
    pub strategy: String,
    pub idempotency_keep: Duration,
}

/// Applies the rules; a strategy with problems of its own is not among `strategies`.
pub(super) fn writes(
    raw: File,
    strategies: &[Strategy],
    plugins: &dyn PluginCheck,
    problems: &mut Vec<String>,
) -> Writes {
    let File { strategy, idempotency_keep } = raw;
    not_zero("writes.idempotency_keep", idempotency_keep, problems);
    match strategies.iter().find(|known| known.name == strategy) {
        Some(known) if plugins.transacts(&known.access) => {}
        Some(known) => problems.push(format!(
            "`writes.strategy`: {strategy:?} has access = {:?}, whose connection belongs to many requests at once and holds no transaction; name a strategy with \"pool\" or \"direct\"",
            known.access.name
        )),
        None if problems.is_empty() => {
            let names: Vec<&str> = strategies.iter().map(|known| &*known.name).collect();
            problems.push(format!(
                "`writes.strategy`: there is no strategy {strategy:?}; there is {}",
                names.join(", ")
            ));
        }
        None => {}
    }
    Writes { strategy, idempotency_keep }
}
