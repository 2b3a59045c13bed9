//! Text and data cannot disagree: every number of every sentence is one of its cells, or one that the
//! plan, the stamp or a finding of the analysis holds.

use std::collections::BTreeSet;
use std::time::Duration;

use poolwise::lab::plan::{Arrivals, Level, Model, Point, Reference, Search, Target};
use poolwise::lab::record::{Ended, Load, Role, RunRecord, Source};
use poolwise::lab::verdict::{Analysis, Figure, Sentence, Trust, analyse, units};

use super::synthetic::{Synthetic, Traffic, closed, noisy, stage, users};

/// The numbers of a text. Names of strategies, points and percentiles are no numbers.
fn numbers(text: &str, names: &[&str]) -> Vec<String> {
    let mut text = text.to_owned();
    let mut names: Vec<&str> = names.iter().copied().chain(["p50", "p95", "p99"]).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.iter().for_each(|name| text = text.replace(name, "_"));
    // Commands are in backquotes.
    let text: String = text.split('`').step_by(2).collect();
    let is_part = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches([',', '.']));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn names(run: &RunRecord) -> Vec<&str> {
    let strategies = run.plan.strategies.iter().map(|planned| planned.name.as_str());
    strategies.chain(run.plan.points.iter().map(|point| point.name.as_str())).collect()
}

/// What the cells of a sentence show.
fn of_cells(sentence: &Sentence, analysis: &Analysis) -> Vec<String> {
    let mut shown = Vec::new();
    for cell in &sentence.cells {
        let figure = cell.figure;
        let table = analysis.tables.iter().find(|table| table.point == cell.point);
        let table = table.expect("a cell is in a table");
        let row = table.rows.iter().find(|row| row.strategy == cell.strategy);
        if let Some(estimate) = row.expect("and in a row").figures.get(&figure) {
            shown.push(units::figure(figure, estimate.value));
            shown.extend(estimate.interval.map(|interval| units::interval(figure, interval)));
        }
        let compared = table.comparisons.iter().filter(|c| c.strategy == cell.strategy);
        let ratios = compared.filter_map(|comparison| comparison.ratios.get(&figure));
        let swept = analysis.sweeps.iter().filter(|s| s.point == cell.point && s.figure == figure);
        let swept = swept.filter_map(|sweep| sweep.smallest.as_ref().map(|smallest| &smallest.2));
        for ratio in ratios.chain(swept) {
            shown.push(units::ratio(ratio.value));
            shown.extend(ratio.interval.map(units::ratio_interval));
        }
        for mark in analysis.targets.iter().filter(|mark| mark.figure == figure) {
            shown.push(units::figure(figure, mark.target));
            shown.push(units::figure(figure, mark.critical));
        }
    }
    shown
}

/// What else a sentence may say: the plan's load and limits, stamps, and findings that have no cells.
fn of_the_rest(sentence: &Sentence, run: &RunRecord, analysis: &Analysis) -> Vec<String> {
    // The confidence level, per 1,000 requests, "fewer than 3 rounds".
    let mut shown: Vec<String> = ["95", "1,000", "3"].map(str::to_owned).into();
    let about = |strategy: &str| sentence.text.contains(strategy);
    shown.extend(analysis.stamp.reasons.clone());
    // "and 2 more"
    let more = analysis.stamp.reasons.len().saturating_sub(1);
    shown.extend(sentence.text.contains(" more.").then(|| more.to_string()));
    for table in &analysis.tables {
        shown.push(table.load.clone());
        shown.extend(table.client_ceiling.map(units::rate));
        for row in table.rows.iter().filter(|row| about(&row.strategy)) {
            shown.extend(row.stamp.reasons.clone());
            let blocks = run.blocks.iter().filter(|block| {
                block.point == table.point
                    && block.role == Role::Measure
                    && block.lanes[0].strategy == row.strategy
            });
            let seconds: f64 = blocks.map(|block| block.to_seconds - block.from_seconds).sum();
            shown.push(units::rate(row.scheduled as f64 / seconds));
        }
    }
    shown.extend(analysis.driver_ceiling.map(units::rate));
    shown.extend(analysis.noise.get(&Figure::Rate).map(|noise| units::percent(*noise)));
    for sweep in &analysis.sweeps {
        shown.extend(sweep.smallest.iter().map(|(size, ..)| size.to_string()));
    }
    for knee in analysis.knees.iter().filter(|knee| about(&knee.strategy)) {
        shown.extend(knee.held.iter().chain(&knee.broke).map(|level| units::plain(*level)));
        shown.push(knee.why.clone());
        shown.extend(knee.limit.as_ref().map(|limit| limit.because.text.clone()));
    }
    for recovery in analysis.recoveries.iter().filter(|recovery| about(&recovery.strategy)) {
        let times = recovery.before_ms.iter().chain(&recovery.peak_ms);
        shown.extend(times.map(|ms| units::milliseconds(*ms)));
        shown.push(units::count(recovery.failed));
        shown.extend(recovery.after_seconds.map(units::duration));
        shown.push("1.5".to_owned());
    }
    for drift in analysis.drifts.iter().filter(|drift| about(&drift.strategy)) {
        let values = [drift.per_hour, drift.interval.0, drift.interval.1];
        shown.extend(values.map(|value| units::figure(drift.figure, value.abs())));
    }
    let marks = analysis.targets.iter().filter(|mark| about(&mark.strategy)).count();
    if sentence.text.contains("targets that could be measured") {
        shown.extend((0..=marks).map(|n| n.to_string()));
    }
    if let Some(cores) = &run.host.service_cores {
        shown.push(cores.len().to_string());
    }
    shown
}

