//! Analyses of the synthetic records, by hand: every kind of finding, in small. Response times are
//! those of the record; what the components used is what the profiles say.

use std::collections::BTreeMap;

use poolwise::lab::histogram::Times;
use poolwise::lab::record::{Role, RunRecord, Source, Usage};
use poolwise::lab::verdict::{
    Analysis, CellRef, Comparison, Drift, Estimate, Figure, Knee, KneeStep, Limit, LimitedBy, Mark,
    Meaning, PointTable, Ratio, Recovery, Row, Sentence, Stamp, Sweep, TargetMark, Trust, Warning,
};

use super::synthetic_report::{self, CACHED, DIRECT, POOLED, Profile};

fn stamp(level: Trust, reasons: &[&str]) -> Stamp {
    Stamp { level, reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect() }
}

fn sentence(text: &str, point: &str, cells: &[(&str, Figure)]) -> Sentence {
    let cell = |(strategy, figure): &(&str, Figure)| {
        let (point, strategy) = (point.to_owned(), (*strategy).to_owned());
        CellRef { point, strategy, figure: *figure }
    };
    Sentence { text: text.to_owned(), cells: cells.iter().map(cell).collect() }
}

/// The response times and counts of a row are those of the record.
fn row(run: &RunRecord, point: &str, profile: &Profile) -> Row {
    let of_point = |block: &&poolwise::lab::record::Block| {
        block.point == point
            && block.role == Role::Measure
            && block.lanes[0].strategy == profile.name
    };
    let blocks: Vec<_> = run.blocks.iter().filter(of_point).collect();
    let (mut times, mut answers, mut bytes, mut seconds) = (Times::default(), 0, 0, 0.0);
    let (mut hits, mut looked_up) = (0, 0);
    for block in &blocks {
        seconds += block.to_seconds - block.from_seconds;
        for second in &block.lanes[0].seconds {
            times.add(&second.latency);
            answers += second.answers;
            bytes += second.body_bytes;
            hits += second.cache.get("hit").copied().unwrap_or(0);
            looked_up += second.cache.values().sum::<u64>();
        }
    }
    let rate = answers as f64 / seconds;
    let mut figures = BTreeMap::new();
    let mut known = |figure, value: Option<f64>| {
        let interval = |value: f64| Some((value * 0.97, value * 1.04));
        let estimate = value.map(|value| Estimate { value, interval: interval(value) });
        figures.extend(estimate.map(|estimate| (figure, estimate)));
    };
    let some = |value: f64| Some(value);
    known(Figure::Rate, some(rate));
    known(Figure::LatencyMean, times.mean_ms());
    known(Figure::LatencyP50, times.quantile_ms(0.5));
    known(Figure::LatencyP95, times.quantile_ms(0.95));
    known(Figure::LatencyP99, times.quantile_ms(0.99));
    known(Figure::ServiceTimeMean, times.mean_ms());
    known(Figure::Errors, some(0.0));
    known(Figure::BodyBytes, some(bytes as f64 / answers as f64));
    known(Figure::BodyBytesRate, some(bytes as f64 / seconds));
    known(Figure::HitRate, (looked_up > 0).then(|| hits as f64 / looked_up as f64));
    known(Figure::ApiCpu, some(rate * profile.api_cpu_ms / 10.0));
    known(Figure::ApiCpuCost, some(profile.api_cpu_ms));
    known(Figure::ApiMemory, some(61.4 * 1_048_576.0));
    known(Figure::ApiMemoryMax, some(63.0 * 1_048_576.0));
    known(Figure::ApiConnections, some(20.0));
    known(Figure::DatabaseCpu, some(rate * profile.database_cpu_ms / 10.0));
    known(Figure::DatabaseCpuCost, some(profile.database_cpu_ms));
    known(Figure::DatabaseMemory, some((118.0 + profile.connections as f64 * 6.0) * 1_048_576.0));
    known(Figure::DatabaseConnections, some(profile.connections as f64 + 0.6));
    known(Figure::DatabaseConnectionsMax, some(profile.connections as f64 + 1.0));
    known(Figure::ConnectionsOpened, some(if profile.name == "direct" { 1000.0 } else { 1.9 }));
    known(Figure::DatabaseOperations, some(if profile.cached { 151.0 } else { 1000.0 }));
    known(Figure::RedisCpu, some(rate * profile.redis_cpu_ms / 10.0));
    known(Figure::RedisCpuCost, some(profile.redis_cpu_ms));
    known(Figure::RedisMemory, some(14.2 * 1_048_576.0));
    known(Figure::RedisConnections, some(if profile.cached { 9.0 } else { 1.0 }));
    known(Figure::RedisOperations, profile.cached.then_some(1151.0));
    known(Figure::PoolUse, some(0.41));
    known(Figure::PoolWaiting, some(0.02));
    known(Figure::PoolWaitP95, some(24.0 / profile.connections as f64));
    known(Figure::DriverCpu, some(7.4));
    Row {
        strategy: profile.name.to_owned(),
        pool_size: None,
        blocks: blocks.len() as u32,
        answers,
        failed: 0,
        scheduled: answers,
        late: 0,
        dropped: 0,
        figures,
        stamp: stamp(Trust::Valid, &[]),
        limit: Limit {
            by: LimitedBy::Unknown,
            because: sentence(
                "No component was fully used.",
                point,
                &[(profile.name, Figure::ApiCpu)],
            ),
        },
    }
}

