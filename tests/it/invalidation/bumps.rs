//! Writes that Redis cannot be told of, or forgets.

use std::time::{Duration, Instant};

use poolwise::store::Tag;
use rstest::rstest;

use super::{POOL, Pair, ask, change, list, other_category, stats, tags, until, until_hit, write};
use crate::harness::{Backend, Database, FEW, Redis, Setup, unique};

const SHORT: &str = "cache = { staleness_bound = \"1s\", redis_timeout = \"500ms\" }";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_while_redis_is_away_succeeds_and_is_told_when_it_is_back(
    #[values("redis", "tiered")] store: &str,
    #[values("KILL", "STOP")] how: &str,
) {
    let redis = Redis::start();
    let pair = Pair::start(Backend::Sqlite, &format!("{store:?}"), &redis.url(), SHORT).await;
    let stock = ask(&pair.a, &list()).await.1;
    for service in [&pair.a, &pair.b] {
        until_hit(service, &list(), stock).await;
    }
    assert_eq!(
        (&stats(&pair.a).await["queued"], &stats(&pair.a).await["queued_seconds"]),
        (&0.into(), &serde_json::Value::Null)
    );
    let port = redis.port;
    redis.process.signal(how);
    let redis = (how == "STOP").then_some(redis);
    let mut stock = stock;
    let begun = Instant::now();
    for _ in 0..20 {
        stock = write(&pair.a).await;
        assert_eq!(ask(&pair.a, &list()).await, ("bypass".to_owned(), stock));
    }
    // Only the first waits for Redis; each question may, on each of four connections.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let said = stats(&pair.a).await;
    assert_eq!(said["queued"], 2, "each tag once: {said}");
    assert!(said["queued_seconds"].as_f64().expect("since when") > 0.0);
    let _redis = match redis {
        Some(redis) => {
            redis.process.signal("CONT");
            redis
        }
        None => Redis::start_on(port).expect("the port is still free"),
    };
    until(&pair.a, "queued", 0).await;
    until(&pair.a, "queued_seconds", serde_json::Value::Null).await;
    for service in [&pair.a, &pair.b] {
        // A line that was down is tried again after a moment, and of tiered the memory empties within the bound.
        let deadline = Instant::now() + Duration::from_secs(15);
        while ask(service, &list()).await != ("hit".to_owned(), stock) {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stock = write(&pair.a).await;
    assert_eq!(ask(&pair.a, &list()).await.1, stock);
    until(&pair.a, "queued", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_queued_write_concerns_is_served_from_redis_all_the_while() {
    let redis = Redis::start();
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), "").await;
    let other = format!("category={}&limit=3", other_category());
    let stock = ask(&pair.a, &other).await.1;
    until_hit(&pair.a, &other, stock).await;
    // Whoever may only read cannot be told anything.
    redis.run::<()>(&["ACL", "SETUSER", "default", "-eval"]);
    let new = write(&pair.a).await;
    assert_eq!(stats(&pair.a).await["queued"], 2);
    assert_eq!(ask(&pair.a, &list()).await, ("bypass".to_owned(), new));
    assert_eq!(ask(&pair.a, &other).await, ("hit".to_owned(), stock));
    redis.run::<()>(&["ACL", "SETUSER", "default", "+eval"]);
    until(&pair.a, "queued", 0).await;
    until_hit(&pair.a, &list(), new).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_redis_lost_makes_a_miss_and_never_an_old_answer(
    #[values("DEL", "FLUSHALL")] how: &str,
) {
    let redis = Redis::start();
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), "").await;
    let mut stock = ask(&pair.a, &list()).await.1;
    for _ in 0..3 {
        until_hit(&pair.a, &list(), stock).await;
        until_hit(&pair.b, &list(), stock).await;
        // As if the write had been told, and then its token was evicted.
        stock = change(&pair.a).await;
        match how {
            "DEL" => assert_eq!(redis.run::<i64>(&["DEL", &pair.token(&tags()[1])]), 1),
            _ => redis.run::<()>(&["FLUSHALL"]),
        }
        assert_eq!(ask(&pair.b, &list()).await, ("miss".to_owned(), stock));
        assert_eq!(ask(&pair.a, &list()).await.1, stock);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_is_told_all_the_same() {
    let redis = Redis::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), "").await;
    let stock = ask(&pair.a, &list()).await.1;
    for service in [&pair.a, &pair.b] {
        until_hit(service, &list(), stock).await;
    }
    let filler = "x".repeat(100_000);
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut is_full = |n: &u32| {
        let mut set = redis::cmd("SET");
        set.arg(format!("filler{n}")).arg(&filler).exec(&mut connection).is_err()
    };
    assert!((0..100).any(|n| is_full(&n)), "it is never full");
    assert_eq!(ask(&pair.b, &list()).await, ("hit".to_owned(), stock), "it can be read");
    let stock = write(&pair.a).await;
    assert_eq!(stats(&pair.a).await["queued"], 0, "to forget takes no memory");
    for service in [&pair.a, &pair.b] {
        let (cache, seen) = ask(service, &list()).await;
        assert_eq!(seen, stock, "a {cache}");
    }
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(&pair.b, &list()).await != ("hit".to_owned(), stock) {
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_else_under_the_name_of_a_token_is_a_bypass() {
    let redis = Redis::start();
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), "").await;
    let token = pair.token(&tags()[1]);
    redis.run::<()>(&["SET", &token, "7"]);
    let stock = ask(&pair.a, &list()).await.1;
    assert_eq!(ask(&pair.a, &list()).await, ("bypass".to_owned(), stock));
    assert_eq!(ask(&pair.a, "limit=3").await.0, "miss", "others are as they were");
    let stock = write(&pair.a).await;
    until_hit(&pair.b, &list(), stock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_publish_is_no_reason_to_fail() {
    let acl = ["--user", "shop", "on", ">geheim", "~*", "+@all"];
    let redis = Redis::start_with(&acl);
    let url = redis.url_with("shop:geheim", "");
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &url, "").await;
    let stock = ask(&pair.a, &list()).await.1;
    until_hit(&pair.b, &list(), stock).await;
    let stock = write(&pair.a).await;
    assert_eq!(ask(&pair.b, &list()).await, ("miss".to_owned(), stock));
    assert_eq!(stats(&pair.a).await["queued"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_outlives_an_edit_of_the_configuration() {
    let redis = Redis::start();
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let prefix = unique("edited");
    let text = |timeout: &str| {
        format!(
            "cache = {{ redis_timeout = \"{timeout}\", key_prefix = \"{prefix}:\", \
             redis_url = \"{}\" }}\n\
             strategies.subject = {{ access = {POOL}, cache = \"redis\" }}",
            redis.url()
        )
    };
    let (service, file) = Setup::of(&database).following(&text("500ms")).await;
    let stock = ask(&service, &list()).await.1;
    until_hit(&service, &list(), stock).await;
    redis.run::<()>(&["ACL", "SETUSER", "default", "-eval"]);
    let new = write(&service).await;
    assert_eq!(stats(&service).await["queued"], 2);
    std::fs::write(&file, text("900ms")).expect("it can be written to");
    let deadline = Instant::now() + Duration::from_secs(10);
    let timeout = || service.state.config.load().cache.redis_timeout;
    while timeout() != Duration::from_millis(900) {
        assert!(Instant::now() < deadline, "the edit is never in force");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The entry of before is still there.
    assert_eq!(ask(&service, &list()).await, ("bypass".to_owned(), new));
    redis.run::<()>(&["ACL", "SETUSER", "default", "+eval"]);
    until(&service, "queued", 0).await;
    until_hit(&service, &list(), new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_at_once_are_few_commands() {
    let redis = Redis::start();
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), "").await;
    let told = || super::commands(&redis, &["eval"])[0];
    let before = told();
    let versions = &pair.a.state.versions;
    let changed = || async { versions.changed(&[Tag::All]).await };
    futures_util::future::join_all((0..200).map(|_| changed())).await;
    assert!((1..200).contains(&(told() - before)), "{}", told() - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_which_redis_does_not_hear_is_late_though_others_follow_it() {
    let redis = Redis::start();
    let pair = Pair::start(Backend::Sqlite, "\"redis\"", &redis.url(), SHORT).await;
    let stock = ask(&pair.a, &list()).await.1;
    until_hit(&pair.a, &list(), stock).await;
    // What changes something there stands still; what reads does not.
    redis.run::<()>(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let versions = pair.a.state.versions.clone();
    let others = tokio::spawn(async move {
        loop {
            let versions = versions.clone();
            tokio::spawn(async move { versions.changed(&tags()).await });
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    for _ in 0..5 {
        let stock = write(&pair.a).await;
        assert_eq!(ask(&pair.a, &list()).await, ("bypass".to_owned(), stock));
    }
    assert_eq!(stats(&pair.a).await["queued"], 2);
    others.abort();
    redis.run::<()>(&["CLIENT", "UNPAUSE"]);
    until(&pair.a, "queued", 0).await;
    let stock = write(&pair.a).await;
    until_hit(&pair.b, &list(), stock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_left_the_configuration_is_told_no_more() {
    let redis = Redis::start();
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let text = |cache: &str| {
        format!(
            "cache = {{ redis_timeout = \"500ms\", redis_url = \"{}\" }}\n\
             strategies.subject = {{ access = {POOL}, cache = {cache:?} }}",
            redis.url()
        )
    };
    let (service, file) = Setup::of(&database).following(&text("redis")).await;
    redis.run::<()>(&["ACL", "SETUSER", "default", "-eval"]);
    write(&service).await;
    until(&service, "queued", 2).await;
    std::fs::write(&file, text("memory")).expect("it can be written to");
    until(&service, "queued", 0).await;
    assert!(!service.state.versions.are_shared());
}