fn strangers(sentence: &Sentence, run: &RunRecord, analysis: &Analysis) -> Vec<String> {
    let names = names(run);
    let shown = of_cells(sentence, analysis).into_iter();
    let shown = shown.chain(of_the_rest(sentence, run, analysis));
    let known: BTreeSet<String> = shown.flat_map(|text| numbers(&text, &names)).collect();
    numbers(&sentence.text, &names).into_iter().filter(|number| !known.contains(number)).collect()
}

fn sentences(analysis: &Analysis) -> Vec<&Sentence> {
    let rows = analysis.tables.iter().flat_map(|table| &table.rows);
    let limits = rows.map(|row| &row.limit.because);
    analysis.verdict.iter().chain(&analysis.conclusions).chain(limits).collect()
}

/// Runs of every kind.
fn runs() -> Vec<(&'static str, RunRecord)> {
    let three = ["direct", "pooled", "cached"];
    let vary = |name: &str, round: u32| {
        let better = [("direct", 1.0), ("pooled", 1.2), ("cached", 1.25)];
        let better = better.iter().find(|(of, _)| *of == name).map_or(1.0, |(_, times)| *times);
        let noise = |seed: u64| noisy(u64::from(round) * 7 + name.len() as u64 + seed, 0.05);
        Traffic {
            answers_per_second: (400.0 * better * noise(0)) as u64,
            slower: noise(1) / better,
            miss_every: if name == "cached" { 5 } else { 0 },
            opened: u64::from(name == "direct"),
            host_busy: 0.93,
            api_cpu: 0.003 / better * noise(2),
            ..Traffic::default()
        }
    };
    let mut full = Synthetic::new(&three);
    full.run.plan.again = true;
    full.rounds(5, vary);
    for round in 1..=5 {
        let traffic = vary("direct", round + 10);
        full.block(("load", "direct", round, Role::Again), users(20), &traffic);
    }
    let ceiling = Traffic { answers_per_second: 700, ..Traffic::default() };
    full.block(("noop", "noop", 1, Role::Ceiling), users(20), &ceiling);
    for (name, target, critical) in [("latency_p95_ms", 20.0, 25.0), ("error_share", 0.01, 0.05)] {
        full.run.plan.targets.insert(name.into(), Target { target, critical });
    }

    let mut paused = Synthetic::new(&three);
    paused.rounds(3, |name, round| Traffic {
        answers_per_second: 78 + name.len() as u64,
        ..vary(name, round)
    });
    paused.run.plan.points = vec![closed("load", 20, Duration::from_millis(233))];
    for block in &mut paused.run.blocks {
        block.load = Load::Closed { users: 20, pause_seconds: 0.233 };
    }

    let mut void = Synthetic::new(&three);
    void.rounds(3, |name, round| Traffic {
        errors_per_second: if name == "direct" { 100 } else { 0 },
        ..vary(name, round)
    });
    let mut short = Synthetic::new(&three);
    short.rounds(2, vary);
    short.run.ended = Ended::Interrupted;
    short.run.target.sources.database = Source::Absent { why: "SQLite runs inside".into() };

    let mut open = Synthetic::new(&["pool-1", "pool-2", "pool-4"]);
    open.rounds(4, |name, round| Traffic { answers_per_second: 100, ..vary(name, round) });
    let model = Model::Open { arrivals: Arrivals::Poisson, connections: 64 };
    let level = Level::Share { share: 0.7, point: "load".into(), of: Reference::Fastest };
    let stages = vec![stage(level, 4)];
    open.run.plan.points.push(Point { name: "70-percent".into(), model, stages });
    let blocks = open.run.blocks.clone();
    for mut block in blocks {
        block.point = "70-percent".into();
        block.load = Load::Open { rate: 101.0, connections: 64 };
        open.run.blocks.push(block);
    }

    let mut search = Synthetic::new(&["direct", "pooled"]);
    search.run.plan.points.clear();
    let model = Model::Closed { pause: Duration::ZERO };
    search.run.plan.search = Some(Search {
        model,
        from: 10.0,
        factor: 2.0,
        to: 80.0,
        resolution: 0.1,
        probe: Duration::from_secs(4),
        p95_ms: 50.0,
        errors: 0.01,
    });
    for (name, level, slower) in [("direct", 10, 1.0), ("direct", 20, 3.0), ("pooled", 10, 1.5)] {
        let traffic = Traffic { slower, pool: (8, 8, 3), ..Traffic::default() };
        search.block(("search", name, 1, Role::Probe), users(level), &traffic);
    }

    let mut spike = Synthetic::new(&["direct", "pooled"]);
    spike.run.plan.name = "soak".into();
    let stages = [(10, 20), (100, 20), (10, 20)].map(|(n, s)| stage(Level::Users { users: n }, s));
    spike.run.plan.points = vec![Point { name: "load".into(), model, stages: stages.into() }];
    spike.rounds(1, |name, round| Traffic {
        seconds: 60,
        errors_per_second: 1,
        ..vary(name, round)
    });
    for sample in &mut spike.run.blocks[0].samples {
        sample.api.memory_bytes = Some(50_000_000 + (sample.at_seconds * 12_345.0) as u64);
    }
    [
        ("full", full),
        ("paused", paused),
        ("void", void),
        ("short", short),
        ("open", open),
        ("search", search),
        ("spike", spike),
    ]
    .map(|(name, synthetic)| (name, synthetic.run))
    .into()
}

