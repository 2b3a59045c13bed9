//! The service under test: one that the lab starts itself, or one that runs already.
//!
//! Knows the service only as another process and over HTTP.

mod child;
mod guard;
mod pin;
mod remote;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use child::{Start, start};
pub(in crate::lab) use guard::Guard;
pub use pin::Pins;
pub use remote::attach;

use self::child::Child;
use super::base::{Base, RequestError};
use super::plan::Plan;
use super::record::{self, StrategyRecord};
use super::sample::Sampler;
use crate::config::{Config, Problems};

/// A service that answers.
pub struct Running {
    /// Where.
    pub base: Base,
    /// Its process, when the lab started it, or knows its configuration and sees it.
    pub pid: Option<u32>,
    /// Its configuration, when the lab started it or was given it.
    pub config: Option<Config>,
    /// The strategies of the plan, in its order, as the service describes them.
    pub strategies: Vec<StrategyRecord>,
    child: Option<Child>,
}

/// Why there is no service to drive.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The configuration, with what the plan adds to it, has problems. Nothing was started.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The plan drives strategies that do not exist. Nothing was started.
    #[error("{0}")]
    Strategies(String),
    /// It is not a service that may be driven, or none at all.
    #[error("{0}")]
    Refused(String),
    /// A file or process of the lab itself.
    #[error("the service cannot be started: {0}")]
    Start(String),
    /// The service did not come up.
    #[error("the service did not start: {why}.\nThe end of its log:\n{log}")]
    Failed {
        /// What happened.
        why: String,
        /// Its last lines.
        log: String,
    },
}

impl Running {
    /// Whether its process lives; a service that the lab did not start is taken to.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_none_or(Child::is_alive)
    }

    /// The end of its log, and how it ended if it has; empty for one that the lab did not start.
    pub async fn last_words(&mut self) -> String {
        self.child.as_mut().map(Child::last_words).unwrap_or_default()
    }

    /// Lets answers in flight finish, for at most 15 s, and ends the process; one that the lab did
    /// not start goes on.
    pub async fn stop(self) {
        if let Some(child) = self.child {
            child.stop().await;
        }
    }

    /// What a run file says of it, with what the sampler found out about its servers.
    pub fn record(&self, sampler: &Sampler) -> record::Target {
        let (max_connections, reserved_connections) = sampler.limits();
        let mut versions: BTreeMap<String, String> = sampler.versions();
        if self.child.is_some() {
            versions.insert("poolwise".into(), env!("CARGO_PKG_VERSION").into());
        }
        record::Target {
            started_by_the_lab: self.child.is_some(),
            url: self.base.url(),
            backend: self.config.as_ref().map(|config| config.database.backend.name().into()),
            versions,
            strategies: self.strategies.clone(),
            config: self.config.as_ref().map(Config::dump),
            max_connections,
            reserved_connections,
            sources: sampler.sources(),
        }
    }
}

/// What of an entry of `/strategies` is used here.
#[derive(Debug, Deserialize)]
struct Listed {
    access: Plugin,
    cache: Plugin,
    stats: Stats,
}

#[derive(Debug, Deserialize)]
struct Plugin {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Stats {
    name: String,
    pool: Pool,
}

#[derive(Debug, Deserialize)]
struct Pool {
    size: u64,
}

/// Why a service does not list its strategies.
enum ListError {
    NoAnswer(RequestError),
    NotPoolwise,
}

/// Every strategy of a service.
async fn list(base: &Base, timeout: Duration) -> Result<Vec<StrategyRecord>, ListError> {
    let (status, body) = base.get("/strategies", timeout).await.map_err(ListError::NoAnswer)?;
    let listed = serde_json::from_slice::<Vec<Listed>>(&body).ok();
    let listed = listed.filter(|_| status.is_success()).ok_or(ListError::NotPoolwise)?;
    let record = |Listed { access, cache, stats }| StrategyRecord {
        name: stats.name,
        access: access.name,
        cache: cache.name,
        connections: Some(stats.pool.size),
    };
    Ok(listed.into_iter().map(record).collect())
}

/// The strategies of a plan among those of a service, in the order of the plan, and all where it names
/// none; else the names that are missing.
fn pick(plan: &Plan, listed: Vec<StrategyRecord>) -> Result<Vec<StrategyRecord>, Vec<String>> {
    if plan.strategies.is_empty() {
        return Ok(listed);
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for planned in &plan.strategies {
        match listed.iter().find(|listed| listed.name == planned.name) {
            Some(strategy) => found.push(strategy.clone()),
            None => missing.push(planned.name.clone()),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(missing) }
}

/// The tables that the plan defines, as a configuration file of their own.
fn definitions(plan: &Plan, names: Option<&[String]>) -> Result<Option<String>, TargetError> {
    let mut tables = toml::Table::new();
    for planned in &plan.strategies {
        let Some(definition) = &planned.definition else { continue };
        if names.is_some_and(|names| !names.contains(&planned.name)) {
            continue;
        }
        let table = table(definition).map_err(|error| {
            TargetError::Strategies(format!(
                "the plan's definition of strategy {} is not TOML: {error}",
                planned.name
            ))
        })?;
        tables.insert(planned.name.clone(), table.into());
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let root = toml::Table::from_iter([("strategies".to_owned(), tables.into())]);
    Ok(Some(toml::to_string(&root).expect("a table of plain values is TOML")))
}

/// A table, written as lines or within braces.
fn table(definition: &str) -> Result<toml::Table, toml::de::Error> {
    definition.parse::<toml::Table>().or_else(|as_lines| {
        let inline = definition.trim().trim_start_matches('{').trim_end_matches('}');
        let inline = format!("inline = {{ {inline} }}").parse::<toml::Table>();
        match inline.ok().and_then(|mut table| table.remove("inline")) {
            Some(toml::Value::Table(table)) => Ok(table),
            _ => Err(as_lines),
        }
    })
}

/// A path as people read it.
fn shown(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if files.is_empty() { "the defaults".to_owned() } else { files.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_read_as_lines_with_tables_and_within_braces() {
        let expected: toml::Table =
            "access = { kind = \"pool\", size = 4 }\ncache = \"none\"".parse().expect("it is TOML");
        for text in [
            "access = { kind = \"pool\", size = 4 }\ncache = \"none\"",
            "cache = \"none\"\n[access]\nkind = \"pool\"\nsize = 4\n",
            "access = { kind = \"pool\", size = 4 }, cache = \"none\"",
            "{ access = { kind = \"pool\", size = 4 }, cache = \"none\" }",
        ] {
            assert_eq!(table(text).expect(text), expected);
        }
        assert!(table("access = ").is_err());
    }
}
