//! What is kept of sign-ins has a bound, and many who sign in at once do not get in each other's way.

use futures_util::future::join_all;
use rstest::rstest;

use super::*;
#[cfg(feature = "mysql")]
use crate::harness::MariaDb;
use crate::harness::connect;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_too_many_sign_ins_of_a_user_the_one_used_longest_ago_ends(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let service = setup(backend, store).await.with("auth.sign_ins_per_user = 3").start().await;
    let (user, other) = (user(), signed_in(&service).await.0);
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let (first, token) = log_in(&service, &user).await;
    let (second, _) = log_in(&service, &user).await;
    let (third, _) = log_in(&service, &user).await;
    assert_eq!(refresh(&service, &token).await.status, 200, "the first one is used again");
    let (fourth, _) = log_in(&service, &user).await;
    assert_eq!(problem(&log_out(&service, &second).await), unauthorized());
    // Those that have ended do not count, however many.
    for access in [third, fourth] {
        assert_eq!(log_out(&service, &access).await.status, 204);
        for _ in 0..3 {
            let (access, token) = log_in(&service, &user).await;
            assert_eq!(refresh(&service, &token).await.status, 200);
            assert_eq!(log_out(&service, &access).await.status, 204);
        }
    }
    // Nor do those that ended because a token came twice.
    for _ in 0..4 {
        let (_, token) = log_in(&service, &user).await;
        assert_eq!(refresh(&service, &token).await.status, 200);
        assert_eq!(problem(&refresh(&service, &token).await), unauthorized());
    }
    assert_eq!(log_out(&service, &first).await.status, 204);
    assert_eq!(log_out(&service, &other).await.status, 204, "another user's count is another");
}

/// Runs a statement past the service.
async fn run(database: &Database, sql: &str) {
    match database.backend {
        Backend::Sqlite => sqlite(database).execute_batch(sql).expect(sql),
        #[cfg(feature = "mysql")]
        Backend::MariaDb => MariaDb::shared().run(database.name(), sql).await,
        _ => connect(&database.url).await.batch_execute(sql).await.expect(sql),
    }
}

/// Sign-ins, expired or not.
async fn kept(database: &Database) -> i64 {
    let count = "select count(*) from sign_ins";
    match database.backend {
        Backend::Sqlite => {
            sqlite(database).query_row(count, [], |row| row.get(0)).expect("it is there")
        }
        #[cfg(feature = "mysql")]
        Backend::MariaDb => {
            use mysql_async::prelude::Queryable;
            let mut root = MariaDb::shared().root(database.name()).await;
            let count = root.query_first(count).await.expect("it is there");
            root.disconnect().await.expect("it says goodbye");
            count.expect("one row")
        }
        _ => connect(&database.url).await.query_one(count, &[]).await.expect("one row").get(0),
    }
}

fn sqlite(database: &Database) -> rusqlite::Connection {
    let path = database.url.trim_start_matches("sqlite:");
    let connection = rusqlite::Connection::open(path).expect("the file is there");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("it can be set");
    connection
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_sign_ins_of_people_who_never_come_back_are_deleted(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let database = Database::scratch(backend, FEW).await;
    let service = Setup::of(&database).start().await;
    let gone = service.client.post("/auth/register", &user()).await.json()["id"].clone();
    // More than are deleted at a time.
    let rows = match backend {
        Backend::Sqlite => format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1200) \
             insert into sign_ins select 'x' || i, {gone}, 'h', 1000000 * i from n"
        ),
        Backend::MariaDb => format!(
            "insert into sign_ins select concat('x', seq), {gone}, 'h', \
             '2020-01-01' + interval seq second from seq_1_to_1200"
        ),
        _ => format!(
            "insert into sign_ins select 'x' || n, {gone}, 'h', now() - interval '1 s' * n \
             from generate_series(1, 1200) n"
        ),
    };
    run(&database, &rows).await;
    assert_eq!(kept(&database).await, 1200);
    let (access, _) = signed_in(&service).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while kept(&database).await != 1 {
        assert!(std::time::Instant::now() < deadline, "{} are left", kept(&database).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(log_out(&service, &access).await.status, 204, "it is not the one that holds");
}

/// The hashes are cheap, as in all tests, so that the statements meet.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_people_sign_in_at_once(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let many = "auth = { hashes_at_once = 50, hash_wait = \"60s\" }\n\
        database = { pool_size = 16, wait_timeout = \"30s\", max_waiting = 0 }";
    let service = setup(backend, "database").await.with(many).start().await;
    let users: Vec<Value> = (0..50).map(|_| user()).collect();
    for path in ["/auth/register", "/auth/login", "/auth/login", "/auth/login"] {
        let all = users.iter().map(|user| service.client.post(path, user));
        for answer in join_all(all).await {
            assert!([200, 201].contains(&answer.status.as_u16()), "{path}: {answer:?}");
        }
    }
}
