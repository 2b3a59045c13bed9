//! A strategy whose database is a streaming replica of the others'.

use std::time::Duration;

use rstest::rstest;
use tokio::sync::OnceCell;

use super::at;
use crate::harness::{Dataset, MANY, Postgres, Proxy, Setup, eventually, subject, unique};

/// The database with the small data set that [`pair`] has.
pub(super) const DATABASE: &str = "replicated";

/// A primary and its replica, with the small data set in [`DATABASE`].
pub(super) async fn pair() -> (&'static Postgres, &'static Postgres) {
    static PAIR: OnceCell<(Postgres, Postgres)> = OnceCell::const_new();
    let make = async || {
        let primary = Postgres::start();
        let url = primary.create(DATABASE).await;
        drop(Setup::of(&at(url)).with("seed = { auto = true, rows = 2000 }").start().await);
        let replica = primary.replica();
        (primary, replica)
    };
    let (primary, replica) = PAIR.get_or_init(make).await;
    (primary, replica)
}

/// A service over a database of the primary, with the strategy `subject` over the replica's.
fn setup(primary: &str, replica: &str) -> Setup {
    Setup::of(&at(primary.to_owned())).with(&format!(
        "strategies.subject = {{ access = \"pool\", cache = \"none\", database_url = \"{replica}\" }}"
    ))
}

