//! What gets in the way of a write: clients that leave, connections that are killed, transactions that lose.

use std::time::Duration;

use hyper::Method;
use rstest::rstest;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_postgres::Client;

use super::{Shop, order, refused};
use crate::harness::{Answer, Backend, Database, FEW, Postgres, connect};

/// A shop, and somebody who has the first product locked until told to let go.
async fn locked(backend: Backend) -> (Shop, Client) {
    let shop = Shop::open(backend).await;
    let holder = Postgres::shared().client(shop.database.name()).await;
    holder.batch_execute("begin; select id from products where id = 1 for update").await.unwrap();
    (shop, holder)
}

/// Waits until somebody waits for a lock.
async fn somebody_waits(database: &str) {
    let client = Postgres::shared().client(database).await;
    let waits = "select count(*) from pg_stat_activity where datname = current_database() \
        and wait_event_type = 'Lock'";
    for _ in 0..3000 {
        if client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits for a lock");
}

/// Ends the connections that a condition on pg_stat_activity picks.
async fn kill(database: &str, which: &str) {
    let client = connect(&Postgres::shared().url(database)).await;
    let kill = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
         and pid <> pg_backend_pid() and {which}"
    );
    let killed = client.query(&kill, &[]).await.unwrap();
    assert!(!killed.is_empty(), "nobody is there to be killed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_before_the_commit_costs_another_attempt(
    #[values(Backend::Postgres, Backend::PgBouncer)] backend: Backend,
) {
    let (shop, holder) = locked(backend).await;
    let name = shop.database.name().to_owned();
    let change = json!({ "stock": 4321 });
    let writing = shop.patch(1, "*", &change);
    let meddling = async {
        somebody_waits(&name).await;
        kill(&name, "wait_event_type = 'Lock'").await;
        holder.batch_execute("commit").await.unwrap();
    };
    let (answer, ()) = tokio::join!(writing, meddling);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(shop.stock(1).await, 4321);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_does_not_stop_its_write() {
    let (shop, holder) = locked(Backend::Postgres).await;
    let version = || shop.service.state.versions.current(&poolwise::store::Tag::All);
    let before = version();
    let body = r#"{"stock":4321}"#;
    let head = format!(
        "PATCH /products/1 HTTP/1.1\r\nhost: test\r\nif-match: *\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        shop.token,
        body.len()
    );
    let mut client = TcpStream::connect(shop.service.client.0).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    somebody_waits(shop.database.name()).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(300)).await;
    holder.batch_execute("commit").await.unwrap();
    crate::harness::eventually("the write is told to caches", || version() > before).await;
    assert_eq!(shop.stock(1).await, 4321);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_in_the_commit_leaves_it_open_and_a_repeat_tells() {
    let shop = Shop::open(Backend::Postgres).await;
    let name = shop.database.name().to_owned();
    shop.restock(1, 10).await;
    let admin = Postgres::shared().client(&name).await;
    admin
        .batch_execute(
            "create function wait() returns trigger language plpgsql as \
             $$ begin perform pg_sleep(60); return null; end $$; \
             create constraint trigger slow after insert on orders deferrable initially deferred \
             for each row execute function wait()",
        )
        .await
        .unwrap();
    let version = || shop.service.state.versions.current(&poolwise::store::Tag::All);
    let before = version();
    let wanted = order(&[(1, 4)]);
    let meddling = async {
        let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' \
            and datname = current_database()";
        while admin.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill(&name, "wait_event = 'PgSleep'").await;
    };
    let (answer, ()) = tokio::join!(shop.post_as("k", "/orders", &wanted), meddling);
    assert_eq!(refused(&answer), (503, "unknown-outcome".into()));
    assert!(version() > before, "it may have taken place");
    admin.batch_execute("drop trigger slow on orders").await.unwrap();
    let again = shop.post_as("k", "/orders", &wanted).await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(shop.post_as("k", "/orders", &wanted).await.body, again.body);
    assert_eq!(shop.stock(1).await, 6, "it took place once");
}

#[rstest]
#[case(2, 201)]
#[case(1000, 503)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_loses_is_tried_again_a_few_times(
    #[case] losses: u32,
    #[case] status: u16,
    #[values("40001", "40P01")] state: &str,
) {
    let shop = Shop::open(Backend::Postgres).await;
    shop.restock(1, 10).await;
    let admin = Postgres::shared().client(shop.database.name()).await;
    // A sequence counts on in transactions that are rolled back.
    let lose = format!(
        "create sequence tries; create function lose() returns trigger language plpgsql as \
         $$ begin if nextval('tries') <= {losses} then raise exception 'lost' using errcode = '{state}'; \
         end if; return new; end $$; \
         create trigger lose before insert on orders for each row execute function lose()"
    );
    admin.batch_execute(&lose).await.unwrap();
    let answer = shop.post("/orders", &order(&[(1, 4)])).await;
    assert_eq!(answer.status, status, "{answer:?}");
    let tries = "select last_value from tries";
    let tries: i64 = admin.query_one(tries, &[]).await.unwrap().get(0);
    if status == 201 {
        assert_eq!((tries, shop.stock(1).await), (3, 6));
    } else {
        assert_eq!((tries, &*answer.problem()), (4, "conflict"));
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(shop.stock(1).await, 10, "nothing is half-written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_too_long_is_given_up_and_undone() {
    let database = crate::harness::Database::scratch(Backend::Postgres, crate::harness::FEW).await;
    let shop = Shop::over(database, "server.request_timeout = \"5s\"").await;
    let holder = Postgres::shared().client(shop.database.name()).await;
    holder.batch_execute("begin; select id from products where id = 1 for update").await.unwrap();
    let answer = shop.patch(1, "*", &json!({ "stock": 4321 })).await;
    assert_eq!(refused(&answer), (504, "timeout".into()));
    holder.batch_execute("commit").await.unwrap();
    assert_ne!(shop.stock(1).await, 4321);
    let idle = shop.ask(Method::PATCH, "/products/1", &[("if-match", "*")], r#"{"stock":1}"#).await;
    assert_eq!(idle.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_a_late_commit_took_effect_is_not_kept() {
    let server = Postgres::start();
    let database = Database::on(&server, FEW).await;
    let admin = server.client(database.name()).await;
    let durable = format!("alter database {:?} set synchronous_commit = on", database.name());
    admin.batch_execute(&durable).await.unwrap();
    let name = database.name().to_owned();
    let shop = Shop::over(database, "server.request_timeout = \"6s\"").await;
    // Nobody sees a commit before a replica that is not there has it, or somebody gives up waiting.
    admin.batch_execute("alter system set synchronous_standby_names = 'nobody'").await.unwrap();
    admin.batch_execute("select pg_reload_conf()").await.unwrap();
    let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    let waiting = || async { admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) };
    // The server reloads in its own time: until then nobody waits.
    let other = server.client(&name).await;
    let committing = tokio::spawn(async move {
        while other.batch_execute("create table other (); drop table other").await.is_ok() {}
    });
    while waiting().await == 0 {
        assert!(!committing.is_finished(), "it can commit");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let end = waits.replace("count(*)", "pg_terminate_backend(pid)");
    admin.query(&end, &[]).await.unwrap();
    committing.await.unwrap();
    while waiting().await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let client = shop.service.client;
    let list = "/products/cached?limit=1";
    let stock = |answer: &Answer| answer.json()[0]["stock"].as_i64().expect("a number");
    let change = json!({ "stock": 4321 });
    let mut writing = std::pin::pin!(shop.patch(1, "*", &change));
    let readers = (0..4).map(|_| {
        tokio::spawn(async move {
            loop {
                client.get(list).await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let answer = loop {
        tokio::select! {
            answer = &mut writing => break answer,
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    };
    assert_eq!(refused(&answer), (503, "unknown-outcome".into()));
    for _ in 0..1500 {
        if waiting().await == 0 && stock(&client.get(list).await) == 4321 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stock(&client.get("/products/direct?limit=1").await), 4321, "it did take place");
    assert_eq!(stock(&client.get(list).await), 4321);
    readers.iter().for_each(|reader| reader.abort());
}
