//! A plan together with what is known of the service that it drives: pools, caches and answers as
//! numbers. Knows no rule.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;

use super::arithmetic::RESERVED_BY_DEFAULT;
use super::words::number;
use crate::config::{self, Backend, Config, PluginChoice};
use crate::lab::plan::{Distribution, Plan, PlannedStrategy};

/// Bytes of a product as JSON, on average (docs/DATA.md).
pub(super) const ROW_BYTES: f64 = 185.0;
/// The share of the products in `electronics`, and in a documented price window (docs/DATA.md).
const SHARE_OF_WINDOW: f64 = 0.35;
/// The mean share of each other category (docs/DATA.md: nine share what is left).
const SHARE_OF_CATEGORY: f64 = 0.65 / 9.0;
/// Connections that PostgreSQL allows where nobody changed it.
const MAX_CONNECTIONS_BY_DEFAULT: f64 = 100.0;

/// What a running database server says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Live {
    /// Connections that it allows.
    pub max_connections: Option<u64>,
    /// Of them, kept for administrators.
    pub reserved: Option<u64>,
    /// Connections that others have open now, those of the service not among them.
    pub in_use: Option<u64>,
    /// Cores of its machine.
    pub cores: Option<u64>,
}

/// A strategy as far as the doctor needs it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub name: String,
    /// Connections of its pool; `None` where it has none.
    pub pool: Option<f64>,
    /// Connections that it may hold whatever the server leaves: its pool's, or the limit that was set
    /// for a connection per request.
    pub fixed: Option<f64>,
    /// Its cache; `None` where it has none.
    pub cache: Option<KnownCache>,
}

/// A cache with every option filled in.
#[derive(Debug, Clone)]
pub(super) struct KnownCache {
    pub ttl: Duration,
    pub jitter: f64,
    pub max_entry: f64,
    /// Memory for its entries; `None` where they are elsewhere.
    pub memory: Option<f64>,
}

/// Everything that rules on plans ask.
pub(super) struct Setup<'a> {
    pub plan: &'a Plan,
    pub config: Option<&'a Config>,
    pub live: Live,
    /// What is driven, as far as it is known.
    pub driven: Vec<Known>,
    /// Connections that the configuration's strategies hold in one process, those of the main database.
    pub fixed_of_config: f64,
    /// Connections that the strategies hold which the plan adds.
    pub fixed_of_plan: f64,
}

impl<'a> Setup<'a> {
    pub fn new(plan: &'a Plan, config: Option<&'a Config>, live: Option<&Live>) -> Self {
        let driven = plan.strategies.iter().filter_map(|planned| known(planned, config)).collect();
        let defined = |name: &str| {
            plan.strategies
                .iter()
                .any(|planned| planned.name == name && planned.definition.is_some())
        };
        // A definition of the plan takes the place of the configuration's.
        let of_config = config.into_iter().flat_map(|config| {
            let here = |s: &&config::Strategy| s.database_url == config.database.url;
            let own = config.strategies.iter().filter(here).filter(|s| !defined(&s.name));
            own.filter_map(|strategy| of_config(strategy, config).fixed)
        });
        let of_plan = plan.strategies.iter().filter(|planned| planned.definition.is_some());
        let of_plan = of_plan.filter_map(|planned| known(planned, config)?.fixed);
        Self {
            plan,
            config,
            live: live.copied().unwrap_or_default(),
            driven,
            fixed_of_config: of_config.sum(),
            fixed_of_plan: of_plan.sum(),
        }
    }

    /// Copies of the service.
    pub fn replicas(&self) -> f64 {
        self.config.map_or(1.0, |config| f64::from(config.server.replicas))
    }

    /// The server's maximum of connections in words, and how many of them are left for pools: what the
    /// server or the configuration reserves is not, nor what others have open. `None` where the
    /// database has no such limit, or nothing is known of it. A PostgreSQL that was not asked is taken
    /// to have its default.
    pub fn connections(&self) -> Option<(String, f64)> {
        let config = self.config;
        let embedded = config.is_some_and(|config| config.database.backend == Backend::Sqlite);
        let asked = self.live.max_connections.map(|maximum| {
            (format!("the server's maximum of {}", number(maximum as f64)), maximum as f64)
        });
        let assumed = config.map(|_| {
            let maximum = MAX_CONNECTIONS_BY_DEFAULT;
            (format!("PostgreSQL's default maximum of {}", number(maximum)), maximum)
        });
        let (words, maximum) = asked.or(assumed).filter(|_| !embedded)?;
        let reserved = self.live.reserved.map_or(RESERVED_BY_DEFAULT, |reserved| reserved as f64);
        let reserved =
            reserved.max(config.map_or(0.0, |config| f64::from(config.database.reserve)));
        let taken = self.live.in_use.unwrap_or(0) as f64;
        Some((words, (maximum - reserved - taken).max(0.0)))
    }

