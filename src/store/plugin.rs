//! The table of plugins: the one place that knows which access methods and caches exist.
//!
//! A plugin is a type that implements [`AccessPlugin`] or [`CachePlugin`]: a name, its own typed
//! options and a constructor. [`Plugins::standard`] lists ours; anybody may add theirs before the
//! service starts (see `examples/custom_strategy.rs`).

use std::sync::Arc;

use ::config::{Value, ValueKind};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::access::{Access, AccessPlugin, AccessSetup, Direct, Pooled, Shared};
use super::backend;
use super::cache::{CachePlugin, CacheSetup, Memory, NoCache, Redis, Tiered, Wrapped};
use super::{ErrorKind, Source, StoreError};
use crate::config::{
    self, Database, DatabaseUrl, PluginCheck, PluginChoice, PluginKind, PluginShape, Shape,
};

/// Which plugins config can name.
#[derive(Clone)]
pub struct Plugins {
    access: Vec<AccessEntry>,
    cache: Vec<CacheEntry>,
}

type OpenAccess =
    fn(&PluginChoice, AccessSetup) -> BoxFuture<'static, Result<Arc<dyn Access>, StoreError>>;
type WrapCache = fn(&PluginChoice, Arc<dyn Source>, CacheSetup) -> Result<Wrapped, StoreError>;

#[derive(Clone)]
struct AccessEntry {
    name: &'static str,
    options: fn() -> Shape,
    transacts: bool,
    problems: fn(&PluginChoice, &Database) -> Vec<String>,
    connections: fn(&PluginChoice, &Database) -> Option<usize>,
    open: OpenAccess,
}

#[derive(Clone)]
struct CacheEntry {
    name: &'static str,
    options: fn() -> Shape,
    problems: fn(&PluginChoice) -> Vec<String>,
    conflicts: fn(&PluginChoice, &config::Cache, u32) -> Vec<String>,
    wrap: WrapCache,
}

impl Plugins {
    /// The plugins that come with Poolwise.
    pub fn standard() -> Self {
        Self { access: Vec::new(), cache: Vec::new() }
            .with_access::<Direct>()
            .with_access::<Pooled>()
            .with_access::<Shared>()
            .with_cache::<NoCache>()
            .with_cache::<Memory>()
            .with_cache::<Redis>()
            .with_cache::<Tiered>()
    }

    /// Adds an access method; one of the same name is replaced.
    pub fn with_access<P: AccessPlugin>(mut self) -> Self {
        self.access.retain(|entry| entry.name != P::NAME);
        self.access.push(AccessEntry {
            name: P::NAME,
            options: Shape::of_any::<P::Options>,
            transacts: P::TRANSACTS,
            problems: |choice, database| match options::<P::Options>(choice) {
                Ok(options) => P::problems(&options, database),
                Err(problems) => problems,
            },
            connections: |choice, database| match options(choice) {
                Ok(options) => P::connections(&options, database),
                Err(_) => None,
            },
            open: |choice, setup| match options(choice) {
                Ok(options) => Box::pin(P::open(options, setup)),
                Err(problems) => Box::pin(std::future::ready(Err(misread(&problems)))),
            },
        });
        self
    }

    /// Adds a cache; one of the same name is replaced.
    pub fn with_cache<P: CachePlugin>(mut self) -> Self {
        self.cache.retain(|entry| entry.name != P::NAME);
        self.cache.push(CacheEntry {
            name: P::NAME,
            options: Shape::of_any::<P::Options>,
            problems: |choice| match options::<P::Options>(choice) {
                Ok(options) => P::problems(&options),
                Err(problems) => problems,
            },
            conflicts: |choice, cache, replicas| match options::<P::Options>(choice) {
                Ok(options) => P::conflicts(options, cache, replicas),
                // They have been told.
                Err(_) => Vec::new(),
            },
            wrap: |choice, inner, setup| match options(choice) {
                Ok(options) => P::wrap(options, inner, setup),
                Err(problems) => Err(misread(&problems)),
            },
        });
        self
    }

    /// The access methods and the shapes of their options.
    pub fn access_shapes(&self) -> Vec<PluginShape> {
        self.access.iter().map(|entry| (entry.name, (entry.options)())).collect()
    }

