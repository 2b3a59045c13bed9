//! Configuration: layers of TOML and environment, turned into a [`Config`] that cannot be wrong.
//!
//! Knows which keys there are and how they depend on each other; plugins check their own options
//! through [`PluginCheck`]. Nothing here opens a connection.

mod auth;
mod database_url;
mod dump;
mod file;
mod health;
mod layers;
mod list;
mod manual;
mod redis;
mod redis_url;
mod resolve;
mod restart;
mod schema;
mod shape;
mod url;
mod visitors;
mod warnings;
mod writes;

use std::fmt;
use std::path::PathBuf;

pub use auth::{Auth, KEY_BYTES, KeySource, SignInStore, SigningKey, parse_keys};
pub use file::{Backend, Invalidation, LogFormat, PreparedStatements, Recycle, SslMode};
pub use health::Health;
pub use layers::{DEFAULTS, Environment};
pub use redis::RootCertificates;
pub use resolve::{Cache, Config, Database, Log, PluginChoice, Seed, Server, Strategy};
pub use schema::{PluginShape, schema};
pub use shape::Shape;
pub use url::{DatabaseUrl, RedisUrl};
pub use visitors::{CorsOrigins, Quota, RateLimit};
pub use writes::Writes;

/// The strategies that always exist: the endpoints under `/products`.
pub const STANDARD_STRATEGIES: [&str; 3] = ["direct", "pooled", "cached"];

/// What a strategy is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginKind {
    /// A way to get a connection.
    Access,
    /// A place to keep answers.
    Cache,
}

/// Says whether a plugin exists and understands its options.
pub trait PluginCheck {
    /// Every problem with this choice on this database, each as a sentence; empty when there is
    /// none.
    fn problems(&self, kind: PluginKind, choice: &PluginChoice, on: &Database) -> Vec<String>;

    /// What is wrong with this cache together with `[cache]` and so many replicas, one sentence each.
    fn conflicts(&self, _choice: &PluginChoice, _cache: &Cache, _replicas: u32) -> Vec<String> {
        Vec::new()
    }

    /// Whether this access method can hold statements together, as a transaction needs it.
    fn transacts(&self, access: &PluginChoice) -> bool;

    /// What is wrong with a database URL of the right scheme; the caller says where it stands.
    fn url_problem(&self, database: &Database, url: &DatabaseUrl) -> Option<String>;
}

/// Everything wrong with a configuration, one sentence each.
#[derive(Debug, Clone)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "the configuration has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(
            f,
            "Every key is explained in config/default.toml; `poolwise config dump` shows what is in force."
        )
    }
}

impl std::error::Error for Problems {}

/// Loads the defaults, then `files` in order, then `environment`.
///
/// # Errors
/// Every problem at once: files that cannot be read, unknown keys, values of the wrong type,
/// contradictions, plugins that do not exist.
pub fn load(
    files: &[PathBuf],
    environment: &Environment,
    plugins: &dyn PluginCheck,
) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let (raw, merged) = layers::read(files, environment, &mut problems);
    let config = resolve::resolve(raw, merged, plugins, &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems(problems)),
    }
}
