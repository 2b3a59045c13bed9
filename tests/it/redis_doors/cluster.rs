//! A cluster of three: the same as one server, as long as the node of a key is well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poolwise::lab::base::Base;
use poolwise::lab::record::{Source, StrategyRecord, Usage};
use poolwise::lab::sample::{Sampler, Watch};

use super::{asked, assert_right, faults, service, until_hit};
use crate::harness::{
    Authority, Backend, Dataset, FEW, Filter, Redis, RedisCluster, Service, Setup, subject,
};

const KEYS: usize = 50;

/// Without versions, whose token is on one node (tests/it/invalidation/cluster.rs).
const OF_ENTRIES: &str = "cache = { invalidation = \"ttl\", redis_timeout = \"1500ms\", redis_connect_timeout = \"1s\" }";

/// What the cache did with each of the 50 queries, by what it did; each answer must be right.
async fn ask_all(service: &Service) -> BTreeMap<String, Vec<usize>> {
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for n in 1..=KEYS {
        let kind = asked(service, &format!("limit={n}")).await;
        kinds.entry(kind).or_default().push(n);
    }
    kinds
}

fn entries(cluster: &RedisCluster) -> Vec<u64> {
    cluster.nodes.iter().map(|node| node.run(&["DBSIZE"])).collect()
}