/// Ratios of each row to the first; those within 5 % are called no difference.
fn comparisons(point: &str, rows: &[Row]) -> Vec<Comparison> {
    let baseline = &rows[0];
    let ratio = |figure: Figure, value: f64| Ratio {
        value,
        interval: Some((value * 0.95, value * 1.06)),
        meaning: match (value, figure.better()) {
            (0.95..=1.05, _) => Meaning::NoMeasurableDifference,
            (_, poolwise::lab::verdict::Better::Neither) => Meaning::Different,
            (value, poolwise::lab::verdict::Better::More) if value > 1.0 => Meaning::Better,
            (value, poolwise::lab::verdict::Better::Less) if value < 1.0 => Meaning::Better,
            _ => Meaning::Worse,
        },
    };
    let compared = rows.iter().skip(1).map(|row| Comparison {
        point: point.to_owned(),
        baseline: baseline.strategy.clone(),
        strategy: row.strategy.clone(),
        ratios: row
            .figures
            .iter()
            .filter_map(|(figure, estimate)| {
                let base = baseline.figures.get(figure)?.value;
                (base > 0.0).then(|| (*figure, ratio(*figure, estimate.value / base)))
            })
            .collect(),
    });
    compared.collect()
}

fn analysis(table: PointTable) -> Analysis {
    Analysis {
        stamp: stamp(Trust::Valid, &[]),
        preface: Vec::new(),
        verdict: Vec::new(),
        tables: vec![table],
        driver_ceiling: None,
        noise: BTreeMap::new(),
        idle: BTreeMap::new(),
        sweeps: Vec::new(),
        knees: Vec::new(),
        recoveries: Vec::new(),
        drifts: Vec::new(),
        targets: Vec::new(),
        conclusions: Vec::new(),
        warnings: Vec::new(),
    }
}

fn table(point: &str, load: &str, rows: Vec<Row>) -> PointTable {
    PointTable {
        point: point.to_owned(),
        load: load.to_owned(),
        mixed: false,
        client_ceiling: None,
        noise: BTreeMap::new(),
        comparisons: comparisons(point, &rows),
        rows,
    }
}

