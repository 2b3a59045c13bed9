//! Records of runs that never were, the same at every call: what the reports are tested on.

use std::collections::BTreeMap;
use std::time::Duration;

use poolwise::lab::plan::{
    Arrivals, Distribution, Level, Limits, Model, Parameters, Plan, PlannedStrategy, Point, Search,
    Stage, Target as PlannedTarget,
};
use poolwise::lab::record::{
    Block, Ended, Finding, Host, HostUsage, Lane, Load, PoolSample, Role, RunRecord, SCHEMA,
    Sample, Second, Source, Sources, StrategyRecord, Target, Usage,
};

/// What a strategy takes for an answer.
#[derive(Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub median_ms: f64,
    pub api_cpu_ms: f64,
    pub database_cpu_ms: f64,
    pub redis_cpu_ms: f64,
    pub connections: u64,
    pub cached: bool,
}

pub const DIRECT: Profile = Profile {
    name: "direct",
    median_ms: 61.0,
    api_cpu_ms: 10.4,
    database_cpu_ms: 22.6,
    redis_cpu_ms: 0.0,
    connections: 20,
    cached: false,
};
pub const POOLED: Profile = Profile {
    name: "pooled",
    median_ms: 38.0,
    api_cpu_ms: 8.9,
    database_cpu_ms: 14.1,
    connections: 8,
    ..DIRECT
};
pub const CACHED: Profile = Profile {
    name: "cached",
    median_ms: 9.5,
    api_cpu_ms: 3.1,
    database_cpu_ms: 2.2,
    redis_cpu_ms: 1.5,
    cached: true,
    ..POOLED
};

/// Counters of the components, which only grow, and the clock.
pub struct Machine {
    now: f64,
    random: u64,
    sample: Sample,
}

impl Machine {
    pub fn new() -> Self {
        let seen = |memory: u64, limit: u64| Usage {
            cpu_seconds: Some(1.0),
            memory_bytes: Some(memory << 20),
            memory_limit_bytes: Some(limit << 20),
            connections: Some(1),
            received_bytes: Some(0),
            sent_bytes: Some(0),
            operations: Some(0),
            keyspace_hits: None,
            keyspace_misses: None,
        };
        let sample = Sample {
            api: seen(24, 8192),
            database: Usage { received_bytes: None, sent_bytes: None, ..seen(118, 8192) },
            // Its network is not visible from here.
            redis: Usage { keyspace_hits: Some(0), keyspace_misses: Some(0), ..seen(11, 8192) },
            driver: seen(19, 8192),
            host: Some(HostUsage::default()),
            ..Sample::default()
        };
        Self { now: 0.0, random: 0x2545_f491_4f6c_dd1d, sample }
    }

    /// 0 to 1 (xorshift).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Seconds without load.
    pub fn idle(&mut self, seconds: u32) -> Vec<Sample> {
        (0..=seconds).map(|_| self.tick(0.002, 0.001, 0.003)).collect()
    }

    fn tick(&mut self, api: f64, database: f64, redis: f64) -> Sample {
        self.sample.at_seconds = rounded(self.now);
        let before = self.sample.clone();
        self.now += 1.0;
        for (usage, used) in [
            (&mut self.sample.api, api),
            (&mut self.sample.database, database),
            (&mut self.sample.redis, redis),
            (&mut self.sample.driver, 0.04 + api / 10.0),
        ] {
            usage.cpu_seconds = usage.cpu_seconds.map(|cpu| rounded(cpu + used));
        }
        if let Some(host) = &mut self.sample.host {
            host.busy_seconds = rounded(host.busy_seconds + api + database + redis + 0.1);
            host.total_seconds += 4.0;
        }
        before
    }

    /// A block: `rate` and `slower` (a factor on the times) by its second.
    pub fn block(
        &mut self,
        (point, round, role): (&str, u32, Role),
        profile: &Profile,
        load: Load,
        rates: &[f64],
        slower: &[f64],
    ) -> Block {
        self.now += 1.0;
        let from_seconds = rounded(self.now);
        let mut lane = Lane { strategy: profile.name.to_owned(), ..Lane::default() };
        let mut samples = Vec::new();
        let users = match load {
            Load::Closed { users, .. } => u64::from(users),
            Load::Open { connections, .. } => u64::from(connections),
            Load::Watched => 0,
        };
        for (rate, slower) in rates.iter().zip(slower) {
            let busy = (rate * profile.median_ms * slower / 1000.0).round() as u64;
            self.occupy(profile, users, busy);
            let cpu = |ms: f64| rate * ms / 1000.0;
            samples.push(self.tick(
                cpu(profile.api_cpu_ms),
                cpu(profile.database_cpu_ms),
                cpu(profile.redis_cpu_ms),
            ));
            let second = self.second(profile, rate.round() as u64, *slower);
            self.count(profile, &second);
            lane.scheduled += second.answers;
            *lane.outcomes.entry("200".to_owned()).or_default() += second.answers;
            lane.seconds.push(second);
        }
        self.sample.at_seconds = rounded(self.now);
        samples.push(self.sample.clone());
        Block {
            point: point.to_owned(),
            round,
            role,
            load,
            from_seconds,
            to_seconds: rounded(self.now),
            cut: None,
            lanes: vec![lane],
            samples,
        }
    }

