//! What one block says about one strategy: each figure as a numerator and a denominator, so that
//! blocks can be added and drawn again, or as a highest value. It knows one block, no statistics.
//!
//! | figures | numerator / denominator |
//! | --- | --- |
//! | rates | answers or bytes / measured seconds |
//! | means of times | sum of the samples / samples |
//! | shares | part / whole |
//! | CPU percent | CPU seconds between the first and the last sample * 100 / seconds between them |
//! | costs | the same CPU seconds (or another counter's difference) * 1,000 / answers |
//! | gauges | sum over the samples / samples: samples are a second apart, so a plain mean |
//!
//! A counter needs two samples that show it, at least half of the block apart; where the first or
//! last one lacks it, its difference is scaled up to the block. A gauge needs one. Otherwise the
//! block has no such figure, and then neither has the row: a sum over the other blocks would be that
//! of another load.

use std::collections::BTreeMap;

use super::Figure;
use super::context::{Component, Context};
use crate::lab::histogram::Times;
use crate::lab::plan::Task;
use crate::lab::record::{Block, CacheSample, HostUsage, Lane, PoolSample, Sample, Usage};

/// How one number is read from a sample.
type Read<From, Number> = fn(&From) -> Number;

/// A numerator and its denominator; both 0 where nothing can be divided.
pub(super) type Quotient = (f64, f64);

/// The figures of a block that are quotients.
pub(super) fn quotients(
    context: &Context,
    block: &Block,
    lane: &Lane,
    times: [&Times; 2],
) -> BTreeMap<Figure, Quotient> {
    let mut found = BTreeMap::new();
    let seconds = block.seconds();
    let (answers, failed) = (lane.answers() as f64, lane.errors() as f64);
    let body_bytes = lane.seconds.iter().map(|second| second.body_bytes).sum::<u64>() as f64;
    if !context.is_unrecorded() {
        found.insert(Figure::Rate, (answers, seconds));
        found.insert(Figure::Errors, (failed, answers + failed));
    }
    // Not every tool counts bytes.
    if context.run.watched.is_none() || body_bytes > 0.0 {
        found.insert(Figure::BodyBytes, (body_bytes, answers));
        found.insert(Figure::BodyBytesRate, (body_bytes, seconds));
    }
    let reported = lane.reported.and_then(|reported| reported.mean_ms);
    for (figure, times) in [Figure::LatencyMean, Figure::ServiceTimeMean].into_iter().zip(times) {
        let count = times.count() as f64;
        let recorded = (times.mean_ms().unwrap_or(0.0) * count, count);
        found.insert(figure, reported.map_or(recorded, |mean| (mean * answers, answers)));
    }
    let marked = |names: &[&str]| -> f64 {
        let counts = lane.seconds.iter().flat_map(|second| &second.cache);
        counts.filter(|(name, _)| names.contains(&name.as_str())).map(|(_, n)| *n).sum::<u64>()
            as f64
    };
    // Where nothing is kept, only the answers that were shared say so.
    let any_marked = marked(&["hit", "coalesced", "miss", "bypass"]);
    let writes = writes(lane);
    let all = if any_marked > 0.0 { any_marked.max(answers - writes) } else { 0.0 };
    let by_header = (marked(&["hit", "coalesced"]), all);
    let by_service = context.run.watched.as_ref().and_then(|_| hits(block, &lane.strategy));
    found.insert(Figure::HitRate, by_service.unwrap_or(by_header));
    if !lane.tasks.is_empty() {
        found.insert(Figure::Writes, (writes, seconds));
    }
    if let Some(seen) = &lane.staleness {
        let looks = seen.looks as f64;
        found.insert(Figure::StaleShare, (seen.stale as f64, looks));
        found.insert(Figure::StaleAgeMean, (seen.age_seconds * 1000.0, looks));
    }
    host(block, &mut found);
    // Each says what was used since the sample before it.
    let busiest: Vec<f64> =
        block.samples.iter().skip(1).filter_map(|sample| sample.busiest_thread).collect();
    if !busiest.is_empty() {
        let sum = busiest.iter().sum::<f64>() * 100.0;
        found.insert(Figure::DriverThread, (sum, busiest.len() as f64));
    }
    pool(block, &lane.strategy, answers, &mut found);
    if block.lanes.len() == 1 {
        for component in Component::ALL.into_iter().filter(|component| context.has(*component)) {
            usage(component, &block.samples, answers, &mut found);
        }
    } else {
        // As what the machine did it is no cost of a strategy, and may have been the limit of all.
        usage(Component::Driver, &block.samples, answers, &mut found);
    }
    found
}

