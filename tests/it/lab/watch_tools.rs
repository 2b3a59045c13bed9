//! `poolwise lab watch` with the load tools themselves.

use std::path::Path;

use super::command::{only, read, results, run, sqlite};
use poolwise::lab::record::{Lane, TOGETHER};
use poolwise::lab::verdict::{Figure, analyse};

#[test]
fn what_jmeter_wrote_is_what_the_report_counts() {
    let jar = Path::new("/usr/share/jmeter/lib/ext/ApacheJMeter_http.jar");
    assert!(jar.exists(), "JMeter is missing: apt-get install jmeter jmeter-http");
    let (out, jmeter) = (results(), results());
    let place = jmeter.to_str().expect("UTF-8");
    let records = jmeter.join("results.jtl");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("load/jmeter/run.sh");
    let (_, said, error) = run(&[
        "watch",
        "--config",
        &sqlite(),
        "--out",
        out.to_str().expect("UTF-8"),
        "--skip",
        "0s",
        // A short load, all of which is kept.
        "--rounds",
        "1000",
        "--records",
        records.to_str().expect("UTF-8"),
        "--",
        script.to_str().expect("UTF-8"),
        "--url",
        "{url}",
        "--users",
        "4",
        "--seconds",
        "10",
        "--limit",
        "5",
        "--rows",
        "5",
        "--out",
        place,
    ]);
    let record = read(&out);
    let written = std::fs::read_to_string(&records).unwrap_or_else(|_| panic!("{said}\n{error}"));
    let mut all = 0;
    for strategy in ["direct", "pooled", "cached"] {
        let label = format!(",GET /products/{strategy},200,");
        let sent = written.lines().filter(|line| line.contains(&label)).count() as u64;
        let lanes = record.blocks.iter().flat_map(|block| &block.lanes);
        let lanes = lanes.filter(|lane| lane.strategy == strategy);
        assert!(sent > 0, "{strategy} is not in\n{written}");
        assert_eq!(lanes.map(Lane::answers).sum::<u64>(), sent, "{strategy}\n{error}");
        all += sent;
    }
    let about = record.watched.as_ref().expect("it was watched");
    assert_eq!(about.records[0].requests, all + about.others() + about.outside);
    assert_eq!(about.ended_with.as_deref(), Some("exit code 0"), "{said}\n{error}");
    // And not that of its script, which is `run.sh`.
    assert_eq!((&*about.tool, &*record.plan.name), ("jmeter", "watch-jmeter"));
    let analysis = analyse(&record);
    let rows = &analysis.tables[0].rows;
    let together = rows.iter().find(|row| row.strategy == TOGETHER).expect("it has a row");
    assert!(together.figures[&Figure::DriverCpu].value > 0.0, "JMeter is under the script");
    assert!(only(&out).join("report.html").exists());
}
