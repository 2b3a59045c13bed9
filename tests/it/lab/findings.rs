//! What a plan looks for besides its tables: stamps, limits, pool sizes, knees, recoveries, drifts and
//! targets, each with an answer that is known.

use std::time::Duration;

use poolwise::lab::plan::{Arrivals, Level, Model, Point, Search, Target};
use poolwise::lab::record::{Ended, Load, Role, Source};
use poolwise::lab::verdict::{Analysis, Figure, LimitedBy, Mark, Meaning, Row, Trust, analyse};

use super::synthetic::{Synthetic, Traffic, closed, noisy, stage, users};

fn row<'a>(analysis: &'a Analysis, strategy: &str) -> &'a Row {
    let rows = analysis.tables.iter().flat_map(|table| &table.rows);
    rows.into_iter().find(|row| row.strategy == strategy).expect("it was measured")
}

/// The row of three rounds of the same traffic, after a change of the record.
fn of(traffic: Traffic, change: impl Fn(&mut Synthetic)) -> Row {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| traffic.clone());
    change(&mut synthetic);
    let analysis = analyse(&synthetic.run);
    assert!(analysis.stamp.level >= row(&analysis, "direct").stamp.level);
    row(&analysis, "direct").clone()
}

/// Makes every block one of the open model.
fn open(rate: f64, connections: u32) -> impl Fn(&mut Synthetic) {
    move |synthetic| {
        let model = Model::Open { arrivals: Arrivals::Constant, connections };
        synthetic.run.plan.points[0].model = model;
        synthetic.run.plan.points[0].stages = vec![stage(Level::Rate { rate }, 4)];
        for block in &mut synthetic.run.blocks {
            block.load = Load::Open { rate, connections };
        }
    }
}

fn paused(pause: Duration) -> impl Fn(&mut Synthetic) {
    move |synthetic| {
        synthetic.run.plan.points = vec![closed("load", 20, pause)];
        for block in &mut synthetic.run.blocks {
            block.load = Load::Closed { users: 20, pause_seconds: pause.as_secs_f64() };
        }
    }
}

#[test]
fn a_run_is_void_for_each_of_its_reasons_and_says_the_numbers() {
    let void = |traffic, words: &str| {
        let row = of(traffic, |_| ());
        assert_eq!(row.stamp.level, Trust::Void, "{words}");
        assert!(row.stamp.reasons.iter().any(|why| why.contains(words)), "{:?}", row.stamp);
    };
    let normal = Traffic::default;
    void(
        Traffic { errors_per_second: 10, ..normal() },
        "9.09 % of the requests failed, more than the 5.00 %",
    );
    void(Traffic { host_steal: 0.08, ..normal() }, "8.00 % of the machine's processor to others");
    void(
        Traffic { swapped_pages_per_second: 500, ..normal() },
        "swapped 6,000 pages, more than the 1,000",
    );
    void(Traffic { answers_per_second: 0, ..normal() }, "nothing was measured");
    void(
        Traffic { answers_per_second: 0, errors_per_second: 5, ..normal() },
        "nothing was answered: 60 requests failed",
    );
    let fine = of(Traffic { errors_per_second: 5, host_steal: 0.04, ..normal() }, |_| ());
    assert_eq!(fine.stamp.level, Trust::Valid, "{:?}", fine.stamp);
}

#[test]
fn a_pause_that_asks_for_no_more_makes_a_lower_bound() {
    let traffic = Traffic { answers_per_second: 84, ..Traffic::default() };
    let row = of(traffic, paused(Duration::from_millis(233)));
    assert_eq!((row.limit.by, row.stamp.level), (LimitedBy::Pause, Trust::LowerBound));
    let said = "users who pause 233 ms ask for 85.8/s at most, and it did 84.0/s";
    assert_eq!(row.limit.because.text, said);
    // 60 of 85.8: users pause for 70 % of their time, and the processor has time left.
    let traffic = Traffic { answers_per_second: 60, ..Traffic::default() };
    let row = of(traffic, paused(Duration::from_millis(233)));
    assert_eq!((row.limit.by, row.stamp.level), (LimitedBy::Pause, Trust::LowerBound));
    // The same with the processor full of the API's work is the service's own limit.
    let traffic =
        Traffic { answers_per_second: 60, host_busy: 0.95, api_cpu: 0.05, ..Traffic::default() };
    let row = of(traffic, paused(Duration::from_millis(233)));
    assert_eq!((row.limit.by, row.stamp.level), (LimitedBy::ApiCpu, Trust::Valid));
}