    fn occupy(&mut self, profile: &Profile, users: u64, busy: u64) {
        let open = if profile.name == "direct" {
            busy.min(profile.connections)
        } else {
            profile.connections
        };
        self.sample.api.connections = Some(users);
        self.sample.database.connections = Some(open + 1);
        self.sample.redis.connections = Some(if profile.cached { 9 } else { 1 });
        self.sample.api.memory_bytes = self.sample.api.memory_bytes.map(|b| (b + (60 << 20)) / 2);
        let each = if profile.name == "direct" { 9 << 20 } else { 6 << 20 };
        self.sample.database.memory_bytes = Some((118 << 20) + open * each);
        let pool = PoolSample {
            size: profile.connections,
            in_use: busy.min(profile.connections),
            idle: open.saturating_sub(busy),
            waiting: busy.saturating_sub(profile.connections),
            wait_p95_ms: Some(0.4),
            opened: if profile.name == "direct" {
                self.sample.at_seconds as u64 * 60
            } else {
                open
            },
            closed: 0,
        };
        self.sample.pools = BTreeMap::from([(profile.name.to_owned(), pool)]);
    }

    fn second(&mut self, profile: &Profile, answers: u64, slower: f64) -> Second {
        let mut second = Second { answers, body_bytes: answers * 3_720_000, ..Second::default() };
        for _ in 0..answers {
            let spread = 0.75 + 0.5 * self.random();
            let tail = if self.random() > 0.94 { 1.5 + 2.0 * self.random() } else { 1.0 };
            let hit = profile.cached && self.random() < 0.85;
            let miss = if profile.cached && !hit { 4.2 } else { 1.0 };
            let ms = profile.median_ms * slower * spread * tail * miss;
            // Two significant digits, so that the file is small.
            let grain = 10f64.powi((ms.log10().floor() as i32) - 1);
            let time = Duration::from_micros(((ms / grain).round() * grain * 1000.0) as u64);
            second.latency.record(time);
            second.service_time.record(time);
            if profile.cached {
                let header = if hit { "hit" } else { "miss" };
                *second.cache.entry(header.to_owned()).or_default() += 1;
            }
        }
        second
    }

