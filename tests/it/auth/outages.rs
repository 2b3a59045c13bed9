//! Where sign-ins are kept fails: nobody gets in on a guess, and reading goes on. And two replicas, which
//! must agree at once.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::harness::{Postgres, Weather, eventually, folder, steadily};

fn unavailable() -> (u16, String) {
    (503, "auth-unavailable".into())
}

/// Sign-ins in a Redis of the test's own.
async fn over_redis(redis: &Redis) -> Service {
    let setup = Setup::few(Backend::Sqlite).with_redis(redis);
    let database = folder().join(unique("auth")).with_extension("db");
    let own = format!(
        "database.url = \"sqlite:{}\"\nseed = {{ auto = true, rows = 10 }}\nauth.store = \"redis\"\n\
         cache.redis_timeout = \"2s\"",
        database.display()
    );
    setup.with(&own).start().await
}

/// Everything that needs the store is refused in time, and reading goes on.
async fn nothing_but_reading_works(service: &Service, user: &Value, tokens: &(String, String)) {
    let started = Instant::now();
    assert_eq!(problem(&log_out(service, &tokens.0).await), unavailable());
    assert_eq!(problem(&refresh(service, &tokens.1).await), unavailable());
    let answer = service.client.post("/auth/login", user).await;
    assert_eq!(problem(&answer), unavailable());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(service.client.get("/products/pooled?limit=1").await.status, 200);
    let with_token = [("authorization", &*format!("Bearer {}", tokens.0))];
    assert_eq!(service.client.get_with("/products/pooled", &with_token).await.status, 200);
    // What is wrong by itself needs no store to be refused.
    assert_eq!(problem(&log_out(service, "nonsense").await), unauthorized());
}

