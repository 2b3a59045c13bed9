//! scripts/cluster.sh: one service over a Galera cluster of two nodes and a Redis Cluster of three.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{
    Answer, Client, Dataset, FEW, Filter, Running, ServeCommand, Setup, folder, unique,
};

const STRATEGIES: [&str; 4] = ["direct", "pooled", "cached", "other-node"];

/// The servers, and the configuration that the script wrote for them.
struct Cluster {
    config: PathBuf,
    _script: Running,
}

impl Cluster {
    async fn start() -> Self {
        let place = folder().join(unique("cluster"));
        std::fs::create_dir(&place).expect("it can be made");
        let copied = place.join("poolwise.toml");
        // The name appears when all of the file is there.
        let copy =
            "cp \"$CLUSTER_CONFIG\" \"$1.new\" && mv \"$1.new\" \"$1\" && exec sleep infinity";
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/cluster.sh");
        let copied_to = copied.display().to_string();
        let arguments = ["--", "sh", "-c", copy, "sh", &copied_to];
        let running = Running::start(&place, script, &arguments);
        for _ in 0..1200 {
            if copied.exists() {
                return Self { config: copied, _script: running };
            }
            let lives = PathBuf::from(format!("/proc/{}/stat", running.pid())).exists();
            assert!(lives, "it has ended: {}", running.log());
            sleep(Duration::from_millis(100)).await;
        }
        panic!("it does not start: {}", running.log());
    }
}

async fn ask(client: Client, strategy: &str, query: &str) -> Answer {
    let answer = client.get(&format!("/strategies/{strategy}/products?{query}")).await;
    assert_eq!(answer.status, 200, "{strategy} {query}: {answer:?}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_strategy_answers_the_same_over_both_nodes_and_sees_what_was_written() {
    let cluster = Cluster::start().await;
    let rows = format!("seed.rows = {FEW}\nserver.wait_for = \"30s\"\n");
    let setup = Setup::bare().with_file(cluster.config.clone()).with(&rows);
    let service = ServeCommand::start(&setup, &[]);
    service.listens().await;
    service.becomes(200).await;
    let client = service.client;
    let none = Filter::default();
    for filter in [
        none,
        Filter { category: Some("electronics"), ..none },
        Filter { min_cents: Some(10_000), max_cents: Some(25_000), ..none },
        Filter { in_stock: Some(true), limit: Some(60), after: Some(900), ..none },
        Filter { category: Some("nothing"), ..none },
    ] {
        let expected = Dataset::of(FEW).answer(&filter);
        let mut tags = Vec::new();
        for turn in 0..2 {
            for strategy in STRATEGIES {
                let answer = ask(client, strategy, &filter.query()).await;
                assert!(answer.body == expected, "{strategy} {filter:?}, turn {turn}");
                tags.push(answer.header("etag").to_owned());
            }
        }
        tags.dedup();
        assert_eq!(tags.len(), 1, "{tags:?}");
    }
    let hit = ask(client, "cached", "category=electronics").await;
    assert_eq!(hit.cache(), "hit", "{}", service.log());

    let bearer = format!("Bearer {}", client.sign_in(&unique("writer"), "correct horse").await);
    let json_type = ("content-type", "application/json");
    let headers = [("authorization", &*bearer), json_type, ("if-match", "*")];
    for stock in [70, 30] {
        let body = json!({ "stock": stock }).to_string();
        let patched = client.send_body(Method::PATCH, "/products/2", &headers, body.into()).await;
        assert_eq!(patched.status, 200, "{patched:?}");
        for strategy in STRATEGIES {
            let seen = ask(client, strategy, "after=1&limit=1").await;
            assert_eq!(seen.json()[0]["stock"], stock, "{strategy}");
        }
    }
    let order = json!({ "lines": [{ "product_id": 2, "quantity": 7 }] });
    let headers = [("authorization", &*bearer), json_type];
    let body = order.to_string();
    let placed = client.send_body(Method::POST, "/orders", &headers, body.into()).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    for strategy in STRATEGIES {
        let seen = ask(client, strategy, "after=1&limit=1").await;
        assert_eq!(seen.json()[0]["stock"], 23, "{strategy}");
    }
}
