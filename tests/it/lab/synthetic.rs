//! Run records whose figures are known because they were put there. Counters go on from block to
//! block, as those of a real run do.

use std::collections::BTreeMap;
use std::time::Duration;

use poolwise::lab::histogram::Times;
use poolwise::lab::plan::{
    Distribution, Level, Limits, Model, Parameters, Plan, PlannedStrategy, Point, Stage,
};
use poolwise::lab::record::*;

/// What a strategy does in a block. Costs are per answer, gauges constant.
#[derive(Clone)]
pub struct Traffic {
    pub seconds: u64,
    pub answers_per_second: u64,
    pub errors_per_second: u64,
    /// Latency of the answer `i` of a second, in microseconds.
    pub latency_us: fn(u64) -> u64,
    /// Multiplies each latency.
    pub slower: f64,
    pub body_bytes: u64,
    /// Of each answer by `X-Cache`: every so many is a miss; 0 where there is no cache.
    pub miss_every: u64,
    pub late: u64,
    pub dropped: u64,
    pub api_cpu: f64,
    pub database_cpu: f64,
    pub redis_cpu: f64,
    pub driver_cpu: f64,
    pub api_memory: u64,
    pub database_connections: u64,
    pub transactions: u64,
    pub opened: u64,
    pub pool: (u64, u64, u64),
    pub host_busy: f64,
    pub host_steal: f64,
    pub swapped_pages_per_second: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            seconds: 4,
            answers_per_second: 100,
            errors_per_second: 0,
            latency_us: |i| 10_000 + i * 100,
            slower: 1.0,
            body_bytes: 3_700_000,
            miss_every: 0,
            late: 0,
            dropped: 0,
            api_cpu: 0.004,
            database_cpu: 0.003,
            redis_cpu: 0.000_1,
            driver_cpu: 0.001,
            api_memory: 80_000_000,
            database_connections: 8,
            transactions: 1,
            opened: 0,
            pool: (8, 4, 0),
            host_busy: 0.5,
            host_steal: 0.0,
            swapped_pages_per_second: 0,
        }
    }
}

/// A run in the making.
pub struct Synthetic {
    pub run: RunRecord,
    now: Sample,
}

/// A plan's point of so many users.
pub fn closed(name: &str, users: u32, pause: Duration) -> Point {
    let stage = stage(Level::Users { users }, 4);
    Point { name: name.into(), model: Model::Closed { pause }, stages: vec![stage] }
}

/// A stage without a ramp.
pub fn stage(level: Level, seconds: u64) -> Stage {
    let duration = Duration::from_secs(seconds);
    Stage { name: String::new(), level, ramp: Duration::ZERO, duration }
}

/// The load of a block of so many users without a pause.
pub fn users(users: u32) -> Load {
    Load::Closed { users, pause_seconds: 0.0 }
}

fn seen() -> Source {
    Source::Seen {
        usage: Some("processes".into()),
        counters: Some("its statistics".into()),
        not_visible: vec![],
        shares_cores: Some(true),
    }
}

impl Synthetic {
    /// A finished run without blocks: PostgreSQL, Redis, four cores, one point `load` of 20 users
    /// without a pause; the first strategy is the baseline.
    pub fn new(strategies: &[&str]) -> Self {
        let planned = |name: &&str| PlannedStrategy {
            name: (*name).into(),
            definition: None,
            pool_size: name.strip_prefix("pool-").and_then(|size| size.parse().ok()),
        };
        let record = |name: &&str| StrategyRecord {
            name: (*name).into(),
            access: if *name == "direct" { "direct".into() } else { "pool".into() },
            cache: if *name == "cached" { "redis".into() } else { "none".into() },
            connections: Some(8),
        };
        let parameters = Parameters {
            values: vec!["category=electronics".into()],
            distribution: Distribution::Fixed,
        };
        let plan = Plan {
            name: "synthetic".into(),
            title: "Synthetic".into(),
            question: "Is it right?".into(),
            reading: None,
            strategies: strategies.iter().map(planned).collect(),
            baseline: strategies[0].into(),
            mixed: false,
            rounds: 5,
            warm_up: Duration::from_secs(1),
            again: false,
            ceiling: Duration::ZERO,
            idle: Duration::ZERO,
            timeout: Duration::from_secs(30),
            parameters,
            tasks: Default::default(),
            users: Default::default(),
            staleness: None,
            pause_spread: Duration::ZERO,
            points: vec![closed("load", 20, Duration::ZERO)],
            search: None,
            limits: Limits::default(),
            targets: BTreeMap::new(),
            seed: 1,
        };
        let target = Target {
            started_by_the_lab: true,
            url: "http://127.0.0.1:8080".into(),
            backend: Some("postgres".into()),
            versions: [("PostgreSQL".into(), "15.4".into())].into(),
            strategies: strategies.iter().map(record).collect(),
            config: Some("[database]\npool_size = 8\n".into()),
            max_connections: Some(100),
            reserved_connections: Some(3),
            sources: Sources { api: seen(), database: seen(), redis: seen(), driver: seen() },
        };
        let host = Host {
            cpu_model: "a processor".into(),
            cores: 4,
            memory_bytes: 8_000_000_000,
            system: "Linux".into(),
            driver_cores: None,
            service_cores: None,
        };
        let run = RunRecord {
            schema: SCHEMA,
            poolwise: "0.1.0".into(),
            started_at: "2026-01-02T03:04:05Z".into(),
            took_seconds: 60.0,
            ended: Ended::Finished,
            plan,
            host,
            target,
            findings: vec![],
            idle: vec![],
            blocks: vec![],
            watched: None,
        };
        let zero = Usage { cpu_seconds: Some(0.0), operations: Some(0), ..Usage::default() };
        let usage = [zero.clone(), zero.clone(), zero.clone(), zero];
        let [api, database, redis, driver] = usage;
        let host = Some(HostUsage::default());
        let now = Sample { api, database, redis, driver, host, ..Sample::default() };
        Self { run, now }
    }