    /// The caches and the shapes of their options.
    pub fn cache_shapes(&self) -> Vec<PluginShape> {
        self.cache.iter().map(|entry| (entry.name, (entry.options)())).collect()
    }

    /// How many connections an access method will hold; `None`: as many as are left.
    pub(super) fn connections(&self, choice: &PluginChoice, database: &Database) -> Option<usize> {
        self.access_entry(choice).ok().and_then(|entry| (entry.connections)(choice, database))
    }

    /// Opens an access method.
    pub(super) async fn open_access(
        &self,
        choice: &PluginChoice,
        setup: AccessSetup,
    ) -> Result<Arc<dyn Access>, StoreError> {
        let entry = self.access_entry(choice).map_err(|problem| misread(&[problem]))?;
        (entry.open)(choice, setup).await
    }

    /// Puts a cache around a source.
    pub(super) fn wrap_cache(
        &self,
        choice: &PluginChoice,
        inner: Arc<dyn Source>,
        setup: CacheSetup,
    ) -> Result<Wrapped, StoreError> {
        let entry = self.cache_entry(choice).map_err(|problem| misread(&[problem]))?;
        (entry.wrap)(choice, inner, setup)
    }

    fn access_entry(&self, choice: &PluginChoice) -> Result<&AccessEntry, String> {
        let names = || self.access.iter().map(|entry| entry.name).collect::<Vec<_>>();
        let found = self.access.iter().find(|entry| entry.name == choice.name);
        found.ok_or_else(|| unknown("an access method", choice, &names()))
    }

    fn cache_entry(&self, choice: &PluginChoice) -> Result<&CacheEntry, String> {
        let names = || self.cache.iter().map(|entry| entry.name).collect::<Vec<_>>();
        let found = self.cache.iter().find(|entry| entry.name == choice.name);
        found.ok_or_else(|| unknown("a cache", choice, &names()))
    }
}

impl PluginCheck for Plugins {
    fn problems(&self, kind: PluginKind, choice: &PluginChoice, on: &Database) -> Vec<String> {
        let found = match kind {
            PluginKind::Access => {
                self.access_entry(choice).map(|entry| (entry.problems)(choice, on))
            }
            PluginKind::Cache => self.cache_entry(choice).map(|entry| (entry.problems)(choice)),
        };
        found.unwrap_or_else(|problem| vec![problem])
    }

    fn conflicts(
        &self,
        choice: &PluginChoice,
        cache: &config::Cache,
        replicas: u32,
    ) -> Vec<String> {
        let entry = self.cache_entry(choice);
        entry.map(|entry| (entry.conflicts)(choice, cache, replicas)).unwrap_or_default()
    }

    fn transacts(&self, access: &PluginChoice) -> bool {
        self.access_entry(access).is_ok_and(|entry| entry.transacts)
    }

    fn url_problem(&self, database: &Database, url: &DatabaseUrl) -> Option<String> {
        backend::open(database, url).err().map(|error| error.to_string())
    }
}

fn unknown(what: &str, choice: &PluginChoice, names: &[&str]) -> String {
    format!("{:?} is not {what}; there is {}", choice.name, names.join(", "))
}

fn misread(problems: &[String]) -> StoreError {
    StoreError::new(ErrorKind::NotPrepared, problems.join("; "))
}

/// Reads a plugin's options; unknown ones and wrong values are problems.
fn options<T: DeserializeOwned>(choice: &PluginChoice) -> Result<T, Vec<String>> {
    let value = Value::new(None, ValueKind::Table(choice.options.clone()));
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let mut note = |path: serde_ignored::Path<'_>| {
        unknown.push(format!("`{path}` is not an option of {:?}", choice.name));
    };
    let read = serde_ignored::Deserializer::new(tracked, &mut note);
    let read = T::deserialize(read).map_err(|error| format!("`{}`: {error}", track.path()));
    unknown.sort();
    match read {
        Ok(options) if unknown.is_empty() => Ok(options),
        Ok(_) => Err(unknown),
        Err(error) => {
            unknown.push(error);
            Err(unknown)
        }
    }
}
