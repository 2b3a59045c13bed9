//! The shape of a plan's TOML, key by key. What each key means, its default and the trade-off of too
//! much and too little stands in `config/lab/case.toml`, which is compiled in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Arrivals, Reference};

/// A whole plan as written. Everything may be absent: what must be there is for
/// [`super::resolve`] to say, so that all problems are named at once.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct File {
    pub extends: Option<String>,
    pub plans: Option<Vec<String>>,
    pub title: Option<String>,
    pub question: Option<String>,
    pub reading: Option<String>,
    pub mixed_reading: Option<String>,
    pub strategies: Option<Vec<String>>,
    pub baseline: Option<String>,
    pub mixed: Option<bool>,
    pub rounds: Option<u32>,
    #[serde(with = "humantime_serde")]
    pub block: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub warm_up: Option<Duration>,
    pub again: Option<bool>,
    #[serde(with = "humantime_serde")]
    pub ceiling: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub idle: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub timeout: Option<Duration>,
    pub seed: Option<u64>,
    pub short: Option<f64>,
    pub strategy: BTreeMap<String, Strategy>,
    pub sweep: Option<Sweep>,
    pub parameters: Parameters,
    #[serde(with = "humantime_serde")]
    pub pause_spread: Option<Duration>,
    pub tasks: Option<Tasks>,
    pub users: Users,
    pub staleness: Option<Staleness>,
    pub load: Option<Point>,
    pub point: Vec<Point>,
    pub search: Option<Search>,
    pub limits: Limits,
    pub targets: BTreeMap<String, Target>,
}

/// `[strategy.NAME]`: as `[strategies.NAME]` of the service's configuration.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Strategy {
    pub access: Option<toml::Value>,
    pub cache: Option<toml::Value>,
}

/// `[sweep]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Sweep {
    pub pool_sizes: Vec<u32>,
    pub direct: bool,
}

/// `[parameters]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Parameters {
    pub distribution: Option<Distribution>,
    pub exponent: Option<f64>,
    pub limit: Option<u32>,
    pub values: Vec<String>,
}

/// `[tasks]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Tasks {
    pub list: u32,
    pub detail: u32,
    pub order: u32,
    pub update: u32,
}

/// `[users]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Users {
    pub count: Option<u32>,
    pub sign_ins_per_second: Option<f64>,
}

/// `[staleness]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Staleness {
    #[serde(with = "humantime_serde")]
    pub write_every: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub read_every: Option<Duration>,
}

/// The names of [`super::Distribution`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(super) enum Distribution {
    Fixed,
    Uniform,
    Zipf,
}

/// The names of [`super::Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(super) enum Model {
    Closed,
    Open,
}

/// `[load]` and each `[[point]]`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Point {
    pub name: Option<String>,
    pub model: Option<Model>,
    #[serde(with = "humantime_serde")]
    pub pause: Option<Duration>,
    pub arrivals: Option<Arrivals>,
    pub connections: Option<u32>,
    pub users: Option<u32>,
    pub rate: Option<f64>,
    pub share: Option<f64>,
    pub of: Option<Reference>,
    pub of_point: Option<String>,
    #[serde(with = "humantime_serde")]
    pub ramp: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub duration: Option<Duration>,
    pub stages: Vec<Stage>,
}

/// An entry of `stages`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Stage {
    pub name: Option<String>,
    pub users: Option<u32>,
    pub rate: Option<f64>,
    pub share: Option<f64>,
    pub of: Option<Reference>,
    pub of_point: Option<String>,
    #[serde(with = "humantime_serde")]
    pub ramp: Option<Duration>,
    #[serde(with = "humantime_serde")]
    pub duration: Option<Duration>,
}

/// `[search]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Search {
    pub model: Option<Model>,
    #[serde(with = "humantime_serde")]
    pub pause: Option<Duration>,
    pub arrivals: Option<Arrivals>,
    pub connections: Option<u32>,
    pub from: Option<f64>,
    pub factor: Option<f64>,
    pub to: Option<f64>,
    pub resolution: Option<f64>,
    #[serde(with = "humantime_serde")]
    pub probe: Option<Duration>,
    pub p95_ms: Option<f64>,
    pub errors: Option<f64>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Limits {
    pub errors: Option<f64>,
    pub steal: Option<f64>,
    pub swapped_pages: Option<u64>,
}

/// `[targets]`, by figure.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default)]
pub(super) struct Target {
    pub target: Option<f64>,
    pub critical: Option<f64>,
}
