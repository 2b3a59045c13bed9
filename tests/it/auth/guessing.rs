//! Guessing: nobody learns which names there are, nobody guesses for long, and nobody locks others out.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;

use super::*;
use crate::harness::connect;

fn with_password(user: &Value, password: &str) -> Value {
    json!({ "name": user["name"], "password": password })
}

/// A login of a client behind a trusted proxy.
async fn from(service: &Service, address: &str, user: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-forwarded-for", address)];
    let body = user.to_string().into();
    service.client.send_body(Method::POST, "/auth/login", &headers, body).await
}

async fn limited(failures: u32, per_address: u32, per: &str) -> Service {
    limited_on(Backend::Sqlite, failures, per_address, per).await
}

async fn limited_on(backend: Backend, failures: u32, per_address: u32, per: &str) -> Service {
    let setup = setup(backend, "database").await;
    let limits = format!(
        "auth = {{ failures = {failures}, failures_per_address = {per_address}, failures_per = \"{per}\" }}\n\
         rate_limit.trusted_proxies = [\"127.0.0.1\"]"
    );
    setup.with(&limits).start().await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_user_and_a_wrong_password_get_the_same_answer(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let service = limited_on(backend, 1000, 1000, "1m").await;
    let known = user();
    assert_eq!(service.client.post("/auth/register", &known).await.status, 201);
    let mut said = Vec::new();
    let long = "x".repeat(300);
    for (name, password) in [
        (text(&known, "name"), "wrong horse"),
        (text(&known, "name"), "x"),
        (text(&known, "name"), &long),
        ("nobody-of-this-name".into(), PASSWORD),
        ("x".into(), PASSWORD),
        ("no such; name' or 1=1 --".into(), PASSWORD),
        ("\u{0}".into(), PASSWORD),
        (format!("{}\u{0}", text(&known, "name")), PASSWORD),
        ("\u{1f40e}\u{10ffff}".into(), PASSWORD),
        ("ä".repeat(200), PASSWORD),
    ] {
        let user = json!({ "name": name, "password": password });
        let answer = service.client.post("/auth/login", &user).await;
        assert_eq!(problem(&answer), unauthorized(), "{name}");
        let mut document = answer.json();
        document["request_id"].take();
        said.push(document.to_string());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
}

/// The time is that of hashing in both cases; without the dummy an unknown name takes a fiftieth of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    // As dear as by default: a cheap hash does not stand out.
    let dear = "auth = { failures = 1000, failures_per_address = 1000, \
        hash_memory = \"19MiB\", hash_iterations = 2 }";
    let service = setup(Backend::Sqlite, "database").await.with(dear).start().await;
    let known = user();
    assert_eq!(service.client.post("/auth/register", &known).await.status, 201);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..15 {
        let unknown = json!({ "name": unique("unknown"), "password": PASSWORD });
        for (user, times) in [with_password(&known, "wrong horse"), unknown].iter().zip(&mut times)
        {
            let started = Instant::now();
            assert_eq!(service.client.post("/auth/login", user).await.status, 401);
            times.push(started.elapsed());
        }
    }
    let [wrong, unknown] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    assert!((0.4..2.5).contains(&(unknown / wrong)), "{unknown} s and {wrong} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_so_many_failures_even_the_right_password_has_to_wait() {
    let service = limited(3, 100, "10h").await;
    let (user, other) = (user(), user());
    for user in [&user, &other] {
        assert_eq!(service.client.post("/auth/register", user).await.status, 201);
    }
    for _ in 0..3 {
        let wrong = with_password(&user, "wrong horse");
        assert_eq!(problem(&from(&service, "192.0.2.1", &wrong).await), unauthorized());
    }
    // From whatever address, in whatever case.
    let shouted = json!({ "name": text(&user, "name").to_uppercase(), "password": PASSWORD });
    for (address, user) in [("192.0.2.1", &user), ("192.0.2.2", &user), ("192.0.2.3", &shouted)] {
        let refused = from(&service, address, user).await;
        assert_eq!(problem(&refused), (429, "too-many-failures".into()));
        let seconds: u64 = refused.header("retry-after").parse().expect("a number");
        assert!((11_000..=12_000).contains(&seconds), "{seconds} s until one of 3 in 10 h");
    }
    assert_eq!(from(&service, "192.0.2.1", &other).await.status, 200, "others are not touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_is_limited_like_a_known_one_and_so_is_what_is_no_name() {
    let service = limited(2, 100, "10h").await;
    for unknown in [user(), json!({ "name": "\u{0}", "password": PASSWORD })] {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(service.client.post("/auth/login", &unknown).await.status.as_u16());
        }
        assert_eq!(statuses, [401, 401, 429], "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_locks_a_user_out_of_an_address_that_the_user_has_signed_in_from() {
    let service = limited(3, 100, "10h").await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    assert_eq!(from(&service, "192.0.2.7", &user).await.status, 200);
    let wrong = with_password(&user, "wrong horse");
    for n in 0..10 {
        let status = from(&service, &format!("198.51.100.{n}"), &wrong).await.status;
        assert_eq!(status, if n < 3 { 401 } else { 429 });
    }
    assert_eq!(from(&service, "192.0.2.7", &user).await.status, 200);
    // Which is no way around the limit: from there it has a count of its own.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(from(&service, "192.0.2.7", &wrong).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_guesses_only_so_often_for_whatever_users() {
    let service = limited(100, 4, "10h").await;
    let known = user();
    assert_eq!(service.client.post("/auth/register", &known).await.status, 201);
    for (address, expected) in [("192.0.2.1", 401), ("192.0.2.1", 401), ("2001:db8::1", 401)] {
        assert_eq!(from(&service, address, &user()).await.status, expected, "{address}");
    }
    for n in 0..4 {
        let status = from(&service, &format!("2001:db8::{n}"), &user()).await.status;
        assert_eq!(status, if n < 3 { 401 } else { 429 }, "one network is one address");
    }
    // What succeeds is not counted.
    for _ in 0..6 {
        assert_eq!(from(&service, "192.0.2.9", &known).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_given_back_after_the_time_in_retry_after() {
    let service = limited(1, 100, "2s").await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let wrong = with_password(&user, "wrong horse");
    assert_eq!(service.client.post("/auth/login", &wrong).await.status, 401);
    let refused = service.client.post("/auth/login", &user).await;
    if refused.status == 429 {
        let seconds: u64 = refused.header("retry-after").parse().expect("a number");
        assert!((1..=2).contains(&seconds), "{seconds}");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    log_in(&service, &user).await;
}

/// A hash says what it cost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_hashed_anew_when_its_user_signs_in_and_the_cost_has_changed() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let user = user();
    let at_cost = async |iterations: u32| {
        let cost = "auth = { hash_memory = \"19MiB\", hash_iterations = ITERATIONS }";
        let cost = cost.replace("ITERATIONS", &iterations.to_string());
        Setup::of(&database).with(&cost).start().await
    };
    let kept = async || {
        let client = connect(&database.url).await;
        let ask = "select password_hash from users";
        client.query_one(ask, &[]).await.expect("one user").get::<_, String>(0)
    };
    let (cheap, dear) = (at_cost(2).await, at_cost(3).await);
    assert_eq!(cheap.client.post("/auth/register", &user).await.status, 201);
    let before = kept().await;
    assert!(before.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{before}");
    log_in(&cheap, &user).await;
    assert_eq!(kept().await, before, "the cost has not changed");
    let wrong = with_password(&user, "wrong horse");
    assert_eq!(dear.client.post("/auth/login", &wrong).await.status, 401);
    assert_eq!(kept().await, before, "nobody signed in");
    log_in(&dear, &user).await;
    let after = kept().await;
    assert!(after.starts_with("$argon2id$v=19$m=19456,t=3,p=1$"), "{after}");
    for service in [&dear, &cheap] {
        log_in(service, &user).await;
    }
}

/// Attempts that come at once are counted before any of them has failed.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_guesses_at_once_are_as_many_as_one_after_the_other() {
    let service = limited(5, 100, "10h").await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let wrong = with_password(&user, "wrong horse");
    let answers = join_all((0..20).map(|_| service.client.post("/auth/login", &wrong))).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(429)), (5, 15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_sign_ins_is_refused_in_part_and_hinders_no_reader() {
    let setup = setup(Backend::Sqlite, "database").await;
    let limits = "auth = { failures = 1000, failures_per_address = 1000, hashes_at_once = 1, hash_wait = \"1ms\", hash_memory = \"64MiB\", hash_iterations = 2 }";
    let service = setup.with(limits).start().await;
    let flood =
        join_all((0..20).map(|_| async { service.client.post("/auth/login", &user()).await }));
    let reads = join_all((0..20).map(|_| service.client.get("/products/pooled?limit=1")));
    let (answers, reads) = futures_util::future::join(flood, reads).await;
    assert!(reads.iter().all(|read| read.status == 200));
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer.problem(), "saturated");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert!(answers.iter().all(|answer| [401, 503].contains(&answer.status.as_u16())));
    assert!(answers.iter().any(|answer| answer.status == 401), "one is always hashed");
}
