//! The compiled-in plans are right, the manual is true, and every problem is named at once.

mod overridden;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::file::File;
use super::*;

fn one(name: &str, overrides: &Overrides) -> Plan {
    match load(name, overrides) {
        Ok(Loaded::One(plan)) => *plan,
        other => panic!("{name}: {other:#?}"),
    }
}

fn plan(name: &str) -> Plan {
    one(name, &Overrides::default())
}

/// A file in a folder that goes with it.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("the temp folder can be written to");
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, text).expect("the temp folder can be written to");
    (folder, path)
}

fn load_text(text: &str) -> Result<Loaded, PlanProblems> {
    let (_folder, path) = written(text);
    load(path.to_str().expect("temp folders are UTF-8"), &Overrides::default())
}

fn problems(text: &str) -> String {
    load_text(text).expect_err("it must be refused").0.join("\n")
}

#[track_caller]
fn assert_all_named(found: &str, parts: &[&str]) {
    for part in parts {
        assert!(found.contains(part), "{part} in:\n{found}");
    }
}

#[test]
fn every_compiled_in_plan_loads_and_says_what_it_is() {
    for (name, title) in names() {
        let loaded = load(name, &Overrides::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(!title.is_empty() && title != name);
        let text = builtin::text(name).expect("it is listed");
        assert!(
            text.starts_with("# "),
            "{name} does not say what it answers and how long it takes"
        );
        if let Loaded::One(plan) = loaded {
            assert_eq!(plan.name, name);
            assert!(plan.question.ends_with('?'), "{name}: {}", plan.question);
        }
    }
}

#[test]
fn every_file_of_the_folder_is_compiled_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/lab");
    let files = std::fs::read_dir(folder).expect("it is there").map(|entry| {
        let path = entry.expect("it can be read").path();
        path.file_stem().expect("a name").to_string_lossy().into_owned()
    });
    let known: BTreeSet<String> = names().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), known);
}

#[test]
fn plans_last_as_long_as_they_say() {
    let case = plan("case");
    assert_eq!(case.measured(), Duration::from_secs(60));
    assert_eq!(case.measured_for_each(), Duration::from_secs(20));
    assert_eq!(case.expected_duration(), Duration::from_secs(5 + 5 * 4 * 5));
    let quick = plan("quick");
    assert_eq!(quick.expected_duration(), Duration::from_secs(40));
    assert_eq!(plan("soak").measured(), Duration::from_secs(30 * 60));
    let seconds = |name: &str| plan(name).expected_duration().as_secs();
    for (name, least, most) in [
        ("open", 480, 540),
        ("paged", 90, 130),
        ("pool-size", 320, 340),
        ("break-point", 120, 260),
        ("smoke", 5, 12),
        ("baseline", 80, 95),
        ("read", 90, 130),
        ("stages", 370, 400),
        ("spike", 310, 340),
        ("targets-e", 300, 340),
    ] {
        let took = seconds(name);
        assert!((least..=most).contains(&took), "{name} takes {took} s");
    }
}

/// The manual with every key uncommented, and how many were.
fn uncommented() -> (String, usize) {
    let is_key = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
    };
    let mut shown = 0;
    let lines: Vec<&str> = builtin::MANUAL
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if is_key(key) || key.starts_with('[') => {
                shown += 1;
                key
            }
            _ => line,
        })
        .collect();
    (lines.join("\n"), shown)
}

#[test]
fn every_line_of_the_manual_is_understood_and_no_key_is_missing() {
    let (text, shown) = uncommented();
    assert!(shown >= 30, "only {shown} lines were uncommented");
    let mut found = Vec::new();
    let table = parse_toml(&text).unwrap();
    let file: File = read_toml(table, builtin::MANUAL, &mut found).expect("it can be read");
    assert!(found.is_empty(), "{found:#?}");
    // A key without a value anywhere is one that the manual does not show.
    let (mut null, mut set) = (BTreeSet::new(), BTreeSet::new());
    walk("", &serde_json::to_value(&file).unwrap(), &mut null, &mut set);
    // A stage's level and times are explained with the load's.
    let missing: Vec<_> = null.difference(&set).collect();
    assert!(missing.is_empty(), "the manual does not show {missing:?}");
}

fn walk(
    path: &str,
    value: &serde_json::Value,
    null: &mut BTreeSet<String>,
    set: &mut BTreeSet<String>,
) {
    // A load and a point have the same keys.
    let path = path.trim_start_matches('.').replace("point.", "load.");
    match value {
        serde_json::Value::Object(object) => {
            object.iter().for_each(|(key, value)| walk(&format!("{path}.{key}"), value, null, set));
        }
        serde_json::Value::Array(array) if !array.is_empty() => {
            array.iter().for_each(|value| walk(&path, value, null, set));
            set.insert(path);
        }
        serde_json::Value::Array(_) | serde_json::Value::Null => drop(null.insert(path)),
        _ => drop(set.insert(path)),
    }
}