    fn count(&mut self, profile: &Profile, second: &Second) {
        let hits = second.cache.get("hit").copied().unwrap_or(0);
        let of_database = second.answers - hits;
        let add = |counter: &mut Option<u64>, by: u64| *counter = counter.map(|count| count + by);
        add(&mut self.sample.database.operations, of_database);
        if profile.cached {
            add(&mut self.sample.redis.operations, second.answers + of_database);
            add(&mut self.sample.redis.keyspace_hits, hits);
            add(&mut self.sample.redis.keyspace_misses, of_database);
            let cache = self.sample.caches.entry(profile.name.to_owned()).or_default();
            cache.hits += hits;
            cache.misses += of_database;
        }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The original experiment: 20 users, 233 ms pause, three endpoints in 5 rounds, with an A/A run.
pub fn case() -> RunRecord {
    let mut machine = Machine::new();
    let idle = machine.idle(2);
    let load = Load::Closed { users: 20, pause_seconds: 0.233 };
    let mut blocks = Vec::new();
    let noop =
        Profile { name: "noop", median_ms: 0.4, api_cpu_ms: 0.02, database_cpu_ms: 0.0, ..DIRECT };
    blocks.push(machine.block(("noop", 1, Role::Ceiling), &noop, load, &[400.0; 2], &[1.0; 2]));
    for round in 1..=5 {
        let mut order = [&DIRECT, &POOLED, &CACHED];
        order.rotate_left(round as usize % 3);
        for profile in order {
            let rate = 20.0 / (0.233 + profile.median_ms / 1000.0);
            let place = ("load", round, Role::Measure);
            blocks.push(machine.block(place, profile, load, &[rate; 3], &[1.04, 1.0, 0.98]));
        }
        let rate = 20.0 / (0.233 + DIRECT.median_ms / 1000.0);
        let again = ("load", round, Role::Again);
        blocks.push(machine.block(again, &DIRECT, load, &[rate; 3], &[1.02, 1.01, 1.0]));
    }
    let pause = Duration::from_millis(233);
    let stages = vec![stage("", Level::Users { users: 20 }, 0, 3)];
    let point = Point { name: "load".to_owned(), model: Model::Closed { pause }, stages };
    let mut plan = plan("case", &["direct", "pooled", "cached"], vec![point]);
    plan.title = "The assignment: direct, pooled, cached".to_owned();
    plan.question = "How should this API reach its database: a connection per request, a pool, or a pool behind Redis?".to_owned();
    plan.reading = Some(
        "The assignment can be read in two ways; here each endpoint gets all 20 users for a third of \
         the 60 s, in short blocks in turn."
            .to_owned(),
    );
    plan.targets = BTreeMap::from([(
        "latency_p95_ms".to_owned(),
        PlannedTarget { target: 100.0, critical: 200.0 },
    )]);
    record(plan, idle, blocks, machine.now)
}

/// Pools of 1 to 32 connections, and direct.
pub fn sweep() -> RunRecord {
    let mut machine = Machine::new();
    let idle = machine.idle(2);
    let load = Load::Closed { users: 32, pause_seconds: 0.0 };
    let mut blocks = Vec::new();
    for round in 1..=5 {
        for (profile, rate) in swept() {
            let profile = Profile { median_ms: 32_000.0 / rate, ..profile };
            let place = ("full", round, Role::Measure);
            blocks.push(machine.block(place, &profile, load, &[rate; 3], &[1.0; 3]));
        }
    }
    let stages = vec![stage("", Level::Users { users: 32 }, 0, 3)];
    let pause = Duration::ZERO;
    let point = Point { name: "full".to_owned(), model: Model::Closed { pause }, stages };
    let names: Vec<&str> = swept().map(|(profile, _)| profile.name).into();
    let mut plan = plan("pool-size", &names, vec![point]);
    for strategy in plan.strategies.iter_mut().skip(1) {
        let size: u32 = strategy.name[5..].parse().expect("a size follows the dash");
        strategy.pool_size = Some(size);
        strategy.definition = Some(format!("access = {{ kind = \"pool\", size = {size} }}"));
    }
    record(plan, idle, blocks, machine.now)
}

/// The strategies of the sweep with their rates.
pub fn swept() -> [(Profile, f64); 7] {
    let pool = |name, connections, rate| (Profile { name, connections, ..POOLED }, rate);
    [
        (DIRECT, 140.0),
        pool("pool-1", 1, 100.0),
        pool("pool-2", 2, 190.0),
        pool("pool-4", 4, 350.0),
        pool("pool-8", 8, 400.0),
        pool("pool-16", 16, 402.0),
        pool("pool-32", 32, 399.0),
    ]
}

/// A peak of three times the load, and a search for the knee behind it.
pub fn spike() -> RunRecord {
    let mut machine = Machine::new();
    let idle = machine.idle(2);
    let mut blocks = Vec::new();
    let mut rates = vec![60.0; 10];
    rates.extend([180.0; 6]);
    rates.extend([60.0; 14]);
    let slower = |peak: f64, tail: usize| -> Vec<f64> {
        let tail = 16 + tail;
        let of = |second| match second {
            0..10 => 1.0,
            10..16 => peak,
            second if second < tail => 1.0 + (peak - 1.0) * 0.5,
            _ => 1.0,
        };
        (0..30).map(of).collect()
    };
    let load = Load::Open { rate: 180.0, connections: 64 };
    for round in 1..=3 {
        for (profile, peak, tail) in [(&DIRECT, 22.0, 9), (&POOLED, 8.0, 3), (&CACHED, 1.6, 0)] {
            let place = ("peak", round, Role::Measure);
            blocks.push(machine.block(place, profile, load, &rates, &slower(peak, tail)));
        }
    }
    for users in [25, 50, 100, 200, 150] {
        for profile in [&DIRECT, &POOLED] {
            let load = Load::Closed { users, pause_seconds: 0.0 };
            let rate = f64::from(users).min(80.0);
            let times = f64::from(users) / rate;
            blocks.push(machine.block(
                ("search", 1, Role::Probe),
                profile,
                load,
                &[rate; 3],
                &[times; 3],
            ));
        }
    }
    let rate = |rate| Level::Rate { rate };
    let stages = vec![
        stage("before", rate(60.0), 0, 10),
        stage("peak", rate(180.0), 1, 6),
        stage("after", rate(60.0), 1, 14),
    ];
    let model = Model::Open { arrivals: Arrivals::Poisson, connections: 64 };
    let point = Point { name: "peak".to_owned(), model, stages };
    let mut plan = plan("spike", &["direct", "pooled", "cached"], vec![point]);
    plan.again = false;
    plan.search = Some(Search {
        model: Model::Closed { pause: Duration::ZERO },
        from: 25.0,
        factor: 2.0,
        to: 800.0,
        resolution: 0.1,
        probe: Duration::from_secs(3),
        p95_ms: 250.0,
        errors: 0.01,
    });
    record(plan, idle, blocks, machine.now)
}

fn stage(name: &str, level: Level, ramp: u64, seconds: u64) -> Stage {
    let (ramp, duration) = (Duration::from_secs(ramp), Duration::from_secs(seconds));
    Stage { name: name.to_owned(), level, ramp, duration }
}

fn plan(name: &str, strategies: &[&str], points: Vec<Point>) -> Plan {
    let planned = |name: &&str| PlannedStrategy {
        name: (*name).to_owned(),
        definition: None,
        pool_size: None,
    };
    let window = |low: u32| format!("min_price={low}.00&max_price={}.00", low + 350);
    Plan {
        name: name.to_owned(),
        title: format!("Plan {name}"),
        question: "What does this plan show?".to_owned(),
        reading: None,
        strategies: strategies.iter().map(planned).collect(),
        baseline: "direct".to_owned(),
        mixed: false,
        rounds: 5,
        warm_up: Duration::from_secs(1),
        again: true,
        ceiling: Duration::from_secs(2),
        idle: Duration::from_secs(3),
        timeout: Duration::from_secs(30),
        parameters: Parameters {
            values: (1..=22).map(|n| window(n * 10)).collect(),
            distribution: Distribution::Zipf { exponent: 1.0 },
        },
        tasks: Default::default(),
        users: Default::default(),
        staleness: None,
        pause_spread: Duration::ZERO,
        points,
        search: None,
        limits: Limits::default(),
        targets: BTreeMap::new(),
        seed: 1,
    }
}

fn record(plan: Plan, idle: Vec<Sample>, blocks: Vec<Block>, took_seconds: f64) -> RunRecord {
    let described = |planned: &PlannedStrategy| StrategyRecord {
        name: planned.name.clone(),
        access: if planned.name == "direct" { "direct" } else { "pool" }.to_owned(),
        cache: if planned.name == "cached" { "redis" } else { "none" }.to_owned(),
        connections: Some(u64::from(planned.pool_size.unwrap_or(8))),
    };
    let seen = |usage: &str, counters: &str| Source::Seen {
        usage: Some(usage.to_owned()),
        counters: Some(counters.to_owned()),
        not_visible: Vec::new(),
        shares_cores: Some(true),
    };
    let versions = [("poolwise", "0.1.0"), ("PostgreSQL", "15.14"), ("Redis", "7.0.15")];
    let strategies = plan.strategies.iter().map(described).collect();
    RunRecord {
        schema: SCHEMA,
        poolwise: "0.1.0".to_owned(),
        started_at: "2025-03-04T05:06:07Z".to_owned(),
        took_seconds,
        ended: Ended::Finished,
        plan,
        host: Host {
            cpu_model: "Example CPU @ 2.80GHz".to_owned(),
            cores: 4,
            memory_bytes: 8 << 30,
            system: "Linux 6.1.0".to_owned(),
            driver_cores: Some(vec![3]),
            service_cores: None,
        },
        target: Target {
            started_by_the_lab: true,
            url: "http://127.0.0.1:8080".to_owned(),
            backend: Some("postgres".to_owned()),
            versions: versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into(),
            strategies,
            config: Some("[database]\nbackend = \"postgres\"\npool_size = 8\n\n[cache]\nttl = \"60s\"\n".to_owned()),
            max_connections: Some(100),
            reserved_connections: Some(3),
            sources: Sources {
                api: seen("processes under pid 4711", "/stats"),
                database: seen("processes under pid 812 (PSS)", "pg_stat_activity, pg_stat_database"),
                redis: Source::Seen {
                    usage: Some("INFO".to_owned()),
                    counters: Some("INFO".to_owned()),
                    not_visible: vec!["bytes sent and received: another client writes to it too".to_owned()],
                    shares_cores: Some(true),
                },
                driver: seen("its own process", "its own sockets"),
            },
        },
        findings: vec![Finding {
            id: "D1".to_owned(),
            fact: "20 users that pause 233 ms ask for at most 85.8 requests/s, however fast the answers are.".to_owned(),
            advice: "a plan without a pause, such as `open`, to see more than that.".to_owned(),
        }],
        idle,
        blocks,
        watched: None,
    }
}