async fn filled(cluster: &RedisCluster, more: &str) -> Service {
    let service = service(&cluster.url(), more).await;
    // With a short time for Redis, a busy machine makes a bypass of some.
    assert!(!ask_all(&service).await.contains_key("hit"));
    for n in 1..=KEYS {
        until_hit(&service, &format!("limit={n}")).await;
    }
    service
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_spread_over_all_nodes_and_found_again() {
    let cluster = RedisCluster::start();
    let service = filled(&cluster, "").await;
    let found = entries(&cluster);
    assert!(found.iter().all(|entries| *entries >= 5), "{found:?}");
    assert_eq!(found.iter().sum::<u64>(), KEYS as u64 + 1, "and their version");
    assert_eq!(ask_all(&service).await["hit"].len(), KEYS);
    let queries: Vec<String> = (1..=KEYS).map(|n| format!("limit={n}")).collect();
    let at_once = join_all(queries.iter().map(|query| service.subject(query))).await;
    for (n, answer) in at_once.into_iter().enumerate() {
        assert_eq!(answer.cache(), "hit");
        let filter = Filter { limit: Some(n + 1), ..Filter::default() };
        assert_right(&answer, &Dataset::of(FEW).answer(&filter));
    }
    assert_eq!(faults(&service), 0);
}

/// Of the 50, those whose entry is on this node.
fn queries_on(cluster: &RedisCluster, node: usize) -> Vec<usize> {
    let keys: Vec<String> = cluster.nodes[node].run(&["KEYS", "*"]);
    let limit = |key: &String| key.rsplit_once("limit=")?.1.parse().ok();
    let entries = keys.iter().filter(|key| !key.ends_with(":v:all"));
    entries.map(|key| limit(key).expect("a key names its query")).collect()
}

/// What is asked of a node that does not answer is over after `cache.redis_timeout`, half a second; the
/// machine may stand still meanwhile. One that waited for ever would take the whole request's 30 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many keys of the other nodes may be late on a busy machine. A fault of ours makes all so.
const LATE: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_costs_its_own_keys_only() {
    let mut cluster = RedisCluster::start();
    let service = filled(&cluster, OF_ENTRIES).await;
    let lost = queries_on(&cluster, 1);
    let dead = cluster.nodes.remove(1);
    dead.process.signal("KILL");
    drop(dead);
    let mut late = Vec::new();
    for round in 0..4 {
        for n in 1..=KEYS {
            let begun = Instant::now();
            let found = asked(&service, &format!("limit={n}")).await;
            let took = begun.elapsed();
            assert!(took < PATIENCE, "limit={n} took {took:?}");
            if lost.contains(&n) {
                assert!(["bypass", "miss"].contains(&&*found), "{found}");
            } else if found != "hit" {
                late.push(format!("limit={n} is {found} in round {round} after {took:?}"));
            }
        }
    }
    assert!(late.len() <= LATE, "{late:?}");
    assert!(faults(&service) >= lost.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_delays_its_own_keys_only() {
    let cluster = RedisCluster::start();
    let service = filled(&cluster, OF_ENTRIES).await;
    let frozen = queries_on(&cluster, 2);
    // Each of them takes its time.
    let left_out = &frozen[5..];
    let mut late = Vec::new();
    cluster.nodes[2].process.signal("STOP");
    for n in (1..=KEYS).filter(|n| !left_out.contains(n)) {
        let begun = Instant::now();
        let found = asked(&service, &format!("limit={n}")).await;
        let took = begun.elapsed();
        assert!(took < PATIENCE, "limit={n} took {took:?}");
        if frozen.contains(&n) {
            assert_eq!(found, "bypass", "limit={n} after {took:?}");
        } else if found != "hit" {
            late.push(format!("limit={n} is {found} after {took:?}"));
        }
    }
    assert!(late.len() <= LATE, "{late:?}");
    cluster.nodes[2].process.signal("CONT");
    for n in 1..=KEYS {
        until_hit(&service, &format!("limit={n}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_of_the_list_is_enough_to_begin() {
    let cluster = RedisCluster::start();
    let url = format!("redis-cluster://127.0.0.1:1,127.0.0.1:{}", cluster.nodes[2].port);
    let service = service(&url, "").await;
    assert_eq!(ask_all(&service).await.into_keys().collect::<Vec<_>>(), ["miss"]);
    for n in 1..=KEYS {
        until_hit(&service, &format!("limit={n}")).await;
    }
    assert!(entries(&cluster).iter().all(|entries| *entries > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_not_there_is_a_bypass() {
    let service = service("redis-cluster://127.0.0.1:1,127.0.0.1:2", "").await;
    for n in 1..=5 {
        assert_eq!(asked(&service, &format!("limit={n}")).await, "bypass");
    }
    assert_eq!(faults(&service), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_that_dies_and_comes_back_is_used_again() {
    let mut cluster = RedisCluster::start();
    let service =
        filled(&cluster, "cache = { redis_timeout = \"500ms\", redis_connect_timeout = \"1s\" }")
            .await;
    for node in &cluster.nodes {
        node.process.signal("STOP");
    }
    for n in 1..=10 {
        assert_eq!(asked(&service, &format!("limit={n}")).await, "bypass");
    }
    for node in &cluster.nodes {
        node.process.signal("CONT");
    }
    until_hit(&service, "limit=1").await;
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    cluster.nodes.clear();
    for n in 1..=10 {
        let begun = Instant::now();
        assert_eq!(asked(&service, &format!("limit={n}")).await, "bypass");
        assert!(begun.elapsed() < PATIENCE);
    }
    let cluster = RedisCluster::start_on(&ports);
    for n in 1..=KEYS {
        until_hit(&service, &format!("limit={n}")).await;
    }
    assert!(entries(&cluster).iter().all(|entries| *entries > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_to_another_node_are_followed() {
    let cluster = RedisCluster::start();
    let service = filled(&cluster, "").await;
    let moved = queries_on(&cluster, 0);
    cluster.move_entries(0, 1);
    assert!(queries_on(&cluster, 0).is_empty() && queries_on(&cluster, 1).len() > moved.len());
    for n in 1..=KEYS {
        until_hit(&service, &format!("limit={n}")).await;
    }
    assert_eq!(ask_all(&service).await["hit"].len(), KEYS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_opens_every_node() {
    let cluster = RedisCluster::start_with(&["--requirepass", "ge/heim"]);
    let right = service(&cluster.url_with(":ge%2Fheim@"), "").await;
    assert_eq!(ask_all(&right).await.into_keys().collect::<Vec<_>>(), ["miss"]);
    for n in 1..=KEYS {
        until_hit(&right, &format!("limit={n}")).await;
    }
    assert_eq!(faults(&right), 0);
    let wrong = service(&cluster.url_with(":falsch@"), "").await;
    assert_eq!(asked(&wrong, "limit=1").await, "bypass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_reaches_every_node_and_checks_each() {
    let (right, wrong) = (Authority::new("Ours"), Authority::new("Somebody Else"));
    let (cluster, url) = RedisCluster::start_with_tls(&right);
    let trusting = |authority: &Authority| {
        format!("cache.redis_root_cert = {:?}", crate::config::file(&authority.pem))
    };
    let verified = service(&url, &trusting(&right)).await;
    assert_eq!(ask_all(&verified).await.into_keys().collect::<Vec<_>>(), ["miss"]);
    for n in 1..=KEYS {
        until_hit(&verified, &format!("limit={n}")).await;
    }
    assert_eq!(faults(&verified), 0);
    assert!(entries(&cluster).iter().all(|entries| *entries > 0));
    let deadline = Instant::now() + Duration::from_secs(30);
    while verified.client.get("/stats").await.json()["redis"].is_null() {
        assert!(Instant::now() < deadline, "the nodes are never seen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = service(&url, &trusting(&wrong)).await;
    assert_eq!(asked(&refused, "limit=1").await, "bypass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_is_the_same_through_a_cluster() {
    let cluster = RedisCluster::start();
    let setup = Setup::many(Backend::Sqlite).subject("\"pool\"", "\"redis\"");
    let service = setup.with(&format!("cache.redis_url = {:?}", cluster.url())).start().await;
    let filter = Filter { category: Some("electronics"), ..Filter::default() };
    let body = Dataset::of(crate::harness::MANY).answer(&filter);
    let path = subject("category=electronics");
    assert_right(&service.client.get(&path).await, &body);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = service.client.get(&path).await;
        assert_right(&answer, &body);
        if answer.cache() == "hit" {
            break;
        }
        assert!(Instant::now() < deadline, "it is never a hit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_tell_the_sum_over_the_nodes() {
    let cluster = RedisCluster::start();
    let service = filled(&cluster, "").await;
    let used = |node: &Redis| {
        let info = redis::InfoDict::new(&node.run::<String>(&["INFO"]));
        info.get::<u64>("used_memory").expect("it says so")
    };
    let used: u64 = cluster.nodes.iter().map(used).sum();
    let seen = || async { service.client.get("/stats").await.json()["redis"].clone() };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let redis = seen().await;
        if redis["connected_clients"].as_u64() >= Some(6)
            && redis["used_memory_bytes"].as_u64() > Some(used / 2)
        {
            break;
        }
        assert!(Instant::now() < deadline, "{redis}, but {used} bytes are used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.nodes[0].process.signal("STOP");
    let deadline = Instant::now() + PATIENCE;
    // While it finds out that one of them does not answer, it may say nothing at all.
    while seen().await["used_memory_bytes"].as_u64().is_none_or(|rest| rest >= used * 3 / 4) {
        assert!(Instant::now() < deadline, "{}, of {used} bytes", seen().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.nodes[0].process.signal("CONT");
}

/// What the lab sees of Redis: a look that was late sees nothing, and is taken again.
async fn look(sampler: &mut Sampler) -> Usage {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = sampler.sample().await.redis;
        if seen != Usage::default() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it is never visible");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_sums_over_the_nodes_and_names_the_one_that_is_missing() {
    let cluster = RedisCluster::start();
    let service = filled(&cluster, "").await;
    let [name, access, cache] = ["subject", "pool", "redis"].map(str::to_owned);
    let mut sampler = Sampler::connect(Watch {
        started: tokio::time::Instant::now(),
        base: Base::parse(&format!("http://{}", service.client.0)).await.expect("an address"),
        service_pid: Some(std::process::id()),
        config: Some((**service.state.config.load()).clone()),
        strategies: vec![StrategyRecord { name, access, cache, connections: Some(2) }],
    })
    .await;
    let before = look(&mut sampler).await;
    assert_eq!(ask_all(&service).await["hit"].len(), KEYS);
    let after = look(&mut sampler).await;
    let delta = |of: fn(&Usage) -> Option<u64>| {
        of(&after).expect("it is visible") - of(&before).expect("it was visible")
    };
    // A GET of the version, a GET and a PTTL each; and now and then a look of the service itself.
    let commands = 3 * KEYS as u64;
    assert_eq!((delta(|u| u.keyspace_hits), delta(|u| u.keyspace_misses)), (commands, 0));
    assert!((commands..3 * commands).contains(&delta(|u| u.operations)), "{after:?}");
    assert!(after.cpu_seconds > Some(0.0) && after.connections >= Some(3));
    assert!(after.memory_bytes > Some(3 << 20) && after.memory_limit_bytes.is_none());
    assert!(sampler.versions()["Redis"].split('.').count() == 3, "{:?}", sampler.versions());

    let frozen = &cluster.nodes[1];
    frozen.process.signal("STOP");
    let deadline = Instant::now() + PATIENCE;
    // On a busy machine another may be late as well.
    let missing = loop {
        let seen = sampler.sample().await.redis;
        assert_eq!(seen, Usage::default(), "a sum without it would be less");
        let Source::Seen { usage, not_visible, .. } = sampler.sources().redis else {
            panic!("there is one")
        };
        assert!(usage.expect("it was reached").contains("summed over 3 nodes"));
        if let [missing] = &not_visible[..] {
            break missing.clone();
        }
        assert!(Instant::now() < deadline, "one is missing: {not_visible:?}");
    };
    assert!(missing.contains(&format!("127.0.0.1:{}", frozen.port)), "{missing}");
    frozen.process.signal("CONT");
}
