//! Debian's HAProxy with the file that ships, in front of real replicas over one PostgreSQL.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{
    Backend, Crowd, Database, Dataset, FEW, Filter, HaProxy, ServeCommand, Setup, connect,
    free_port,
};

/// What the limit is where it is not what is tested.
const NO_LIMIT: (&str, &str) = ("BALANCER_RATE", "1000000");

/// Where a replica listens: they differ in the address, as in containers.
fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, 100 + number).into()
}

/// Two replicas of the command `poolwise serve` over one database, and HAProxy in front of them.
struct Fleet {
    database: Database,
    setup: Setup,
    replicas: Vec<ServeCommand>,
    balancer: HaProxy,
}

impl Fleet {
    async fn of(database: Database, variables: &[(&str, &str)]) -> Self {
        let setup = Setup::of(&database)
            .with("log.level = \"info,poolwise::arrival=debug\"")
            .with("server.drain_delay = \"4s\"")
            .with("rate_limit.trusted_proxies = [\"127.0.0.1\"]");
        let port = free_port();
        let start = |number| ServeCommand::start_at((address(number), port).into(), &setup, &[]);
        let replicas: Vec<_> = [1, 2].map(start).into();
        let balancer = HaProxy::start(port, &[address(1), address(2)], variables).await;
        for replica in &replicas {
            replica.listens().await;
            balancer.sees(replica.client.0, "UP").await;
        }
        Self { database, setup, replicas, balancer }
    }

    /// Kills a replica, at once and whatever it does.
    fn kill(&mut self, place: usize) -> SocketAddr {
        let replica = self.replicas.remove(place);
        replica.client.0
    }

    fn start_again(&mut self, address: SocketAddr) {
        self.replicas.push(ServeCommand::start_at(address, &self.setup, &[]));
    }
}

/// How many requests have reached a replica.
fn arrived(replica: &ServeCommand, method: &str, path: &str) -> usize {
    let request = format!("method=\"{method}\" path=\"{path}\"");
    let log = replica.log();
    log.lines().filter(|line| line.contains("poolwise::arrival") && line.contains(&request)).count()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}

