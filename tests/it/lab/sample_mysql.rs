//! Samples of MariaDB agree with what was done, on servers of their own.

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use poolwise::lab::base::Base;
use poolwise::lab::record::{RunRecord, Sample, Source, StrategyRecord, Usage};
use poolwise::lab::sample::{Sampler, Watch, connection_limits};
use tokio::time::Instant;

use super::command::{has_answers, measured, only, read, written};
use super::{retried, sample};
use crate::config::file;
use crate::harness::mariadb::connect;
use crate::harness::{Backend, Database, FEW, MariaDb, Setup, unique};

fn setup(url: String) -> Setup {
    Setup::of(&Database { backend: Backend::MariaDb, url })
}

/// Looks at a server alone: there is no service.
async fn sampler(url: String) -> Sampler {
    let [name, access, cache] = ["subject", "pool", "none"].map(str::to_owned);
    Sampler::connect(Watch {
        started: Instant::now(),
        base: Base::parse("http://127.0.0.1:9").await.expect("it is an address"),
        service_pid: None,
        config: Some(setup(url).config()),
        strategies: vec![StrategyRecord { name, access, cache, connections: Some(2) }],
    })
    .await
}

/// Samples until one of the database is as it should be.
async fn until(sampler: &mut Sampler, what: &str, holds: impl Fn(&Usage) -> bool) -> Usage {
    sample::until(sampler, what, |sample| holds(&sample.database)).await.database
}

/// Looks once. One that is given up may have asked, or not: what is counted after it is not exact.
async fn look(sampler: &mut Sampler) -> Result<Usage, String> {
    let seen = sampler.sample().await.database;
    if seen.operations.is_some() { Ok(seen) } else { Err(format!("it is late: {seen:?}")) }
}

fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = text.rsplit(')').next().expect("a name").split(' ').collect();
    let ticks: u64 = fields[12..14].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

