//! A write on one replica, seen by both.

use std::io::Read;
use std::time::{Duration, Instant};

use poolwise::query::ProductQuery;
use poolwise::store::Body;
use rstest::rstest;

use super::{Pair, ask, category, commands, list, other_category, tags, until_hit, write};
use crate::harness::{Backend, FEW, Redis, Service, Setup, subject};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_seen_at_once_by_every_replica_that_asks_redis(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let redis = Redis::shared().url();
    let Pair { a, b, .. } = &Pair::start(backend, "\"redis\"", &redis, "").await;
    let mut stock = ask(a, &list()).await.1;
    for round in 0..10 {
        for query in [list(), "limit=3".to_owned()] {
            until_hit(a, &query, stock).await;
            until_hit(b, &query, stock).await;
        }
        let (writer, other) = if round % 2 == 0 { (a, b) } else { (b, a) };
        stock = write(writer).await;
        for query in [list(), "limit=3".to_owned()] {
            assert_eq!(ask(other, &query).await, ("miss".to_owned(), stock), "round {round}");
            assert_eq!(ask(writer, &query).await.1, stock, "round {round}");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiered_replica_sees_its_own_writes_at_once_and_others_within_the_bound(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let redis = Redis::shared().url();
    let Pair { a, b, .. } = &Pair::start(backend, "\"tiered\"", &redis, "").await;
    let mut stock = ask(a, &list()).await.1;
    for round in 0..10 {
        until_hit(a, &list(), stock).await;
        until_hit(b, &list(), stock).await;
        let (writer, other) = if round % 2 == 0 { (a, b) } else { (b, a) };
        let before = std::mem::replace(&mut stock, write(writer).await);
        assert_eq!(ask(writer, &list()).await.1, stock, "round {round}: read your writes");
        // It hears of it in a moment; the machine may stand still meanwhile.
        let written = Instant::now();
        loop {
            let (_, seen) = ask(other, &list()).await;
            if seen == stock {
                break;
            }
            assert_eq!(seen, before);
            assert!(written.elapsed() < Duration::from_secs(10), "it never hears of it");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_seen_at_once_in_the_process_that_made_it(
    #[values("\"memory\"", "{ store = \"none\", coalesce = true }")] cache: &str,
) {
    let database = crate::harness::Database::scratch(Backend::Sqlite, FEW).await;
    let service = Setup::of(&database).subject("\"pool\"", cache).start().await;
    let mut stock = ask(&service, &list()).await.1;
    for _ in 0..10 {
        if cache.contains("memory") {
            until_hit(&service, &list(), stock).await;
        }
        stock = write(&service).await;
        assert_eq!(ask(&service, &list()).await.1, stock);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_write_does_not_concern_stays_a_hit(
    #[values("memory", "redis", "tiered")] store: &str,
) {
    let redis = Redis::shared().url();
    let Pair { a, b, .. } = &Pair::start(Backend::Sqlite, &format!("{store:?}"), &redis, "").await;
    let other = format!("category={}&limit=3", other_category());
    let stock = ask(a, &other).await.1;
    until_hit(a, &other, stock).await;
    until_hit(b, &other, stock).await;
    for _ in 0..5 {
        write(a).await;
        for service in [a, b] {
            assert_eq!(ask(service, &other).await, ("hit".to_owned(), stock), "{store}");
        }
    }
}

async fn in_gzip(service: &Service) -> (bool, i64) {
    let answer =
        service.client.get_with(&subject("limit=100"), &[("accept-encoding", "gzip")]).await;
    let coded = answer.header("content-encoding") == "gzip";
    let mut plain = Vec::new();
    match coded {
        true => drop(flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut plain)),
        false => plain.extend(&answer.body),
    }
    let list: serde_json::Value = serde_json::from_slice(&plain).expect("the body is JSON");
    (coded, list[0]["stock"].as_i64().expect("a number"))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_variant_is_as_new_as_what_it_was_made_of(
    #[values("memory", "redis", "tiered")] store: &str,
) {
    let redis = Redis::shared().url();
    let Pair { a, b, .. } = &Pair::start(Backend::Sqlite, &format!("{store:?}"), &redis, "").await;
    let readers = if store == "redis" { vec![a, b] } else { vec![a] };
    let mut stock = ask(a, &list()).await.1;
    for round in 0..3 {
        for reader in &readers {
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                let (coded, seen) = in_gzip(reader).await;
                assert_eq!(seen, stock, "round {round}");
                if coded {
                    break;
                }
                assert!(Instant::now() < deadline, "there never is a variant");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        stock = write(a).await;
        for reader in &readers {
            assert_eq!(in_gzip(reader).await.1, stock, "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_product_is_as_new_as_a_list() {
    let redis = Redis::shared().url();
    let Pair { a, b, .. } = &Pair::start(Backend::Sqlite, "\"redis\"", &redis, "").await;
    let product = async |service: &Service| {
        let (source, query) = (service.strategy("subject").source.clone(), ProductQuery::by_id(1));
        let reply = source.fetch(&query, &Service::context()).await.expect("it answers");
        let Body::Whole(body) = reply.body else { panic!("it is small") };
        let product: serde_json::Value =
            serde_json::from_slice(&body.chunks().concat()).expect("the body is JSON");
        let cache = reply.cache.expect("it has one").name().to_owned();
        (cache, product["stock"].as_i64().expect("a number"))
    };
    product(a).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while product(b).await.0 != "hit" {
        assert!(Instant::now() < deadline, "it never is a hit");
    }
    let stock = write(a).await;
    assert_eq!(product(b).await, ("miss".to_owned(), stock));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_costs_redis_the_same_however_much_is_kept() {
    const NAMES: [&str; 9] =
        ["eval", "get", "set", "publish", "time", "del", "unlink", "keys", "scan"];
    let redis = Redis::start();
    let Pair { a, .. } = &Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), "").await;
    let mut costs: Vec<Vec<u64>> = Vec::new();
    for entries in [1, 40, 200] {
        for n in 1..=entries {
            // Until it is stored, which is a script as well.
            while ask(a, &format!("category={}&limit={n}", category())).await.0 != "hit" {}
        }
        let before = commands(&redis, &NAMES);
        a.state.versions.changed(&tags()).await;
        let after = commands(&redis, &NAMES);
        costs.push(after.iter().zip(before).map(|(after, before)| after - before).collect());
    }
    // For each of two tags one script, which asks for the token and the time, sets and tells.
    let expected: Vec<u64> = vec![2, 2, 2, 2, 2, 0, 0, 0, 0];
    assert_eq!(costs, [expected.clone(), expected.clone(), expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_costs_redis_one_question_and_memory_none() {
    let redis = Redis::start();
    for (store, asks) in [("redis", 20), ("tiered", 0)] {
        // A machine that stands still makes it ask Redis after the bound.
        let (store, bound) = (format!("{store:?}"), "cache.staleness_bound = \"60s\"");
        let pair = Pair::start(Backend::Sqlite, &store, &redis.url(), bound).await;
        let stock = ask(&pair.a, &list()).await.1;
        until_hit(&pair.a, &list(), stock).await;
        let before = commands(&redis, &["get", "pttl"]);
        for _ in 0..20 {
            assert_eq!(ask(&pair.a, &list()).await, ("hit".to_owned(), stock));
        }
        let after = commands(&redis, &["get", "pttl"]);
        let asked: Vec<u64> = after.iter().zip(before).map(|(after, b)| after - b).collect();
        let [gets, entries] = asked[..] else { panic!("{asked:?}") };
        // A GET of the version, then a GET and a PTTL of the entry. One that comes while another is
        // still on its way out shares those of the entry, or all of them.
        let is_right = 2 * entries <= gets && gets <= asks + entries;
        assert!(is_right && (asks / 4..=asks).contains(&entries), "{store}: {asked:?}");
    }
}
