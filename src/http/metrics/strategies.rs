//! Strategies: their answers, connections, caches, writes, and circuit breakers.

use std::fmt;
use std::sync::Arc;

use super::super::State;
use super::text::{Labels, Text, one_hot};
use crate::config::Config;
use crate::observe::{AccessGauges, BreakerState, BreakerView, CacheGauges, CacheMeter, Kind};
use crate::observe::{Distribution, StrategyMeter};
use crate::store::{Breaker, Strategies, Strategy};

pub(super) fn write(text: &mut Text<'_>, state: &State) -> fmt::Result {
    let strategies = state.strategies.load_full();
    let config = state.config.load_full();
    let set = Set(&strategies);
    set.answers(text)?;
    set.writes(text)?;
    set.pools(text)?;
    set.caches(text)?;
    set.database_breakers(text, &config)?;
    set.cache_breakers(text)
}

/// The strategies of the configuration in force. What was counted under a name goes on when it comes back.
struct Set<'a>(&'a Strategies);

fn of(strategy: &Strategy) -> Labels<'_> {
    vec![("strategy", &*strategy.name)]
}

impl<'a> Set<'a> {
    /// A series for each strategy.
    fn each<V>(&self, read: impl Fn(&StrategyMeter) -> V) -> impl Iterator<Item = (Labels<'a>, V)> {
        self.0.iter().map(move |strategy| (of(strategy), read(&strategy.meter)))
    }

    fn answers(&self, text: &mut Text<'_>) -> fmt::Result {
        let info = self.0.iter().map(|strategy| {
            let mut labels = of(strategy);
            labels.push(("access", &strategy.config.access.name));
            labels.push(("cache", &strategy.config.cache.name));
            (labels, 1u64)
        });
        text.gauge(
            "poolwise_strategy_info",
            "Always 1; the labels say what the strategy is made of.",
            info,
        )?;
        text.counter(
            "poolwise_strategy_requests_total",
            "Answers begun, errors included.",
            self.each(|meter| meter.requests.get()),
        )?;
        text.counter(
            "poolwise_strategy_errors_total",
            "Answers of 5xx, and bodies that broke off because the database failed.",
            self.each(|meter| meter.errors.get()),
        )?;
        text.gauge(
            "poolwise_strategy_requests_in_flight",
            "Requests being answered.",
            self.each(|meter| meter.in_flight.get()),
        )?;
        text.counter(
            "poolwise_strategy_sent_bytes_total",
            "Bytes of bodies handed to the socket.",
            self.each(|meter| meter.bytes.get()),
        )?;
        text.counter(
            "poolwise_strategy_database_answers_total",
            "Answers and writes that came from the database.",
            self.each(|meter| meter.from_database.get()),
        )?;
        text.histogram(
            "poolwise_strategy_duration_seconds",
            "From the request to the last byte handed to the socket.",
            self.each(|meter| meter.latency.all().shares()),
        )
    }

    fn writes(&self, text: &mut Text<'_>) -> fmt::Result {
        let writer = self.0.writer();
        let writers = self
            .0
            .iter()
            .filter(|strategy| Arc::ptr_eq(strategy, writer) || strategy.meter.writes.get() > 0);
        let writes = writers.flat_map(|strategy| {
            let labels = |outcome| vec![("strategy", &*strategy.name), ("outcome", outcome)];
            strategy.meter.writes.each().map(move |(outcome, count)| (labels(outcome), count))
        });
        let help = "Writes of products and orders through the strategy's connections, by what came of them.";
        text.counter("poolwise_writes_total", help, writes)
    }

    fn pools(&self, text: &mut Text<'_>) -> fmt::Result {
        let gauges: Vec<_> = self.0.iter().map(|one| (of(one), one.access.gauges())).collect();
        let each = |read: fn(&AccessGauges) -> usize| {
            gauges.iter().map(move |(labels, gauges)| (labels.clone(), read(gauges)))
        };
        text.gauge(
            "poolwise_pool_size",
            "Connections to the database that the strategy can have.",
            each(|gauges| gauges.size),
        )?;
        text.gauge(
            "poolwise_pool_in_use",
            "Connections that serve a request.",
            each(|gauges| gauges.in_use),
        )?;
        text.gauge(
            "poolwise_pool_idle",
            "Connections that are open and free.",
            each(|gauges| gauges.idle),
        )?;
        text.gauge(
            "poolwise_pool_waiting",
            "Requests that wait for a connection.",
            each(|gauges| gauges.waiting),
        )?;
        self.seconds(
            text,
            ("poolwise_pool_wait_seconds", "Waits for a connection that came free in time."),
            |meter| meter.access.wait.all(),
        )?;
        self.seconds(
            text,
            ("poolwise_pool_connect_seconds", "Times to open a connection."),
            |meter| meter.access.connect.all(),
        )?;
        text.counter(
            "poolwise_pool_opened_total",
            "Connections opened.",
            self.each(|meter| meter.access.opened.get()),
        )?;
        let closed = self.0.iter().flat_map(|strategy| {
            let labels = |why| vec![("strategy", &*strategy.name), ("reason", why)];
            strategy.meter.access.closed.each().map(move |(why, count)| (labels(why), count))
        });
        text.counter("poolwise_pool_closed_total", "Connections closed, by why.", closed)
    }

