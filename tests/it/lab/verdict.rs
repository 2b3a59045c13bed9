//! Known answers: what is put into a record comes out of its analysis.

use std::collections::BTreeMap;

use poolwise::lab::record::{Role, RunRecord, Source, TOGETHER};
use poolwise::lab::verdict::{
    Analysis, Comparison, Figure, Meaning, PointTable, Row, Trust, analyse,
};

use super::synthetic::{Synthetic, Traffic, noisy, users};

fn table(analysis: &Analysis) -> &PointTable {
    analysis.tables.iter().find(|table| table.point == "load").expect("it was measured")
}

fn row<'a>(analysis: &'a Analysis, strategy: &str) -> &'a Row {
    let rows = &table(analysis).rows;
    rows.iter().find(|row| row.strategy == strategy).expect("it was planned")
}

fn comparison<'a>(analysis: &'a Analysis, strategy: &str) -> &'a Comparison {
    let all = &table(analysis).comparisons;
    all.iter().find(|comparison| comparison.strategy == strategy).expect("it was compared")
}

fn value(row: &Row, figure: Figure) -> f64 {
    row.figures.get(&figure).unwrap_or_else(|| panic!("{} is known", figure.name())).value
}

fn close(value: f64, wanted: f64) {
    assert!((value / wanted - 1.0).abs() < 1e-9, "{value} is not {wanted}");
}

#[test]
fn where_nothing_is_kept_shared_answers_are_held_against_all_answers() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| Traffic { miss_every: 4, ..Traffic::default() });
    for block in &mut synthetic.run.blocks {
        for second in block.lanes.iter_mut().flat_map(|lane| &mut lane.seconds) {
            let hits = second.cache.remove("hit").unwrap_or_default();
            second.cache = BTreeMap::from([("coalesced".to_owned(), hits)]);
        }
    }
    close(value(row(&analyse(&synthetic.run), "direct"), Figure::HitRate), 0.75);
}

#[test]
fn every_figure_of_a_row_is_the_one_that_was_put_in() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| Traffic {
        errors_per_second: 1,
        opened: 2,
        miss_every: 4,
        host_steal: 0.01,
        ..Traffic::default()
    });
    let analysis = analyse(&synthetic.run);
    let row = row(&analysis, "direct");
    assert_eq!((row.blocks, row.answers, row.failed), (3, 1200, 12));
    for (figure, wanted) in [
        (Figure::Rate, 100.0),
        (Figure::Errors, 1.0 / 101.0),
        (Figure::BodyBytes, 3_700_000.0),
        (Figure::BodyBytesRate, 370_000_000.0),
        (Figure::HitRate, 0.75),
        (Figure::ApiCpu, 40.0),
        (Figure::ApiCpuCost, 4.0),
        (Figure::ApiMemory, 80_000_000.0),
        (Figure::ApiMemoryMax, 80_000_000.0),
        (Figure::ApiMemoryShare, 0.01),
        (Figure::ApiConnections, 20.0),
        (Figure::DatabaseCpu, 30.0),
        (Figure::DatabaseCpuCost, 3.0),
        (Figure::DatabaseConnections, 8.0),
        (Figure::DatabaseOperations, 1000.0),
        (Figure::ConnectionsOpened, 2000.0),
        (Figure::RedisCpuCost, 0.1),
        (Figure::PoolUse, 0.5),
        (Figure::PoolConnections, 4.0),
        (Figure::DriverCpu, 10.0),
        (Figure::HostBusy, 0.5),
        (Figure::HostSteal, 0.01),
    ] {
        close(value(row, figure), wanted);
    }
    // What nobody put in is absent, and neither 0 nor NaN.
    for figure in [Figure::PoolWaitP95, Figure::RedisSent, Figure::DatabaseMemoryShare] {
        assert!(!row.figures.contains_key(&figure), "{} is not known", figure.name());
    }
    assert!(row.figures.values().all(|estimate| estimate.value.is_finite()));
    // 10.0 ms to 19.9 ms in steps of 0.1 ms, at 0.1 % resolution.
    for (figure, wanted) in [
        (Figure::LatencyP50, 14.9),
        (Figure::LatencyP95, 19.4),
        (Figure::LatencyP99, 19.8),
        (Figure::LatencyMean, 14.95),
    ] {
        let value = value(row, figure);
        assert!((value / wanted - 1.0).abs() < 0.001, "{}: {value}", figure.name());
    }
    let rate = row.figures[&Figure::Rate];
    assert_eq!(rate.interval, Some((100.0, 100.0)), "nothing varied");
    assert_eq!(row.figures[&Figure::ApiMemoryMax].interval, None, "a highest sample has none");
}

