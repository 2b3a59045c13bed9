//! What an edit changes, and what it leaves alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ALLOWED, EFFECT, applied, config_stats, edit, refused};
use crate::harness::{Backend, Database, FEW, Redis, Setup, subject};

const KEPT: &str = "strategies.subject = { access = \"pool\", cache = \"memory\" }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_strategy_appears_and_one_that_is_gone_is_not_found() {
    let (service, file) = Setup::few(Backend::Sqlite).following("").await;
    let path = "/strategies/extra/products?limit=1";
    assert_eq!(service.client.get(path).await.status, 404);
    let edited = Instant::now();
    std::fs::write(&file, "strategies.extra.access = \"direct\"").expect("it can be written to");
    while service.client.get(path).await.status != 200 {
        assert!(edited.elapsed() < ALLOWED);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("a new strategy answers after {:?}, of {EFFECT:?}", edited.elapsed());
    while config_stats(&service).await["last_reload"].is_null() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let requests = service.strategy("extra").meter.requests.get();
    applied(&service, &file, "").await;
    assert_eq!(service.client.get(path).await.problem(), "not-found");
    applied(&service, &file, "strategies.extra.access = \"pool\"").await;
    assert_eq!(service.client.get(path).await.status, 200);
    let counted = service.strategy("extra").meter.requests.get();
    assert_eq!(counted, requests + 1, "counters never go back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_something_else_keeps_connections_counters_and_answers() {
    let (service, file) = Setup::few(Backend::Postgres).following(KEPT).await;
    assert_eq!(service.subject("limit=1").await.cache(), "miss");
    service.keeps(1).await;
    let before = service.strategy("subject");
    assert_eq!(service.subject("limit=1").await.cache(), "hit");
    applied(&service, &file, &format!("{KEPT}strategies.extra.access = \"direct\"")).await;
    let after = service.strategy("subject");
    assert!(Arc::ptr_eq(&before, &after), "it is the same in every respect");
    assert_eq!(service.subject("limit=1").await.cache(), "hit");
    let larger = KEPT.replace("\"pool\"", "{ kind = \"pool\", size = 5 }");
    applied(&service, &file, &larger).await;
    let after = service.strategy("subject");
    assert!(!Arc::ptr_eq(&before.access, &after.access), "the pool is another");
    assert_eq!(service.subject("limit=1").await.cache(), "hit", "the cache is not");
    assert_eq!(after.meter.requests.get(), 4);
    assert_eq!((after.meter.cache.hits.get(), after.meter.cache.misses.get()), (3, 1));
    let coded = larger.replace("\"memory\"", "{ store = \"memory\", compress = false }");
    applied(&service, &file, &coded).await;
    assert!(Arc::ptr_eq(&after.access, &service.strategy("subject").access), "the pool stays");
    assert_eq!(service.subject("limit=1").await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_ttl_holds_for_what_is_kept_already() {
    let setup = || Setup::few(Backend::Sqlite).with_redis(Redis::shared());
    for store in ["memory", "tiered"] {
        let text = |ttl: &str| {
            format!(
                "cache.ttl = \"{ttl}\"\n\
                 strategies.subject = {{ access = \"pool\", cache = \"{store}\" }}"
            )
        };
        let (service, file) = setup().following(&text("60s")).await;
        // Until it has been stored.
        while service.subject("limit=1").await.cache() != "hit" {}
        applied(&service, &file, &text("90s")).await;
        assert_eq!(service.subject("limit=1").await.cache(), "hit");
        applied(&service, &file, &text("70s")).await;
        let held = service.strategy("subject").cache.as_ref().expect("it has one").gauges();
        assert_eq!(held.entries, Some(0), "{store}");
        applied(&service, &file, &text("300ms")).await;
        // What is in Redis lives out its time, for it is not ours alone.
        service.subject("limit=2").await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(service.subject("limit=2").await.cache(), "miss");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_keeps_the_time_that_it_had() {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"");
    let (service, file) = setup.following("").await;
    assert_eq!(service.subject("").await.status, 200);
    applied(&service, &file, "server.request_timeout = \"1us\"").await;
    // A timer is looked at when there is nothing else to do, so a quick answer may come before it.
    let mut tries = 0;
    while !service.subject("").await.status.is_server_error() {
        tries += 1;
        assert!(tries < 1000, "no request was too late");
    }
    applied(&service, &file, "").await;
    assert_eq!(service.subject("").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_edit_is_refused_whole_and_shown_until_it_is_mended() {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"");
    let (service, file) = setup.following("database.pool_size = 3").await;
    let loaded_at = config_stats(&service).await["loaded_at"].clone();
    let problems = refused(&service, &file, "database.pool_size = ").await;
    assert!(problems.contains("is not valid TOML"), "{problems}");
    let wrong = "database = { pool_size = 5, pool_sise = 4 }\nserver.send_timeout = \"0s\"";
    let problems = refused(&service, &file, wrong).await;
    for key in ["`database.pool_sise`", "`server.send_timeout`"] {
        assert!(problems.contains(key), "{key} in {problems}");
    }
    let stats = config_stats(&service).await;
    assert_eq!(stats["loaded_at"], loaded_at, "the old one stays");
    assert_eq!(stats["files"].as_array().map(Vec::len), Some(4));
    assert_eq!((service.gauges().size, service.subject("").await.status.as_u16()), (3, 200));
    applied(&service, &file, "database.pool_size = 5").await;
    assert_eq!(service.gauges().size, 5);
    let stats = config_stats(&service).await;
    assert_ne!(stats["loaded_at"], loaded_at);
    assert_eq!(stats["last_reload"]["problems"].as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_named_and_the_rest_takes_effect() {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"none\"");
    let (service, file) = setup.following("").await;
    let text = "server.listen = \"127.0.0.1:1\"\ndatabase.pool_size = 4\nlog.format = \"json\"";
    let reload = applied(&service, &file, text).await;
    assert_eq!(reload["needs_restart"], serde_json::json!(["server.listen", "log.format"]));
    assert_eq!(service.gauges().size, 4);
    // It still needs one after an edit of something else, and none when it is taken back.
    let reload = applied(&service, &file, &text.replace('4', "3")).await;
    assert_eq!(reload["needs_restart"].as_array().map(Vec::len), Some(2));
    let reload = applied(&service, &file, "").await;
    assert_eq!(reload["needs_restart"].as_array().map(Vec::len), Some(0));
    let other =
        "database = { backend = \"postgres\", url = \"postgres://u:geheim@127.0.0.1:1/d\" }";
    let reload = edit(&service, &file, other).await;
    assert_eq!(reload["needs_restart"], serde_json::json!(["database.backend"]));
    assert_eq!(service.subject("limit=1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database_is_examined_and_then_asked() {
    let [first, second] = [
        Database::scratch(Backend::Postgres, FEW).await,
        Database::scratch(Backend::Postgres, 50).await,
    ];
    let setup = Setup::of(&first).subject("\"pool\"", "\"memory\"");
    let (service, file) = setup.following("").await;
    let rows = || async {
        let answer = service.client.get(&subject("")).await;
        assert_eq!(answer.status, 200);
        answer.json().as_array().expect("a list").len()
    };
    assert_eq!(rows().await, FEW as usize);
    let url = |url: &str| format!("database.url = \"{url}\"");
    let nowhere = "postgres://poolwise:geheim@127.0.0.1:1/products";
    let problems = refused(&service, &file, &url(nowhere)).await;
    assert!(problems.contains("`database.url`") && !problems.contains("geheim"), "{problems}");
    let empty = first.url.replace(first.name(), "postgres");
    let problems = refused(&service, &file, &url(&empty)).await;
    assert!(problems.contains("poolwise seed"), "{problems}");
    assert_eq!(rows().await, FEW as usize);
    applied(&service, &file, &url(&second.url)).await;
    assert_eq!(rows().await, 50, "nothing is answered from what was kept of the other");
    applied(&service, &file, "").await;
    assert_eq!(rows().await, FEW as usize);
}
