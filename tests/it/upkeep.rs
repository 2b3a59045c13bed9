//! A pool that stays whole by itself: connections that grow old, fall silent or are closed.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poolwise::observe::BreakerState;
use tokio::task::JoinHandle;

use crate::harness::{
    Backend, Database, Dataset, FEW, Network, Postgres, Service, Setup, Weather, connect,
    eventually, subject,
};

/// A service over a database of its own, its pool behind a network.
async fn behind_a_network(options: &str) -> (Database, Network, Service) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let (behind, network) = database.behind_a_network().await;
    let access = format!("{{ kind = \"pool\", size = 3, {options} }}");
    let service = Setup::of(&behind).subject(&access, "\"none\"").start().await;
    (database, network, service)
}

/// Connections that the pool has opened, and of them those that are closed; `None` when they
/// change just now.
fn opened_and_closed(service: &Service) -> Option<(u64, u64)> {
    let meter = &service.strategy("subject").meter.access;
    let (before, opened, after) = (meter.closed.get(), meter.opened.get(), meter.closed.get());
    (before == after).then_some((opened, after))
}

fn opened(service: &Service) -> u64 {
    service.strategy("subject").meter.access.opened.get()
}

/// New connections did not come through either, and so there is a breaker to close.
async fn the_breaker_closes(service: &Service) {
    let breaker = service.strategy("subject").breaker.clone().expect("it has one");
    eventually("the breaker is closed", || breaker.view().state == BreakerState::Closed).await;
}

/// Clients that ask one after the other until they are aborted; each answer must be right.
fn clients(service: &Service, count: usize) -> Vec<JoinHandle<()>> {
    let client = service.client;
    let ask = move || async move {
        loop {
            let answer = client.get(&subject("limit=50")).await;
            assert_eq!(answer.status, 200);
        }
    };
    (0..count).map(|_| tokio::spawn(ask())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_is_replaced_before_it_closes() {
    for load in [0, 2, 8] {
        let (_database, _network, service) = behind_a_network("max_lifetime = \"1s\"").await;
        let clients = clients(&service, load);
        let deadline = Instant::now() + Duration::from_secs(20);
        while opened(&service) < 9 {
            assert!(Instant::now() < deadline, "{} opened with {load} clients", opened(&service));
            if let Some((opened, closed)) = opened_and_closed(&service) {
                assert!(opened - closed >= 3, "{opened} opened, {closed} closed");
                assert!(opened - closed <= 4, "one at a time: {opened} opened, {closed} closed");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for client in clients {
            assert!(!client.is_finished(), "a request failed");
            client.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lifetime_and_without_silence_nothing_is_replaced() {
    let options = "max_lifetime = \"0s\", keepalive = \"100ms\", recycle_timeout = \"20s\"";
    let (_database, _network, service) = behind_a_network(options).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((opened(&service), service.gauges().idle), (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fell_silent_are_found_before_a_request_finds_them() {
    let options = "keepalive = \"500ms\", recycle_timeout = \"300ms\"";
    let (_database, network, service) = behind_a_network(options).await;
    network.turns(Weather::BlackHole);
    // New connections come through; what was connected before has lost a part of its stream.
    eventually("the first was given up", || {
        opened_and_closed(&service).is_some_and(|(_, closed)| closed >= 1)
    })
    .await;
    network.cut();
    network.turns(Weather::Fair);
    eventually("the pool is whole", || {
        let seen = opened_and_closed(&service);
        seen.is_some_and(|(opened, closed)| opened - closed == 3) && service.gauges().idle == 3
    })
    .await;
    the_breaker_closes(&service).await;
    let answers = join_all((0..6).map(|_| service.subject(""))).await;
    assert!(answers.iter().all(|answer| answer.body == Dataset::of(FEW).body()));
    assert_eq!(service.strategy("subject").meter.errors.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_closed_are_opened_again_without_a_request() {
    let (database, _network, service) = behind_a_network("keepalive = \"0s\"").await;
    for round in 2..=4 {
        let terminate = "select pg_terminate_backend(pid) from pg_stat_activity \
            where datname = current_database() and pid <> pg_backend_pid()";
        connect(&database.url).await.batch_execute(terminate).await.expect("a superuser may");
        eventually("all were opened again", || opened(&service) >= 3 * round).await;
        eventually("and are idle", || service.gauges().idle == 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_shrank_in_an_outage_is_whole_again_after_it() {
    let (_database, network, service) = behind_a_network("connect_timeout = \"500ms\"").await;
    network.turns(Weather::Refused);
    network.cut();
    let refused = join_all((0..6).map(|_| service.subject("limit=1"))).await;
    assert!(refused.iter().all(|answer| answer.problem() == "unreachable"), "{refused:?}");
    eventually("none is left", || service.gauges().idle == 0).await;
    network.turns(Weather::Fair);
    eventually("the pool is whole", || service.gauges().idle == 3).await;
    the_breaker_closes(&service).await;
    let answers = join_all((0..6).map(|_| service.subject("limit=1"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

/// Connections of this process to a port of this machine, as the kernel sees them: those for which
/// it will ask for a sign of life, in how many hundredths of a second at most, and how many there are.
fn kept_alive(port: u16) -> (usize, u64, usize) {
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("there is a table");
    let to_port = format!(":{port:04X}");
    let open = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let open: Vec<_> = open.filter(|row| row[2].ends_with(&to_port) && row[3] == "01").collect();
    // "tr:tm->when"; 02 is the timer of keepalive (https://docs.kernel.org/networking/proc_net_tcp.html).
    let timers: Vec<u64> = open
        .iter()
        .filter_map(|row| row[5].strip_prefix("02:"))
        .map(|when| u64::from_str_radix(when, 16).expect("it is hexadecimal"))
        .collect();
    (timers.len(), timers.iter().copied().max().unwrap_or_default(), open.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operating_system_asks_quiet_connections_for_a_sign_of_life() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    for (seconds, expected) in [("40s", 4000), ("0s", 0)] {
        let setting = format!("database.tcp_keepalive = \"{seconds}\"");
        let setup = Setup::of(&database).with(&setting).with("health.interval = \"60s\"");
        let service = setup.subject("{ kind = \"pool\", size = 3 }", "\"none\"").start().await;
        assert_eq!(service.subject("limit=1").await.status, 200);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (timers, longest, open) = kept_alive(server.port);
            let as_told = match expected {
                0 => timers == 0,
                most => timers >= 3 && longest <= most,
            };
            if as_told && open >= 3 {
                break;
            }
            assert!(Instant::now() < deadline, "{timers} of {open} within {longest} for {seconds}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
