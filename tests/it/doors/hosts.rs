//! Several hosts behind one URL, and Unix sockets.

use std::time::{Duration, Instant};

use rstest::rstest;

use super::{assert_serves, at};
use crate::harness::{
    Backend, Database, FEW, MANY, Postgres, Service, Setup, eventually, free_port, subject,
};

const DIRECT: &str = "{ kind = \"direct\", limit = 4 }";
const POOL: &str = "{ kind = \"pool\", size = 2 }";

/// The port of the server that answers a strategy's connections.
async fn serving_ports(setup: Setup, server: &Postgres, name: &str) -> (Service, i64) {
    let service = setup.start().await;
    assert_serves(&service).await;
    let count = super::connections(server, name).await.0;
    (service, count)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_a_host(
    #[values("sslmode=prefer", "sslmode=verify-full")] options: &str,
    #[values(true, false)] in_parts: bool,
) {
    let server = Postgres::shared();
    let (folder, port) = (server.socket.display().to_string(), server.port);
    let name = Database::shared(Backend::Postgres, FEW).name().to_owned();
    let encoded = folder.replace('/', "%2F");
    let url = at(format!("postgres://poolwise@{encoded}:{port}/{name}?{options}"));
    let setup = if in_parts {
        let mode = options.trim_start_matches("sslmode=");
        Setup::of_server("postgres").with(&format!(
            "database = {{ host = \"{folder}\", port = {port}, name = \"{name}\", sslmode = \"{mode}\" }}"
        ))
    } else {
        Setup::of(&url)
    };
    assert_serves(&setup.subject(POOL, "\"none\"").start().await).await;
}

/// A statement on a Unix socket is cancelled over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_over_a_unix_socket_is_cancelled_over_it() {
    let server = Postgres::shared();
    let encoded = server.socket.display().to_string().replace('/', "%2F");
    let name = Database::shared(Backend::Postgres, MANY).name().to_owned();
    let application = crate::harness::unique("socket");
    let url = format!(
        "postgres://poolwise@{encoded}:{}/{name}?application_name={application}",
        server.port
    );
    let service = Setup::of(&at(url)).subject(POOL, "\"none\"").streaming().start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(64 * 1024).await;
    drop(client);
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    let active = format!(
        "exists (select from pg_stat_activity where application_name = '{application}' \
         and state = 'active')"
    );
    let mut looks = 0;
    while server.flag(&active).await {
        looks += 1;
        assert!(looks < 100, "the statement was not cancelled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_first_host_is_dead_the_second_serves(#[values(true, false)] in_parts: bool) {
    let server = Postgres::shared();
    let (dead, port) = (free_port(), server.port);
    let name = Database::shared(Backend::Postgres, FEW).name().to_owned();
    let setup = if in_parts {
        Setup::of_server("postgres").with(&format!(
            "database = {{ host = \"127.0.0.1:{dead}, 127.0.0.1:{port}\", name = \"{name}\" }}"
        ))
    } else {
        let hosts = format!("127.0.0.1:{dead},127.0.0.1:{port}");
        Setup::of(&at(format!("postgres://poolwise@{hosts}/{name}")))
    };
    assert_serves(&setup.subject(DIRECT, "\"none\"").start().await).await;
}

/// A frozen host takes connections and says nothing.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_host_fails_the_other_takes_over(
    #[values(DIRECT, POOL)] access: &str,
    #[values("STOP", "KILL")] signal: &str,
) {
    let (first, second) = (Postgres::start(), Postgres::shared());
    let name = Database::scratch(Backend::Postgres, FEW).await.name().to_owned();
    let primary = first.create(&name).await;
    Setup::of(&at(primary)).with("seed = { auto = true, rows = 2000 }").start().await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
    // Half of it is for each host. The breaker gives a question 2 s, so it must not be more.
    let limits = "database = { connect_timeout = \"2s\", recycle = \"verified\", \
        recycle_timeout = \"1s\" }";
    let mut tries = 0;
    let service = loop {
        let application = crate::harness::unique("first");
        let url = format!("postgres://poolwise@{hosts}/{name}?application_name={application}");
        let setup = Setup::of(&at(url)).with(limits).subject(access, "\"none\"");
        let (service, of_second) = serving_ports(setup, second, &application).await;
        if of_second == 0 {
            break service;
        }
        // The machine may stand still while it connects, but not each time.
        tries += 1;
        assert!(tries < 5, "the first host never serves");
    };
    first.process.signal(signal);
    if signal == "KILL" {
        tokio::time::sleep(Duration::from_millis(200)).await;
        return assert_serves(&service).await;
    }
    // One who asks while the machine stands still is told that nobody answers.
    let deadline = Instant::now() + Duration::from_secs(20);
    while service.subject("limit=1").await.status != 200 {
        assert!(Instant::now() < deadline, "the other never takes over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_serves(&service).await;
}

/// The order of the URL is not what decides.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn target_session_attrs_picks_the_server_whatever_the_order(
    #[values(("read-write", true), ("read-only", false))] (wanted, primary_serves): (&str, bool),
) {
    let (primary, replica) = super::replica::pair().await;
    for [first, second] in [[primary, replica], [replica, primary]] {
        let application = crate::harness::unique("attrs");
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
        let url = format!(
            "postgres://poolwise@{hosts}/{}?target_session_attrs={wanted}&application_name={application}",
            super::replica::DATABASE
        );
        let setup = Setup::of(&at(url)).subject(POOL, "\"none\"");
        let (serves, other) = if primary_serves { (primary, replica) } else { (replica, primary) };
        let (_service, count) = serving_ports(setup, serves, &application).await;
        assert!(count >= 2, "{count} connections to the server that is {wanted}");
        super::until_connections(other, &application, 0).await;
    }
    let url = format!(
        "postgres://poolwise@127.0.0.1:{}/{}?target_session_attrs={wanted}",
        if primary_serves { replica.port } else { primary.port },
        super::replica::DATABASE
    );
    let why = Setup::of(&at(url)).refused().await;
    let says = if primary_serves { "does not allow writes" } else { "is not read only" };
    assert!(why.contains("`database.url`") && why.contains(says), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_host_answers_the_service_does_not_start() {
    let (one, other) = (free_port(), free_port());
    let url = format!("postgres://poolwise:geheim@127.0.0.1:{one},127.0.0.1:{other}/d");
    let why = Setup::of(&at(url)).refused().await;
    assert!(why.contains("`database.url`") && why.contains("refused"), "{why}");
    assert!(!why.contains("geheim"), "{why}");
}
