//! Every statement that can be composed uses an index, even under a generic plan.

use poolwise::query::ProductQuery;
use poolwise::store::backend::postgres_statement;

use crate::harness::{Backend, Database, Filter, MANY, connect};

/// Every set of parameters that can be present.
fn every_set() -> Vec<Filter> {
    let mut sets = vec![Filter::default()];
    let mut either = |choices: &[fn(&mut Filter)]| {
        let without = sets.clone();
        for choice in choices {
            sets.extend(without.iter().map(|filter| {
                let mut filter = *filter;
                choice(&mut filter);
                filter
            }));
        }
    };
    either(&[|filter| filter.category = Some("electronics")]);
    either(&[|filter| filter.min_cents = Some(1_000)]);
    either(&[|filter| filter.max_cents = Some(2_000)]);
    either(&[|filter| filter.in_stock = Some(true), |filter| filter.in_stock = Some(false)]);
    either(&[|filter| filter.limit = Some(100)]);
    either(&[|filter| filter.offset = Some(50), |filter| filter.after = Some(1_000)]);
    sets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_with_a_filter_or_a_limit_uses_an_index() {
    let database = Database::shared(Backend::Postgres, MANY);
    let client = connect(&database.url).await;
    client.batch_execute("set plan_cache_mode = force_generic_plan").await.expect("it can be set");
    let sets = every_set();
    assert_eq!(sets.len(), 2 * 2 * 2 * 3 * 2 * 3);
    let mut without = Vec::new();
    for filter in &sets {
        let query = ProductQuery::from_pairs(filter.pairs()).expect("the set is valid");
        let text = postgres_statement(&query);
        client.batch_execute(&format!("prepare composed as {text}")).await.expect(&text);
        let values: Vec<String> = bound(filter).iter().map(|value| format!("'{value}'")).collect();
        let arguments =
            if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
        let explain = format!("explain execute composed{arguments}");
        let plan = client.query(&explain, &[]).await.expect(&explain);
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        client.batch_execute("deallocate composed").await.expect("it was prepared");
        if plan.contains("Seq Scan") && !filter.pairs().is_empty() {
            without.push(format!("{}\n{text}\n{plan}", filter.query()));
        }
    }
    let count = without.len();
    assert!(without.is_empty(), "{count} statements scan the table:\n{}", without.join("\n\n"));
}

/// The values in the order of their placeholders: as documented, but `in_stock` is in the text and
/// `after` is a condition, before the limit.
fn bound(filter: &Filter) -> Vec<String> {
    let mut pairs = filter.pairs();
    pairs.retain(|(name, _)| *name != "in_stock");
    pairs.sort_by_key(|(name, _)| {
        let order = ["category", "min_price", "max_price", "after", "limit", "offset"];
        order.iter().position(|known| known == name)
    });
    pairs.into_iter().map(|(_, value)| value).collect()
}

/// The text with values in place of its placeholders, as MySQL plans it when it is executed.
#[cfg(feature = "mysql")]
fn with_values(text: &str, filter: &Filter) -> String {
    let mut values = bound(filter).into_iter();
    let mut parts = text.split('?');
    let mut filled = parts.next().expect("a text has a begin").to_owned();
    for part in parts {
        let value = values.next().expect("each placeholder has a value");
        // Amounts are bound in cents.
        let number = value.replace('.', "").parse::<i64>();
        filled.push_str(&number.map_or(format!("'{value}'"), |number| number.to_string()));
        filled.push_str(part);
    }
    assert_eq!(values.next(), None, "each value has a placeholder");
    filled
}

#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_uses_an_index_of_mariadb_as_well() {
    use mysql_async::prelude::Queryable;
    use poolwise::store::backend::mysql_statement;
    let database = Database::shared(Backend::MariaDb, MANY);
    let mut client = crate::harness::mariadb::connect(&database.url).await;
    let mut without = Vec::new();
    let mut keys = std::collections::BTreeSet::new();
    for filter in every_set() {
        let query = ProductQuery::from_pairs(filter.pairs()).expect("the set is valid");
        let text = with_values(&mysql_statement(&query), &filter);
        let explained: Vec<mysql_async::Row> =
            client.query(format!("explain {text}")).await.expect(&text);
        let column = |name: &str| explained[0].get::<Option<String>, _>(name).flatten();
        match (column("type").as_deref(), column("key")) {
            (Some("ALL") | None, _) | (_, None) => {
                without.push(format!("{}\n{text}", filter.query()))
            }
            (_, Some(key)) => keys.extend(key.split(',').map(str::to_owned)),
        }
    }
    let count = without.len();
    assert!(without.is_empty(), "{count} statements scan the table:\n{}", without.join("\n\n"));
    for key in ["PRIMARY", "products_category_id", "products_price", "products_stock"] {
        assert!(keys.contains(key), "{key} is never used: {keys:?}");
    }
}
