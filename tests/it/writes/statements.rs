//! How many statements a request costs, as the server counts them, and what none of them may say.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Shop, order};
use crate::harness::{Backend, Database, FEW, Postgres};

/// What the server has run of ours since it was last asked, by the first word, the table and how often.
async fn counted(client: &tokio_postgres::Client) -> BTreeMap<String, i64> {
    let rows = "select query, calls from pg_stat_statements where query !~ 'pg_stat|sign_ins|users|health'";
    let rows = client.query(rows, &[]).await.expect("the extension is there");
    client.batch_execute("select pg_stat_statements_reset()").await.expect("a superuser may");
    let ours = rows.iter().map(|row| (row.get::<_, String>(0), row.get(1)));
    ours.filter(|(text, _)| {
        ["orders", "products", "begin", "commit"].iter().any(|word| text.contains(word))
    })
    .map(|(text, calls)| (text.split_whitespace().take(3).collect::<Vec<_>>().join(" "), calls))
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_two_statements_and_its_transaction_and_reading_is_one() {
    let server = Postgres::counting_statements();
    let database = Database::on(&server, FEW).await;
    let client = server.client(database.name()).await;
    client.batch_execute("create extension pg_stat_statements").await.expect("contrib is there");
    let shop = Shop::over(database, "").await;
    let expected = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs.iter().map(|(text, calls)| ((*text).to_owned(), *calls)).collect()
    };
    for id in 1..=100 {
        shop.restock(id, 100).await;
    }
    let mut last = String::new();
    for lines in [1, 7, 100] {
        counted(&client).await;
        let lines: Vec<(i64, i64)> = (1..=lines).map(|id| (id, 1)).collect();
        let placed = shop.post("/orders", &order(&lines)).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        let found = counted(&client).await;
        let order = [("begin", 1), ("select id, sku,", 1), ("with line as", 1), ("commit", 1)];
        assert_eq!(found, expected(&order));
        last = placed.header("location").to_owned();
    }
    assert_eq!(shop.get("/orders").await.status, 200);
    counted(&client).await;
    assert_eq!(shop.get(&last).await.json()["lines"].as_array().map(Vec::len), Some(100));
    assert_eq!(counted(&client).await, expected(&[("select o.id, o.total,", 1)]));
    assert_eq!(shop.get("/orders?limit=3").await.status, 200);
    assert_eq!(counted(&client).await, expected(&[("select id, total,", 1)]));
    shop.service.client.get("/categories").await;
    shop.service.client.get("/categories").await;
    assert_eq!(counted(&client).await, expected(&[("select category, count(*)", 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_foreign_key_and_the_dates_have_an_index() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let client = crate::harness::connect(&database.url).await;
    let without = "select conrelid::regclass::text || ' ' || conname from pg_constraint c \
        where contype = 'f' and not exists (select from pg_index i where i.indrelid = c.conrelid \
        and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)";
    let rows = client.query(without, &[]).await.expect("it is asked");
    let named: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(named, Vec::<String>::new());
    let foreign = "select count(*) from pg_constraint where contype = 'f'";
    assert!(client.query_one(foreign, &[]).await.expect("it is asked").get::<_, i64>(0) >= 3);
    client
        .batch_execute(
            "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off",
        )
        .await
        .expect("it may");
    for text in [
        "select id, total, line_count, created_at from orders where user_id = 1 order by created_at desc, id desc limit 20",
        "select id, total, line_count, created_at from orders where user_id = 1 and (created_at, id) < (now(), 7) order by created_at desc, id desc limit 20",
    ] {
        let plan = client.query(&format!("explain {text}"), &[]).await.expect(text);
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("orders_user_created") && !plan.contains("Sort"), "{plan}");
    }
}

#[test]
fn no_statement_asks_for_columns_that_it_does_not_name() {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut texts = 0;
    for folder in std::fs::read_dir(sql).expect("it is there").flatten() {
        for file in std::fs::read_dir(folder.path()).expect("it is a folder").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("it is UTF-8").to_lowercase();
            let words: Vec<&str> = text.split_whitespace().collect();
            let all = words.windows(2).any(|pair| pair[0] == "select" && pair[1].starts_with('*'));
            assert!(!all && !text.contains(".*"), "{}", file.path().display());
            texts += 1;
        }
    }
    assert!(texts >= 15, "{texts}");
}