#[test]
fn the_file_is_taken_without_a_warning() {
    let file = crate::harness::HAPROXY_FILE;
    let checked = Command::new(HaProxy::program()).args(["-c", "-f", file]).output();
    let checked = checked.expect("it starts");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(checked.status.success() && said.contains("is valid"), "{said}");
    for word in ["WARNING", "ALERT", "[NOTICE]"] {
        assert!(!said.contains(word), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_killed_under_load_costs_no_read_and_comes_back() {
    let database = Database::shared(Backend::Postgres, FEW);
    let mut fleet = Fleet::of(database, &[NO_LIMIT]).await;
    let page = Filter { limit: Some(20), ..Filter::default() };
    let (path, expected) = ("/products/pooled", Dataset::of(FEW).answer(&page));
    let asked = format!("{path}?{}", page.query());
    let crowd = Crowd::of(8, fleet.balancer.client, &asked, expected.into());
    for replica in &fleet.replicas {
        until("both replicas are asked", || arrived(replica, "GET", path) > 20).await;
    }
    let killed = fleet.kill(1);
    fleet.balancer.sees(killed, "DOWN").await;
    fleet.start_again(killed);
    fleet.balancer.sees(killed, "UP").await;
    until("it is asked again", || arrived(&fleet.replicas[1], "GET", path) > 20).await;
    let outcomes = crowd.leaves().await;
    assert_eq!(outcomes.other_fates(), [], "{:?}", outcomes.counts());
    println!("figure: a replica killed under load: 0 of {} reads failed", outcomes.0.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_stopped_finishes_its_answers() {
    let database = Database::shared(Backend::Postgres, FEW);
    let mut fleet = Fleet::of(database, &[NO_LIMIT]).await;
    let (path, expected) = ("/products/pooled", Dataset::of(FEW).body());
    let crowd = Crowd::of(8, fleet.balancer.client, path, expected.into());
    for replica in &fleet.replicas {
        until("both replicas are asked", || arrived(replica, "GET", path) > 5).await;
    }
    fleet.replicas[1].signal("TERM");
    let stopped = fleet.replicas[1].client.0;
    fleet.balancer.sees(stopped, "DOWN").await;
    assert_eq!(fleet.replicas[1].ends().await, 0);
    let before = arrived(&fleet.replicas[0], "GET", path);
    until("the other goes on", || arrived(&fleet.replicas[0], "GET", path) > before + 5).await;
    let outcomes = crowd.leaves().await;
    assert_eq!(outcomes.other_fates(), [], "{:?}", outcomes.counts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_never_repeated_when_its_replica_dies_and_a_read_is() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let mut fleet = Fleet::of(database, &[NO_LIMIT]).await;
    let client = fleet.balancer.client;
    let bearer = format!("Bearer {}", client.sign_in("writer", "correct horse").await);
    let locker = connect(&fleet.database.url).await;
    locker
        .batch_execute("update products set stock = 100 where id = 1")
        .await
        .expect("it is there");

    let order = move || {
        let bearer = bearer.clone();
        async move {
            let json = ("content-type", "application/json");
            let headers = [("authorization", &*bearer), json, ("idempotency-key", "once")];
            let body = json!({ "lines": [{ "product_id": 1, "quantity": 1 }] });
            client.send_body(Method::POST, "/orders", &headers, body.to_string().into()).await
        }
    };
    // It waits for the row, and so its replica dies in the middle of the write.
    locker
        .batch_execute("begin; update products set stock = 50 where id = 1")
        .await
        .expect("it does");
    let asking = tokio::spawn(order());
    let arrived_at = |fleet: &Fleet, method: &str, path: &str| -> Vec<usize> {
        fleet.replicas.iter().map(|replica| arrived(replica, method, path)).collect()
    };
    until("it has arrived", || arrived_at(&fleet, "POST", "/orders").contains(&1)).await;
    sleep(Duration::from_millis(300)).await;
    let holder = usize::from(arrived_at(&fleet, "POST", "/orders")[1] == 1);
    let killed = fleet.kill(holder);
    let answer = asking.await.expect("it is answered");
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (502, "no-answer"));
    let line = fleet.balancer.line(answer.header("x-request-id")).await;
    assert!(line.contains("method=POST") && line.contains(" retries=0 "), "{line}");
    locker.batch_execute("rollback").await.expect("it does");
    assert_eq!(arrived_at(&fleet, "POST", "/orders"), [0], "the other has not heard of it");
    let orders = async || -> i64 {
        let found = locker.query_one("select count(*) from orders", &[]).await;
        found.expect("there is such a table").get(0)
    };
    assert_eq!(orders().await, 0);
    // Its client may, with the key.
    let placed = order().await;
    assert_eq!((placed.status.as_u16(), orders().await), (201, 1), "{placed:?}");
    let repeated = order().await;
    assert_eq!((repeated.body, orders().await), (placed.body, 1));

    // The same with a read.
    fleet.balancer.sees(killed, "DOWN").await;
    fleet.start_again(killed);
    fleet.balancer.sees(killed, "UP").await;
    locker
        .batch_execute("begin; lock table products in access exclusive mode")
        .await
        .expect("it is");
    let path = "/products/pooled";
    let asking = tokio::spawn(async move { client.get("/products/pooled?limit=3").await });
    until("it has arrived", || arrived_at(&fleet, "GET", path).contains(&1)).await;
    let holder = usize::from(arrived_at(&fleet, "GET", path)[1] == 1);
    fleet.kill(holder);
    until("the other has got it", || arrived_at(&fleet, "GET", path) == [1]).await;
    locker.batch_execute("rollback").await.expect("it does");
    let answer = asking.await.expect("it is answered");
    assert_eq!(answer.status, 200, "{answer:?}\n{}", fleet.balancer.log());
    assert_eq!(answer.json().as_array().map(Vec::len), Some(3));
    let line = fleet.balancer.line(answer.header("x-request-id")).await;
    // The plus says that it was another replica.
    assert!(line.contains(" retries=+1 "), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_counts_per_source_and_answers_429() {
    let database = Database::shared(Backend::Postgres, FEW);
    let limit = [("BALANCER_RATE", "5"), ("BALANCER_RATE_SECONDS", "600")];
    let fleet = Fleet::of(database, &limit).await;
    let client = fleet.balancer.client;
    let [one, other] = [[127, 0, 0, 21], [127, 0, 0, 22]].map(IpAddr::from);
    let path = "/products/pooled?limit=1";
    for n in 0..12 {
        // Who it says that it is does not matter.
        let said = format!("198.51.100.{n}");
        let answer = client.get_from(one, path, &[("x-forwarded-for", &said)]).await;
        if n < 5 {
            assert_eq!(answer.status, 200, "{n}: {answer:?}");
            continue;
        }
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (429, "rate-limited"), "{n}");
        assert_eq!(answer.header("retry-after"), "600");
    }
    assert_eq!(client.get_from(other, path, &[]).await.status, 200);
    assert_eq!(client.get_from(one, "/health", &[]).await.status, 200, "that does not count");
    let seen = |client: &str| {
        let named = format!("client={client} ");
        let is_it = |line: &&str| {
            line.contains("poolwise::answer")
                && line.contains("/products/pooled")
                && line.contains(&named)
        };
        let count = |replica: &ServeCommand| replica.log().lines().filter(is_it).count();
        fleet.replicas.iter().map(count).sum::<usize>()
    };
    // A line is written when the answer is over, which its client may know first.
    until("every answer is in the logs", || seen("127.0.0.21") + seen("127.0.0.22") >= 6).await;
    assert_eq!((seen("127.0.0.21"), seen("127.0.0.22"), seen("127.0.0.1")), (5, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_has_the_same_request_id_in_both_logs() {
    let database = Database::shared(Backend::Postgres, FEW);
    let fleet = Fleet::of(database, &[NO_LIMIT]).await;
    let client = fleet.balancer.client;
    let given = client.get_with("/products/pooled?limit=1", &[("x-request-id", "job-7.a_B")]).await;
    assert_eq!(given.header("x-request-id"), "job-7.a_B");
    let mut made = String::new();
    let over = [
        &["a\"b"][..],
        // A header whose last part alone is harmless, or all of whose parts are; and two of them.
        &["ok, x client=10.9.9.9"],
        &["x client=10.9.9.9, ok"],
        &["one,two"],
        &["one", "two"],
        &["one", "x client=10.9.9.9"],
    ];
    for bad in over {
        let headers: Vec<_> = bad.iter().map(|value| ("x-request-id", *value)).collect();
        let answer = client.get_with("/products/pooled?limit=1", &headers).await;
        made = answer.header("x-request-id").to_owned();
        let harmless = made.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        assert_eq!((made.len(), harmless), (36, true), "{bad:?}: {made}");
        assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1, "{bad:?}");
        let line = fleet.balancer.line(&made).await;
        assert!(line.contains(&format!("request_id={made} client=127.0.0.1 ")), "{line}");
    }
    for id in ["job-7.a_B", &*made] {
        let line = fleet.balancer.line(id).await;
        assert!(line.contains("status=200") && line.contains("\"/products/pooled\""), "{line}");
        let named = format!("request_id=\"{id}\"");
        until("a replica has logged it", || {
            fleet.replicas.iter().any(|replica| replica.log().contains(&named))
        })
        .await;
    }
    // Its own statistics are at the other port only.
    let metrics = fleet.balancer.internal.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).expect("it is text");
    let counted = "haproxy_backend_http_responses_total{proxy=\"replicas\",code=\"2xx\"} 7";
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(fleet.balancer.internal.get("/live").await.status, 200);
    assert!(client.get("/stats").await.json()["strategies"].is_array(), "the service's own");
}

/// A server that says that it is ready and answers everything else with the same status: what a replica
/// looks like whose code is broken.
struct Broken {
    status: Arc<AtomicU16>,
    seen: Arc<Mutex<Vec<Method>>>,
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Broken {
    async fn start(address: SocketAddr, status: u16) -> Self {
        let listener = TcpListener::bind(address).await.expect("nobody else has it");
        let status = Arc::new(AtomicU16::new(status));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (its, all) = (status.clone(), seen.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it listens");
                let (its, all) = (its.clone(), all.clone());
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let is_ready = request.uri().path() == "/health/ready";
                    let status = if is_ready { 200 } else { its.load(Ordering::SeqCst) };
                    if !is_ready {
                        all.lock().expect("nobody panics").push(request.method().clone());
                    }
                    let answer = hyper::Response::builder().status(status);
                    async move { answer.body(Full::new(Bytes::from_static(b"broken"))) }
                });
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { status, seen, address, _serving: AbortOnDropHandle::new(serving) }
    }

    fn take_seen(&self) -> Vec<Method> {
        std::mem::take(&mut *self.seen.lock().expect("nobody panics"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_answers_500_is_taken_out_and_comes_back() {
    const ERRORS: usize = 20;
    let port = free_port();
    let setup = Setup::few(Backend::Postgres);
    let good = ServeCommand::start_at((address(1), port).into(), &setup, &[]);
    let broken = Broken::start((address(3), port).into(), 500).await;
    let balancer = HaProxy::start(port, &[address(1), address(3)], &[NO_LIMIT]).await;
    good.listens().await;
    for replica in [good.client.0, broken.address] {
        balancer.sees(replica, "UP").await;
    }
    let ask = async || balancer.client.get("/products/pooled?limit=1").await.status.as_u16();
    let (mut failed, mut right) = (0, 0);
    while failed < ERRORS {
        match ask().await {
            200 => right += 1,
            500 => failed += 1,
            other => panic!("{other}"),
        }
        assert!(right < 100 * ERRORS, "it is asked no more after {failed} errors");
    }
    // That was its last.
    broken.status.store(200, Ordering::SeqCst);
    balancer.has_taken_out(broken.address).await;
    for _ in 0..20 {
        assert_eq!(ask().await, 200);
    }
    assert!(right > 0, "the good one was asked too");
    broken.take_seen();
    balancer.sees(broken.address, "UP").await;
    let mut asked = 0;
    while broken.take_seen().is_empty() {
        assert_eq!(ask().await, 200);
        asked += 1;
        assert!(asked < 5000, "it is never asked again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_repeated_gets_four_attempts_and_what_may_not_one() {
    let port = free_port();
    let broken = Broken::start((address(3), port).into(), 503).await;
    let balancer = HaProxy::start(port, &[address(3)], &[NO_LIMIT]).await;
    balancer.sees(broken.address, "UP").await;
    for (method, attempts) in [
        (Method::GET, 4),
        (Method::OPTIONS, 4),
        (Method::POST, 1),
        (Method::PUT, 1),
        (Method::PATCH, 1),
        (Method::DELETE, 1),
    ] {
        let answer = balancer.client.send(method.clone(), "/products/1", &[]).await;
        assert_eq!(answer.status, 503);
        assert_eq!(broken.take_seen(), vec![method; attempts]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_added_is_found_and_without_any_the_answer_says_so() {
    let port = free_port();
    let balancer = HaProxy::start(port, &[], &[NO_LIMIT]).await;
    let none = balancer.client.get("/products/pooled?limit=1").await;
    assert_eq!((none.status.as_u16(), &*none.problem()), (503, "no-replica"));
    assert_eq!(none.header("retry-after"), "1");
    let setup = Setup::few(Backend::Postgres);
    let replica = ServeCommand::start_at((address(2), port).into(), &setup, &[]);
    replica.listens().await;
    replica.becomes(200).await;
    balancer.rename(&[address(2)]);
    balancer.sees(replica.client.0, "UP").await;
    assert_eq!(balancer.client.get("/products/pooled?limit=1").await.status, 200);
}