#[test]
fn percentiles_are_those_of_the_merged_histogram_of_all_blocks() {
    let mut synthetic = Synthetic::new(&["direct"]);
    // 100 answers of 10 to 19.9 ms, then 300 that are three times as slow.
    synthetic.rounds(2, |_, round| Traffic {
        seconds: 1,
        answers_per_second: if round == 1 { 100 } else { 300 },
        latency_us: |i| 10_000 + (i % 100) * 100,
        slower: if round == 1 { 1.0 } else { 3.0 },
        ..Traffic::default()
    });
    let analysis = analyse(&synthetic.run);
    let found = value(row(&analysis, "direct"), Figure::LatencyP50);
    // 200 of 400 are reached after all of the first and a third of the second: 3 * 13.3 ms.
    assert!((found / 39.9 - 1.0).abs() < 0.002, "{found}");
    assert_eq!(row(&analysis, "direct").figures[&Figure::LatencyP50].interval, None);
}

#[test]
fn only_whole_measured_blocks_make_rows() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| Traffic::default());
    let other = Traffic { answers_per_second: 900, ..Traffic::default() };
    for role in [Role::Again, Role::Probe, Role::Ceiling, Role::Measure] {
        synthetic.block(("load", "direct", 4, role), users(20), &other);
    }
    synthetic.run.blocks.last_mut().expect("it was added").cut = Some("interrupted".into());
    let analysis = analyse(&synthetic.run);
    close(value(row(&analysis, "direct"), Figure::Rate), 100.0);
    assert_eq!(analysis.driver_ceiling, Some(900.0));
    let fact = &analysis.warnings.iter().find(|warning| warning.fact.contains("cut short"));
    assert!(fact.expect("it warns").fact.starts_with("1 of 7 blocks"), "{fact:?}");
}

#[test]
fn a_figure_of_an_absent_component_or_of_a_mixed_block_is_absent() {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.rounds(3, |_, _| Traffic::default());
    let mut absent = synthetic.run.clone();
    absent.target.sources.database = Source::Absent { why: "SQLite runs inside".into() };
    let analysis = analyse(&absent);
    assert!(!row(&analysis, "direct").figures.contains_key(&Figure::DatabaseCpu));
    assert!(row(&analysis, "direct").figures.contains_key(&Figure::ApiCpu));

    let mut mixed = synthetic.run.clone();
    mixed.plan.mixed = true;
    let blocks = std::mem::take(&mut mixed.blocks);
    for pair in blocks.chunks_exact(2) {
        let mut block = pair[0].clone();
        block.lanes.push(pair[1].lanes[0].clone());
        mixed.blocks.push(block);
    }
    let analysis = analyse(&mixed);
    assert!(table(&analysis).mixed);
    for figure in [Figure::ApiCpu, Figure::DatabaseConnections, Figure::RedisMemoryMax] {
        assert!(!row(&analysis, "pooled").figures.contains_key(&figure), "{}", figure.name());
    }
    close(value(row(&analysis, "pooled"), Figure::Rate), 100.0);
    // Of all strategies together it is known, and so is what they cost.
    let together = row(&analysis, TOGETHER);
    close(value(together, Figure::Rate), 200.0);
    for figure in [Figure::ApiCpuCost, Figure::DatabaseConnections, Figure::DriverCpu] {
        assert!(together.figures.contains_key(&figure), "{}", figure.name());
    }
    assert_eq!(
        together.answers,
        row(&analysis, "direct").answers + row(&analysis, "pooled").answers
    );
    assert!(table(&analysis).comparisons.iter().all(|one| one.strategy != TOGETHER));
    let itself = poolwise::lab::compare::compare(&mixed, &mixed, 0.05);
    assert_eq!(itself.worse, Vec::<String>::new());
    let changes =
        itself.endpoints.iter().find(|one| one.strategy == TOGETHER).expect("it is compared");
    assert!(changes.changes.iter().all(|change| change.before == change.after));
}