async fn burn(client: &mut Conn, pid: u32, seconds: f64) {
    let before = cpu_seconds(pid);
    while cpu_seconds(pid) - before < seconds {
        client.query_drop("do benchmark(1000000, sqrt(rand()))").await.expect("it works");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_and_memory_of_mariadb_agree_with_the_work_done() {
    // Another one that began at the same time must not be taken for it.
    let (server, _other) = (MariaDb::start(), MariaDb::start());
    let pid = server.process.pid;
    let mut client = server.root("mysql").await;
    let mut sampler = sampler(server.root_url("mysql")).await;
    let from = cpu_seconds(pid);
    let before = until(&mut sampler, "it is seen", |u| u.cpu_seconds.is_some()).await;
    burn(&mut client, pid, 0.8).await;
    let is_whole = |usage: &Usage| {
        let Usage { cpu_seconds, memory_bytes, memory_limit_bytes, connections, .. } = usage;
        cpu_seconds.is_some() && memory_bytes.and(*memory_limit_bytes).and(*connections).is_some()
    };
    let after = until(&mut sampler, "all of it is seen", is_whole).await;
    let to = cpu_seconds(pid);
    let seen = after.cpu_seconds.expect("it is visible") - before.cpu_seconds.expect("so it was");
    assert!((0.7..to - from + 0.2).contains(&seen), "{seen} of {}", to - from);
    let memory = after.memory_bytes.expect("it is visible");
    assert!((20 << 20..1 << 30).contains(&memory), "{memory}");
    assert!(after.memory_limit_bytes.expect("there is always one") > memory);
    let Source::Seen { usage, counters, not_visible, shares_cores } = sampler.sources().database
    else {
        panic!("there is a database")
    };
    let whose = format!("process {pid}");
    assert!(usage.is_some_and(|usage| usage.contains(&whose) || usage.contains("cgroup")));
    assert!(counters.is_some_and(|counters| counters.contains("processlist")));
    assert_eq!(not_visible, ["network bytes: it shares its network with other processes"]);
    assert_eq!(shares_cores, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_and_statements_are_exact_and_ours_are_not_among_them() {
    let server = MariaDb::start();
    let url = server.create("products").await;
    let operations = |usage: &Usage| usage.operations.expect("it answered");
    let (mut sampler, open) = retried(5, async || {
        let mut sampler = sampler(server.root_url("products")).await;
        // The harness has just connected.
        let deadline = Instant::now() + Duration::from_secs(15);
        while look(&mut sampler).await?.connections != Some(0) {
            assert!(Instant::now() < deadline, "somebody is there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(connect(&url).await);
        }
        let before = look(&mut sampler).await?;
        assert_eq!(before.connections, Some(5));
        for _ in 0..10 {
            look(&mut sampler).await?;
        }
        let idle = look(&mut sampler).await?;
        assert_eq!(operations(&idle) - operations(&before), 0, "statements of nobody");
        for _ in 0..100 {
            open[0].query_drop("do 1").await.expect("it answers");
        }
        let after = look(&mut sampler).await?;
        assert_eq!(operations(&after) - operations(&idle), 100);
        Ok((sampler, open))
    })
    .await;
    drop(open);
    until(&mut sampler, "they are gone", |u| u.connections == Some(0)).await;
    assert_eq!(sampler.limits(), (Some(200), Some(0)));
    assert!(sampler.versions()["MariaDB"].starts_with("1"), "{:?}", sampler.versions());
    let config = setup(server.url("products")).config();
    let limits = retried(5, async || match connection_limits(&config).await {
        (None, None) => Err("it does not answer".to_owned()),
        limits => Ok(limits),
    });
    assert_eq!(limits.await, (Some(200), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_sees_only_its_own_connections_says_so() {
    let server = MariaDb::shared();
    let url = server.create(&unique("products")).await;
    let mut sampler = sampler(url).await;
    until(&mut sampler, "it answers", |u| u.connections.is_some()).await;
    let Source::Seen { not_visible, .. } = sampler.sources().database else {
        panic!("there is a database")
    };
    assert!(not_visible.iter().any(|what| what.contains("the privilege PROCESS")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_not_visible_and_comes_back() {
    let server = MariaDb::start();
    let mut sampler = sampler(server.root_url("mysql")).await;
    let answers = |u: &Usage| u.connections.is_some() && u.cpu_seconds.is_some();
    let before = until(&mut sampler, "it answers", answers).await;
    server.process.signal("STOP");
    until(&mut sampler, "all its threads stand still", |u| u.connections.is_none()).await;
    let mut visible = 0;
    for place in 1..=10 {
        let asked = Instant::now();
        let seen = sampler.sample().await.database;
        assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
        assert_eq!((seen.connections, seen.operations), (None, None));
        assert!(seen.cpu_seconds.is_none_or(|now| Some(now) >= before.cpu_seconds), "{seen:?}");
        visible += u32::from(seen.cpu_seconds.is_some());
        if place >= 2 && visible > 0 {
            break;
        }
    }
    assert!(visible > 0, "its process is still there");
    server.process.signal("CONT");
    let back = |usage: &Usage| usage.operations >= before.operations && usage.operations.is_some();
    until(&mut sampler, "it is back", back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_said_and_never_zero() {
    let mut sampler = sampler("mysql://someone:geheim@127.0.0.1:9/nowhere".into()).await;
    assert_eq!(sampler.sample().await.database, Usage::default());
    assert_eq!((sampler.limits(), sampler.versions().len()), ((None, None), 0));
    let said = serde_json::to_string(&sampler.sources().database).expect("it can be written");
    assert!(said.contains("127.0.0.1:9") && !said.contains("geheim"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_go_on_when_mariadb_begins_anew() {
    let server = MariaDb::start();
    let port = server.port;
    let mut sampler = sampler(server.root_url("mysql")).await;
    let answers = |u: &Usage| u.operations.is_some() && u.cpu_seconds.is_some();
    let before = until(&mut sampler, "it answers", answers).await;
    // Two lives must not begin in the same second or two.
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(server);
    assert_eq!(sampler.sample().await.database.connections, None);
    let _server = MariaDb::start_on(port, &[]).expect("the port is still free");
    let is_back = |usage: &Usage| usage.operations.is_some() && usage.cpu_seconds.is_some();
    let again = until(&mut sampler, "it is back", is_back).await;
    assert!(again.cpu_seconds >= before.cpu_seconds, "{again:?} after {before:?}");
    assert!(again.operations >= before.operations, "{again:?} after {before:?}");
    let Source::Seen { not_visible, .. } = sampler.sources().database else {
        panic!("it is there")
    };
    assert!(not_visible.iter().any(|what| what.contains("began anew 1 times")), "{not_visible:?}");
}

const PLAN: &str = r#"
title = "A small run"
question = "Does it hang together?"
strategies = ["direct", "pooled"]
rounds = 1
block = "2s"
warm_up = "200ms"
again = false
ceiling = "0s"
idle = "1s"
[limits]
steal = 1.0
swapped_pages = 1000000000
[parameters]
distribution = "uniform"
values = ["limit=20", "limit=30"]
[load]
model = "closed"
users = 2
pause = "5ms"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_on_mariadb_measures_it_and_calls_it_by_its_name() {
    let url = Database::shared(Backend::MariaDb, FEW).url;
    let config = file(&format!(
        "log.level = \"warn\"\n\
         database = {{ backend = \"mysql\", url = \"{url}\", pool_size = 4, reserve = 100 }}"
    ));
    let (plan, config) = (written(PLAN), config.to_str().expect("a temp folder is UTF-8"));
    let known = |usage: &Usage| {
        [usage.connections, usage.operations, usage.memory_bytes].iter().all(Option::is_some)
            && usage.cpu_seconds.is_some()
    };
    let seen = |record: &RunRecord| {
        let samples: Vec<&Sample> = record.blocks.iter().flat_map(|block| &block.samples).collect();
        let count = samples.iter().filter(|sample| known(&sample.database)).count();
        (count, samples.len())
    };
    let ran = measured(&["run", &plan, "--config", config], |record| {
        let (count, all) = seen(record);
        has_answers(record) && count * 2 > all && record.target.versions.contains_key("MariaDB")
    });
    assert_eq!(ran.code, 0, "{}\n{}", ran.said, ran.error);
    let (run, record) = (only(&ran.out), read(&ran.out));
    assert!(record.target.versions["MariaDB"].contains('.'), "{:?}", record.target.versions);
    assert_eq!(record.target.max_connections, Some(200));
    let (count, all) = seen(&record);
    assert!(count * 2 > all, "the database: {count} of {all}");
    let report = std::fs::read_to_string(run.join("report.md")).expect("it was written");
    assert!(report.contains("MariaDB"), "{report}");
}
