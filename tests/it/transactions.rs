//! Statements that hold together, on every backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poolwise::store::access::Transaction;
use poolwise::store::backend::{Bind, Command, Datum, KINDS};
use poolwise::store::{ErrorKind, RequestContext, Strategy};
use rstest::rstest;

use crate::harness::{Backend, Database, FEW, Service, Setup};

const WRITERS: i64 = 20;
const TURNS: i64 = 5;

fn context() -> RequestContext {
    let deadline = Instant::now() + Duration::from_secs(30);
    RequestContext { request_id: "test".into(), deadline, coding: None }
}

async fn begin(strategy: &Strategy) -> Transaction {
    let lease = strategy.access.lease(&context()).await.expect("a connection comes free");
    Transaction::begin(lease).await.expect("a transaction begins")
}

async fn stock(transaction: &mut Transaction) -> i64 {
    let lock = Command { name: "lock_product", binds: &[Bind::Int(1)], columns: &KINDS };
    let done = transaction.run(&lock).await.expect("the product is there");
    match done.rows[0][5] {
        Datum::Int(stock) => stock,
        ref other => panic!("{other:?}"),
    }
}

async fn set_stock(transaction: &mut Transaction, stock: i64) {
    let binds = [Bind::Int(stock), Bind::Timestamp(1_700_000_000_000_001), Bind::Int(1)];
    let set = Command { name: "set_stock", binds: &binds, columns: &[] };
    assert_eq!(transaction.run(&set).await.expect("it may").affected, 1);
}

async fn service(backend: Backend, access: &str) -> (Service, Arc<Strategy>) {
    let database = Database::scratch(backend, FEW).await;
    let setup = Setup::of(&database).with("database.wait_timeout = \"30s\"");
    let service = setup.subject(access, "\"none\"").start().await;
    let strategy = service.strategy("subject");
    (service, strategy)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_between_reading_and_writing(
    #[values("\"direct\"", "{ kind = \"pool\", size = 4 }")] access: &str,
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let (service, strategy) = service(backend, access).await;
    let before = stock(&mut begin(&strategy).await).await;
    let writer = || async {
        for _ in 0..TURNS {
            let mut transaction = begin(&strategy).await;
            let now = stock(&mut transaction).await;
            set_stock(&mut transaction, now + 1).await;
            transaction.commit().await.expect("it holds");
        }
    };
    join_all((0..WRITERS).map(|_| writer())).await;
    let product: serde_json::Value = service.client.get("/products/1").await.json();
    assert_eq!(product["stock"], before + WRITERS * TURNS);
    assert_eq!(product["updated_at"], "2023-11-14T22:13:20.000001Z");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_committed_never_happened(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
    #[values(true, false)] rolled_back: bool,
) {
    if backend.is_absent() {
        return;
    }
    let (_service, strategy) = service(backend, "{ kind = \"pool\", size = 1 }").await;
    let mut transaction = begin(&strategy).await;
    let before = stock(&mut transaction).await;
    set_stock(&mut transaction, before + 7).await;
    if rolled_back {
        transaction.roll_back().await;
        assert_eq!(strategy.meter.access.closed.get(), 0, "the connection can be used again");
    } else {
        drop(transaction);
    }
    assert_eq!(stock(&mut begin(&strategy).await).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_a_transaction_has_its_limit_of_time_too() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let setup = Setup::of(&database).with("database.statement_timeout = \"300ms\"");
    let service = setup.subject("{ kind = \"pool\", size = 2 }", "\"none\"").start().await;
    let strategy = service.strategy("subject");
    let mut holder = begin(&strategy).await;
    stock(&mut holder).await;
    let mut waiter = begin(&strategy).await;
    let lock = Command { name: "lock_product", binds: &[Bind::Int(1)], columns: &KINDS };
    let error = waiter.run(&lock).await.expect_err("the row is locked");
    assert_eq!(error.kind(), ErrorKind::StatementTimeout);
    waiter.roll_back().await;
    holder.commit().await.expect("it holds");
    assert_eq!(strategy.meter.access.closed.get(), 0);
}
