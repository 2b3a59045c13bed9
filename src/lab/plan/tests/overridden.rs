//! What the command line changes, and what it cannot.

use super::*;

fn with(name: &str, change: impl FnOnce(&mut Overrides)) -> Result<Plan, String> {
    let mut overrides = Overrides::default();
    change(&mut overrides);
    match load(name, &overrides) {
        Ok(Loaded::One(plan)) => Ok(*plan),
        Ok(suite) => panic!("{suite:?}"),
        Err(problems) => Err(problems.to_string()),
    }
}

fn right(name: &str, change: impl FnOnce(&mut Overrides)) -> Plan {
    with(name, change).unwrap_or_else(|problems| panic!("{problems}"))
}

#[track_caller]
fn wrong(name: &str, change: impl FnOnce(&mut Overrides), part: &str) {
    let found = with(name, change).expect_err("it must be refused");
    assert!(found.contains(part), "{part} in {found}");
}

fn levels(plan: &Plan) -> Vec<Level> {
    plan.points.iter().flat_map(|p| &p.stages).map(|s| s.level.clone()).collect()
}

#[test]
fn users_and_rates_keep_the_shape_of_stages() {
    let users = |plan: &Plan| -> Vec<u32> {
        let users = levels(plan).into_iter().map(|level| match level {
            Level::Users { users } => users,
            other => panic!("{other:?}"),
        });
        users.collect()
    };
    assert_eq!(users(&right("case", |o| o.users = Some(7))), [7]);
    assert_eq!(users(&right("spike", |o| o.users = Some(50))), [5, 50, 5]);
    assert_eq!(users(&right("spike", |o| o.users = Some(2))), [1, 2, 1]);
    let open = right("spike", |o| o.rate = Some(100.0));
    let rates = [10.0, 100.0, 10.0].map(|rate| Level::Rate { rate });
    assert_eq!(levels(&open), rates);
    assert!(matches!(open.points[0].model, Model::Open { arrivals: Arrivals::Poisson, .. }));
    assert_eq!(levels(&right("open", |o| o.users = Some(7)))[0], Level::Users { users: 7 });
    let pause = Duration::from_millis(5);
    let paused = right("case", |o| o.pause = Some(pause));
    assert_eq!(paused.points[0].model, Model::Closed { pause });
}

#[test]
fn what_does_not_fit_the_plan_is_refused_by_the_name_of_its_flag() {
    wrong("open", |o| o.rate = Some(5.0), "--rate: the rates of plan \"open\" are shares");
    wrong("case", |o| o.rate = Some(-1.0), "--rate -1");
    wrong("case", |o| o.users = Some(0), "--users 0");
    wrong("break-point", |o| o.users = Some(3), "--users: plan \"break-point\"");
    wrong("break-point", |o| o.each = Some(Duration::from_secs(60)), "only a search");
    wrong("case", |o| o.rounds = Some(0), "--rounds 0");
    wrong("case", |o| o.limit = Some(0), "--limit 0");
    wrong("case", |o| o.baseline = Some("x".into()), "--baseline x");
    wrong("case", |o| o.strategies = vec!["a b".into()], "--strategies: \"a b\"");
    wrong("case", |o| o.strategies = vec!["a".into(), "a".into()], "\"a\" is there twice");
    wrong("case", |o| o.each = Some(Duration::from_secs(3)), "give at least 5s");
    let both = |o: &mut Overrides| {
        (o.rate, o.users) = (Some(5.0), Some(5));
        (o.short, o.duration) = (true, Some(Duration::from_secs(60)));
    };
    wrong("case", both, "keep one kind");
    wrong("case", both, "give one of them");
}

#[test]
fn times_are_what_was_asked_for() {
    let each = Duration::from_secs(5);
    assert_eq!(right("case", |o| o.each = Some(each)).measured_for_each(), each);
    let all = Duration::from_secs(90);
    assert_eq!(right("case", |o| o.duration = Some(all)).measured(), all);
    let mixed = right("case", |o| (o.duration, o.mixed) = (Some(all), true));
    assert_eq!(mixed.measured(), all);
    let short = right("spike", |o| o.short = true);
    assert_eq!(short.points[0].block(), plan("spike").points[0].block() / 4);
    assert_eq!(right("case", |o| o.short = true).points[0].block(), Duration::from_secs(1));
}

#[test]
fn strategies_are_chosen_and_the_baseline_follows() {
    let chosen = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let sweep = right("pool-size", |o| o.strategies = chosen(&["pool-2", "pooled", "pool-8"]));
    let sizes: Vec<Option<u32>> = sweep.strategies.iter().map(|s| s.pool_size).collect();
    assert_eq!(sizes, [Some(2), None, Some(8)]);
    assert_eq!(sweep.baseline, "pool-2");
    let kept = right("case", |o| o.strategies = chosen(&["cached", "direct"]));
    assert_eq!(kept.baseline, "direct");
}

#[test]
fn a_limit_stands_in_every_query_once() {
    let limited = right("paged", |o| o.limit = Some(20));
    assert_eq!(limited.parameters.values[1], "offset=100&limit=20");
    let case = right("case", |o| o.limit = Some(100)).parameters.values;
    assert!(case.iter().all(|value| value.ends_with("&limit=100")), "{case:?}");
    assert_eq!(right("case", |o| o.seed = Some(9)).seed, 9);
}
