//! What a report says of a load that another tool drove, by known answers.

use poolwise::lab::plan::Model;
use poolwise::lab::record::{Load, RecordsFile, RunRecord, TOGETHER, Watched};
use poolwise::lab::report;
use poolwise::lab::verdict::{Analysis, Figure, LimitedBy, Row, Trust, analyse};

use super::synthetic::{Synthetic, Traffic};

/// Two strategies that a tool drove at once; `busiest` is the share of a core of its busiest thread.
fn watched(busiest: f64) -> RunRecord {
    let mut synthetic = Synthetic::new(&["direct", "pooled"]);
    synthetic.rounds(4, |_, _| Traffic { host_busy: 0.6, ..Traffic::default() });
    let mut run = synthetic.run.clone();
    run.plan.mixed = true;
    run.plan.points[0].model = Model::Watched;
    let blocks = std::mem::take(&mut run.blocks);
    for pair in blocks.chunks_exact(2) {
        let mut block = pair[0].clone();
        block.lanes.push(pair[1].lanes[0].clone());
        block.load = Load::Watched;
        block.samples.iter_mut().for_each(|sample| sample.busiest_thread = Some(busiest));
        run.blocks.push(block);
    }
    run.watched = Some(Watched {
        tool: "some-tool".into(),
        ended_with: Some("exit code 0".into()),
        windows_wanted: 4,
        records: vec![RecordsFile { measured_by: "Locust".into(), ..RecordsFile::default() }],
        ..Watched::default()
    });
    run
}

fn row<'a>(analysis: &'a Analysis, strategy: &str) -> &'a Row {
    let mut rows = analysis.tables.iter().flat_map(|table| &table.rows);
    rows.find(|row| row.strategy == strategy).expect("it has a row")
}

#[test]
fn a_tool_whose_only_thread_has_no_time_left_makes_every_figure_a_lower_bound() {
    let run = watched(0.97);
    let analysis = analyse(&run);
    assert_eq!(analysis.stamp.level, Trust::LowerBound, "{:?}", analysis.stamp);
    for strategy in ["direct", "pooled", TOGETHER] {
        let row = row(&analysis, strategy);
        assert_eq!((row.limit.by, row.stamp.level), (LimitedBy::Driver, Trust::LowerBound));
        assert!((row.figures[&Figure::DriverThread].value - 97.0).abs() < 1e-9);
    }
    // It is said once, not of each strategy again.
    let [reason] = &analysis.stamp.reasons[..] else { panic!("{:?}", analysis.stamp) };
    assert!(reason.contains("a thread of the load driver used 97.0 % of a core"), "{reason}");
    let calm = analyse(&watched(0.4));
    assert_ne!(row(&calm, TOGETHER).limit.by, LimitedBy::Driver);
}

#[test]
fn the_figures_of_a_tools_busiest_thread_are_of_watched_runs_only() {
    let run = watched(0.4);
    assert!(report::csv(&run, &analyse(&run)).contains("driver_busiest_thread_percent"));
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(3, |_, _| Traffic::default());
    let text = report::csv(&synthetic.run, &analyse(&synthetic.run));
    assert!(!text.contains("driver_busiest_thread_percent"));
}

#[test]
fn a_run_file_from_before_reads_as_one_that_the_lab_drove() {
    let mut synthetic = Synthetic::new(&["direct"]);
    synthetic.rounds(1, |_, _| Traffic::default());
    let json = serde_json::to_string(&synthetic.run).expect("it can be written");
    for word in ["watched", "reported", "busiest_thread"] {
        assert!(!json.contains(word), "{word} is new, and of watched runs only");
    }
    let read: RunRecord = serde_json::from_str(&json).expect("and read");
    assert_eq!(read, synthetic.run);
    let run = watched(0.4);
    let json = serde_json::to_string(&run).expect("it can be written");
    assert_eq!(serde_json::from_str::<RunRecord>(&json).expect("and read"), run);
}

#[test]
fn response_times_decide_between_strategies_that_a_tool_asks_in_turn() {
    let mut run = watched(0.4);
    for lane in run.blocks.iter_mut().flat_map(|block| &mut block.lanes) {
        if lane.strategy == "pooled" {
            // Nobody is asked more often; direct answers late.
            continue;
        }
        for second in &mut lane.seconds {
            let mut slower = poolwise::lab::histogram::Times::default();
            for (ms, count) in second.latency.recorded() {
                for _ in 0..count {
                    slower.record(std::time::Duration::from_secs_f64(ms * 3.0 / 1000.0));
                }
            }
            second.latency = slower;
        }
    }
    let analysis = analyse(&run);
    let said: Vec<&str> = analysis.verdict.iter().map(|said| &*said.text).collect();
    assert!(said[0].contains("pooled did best") && said[0].contains("response time"), "{said:?}");
}