#[test]
fn every_number_of_every_sentence_is_in_its_cells_or_in_the_plan() {
    for (name, run) in runs() {
        let analysis = analyse(&run);
        println!("\n# {name}: {} {:#?}", analysis.stamp.level.word(), analysis.stamp.reasons);
        analysis.preface.iter().for_each(|text| println!("P {text}"));
        analysis.verdict.iter().for_each(|said| println!("V {}", said.text));
        analysis.conclusions.iter().for_each(|said| println!("C {}", said.text));
        analysis.warnings.iter().for_each(|warn| println!("W {} -> {}", warn.fact, warn.advice));
        assert!((2..=5).contains(&analysis.verdict.len()), "{name}: {:#?}", analysis.verdict);
        for sentence in sentences(&analysis) {
            let strangers = strangers(sentence, &run, &analysis);
            assert!(strangers.is_empty(), "{name}: {strangers:?} in {:?}", sentence.text);
            let unknown = sentence.text.contains("unknown value");
            assert!(!unknown && !sentence.text.contains("NaN"), "{}", sentence.text);
        }
    }
}

#[test]
fn a_number_that_is_not_in_the_data_is_noticed() {
    let (_, run) = runs().remove(0);
    let analysis = analyse(&run);
    let mut noticed = 0;
    for sentence in sentences(&analysis) {
        let first = numbers(&sentence.text, &names(&run));
        let Some(number) = first.iter().find(|number| number.len() > 2 && *number != "1,000")
        else {
            continue;
        };
        let wrong = Sentence {
            text: sentence.text.replacen(number.as_str(), &format!("7{number}"), 1),
            cells: sentence.cells.clone(),
        };
        assert!(!strangers(&wrong, &run, &analysis).is_empty(), "{}", wrong.text);
        noticed += 1;
    }
    assert!(noticed > 10, "only {noticed} sentences have numbers");
}

#[test]
fn the_wording_follows_the_stamp() {
    let verdict = |wanted: &str| {
        let (_, run) = runs().into_iter().find(|(name, _)| *name == wanted).expect("it is one");
        let analysis = analyse(&run);
        let texts: Vec<&str> = analysis.verdict.iter().map(|said| &*said.text).collect();
        (analysis.stamp.level, texts.join(" "))
    };
    let (level, text) = verdict("paused");
    assert_eq!(level, Trust::LowerBound);
    assert!(text.contains("Read the requests a second as \"at least\""), "{text}");
    assert!(text.contains("only response times and costs tell them apart"), "{text}");
    let (level, text) = verdict("void");
    assert_eq!(level, Trust::Void);
    assert!(text.starts_with("Not all of these figures may be used: direct at load: "), "{text}");
    assert!(!text.contains("as many requests a second as direct"), "{text}");
}
