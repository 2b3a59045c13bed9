//! What a write makes of answers that are kept: on the replica that wrote, and on the other.

mod bumps;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod feed;
mod fills;
mod modes;
mod replicas;

use std::time::{Duration, Instant};

use poolwise::store::Tag;
use poolwise::store::access::Transaction;
use poolwise::store::backend::{Bind, Command, Datum, KINDS};

use crate::harness::{Backend, Database, Dataset, FEW, Redis, Service, Setup, unique};

const POOL: &str = "\"pool\"";

/// Two services on one database and one Redis, with the same keys in it.
struct Pair {
    prefix: String,
    a: Service,
    b: Service,
}

impl Pair {
    /// Both at the Redis of this URL.
    async fn start(backend: Backend, cache: &str, redis: &str, more: &str) -> Self {
        let database = Database::scratch(backend, FEW).await;
        Self::over(&database, &database, cache, [redis, redis], more).await
    }

    /// Each at the database and the Redis behind an address of its own.
    async fn over(
        database: &Database,
        of_b: &Database,
        cache: &str,
        [redis_a, redis_b]: [&str; 2],
        more: &str,
    ) -> Self {
        let prefix = unique("pair");
        let start = async |database: &Database, redis: &str| {
            let keys = format!("cache = {{ key_prefix = \"{prefix}:\", redis_url = \"{redis}\" }}");
            let setup = Setup::of(database).subject(POOL, cache).with(PATIENT).with(&keys);
            setup.with(more).start().await
        };
        let (a, b) = (start(database, redis_a).await, start(of_b, redis_b).await);
        for service in [&a, &b] {
            if service.strategy("subject").config.cache.name == "tiered" {
                until_it_hears(service).await;
            }
        }
        Self { prefix, a, b }
    }

    /// The name of a tag's token in Redis.
    fn token(&self, tag: &Tag) -> String {
        format!("{}:v:{tag}", self.prefix)
    }
}

/// So long that a machine which stands still for a moment changes nothing.
const PATIENT: &str =
    r#"cache = { ttl = "1h", redis_timeout = "5s", redis_connect_timeout = "5s" }"#;

/// The first product, which every test changes, and its category.
fn category() -> &'static str {
    &Dataset::of(FEW).0[0].category
}

/// Another category than that.
fn other_category() -> &'static str {
    let mut categories = Dataset::of(FEW).0.iter().map(|row| row.category.as_str());
    categories.find(|other| *other != category()).expect("there are several")
}

/// The list that begins with it.
fn list() -> String {
    format!("category={}&limit=3", category())
}

/// What a write that changes the first product changes.
fn tags() -> [Tag; 2] {
    [Tag::All, Tag::Category(category().into())]
}

/// What the cache did, and the stock of the first product of a list.
async fn ask(service: &Service, query: &str) -> (String, i64) {
    let answer = service.subject(query).await;
    assert_eq!(answer.status, 200);
    (answer.cache().to_owned(), answer.json()[0]["stock"].as_i64().expect("a number"))
}

/// Asks until it is a hit with this stock; nothing else may come meanwhile.
async fn until_hit(service: &Service, query: &str, expected: i64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (cache, stock) = ask(service, query).await;
        assert_eq!(stock, expected, "a {cache} of {query}");
        if cache == "hit" {
            return;
        }
        assert!(Instant::now() < deadline, "{query} is {cache} and never a hit");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Adds one to the stock of the first product, and tells nobody. The new stock.
async fn change(service: &Service) -> i64 {
    let strategy = service.strategy("subject");
    let lease = strategy.access.lease(&Service::context()).await.expect("a connection comes free");
    let mut transaction = Transaction::begin(lease).await.expect("a transaction begins");
    let lock = Command { name: "lock_product", binds: &[Bind::Int(1)], columns: &KINDS };
    let done = transaction.run(&lock).await.expect("the product is there");
    let Datum::Int(stock) = done.rows[0][5] else { panic!("{:?}", done.rows) };
    let binds = [Bind::Int(stock + 1), Bind::Timestamp(1_700_000_000_000_001), Bind::Int(1)];
    let set = Command { name: "set_stock", binds: &binds, columns: &[] };
    assert_eq!(transaction.run(&set).await.expect("it may").affected, 1);
    transaction.commit().await.expect("it holds");
    stock + 1
}

/// A write as the service makes it: when this returns its client is answered.
async fn write(service: &Service) -> i64 {
    let stock = change(service).await;
    service.state.versions.changed(&tags()).await;
    stock
}

/// What `/stats` says of writes.
async fn stats(service: &Service) -> serde_json::Value {
    service.client.get("/stats").await.json()["invalidation"].clone()
}

/// Waits until `/stats` says this of writes.
async fn until(service: &Service, key: &str, expected: impl Into<serde_json::Value>) {
    let (expected, deadline) = (expected.into(), Instant::now() + Duration::from_secs(20));
    loop {
        let found = stats(service).await;
        if found[key] == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{key} is never {expected}: {found}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until `tiered` hears of what others change.
pub async fn until_it_hears(service: &Service) {
    until(service, "hears", true).await;
}

/// How often Redis was asked each command.
fn commands(redis: &Redis, names: &[&str]) -> Vec<u64> {
    let info = redis.run::<String>(&["INFO", "commandstats"]);
    let count = |name: &&str| {
        let line =
            info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap_or("").parse().expect("a number"))
    };
    names.iter().map(count).collect()
}
