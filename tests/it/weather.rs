//! A database that is there, behind a network that is slow, or ends without a word.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;

use crate::harness::{
    Backend, Database, Dataset, FEW, Network, Service, Setup, Weather, eventually,
};

const ACCESSES: [&str; 3] = ["\"direct\"", "{ kind = \"pool\", size = 3 }", "\"shared\""];

async fn behind_a_network(access: &str, settings: &str) -> (Network, Service) {
    let database = Database::shared(Backend::Postgres, FEW);
    let (behind, network) = database.behind_a_network().await;
    let setup = Setup::of(&behind);
    let service = setup.with(settings).subject(access, "\"none\"").start().await;
    (network, service)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_to_the_database_only_takes_longer(#[values(0, 1, 2)] access: usize) {
    const EACH_WAY: Duration = Duration::from_millis(25);
    let (network, service) = behind_a_network(ACCESSES[access], "").await;
    network.turns(Weather::Delayed(EACH_WAY));
    let asked = Instant::now();
    let answers = join_all((0..12).map(|_| service.subject(""))).await;
    assert!(answers.iter().all(|answer| answer.body == Dataset::of(FEW).body()));
    assert!(asked.elapsed() >= 2 * EACH_WAY, "the test cannot fail");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_trickles_ends_with_the_request(#[values(0, 1, 2)] access: usize) {
    // All the rows take almost twice as long.
    let settings = "server.request_timeout = \"2s\"\ndatabase.wait_timeout = \"300ms\"";
    let (network, service) = behind_a_network(ACCESSES[access], settings).await;
    network.turns(Weather::Throttled(64 * 1024));
    let asked = Instant::now();
    assert_eq!(service.subject("").await.problem(), "timeout");
    let took = asked.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(15)).contains(&took), "{took:?}");
    network.turns(Weather::Fair);
    eventually("nobody has a connection", || service.gauges().in_use == 0).await;
    let again = Instant::now() + Duration::from_secs(20);
    while service.subject("").await.body != Dataset::of(FEW).body() {
        assert!(Instant::now() < again, "it never serves again");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_no_more_costs_no_request(#[values(1, 2)] access: usize) {
    let (network, service) = behind_a_network(ACCESSES[access], "").await;
    for _ in 0..3 {
        network.half_close();
        let answers = join_all((0..6).map(|_| service.subject(""))).await;
        assert!(answers.iter().all(|answer| answer.body == Dataset::of(FEW).body()));
    }
    assert_eq!(service.strategy("subject").meter.errors.get(), 0);
}