#[test]
fn a_driver_at_its_end_makes_a_lower_bound() {
    // Both of its threads.
    let row = of(Traffic { driver_cpu: 0.019, ..Traffic::default() }, |_| ());
    assert_eq!((row.limit.by, row.stamp.level), (LimitedBy::Driver, Trust::LowerBound));
    // One core of a full machine.
    let busy = Traffic { driver_cpu: 0.0095, host_busy: 0.97, ..Traffic::default() };
    assert_eq!(of(busy, |_| ()).limit.by, LimitedBy::Driver);
    // One core, with others idle: no limit.
    let idle = Traffic { driver_cpu: 0.0095, ..Traffic::default() };
    assert_eq!(of(idle, |_| ()).stamp.level, Trust::Valid);
    // Near what it can do at all.
    let row = of(Traffic::default(), |synthetic| {
        let noop = Traffic { answers_per_second: 120, ..Traffic::default() };
        synthetic.block(("noop", "noop", 1, Role::Ceiling), users(20), &noop);
    });
    assert_eq!(row.limit.by, LimitedBy::Driver);
    let said = "it did 100/s, and the load driver did 120/s where the service had nothing to do";
    assert_eq!(row.limit.because.text, said);
}

#[test]
fn something_else_that_fills_the_machine_makes_a_lower_bound() {
    let others = Traffic { host_busy: 0.97, ..Traffic::default() };
    let row = of(others, |_| ());
    assert_eq!(row.stamp.level, Trust::LowerBound);
    assert!(row.stamp.reasons[0].contains("is no part of the run"), "{:?}", row.stamp);
    let with_room = Traffic { host_busy: 0.6, ..Traffic::default() };
    assert_eq!(of(with_room, |_| ()).stamp.level, Trust::Valid);
}

#[test]
fn late_arrivals_count_against_the_driver_only_while_the_service_was_quick() {
    let late = Traffic { late: 20, ..Traffic::default() };
    let row = of(late.clone(), open(100.0, 64));
    assert_eq!((row.limit.by, row.stamp.level), (LimitedBy::ArrivalRate, Trust::LowerBound));
    assert!(row.stamp.reasons[0].contains("60 of 1,200 arrivals late"), "{:?}", row.stamp);
    // Answers of 1.5 s keep 64 connections busy: late because the service is slow.
    let slow = Traffic { slower: 100.0, ..late };
    assert_eq!(of(slow, open(100.0, 64)).stamp.level, Trust::Valid);
    assert_eq!(
        of(Traffic { late: 2, ..Traffic::default() }, open(100.0, 64)).stamp.level,
        Trust::Valid
    );
}

#[test]
fn each_limit_is_named_with_its_arithmetic() {
    let limit = |traffic, change: &dyn Fn(&mut Synthetic)| {
        let limit = of(traffic, change).limit;
        (limit.by, limit.because.text)
    };
    let full = || Traffic { host_busy: 0.96, ..Traffic::default() };
    assert_eq!(
        limit(Traffic { database_cpu: 0.02, ..full() }, &|_| ()),
        (
            LimitedBy::DatabaseCpu,
            "the processor of the machine was 96.0 % in use, most of it by the database with 200 % of a core".into()
        )
    );
    let (by, text) = limit(Traffic { database_cpu: 0.0, api_cpu: 0.001, ..full() }, &|_| ());
    assert_eq!(by, LimitedBy::Unknown, "{text}");
    assert!(text.contains("not seen from here"), "{text}");
    let redis = Traffic { redis_cpu: 0.0095, ..Traffic::default() };
    assert_eq!(limit(redis, &|_| ()).0, LimitedBy::RedisCpu);
    let waiting = Traffic { pool: (8, 8, 5), ..Traffic::default() };
    let said = "100 % of its connections were in use and on average 5 requests waited for one, with the processor of the machine 50.0 % in use";
    assert_eq!(limit(waiting, &|_| ()), (LimitedBy::Pool, said.into()));
    let pinned = |synthetic: &mut Synthetic| synthetic.run.host.service_cores = Some(vec![0]);
    assert_eq!(limit(Traffic { api_cpu: 0.0095, ..full() }, &pinned).0, LimitedBy::ApiCpu);
    let remote = |synthetic: &mut Synthetic| {
        synthetic.run.target.url = "http://192.168.1.5:8080".into();
        synthetic.run.target.started_by_the_lab = false;
    };
    let wide = Traffic { body_bytes: 1_200_000, ..Traffic::default() };
    assert_eq!(limit(wide.clone(), &remote).0, LimitedBy::Bandwidth);
    assert_eq!(limit(wide, &|_| ()).0, LimitedBy::Unknown, "loopback has no such limit");
    assert_eq!(limit(Traffic::default(), &open(100.0, 64)).0, LimitedBy::ArrivalRate);
}

