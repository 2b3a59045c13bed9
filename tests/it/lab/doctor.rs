//! The doctor: every contradiction of five published systems is found where it is and nowhere else, a
//! sound test has none, and no finding is bound to a file: a number across its threshold brings it and
//! takes it away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use poolwise::config::{self, Config, Environment};
use poolwise::lab::doctor::{self, Claims, Live, RULE_NAMES};
use poolwise::lab::plan::{self, Loaded, Overrides, Plan};
use poolwise::lab::record::Finding;
use poolwise::store::plugin::Plugins;
use rstest::rstest;

use crate::config::file;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(&format!("tests/claims/{name}.toml"))).expect("it is there")
}

fn claims(text: &str) -> Claims {
    doctor::read_claims(&file(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let ordered = RULE_NAMES.iter().map(|(id, _)| *id);
    ordered.filter(|id| ids.contains(id)).collect()
}

#[rstest]
#[case("a", &["D1", "D2", "D3", "D16", "D17"], &["85.8 requests/s", "28.6 for each", "2.55 Gbit/s", "3.72 MB"])]
#[case("b", &["D1", "D2", "D18"], &["154 MB of traffic are 41 answers", "18.8 times as much"])]
#[case(
    "c",
    &["D4", "D5", "D6", "D7", "D8", "D19"],
    &["336 ms", "147 ms nobody explains", "189 ms", "at least 83.2 %", "26.9 ms of service", "354 MB"]
)]
#[case("d", &["D20"], &["serve 6 requests", "default limit is 151"])]
#[case(
    "e",
    &["D9", "D10", "D11", "D12", "D13", "D14", "D15", "D21", "D22", "D23", "D24"],
    &[
        "hold 600", "says 9", "need 3", "100 unless told otherwise", "200 requests/s", "190 when",
        "50 %, 33 % and 17 %", "0.833 %", "99.8 % hits", "capacity of 150", "1,200, 2 times",
        "133 times", "597 left", "500 in \"first table\" and 300", "above the target of 400",
        "total_exec_time and mean_exec_time", "21 statements",
    ]
)]
#[case("clean", &[], &[])]
fn each_system_has_its_contradictions_and_no_other(
    #[case] name: &str,
    #[case] expected: &[&str],
    #[case] numbers: &[&str],
) {
    let findings = doctor::examine_claims(&claims(&text(name)));
    let shown = doctor::render(&findings);
    println!("{name}\n{shown}");
    assert_eq!(ids(&findings), expected, "{shown}");
    let facts: Vec<String> =
        findings.iter().map(|found| format!("{} | {}", found.fact, found.advice)).collect();
    for number in numbers {
        assert!(facts.iter().any(|fact| fact.contains(number)), "{number} in {facts:#?}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}

#[test]
fn the_five_systems_use_every_rule() {
    let all = ["a", "b", "c", "d", "e"].map(|name| doctor::examine_claims(&claims(&text(name))));
    let found: Vec<Finding> = all.into_iter().flatten().collect();
    let names: Vec<&str> = RULE_NAMES.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids(&found), names);
    assert_eq!(names.len(), 24);
}

#[test]
fn the_form_is_sound_too() {
    let form = doctor::read_claims(&path("config/claims.toml")).expect("it can be read");
    let found = doctor::examine_claims(&form);
    assert!(found.is_empty(), "{}", doctor::render(&found));
}

/// The numbers on both sides of a threshold: `found` in place of `{}` brings the finding, `silent`
/// does not. `was` is what stands in the file.
#[rstest]
#[case("D1", "a", "[load]", "measured.mean = \"{}\"\n[load]", "465ms", "467ms")]
#[case("D1", "clean", "pause = \"50ms\"", "pause = \"{}\"", "61ms", "59ms")]
#[case("D1", "a", "endpoints = 3", "endpoints = {}", "2", "1")]
#[case("D2", "a", "rows = 21_000", "rows = {}", "8_240", "8_220")]
#[case(
    "D2",
    "a",
    "[load]",
    "network.bits_per_second = {}\n[load]",
    "2_550_000_000",
    "2_560_000_000"
)]
#[case("D2", "clean", "sent = \"12.8GB\"", "sent = \"{}\"", "6.3GB", "6.4GB")]
#[case("D3", "clean", "[1160.0, 1140.0]", "[1160.0, {}]", "1100.0", "1110.0")]
#[case("D3", "a", "cpu_percent = true", "cpu_percent = {}", "true", "false")]
#[case("D4", "c", "mean = \"189ms\"", "mean = \"{}\"", "302ms", "303ms")]
#[case("D4", "clean", "ramp = \"20s\"", "ramp = \"{}\"", "150s", "100s")]
#[case("D5", "c", "p50 = \"100ms\"", "p50 = \"{}\"", "188ms", "189ms")]
#[case("D5", "c", "mean = \"189ms\"", "mean = \"189ms\"\np50 = \"{}\"", "101ms", "100ms")]
#[case("D6", "c", "calls = 100", "calls = {}", "588", "590")]
#[case("D6", "c", "sources = 1", "sources = {}", "5", "6")]
#[case("D6", "c", "errors = 0.0", "errors = {}", "0.82", "0.83")]
#[case("D7", "clean", "routers = [\"products\"]", "routers = [{}]", "", "\"products\"")]
#[case("D7", "clean", "name = \"limit\"", "name = \"{}\"", "retry", "retries")]
#[case("D8", "c", "threads = 4", "threads = {}", "25", "26")]
#[case("D8", "c", "blocking = true", "blocking = {}", "true", "false")]
#[case("D9", "e", "overflow = 100\nformula = 9", "overflow = 100\nformula = {}", "149", "150")]
#[case("D9", "clean", "formula = 9\nquery_time = \"15ms\"", "query_time = \"{}\"", "6ms", "7ms")]
#[case("D10", "e", "requests_per_second = 300", "requests_per_second = {}", "191", "190")]
#[case("D11", "clean", "share = 0.6", "share = {}", "0.58", "0.595")]
#[case("D12", "e", "calls = 100", "calls = {}", "11_390", "11_410")]
#[case("D13", "e", "ttl = \"300s\"", "ttl = \"{}\"", "300s", "299s")]
#[case("D14", "e", "health_shows = 150", "health_shows = {}", "599", "600")]
#[case("D15", "e", "max_connections = 600", "max_connections = {}", "1202", "1203")]
#[case("D16", "a", "endpoints = 3", "endpoints = {}", "2", "1")]
#[case("D16", "clean", "restarted = true", "restarted = {}", "false", "true")]
#[case("D17", "a", "interval = \"60s\"", "interval = \"{}\"", "4100ms", "4s")]
#[case("D18", "b", "sent = \"2.74MB\"", "sent = \"{}\"", "51.3MB", "51.4MB")]
#[case("D19", "c", "keys = 1\n", "keys = {}\n", "19_999", "20_000")]
#[case("D20", "d", "workers = 6", "workers = {}", "151", "152")]
#[case("D20", "clean", "size = 1\noverflow = 1", "size = 1\noverflow = {}", "11", "10")]
#[case("D21", "e", "max_connections = 600", "max_connections = {}", "602", "603")]
#[case("D22", "clean", "target = 350\ncritical = 700", "target = 350\ncritical = {}", "340", "700")]
#[case("D22", "clean", "critical = 0.05", "critical = {}", "0.009", "0.01")]
#[case("D23", "e", "kind = \"postgres\"", "kind = \"postgres\"\nversion = {}", "13", "12")]
#[case("D24", "e", "items = 20", "items = {}", "2", "1")]
fn a_number_across_its_threshold_brings_a_finding_and_takes_it_away(
    #[case] id: &str,
    #[case] name: &str,
    #[case] was: &str,
    #[case] becomes: &str,
    #[case] found: &str,
    #[case] silent: &str,
) {
    let before = text(name);
    assert!(before.contains(was), "{was} stands in {name}");
    let with = |number: &str| before.replacen(was, &becomes.replace("{}", number), 1);
    // Other findings may come and go with it: of one rule there may be two.
    let of_rule = |text: &str| {
        let findings = doctor::examine_claims(&claims(text));
        findings.into_iter().filter(|finding| finding.id == id).collect::<Vec<_>>()
    };
    let (with_it, without) = (of_rule(&with(found)), of_rule(&with(silent)));
    assert!(with_it.len() > without.len(), "{found}: {with_it:#?}, {silent}: {without:#?}");
}