#[test]
fn the_case_is_the_assignment() {
    let case = plan("case");
    let names: Vec<&str> = case.strategies.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["direct", "pooled", "cached"]);
    assert_eq!(case.points.len(), 1);
    assert_eq!(case.points[0].name, "load");
    assert_eq!(case.points[0].model, Model::Closed { pause: Duration::from_millis(233) });
    assert_eq!(case.points[0].stages[0].level, Level::Users { users: 20 });
    assert_eq!(case.parameters.distribution, Distribution::Zipf { exponent: 1.0 });
    let manual = include_str!("../../../docs/DATA.md");
    let windows = manual.lines().filter(|line| line.contains("`min_price=")).count();
    assert_eq!(case.parameters.values.len(), windows);
    assert!(case.parameters.values.iter().all(|value| manual.contains(value)));
}

#[test]
fn each_reading_of_the_assignment_says_which_it_is() {
    let plain = plan("case").reading.unwrap();
    assert_all_named(&plain, &["1m in all", "20 s for each", "5 blocks of 4 s"]);
    let each = Overrides { each: Some(Duration::from_secs(60)), ..Overrides::default() };
    let each = one("case", &each);
    assert_eq!(each.measured_for_each(), Duration::from_secs(60));
    assert_all_named(&each.reading.unwrap(), &["3m in all", "1m for each", "5 blocks of 12 s"]);
    let mixed = one("case", &Overrides { mixed: true, ..Overrides::default() });
    assert_eq!((mixed.mixed, mixed.measured()), (true, Duration::from_secs(60)));
    assert_all_named(&mixed.reading.unwrap(), &["in turn, 1m in all", "5 blocks of 12 s"]);
}

#[test]
fn definitions_are_lines_of_the_services_configuration() {
    let text = r#"
        title = "t"
        question = "q?"
        strategies = ["pool-4"]
        strategy.pool-4 = { access = { kind = "pool", size = 4 }, cache = { store = "memory", ttl = "5s" } }
        sweep = { pool_sizes = [2] }
        parameters.values = ["limit=1"]
        load = { users = 1 }
    "#;
    let Ok(Loaded::One(plan)) = load_text(text) else { panic!("it is right") };
    for (strategy, size) in plan.strategies.iter().zip([4, 2]) {
        let definition = strategy.definition.as_ref().expect("it is the plan's");
        let table = format!("[strategies.{}]\n{definition}", strategy.name);
        let table: toml::Table = table.parse().expect("it is TOML under a header");
        let strategy = &table["strategies"][&strategy.name];
        assert_eq!(strategy["access"]["size"].as_integer(), Some(size), "{definition}");
        assert!(strategy.get("cache").is_some());
    }
    assert_eq!(plan.strategies[1].pool_size, Some(2));
}

#[test]
fn unknown_keys_and_wrong_types_are_all_named_at_once_with_an_example() {
    let found = problems(
        r#"
        extends = "case"
        colour = "red"
        rounds = "many"
        warm_up = 5
        load = { usres = 3, pause = "soon" }
        targets.latency_p95_ms = { target = 1, critical = 2, goal = 3 }
        limits.errors = "few"
        "#,
    );
    assert_all_named(
        &found,
        &[
            "`colour` is not a known key",
            "`load.usres` is not a known key",
            "`targets.latency_p95_ms.goal` is not a known key",
            "`rounds`: ",
            "write it as in `rounds = 5`",
            "write it as in `warm_up = \"1s\"`",
            "write it as in `pause = \"233ms\"`",
            "`limits.errors`: ",
            "mine.toml: ",
        ],
    );
    let found = problems("[[point]]\nname = \"a\"\nmodle = \"open\"\nstages = [{ useers = 1 }]\n");
    assert_all_named(&found, &["`point[0].modle`", "`point[0].stages[0].useers`"]);
}

