//! `poolwise lab watch` with a real service and a small real driver: what it counts, what it leaves
//! behind, and what it says when something is wrong.

use std::path::Path;
use std::process::Command;

use poolwise::lab::record::{
    Ended, Lane, OTHER_ROUTES, RunRecord, Sample, TOGETHER, Usage, Watched,
};
use poolwise::lab::verdict::{Figure, Row, Trust, analyse};

use super::command::{PATIENT, only, read, results, run, sqlite, written};
use crate::harness::{Backend, Database, FEW, Redis, Setup, folder, unique};

/// Asks each of these paths so many times, and writes a `.jtl` about it.
const DRIVER: &str = r#"
set -eu
url=$1 out=$2 times=$3
shift 3
# The first sample is taken before the first request, also on a busy machine.
sleep 0.5
echo timeStamp,elapsed,label,responseCode,success,bytes >"$out"
for _ in $(seq "$times"); do
    for path in "$@"; do
        at=$(date +%s%3N)
        seen=$(curl -s -o /dev/null -w '%{http_code},true,%{size_download}' -H 'Accept-Encoding: identity' "$url$path")
        echo "$at,$(($(date +%s%3N) - at)),GET ${path%%\?*},$seen" >>"$out"
    done
    sleep 0.2
done
"#;

pub(super) const LISTS: [&str; 3] =
    ["/products/direct?limit=5", "/products/pooled?limit=5", "/products/cached?limit=5"];

/// The driver as a script, and a new place for its records.
pub(super) fn driver() -> (String, String) {
    let found = Command::new("curl").arg("--version").output();
    assert!(found.is_ok(), "curl is missing: apt-get install curl");
    let records = folder().join(unique("records")).with_extension("jtl");
    (written(DRIVER), records.to_str().expect("UTF-8").to_owned())
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("a temp folder is UTF-8")
}

pub(super) fn watched(record: &RunRecord) -> &Watched {
    record.watched.as_ref().expect("it was watched")
}

/// A machine whose host takes processor time away makes a run void, which is right and not what is
/// tested here.
fn ended_well(code: i32, record: &RunRecord, error: &str) {
    let stamp = analyse(record).stamp;
    let disturbed = stamp.level == Trust::Void
        && stamp.reasons.iter().all(|why| why.contains("hypervisor") || why.contains("swapped"));
    assert!(code == i32::from(disturbed), "{code}: {stamp:?}\n{error}");
}

fn row(record: &RunRecord, strategy: &str) -> Row {
    let rows = analyse(record).tables.into_iter().flat_map(|table| table.rows);
    rows.into_iter().find(|row| row.strategy == strategy).expect("it has a row")
}

pub(super) fn answers(record: &RunRecord, strategy: &str) -> u64 {
    let lanes = record.blocks.iter().flat_map(|block| &block.lanes);
    lanes.filter(|lane| lane.strategy == strategy).map(Lane::answers).sum()
}

fn samples(record: &RunRecord) -> Vec<&Sample> {
    record.blocks.iter().flat_map(|block| &block.samples).collect()
}

fn used(record: &RunRecord, of: fn(&Sample) -> &Usage) -> f64 {
    let samples = samples(record);
    let known: Vec<f64> = samples.iter().filter_map(|sample| of(sample).cpu_seconds).collect();
    known.last().expect("some are known") - known[0]
}