#[test]
fn a_sweep_with_a_known_knee_names_it() {
    let rates = [(1, 100.0), (2, 190.0), (4, 350.0), (8, 400.0), (16, 402.0), (32, 399.0)];
    let mut synthetic =
        Synthetic::new(&["pool-1", "pool-2", "pool-4", "pool-8", "pool-16", "pool-32"]);
    synthetic.rounds(6, |name, round| {
        let size: u32 = name.trim_start_matches("pool-").parse().expect("a number");
        let rate = rates.iter().find(|(of, _)| *of == size).expect("one of them").1;
        let noise = noisy(u64::from(round) * 100 + u64::from(size), 0.02);
        let answers_per_second = (rate * noise).round() as u64;
        Traffic { seconds: 1, answers_per_second, ..Traffic::default() }
    });
    let analysis = analyse(&synthetic.run);
    let [sweep] = &analysis.sweeps[..] else { panic!("one point has one sweep") };
    let (size, strategy, ratio) = sweep.smallest.clone().expect("there is one");
    assert_eq!((size, strategy.as_str()), (8, "pool-8"), "{sweep:?}");
    assert_eq!((ratio.meaning, sweep.figure), (Meaning::NoMeasurableDifference, Figure::Rate));
    assert_eq!(sweep.note, None);
    assert_eq!(sweep.sizes.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32]);
    let said = &analysis.verdict[0].text;
    assert!(said.starts_with("At load, 8 connections are the smallest pool"), "{said}");
}

#[test]
fn a_flat_sweep_names_the_smallest_a_rising_one_asks_for_more_and_two_rounds_say_nothing() {
    let sweep = |rounds, rate: fn(f64) -> f64| {
        let mut synthetic = Synthetic::new(&["pool-2", "pool-4", "pool-8"]);
        synthetic.rounds(rounds, |name, round| {
            let size: u32 = name.trim_start_matches("pool-").parse().expect("a number");
            let noise = noisy(u64::from(round) * 31 + u64::from(size), 0.02);
            let answers_per_second = (rate(f64::from(size)) * noise).round() as u64;
            Traffic { seconds: 1, answers_per_second, ..Traffic::default() }
        });
        analyse(&synthetic.run).sweeps.remove(0)
    };
    let flat = sweep(5, |_| 300.0);
    assert_eq!(flat.smallest.expect("any will do").0, 2);
    assert!(flat.note.expect("it says so").contains("any of them will do"));
    let rising = sweep(5, |size| 100.0 * size);
    assert_eq!(rising.smallest.expect("the largest").0, 8);
    assert!(rising.note.expect("it says so").contains("try larger ones"));
    let short = sweep(2, |size| 100.0 * size);
    assert_eq!(short.smallest, None);
    assert!(short.note.expect("it says why").contains("fewer than 3 rounds"));
}

#[test]
fn a_sweep_that_a_pause_held_back_names_no_size() {
    let mut synthetic = Synthetic::new(&["pool-2", "pool-4"]);
    synthetic.rounds(3, |_, _| Traffic { answers_per_second: 85, ..Traffic::default() });
    paused(Duration::from_millis(233))(&mut synthetic);
    let sweep = analyse(&synthetic.run).sweeps.remove(0);
    assert_eq!(sweep.smallest, None);
    assert!(sweep.note.expect("it says why").contains("held every size back"));
}

