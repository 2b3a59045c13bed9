//! Anyone's reported figures: the shape of a file of claims, key by key. What each key means stands in
//! `config/claims.toml`, which is compiled in and is a form to fill in.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::lab::plan::{parse_toml, read_toml};

/// The form: every key, explained, with an honest example.
pub(super) const FORM: &str = include_str!("../../../config/claims.toml");

/// Everything wrong with a file of claims, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimsProblems(pub Vec<String>);

impl fmt::Display for ClaimsProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the claims cannot be read:")?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(
            f,
            "Every key of claims is explained in config/claims.toml, which is a form to copy."
        )
    }
}

impl std::error::Error for ClaimsProblems {}

/// What somebody says of a system and of a test of it. Everything may be absent: rules that need it
/// stay silent.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub struct Claims {
    pub(super) title: Option<String>,
    pub(super) load: Load,
    pub(super) answer: Answer,
    pub(super) measured: Measured,
    pub(super) expected: Expected,
    pub(super) network: Network,
    pub(super) compared: Compared,
    pub(super) server: Server,
    pub(super) pool: Pool,
    pub(super) database: Database,
    pub(super) cache: Cache,
    pub(super) sampling: Sampling,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) breaker: Breaker,
    pub(super) middleware: Vec<Middleware>,
    pub(super) counter: Vec<Counter>,
    pub(super) task: Vec<Task>,
    pub(super) target: Vec<Target>,
    pub(super) page: Vec<Page>,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $key:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[cfg_attr(test, derive(serde::Serialize))]
        #[serde(default)]
        pub(super) struct $name { $($(#[$field])* pub $key: $type,)* }
    };
}

section!(
    /// `[load]`
    Load {
        open: Option<bool>,
        users: Option<f64>,
        #[serde(with = "humantime_serde")]
        pause: Option<Duration>,
        #[serde(with = "humantime_serde")]
        ramp: Option<Duration>,
        #[serde(with = "humantime_serde")]
        duration: Option<Duration>,
        endpoints: Option<f64>,
        sources: Option<f64>,
    }
);
section!(
    /// `[answer]`
    Answer {
        rows: Option<f64>,
        row_bytes: Option<f64>,
    }
);
section!(
    /// `[measured]`
    Measured {
        requests: Option<f64>,
        requests_per_second: Option<f64>,
        errors: Option<f64>,
        #[serde(with = "humantime_serde")]
        mean: Option<Duration>,
        #[serde(with = "humantime_serde")]
        p50: Option<Duration>,
        #[serde(with = "humantime_serde")]
        p95: Option<Duration>,
        #[serde(with = "humantime_serde")]
        p99: Option<Duration>,
        sent: Option<ByteSize>,
    }
);
section!(
    /// `[expected]`
    Expected {
        requests_per_second: Option<f64>,
        #[serde(with = "humantime_serde")]
        mean: Option<Duration>,
    }
);
section!(
    /// `[network]`
    Network {
        bits_per_second: Option<f64>,
    }
);
section!(
    /// `[compared]`
    Compared {
        cpu_percent: bool,
        requests_per_second: Vec<f64>,
    }
);
section!(
    /// `[server]`
    Server {
        blocking: bool,
        workers: Option<f64>,
        threads: Option<f64>,
        replicas: Option<f64>,
    }
);
section!(
    /// `[pool]`
    Pool {
        size: Option<f64>,
        overflow: Option<f64>,
        formula: Option<f64>,
        #[serde(with = "humantime_serde")]
        query_time: Option<Duration>,
        health_shows: Option<f64>,
        exhausted: bool,
        cure_size: Option<f64>,
        cure_overflow: Option<f64>,
    }
);
section!(
    /// `[database]`
    Database {
        kind: Option<DatabaseKind>,
        version: Option<f64>,
        max_connections: Option<f64>,
        reserved: Option<f64>,
        columns: Vec<String>,
    }
);
section!(
    /// `[cache]`
    Cache {
        #[serde(with = "humantime_serde")]
        ttl: Option<Duration>,
        keys: Option<f64>,
        reads: Option<f64>,
        distinct_answers: Option<f64>,
        entry_rows: Option<f64>,
        received: Option<ByteSize>,
        sent: Option<ByteSize>,
    }
);
section!(
    /// `[sampling]`
    Sampling {
        #[serde(with = "humantime_serde")]
        interval: Option<Duration>,
    }
);
section!(
    /// `[rate_limit]`
    RateLimit {
        calls: Option<f64>,
        #[serde(with = "humantime_serde")]
        window: Option<Duration>,
    }
);
section!(
    /// `[breaker]`
    Breaker {
        #[serde(with = "humantime_serde")]
        p50: Option<Duration>,
    }
);
section!(
    /// `[[middleware]]`
    Middleware {
        name: String,
        kind: String,
        routers: Vec<String>,
    }
);
section!(
    /// `[[counter]]`
    Counter {
        name: String,
        kind: CounterKind,
        restarted: bool,
    }
);
section!(
    /// `[[task]]`
    Task {
        name: String,
        weight: Option<f64>,
        share: Option<f64>,
    }
);
section!(
    /// `[[target]]`
    Target {
        document: String,
        figure: String,
        more_is_better: bool,
        target: Option<f64>,
        critical: Option<f64>,
    }
);
section!(
    /// `[[page]]`
    Page {
        name: String,
        items: Option<f64>,
        relations: Option<f64>,
        lazy: bool,
    }
);

/// Which database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(super) enum DatabaseKind {
    Postgres,
    Mysql,
    Mariadb,
}