#[test]
fn a_sample_without_a_counter_at_the_end_is_made_up_for_and_a_block_without_any_is_not() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| Traffic::default());
    let last = synthetic.run.blocks[1].samples.last_mut().expect("it has samples");
    last.api.cpu_seconds = None;
    close(value(row(&analyse(&synthetic.run), "direct"), Figure::ApiCpuCost), 4.0);
    for sample in &mut synthetic.run.blocks[1].samples {
        sample.api.cpu_seconds = None;
    }
    let analysis = analyse(&synthetic.run);
    assert!(!row(&analysis, "direct").figures.contains_key(&Figure::ApiCpuCost));
}

#[test]
fn a_strategy_that_is_twice_as_fast_is_found_to_be() {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.rounds(5, |name, round| {
        // The noise of a round is shared: both blocks have it.
        let noise = noisy(u64::from(round), 0.1);
        let rate = if name == "pooled" { 400.0 } else { 200.0 } * noise;
        let slower = if name == "pooled" { 0.5 } else { 1.0 } / noise;
        let latency_us = |i| 10_000 + (i % 50) * 100;
        let answers_per_second = rate.round() as u64;
        Traffic { answers_per_second, slower, latency_us, ..Traffic::default() }
    });
    let analysis = analyse(&synthetic.run);
    let ratios = &comparison(&analysis, "pooled").ratios;
    for (figure, wanted) in
        [(Figure::Rate, 2.0), (Figure::LatencyP50, 0.5), (Figure::LatencyMean, 0.5)]
    {
        let ratio = ratios[&figure];
        let (low, high) = ratio.interval.expect("five rounds have one");
        println!("{}: {} ({low} to {high})", figure.name(), ratio.value);
        assert!((ratio.value / wanted - 1.0).abs() < 0.01, "{}: {ratio:?}", figure.name());
        assert!(!(low <= 1.0 && high >= 1.0), "{}: {ratio:?}", figure.name());
        assert_eq!(ratio.meaning, Meaning::Better);
    }
    let (low, high) = ratios[&Figure::Rate].interval.expect("it has one");
    assert!(low <= 2.001 && high >= 1.999 && high - low < 0.1, "pairing removed the noise");
    assert_eq!(ratios[&Figure::ApiCpu].meaning, Meaning::Different);
}

#[test]
fn two_strategies_that_are_the_same_are_seldom_found_to_differ() {
    let different = (0..200).filter(|seed| {
        let mut synthetic = Synthetic::new(&["direct", "pooled"]);
        synthetic.run.plan.seed = *seed;
        synthetic.rounds(5, |name, round| {
            let seed = seed * 1000 + u64::from(round) * 10 + u64::from(name == "pooled");
            let rate = (1000.0 * noisy(seed, 0.05)).round() as u64;
            let latency_us = |_| 10_000;
            Traffic { seconds: 1, answers_per_second: rate, latency_us, ..Traffic::default() }
        });
        // Their figures are not asked for here.
        synthetic.run.blocks.iter_mut().for_each(|block| block.samples.clear());
        let analysis = analyse(&synthetic.run);
        let meaning = comparison(&analysis, "pooled").ratios[&Figure::Rate].meaning;
        meaning != Meaning::NoMeasurableDifference
    });
    let share = different.count() as f64 / 200.0;
    println!("{} % of 200 equal pairs were called different", share * 100.0);
    // 5 % are expected of a 95 % interval; of 200 more than 9.5 % would be one chance in 500.
    assert!(share <= 0.095, "{share}");
}