#[test]
fn at_a_set_rate_the_sweep_compares_p95_of_those_that_dropped_nothing() {
    let mut synthetic = Synthetic::new(&["pool-2", "pool-4", "pool-8"]);
    synthetic.rounds(5, |name, round| Traffic {
        seconds: 1,
        slower: noisy(u64::from(round), 0.02) * if name == "pool-4" { 2.0 } else { 1.0 },
        dropped: u64::from(name == "pool-2"),
        ..Traffic::default()
    });
    open(100.0, 64)(&mut synthetic);
    let sweep = analyse(&synthetic.run).sweeps.remove(0);
    assert_eq!(sweep.figure, Figure::LatencyP95);
    assert_eq!(sweep.sizes.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [4, 8]);
    assert_eq!(sweep.smallest.expect("there is one").0, 8);
}

#[test]
fn a_search_finds_the_level_at_which_p95_passed_its_limit() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.run.plan.points.clear();
    synthetic.run.plan.search = Some(Search {
        model: Model::Closed { pause: Duration::ZERO },
        from: 10.0,
        factor: 2.0,
        to: 80.0,
        resolution: 0.1,
        probe: Duration::from_secs(4),
        p95_ms: 1000.0,
        errors: 0.01,
    });
    for (level, slower) in [(10, 1.0), (20, 2.0), (40, 90.0), (30, 20.0), (35, 60.0)] {
        let traffic = Traffic { slower, pool: (8, 8, 9), ..Traffic::default() };
        synthetic.block(("search", "direct", 1, Role::Probe), users(level), &traffic);
    }
    let analysis = analyse(&synthetic.run);
    let [knee] = &analysis.knees[..] else { panic!("one strategy has one knee") };
    assert_eq!((knee.held, knee.broke, knee.unit), (Some(30.0), Some(35.0), "users"));
    assert_eq!(knee.why, "p95 was 1,160 ms, above 1,000 ms");
    let held: Vec<(f64, bool)> = knee.steps.iter().map(|step| (step.level, step.held)).collect();
    assert_eq!(held, [(10.0, true), (20.0, true), (30.0, true), (35.0, false), (40.0, false)]);
    assert_eq!(knee.limit.as_ref().expect("it is known").by, LimitedBy::Pool);
    assert_eq!(analysis.stamp.level, Trust::Valid);

    // Errors break it too; a probe that was interrupted before anything broke says nothing.
    let failing = Traffic { errors_per_second: 2, ..Traffic::default() };
    synthetic.block(("search", "direct", 1, Role::Probe), users(25), &failing);
    synthetic.block(("search", "direct", 1, Role::Probe), users(5), &Traffic::default());
    synthetic.run.blocks.last_mut().expect("it was added").cut = Some("interrupted".into());
    let knee = analyse(&synthetic.run).knees.remove(0);
    assert_eq!((knee.held, knee.broke), (Some(20.0), Some(25.0)));
    assert_eq!(knee.why, "1.96 % of the requests failed, more than 1.00 %");
    assert_eq!(knee.steps[0].level, 10.0);
}

#[test]
fn a_spike_is_seen_with_its_recovery() {
    let mut synthetic = Synthetic::new(&["direct"]);
    let stages = [(10, 5), (100, 5), (10, 10)].map(|(n, s)| stage(Level::Users { users: n }, s));
    let model = Model::Closed { pause: Duration::ZERO };
    synthetic.run.plan.points = vec![Point { name: "load".into(), model, stages: stages.into() }];
    let traffic = Traffic { seconds: 20, ..Traffic::default() };
    synthetic.rounds(1, |_, _| traffic.clone());
    let seconds = &mut synthetic.run.blocks[0].lanes[0].seconds;
    for (at, second) in seconds.iter_mut().enumerate() {
        // Three times as slow in the peak and for four seconds after it; one second 30 times.
        let slower = if at == 7 { 30 } else { 3 };
        if (5..14).contains(&at) {
            second.latency = Default::default();
            for i in 0..100 {
                second.latency.record(Duration::from_micros((10_000 + i * 100) * slower));
            }
            second.errors = u64::from(at < 10) * 2;
        }
    }
    let recovery = analyse(&synthetic.run).recoveries.remove(0);
    let near =
        |value: Option<f64>, wanted: f64| (value.expect("known") / wanted - 1.0).abs() < 0.01;
    assert!(near(recovery.before_ms, 14.9) && near(recovery.peak_ms, 447.0), "{recovery:?}");
    assert_eq!((recovery.failed, recovery.after_seconds), (10, Some(4.0)));

    // Ramps only up: no peak.
    synthetic.run.plan.points[0].stages.pop();
    assert!(analyse(&synthetic.run).recoveries.is_empty());
}