/// Of [`synthetic_report::case`]: one endpoint VALID, one LOWER BOUND, one VOID.
pub fn case(run: &RunRecord) -> Analysis {
    let mut rows = [DIRECT, POOLED, CACHED].map(|profile| row(run, "load", &profile));
    rows[0].stamp =
        stamp(Trust::Void, &["10.6 % of its requests failed, more than the limit of 5 %."]);
    rows[0].failed = 121;
    rows[0].figures.insert(Figure::Errors, Estimate { value: 121.0 / 1141.0, interval: None });
    rows[2].stamp = stamp(
        Trust::LowerBound,
        &["Users paused: it did 82.4/s of the 85.8/s that they can ask for."],
    );
    rows[2].limit.by = LimitedBy::Pause;
    let mut table = table("load", "20 users, 233 ms pause", rows.into());
    table.client_ceiling = Some(20.0 / 0.233);
    table.noise = BTreeMap::from([
        (Figure::Rate, 0.008),
        (Figure::LatencyMean, 0.021),
        (Figure::LatencyP95, 0.034),
    ]);
    let said = |text, cells: &[_]| sentence(text, "load", cells);
    Analysis {
        stamp: stamp(
            Trust::Void,
            &["direct: 10.6 % of its requests failed, more than the limit of 5 %."],
        ),
        preface: vec!["API, database and Redis share cores with one another.".to_owned()],
        verdict: vec![
            said(
                "For the same answers, cached used the least CPU time and direct the most.",
                &[
                    ("cached", Figure::ApiCpuCost),
                    ("cached", Figure::DatabaseCpuCost),
                    ("direct", Figure::ApiCpuCost),
                    ("direct", Figure::DatabaseCpuCost),
                ],
            ),
            said(
                "What direct could do at most is not known: these figures must not be used, since 10.6 % of its requests failed.",
                &[("direct", Figure::Errors)],
            ),
            said(
                "Cached can do at least what is shown here: the pause was the limit.",
                &[("cached", Figure::Rate)],
            ),
        ],
        driver_ceiling: Some(21_340.0),
        noise: table.noise.clone(),
        idle: BTreeMap::from([(Figure::ApiMemory, 25_165_824.0), (Figure::ApiCpu, 0.2)]),
        targets: vec![
            target("direct", 142.0, Mark::Missed),
            target("cached", 41.0, Mark::Met),
            TargetMark {
                measured: None,
                mark: Mark::Unknown,
                ..target("pooled", 0.0, Mark::Unknown)
            },
            target("direct", 212.0, Mark::Critical),
        ],
        drifts: vec![Drift {
            strategy: "direct".to_owned(),
            figure: Figure::ApiMemory,
            per_hour: 3_500_000.0,
            interval: (2_900_000.0, 4_100_000.0),
        }],
        conclusions: vec![
            said(
                "Pooled took less CPU time of the database for 1,000 answers than direct.",
                &[("pooled", Figure::DatabaseCpuCost), ("direct", Figure::DatabaseCpuCost)],
            ),
            said("A sentence whose cell is in no table gets no link.", &[("absent", Figure::Rate)]),
        ],
        warnings: vec![Warning {
            fact: "All parts ran on the same 4 cores.".to_owned(),
            advice: "`--cpus` to give each its own, or a second machine for the driver.".to_owned(),
        }],
        ..analysis(table)
    }
}

fn target(strategy: &str, measured: f64, mark: Mark) -> TargetMark {
    TargetMark {
        point: "load".to_owned(),
        strategy: strategy.to_owned(),
        figure: Figure::LatencyP95,
        measured: Some(measured),
        target: 100.0,
        critical: 200.0,
        mark,
    }
}

/// Of [`synthetic_report::sweep`].
pub fn sweep(run: &RunRecord) -> Analysis {
    let rows = synthetic_report::swept().map(|(profile, _)| {
        let mut row = row(run, "full", &profile);
        row.pool_size = (profile.name != "direct").then_some(profile.connections as u32);
        row
    });
    let ratio = Ratio {
        value: 0.995,
        interval: Some((0.97, 1.02)),
        meaning: Meaning::NoMeasurableDifference,
    };
    let sizes = synthetic_report::swept().into_iter().skip(1);
    let sweep = Sweep {
        point: "full".to_owned(),
        sizes: sizes
            .map(|(profile, _)| (profile.connections as u32, profile.name.to_owned()))
            .collect(),
        figure: Figure::Rate,
        best: "pool-16".to_owned(),
        smallest: Some((8, "pool-8".to_owned(), ratio)),
        note: None,
    };
    Analysis { sweeps: vec![sweep], ..analysis(table("full", "32 users, no pause", rows.into())) }
}

