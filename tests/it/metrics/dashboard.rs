//! The dashboard: its shape, and that it asks for nothing that there is not.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

use super::documented::documented;
use super::read;
use super::rules::rules;

pub(super) fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/dashboards/poolwise.json")).expect("it is JSON")
}

pub(super) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().expect("a list").iter()
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

pub(super) fn queries(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().into_iter().flatten().map(|target| text(target, "expr"))
}

/// The names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let words = expression.split(|c| !is_part(c));
    words.filter(|word| word.contains('_') && !word.starts_with("__")).collect()
}

/// The metric that a series belongs to.
fn family(series: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    suffixes.iter().find_map(|suffix| series.strip_suffix(suffix)).unwrap_or(series)
}

#[test]
fn each_panel_says_what_it_shows_and_stands_beside_the_others() {
    let dashboard = dashboard();
    let source = read("deploy/grafana/provisioning/datasources/prometheus.yml");
    let mut taken = BTreeSet::new();
    let (mut ids, mut titles, mut rows) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title}: its id is taken");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{title} stands on another, or outside");
            }
        }
        if text(panel, "type") == "row" {
            assert!(rows.insert(title.to_owned()), "{title} is there twice");
            continue;
        }
        let kind = text(panel, "type");
        assert!(titles.insert((kind.to_owned(), title.to_owned())), "{title} is there twice");
        assert!(text(panel, "description").ends_with('.'), "{title} is not described");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{title} has no unit");
        assert!(queries(panel).next().is_some(), "{title} is empty");
        for target in panel["targets"].as_array().expect("a list") {
            assert!(!text(target, "legendFormat").is_empty(), "{title} has no legend");
            let uid = text(&target["datasource"], "uid");
            assert!(source.contains(&format!("uid: {uid}")), "{title} asks {uid}");
        }
        // Without the profile mysql, and without processes outside of containers, there must be something.
        let elsewhere = |query: &str| query.contains("mysql_") || query.contains("namedprocess_");
        assert!(queries(panel).any(|query| !elsewhere(query)), "{title} may be empty");
    }
    let expected = [
        "API",
        "Cache and writes",
        "Database",
        "Database statements and HAProxy",
        "Now",
        "Pool",
        "Redis",
        "Requests",
    ];
    assert_eq!(rows.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    // One row a container, the same five side by side.
    for name in ["API", "Database", "Redis"] {
        for what in ["CPU", "Memory", "Share of limit", "Network", "Connections"] {
            let title = ("timeseries".to_owned(), format!("{what}, {name}"));
            assert!(titles.contains(&title), "there is no {title:?}");
        }
    }
}

#[test]
fn grafana_asks_the_prometheus_that_is_there_as_often_as_it_asks() {
    let yaml = |path: &str| -> Yaml { serde_yaml_ng::from_str(&read(path)).expect("it is YAML") };
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(source["uid"].as_str(), Some("poolwise-prometheus"));
    // $__rate_interval is made from it.
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    assert_eq!(prometheus["global"]["scrape_interval"], "5s");
    let providers = yaml("deploy/grafana/provisioning/dashboards/poolwise.yml");
    assert_eq!(providers["providers"][0]["options"]["path"], "/var/lib/grafana/dashboards");
}

#[test]
fn nothing_asks_for_a_metric_of_ours_that_there_is_not() {
    let documented = documented();
    let recorded: BTreeSet<String> =
        rules().iter().filter_map(|rule| Some(rule.get("record")?.as_str()?.to_owned())).collect();
    let dashboard = dashboard();
    let rules = rules();
    let of_rules = rules.iter().map(|rule| rule["expr"].as_str().expect("a text"));
    let mut asked = 0;
    for expression in panels(&dashboard).flat_map(queries).chain(of_rules) {
        for name in names(expression) {
            let ours = ["poolwise_", "poolwise:", "http_", "process_"];
            if ours.iter().any(|start| name.starts_with(start)) {
                let known = documented.contains_key(name) || documented.contains_key(family(name));
                assert!(known || recorded.contains(name), "{name} in {expression}");
                asked += 1;
            }
        }
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn what_is_asked_of_cadvisor_is_in_the_text_that_stands_in_for_it() {
    let text = include_str!("cadvisor.txt");
    let dashboard = dashboard();
    let mut asked = BTreeSet::new();
    for query in panels(&dashboard).flat_map(queries) {
        asked.extend(names(query).into_iter().filter(|name| name.starts_with("container_")));
    }
    assert!(asked.len() >= 6, "{asked:?}");
    for name in asked {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

/// The selectors of an expression: names with what stands in braces behind them.
pub(super) fn selectors(expression: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some(start) = rest.find(is_part) {
        let word = &rest[start..];
        let (name, after) = word.split_at(word.find(|c| !is_part(c)).unwrap_or(word.len()));
        rest = after;
        // Words of the language have no such sign in them, but for functions.
        if !name.contains(['_', ':']) || after.starts_with('(') {
            continue;
        }
        let mut whole = name.to_owned();
        if let Some((labels, end)) = after.strip_prefix('{').and_then(|all| all.split_once('}')) {
            whole.push_str(&format!("{{{labels}}}"));
            rest = end;
        }
        found.push(whole);
    }
    found
}

#[test]
fn selectors_are_found_with_their_labels() {
    let found = selectors("label_replace(up_a{b_b=\"c\"} / up:d_bucket[1m]) > 0 and up_a");
    assert_eq!(found, ["up_a{b_b=\"c\"}", "up:d_bucket", "up_a"]);
}