    /// Adds a block of one strategy.
    pub fn block(
        &mut self,
        (point, strategy, round, role): (&str, &str, u32, Role),
        load: Load,
        traffic: &Traffic,
    ) -> &mut Self {
        self.now.at_seconds += 1.0;
        let from_seconds = self.now.at_seconds;
        let mut samples = vec![self.sample(strategy, traffic)];
        for _ in 0..traffic.seconds {
            self.advance(strategy, traffic);
            samples.push(self.sample(strategy, traffic));
        }
        self.run.blocks.push(Block {
            point: point.into(),
            round,
            role,
            load,
            from_seconds,
            to_seconds: self.now.at_seconds,
            cut: None,
            lanes: vec![lane(strategy, traffic)],
            samples,
        });
        self
    }

    /// Adds rounds `1..=n` of every strategy at the point `load`.
    pub fn rounds(&mut self, n: u32, traffic: impl Fn(&str, u32) -> Traffic) -> &mut Self {
        let names: Vec<String> =
            self.run.plan.strategies.iter().map(|planned| planned.name.clone()).collect();
        for round in 1..=n {
            for name in &names {
                let traffic = traffic(name, round);
                self.block(("load", name, round, Role::Measure), users(20), &traffic);
            }
        }
        self
    }

    fn advance(&mut self, strategy: &str, traffic: &Traffic) {
        let answers = traffic.answers_per_second;
        let now = &mut self.now;
        now.at_seconds += 1.0;
        let used = [traffic.api_cpu, traffic.database_cpu, traffic.redis_cpu, traffic.driver_cpu];
        let usages = [&mut now.api, &mut now.database, &mut now.redis, &mut now.driver];
        for (usage, cpu) in usages.into_iter().zip(used) {
            *usage.cpu_seconds.get_or_insert(0.0) += cpu * answers as f64;
            *usage.operations.get_or_insert(0) += traffic.transactions * answers;
        }
        let host = now.host.get_or_insert_default();
        host.total_seconds += 4.0;
        host.busy_seconds += 4.0 * traffic.host_busy;
        host.steal_seconds += 4.0 * traffic.host_steal;
        host.swapped_pages += traffic.swapped_pages_per_second;
        now.pools.entry(strategy.into()).or_default().opened += traffic.opened * answers;
    }

    fn sample(&mut self, strategy: &str, traffic: &Traffic) -> Sample {
        let now = &mut self.now;
        now.api.memory_bytes = Some(traffic.api_memory);
        now.api.memory_limit_bytes = Some(8_000_000_000);
        now.api.connections = Some(20);
        now.database.memory_bytes = Some(200_000_000);
        now.database.connections = Some(traffic.database_connections);
        now.redis.memory_bytes = Some(10_000_000);
        now.redis.connections = Some(4);
        let pool = now.pools.entry(strategy.into()).or_default();
        (pool.size, pool.in_use, pool.waiting) = traffic.pool;
        now.clone()
    }
}

fn lane(strategy: &str, traffic: &Traffic) -> Lane {
    let second = |_| {
        let mut latency = Times::default();
        let mut cache = BTreeMap::new();
        for i in 0..traffic.answers_per_second {
            let time = (traffic.latency_us)(i) as f64 * traffic.slower;
            latency.record(Duration::from_micros(time as u64));
            if traffic.miss_every > 0 {
                let word = if i % traffic.miss_every == 0 { "miss" } else { "hit" };
                *cache.entry(word.to_owned()).or_insert(0) += 1;
            }
        }
        Second {
            answers: traffic.answers_per_second,
            errors: traffic.errors_per_second,
            body_bytes: traffic.answers_per_second * traffic.body_bytes,
            cache,
            service_time: latency.clone(),
            latency,
        }
    };
    let seconds: Vec<Second> = (0..traffic.seconds).map(second).collect();
    let mut first_byte = Times::default();
    seconds.iter().for_each(|second| first_byte.add(&second.latency));
    let answers = traffic.seconds * traffic.answers_per_second;
    let errors = traffic.seconds * traffic.errors_per_second;
    let mut outcomes = BTreeMap::from([("200".to_owned(), answers)]);
    if errors > 0 {
        outcomes.insert("503".into(), errors);
    }
    Lane {
        strategy: strategy.into(),
        scheduled: answers + errors + traffic.dropped,
        late: traffic.late,
        dropped: traffic.dropped,
        outcomes,
        first_byte,
        tasks: Default::default(),
        staleness: None,
        reported: None,
        seconds,
    }
}

/// A number around 1 with this standard deviation, the same for the same seed: twelve uniform numbers
/// less 6 are nearly normal.
pub fn noisy(seed: u64, deviation: f64) -> f64 {
    let mut state = seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x9E37_79B9_7F4A_7C15;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for _ in 0..8 {
        uniform();
    }
    1.0 + deviation * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)
}