    fn seconds(
        &self,
        text: &mut Text<'_>,
        (name, help): (&'static str, &str),
        read: fn(&StrategyMeter) -> &Distribution,
    ) -> fmt::Result {
        text.histogram(name, help, self.each(|meter| read(meter).shares()))
    }

    fn caches(&self, text: &mut Text<'_>) -> fmt::Result {
        type Read = fn(&CacheMeter) -> u64;
        let counters: [(&str, &str, Read); 5] = [
            ("poolwise_cache_hits_total", "Answers that the cache had.", |meter| meter.hits.get()),
            ("poolwise_cache_misses_total", "Answers that the cache did not have.", |meter| {
                meter.misses.get()
            }),
            (
                "poolwise_cache_coalesced_total",
                "Answers shared with a request that was fetching them already.",
                |meter| meter.coalesced.get(),
            ),
            (
                "poolwise_cache_bypassed_total",
                "Answers for which the cache was not used: it failed, had no room, or they are too large.",
                |meter| meter.bypassed.get(),
            ),
            ("poolwise_cache_faults_total", "Times that the cache failed.", |meter| {
                meter.faults.get()
            }),
        ];
        let cached = || self.0.iter().filter(|strategy| strategy.cache.is_some());
        for (name, help, read) in counters {
            let series = cached().map(|strategy| (of(strategy), read(&strategy.meter.cache)));
            text.counter(name, help, series)?;
        }
        let gauges = || cached().filter_map(|one| Some((of(one), one.cache.as_ref()?.gauges())));
        let each = |read: fn(&CacheGauges) -> Option<u64>| {
            gauges().filter_map(move |(labels, gauges)| Some((labels, read(&gauges)?)))
        };
        text.gauge(
            "poolwise_cache_entries",
            "Entries in this process; absent where they are elsewhere.",
            each(|gauges| gauges.entries),
        )?;
        text.gauge(
            "poolwise_cache_bytes",
            "Bytes of entries in this process.",
            each(|gauges| gauges.bytes),
        )
    }

    /// Strategies of one database share its breaker. It is called as the configuration calls its URL now, which
    /// an edit may change.
    fn database_breakers(&self, text: &mut Text<'_>, config: &Config) -> fmt::Result {
        let mut breakers: Vec<(String, &Arc<Breaker>)> = Vec::new();
        for strategy in self.0.iter() {
            if let Some(breaker) = &strategy.breaker
                && !breakers.iter().any(|(_, known)| Arc::ptr_eq(known, breaker))
            {
                breakers.push((config.url_key(&strategy.config.database_url), breaker));
            }
        }
        let views: Vec<(Labels<'_>, BreakerView)> = breakers
            .iter()
            .map(|(key, breaker)| (vec![("database", &**key)], breaker.view()))
            .collect();
        text.gauge(
            "poolwise_database_breaker_state",
            "1 for the state that the circuit breaker of the database is in.",
            states(&views),
        )?;
        text.counter(
            "poolwise_database_breaker_opened_total",
            "How often the circuit breaker of the database opened.",
            views.iter().filter_map(|(labels, view)| Some((labels.clone(), view.opened?))),
        )?;
        text.counter(
            "poolwise_database_breaker_refused_total",
            "Requests that the circuit breaker of the database spared a wait.",
            views.iter().map(|(labels, view)| (labels.clone(), view.refused)),
        )
    }

    /// Those around Redis; each strategy has its own.
    fn cache_breakers(&self, text: &mut Text<'_>) -> fmt::Result {
        let view = |one: &'a Arc<Strategy>| Some((of(one), one.cache.as_ref()?.breaker()?));
        let views: Vec<_> = self.0.iter().filter_map(view).collect();
        text.gauge(
            "poolwise_cache_breaker_state",
            "1 for the state that the strategy's circuit breaker around Redis is in.",
            states(&views),
        )?;
        text.counter(
            "poolwise_cache_breaker_refused_total",
            "Requests that it spared a wait for Redis.",
            views.iter().map(|(labels, view)| (labels.clone(), view.refused)),
        )
    }
}

fn states<'a>(views: &'a [(Labels<'a>, BreakerView)]) -> impl Iterator<Item = (Labels<'a>, u64)> {
    views.iter().flat_map(|(labels, view)| {
        one_hot(labels.clone(), "state", BreakerState::ALL, Kind::name, view.state)
    })
}