/// Of [`synthetic_report::spike`].
pub fn spike(run: &RunRecord) -> Analysis {
    let rows = [DIRECT, POOLED, CACHED].map(|profile| row(run, "peak", &profile));
    let recovery = |strategy: &str, peak, after_seconds| Recovery {
        point: "peak".to_owned(),
        strategy: strategy.to_owned(),
        before_ms: Some(61.0),
        peak_ms: peak,
        failed: 1234,
        after_seconds,
    };
    let knee = |strategy: &str, held, broke| Knee {
        strategy: strategy.to_owned(),
        unit: "users",
        held,
        broke,
        why: "p95 was 1,870 ms, more than the limit.".to_owned(),
        steps: [25.0, 50.0, 100.0, 200.0, 150.0]
            .map(|level: f64| KneeStep {
                level,
                rate: level.min(80.0) * if strategy == "direct" { 0.8 } else { 1.0 },
                p95_ms: (level < 200.0).then_some(20.0 + level * level / 50.0),
                errors: if level < 200.0 { 0.0 } else { 0.041 },
                held: level < 110.0,
            })
            .into(),
        limit: Some(Limit {
            by: LimitedBy::DatabaseCpu,
            because: sentence(
                "The database used 3.4 of 4 cores.",
                "peak",
                &[(strategy, Figure::DatabaseCpu)],
            ),
        }),
    };
    Analysis {
        recoveries: vec![
            recovery("direct", Some(1320.0), None),
            recovery("pooled", Some(310.0), Some(3.0)),
            recovery("cached", None, Some(0.0)),
        ],
        knees: vec![knee("direct", Some(100.0), Some(150.0)), knee("pooled", Some(100.0), None)],
        ..analysis(table("peak", "60/s, then 180/s, then 60/s", rows.into()))
    }
}

/// A run on SQLite with a cache inside the service, whose own CPU and memory cannot be seen, and its
/// analysis.
pub fn embedded() -> (RunRecord, Analysis) {
    let mut run = synthetic_report::case();
    run.plan.strategies.truncate(2);
    run.blocks.retain(|block| ["direct", "pooled"].contains(&&*block.lanes[0].strategy));
    run.target.backend = Some("sqlite".to_owned());
    run.target.sources.database =
        Source::Absent { why: "SQLite runs inside the service".to_owned() };
    run.target.sources.redis = Source::Absent { why: "the cache is inside the service".to_owned() };
    run.target.sources.api = Source::Seen {
        usage: None,
        counters: Some("/stats".to_owned()),
        not_visible: vec!["CPU and memory: it runs on another machine".to_owned()],
        shares_cores: Some(false),
    };
    for sample in run.blocks.iter_mut().flat_map(|block| &mut block.samples).chain(&mut run.idle) {
        (sample.database, sample.redis) = (Usage::default(), Usage::default());
        (sample.api.cpu_seconds, sample.api.memory_bytes) = (None, None);
    }
    let seen = |figure: &Figure| {
        let name = figure.name();
        !name.starts_with("database")
            && !name.starts_with("redis")
            && !name.starts_with("api_cpu")
            && !name.starts_with("api_memory")
    };
    let mut rows = [DIRECT, POOLED].map(|profile| row(&run, "load", &profile));
    rows.iter_mut().for_each(|row| row.figures.retain(|figure, _| seen(figure)));
    let preface = "This run is on SQLite, so it is not the assignment's set-up.".to_owned();
    let analysis = Analysis {
        preface: vec![preface],
        ..analysis(table("load", "20 users, 233 ms pause", rows.into()))
    };
    (run, analysis)
}
