//! Every query of the dashboard and of the rules, put to a real Prometheus, has an answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dashboard::{dashboard, panels, queries, selectors, text};
use super::rules::rules;
use super::stack::Stack;

/// What Grafana puts in for its variables.
fn filled_in(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "15s")
        .replace("$instance", ".*")
        .replace("$strategy", ".*")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_the_dashboard_and_the_rules_has_an_answer() {
    let stack = Stack::start().await;
    let api = stack.api;
    let load = tokio::spawn(async move {
        for n in 0.. {
            for strategy in ["direct", "pooled", "cached", "subject"] {
                let path = format!("/strategies/{strategy}/products?limit={}", 1 + n % 5);
                api.get(&path).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let dashboard = dashboard();
    let mut waiting: BTreeSet<String> =
        panels(&dashboard).flat_map(queries).map(filled_in).collect();
    for list in dashboard["templating"]["list"].as_array().expect("a list") {
        // label_values(selector, label)
        let query = text(list, "definition").trim_start_matches("label_values(");
        waiting.insert(query.split(", ").next().expect("a selector").to_owned());
    }
    for rule in rules() {
        let expression = rule["expr"].as_str().expect("a text");
        match rule.get("record") {
            Some(name) => {
                waiting.insert(expression.to_owned());
                waiting.insert(name.as_str().expect("a text").to_owned());
            }
            // An alert has an answer when it fires; what it is made from must always have one.
            None => waiting.extend(selectors(expression)),
        }
    }
    let all = waiting.len();
    assert!(all > 100, "{all} queries");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !waiting.is_empty() {
        let mut without = BTreeSet::new();
        for query in &waiting {
            let is_figure = |series: &Value| {
                series["value"][1].as_str().is_some_and(|value| !["NaN", "+Inf"].contains(&value))
            };
            if !stack.query(query).await.iter().any(is_figure) {
                without.insert(query.clone());
            }
        }
        assert!(without.is_empty() || Instant::now() < deadline, "no answer to {without:#?}");
        waiting = without;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    load.abort();
    println!("{all} queries have an answer");
    // No replica is ill, so no alert of health fires.
    let firing = stack.query("ALERTS{alertstate=\"firing\",alertname!=\"PoolwiseLatency\"}").await;
    assert!(firing.is_empty(), "{firing:?}");
}
