//! Pools: in use is no fault, waiting for long is; and none of it changes readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{becomes, health, pool, ready, reason};
use crate::harness::{
    Backend, Client, Database, FEW, Postgres, Service, Setup, connect, eventually, long_or, subject,
};

/// Clients that ask again and again until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(client: Client, clients: usize, query: &'static str) -> Self {
        let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..clients).map(|_| {
            let (stop, good) = (stop.clone(), good.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if client.get(&subject(query)).await.status == 200 {
                        good.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let clients = clients.collect();
        Self { stop, good, clients }
    }

    /// How many answers were good.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("it does not panic");
        }
        self.good.load(Ordering::Relaxed)
    }
}

/// 8 s, or a minute with POOLWISE_LONG=1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_does_not_depend_on_how_much_of_a_pool_is_in_use() {
    let lasts = Duration::from_secs(long_or(60, 8));
    let setup = Setup::few(Backend::Postgres).subject("{ kind = \"pool\", size = 8 }", "\"none\"");
    let service = setup.start().await;
    let load = Load::start(service.client, 20, "limit=200");
    let began = Instant::now();
    let (mut asked, mut slowest, mut all_in_use) = (0, Duration::ZERO, 0);
    while began.elapsed() < lasts {
        let at = Instant::now();
        let said = ready(service.client).await;
        slowest = slowest.max(at.elapsed());
        assert_eq!(said, (200, "ready".into()), "after {:?}", began.elapsed());
        let said = health(service.client).await;
        assert_ne!(said["checks"]["database"]["status"], "down", "{said}");
        all_in_use += usize::from(pool(&said, "subject")["checked_out"] == 8);
        asked += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let good = load.stop().await;
    println!(
        "{asked} of {asked} times ready, slowest after {} ms; all 8 connections in use {all_in_use} times; {good} answers",
        slowest.as_millis()
    );
    assert!(good > 20 && all_in_use > 0, "the test cannot fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_while_the_pool_is_full_and_the_database_frozen() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let setup = Setup::of(&database).subject("{ kind = \"pool\", size = 2 }", "\"none\"");
    // Nobody is told anything before the database goes on.
    let patient = "database = { breaker_interval = \"0s\", wait_timeout = \"25s\" }";
    let service = setup.with(patient).start().await;
    server.process.signal("STOP");
    let load = Load::start(service.client, 6, "limit=1");
    eventually("the pool is full", || service.gauges().in_use == 2).await;
    eventually("and the others wait", || service.gauges().waiting == 4).await;
    let mut times = Vec::new();
    for path in ["/health", "/health_check", "/health/ready", "/health/live"].repeat(5) {
        let asked = Instant::now();
        let answer = service.client.get(path).await;
        times.push(asked.elapsed());
        assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times.sort();
    let [median, slowest] = [times.len() / 2, times.len() - 1].map(|place| times[place]);
    println!("answered after {median:?}, the slowest after {slowest:?}");
    assert!(median < Duration::from_millis(100), "{times:?}");
    assert_eq!(pool(&health(service.client).await, "subject")["checked_out"], 2);
    server.process.signal("CONT");
    assert!(load.stop().await >= 6);
}

/// A request that holds the only connection for long lets nobody wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_in_use_and_lets_nobody_wait_is_healthy() {
    let (database, service) = saturated("health.saturated_after = \"1s\"").await;
    let mut other = connect(&database.url).await;
    let lock = other.transaction().await.expect("a transaction begins");
    lock.batch_execute("lock table products in access exclusive mode").await.expect("it locks");
    let load = Load::start(service.client, 2, "limit=1");
    eventually("the pool is full", || service.gauges().in_use == 2).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let said = health(service.client).await;
        assert_eq!(said["status"], "healthy", "{said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = health(service.client).await;
    let subject = pool(&said, "subject");
    assert_eq!((&subject["utilization"], &subject["waiting"]), (&"full".into(), &0.into()));
    lock.rollback().await.expect("it ends");
    assert!(load.stop().await >= 2);
}

/// A service whose pool of two waits for a table that somebody else has locked.
async fn saturated(more: &str) -> (Database, Service) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).subject("{ kind = \"pool\", size = 2 }", "\"none\"");
    // A machine that is busy makes the database slow, which is not what these tests ask.
    let patient = "database = { wait_timeout = \"25s\", statement_timeout = \"25s\" }\n\
        health.database_latency_warning = \"20s\"";
    let service = setup.with(patient).with(more).start().await;
    (database, service)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_lets_everybody_wait_is_critical_until_it_does_not() {
    let (database, service) = saturated("health.saturated_after = \"2s\"").await;
    let mut other = connect(&database.url).await;
    let lock = other.transaction().await.expect("a transaction begins");
    lock.batch_execute("lock table products in access exclusive mode").await.expect("it locks");
    let from = Instant::now();
    let load = Load::start(service.client, 6, "limit=1");
    while from.elapsed() < Duration::from_millis(1500) {
        let said = health(service.client).await;
        // Where the machine has stood still, this may be of later.
        if from.elapsed() < Duration::from_secs(2) {
            assert_eq!(said["status"], "healthy", "a burst is no saturation: {said}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said =
        becomes(&service, "critical", "waiting for 2 s", from + Duration::from_secs(2)).await;
    assert!(reason(&said).starts_with("Strategy subject: requests have waited"), "{said}");
    assert!(reason(&said).ends_with("none came free in that time."), "{said}");
    let subject = pool(&said, "subject");
    assert_eq!((&subject["checked_out"], &subject["waiting"]), (&2.into(), &4.into()));
    assert_eq!(subject["utilization"], "full");
    assert!(subject["waiting_for_seconds"].as_f64() >= Some(2.0), "{subject}");
    assert_eq!(ready(service.client).await, (200, "ready".into()));
    lock.rollback().await.expect("it ends");
    let from = Instant::now();
    assert!(load.stop().await >= 6);
    becomes(&service, "healthy", "nobody waits", from).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_in_which_all_wait_but_not_for_long_is_healthy() {
    let limits =
        "health = { saturated_after = \"1s\", wait_warning = \"20s\", wait_critical = \"20s\" }";
    let (_database, service) = saturated(limits).await;
    let load = Load::start(service.client, 8, "");
    let began = Instant::now();
    let mut waited = false;
    while began.elapsed() < Duration::from_secs(5) {
        let said = health(service.client).await;
        assert_eq!(said["status"], "healthy", "{said}");
        waited |= pool(&said, "subject")["waiting_for_seconds"].as_f64() >= Some(1.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(load.stop().await > 0 && waited, "the test cannot fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_above_the_limit_are_a_warning() {
    let limits =
        "health = { saturated_after = \"1s\", wait_warning = \"1us\", wait_critical = \"20s\" }";
    let (_database, service) = saturated(limits).await;
    let load = Load::start(service.client, 8, "");
    let said = becomes(&service, "warning", "8 clients of 2 connections", Instant::now()).await;
    assert!(reason(&said).contains("health.wait_warning is 1us"), "{said}");
    assert!(load.stop().await > 0);
    becomes(&service, "healthy", "nobody waits", Instant::now()).await;
}