/// Waits until the replica has all that the primary has now.
async fn caught_up(primary: &Postgres, replica: &Postgres) {
    let client = primary.client("postgres").await;
    let row = client.query_one("select pg_current_wal_insert_lsn()::text", &[]).await;
    let now: String = row.expect("a superuser may look").get(0);
    let passed = format!("pg_last_wal_replay_lsn() >= '{now}'");
    for _ in 0..600 {
        if replica.flag(&passed).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the replica never caught up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_run_there_and_see_what_was_written_here() {
    let (primary, replica) = pair().await;
    let database = unique("written");
    primary.create(&database).await;
    caught_up(primary, replica).await;
    let application = unique("replica");
    let with_name =
        |server: &Postgres| format!("{}?application_name={application}", server.url(&database));
    // The replica has the table a moment after it was made, and that is soon enough.
    let setup = setup(&primary.url(&database), &with_name(replica));
    let service = setup.with("seed = { auto = true, rows = 2000 }").start().await;
    // A pool of two, and one for the state of health.
    super::until_connections(replica, &application, 3).await;
    assert_eq!(super::connections(primary, &application).await.0, 0);
    let set = "update products set stock = 987654 where id = 7";
    let client = primary.client(&database).await;
    client.batch_execute(set).await.expect("the primary takes it");
    caught_up(primary, replica).await;
    for path in ["/strategies/subject/products?limit=7", "/products/pooled?limit=7"] {
        assert_eq!(service.client.get(path).await.json()[6]["stock"], 987_654, "{path}");
    }
    // The statement itself, as the server there saw it.
    let ran = "exists (select from pg_stat_activity where query like 'select id, sku%' \
        and application_name = 'NAME') and pg_is_in_recovery()";
    assert!(replica.flag(&ran.replace("NAME", &application)).await);
}

/// Each strategy's connections are drawn from the limit of its own server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sum_of_connections_is_of_each_server() {
    let (primary, replica) = pair().await;
    let service = setup(&primary.url(DATABASE), &replica.url(DATABASE)).start().await;
    let strategies = service.state.strategies.load();
    let sums: Vec<&str> = strategies.connection_sum.iter().map(|sum| sum.text.as_str()).collect();
    assert_eq!(sums.len(), 2, "{sums:?}");
    for (server, pools) in [(primary, 4), (replica, 2)] {
        let port = server.port.to_string();
        let sum = sums.iter().find(|sum| sum.contains(&port)).expect("each has a sum");
        assert!(sum.contains(&format!("- {pools} in pools")), "{sum}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_strategy_is_looked_at_and_never_filled() {
    let (primary, replica) = pair().await;
    let empty = unique("empty");
    primary.create(&empty).await;
    caught_up(primary, replica).await;
    let auto = "seed = { auto = true, rows = 2000 }";
    for server in [primary, replica] {
        let setup = setup(&primary.url(DATABASE), &server.url(&empty)).with(auto);
        let why = setup.refused().await;
        for part in ["`strategies.subject.database_url`", "no table `products`", "poolwise seed"] {
            assert!(why.contains(part), "{part} in {why}");
        }
    }
    let client = primary.client(&empty).await;
    let row = client.query_one("select to_regclass('products') is null", &[]).await;
    assert!(row.expect("it answers").get::<_, bool>(0), "nothing was made");
    let nowhere = setup(&primary.url(DATABASE), &replica.url("nowhere")).refused().await;
    assert!(nowhere.contains("`strategies.subject.database_url`"), "{nowhere}");
    assert!(nowhere.contains("\"nowhere\" does not exist"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_a_replica_says_where_to_seed() {
    let (_, replica) = pair().await;
    let setup = Setup::of(&at(replica.url("postgres"))).with("seed.auto = true");
    let why = setup.refused().await;
    assert!(why.contains("`database.url`") && why.contains("connect to the primary"), "{why}");
}

/// Rows that a statement on the replica still needs are vacuumed away on the primary, while the answer is
/// held up half-way. What the client got, and how often a connection was leased for it.
async fn answer_during_vacuum(buffered: bool) -> (Result<Vec<u8>, Vec<u8>>, u64) {
    let (primary, replica) = pair().await;
    let database = unique("conflict");
    let url = primary.create(&database).await;
    drop(Setup::of(&at(url)).with("seed = { auto = true, rows = 60000 }").start().await);
    caught_up(primary, replica).await;
    let proxy = Proxy::to(replica.port).await;
    let there = format!("postgres://poolwise@127.0.0.1:{}/{database}", proxy.port);
    let setup = setup(&primary.url(&database), &there);
    let service = if buffered { setup.buffering() } else { setup.streaming() }.start().await;
    let client = service.client;
    let asking = tokio::spawn(async move {
        let answer = client.read_slowly(&subject("")).await;
        assert_eq!(answer.response.status(), 200);
        answer.read_to_end().await
    });
    eventually("half the rows are here", || proxy.is_holding()).await;
    let writer = primary.client(&database).await;
    for sql in ["update products set stock = stock", "vacuum products"] {
        writer.batch_execute(sql).await.expect(sql);
    }
    // It wants the statement to end. A server that waits for its client does not hear that.
    let conflict = "exists (select from pg_stat_activity where backend_type = 'startup' \
        and wait_event = 'RecoveryConflictSnapshot')";
    for _ in 0..100 {
        if replica.flag(conflict).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.go_on();
    let body = asking.await.expect("it does not panic");
    eventually("the connection came back", || service.gauges().in_use == 0).await;
    (body.map_err(|broken| broken.0), service.leases())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ended_by_recovery_is_tried_again(#[values(true, false)] buffered: bool) {
    // The replica as a whole waits for the statement to end.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ONE_AT_A_TIME.lock().await;
    for _ in 0..3 {
        match answer_during_vacuum(buffered).await {
            // The statement was over before anybody minded.
            (Ok(_), 1) => {}
            (Ok(body), leases) => {
                assert!(buffered && body == Dataset::of(MANY).body());
                return assert_eq!(leases, 2, "it was tried again once");
            }
            (Err(came), leases) => {
                assert!(!buffered && Dataset::of(MANY).body().starts_with(&came));
                return assert_eq!(leases, 1, "what streams already breaks off");
            }
        }
    }
    panic!("the replica never ended the statement");
}

/// A replica is for reading, and the service only reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_alone_serves() {
    let (_, replica) = pair().await;
    let database = at(replica.url(DATABASE));
    let service = Setup::of(&database).subject("\"direct\"", "\"none\"").start().await;
    super::assert_serves(&service).await;
}