/// Answers from the cache among all, as the service counts them: other tools do not keep headers.
fn hits(block: &Block, strategy: &str) -> Option<Quotient> {
    let counted = |count: fn(&CacheSample) -> u64| {
        let of = |sample: &Sample| Some(count(sample.caches.get(strategy)?) as f64);
        difference(&block.samples, of).map(|difference| difference.amount)
    };
    let hits = counted(|cache| cache.hits + cache.coalesced)?;
    Some((hits, hits + counted(|cache| cache.misses + cache.bypassed)?))
}

/// Writes that were answered.
fn writes(lane: &Lane) -> f64 {
    let tasks = Task::ALL.iter().filter(|task| task.writes());
    let records = tasks.filter_map(|task| lane.tasks.get(task.name()));
    records.map(|record| record.answers).sum::<u64>() as f64
}

/// The figures of a block that are its highest sample.
pub(super) fn highest(context: &Context, block: &Block) -> BTreeMap<Figure, f64> {
    let of = |component: Component, gauge: fn(&Usage) -> Option<u64>| -> Option<f64> {
        let seen = block.lanes.len() == 1 && context.has(component);
        let values = block.samples.iter().filter_map(|sample| gauge(component.usage(sample)));
        values.max().filter(|_| seen).map(|value| value as f64)
    };
    let found = [
        (Figure::ApiMemoryMax, of(Component::Api, |u| u.memory_bytes)),
        (Figure::DatabaseMemoryMax, of(Component::Database, |u| u.memory_bytes)),
        (Figure::DatabaseConnectionsMax, of(Component::Database, |u| u.connections)),
        (Figure::RedisMemoryMax, of(Component::Redis, |u| u.memory_bytes)),
    ];
    found.into_iter().filter_map(|(figure, value)| Some((figure, value?))).collect()
}

/// The figures of a component: CPU, CPU per 1,000, memory, its share, connections, and counters.
struct Figures {
    cpu: Figure,
    cost: Option<Figure>,
    memory: Option<[Figure; 2]>,
    connections: Option<Figure>,
    counters: &'static [(Figure, Read<Usage, Option<u64>>)],
}

fn figures(component: Component) -> Figures {
    match component {
        Component::Api => Figures {
            cpu: Figure::ApiCpu,
            cost: Some(Figure::ApiCpuCost),
            memory: Some([Figure::ApiMemory, Figure::ApiMemoryShare]),
            connections: Some(Figure::ApiConnections),
            counters: &[],
        },
        Component::Database => Figures {
            cpu: Figure::DatabaseCpu,
            cost: Some(Figure::DatabaseCpuCost),
            memory: Some([Figure::DatabaseMemory, Figure::DatabaseMemoryShare]),
            connections: Some(Figure::DatabaseConnections),
            counters: &[(Figure::DatabaseOperations, |u| u.operations)],
        },
        Component::Redis => Figures {
            cpu: Figure::RedisCpu,
            cost: Some(Figure::RedisCpuCost),
            memory: Some([Figure::RedisMemory, Figure::RedisMemoryShare]),
            connections: Some(Figure::RedisConnections),
            counters: &[
                (Figure::RedisOperations, |u| u.operations),
                (Figure::RedisSent, |u| u.sent_bytes),
                (Figure::RedisReceived, |u| u.received_bytes),
            ],
        },
        Component::Driver => Figures {
            cpu: Figure::DriverCpu,
            cost: None,
            memory: None,
            connections: None,
            counters: &[],
        },
    }
}