#[test]
fn contradictions_are_all_named_at_once() {
    let found = problems(
        r#"
        title = "t"
        rounds = 0
        timeout = "0s"
        block = "200ms"
        strategies = ["direct", "direct", "Bad_Name", "noop"]
        baseline = "pooled"
        short = 2.0
        strategy.extra = { cache = "none" }
        sweep = { pool_sizes = [0] }
        parameters = { distribution = "uniform", exponent = 1.0, limit = 0, values = ["?a=1", "a b"] }
        limits.steal = 3.0
        [[point]]
        name = "late"
        model = "open"
        share = 0.7
        of_point = "early"
        [[point]]
        name = "early"
        users = 3
        rate = 5.0
        connections = 4
        [[point]]
        name = "early"
        model = "open"
        users = 5
        pause = "1s"
        [[point]]
        name = "ramp"
        users = 0
        ramp = "9s"
        [search]
        from = 100
        to = 10
        factor = 1.0
        probe = "1ms"
        [targets]
        latency_p95_ms = { target = 500, critical = 200 }
        requests_per_second = { target = 80, critical = 100 }
        hit_rate = { target = 70, critical = 50 }
        latency_ms = { target = 1, critical = 2 }
        error_share = { target = 0.1 }
        "#,
    );
    assert_all_named(
        &found,
        &[
            "`question` is missing",
            "`rounds` is 0",
            "`timeout` is 0",
            "\"direct\" is there twice",
            "\"Bad_Name\": a name has",
            "\"noop\": this name is kept",
            "`baseline` is \"pooled\"",
            "`short` is 2",
            "`strategy.extra` is not driven",
            "`sweep.pool_sizes` holds 0",
            "`parameters.exponent` means",
            "`parameters.limit` is 0",
            "\"a b&limit=0\" is not a query",
            "`limits.steal` is 3",
            "\"early\" is not an earlier point",
            "`point[1].rate` is a level of the open model",
            "`point[1].connections`",
            "\"early\" is there twice",
            "`point[2].users` is a level of the closed model",
            "`point[2].pause`",
            "`point[3]`: the load is 0",
            "`point[3].ramp` (9s) is longer",
            "a block of 200ms is shorter than 1s",
            "`search.to` is 10",
            "`search.factor` is 1",
            "`search.probe`",
            "critical (200) is below target (500)",
            "critical (100) is above target (80)",
            "shares are written from 0 to 1",
            "there is no figure \"latency_ms\"",
            "`targets.error_share` needs both",
        ],
    );
}

#[test]
fn a_share_is_of_a_closed_point_and_nothing_else() {
    let text = |model: &str| {
        format!(
            "extends = \"case\"\n[[point]]\nname = \"a\"\n{model}\n[[point]]\nname = \"b\"\nmodel = \"open\"\nshare = 0.5\nof_point = \"a\"\n"
        )
    };
    assert!(load_text(&text("users = 3")).is_ok());
    let found = problems(&text("model = \"open\"\nrate = 3.0"));
    assert_all_named(&found, &["`point[1].of_point`: \"a\" is not closed"]);
}

#[test]
fn nothing_is_found_under_a_wrong_name_but_the_right_names_are_told() {
    let found = load("csae", &Overrides::default()).expect_err("there is none").to_string();
    assert_all_named(&found, &["\"csae\"", "case, quick, open", "path of a TOML file"]);
    let found = load("/nowhere/my.toml", &Overrides::default()).expect_err("there is none");
    assert_all_named(&found.to_string(), &["/nowhere/my.toml cannot be read"]);
    assert_all_named(&problems("title = \n"), &["line 1 is not valid TOML"]);
}

#[test]
fn a_file_extends_a_plan_and_says_only_what_is_different() {
    let text = "extends = \"case\"\nrounds = 7\n[load]\nusers = 40\n[limits]\nerrors = 0.5\n";
    let Ok(Loaded::One(mine)) = load_text(text) else { panic!("it is right") };
    let case = plan("case");
    assert_eq!((mine.name.as_str(), mine.rounds), ("mine", 7));
    assert_eq!(mine.points[0].stages[0].level, Level::Users { users: 40 });
    assert_eq!((mine.points[0].model, &mine.parameters), (case.points[0].model, &case.parameters));
    assert_eq!((mine.limits.errors, mine.limits.steal), (0.5, case.limits.steal));
    assert_eq!(mine.reading, None, "a reading is of one plan");
    let Ok(Loaded::One(open)) = load_text("extends = \"case\"\n[load]\nmodel = \"open\"\nrate = 9")
    else {
        panic!("a load with a model replaces the other one")
    };
    assert_eq!(open.points[0].stages[0].level, Level::Rate { rate: 9.0 });
    let (_folder, path) = written("extends = \"mine.toml\"");
    let circle = load(path.to_str().unwrap(), &Overrides::default()).expect_err("a circle");
    assert_all_named(&circle.to_string(), &["leads back to itself"]);
}

#[test]
fn a_suite_is_its_plans_in_order() {
    let Ok(Loaded::Suite { name, plans, .. }) = load("suite", &Overrides::default()) else {
        panic!("it is a suite")
    };
    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(name, "suite");
    assert_eq!(
        names,
        ["smoke", "baseline", "read-heavy", "write-heavy", "stages", "soak", "spike"]
    );
    let minutes = |plans: &[Plan]| {
        plans.iter().map(Plan::expected_duration).sum::<Duration>().as_secs_f64() / 60.0
    };
    assert!((minutes(&plans) - 47.0).abs() < 2.0, "{} minutes", minutes(&plans));
    let Ok(Loaded::Suite { plans, .. }) =
        load("suite", &Overrides { short: true, ..Overrides::default() })
    else {
        panic!("it is a suite")
    };
    assert!((minutes(&plans) - 7.0).abs() < 1.0, "{} minutes", minutes(&plans));
    let found = problems("plans = [\"smoke\", \"smoke\", \"suite\", \"none\"]\nrounds = 3\n");
    let parts = [
        "\"smoke\" twice",
        "\"suite\" is a suite itself",
        "no plan \"none\"",
        "`rounds` says nothing",
    ];
    assert_all_named(&found, &parts);
}