#[test]
fn problems_of_a_file_of_claims_are_all_named() {
    let wrong = "colour = 1\nload.users = \"many\"\nload.puase = \"1s\"\nanswer.rows = -3\n";
    let found = doctor::read_claims(&file(wrong)).expect_err("it must be refused").to_string();
    for part in [
        "`colour` is not a known key",
        "`load.users`: ",
        "write it as in `users = 200`",
        "`load.puase` is not a known key",
        "`answer.rows` is -3",
        "config/claims.toml",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

fn plan_of(name: &str, overrides: Overrides) -> Plan {
    match plan::load(name, &overrides) {
        Ok(Loaded::One(plan)) => *plan,
        other => panic!("{other:#?}"),
    }
}

fn config_of(text: &str) -> Config {
    let plugins = Plugins::standard();
    config::load(&[file(text)], &Environment::default(), &plugins)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

const POSTGRES: &str = "database = { backend = \"postgres\", url = \"postgres://localhost/a\" }\n";

#[track_caller]
fn assert_found(plan: &Plan, config: &str, live: Live, id: &str, expected: bool) {
    let findings = doctor::examine(plan, Some(&config_of(config)), Some(&live));
    let shown = doctor::render(&findings);
    assert_eq!(ids(&findings).contains(&id), expected, "{id} in\n{shown}");
}

#[test]
fn the_case_is_warned_of_what_it_cannot_show() {
    let case = plan_of("case", Overrides::default());
    let findings = doctor::examine(&case, Some(&config_of(POSTGRES)), None);
    println!("{}", doctor::render(&findings));
    // By default answers are kept for longer than this plan takes.
    assert_eq!(ids(&findings), ["D1", "D2", "D3", "D13"]);
    assert!(findings[0].fact.contains("85.8 requests/s"), "{findings:#?}");
    assert!(findings[1].fact.contains("2.67 Gbit/s"), "{findings:#?}");
    let open = plan_of("case", Overrides { rate: Some(20.0), ..Overrides::default() });
    let shorter = config_of(&format!("{POSTGRES}cache.ttl = \"60s\"\n"));
    let findings = doctor::examine(&open, Some(&shorter), None);
    assert_eq!(ids(&findings), Vec::<&str>::new(), "{}", doctor::render(&findings));
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let case = plan_of("paged", Overrides::default());
    let findings = doctor::examine(&case, None, None);
    assert_eq!(ids(&findings), ["D3"], "{}", doctor::render(&findings));
}

#[test]
fn pools_are_added_up_against_what_the_server_leaves() {
    let case = plan_of("case", Overrides::default());
    let live = |max: u64| Live { max_connections: Some(max), reserved: Some(3), ..Live::default() };
    // pooled and cached have 8 each; the configuration leaves 5 to others.
    assert_found(&case, POSTGRES, live(20), "D21", true);
    assert_found(&case, POSTGRES, live(21), "D21", false);
    let two = format!("{POSTGRES}server.replicas = 2\ncache.invalidation = \"ttl\"\n");
    assert_found(&case, &two, live(36), "D21", true);
    assert_found(&case, &two, live(37), "D21", false);
    assert_found(&case, &two, live(37), "D14", true);
    let busy = Live { in_use: Some(1), ..live(21) };
    assert_found(&case, POSTGRES, busy, "D21", true);
    assert_found(&case, "", live(1), "D21", false);
    let elsewhere = format!(
        "{POSTGRES}strategies.far = {{ access = \"pool\", database_url = \"postgres://far/a\" }}\n"
    );
    assert_found(&case, &elsewhere, live(21), "D21", false);
    let limited =
        format!("{POSTGRES}strategies.direct.access = {{ kind = \"direct\", limit = 1 }}\n");
    assert_found(&case, &limited, live(21), "D21", true);
    assert_found(&case, &limited, live(22), "D21", false);
    let strict = Live { reserved: Some(6), ..live(21) };
    assert_found(&case, POSTGRES, strict, "D21", true);
    // The sweep adds 63.
    let sweep = plan_of("pool-size", Overrides::default());
    assert_found(&sweep, POSTGRES, live(83), "D15", true);
    assert_found(&sweep, POSTGRES, live(84), "D15", false);
    assert_found(&sweep, POSTGRES, live(20), "D15", false);
}

#[test]
fn a_pool_is_held_against_the_cores_and_the_users() {
    let cores = |cores: u64| Live { cores: Some(cores), ..Live::default() };
    let large = format!("{POSTGRES}strategies.pooled.access = {{ kind = \"pool\", size = 21 }}\n");
    let case = plan_of("case", Overrides::default());
    assert_found(&case, &large, cores(2), "D9", true);
    assert_found(&case, &large, cores(3), "D9", false);
    let users =
        |users: u32| plan_of("case", Overrides { users: Some(users), ..Overrides::default() });
    assert_found(&users(20), &large, Live::default(), "D20", true);
    assert_found(&users(21), &large, Live::default(), "D20", false);
}

#[test]
fn caches_are_held_against_the_duration_and_the_answers() {
    let case = plan_of("case", Overrides::default());
    let with = |cache: &str| format!("{POSTGRES}strategies.cached.cache = {cache}\n");
    let took = case.expected_duration().as_secs();
    let ttl =
        |ttl: u64| with(&format!("{{ store = \"redis\", ttl = \"{ttl}s\", ttl_jitter = 0.0 }}"));
    assert_found(&case, &ttl(took), Live::default(), "D13", true);
    assert_found(&case, &ttl(took - 1), Live::default(), "D13", false);
    // 22 keys of 21,000 rows of 185 bytes.
    let memory = |size: &str| with(&format!("{{ store = \"memory\", memory_size = \"{size}\" }}"));
    assert_found(&case, &memory("85MB"), Live::default(), "D19", true);
    assert_found(&case, &memory("86MB"), Live::default(), "D19", false);
    let entry = |size: &str| with(&format!("{{ store = \"redis\", max_entry = \"{size}\" }}"));
    assert_found(&case, &entry("3.8MB"), Live::default(), "D19", true);
    assert_found(&case, &entry("3.9MB"), Live::default(), "D19", false);
}

#[test]
fn a_plan_is_held_against_its_targets_and_samples() {
    let of = |text: &str| {
        let path = file(&format!("extends = \"case\"\n{text}"));
        plan_of(path.to_str().expect("it is UTF-8"), Overrides::default())
    };
    let found = |text: &str, id: &str, expected: bool| {
        assert_found(&of(text), POSTGRES, Live::default(), id, expected);
    };
    found("targets.requests_per_second = { target = 86, critical = 1 }", "D10", true);
    found("targets.requests_per_second = { target = 85, critical = 1 }", "D10", false);
    let latency = |p95: u32| {
        format!(
            "targets.latency_p50_ms = {{ target = 100, critical = 500 }}\ntargets.latency_p95_ms = {{ target = {p95}, critical = 500 }}"
        )
    };
    found(&latency(99), "D22", true);
    found(&latency(100), "D22", false);
    found("rounds = 4\nblock = \"1s\"", "D17", true);
    found("rounds = 5\nblock = \"1s\"", "D17", false);
    found("[load]\nmodel = \"open\"\nrate = 33", "D2", true);
    found("[load]\nmodel = \"open\"\nrate = 32", "D2", false);
    found("[load]\nmodel = \"open\"\nrate = 32", "D3", false);
    found("[load]\nmodel = \"closed\"\nusers = 9", "D1", false);
    found("[load]\nmodel = \"closed\"\nusers = 9\npause = \"1s\"", "D1", true);
}