impl DatabaseKind {
    /// `max_connections` where nobody changed it.
    pub fn default_max_connections(self) -> f64 {
        match self {
            DatabaseKind::Postgres => 100.0,
            DatabaseKind::Mysql | DatabaseKind::Mariadb => 151.0,
        }
    }

    /// As it is written by its makers.
    pub fn words(self) -> &'static str {
        match self {
            DatabaseKind::Postgres => "PostgreSQL",
            DatabaseKind::Mysql => "MySQL",
            DatabaseKind::Mariadb => "MariaDB",
        }
    }
}

/// What a counter counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(super) enum CounterKind {
    /// How it is now.
    #[default]
    Gauge,
    /// A sum since the server started: differences mean something.
    SumSinceStart,
    /// The highest value since the server started: differences mean nothing.
    PeakSinceStart,
}

/// Reads a file of claims.
///
/// # Errors
/// Every problem at once: a file that cannot be read, unknown keys, values of the wrong type, numbers
/// below 0.
pub fn read_claims(path: &Path) -> Result<Claims, ClaimsProblems> {
    let at = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ClaimsProblems(vec![format!("{at} cannot be read: {error}")]))?;
    let table =
        parse_toml(&text).map_err(|problem| ClaimsProblems(vec![format!("{at}: {problem}")]))?;
    let mut problems = Vec::new();
    negative("", &toml::Value::Table(table.clone()), &mut problems);
    match read_toml(table, FORM, &mut problems) {
        Some(claims) if problems.is_empty() => Ok(claims),
        _ => {
            let said = problems.into_iter().map(|problem| format!("{at}: {problem}"));
            Err(ClaimsProblems(said.collect()))
        }
    }
}

/// Names every number that no quantity here can have.
fn negative(path: &str, value: &toml::Value, problems: &mut Vec<String>) {
    let number = match value {
        toml::Value::Integer(number) => *number as f64,
        toml::Value::Float(number) => *number,
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                negative(&path, value, problems);
            }
            return;
        }
        toml::Value::Array(array) => {
            for (place, value) in array.iter().enumerate() {
                negative(&format!("{path}[{place}]"), value, problems);
            }
            return;
        }
        _ => return,
    };
    if !(number.is_finite() && number >= 0.0) {
        problems.push(format!("`{path}` is {number}; write a number of 0 or more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_shows_every_key() {
        let mut found = Vec::new();
        let table = parse_toml(FORM).unwrap();
        let claims: Claims = read_toml(table, FORM, &mut found).expect("it can be read");
        assert_eq!(found, Vec::<String>::new());
        let json = serde_json::to_string(&claims).unwrap();
        assert!(!json.contains("null") && !json.contains("[]"), "{json}");
    }
}
