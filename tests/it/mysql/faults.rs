//! What a client gets when the server fails, and what the server is left with when a client does.

use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use poolwise::query::ProductQuery;
use rstest::rstest;

use super::{DIRECT, POOL, number, root};
use crate::harness::mariadb::connect;
use crate::harness::{
    Answer, Backend, Database, Dataset, FEW, MANY, MariaDb, Proxy, Service, Setup, eventually,
    steadily, subject,
};

fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (status, kind));
    let body = String::from_utf8_lossy(&answer.body).to_lowercase();
    for word in ["select", "mysql", "mariadb", "127.0.0.1", "error 1", "sql", "secret"] {
        assert!(!body.contains(word), "{word} in {body}");
    }
}

/// Waits until this is the number, for at most 30 s.
async fn becomes(conn: &mut Conn, sql: &str, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = number(conn, sql).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found}, never {wanted}: {sql}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Statements of the service that run on a database now.
fn running(database: &Database) -> String {
    let name = database.name();
    format!(
        "select count(*) from information_schema.processlist \
         where db = '{name}' and info like 'select id, sku%'"
    )
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_table_or_another_type_is_the_operators_business(
    #[values(DIRECT, POOL)] access: &str,
    #[values(true, false)] buffered: bool,
) {
    let database = Database::scratch(Backend::MariaDb, FEW).await;
    let setup = Setup::of(&database).subject(access, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let run = async |sql: &str| MariaDb::shared().run(database.name(), sql).await;
    let source = service.strategy("subject").source.clone();
    let failure = async || {
        let query = ProductQuery::default();
        source.fetch(&query, &Service::context()).await.err().map(|error| error.to_string())
    };
    assert_eq!(service.subject("limit=1").await.status, 200);
    for (broken, mended, said) in [
        ("rename table products to other", "rename table other to products", "poolwise seed"),
        (
            "alter table products rename column stock to stocks",
            "alter table products rename column stocks to stock",
            "poolwise seed",
        ),
        (
            "alter table products modify price double",
            "alter table products modify price decimal(10, 2)",
            "products.price is of type double",
        ),
        (
            "alter table products modify name varbinary(255)",
            "alter table products modify name varchar(255) character set utf8mb4",
            "products.name is of type",
        ),
    ] {
        run(broken).await;
        for query in ["limit=1", "limit=2", "category=books"] {
            assert_problem(&service.subject(query).await, 503, "not-prepared");
        }
        let failure = failure().await.expect("it is refused");
        assert!(failure.contains(said), "{said} in {failure}");
        run(mended).await;
        for _ in 0..4 {
            assert_eq!(service.subject("limit=1").await.status, 200);
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_ended(
    #[values(DIRECT, POOL)] access: &str,
    #[values(true, false)] buffered: bool,
    #[values("database.statement_timeout = \"2s\"", "server.request_timeout = \"2s\"")] limit: &str,
) {
    let database = Database::scratch(Backend::MariaDb, FEW).await;
    let setup = Setup::of(&database).with(limit).subject(access, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let mut other = root(&database).await;
    other.query_drop("lock tables products write").await.expect("it locks");
    let asked = Instant::now();
    assert_problem(&service.subject("limit=5").await, 504, "timeout");
    let took = asked.elapsed();
    // Without the limit it would be the 30 s of the other one.
    assert!((Duration::from_millis(1900)..Duration::from_secs(20)).contains(&took), "{took:?}");
    // The server has given it up as well, though the table is still locked.
    let mut watch = root(&database).await;
    becomes(&mut watch, &running(&database), 0).await;
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    other.query_drop("unlock tables").await.expect("it ends");
    // The limit holds for a good answer, too, and a busy machine may be slower than that.
    let deadline = Instant::now() + Duration::from_secs(15);
    while service.subject("limit=5").await.status != 200 {
        assert!(Instant::now() < deadline, "it never recovers");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Connects until the server, which takes 20, has no connection left.
async fn take_all(database: &Database, taken: &mut Vec<Conn>) {
    while taken.len() < 30 {
        let opts = mysql_async::Opts::from_url(&database.url).expect("its URL is right");
        match Conn::new(opts).await {
            Ok(conn) => taken.push(conn),
            Err(error) => {
                assert!(error.to_string().contains("1040"), "{error}");
                return;
            }
        }
    }
    panic!("there is no limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_connection_left_is_saturated() {
    let server = MariaDb::start_with(&["--max-connections=20"]);
    let database = Database::on_mariadb(&server, FEW).await;
    let service = Setup::of(&database).subject(DIRECT, "\"none\"").start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    let mut taken = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    // What the service closed has its place for a moment longer, and gives it back then.
    let answer = loop {
        take_all(&database, &mut taken).await;
        let answer = service.subject("limit=1").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline, "it is never full");
    };
    assert_problem(&answer, 503, "saturated");
    assert!(answer.headers.contains_key("retry-after"));
    drop(taken);
    let deadline = Instant::now() + Duration::from_secs(10);
    while service.subject("limit=1").await.status != 200 {
        assert!(Instant::now() < deadline, "it never recovers");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The server's own `wait_timeout`: it closes what was idle for so many seconds. Ten where none may
/// be: the sign of life of a busy machine may be late.
#[rstest]
#[case::each_is_replaced("database.keepalive = \"0s\"", 3, &[4500, 4500], true)]
#[case::none_is_ever_idle("database.keepalive = \"200ms\"", 10, &[13_000], false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_closes_when_idle_cost_no_request(
    #[case] setting: &str,
    #[case] seconds: u32,
    #[case] pauses: &[u64],
    #[case] replaced: bool,
) {
    let server = MariaDb::start_with(&[&format!("--wait-timeout={seconds}")]);
    let database = Database::on_mariadb(&server, FEW).await;
    let service = Setup::of(&database).with(setting).subject(POOL, "\"none\"").start().await;
    let opened = || service.strategy("subject").meter.access.opened.get();
    let at_first = opened();
    for pause in pauses {
        tokio::time::sleep(Duration::from_millis(*pause)).await;
        let answers =
            futures_util::future::join_all((0..8).map(|_| service.subject("limit=5"))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
    assert_eq!(opened() > at_first, replaced, "{} after {at_first}", opened());
    assert_eq!(service.strategy("subject").meter.errors.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_unreachable() {
    let server = MariaDb::start();
    let database = Database::on_mariadb(&server, FEW).await;
    let setup = Setup::of(&database).subject(POOL, "\"none\"");
    let service = setup.with("database.connect_timeout = \"1s\"").start().await;
    assert_eq!(service.subject("limit=1").await.status, 200);
    server.process.signal("KILL");
    while server.process.is_running()
        && std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for path in [&*subject("limit=2"), "/products/direct?limit=2", "/products/7"] {
        assert_problem(&service.client.get(path).await, 503, "unreachable");
    }
}

/// The numbers of the service's connections that are at rest, once these are at least four.
async fn idle(conn: &mut Conn, database: &Database) -> Vec<u64> {
    let name = database.name();
    let ask = format!(
        "select id from information_schema.processlist \
         where db = '{name}' and user = 'poolwise' and command = 'Sleep'"
    );
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let found: Vec<u64> = conn.query(&ask).await.expect("root may see them");
        if found.len() >= 4 {
            return found;
        }
        assert!(Instant::now() < deadline, "never four: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_that_was_killed_costs_no_request(
    #[values("fast", "verified")] recycle: &str,
    #[values(true, false)] buffered: bool,
    #[values(true, false)] all: bool,
) {
    let database = Database::scratch(Backend::MariaDb, FEW).await;
    let setup = Setup::of(&database).with(&format!("database.recycle = {recycle:?}"));
    let setup = setup.subject(POOL, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    let mut root = root(&database).await;
    for _ in 0..5 {
        let found = idle(&mut root, &database).await;
        for id in found.into_iter().take(if all { 99 } else { 1 }) {
            // The service's own look at the server may have ended meanwhile.
            let _ = root.query_drop(format!("kill {id}")).await;
        }
        let answers = futures_util::future::join_all((0..6).map(|_| service.subject(""))).await;
        for answer in answers {
            assert!(answer.status == 200 && answer.body == Dataset::of(FEW).body(), "{answer:?}");
        }
        eventually("four are at rest again", || service.gauges().in_use == 0).await;
    }
}

/// How a connection dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// The server says goodbye.
    Killed,
    /// The network does not.
    Cut,
}

/// A service whose connections the proxy holds up in the middle of 60,000 rows, which are longer than
/// usual: the kernel would take all the others from the server, which would be done too early.
async fn behind_a_proxy(access: &str) -> (Database, Proxy, Setup) {
    let database = Database::scratch(Backend::MariaDb, MANY).await;
    let longer = "update products set name = concat(name, repeat('-', 220))";
    MariaDb::shared().run(database.name(), longer).await;
    let port = MariaDb::shared().port;
    let proxy = Proxy::to(port).await;
    let url = database.url.replace(&port.to_string(), &proxy.port.to_string());
    let behind = Database { backend: Backend::MariaDb, url };
    (database, proxy, Setup::of(&behind).subject(access, "\"none\""))
}

/// All of the rows, past the proxy.
async fn whole(database: &Database) -> Vec<u8> {
    let service = Setup::of(database).subject(POOL, "\"none\"").buffering().start().await;
    service.subject("").await.body.to_vec()
}

async fn kill(database: &Database, proxy: &Proxy, death: Death) {
    match death {
        Death::Killed => {
            let mut root = root(database).await;
            let which = running(database).replace("count(*)", "id");
            let id = number(&mut root, &which).await;
            root.query_drop(format!("kill {id}")).await.expect("root may");
            proxy.go_on();
        }
        Death::Cut => {
            proxy.cut();
            proxy.go_on();
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_connection_dies_breaks_off(
    #[values(DIRECT, POOL)] access: &str,
    #[values(Death::Killed, Death::Cut)] death: Death,
) {
    let (database, proxy, setup) = behind_a_proxy(access).await;
    let service = setup.streaming().start().await;
    let mut client = service.client.read_slowly(&subject("")).await;
    client.read(500_000).await;
    assert!(steadily(|| service.gauges().in_use == 1).await, "the test cannot fail");
    kill(&database, &proxy, death).await;
    let came = client.read_to_end().await.expect_err("the answer breaks off").0;
    let whole = whole(&database).await;
    assert!(came.len() < whole.len() && whole.starts_with(&came));
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    assert_eq!(service.strategy("subject").meter.errors.get(), 1);
    assert_eq!(service.subject("limit=1").await.status, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_dies_before_anything_was_sent_costs_no_request(
    #[values(DIRECT, POOL)] access: &str,
    #[values(Death::Killed, Death::Cut)] death: Death,
) {
    let (database, proxy, setup) = behind_a_proxy(access).await;
    let service = setup.buffering().start().await;
    let client = service.client;
    let asking = tokio::spawn(async move { client.get(&subject("")).await });
    eventually("half the rows are here", || proxy.is_holding()).await;
    kill(&database, &proxy, death).await;
    let answer = asking.await.expect("it does not panic");
    assert!(answer.status == 200 && answer.body == whole(&database).await);
    assert_eq!(service.leases(), 2, "it was tried again once");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_dropped_half_read_does_not_hold_the_server(
    #[values(DIRECT, POOL)] access: &str,
    #[values(true, false)] the_network_goes_on: bool,
) {
    let (database, proxy, setup) = behind_a_proxy(access).await;
    let service = setup.streaming().start().await;
    let mut root = root(&database).await;
    for _ in 0..3 {
        let mut client = service.client.read_slowly(&subject("")).await;
        client.read(64 * 1024).await;
        assert!(steadily(|| service.gauges().in_use == 1).await, "the test cannot fail");
        assert_eq!(number(&mut root, &running(&database)).await, 1, "the test cannot fail");
        drop(client);
        eventually("the connection came back", || service.gauges().in_use == 0).await;
        becomes(&mut root, &running(&database), 0).await;
    }
    if the_network_goes_on {
        proxy.go_on();
    }
    // A small answer does not wait for the rest of a large one.
    let asked = Instant::now();
    for _ in 0..4 {
        assert_eq!(service.subject("limit=3").await.status, 200);
    }
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(15), "four small answers took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_tell_what_the_server_says_of_itself() {
    let database = Database::scratch(Backend::MariaDb, FEW).await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let _other = connect(&database.url).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        let stats = service.client.get("/stats").await.json();
        // Three pools, the look itself, and ours.
        if stats["database"]["connections"].as_u64() >= Some(6) {
            break stats["database"].clone();
        }
        assert!(Instant::now() < deadline, "never seen: {stats}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(seen["max_connections"], 200);
    assert!(seen["active"].as_u64() >= Some(1), "{seen}");
    assert!(seen["max_used"].as_u64() >= seen["connections"].as_u64(), "{seen}");
    assert!(seen["queries"].as_u64() > Some(10), "{seen}");
}