#[test]
fn a_leak_is_found_with_its_slope_and_steady_memory_is_not_called_one() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.run.plan.name = "soak".into();
    let traffic = Traffic { seconds: 120, answers_per_second: 10, ..Traffic::default() };
    synthetic.rounds(1, |_, _| traffic.clone());
    for sample in &mut synthetic.run.blocks[0].samples {
        // 1,000 bytes a second are 3.6 million an hour, 3.43 MiB.
        let second = sample.at_seconds as u64;
        let wobble = (second * 7919 % 13) * 100;
        sample.api.memory_bytes = Some(50_000_000 + second * 1000 + wobble);
        sample.database.memory_bytes = Some(50_000_000 + (second * 7919 % 13) * 1000);
    }
    let analysis = analyse(&synthetic.run);
    let drift = |figure| analysis.drifts.iter().find(|drift| drift.figure == figure);
    let leak = drift(Figure::ApiMemory).expect("it was sampled");
    println!("{leak:?}");
    assert!(leak.interval.0 < 3.6e6 && leak.interval.1 > 3.6e6 && leak.interval.0 > 3e6);
    let steady = drift(Figure::DatabaseMemory).expect("it was sampled");
    assert!(steady.interval.0 < 0.0 && steady.interval.1 > 0.0, "{steady:?}");
    let texts: Vec<&str> = analysis.conclusions.iter().map(|said| &*said.text).collect();
    assert!(
        texts.iter().any(|text| text.starts_with("The memory of the API with direct grew by 3.4"))
    );
    let still = "No drift could be measured with direct in memory of the database";
    assert!(texts.iter().any(|text| text.starts_with(still)), "{texts:#?}");
    synthetic.run.plan.name = "case".into();
    assert!(analyse(&synthetic.run).drifts.is_empty(), "two minutes are too short");
}

#[test]
fn targets_are_met_missed_or_critical() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| Traffic::default());
    let targets = &mut synthetic.run.plan.targets;
    for (name, target, critical) in [
        ("requests_per_second", 100.0, 80.0),
        ("latency_p95_ms", 15.0, 50.0),
        ("latency_p50_ms", 5.0, 10.0),
        ("pool_use", 0.7, 0.9),
        ("hit_rate", 0.7, 0.5),
    ] {
        targets.insert(name.into(), Target { target, critical });
    }
    let analysis = analyse(&synthetic.run);
    let marks: Vec<(Figure, Mark)> =
        analysis.targets.iter().map(|target| (target.figure, target.mark)).collect();
    let expected = [
        (Figure::Rate, Mark::Met),
        (Figure::LatencyP50, Mark::Critical),
        (Figure::LatencyP95, Mark::Missed),
        (Figure::HitRate, Mark::Unknown),
        (Figure::PoolUse, Mark::Met),
    ];
    assert_eq!(marks, expected);
    let said = "direct at load met 2 of 4 targets that could be measured; p50 was 14.9 ms, where 5.00 ms is wanted and 10.0 ms is critical; p95 was 19.4 ms, where 15.0 ms is wanted.";
    assert!(
        analysis.conclusions.iter().any(|sentence| sentence.text == said),
        "{:#?}",
        analysis.conclusions
    );
}

#[test]
fn the_reader_is_told_first_of_another_set_up_and_of_a_run_that_was_cut_short() {
    let mut synthetic = Synthetic::new(&["direct", "cached"]);
    synthetic.rounds(3, |_, _| Traffic::default());
    synthetic.run.target.backend = Some("sqlite".into());
    synthetic.run.target.sources.database = Source::Absent { why: "SQLite runs inside".into() };
    synthetic.run.target.strategies[1].cache = "memory".into();
    synthetic.run.ended = Ended::Interrupted;
    let analysis = analyse(&synthetic.run);
    assert_eq!(
        analysis.preface,
        [
            "This is not the assignment's set-up: the database is SQLite, which runs inside the service, instead of PostgreSQL or MySQL: its cost is part of the API's; the cache of cached is in the service's own memory instead of Redis.",
            "This run was cut short after 3 of 5 rounds: it was interrupted.",
            "The API and Redis share the load driver's 4 cores: what one uses, the others lack.",
        ]
    );
    let said = "The database: there is none in this set-up: SQLite runs inside.";
    assert!(analysis.conclusions.iter().any(|sentence| sentence.text == said));
}
