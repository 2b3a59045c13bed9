//! `invalidation = "none" | "ttl" | "version"`.

use std::time::Duration;

use rstest::rstest;

use super::{PATIENT, POOL, Pair, ask, change, list, tags, until_hit, write};
use crate::harness::{Backend, Database, FEW, Redis, Setup};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_versions_a_write_is_not_seen_and_costs_redis_nothing(
    #[values("memory", "redis", "tiered")] store: &str,
    #[values("ttl", "none")] invalidation: &str,
) {
    let redis = Redis::start();
    let cache =
        format!("{{ store = {store:?}, invalidation = {invalidation:?}, ttl = \"1500ms\" }}");
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let setup = Setup::of(&database).subject(POOL, &cache).with_redis(&redis);
    let service = setup.start().await;
    let old = ask(&service, &list()).await.1;
    until_hit(&service, &list(), old).await;
    let new = write(&service).await;
    assert_eq!(super::commands(&redis, &["eval"]), [0]);
    let ends = invalidation == "ttl";
    if !ends {
        assert_eq!(ask(&service, &list()).await, ("hit".to_owned(), old));
    }
    tokio::time::sleep(Duration::from_millis(1700)).await;
    let seen = if ends { new } else { old };
    assert_eq!(ask(&service, &list()).await.1, seen);
    if store != "memory" {
        let mut keys: Vec<String> = Vec::new();
        // It is kept after it was sent; and its time may be over when the machine stood still.
        for _ in 0..5 {
            until_hit(&service, &list(), seen).await;
            keys = redis.run(&["KEYS", "*"]);
            if !keys.is_empty() {
                break;
            }
        }
        let [key] = &keys[..] else { panic!("one entry and no token: {keys:?}") };
        assert_eq!(redis.run::<i64>(&["PTTL", key]) == -1, !ends);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_versions_the_ttl_bounds_what_changes_past_the_service() {
    let redis = Redis::start();
    for store in ["memory", "redis", "tiered"] {
        let cache = format!("{{ store = {store:?}, ttl = \"1500ms\" }}");
        let pair = Pair::start(Backend::Sqlite, &cache, &redis.url(), "").await;
        let old = ask(&pair.a, &list()).await.1;
        let new = change(&pair.a).await;
        assert_ne!(old, new);
        tokio::time::sleep(Duration::from_millis(1700)).await;
        assert_eq!(ask(&pair.a, &list()).await, ("miss".to_owned(), new), "{store}");
    }
    let tokens: Vec<String> = redis.run(&["KEYS", "*:v:*"]);
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    for token in tokens {
        let life = redis.run::<i64>(&["PTTL", &token]);
        assert!((1_000_000..=3_600_000).contains(&life), "tokens do not pile up: {life}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_mode_never_serves_what_the_new_one_must_not() {
    let redis = Redis::start();
    for store in ["memory", "redis", "tiered"] {
        let database = Database::scratch(Backend::Sqlite, FEW).await;
        let text = |mode: &str| {
            format!(
                "strategies.subject = {{ access = {POOL}, cache = {{ store = {store:?}, \
                 invalidation = {mode:?}, ttl = \"1h\" }} }}"
            )
        };
        let setup = Setup::of(&database).with(PATIENT).with_redis(&redis);
        let (service, file) = setup.following(&text("none")).await;
        let mut stock = ask(&service, &list()).await.1;
        for mode in ["version", "ttl", "version", "none", "ttl", "version"] {
            until_hit(&service, &list(), stock).await;
            let config = service.strategy("subject").config.clone();
            std::fs::write(&file, text(mode)).expect("it can be written to");
            let strategy = || service.strategy("subject").config.clone();
            crate::harness::eventually("it is in force", || strategy() != config).await;
            let (_, seen) = ask(&service, &list()).await;
            assert_eq!(seen, stock, "{store}, {mode}");
            if mode == "version" {
                stock = write(&service).await;
                assert_eq!(ask(&service, &list()).await.1, stock, "{store}");
            }
        }
    }
}

#[test]
fn memory_cannot_have_versions_when_there_are_several_replicas() {
    let setup = || Setup::few(Backend::Sqlite).with("server.replicas = 3");
    let found = setup().problems();
    for says in [
        "1 problem:",
        "`strategies.cached.cache`",
        "the other 2 of server.replicas = 3",
        "\"redis\" or \"tiered\"",
        "invalidation = \"ttl\"",
    ] {
        assert!(found.contains(says), "{says} in {found}");
    }
    for right in [
        "strategies.cached.cache = \"redis\"",
        "strategies.cached.cache = \"tiered\"",
        "strategies.cached.cache = { store = \"memory\", invalidation = \"ttl\" }",
        "strategies.cached.cache = { store = \"memory\", invalidation = \"none\" }",
        "cache.invalidation = \"ttl\"",
    ] {
        setup().with(right).config();
    }
    let found = setup()
        .with("cache.invalidation = \"ttl\"")
        .subject(POOL, "{ store = \"memory\", invalidation = \"version\" }");
    assert!(found.problems().contains("`strategies.subject.cache`"));
    Setup::few(Backend::Sqlite).with("server.replicas = 1").config();
    assert!(tags().len() == 2);
}

#[test]
fn a_mode_that_there_is_none_of_is_named() {
    let found = Setup::few(Backend::Sqlite).with("cache.invalidation = \"never\"").problems();
    assert!(found.contains("`cache.invalidation`") && found.contains("never"), "{found}");
    let found = Setup::few(Backend::Sqlite).with("cache = { staleness_bound = \"0s\" }").problems();
    assert!(found.contains("`cache.staleness_bound` must be at least 100ms"), "{found}");
}
