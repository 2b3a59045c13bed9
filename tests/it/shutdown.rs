//! Stopping: what is in flight finishes, within bounds; nobody new comes in.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokio::net::TcpStream;

use crate::harness::{Backend, Dataset, MANY, Setup, eventually, subject};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_flight_is_finished(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(true, false)] buffered: bool,
) {
    let setup = Setup::many(backend).subject("\"pool\"", "\"memory\"");
    let setup = if buffered { setup.buffering() } else { setup.streaming() };
    // The answer waits until it is seen that nobody new comes in.
    let patient = "server = { shutdown_timeout = \"60s\", send_timeout = \"60s\" }";
    let mut service = setup.with(patient).start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(64 * 1024).await;
    service.shut_down();
    let address = service.client.0;
    let deadline = Instant::now() + Duration::from_secs(15);
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "new connections are still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!service.serving.is_finished());
    assert!(client.read_to_end().await.expect("it is whole") == Dataset::of(MANY).body());
    eventually("the service has stopped", || service.serving.is_finished()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_ever() {
    let setup = Setup::many(Backend::Sqlite).subject("\"pool\"", "\"none\"").streaming();
    // Nothing else ends the answer before the test loses its patience.
    let limits = "server = { shutdown_timeout = \"500ms\", send_timeout = \"60s\" }";
    let mut service = setup.with(limits).start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(64 * 1024).await;
    let asked = Instant::now();
    service.shut_down();
    eventually("the service has stopped", || service.serving.is_finished()).await;
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(450), "{took:?}");
}
