//! Pools that change their size under load: no request fails, and no connection is too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rstest::rstest;
use tokio::task::JoinHandle;

use super::{applied, refused};
use crate::harness::{
    Backend, Database, Dataset, FEW, MANY, Network, Postgres, Service, Setup, Weather, connect,
    eventually, subject,
};

/// Only the strategy under test has a pool.
const ALONE: &str = "[strategies]\npooled.access = \"direct\"\ncached.access = \"direct\"\n";

/// Nobody is cut off, however slow the machine is.
const PATIENT: &str = "\
[server]\nsend_timeout = \"5m\"\nrequest_timeout = \"5m\"\n\
[database]\nwait_timeout = \"1m\"\nconnect_timeout = \"1m\"\n\
statement_timeout = \"5m\"\n";

/// 20 clients that ask one after the other. The requests that were answered otherwise than with 200.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn of(service: &Service) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = service.client;
        let ask = |stop: Arc<AtomicBool>, asked: Arc<AtomicUsize>| async move {
            let mut failed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get(&subject("limit=20")).await;
                asked.fetch_add(1, Ordering::Relaxed);
                if answer.status != 200 {
                    failed.push(format!("{}: {:?}", answer.status, answer.body));
                }
            }
            failed
        };
        let clients = (0..20).map(|_| tokio::spawn(ask(stop.clone(), asked.clone()))).collect();
        Self { stop, asked, clients }
    }

    /// Waits until many more were asked.
    async fn goes_on(&self) {
        let enough = self.asked.load(Ordering::Relaxed) + 60;
        for _ in 0..600 {
            if self.asked.load(Ordering::Relaxed) >= enough {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the clients are not served");
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut asked = 0;
        for client in self.clients {
            let failed = client.await.expect("a client does not panic");
            assert!(failed.is_empty(), "{failed:?}");
            asked += 1;
        }
        println!("{asked} clients, {} requests, none failed", self.asked.load(Ordering::Relaxed));
    }
}

/// The most connections to a database at once, as its server counts them.
struct Census {
    most: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Census {
    async fn of(database: &Database) -> Self {
        const COUNT: &str = "select count(*) from pg_stat_activity \
            where datname = current_database() and pid <> pg_backend_pid()";
        let client = connect(&database.url).await;
        let (most, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (high, last) = (most.clone(), now.clone());
        let task = tokio::spawn(async move {
            loop {
                let row = client.query_one(COUNT, &[]).await.expect("a superuser may");
                let count = usize::try_from(row.get::<_, i64>(0)).expect("a count");
                high.fetch_max(count, Ordering::SeqCst);
                last.store(count, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { most, now, task }
    }

    fn most_since(&self) -> usize {
        self.most.swap(0, Ordering::SeqCst)
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections that the strategy under test has opened, and of them those that are closed.
fn opened_and_closed(service: &Service) -> (u64, u64) {
    let meter = &service.strategy("subject").meter.access;
    let closed = meter.closed.get();
    (meter.opened.get(), closed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_4_becomes_one_of_16_and_of_2_under_load() {
    /// The sampler's, that of `/health`, and the one by which a new configuration asks what the server
    /// allows.
    const OTHERS: usize = 3;
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with(ALONE).with(PATIENT).subject("\"pool\"", "\"none\"");
    let (service, file) = setup.following("database.pool_size = 4").await;
    let census = Census::of(&database).await;
    let load = Load::of(&service);
    load.goes_on().await;
    for (before, after) in [(4, 16), (16, 2), (2, 4), (4, 2)] {
        // The server takes its time to end what was closed before.
        eventually("no more are left than there are", || {
            census.now.load(Ordering::SeqCst) <= before + OTHERS
        })
        .await;
        census.most_since();
        applied(&service, &file, &format!("database.pool_size = {after}")).await;
        load.goes_on().await;
        let most = census.most_since();
        assert!(most <= before.max(after) + OTHERS, "{before} to {after}: {most} connections");
        eventually("the pool is as large as it is to be", || {
            let gauges = service.gauges();
            gauges.size == after && gauges.in_use + gauges.idle == after
        })
        .await;
    }
    load.stop().await;
    eventually("2 and those that look are left", || census.now.load(Ordering::SeqCst) == 4).await;
    // None was opened in the place of another: 4, then 12 more, then 2 more.
    assert_eq!(opened_and_closed(&service), (18, 16));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_access_method_changes_under_load(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(
        ["{ kind = \"pool\", size = 3 }", "{ kind = \"pool\", size = 9 }"],
        ["{ kind = \"direct\", limit = 3 }", "{ kind = \"direct\", limit = 9 }"],
        ["{ kind = \"shared\" }", "{ kind = \"shared\", wait_timeout = \"7s\" }"]
    )]
    accesses: [&str; 2],
) {
    let is_shared = accesses[0].contains("shared");
    if is_shared && !backend.is_postgres() {
        return;
    }
    let text = |access: &str| format!("strategies.subject.access = {access}");
    let setup = Setup::few(backend).with(PATIENT);
    let (service, file) = setup.following(&text(accesses[0])).await;
    let load = Load::of(&service);
    load.goes_on().await;
    let most = if is_shared { 1 } else { 9 };
    for access in [accesses[1], accesses[0], accesses[1], accesses[0]] {
        applied(&service, &file, &text(access)).await;
        for _ in 0..200 {
            let meter = &service.strategy("subject").meter.access;
            // In this order: what opens in between makes the difference too large, never too small.
            let (before, opened, after) =
                (meter.closed.get(), meter.opened.get(), meter.closed.get());
            if before == after {
                assert!(opened - after <= most, "{opened} opened, {after} closed");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        load.goes_on().await;
    }
    load.stop().await;
    let expected = if is_shared { 1 } else { 3 };
    assert_eq!(service.gauges().size, expected);
    if !accesses[0].contains("direct") {
        let size = expected as u64;
        eventually("the rest is closed", || {
            let (opened, closed) = opened_and_closed(&service);
            opened - closed == size
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_the_former_pool_is_served_by_the_next() {
    let setup = Setup::many(Backend::Postgres).with(PATIENT).streaming();
    let text =
        |size: usize| format!("strategies.subject.access = {{ kind = \"pool\", size = {size} }}");
    let (service, file) = setup.following(&text(1)).await;
    let mut slow = service.client.read_slowly(&subject("")).await;
    slow.read(64 * 1024).await;
    let client = service.client;
    let waiting = tokio::spawn(async move { client.get(&subject("limit=1")).await });
    let meter = service.strategy("subject").meter.clone();
    eventually("one waits", || meter.in_flight.get() == 2).await;
    applied(&service, &file, &text(2)).await;
    let answer = waiting.await.expect("it does not panic");
    assert_eq!(answer.status, 200);
    // The one that is still finishing is the other of the two.
    assert_eq!(opened_and_closed(&service), (2, 0));
    applied(&service, &file, &text(1)).await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    assert!(slow.read_to_end().await.is_ok_and(|body| body == Dataset::of(MANY).body()));
    eventually("the surplus is closed", || opened_and_closed(&service) == (2, 1)).await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    assert_eq!(opened_and_closed(&service), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_follows_soon_after_takes_over_from_all_before_it() {
    let setup = Setup::many(Backend::Postgres).with(PATIENT).streaming();
    let text =
        |size: usize| format!("strategies.subject.access = {{ kind = \"pool\", size = {size} }}");
    let (service, file) = setup.following(&text(3)).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(service.client.read_slowly(&subject("")).await);
        slow.last_mut().expect("pushed above").read(64 * 1024).await;
    }
    for size in [1, 2, 3] {
        applied(&service, &file, &text(size)).await;
        assert_eq!(opened_and_closed(&service), (3, 0), "all are of the first pool");
    }
    for slow in slow {
        assert!(slow.read_to_end().await.is_ok_and(|body| body == Dataset::of(MANY).body()));
    }
    eventually("all three were taken over", || service.gauges().idle == 3).await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    assert_eq!(opened_and_closed(&service), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_settings_of_connections_cost_no_request() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with(PATIENT);
    let setup = setup.subject("{ kind = \"pool\", size = 3 }", "\"none\"");
    let (service, file) = setup.following("database.statement_timeout = \"200s\"").await;
    let load = Load::of(&service);
    load.goes_on().await;
    let first = opened_and_closed(&service).0;
    for timeout in ["210s", "220s"] {
        applied(&service, &file, &format!("database.statement_timeout = \"{timeout}\"")).await;
        load.goes_on().await;
    }
    load.stop().await;
    eventually("each was replaced, twice", || {
        let (opened, closed) = opened_and_closed(&service);
        opened >= 3 * first && opened - closed == 3
    })
    .await;
}

/// A pool of 2 behind a network.
async fn behind_a_network() -> (Network, Service, std::path::PathBuf) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let (behind, network) = database.behind_a_network().await;
    let setup = Setup::of(&behind);
    let setup = setup.with(ALONE).with(PATIENT);
    let (service, file) = setup.subject("\"pool\"", "\"none\"").following(SMALL).await;
    (network, service, file)
}

const SMALL: &str = "database.pool_size = 2";
const LARGE: &str = "database.pool_size = 6";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_cannot_be_filled_leaves_the_former_one() {
    let (network, service, file) = behind_a_network().await;
    let load = Load::of(&service);
    load.goes_on().await;
    // What is open goes on; nothing new comes through.
    network.turns(Weather::Refused);
    let problems = refused(&service, &file, LARGE).await;
    assert!(problems.contains("filling a pool of 6 connections, 4 more"), "{problems}");
    load.goes_on().await;
    assert_eq!(service.gauges().size, 2);
    assert_eq!(opened_and_closed(&service), (2, 0));
    // What needs no connection takes effect all the same.
    applied(&service, &file, &format!("{SMALL}\nserver.request_timeout = \"4m\"")).await;
    applied(&service, &file, "database.pool_size = 1").await;
    load.goes_on().await;
    network.turns(Weather::Fair);
    applied(&service, &file, LARGE).await;
    load.goes_on().await;
    load.stop().await;
    assert_eq!(service.gauges().size, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_the_server_allows_are_refused() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let setup = Setup::of(&database).with(PATIENT).subject("\"pool\"", "\"none\"");
    let (service, file) = setup.following(SMALL).await;
    let census = Census::of(&database).await;
    let load = Load::of(&service);
    // Of 200 in all.
    let problems = refused(&service, &file, "database.pool_size = 150").await;
    assert!(problems.contains("filling a pool of 150"), "{problems}");
    load.goes_on().await;
    load.stop().await;
    assert_eq!(service.gauges().size, 2);
    // A server takes its time to end what was opened in vain, and until then has no room.
    eventually("the others are closed", || census.now.load(Ordering::SeqCst) < 50).await;
    applied(&service, &file, LARGE).await;
}
