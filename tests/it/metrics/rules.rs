//! The configuration of Prometheus, its rules, and what is tried of them.

use std::collections::BTreeSet;

use serde_yaml_ng::Value;

use super::promtool::is_content;
use super::{project, read};

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every rule.
pub(super) fn rules() -> Vec<Value> {
    let file = yaml("deploy/prometheus/rules.yml");
    let groups = file["groups"].as_sequence().expect("a list").clone();
    groups.iter().flat_map(|group| group["rules"].as_sequence().expect("a list").clone()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text"))
}

#[test]
fn promtool_takes_the_configuration_and_the_rules_and_each_alert_fires_when_it_must() {
    let path = |name: &str| project("deploy/prometheus").join(name).display().to_string();
    let said = is_content(&["check", "config", &path("prometheus.yml")], "");
    assert!(said.contains("is valid") && !said.contains("WARNING"), "{said}");
    let said = is_content(&["check", "rules", &path("rules.yml")], "");
    assert!(said.contains(&format!("{} rules found", rules().len())), "{said}");
    let said = is_content(&["test", "rules", &path("rules.test.yml")], "");
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn no_alert_goes_untried() {
    let tests = yaml("deploy/prometheus/rules.test.yml");
    let mut fires = BTreeSet::new();
    for test in tests["tests"].as_sequence().expect("a list") {
        for tried in test["alert_rule_test"].as_sequence().into_iter().flatten() {
            if tried["exp_alerts"].as_sequence().is_some_and(|alerts| !alerts.is_empty()) {
                fires.insert(text(&tried["alertname"]).to_owned());
            }
        }
    }
    let rules = rules();
    let alerts = rules.iter().filter_map(|rule| rule.get("alert"));
    let alerts: BTreeSet<String> = alerts.map(|name| text(name).to_owned()).collect();
    assert_eq!(fires, alerts);
}

/// As pages make it: small letters, blanks to hyphens, and nothing else.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

#[test]
fn each_alert_names_a_section_of_the_runbook_that_is_there_and_the_runbook_names_the_alert() {
    let runbook = read("docs/RUNBOOK.md");
    let headings = runbook.lines().filter_map(|line| line.strip_prefix('#'));
    let anchors: BTreeSet<String> =
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let mut alerts = 0;
    for rule in rules().iter().filter(|rule| rule.get("alert").is_some()) {
        let name = text(&rule["alert"]);
        let section = text(&rule["annotations"]["runbook"]).strip_prefix("docs/RUNBOOK.md#");
        let section = section.unwrap_or_else(|| panic!("{name} names no section"));
        assert!(anchors.contains(section), "{name}: there is no {section} in {anchors:?}");
        assert!(text(&rule["annotations"]["summary"]).ends_with('.'), "{name}");
        assert!(["critical", "warning"].contains(&text(&rule["labels"]["severity"])), "{name}");
        assert!(runbook.contains(&format!("`{name}`")), "the runbook does not name {name}");
        alerts += 1;
    }
    assert!(alerts > 10, "{alerts}");
    // And the links of the runbook's own table.
    for link in runbook.split("](#").skip(1) {
        let section = link.split(')').next().expect("there is something before it");
        assert!(anchors.contains(section), "there is no {section}");
    }
}
