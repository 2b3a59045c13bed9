//! Two runs against each other.

use poolwise::lab::compare::{compare, render};
use poolwise::lab::record::RunRecord;
use poolwise::lab::verdict::{Figure, Meaning};

use super::synthetic::{Synthetic, Traffic, noisy};

/// A run whose service is so many times slower than another's.
fn run(seed: u64, slower: f64, errors_per_second: u64) -> RunRecord {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.rounds(5, |name, round| {
        let noise = noisy(seed * 100 + u64::from(round) * 10 + name.len() as u64, 0.02);
        Traffic {
            answers_per_second: (200.0 * noise / slower).round() as u64,
            slower: slower / noise,
            api_cpu: 0.004 * slower,
            errors_per_second,
            ..Traffic::default()
        }
    });
    synthetic.run
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let run = run(1, 1.0, 0);
    let compared = compare(&run, &run, 0.0);
    assert_eq!(compared.endpoints.len(), 2);
    for change in compared.endpoints.iter().flat_map(|endpoint| &endpoint.changes) {
        let known = matches!(change.meaning, Meaning::NoMeasurableDifference | Meaning::NotKnown);
        assert!(known, "{change:?}");
        assert!(change.ratio.is_none_or(|ratio| ratio.value == 1.0), "{change:?}");
    }
    let nothing: [String; 0] = [];
    assert_eq!(compared.worse, nothing);
    assert_eq!(compared.notes, nothing);
    assert_eq!(compared.only_in_one, nothing);
    assert!(render(&compared, false).contains("Nothing is measurably worse by more than 0 %."));
}

#[test]
fn a_copy_that_is_30_percent_slower_is_worse_beyond_the_threshold() {
    let compared = compare(&run(1, 1.0, 0), &run(2, 1.3, 0), 0.1);
    let text = render(&compared, false);
    println!("{text}");
    for figure in [Figure::Rate, Figure::LatencyP95, Figure::ApiCpuCost] {
        let said = format!("{} of pooled at load went from", figure.label());
        assert!(compared.worse.iter().any(|worse| worse.starts_with(&said)), "{said}");
        assert!(text.contains(&said));
    }
    assert!(compare(&run(1, 1.0, 0), &run(2, 1.3, 0), 0.5).worse.is_empty());
    let better = compare(&run(2, 1.3, 0), &run(1, 1.0, 0), 0.1);
    assert!(better.worse.is_empty(), "{:?}", better.worse);
    let p95 = better.endpoints[0].changes.iter().find(|c| c.figure == Figure::LatencyP95);
    assert_eq!(p95.expect("both have it").meaning, Meaning::Better);
}

#[test]
fn errors_where_there_were_none_are_worse_although_they_have_no_ratio() {
    let compared = compare(&run(1, 1.0, 0), &run(1, 1.0, 4), 0.1);
    let errors = compared.worse.iter().filter(|worse| worse.starts_with("errors of"));
    assert_eq!(errors.count(), 2, "{:?}", compared.worse);
}

#[test]
fn a_second_run_that_answers_nothing_is_worse() {
    let mut dead = run(1, 1.0, 0);
    for second in dead.blocks.iter_mut().flat_map(|b| &mut b.lanes).flat_map(|l| &mut l.seconds) {
        (second.errors, second.answers) = (second.answers, 0);
    }
    let compared = compare(&run(1, 1.0, 0), &dead, 0.1);
    let said = "pooled at load answered nothing in the second run";
    assert!(compared.worse.iter().any(|worse| worse.starts_with(said)), "{:?}", compared.worse);
}

#[test]
fn what_else_differs_is_noted() {
    let first = run(1, 1.0, 0);
    let mut second = first.clone();
    second.host.cores = 8;
    second.poolwise = "0.2.0".into();
    second.plan.rounds = 7;
    second.plan.strategies.pop();
    second.target.config = Some("[database]\npool_size = 4\n".into());
    let compared = compare(&first, &second, 0.1);
    let notes = compared.notes.join("\n");
    for said in [
        "The plans differ in strategies, rounds.",
        "The machines differ: a processor (4 cores, 8.00 GB, Linux) against a processor (8 cores",
        "The versions differ: poolwise 0.1.0, PostgreSQL 15.4 against poolwise 0.2.0",
        "The configurations differ: `pool_size = 8` against `pool_size = 4`.",
    ] {
        assert!(notes.contains(said), "{said} is not in {notes}");
    }
    assert_eq!(compared.only_in_one, ["pooled at load is in the first run only."]);
    assert!(!render(&compared, false).contains("CPU of the load driver"));
    assert!(render(&compared, true).contains("CPU of the load driver"));
}