#[test]
fn every_request_of_a_tool_is_counted_once_and_the_report_can_be_made_again() {
    let (script, records) = driver();
    let (out, config) = (results(), sqlite());
    let (code, said, error) = run(&[
        "watch",
        "--config",
        &config,
        "--out",
        text(&out),
        "--skip",
        "0s",
        "--rounds",
        "1000",
        "--name",
        "tried",
        "--records",
        &records,
        "--",
        "bash",
        &script,
        "{url}",
        &records,
        "10",
        LISTS[0],
        LISTS[1],
        LISTS[2],
        "/health/ready",
    ]);
    let record = read(&out);
    ended_well(code, &record, &error);
    assert!(only(&out).to_str().expect("UTF-8").ends_with("_tried"), "{:?}", only(&out));
    assert!(said.contains("report.html") && said.contains("Watched: bash"), "{said}");
    assert_eq!((&record.ended, &*record.plan.name), (&Ended::Finished, "tried"));
    let about = watched(&record);
    assert_eq!((&*about.tool, about.ended_with.as_deref()), ("bash", Some("exit code 0")));
    assert_eq!((about.outside, about.records[0].requests), (0, 40));
    assert_eq!(about.other_routes.get("/health/ready"), Some(&10));
    for (strategy, wanted) in [("direct", 10), ("pooled", 10), ("cached", 10), (OTHER_ROUTES, 10)] {
        assert_eq!(answers(&record, strategy), wanted, "{strategy}");
    }
    // A window a second, so that it is a short load, all of which is kept.
    assert!(record.plan.mixed && record.blocks.len() > 1, "{:?}", record.plan);
    assert!(used(&record, |sample| &sample.api) > 0.0, "the service worked");
    assert!(used(&record, |sample| &sample.driver) > 0.0, "so did the driver");
    assert!(samples(&record).iter().any(|sample| sample.busiest_thread.is_some()));
    // What the strategies cost is known of all together, of 40 requests.
    let together = row(&record, TOGETHER);
    assert_eq!(together.answers, 40);
    assert!(together.figures[&Figure::ApiCpuCost].value > 0.0);
    assert!(together.figures.contains_key(&Figure::DriverThread));
    let cached = row(&record, "cached");
    assert!(!cached.figures.contains_key(&Figure::ApiCpuCost), "it cannot be told apart");
    // Counted by the service, which may be late with a sample on a machine that stands still.
    let hits = cached.figures.get(&Figure::HitRate);
    assert!(hits.is_none_or(|hits| (0.5..=1.0).contains(&hits.value)), "{hits:?}");
    let report = std::fs::read_to_string(only(&out).join("report.md")).expect("there is one");
    for wanted in [
        "10 requests to other routes are not in the table of the strategies",
        "(1000 were asked for), one after the other",
        "those that JMeter recorded",
        "coordinated omission",
        "it stands in the column \"all together\"",
    ] {
        assert!(report.contains(wanted), "{wanted} is not in\n{report}");
    }

    let (folder, again) = (only(&out), results());
    let file = folder.join("run.json");
    assert_eq!(run(&["report", text(&file), "--out", text(&again)]).0, 0);
    for name in ["report.html", "report.md", "tables.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).expect(name);
        assert!(read(&folder) == read(&again), "{name} differs when it is written anew");
    }
    let (code, said, _) = run(&["compare", text(&folder), text(&folder), "--all"]);
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_and_redis_are_seen_while_another_tool_drives() {
    let database = Database::shared(Backend::Postgres, FEW);
    let redis = Redis::shared().url();
    let prefix = unique("watch");
    let config = written(&format!(
        "log.level = \"warn\"\ndatabase = {{ backend = \"postgres\", url = \"{}\", reserve = 100 }}\n\
         cache = {{ redis_url = \"{redis}\", key_prefix = \"{prefix}:\", {PATIENT} }}\n\
         strategies.cached = {{ access = \"pool\", cache = \"redis\" }}",
        database.url
    ));
    let ((script, records), out) = (driver(), results());
    let (code, _, error) = run(&[
        "watch",
        "--config",
        &config,
        "--out",
        text(&out),
        "--skip",
        "0s",
        // One sample may be late on a machine that stands still for a moment: a short window has no figure then.
        "--rounds",
        "1",
        "--records",
        &records,
        "--baseline",
        "pooled",
        "--",
        "bash",
        &script,
        "{url}",
        &records,
        "12",
        LISTS[0],
        LISTS[2],
    ]);
    let record = read(&out);
    ended_well(code, &record, &error);
    let found = [answers(&record, "direct"), answers(&record, "cached")];
    assert!(found[0] > 0 && found[1] > 0, "{found:?}");
    assert_eq!(found[0] + found[1] + watched(&record).outside, 24, "{found:?}");
    let all = samples(&record);
    let mostly = |what: &str, known: fn(&Sample) -> bool| {
        let known = all.iter().filter(|sample| known(sample)).count();
        assert!(known * 2 > all.len(), "{what}: {known} of {}", all.len());
    };
    mostly("the database", |sample| {
        let Usage { cpu_seconds, memory_bytes, connections, operations, .. } = sample.database;
        cpu_seconds.and(memory_bytes).and(connections).and(operations).is_some()
    });
    mostly("Redis", |sample| sample.redis.operations.is_some());
    assert!(row(&record, TOGETHER).figures.contains_key(&Figure::RedisOperations));
    assert_eq!(record.target.versions.len(), 3, "{:?}", record.target.versions);
    // Nobody asked for the baseline that was wanted.
    assert_eq!(record.plan.baseline, "direct");
    assert_eq!(watched(&record).missing_baseline.as_deref(), Some("pooled"));
}

#[test]
fn one_strategy_has_its_own_costs_and_a_tool_that_fails_is_told_with_its_code() {
    let ((script, records), out) = (driver(), results());
    let both = format!("bash {script} \"$0\" {records} 10 '{}' && exit 7", LISTS[1]);
    let (code, said, error) = run(&[
        "watch",
        "--config",
        &sqlite(),
        "--out",
        text(&out),
        "--skip",
        "0s",
        "--records",
        &records,
        "--",
        "bash",
        "-c",
        &both,
        "{url}",
    ]);
    assert_eq!(code, 1, "{said}\n{error}");
    assert!(error.contains("error: bash failed: it ended with exit code 7"), "{error}");
    let record = read(&out);
    assert_eq!((&record.ended, record.plan.mixed), (&Ended::Finished, false));
    assert_eq!(watched(&record).ended_with.as_deref(), Some("exit code 7"));
    assert_eq!(answers(&record, "pooled") + watched(&record).outside, 10);
    let pooled = row(&record, "pooled");
    assert!(pooled.figures[&Figure::ApiCpuCost].value > 0.0, "nobody else was driven");
    assert!(said.contains("bash ended with exit code 7"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_records_there_are_costs_and_the_way_to_the_rest() {
    let service = Setup::few(Backend::Sqlite).start().await;
    let address = service.client.0;
    let (out, url) = (results(), format!("http://{address}"));
    let script = "echo \"$0 $1 $2 $POOLWISE_URL\"; for _ in $(seq 20); do \
                  curl -s -o /dev/null \"$0/products/direct?limit=50\"; sleep 0.1; done; sleep 1";
    let (code, said, error) = run(&[
        "watch",
        "--url",
        &url,
        "--out",
        text(&out),
        "--skip",
        "0s",
        "--rounds",
        "2",
        "--",
        "bash",
        "-c",
        script,
        "{url}",
        "{host}",
        "{port}",
    ]);
    let record = read(&out);
    ended_well(code, &record, &error);
    let wanted = format!("{url} {} {} {url}", address.ip(), address.port());
    assert!(said.contains(&wanted), "{wanted} is not in\n{said}");
    assert!(said.contains("No records of its requests are here"), "{said}");
    assert!(said.contains("name it with --records"), "{said}");
    let together = row(&record, TOGETHER);
    assert!(together.figures.contains_key(&Figure::ApiCpu), "{together:?}");
    for absent in [Figure::Rate, Figure::Errors, Figure::LatencyMean, Figure::ApiCpuCost] {
        assert!(!together.figures.contains_key(&absent), "{}", absent.name());
    }
    let csv = std::fs::read_to_string(only(&out).join("tables.csv")).expect("there is one");
    let count = csv.lines().find(|line| line.starts_with("count,") && line.contains(",answers,"));
    assert!(count.expect("it has a line").contains(",answers,,,,,"), "{count:?}: 0 is not known");
    assert!(service.client.get("/health/ready").await.status == 200, "it goes on");
}

#[test]
fn each_file_that_cannot_be_used_is_named_in_a_sentence() {
    let place = folder().join(unique("bad"));
    std::fs::create_dir(&place).expect("it can be made");
    let file = |name: &str| place.join(name).to_str().expect("UTF-8").to_owned();
    let names = ["older", "missing", "rubbish", "empty", "cut"].map(file);
    std::fs::write(&names[0], "timeStamp,elapsed,label\n1,5,direct\n").expect("it can be written");
    let script = "cd \"$0\"; printf 'a,b\\n1,2\\n' >rubbish; : >empty; \
                  printf 'timeStamp,elapsed,label\\n1,5,dir' >cut; sleep 2.5";
    let (out, config) = (results(), sqlite());
    let mut arguments = vec!["watch", "--config", &config, "--out", text(&out)];
    names.iter().for_each(|name| arguments.extend(["--records", name]));
    arguments.extend(["--", "bash", "-c", script, text(&place)]);
    let (code, said, error) = run(&arguments);
    assert_eq!(code, 1, "{said}\n{error}");
    for (name, wanted) in names.iter().zip([
        "is older than the start of COMMAND",
        "is not there: COMMAND did not write it",
        "is nothing that is known: JMeter's .jtl in CSV",
        "is empty",
        "ends in the middle of line 2: it was cut off",
    ]) {
        let sentence = format!("error: {name} {wanted}");
        assert!(error.contains(&sentence), "{sentence} is not in\n{error}");
    }
    // What was sampled is kept.
    let record = read(&out);
    assert!(watched(&record).is_unrecorded() && !record.blocks.is_empty());

    let (out, records) = (results(), file("long-ago"));
    let script = "printf 'timeStamp,elapsed,label\\n1000000000000,5,direct\\n' >\"$0\"; sleep 2.5";
    let (code, _, error) = run(&[
        "watch",
        "--config",
        &config,
        "--out",
        text(&out),
        "--records",
        &records,
        "--",
        "bash",
        "-c",
        script,
        &records,
    ]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("of another time than that in which COMMAND ran"), "{error}");
    assert!(watched(&read(&out)).is_unrecorded());
}

#[test]
fn what_cannot_be_watched_is_refused_before_the_command_starts() {
    let (out, config) = (results(), sqlite());
    let mark = folder().join(unique("mark"));
    let refused = |arguments: &[&str], code: i32, wanted: &str| {
        let mut all = vec!["watch", "--config", &config, "--out", text(&out)];
        all.extend(arguments);
        let (found, _, error) = run(&all);
        assert_eq!(found, code, "{arguments:?}: {error}");
        assert!(error.contains(wanted), "{wanted} is not in\n{error}");
        assert!(!mark.exists(), "it was started");
    };
    let command = ["--", "touch", text(&mark)];
    let with = |options: &[&'static str]| [options, &command[..]].concat();
    refused(&[], 2, "<COMMAND>");
    refused(&with(&["--baseline", "nobody"]), 2, "it has cached, direct, pooled");
    refused(&with(&["--name", "../x"]), 2, "letters, digits");
    refused(&with(&["--rounds", "0"]), 2, "--rounds");
    let twice = ["--records", "no.jtl", "--records", "./no.jtl"];
    refused(&with(&twice), 2, "./no.jtl is given twice");
    refused(&["--", "no-such-tool", "x"], 2, "there is no program \"no-such-tool\"");
    refused(&with(&["--url", "http://127.0.0.1:1"]), 1, "Is the service running there?");
    let bad = written("database.pool_size = 0");
    let (code, _, error) = run(&["watch", "--config", &bad, "--", "true"]);
    assert!(code == 2 && error.contains("pool_size"), "{error}");
}
