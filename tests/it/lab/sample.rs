//! Samples agree with what was done, on servers of their own.

use std::time::Duration;

use poolwise::lab::base::Base;
use poolwise::lab::record::{Sample, Source, StrategyRecord, Usage};
use poolwise::lab::sample::{Sampler, Watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::retried;
use crate::harness::{Backend, Database, FEW, Postgres, Redis, Service, Setup, connect};

/// A service that is not there; only what is behind it is looked at.
const NO_SERVICE: &str = "http://127.0.0.1:9";

fn strategy(cache: &str) -> StrategyRecord {
    let [name, access] = ["subject", "pool"].map(str::to_owned);
    StrategyRecord { name, access, cache: cache.into(), connections: Some(2) }
}

pub(super) async fn sampler(
    url: &str,
    pid: Option<u32>,
    setup: Option<Setup>,
    cache: &str,
) -> Sampler {
    Sampler::connect(Watch {
        started: Instant::now(),
        base: Base::parse(url).await.expect("it is an address"),
        service_pid: pid,
        config: setup.map(|setup| setup.config()),
        strategies: vec![strategy(cache)],
    })
    .await
}

/// Looks at a PostgreSQL server alone.
async fn of_postgres(server: &Postgres) -> Sampler {
    let database = Database { backend: Backend::Postgres, url: server.url("postgres") };
    sampler(NO_SERVICE, None, Some(Setup::of(&database)), "none").await
}

/// Looks at a Redis server alone.
async fn of_redis(redis: &Redis) -> Sampler {
    let database = Database { backend: Backend::Sqlite, url: "sqlite:none.db".into() };
    let setup = Setup::of(&database).with_redis(redis).subject("\"pool\"", "\"redis\"");
    sampler(NO_SERVICE, None, Some(setup), "redis").await
}

/// Looks at a service in this process and all that is behind it.
pub(super) async fn of_service(service: &Service, cache: &str) -> Sampler {
    Sampler::connect(Watch {
        started: Instant::now(),
        base: Base::parse(&format!("http://{}", service.client.0)).await.expect("an address"),
        service_pid: Some(std::process::id()),
        config: Some((**service.state.config.load()).clone()),
        strategies: vec![strategy(cache)],
    })
    .await
}

/// Samples until one is as it should be: a part that is late on a busy machine is missing in one.
pub(super) async fn until(
    sampler: &mut Sampler,
    what: &str,
    holds: impl Fn(&Sample) -> bool,
) -> Sample {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let sample = sampler.sample().await;
        if holds(&sample) {
            return sample;
        }
        assert!(Instant::now() < deadline, "never came true: {what}; last: {sample:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Samples until the CPU time of the database is there.
async fn seen_database(sampler: &mut Sampler) -> Usage {
    let seen = |s: &Sample| s.database.cpu_seconds.is_some();
    until(sampler, "the database is seen", seen).await.database
}

/// Samples until Redis is there.
async fn seen_redis(sampler: &mut Sampler) -> Usage {
    until(sampler, "Redis is seen", |s| s.redis.operations.is_some()).await.redis
}

fn counters(usage: &Usage) -> [Option<f64>; 6] {
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    [
        usage.cpu_seconds,
        whole(usage.received_bytes),
        whole(usage.sent_bytes),
        whole(usage.operations),
        whole(usage.keyspace_hits),
        whole(usage.keyspace_misses),
    ]
}

/// Whether every counter that both have is at least what it was.
fn assert_forward(before: &Usage, after: &Usage) {
    for (before, after) in counters(before).into_iter().zip(counters(after)) {
        if let (Some(before), Some(after)) = (before, after) {
            assert!(after >= before, "{after} after {before}");
        }
    }
}

/// The process that serves a connection, and the CPU time that it has used.
async fn backend(client: &tokio_postgres::Client) -> u32 {
    let row = client.query_one("select pg_backend_pid()", &[]).await.expect("it answers");
    row.get::<_, i32>(0) as u32
}

fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = text.rsplit(')').next().expect("a name").split(' ').collect();
    let ticks: u64 = fields[12..14].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Has a connection use so much CPU time, and says how much it was.
async fn burn(client: &tokio_postgres::Client, seconds: f64) -> f64 {
    let pid = backend(client).await;
    let before = cpu_seconds(pid);
    while cpu_seconds(pid) - before < seconds {
        let work = "select sum(sqrt(n)) from generate_series(1, 100000) n";
        client.query_one(work, &[]).await.expect("it works");
    }
    cpu_seconds(pid) - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_of_the_database_agrees_with_the_work_done() {
    let server = Postgres::start();
    let client = server.client("postgres").await;
    let mut sampler = of_postgres(&server).await;
    let before = seen_database(&mut sampler).await;
    let used = burn(&client, 0.8).await;
    let is_whole = |s: &Sample| {
        let Usage { cpu_seconds, memory_bytes, memory_limit_bytes, connections, .. } = s.database;
        cpu_seconds.is_some() && memory_bytes.and(memory_limit_bytes).and(connections).is_some()
    };
    let after = until(&mut sampler, "all of it is seen", is_whole).await.database;
    let seen = after.cpu_seconds.expect("it is visible") - before.cpu_seconds.expect("so it was");
    assert!((used - 0.05..used + 0.5).contains(&seen), "{seen} of {used}");
    let memory = after.memory_bytes.expect("it is visible");
    assert!((2 << 20..1 << 30).contains(&memory), "{memory}");
    let limit = after.memory_limit_bytes.expect("there is always one");
    assert!(limit > memory, "{memory} of {limit}");
    let Source::Seen { usage, counters, not_visible, shares_cores } = sampler.sources().database
    else {
        panic!("there is a database")
    };
    assert!(usage.is_some_and(|usage| usage.contains("pid") || usage.contains("cgroup")));
    assert!(counters.is_some_and(|counters| counters.contains("pg_stat_activity")));
    assert_eq!(not_visible, ["network bytes: it shares its network with other processes"]);
    assert_eq!(shares_cores, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_are_not_lost_and_never_counted_twice() {
    let server = Postgres::start();
    let mut sampler = of_postgres(&server).await;
    let first = seen_database(&mut sampler).await;
    let url = server.url("postgres");
    let work = async {
        let mut used = 0.0;
        for _ in 0..10 {
            let client = connect(&url).await;
            used += burn(&client, 0.1).await;
        }
        used
    };
    let mut work = std::pin::pin!(work);
    let mut last = first.clone();
    // Meanwhile looked at as often as it goes, so that processes end under our eyes.
    let used = loop {
        let look = async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            sampler.sample().await.database
        };
        tokio::select! {
            used = &mut work => break used,
            now = look => {
                assert_forward(&last, &now);
                last = now;
            }
        }
    };
    let have_gone =
        |s: &Sample| s.database.connections == Some(0) && s.database.cpu_seconds.is_some();
    let after = until(&mut sampler, "all have gone", have_gone).await;
    let seen = after.database.cpu_seconds.expect("it is visible")
        - first.cpu_seconds.expect("it is visible");
    assert!((used - 0.1..used + 1.0).contains(&seen), "{seen} of {used}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_the_database_are_exact_and_ours_is_not_among_them() {
    let server = Postgres::start();
    let mut sampler = of_postgres(&server).await;
    // The harness itself has connected to see whether the server answers.
    until(&mut sampler, "nobody is there", |s| s.database.connections == Some(0)).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(server.client("postgres").await);
    }
    until(&mut sampler, "all five are seen", |s| s.database.connections == Some(5)).await;
    drop(open);
    until(&mut sampler, "they are gone", |s| s.database.connections == Some(0)).await;
    assert_eq!(sampler.limits(), (Some(200), Some(3)));
    assert!(sampler.versions()["PostgreSQL"].starts_with(char::is_numeric));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_those_of_others() {
    let server = Postgres::start();
    let mut sampler = of_postgres(&server).await;
    until(&mut sampler, "nobody is there", |s| s.database.connections == Some(0)).await;
    // The server adds up what a connection did once a second, or when it ends.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answers = |s: &Sample| s.database.operations.is_some();
    let operations = |sample: Sample| sample.database.operations.expect("it answered");
    let first = operations(until(&mut sampler, "it answers", answers).await);
    for _ in 0..30 {
        sampler.sample().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let idle = operations(until(&mut sampler, "it answers", answers).await) - first;
    assert!(idle <= 3, "{idle} transactions of nobody");
    let client = server.client("postgres").await;
    for _ in 0..100 {
        client.batch_execute("select 1").await.expect("it answers");
    }
    drop(client);
    let enough = |s: &Sample| s.database.operations.is_some_and(|count| count >= first + 98);
    let after = operations(until(&mut sampler, "they are counted", enough).await) - first;
    assert!(after <= 110, "{after} transactions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_did_is_exact_and_our_questions_are_not_in_it() {
    let redis = Redis::start();
    let client = redis::Client::open(redis.url()).expect("its URL is right");
    let mut connection = client.get_connection().expect("it answers");
    let mut sampler = of_redis(&redis).await;
    let mut run = |command: &str, key: &str, value: Option<&[u8]>| {
        let mut command = redis::cmd(command);
        command.arg(key);
        if let Some(value) = value {
            command.arg(value);
        }
        command.exec(&mut connection).expect("it answers");
    };
    // What it tells us too late is in its bytes, and not known to be ours.
    let (before, after) = retried(10, async || {
        let before = seen_redis(&mut sampler).await;
        let between = sampler.sample().await.redis;
        run("SET", "there", Some(&[7; 100_000]));
        (0..7).for_each(|_| run("GET", "there", None));
        (0..3).for_each(|_| run("GET", "missing", None));
        let after = sampler.sample().await.redis;
        match between.operations.and(after.operations) {
            Some(_) => Ok((before, after)),
            None => Err(format!("one of two is late: {between:?}, {after:?}")),
        }
    })
    .await;
    let delta = |of: fn(&Usage) -> Option<u64>| {
        of(&after).expect("it is visible") - of(&before).expect("it was visible")
    };
    assert_eq!(delta(|u| u.keyspace_hits), 7);
    assert_eq!(delta(|u| u.keyspace_misses), 3);
    assert_eq!(delta(|u| u.operations), 11);
    assert_eq!((before.connections, after.connections), (Some(1), Some(1)));
    let (received, sent) = (delta(|u| u.received_bytes), delta(|u| u.sent_bytes));
    assert!((100_000..101_000).contains(&received), "{received}");
    assert!((700_000..701_000).contains(&sent), "{sent}");
    assert!(after.memory_bytes > Some(1 << 20) && after.memory_bytes < after.memory_limit_bytes);
    assert!(after.cpu_seconds >= before.cpu_seconds && after.cpu_seconds > Some(0.0));
    let more = client.get_connection().expect("it answers");
    until(&mut sampler, "both are seen", |s| s.redis.connections == Some(2)).await;
    drop(more);
    let Source::Seen { shares_cores, not_visible, .. } = sampler.sources().redis else {
        panic!("there is one")
    };
    assert_eq!((shares_cores, not_visible), (Some(true), vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_not_visible_and_delays_nobody() {
    let (server, redis) = (Postgres::start(), Redis::start());
    let database = Database::on(&server, FEW).await;
    let setup = Setup::of(&database).with_redis(&redis).subject("\"pool\"", "\"redis\"");
    let service = setup.start().await;
    let mut sampler = of_service(&service, "redis").await;
    let is_seen = |s: &Sample| {
        let Usage { cpu_seconds, connections, .. } = s.database;
        cpu_seconds.is_some() && connections.and(s.redis.operations).is_some()
    };
    let before = until(&mut sampler, "both are seen", is_seen).await;
    server.process.signal("STOP");
    redis.process.signal("STOP");
    // The service itself may be late on a busy machine, but not always.
    let is_served = |s: &Sample| {
        let api = s.api.cpu_seconds.is_some() && s.api.connections.is_some();
        api && s.pools.contains_key("subject") && s.caches.contains_key("subject")
    };
    let (mut served, mut visible) = (0, 0);
    for _ in 0..10 {
        let asked = Instant::now();
        let sample = sampler.sample().await;
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(20), "it took {took:?}");
        assert_eq!(sample.redis, Usage::default());
        assert_eq!((sample.database.connections, sample.database.operations), (None, None));
        // Its processes are still there to be seen.
        let used = sample.database.cpu_seconds;
        assert!(used.is_none_or(|now| Some(now) >= before.database.cpu_seconds), "{used:?}");
        visible += u32::from(used.is_some());
        assert!(sample.driver.cpu_seconds.is_some() && sample.host.is_some());
        served += u32::from(is_served(&sample));
        if served >= 3 && visible > 0 {
            break;
        }
    }
    assert!(served > 0, "the service was never seen");
    assert!(visible > 0, "the processes of the database were never seen");
    server.process.signal("CONT");
    redis.process.signal("CONT");
    let after = until(&mut sampler, "both are back", is_seen).await;
    assert_forward(&before.database, &after.database);
    assert_forward(&before.redis, &after.redis);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_said_and_never_zero() {
    let nowhere = Database {
        backend: Backend::Postgres,
        url: "postgres://someone:geheim@127.0.0.1:9/nowhere".into(),
    };
    let setup = Setup::of(&nowhere).with("cache.redis_url = \"redis://:geheim@127.0.0.1:9\"");
    let mut sampler = sampler(NO_SERVICE, None, Some(setup), "tiered").await;
    let sample = sampler.sample().await;
    assert_eq!((&sample.database, &sample.redis), (&Usage::default(), &Usage::default()));
    assert_eq!(sample.api, Usage::default());
    assert!(sample.pools.is_empty() && sample.caches.is_empty());
    assert!(sampler.versions().is_empty());
    assert_eq!(sampler.limits(), (None, None));
    let sources = sampler.sources();
    for source in [&sources.api, &sources.database, &sources.redis] {
        let Source::Seen { usage: None, counters: None, not_visible, .. } = source else {
            panic!("nothing of it can be seen: {source:?}")
        };
        assert!(!not_visible.is_empty(), "{source:?}");
    }
    let said = serde_json::to_string(&sources).expect("it can be written");
    assert!(said.contains("127.0.0.1:9") && !said.contains("geheim"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_go_on_when_redis_begins_anew() {
    let redis = Redis::start();
    let port = redis.port;
    let use_it = |redis: &Redis, times| {
        let client = redis::Client::open(redis.url()).expect("its URL is right");
        let mut connection = client.get_connection().expect("it answers");
        (0..times).for_each(|_| {
            redis::cmd("GET").arg("missing").exec(&mut connection).expect("it answers");
        });
    };
    use_it(&redis, 5);
    let mut sampler = of_redis(&redis).await;
    let before = seen_redis(&mut sampler).await;
    drop(redis);
    assert_eq!(sampler.sample().await.redis, Usage::default());
    let redis = Redis::start_on(port).expect("the port is still free");
    let again = seen_redis(&mut sampler).await;
    assert_forward(&before, &again);
    use_it(&redis, 3);
    let after = seen_redis(&mut sampler).await;
    let missed = |usage: &Usage| usage.keyspace_misses.expect("it is visible");
    assert_eq!(missed(&after) - missed(&before), 3);
    let Source::Seen { not_visible, .. } = sampler.sources().redis else { panic!("there is one") };
    assert!(not_visible.iter().any(|what| what.contains("began anew 1 times")), "{not_visible:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_go_on_when_postgres_has_crashed() {
    let server = Postgres::start();
    let client = server.client("postgres").await;
    let mut sampler = of_postgres(&server).await;
    burn(&client, 0.1).await;
    let before = seen_database(&mut sampler).await;
    // A process that is killed makes the server end all others and recover.
    let pid = backend(&client).await.to_string();
    let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.expect("there is a kill command").success());
    // Until it has recovered, the connection of the killed process is in its list.
    let is_back =
        |s: &Sample| s.database.connections == Some(0) && s.database.cpu_seconds.is_some();
    let after = until(&mut sampler, "it is back", is_back).await.database;
    assert_forward(&before, &after);
    let client = server.client("postgres").await;
    let used = burn(&client, 0.2).await;
    let last = seen_database(&mut sampler).await;
    let seen = last.cpu_seconds.expect("visible") - after.cpu_seconds.expect("visible");
    assert!(seen >= used - 0.05, "{seen} of {used}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_are_taken_at_the_begin_every_second_and_at_the_end() {
    let mut sampler = sampler(NO_SERVICE, None, None, "none").await;
    let begin = Instant::now();
    let at = |millis| begin + Duration::from_millis(millis);
    let go_on = CancellationToken::new();
    let samples = sampler.during(at(100), at(2400), &go_on).await;
    let times: Vec<f64> = samples.iter().map(|sample| sample.at_seconds).collect();
    assert!(begin.elapsed() >= Duration::from_millis(2400));
    // A machine that is busy may skip one, and is late; it is never early.
    assert!((2..=3).contains(&times.len()), "{times:?}");
    assert!(times.is_sorted() && times[0] >= 0.1 && times[times.len() - 1] >= 2.4, "{times:?}");
    let stop = CancellationToken::new();
    let begin = Instant::now();
    let end = begin + Duration::from_secs(60);
    let stopped = stop.clone();
    // Beside the load, as a run does it.
    let sampling = tokio::spawn(async move {
        let samples = sampler.during(begin, end, &stopped).await;
        let none = sampler.during(end, end, &stopped).await;
        (samples.len(), none.len())
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.cancel();
    let (samples, none) = sampling.await.expect("it does not panic");
    assert!(samples >= 2 && begin.elapsed() < Duration::from_secs(30));
    assert_eq!(none, 0, "it was stopped before");
}