#[test]
fn a_difference_within_the_noise_of_the_second_measurement_is_none() {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.run.plan.again = true;
    synthetic.rounds(5, |name, _| Traffic {
        answers_per_second: if name == "pooled" { 104 } else { 100 },
        ..Traffic::default()
    });
    let alone = analyse(&synthetic.run);
    assert_eq!(comparison(&alone, "pooled").ratios[&Figure::Rate].meaning, Meaning::Better);
    for round in 1..=5 {
        let again = Traffic { answers_per_second: 105, ..Traffic::default() };
        synthetic.block(("load", "direct", round, Role::Again), users(20), &again);
    }
    let analysis = analyse(&synthetic.run);
    close(analysis.noise[&Figure::Rate], 0.05);
    let ratio = comparison(&analysis, "pooled").ratios[&Figure::Rate];
    assert_eq!(ratio.meaning, Meaning::NoMeasurableDifference);
    close(value(row(&analysis, "direct"), Figure::Rate), 100.0);
}

#[test]
fn fewer_than_three_rounds_have_no_interval_and_mean_nothing() {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.rounds(2, |name, _| Traffic {
        answers_per_second: if name == "pooled" { 400 } else { 100 },
        ..Traffic::default()
    });
    let analysis = analyse(&synthetic.run);
    assert_eq!(row(&analysis, "direct").figures[&Figure::Rate].interval, None);
    let ratio = comparison(&analysis, "pooled").ratios[&Figure::Rate];
    assert_eq!((ratio.value, ratio.interval, ratio.meaning), (4.0, None, Meaning::NotKnown));
}

#[test]
fn rounds_that_only_one_of_two_strategies_has_do_not_enter_their_ratio() {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.rounds(4, |name, round| Traffic {
        answers_per_second: match (name, round) {
            ("pooled", _) => 200,
            (_, 4) => 900,
            _ => 100,
        },
        ..Traffic::default()
    });
    let fast = synthetic.run.blocks.iter_mut();
    for block in fast.filter(|block| block.round == 4 && block.lanes[0].strategy == "pooled") {
        block.cut = Some("interrupted".into());
    }
    let analysis = analyse(&synthetic.run);
    close(value(row(&analysis, "direct"), Figure::Rate), 300.0);
    assert_eq!(comparison(&analysis, "pooled").ratios[&Figure::Rate].value, 2.0);
}

#[test]
fn the_same_record_gives_the_same_analysis_also_after_a_round_trip_through_json() {
    let mut synthetic = Synthetic::new(&["direct", "pooled", "cached"]);
    synthetic.rounds(4, |name, round| {
        let noise = noisy(u64::from(round) + name.len() as u64 * 10, 0.1);
        let slower = noise * 1.234_567;
        Traffic { answers_per_second: (130.0 * noise) as u64, slower, ..Traffic::default() }
    });
    let first = analyse(&synthetic.run);
    let text = serde_json::to_string(&synthetic.run).expect("it can be written");
    let read: RunRecord = serde_json::from_str(&text).expect("and read");
    assert_eq!(first, analyse(&synthetic.run));
    assert_eq!(first, analyse(&read));
    let other_seed = {
        let mut run = synthetic.run.clone();
        run.plan.seed += 1;
        analyse(&run)
    };
    assert_ne!(first, other_seed, "the bootstrap is seeded from the plan");
}

#[test]
fn an_empty_run_says_that_nothing_was_measured() {
    let analysis = analyse(&Synthetic::new(&["direct"]).run);
    assert_eq!(analysis.stamp.level, Trust::Void);
    assert!(analysis.tables.is_empty() && analysis.noise == BTreeMap::new());
    let verdict: Vec<&str> = analysis.verdict.iter().map(|said| &*said.text).collect();
    assert_eq!(verdict, ["These figures must not be used: nothing was measured."]);
}