    /// Distinct queries, each a key of a cache.
    pub fn keys(&self) -> f64 {
        match self.plan.parameters.distribution {
            Distribution::Fixed => 1.0,
            _ => {
                let values = &self.plan.parameters.values;
                values.iter().collect::<std::collections::BTreeSet<_>>().len() as f64
            }
        }
    }

    /// Rows of an answer on average over the values, about; `None` where the size of the data set is
    /// needed and not known.
    pub fn rows(&self) -> Option<f64> {
        let values = &self.plan.parameters.values;
        let values = match self.plan.parameters.distribution {
            Distribution::Fixed => &values[..values.len().min(1)],
            _ => values,
        };
        let all = self.config.map(|config| config.seed.rows as f64);
        let rows: Option<Vec<f64>> = values.iter().map(|value| rows_of(value, all)).collect();
        rows.filter(|rows| !rows.is_empty())
            .map(|rows| rows.iter().sum::<f64>() / rows.len() as f64)
    }

    /// Bytes of an answer, about.
    pub fn body(&self) -> Option<f64> {
        self.rows().map(|rows| rows * ROW_BYTES)
    }
}

fn rows_of(value: &str, all: Option<f64>) -> Option<f64> {
    let mut share = 1.0;
    let mut limit = None;
    for (name, value) in value.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("limit", rows) => limit = rows.parse::<f64>().ok(),
            ("category", "electronics") | ("min_price" | "max_price", _) => share = SHARE_OF_WINDOW,
            ("category", _) => share = SHARE_OF_CATEGORY,
            _ => {}
        }
    }
    let matching = all.map(|all| all * share);
    match (limit, matching) {
        (Some(limit), Some(matching)) => Some(limit.min(matching)),
        (limit, matching) => limit.or(matching),
    }
}

fn known(planned: &PlannedStrategy, config: Option<&Config>) -> Option<Known> {
    match &planned.definition {
        Some(definition) => {
            let table: toml::Table = definition.parse().ok()?;
            let (access, access_options) = plugin(table.get("access"), "kind");
            let (cache, cache_options) = plugin(table.get("cache"), "store");
            let access = access.unwrap_or_else(|| "pool".into());
            let cache = cache.unwrap_or_else(|| "none".into());
            let name = planned.name.clone();
            let (pool, fixed) = connections(&access, &access_options, config);
            Some(Known { name, pool, fixed, cache: kept(&cache, &cache_options, config) })
        }
        None => config.and_then(|config| {
            config.strategy(&planned.name).map(|strategy| of_config(strategy, config))
        }),
    }
}

fn of_config(strategy: &config::Strategy, config: &Config) -> Known {
    let options = |choice: &PluginChoice| -> Options {
        choice.options.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
    };
    let (access, cache) = (&strategy.access, &strategy.cache);
    let (pool, fixed) = connections(&access.name, &options(access), Some(config));
    Known {
        name: strategy.name.clone(),
        pool,
        fixed,
        cache: kept(&cache.name, &options(cache), Some(config)),
    }
}

type Options = BTreeMap<String, String>;

/// A plugin of a definition: its name and its options as text.
fn plugin(value: Option<&toml::Value>, name_key: &str) -> (Option<String>, Options) {
    let text =
        |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Some(toml::Value::Table(table)) => {
            let options = table.iter().map(|(key, value)| (key.clone(), text(value))).collect();
            (table.get(name_key).map(text), options)
        }
        other => (other.map(text), Options::new()),
    }
}

/// Connections of a strategy's pool, and those that it may hold whatever the server leaves.
fn connections(
    access: &str,
    options: &Options,
    config: Option<&Config>,
) -> (Option<f64>, Option<f64>) {
    let own = |key: &str| options.get(key).and_then(|size| size.parse::<f64>().ok());
    let by_default = || config.map(|config| config.database.pool_size as f64);
    match access {
        "pool" => {
            let size = own("size").or_else(by_default);
            (size, size)
        }
        "shared" => (None, Some(1.0)),
        _ => (None, own("limit")),
    }
}

/// The cache, where what is absent is as in the configuration; `None` without a configuration for it.
fn kept(store: &str, options: &Options, config: Option<&Config>) -> Option<KnownCache> {
    let cache = &config.filter(|_| store != "none")?.cache;
    let bytes = |key: &str, or: usize| {
        let own = options.get(key).and_then(|size| size.parse::<ByteSize>().ok());
        own.map_or(or as f64, |size| size.as_u64() as f64)
    };
    let ttl = options.get("ttl").and_then(|ttl| humantime::parse_duration(ttl).ok());
    let jitter = options.get("ttl_jitter").and_then(|jitter| jitter.parse().ok());
    Some(KnownCache {
        ttl: ttl.unwrap_or(cache.ttl),
        jitter: jitter.unwrap_or(cache.ttl_jitter),
        max_entry: bytes("max_entry", cache.max_entry),
        memory: (store == "memory").then(|| bytes("memory_size", cache.memory_size)),
    })
}
