//! SQLSTATE 40001 and 40P01: the statement lost against another, and is worth one more try.

use rstest::rstest;

use crate::harness::{Backend, Database, Dataset, FEW, Postgres, Service, Setup, connect, subject};

const DIRECT: &str = "{ kind = \"direct\", limit = 4 }";
const POOL: &str = "{ kind = \"pool\", size = 2 }";

/// Puts a view in the table's place that fails from row 50 on for as often as it is told.
const FLAKY: &str = "
    create sequence failed;
    create table trouble (times bigint, code text, first_id bigint);
    alter table products rename to calm;
    create function pass(id bigint) returns boolean language plpgsql volatile as $$
    declare t trouble;
    begin
        select * into t from trouble;
        if id >= t.first_id and nextval('failed') <= t.times then
            raise exception 'could not serialize access' using errcode = t.code;
        end if;
        return true;
    end $$;
    create view products as select * from calm where pass(id);
    insert into trouble values (0, '40001', 50);
";

struct Flaky {
    database: Database,
    client: tokio_postgres::Client,
}

impl Flaky {
    async fn new(backend: Backend) -> Self {
        let database = Database::scratch(backend, FEW).await;
        let client = Postgres::shared().client(database.name()).await;
        // In the order of the index: otherwise every row is looked at before the first is sent.
        let order = format!("alter database {} set enable_seqscan = off", database.name());
        client.batch_execute(&order).await.expect(&order);
        client.batch_execute(FLAKY).await.expect("the view is made");
        Self { database, client }
    }

    /// From now on it fails this often, with this code, once it gets to this row.
    async fn fails(&self, times: i64, code: &str, first_id: i64) {
        let run = format!(
            "alter sequence failed restart; \
             update trouble set times = {times}, code = '{code}', first_id = {first_id}"
        );
        self.client.batch_execute(&run).await.expect(&run);
    }

    /// How many statements failed or were counted as such since then.
    async fn counted(&self) -> i64 {
        let count = "select case when is_called then last_value else 0 end from failed";
        self.client.query_one(count, &[]).await.expect(count).get(0)
    }
}

fn leases(service: &Service) -> u64 {
    service.leases()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_lost_is_tried_again_once(
    #[values(Backend::Postgres, Backend::PgBouncer)] backend: Backend,
    #[values(DIRECT, POOL)] access: &str,
    #[values("40001", "40P01")] code: &str,
    #[values(true, false)] buffered: bool,
) {
    let flaky = Flaky::new(backend).await;
    let setup = Setup::of(&flaky.database).subject(access, "\"none\"");
    let service = if buffered { setup } else { setup.streaming() }.start().await;
    // A stream begins when its first row is there.
    flaky.fails(1, code, if buffered { 50 } else { 1 }).await;
    let before = leases(&service);
    let answer = service.subject("").await;
    assert!(answer.status == 200 && answer.body == Dataset::of(FEW).body(), "{}", answer.status);
    assert_eq!(leases(&service) - before, 2);
    assert!(flaky.counted().await > 1, "it failed, and then it was not the view that was calm");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_loses_twice_is_for_the_client_to_try_again(
    #[values(DIRECT, POOL)] access: &str,
    #[values("none", "memory")] cache: &str,
) {
    let flaky = Flaky::new(Backend::Postgres).await;
    let setup = Setup::of(&flaky.database).subject(access, &format!("{cache:?}"));
    let service = setup.start().await;
    flaky.fails(2, "40001", 50).await;
    let answer = service.subject("").await;
    assert_eq!((answer.status.as_u16(), &*answer.problem()), (503, "conflict"));
    assert_eq!(answer.header("retry-after"), "1");
    let body = String::from_utf8_lossy(&answer.body).to_lowercase();
    for word in ["serialize", "40001", "select", "postgres"] {
        assert!(!body.contains(word), "{word} in {body}");
    }
    assert_eq!(flaky.counted().await, 2, "it was tried twice and no more");
    let answer = service.subject("").await;
    assert!(answer.status == 200 && answer.body == Dataset::of(FEW).body());
}

/// The last row: by then most of the answer is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_streams_already_breaks_off() {
    let flaky = Flaky::new(Backend::Postgres).await;
    let setup = Setup::of(&flaky.database).subject(POOL, "\"none\"");
    let service = setup.streaming().start().await;
    flaky.fails(1, "40001", i64::try_from(FEW).expect("it is small")).await;
    let client = service.client.read_slowly(&subject("")).await;
    assert_eq!(client.response.status(), 200);
    let came = client.read_to_end().await.expect_err("the answer breaks off").0;
    assert!(Dataset::of(FEW).body().starts_with(&came));
    assert_eq!(leases(&service), 1, "it was not tried again");
    assert_eq!(flaky.counted().await, 1);
    assert_eq!(service.subject("").await.body, Dataset::of(FEW).body());
}

/// A cached plan does not outlive the shape of its table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_table_costs_no_request() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let service = Setup::of(&database).subject(POOL, "\"none\"").start().await;
    let client = connect(&database.url).await;
    for ty in ["bigint", "smallint", "integer"] {
        for _ in 0..4 {
            let answer = service.subject("limit=5").await;
            assert_eq!(answer.status, 200, "{ty}");
        }
        let alter = format!(
            "update products set stock = least(stock, 999); \
             alter table products alter column stock type {ty}"
        );
        client.batch_execute(&alter).await.expect("it is the owner's");
    }
    assert_eq!(service.subject("limit=5").await.status, 200);
}