async fn works_again(service: &Service, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = log_out(service, token).await;
        if answer.status == 204 {
            return;
        }
        assert_eq!(problem(&answer), unavailable());
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_frozen_nobody_is_taken_at_their_word() {
    let redis = Redis::start();
    let service = over_redis(&redis).await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let tokens = log_in(&service, &user).await;
    redis.process.signal("STOP");
    nothing_but_reading_works(&service, &user, &tokens).await;
    redis.process.signal("CONT");
    // A refresh that was given up may have arrived after all: then its answer is lost, and with it
    // the sign-in at the next try. The access token is none the wiser.
    works_again(&service, &tokens.0).await;
    log_in(&service, &user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_is_killed_and_comes_back_empty_everybody_signs_in_anew() {
    let redis = Redis::start();
    let port = redis.port;
    let service = over_redis(&redis).await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let tokens = log_in(&service, &user).await;
    drop(redis);
    nothing_but_reading_works(&service, &user, &tokens).await;
    let _redis = Redis::start_on(port).expect("the port is free again");
    let deadline = Instant::now() + Duration::from_secs(20);
    while problem(&log_out(&service, &tokens.0).await) != unauthorized() {
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (access, _) = log_in(&service, &user).await;
    assert_eq!(log_out(&service, &access).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nobody_is_taken_at_their_word() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let (database, network) = database.behind_a_network().await;
    let setup = Setup::of(&database).with("database.connect_timeout = \"1s\"");
    let service = setup.with("strategies.cached.cache = \"memory\"").start().await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let tokens = log_in(&service, &user).await;
    assert_eq!(service.client.get("/products/cached?limit=1").await.status, 200);
    network.turns(Weather::Refused);
    network.cut();
    assert_eq!(problem(&log_out(&service, &tokens.0).await), unavailable());
    assert_eq!(problem(&refresh(&service, &tokens.1).await), unavailable());
    let answer = service.client.post("/auth/login", &user).await;
    assert_eq!(problem(&answer), (503, "unreachable".into()), "there are no users to be asked");
    assert_eq!(service.client.get("/products/cached?limit=1").await.cache(), "hit");
    network.turns(Weather::Fair);
    works_again(&service, &tokens.0).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_ends_every_other_refuses_at_once(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let database = Database::scratch(backend, FEW).await;
    let prefix = unique("replicas");
    let replica = async || {
        let setup = Setup::of(&database).with_redis(Redis::shared());
        let same = format!("auth.store = \"{store}\"\ncache.key_prefix = \"{prefix}:\"");
        setup.with(&same).start().await
    };
    let (one, other) = (replica().await, replica().await);
    for _ in 0..10 {
        let (access, token) = signed_in(&one).await;
        let refreshed = refresh(&other, &token).await;
        assert_eq!(refreshed.status, 200, "a token of one is good at the other");
        let access_of_other = text(&refreshed.json(), "access_token");
        assert_eq!(log_out(&one, &access).await.status, 204);
        for access in [&access, &access_of_other] {
            assert_eq!(problem(&log_out(&other, access).await), unauthorized());
        }
    }
    // A copy that comes back at one replica ends the sign-in at the other.
    let (access, token) = signed_in(&one).await;
    assert_eq!(refresh(&one, &token).await.status, 200);
    assert_eq!(problem(&refresh(&other, &token).await), unauthorized());
    assert_eq!(problem(&log_out(&one, &access).await), unauthorized());
}

#[cfg(feature = "redis-cluster")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_are_kept_in_a_cluster_too() {
    let cluster = crate::harness::RedisCluster::start();
    let setup = setup(Backend::Sqlite, "redis").await;
    let url = format!("cache.redis_url = \"{}\"", cluster.url());
    let service = setup.with(&url).start().await;
    // On whatever node they are.
    for _ in 0..6 {
        let (access, token) = signed_in(&service).await;
        let refreshed = refresh(&service, &token).await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        let access_too = text(&refreshed.json(), "access_token");
        assert_eq!(log_out(&service, &access).await.status, 204);
        assert_eq!(problem(&log_out(&service, &access_too).await), unauthorized());
    }
    let (access, token) = signed_in(&service).await;
    assert_eq!(refresh(&service, &token).await.status, 200);
    assert_eq!(problem(&refresh(&service, &token).await), unauthorized());
    assert_eq!(problem(&log_out(&service, &access).await), unauthorized());
}

/// A commit that lasts until its connection is killed, or until the request's time is over.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_is_lost_in_the_commit_is_said_to_be_unknown(
    #[values(true, false)] killed: bool,
) {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let time = if killed { "30s" } else { "6s" };
    let setup = Setup::of(&database).with(&format!("server.request_timeout = \"{time}\""));
    let service = setup.start().await;
    let admin = Postgres::shared().client(database.name()).await;
    admin
        .batch_execute(
            "create function wait() returns trigger language plpgsql as \
             $$ begin perform pg_sleep(60); return null; end $$; \
             create constraint trigger slow after insert on users deferrable initially deferred \
             for each row execute function wait()",
        )
        .await
        .expect("a superuser may");
    let user = user();
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
        where wait_event = 'PgSleep' and datname = current_database()";
    let killing = async {
        while killed && admin.query(kill, &[]).await.expect("a superuser may").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (answer, ()) = tokio::join!(service.client.post("/auth/register", &user), killing);
    assert_eq!(problem(&answer), (503, "unknown-outcome".into()), "{answer:?}");
    assert!(text(&answer.json(), "detail").contains("Sign in to see"), "{answer:?}");
    admin.batch_execute("drop trigger slow on users").await.expect("a superuser may");
    assert_eq!(problem(&service.client.post("/auth/login", &user).await), unauthorized());
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    log_in(&service, &user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_waits_for_a_registration_whose_client_has_left() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let mut service = Setup::of(&database).start().await;
    let holder = Postgres::shared().client(database.name()).await;
    holder.batch_execute("begin; lock table users").await.expect("nobody else has it");
    let user = user();
    let body = user.to_string();
    let head = format!(
        "POST /auth/register HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(service.client.0).await.expect("it listens");
    client.write_all(head.as_bytes()).await.expect("it is read");
    let waits = "select from pg_stat_activity where datname = current_database() \
        and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while holder.query(waits, &[]).await.expect("a superuser may").is_empty() {
        assert!(Instant::now() < deadline, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(client);
    service.shut_down();
    assert!(steadily(|| !service.serving.is_finished()).await, "it does not wait");
    holder.batch_execute("commit").await.expect("it is its own");
    eventually("the service has stopped", || service.serving.is_finished()).await;
    let made = "select name from users";
    let made = holder.query_one(made, &[]).await.expect("one user");
    assert_eq!(made.get::<_, String>(0), text(&user, "name"));
}