fn usage(
    component: Component,
    samples: &[Sample],
    answers: f64,
    found: &mut BTreeMap<Figure, Quotient>,
) {
    let figures = figures(component);
    if let Some(used) = difference(samples, |sample| component.usage(sample).cpu_seconds) {
        found.insert(figures.cpu, (used.amount * 100.0, used.seconds));
        figures.cost.map(|cost| found.insert(cost, (used.amount * 1000.0, answers)));
    }
    for (figure, counter) in figures.counters {
        let counter = |sample: &Sample| counter(component.usage(sample)).map(|n| n as f64);
        if let Some(used) = difference(samples, counter) {
            found.insert(*figure, (used.amount * 1000.0, answers));
        }
    }
    let mut gauge = |figure, value: &dyn Fn(&Usage) -> Option<Quotient>| {
        let values: Vec<Quotient> =
            samples.iter().filter_map(|sample| value(component.usage(sample))).collect();
        if !values.is_empty() {
            let sum = values.iter().fold((0.0, 0.0), |sum, v| (sum.0 + v.0, sum.1 + v.1));
            found.insert(figure, sum);
        }
    };
    if let Some([mean, share]) = figures.memory {
        gauge(mean, &|usage| Some((usage.memory_bytes? as f64, 1.0)));
        gauge(share, &|usage| Some((usage.memory_bytes? as f64, usage.memory_limit_bytes? as f64)));
    }
    if let Some(connections) = figures.connections {
        gauge(connections, &|usage| Some((usage.connections? as f64, 1.0)));
    }
}

/// What a component used while nothing was driven: CPU, memory and connections.
pub(super) fn idle(component: Component, samples: &[Sample]) -> BTreeMap<Figure, f64> {
    let mut found = BTreeMap::new();
    usage(component, samples, 0.0, &mut found);
    // Without answers the costs have no denominator.
    let defined = found.into_iter().filter(|(_, (_, below))| *below > 0.0);
    defined.map(|(figure, (above, below))| (figure, above / below)).collect()
}

fn pool(block: &Block, strategy: &str, answers: f64, found: &mut BTreeMap<Figure, Quotient>) {
    let of = |sample: &Sample| -> Option<PoolSample> { sample.pools.get(strategy).cloned() };
    let pools: Vec<PoolSample> = block.samples.iter().filter_map(of).collect();
    let Some(last) = pools.last() else { return };
    let (used, sizes) =
        pools.iter().fold((0, 0), |(used, sizes), pool| (used + pool.in_use, sizes + pool.size));
    found.insert(Figure::PoolUse, (used as f64, sizes as f64));
    let open: u64 = pools.iter().map(|pool| pool.in_use + pool.idle).sum();
    found.insert(Figure::PoolConnections, (open as f64, pools.len() as f64));
    let waiting: u64 = pools.iter().map(|pool| pool.waiting).sum();
    found.insert(Figure::PoolWaiting, (waiting as f64, pools.len() as f64));
    if let Some(wait) = last.wait_p95_ms {
        found.insert(Figure::PoolWaitP95, (wait, 1.0));
    }
    if let Some(opened) = difference(&block.samples, |sample| Some(of(sample)?.opened as f64)) {
        found.insert(Figure::ConnectionsOpened, (opened.amount * 1000.0, answers));
    }
}

fn host(block: &Block, found: &mut BTreeMap<Figure, Quotient>) {
    let of = |counter: fn(&HostUsage) -> f64| {
        let used = difference(&block.samples, |sample| sample.host.as_ref().map(counter));
        used.map(|used| used.amount)
    };
    let Some(total) = of(|host| host.total_seconds) else { return };
    let counters: [(Figure, Read<HostUsage, f64>); 2] = [
        (Figure::HostBusy, |host| host.busy_seconds),
        (Figure::HostSteal, |host| host.steal_seconds),
    ];
    for (figure, counter) in counters {
        of(counter).map(|amount| found.insert(figure, (amount, total)));
    }
}

/// What a counter grew by in a block.
pub(super) struct Difference {
    /// By how much, scaled up to the whole block.
    pub(super) amount: f64,
    /// The block in seconds, from its first to its last sample.
    pub(super) seconds: f64,
}

/// What a counter grew by between the first and the last sample that show it. `None` where there are
/// no two, they are less than half of the block apart, or it went backwards.
pub(super) fn difference(
    samples: &[Sample],
    counter: impl Fn(&Sample) -> Option<f64>,
) -> Option<Difference> {
    let shown: Vec<(f64, f64)> =
        samples.iter().filter_map(|sample| Some((sample.at_seconds, counter(sample)?))).collect();
    let ((from, first), (to, last)) = (*shown.first()?, *shown.last()?);
    let seconds = samples.last()?.at_seconds - samples.first()?.at_seconds;
    let usable = to > from && to - from >= seconds / 2.0 && last >= first;
    usable.then(|| Difference { amount: (last - first) * (seconds / (to - from)), seconds })
}
