//! `poolwise lab` as people run it: a whole run with real servers, and everything that can go wrong.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use poolwise::lab::record::{Block, Ended, Lane, Role, RunRecord, Sample, Source, Usage};
use rstest::rstest;

use crate::config::file;
use crate::harness::{Backend, Database, FEW, Redis, Setup, folder, unique};

/// Short, but with everything: idle, ceiling, A/A, three rounds, an open load, a search.
const PLAN: &str = r#"
title = "A small run"
question = "Does it hang together?"
strategies = ["direct", "pooled", "cached"]
rounds = 3
block = "1s"
warm_up = "200ms"
idle = "1s"
ceiling = "1s"
[limits]
steal = 1.0
swapped_pages = 1000000000
[parameters]
distribution = "zipf"
values = ["limit=20", "limit=30", "limit=40"]
[[point]]
name = "closed"
model = "closed"
users = 4
pause = "5ms"
"#;

/// Settings of the cache with which a Redis on a busy machine is there in time: its version is that
/// of the first connection.
pub(super) const PATIENT: &str = "redis_timeout = \"10s\", redis_connect_timeout = \"10s\"";

pub(super) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolwise"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POOLWISE__")) {
        command.env_remove(name);
    }
    command.current_dir(folder()).arg("lab").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(super) fn run(arguments: &[&str]) -> (i32, String, String) {
    told(command(arguments).output().expect("it starts"))
}

/// What a run said, and where it left what.
pub(super) struct Ran {
    pub code: i32,
    pub said: String,
    pub error: String,
    pub out: PathBuf,
}

/// Runs a plan, again where a machine that stood still left too little of it: three times at most.
pub(super) fn measured(arguments: &[&str], is_enough: impl Fn(&RunRecord) -> bool) -> Ran {
    let mut attempt = 1;
    loop {
        let out = results();
        let place = ["--out", out.to_str().expect("a temp folder is UTF-8")];
        let (code, said, error) = run(&[arguments, &place].concat());
        assert!(out.exists(), "{code}: {said}\n{error}");
        if attempt == 3 || is_enough(&read(&out)) {
            return Ran { code, said, error, out };
        }
        attempt += 1;
    }
}

/// Whether each strategy has answered something in each of its blocks.
pub(super) fn has_answers(record: &RunRecord) -> bool {
    let mut lanes = record.blocks.iter().flat_map(|block| &block.lanes);
    lanes.all(|lane| lane.answers() > 0)
}

pub(super) fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
    let code = output.status.code().expect("it was not killed");
    (code, text(&output.stdout), text(&output.stderr))
}

/// A file for an argument.
pub(super) fn written(text: &str) -> String {
    file(text).to_str().expect("a temp folder is UTF-8").to_owned()
}

/// A configuration over SQLite, with a small database of its own.
pub(super) fn sqlite() -> String {
    let database = folder().join(unique("lab")).with_extension("db");
    let url = format!("database.url = \"sqlite:{}\"", database.display());
    written(&format!("{url}\nseed = {{ auto = true, rows = 200 }}\nlog.level = \"warn\""))
}

/// A folder for results.
pub(super) fn results() -> PathBuf {
    folder().join(unique("results"))
}

/// The one run in a folder of results.
pub(super) fn only(results: &Path) -> PathBuf {
    let entries = std::fs::read_dir(results).expect("there are results");
    let found: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

pub(super) fn read(results: &Path) -> RunRecord {
    RunRecord::read(&only(results).join("run.json")).expect("it is a run file")
}

/// What the strategies of a block answered, and how often from the cache.
fn answers_and_hits(block: &Block) -> (u64, u64) {
    let hits = |lane: &Lane| -> u64 {
        lane.seconds.iter().filter_map(|second| second.cache.get("hit")).sum()
    };
    (block.lanes.iter().map(Lane::answers).sum(), block.lanes.iter().map(hits).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_on_postgres_and_redis_measures_every_component() {
    let database = Database::shared(Backend::Postgres, FEW);
    let redis = Redis::shared().url();
    let prefix = unique("lab");
    let config = written(&format!(
        "log.level = \"warn\"\ndatabase = {{ backend = \"postgres\", url = \"{}\", reserve = 100 }}\n\
         cache = {{ redis_url = \"{redis}\", key_prefix = \"{prefix}:\", {PATIENT} }}\n\
         strategies.cached = {{ access = \"pool\", cache = \"redis\" }}",
        database.url
    ));
    let (out, plan) = (results(), written(PLAN));
    let arguments = ["run", &plan, "--config", &config, "--out", out.to_str().expect("UTF-8")];
    let (code, said, error) = run(&arguments);
    assert_eq!(code, 0, "{said}\n{error}");
    assert!(said.contains("report.html") && said.contains("A small run"), "{said}");

    let record = read(&out);
    assert_eq!(record.ended, Ended::Finished);
    let of = |role| record.blocks.iter().filter(move |block| block.role == role).count();
    assert_eq!([of(Role::Ceiling), of(Role::Measure), of(Role::Again)], [1, 9, 3]);
    for block in record.blocks.iter().filter(|block| block.role != Role::Ceiling) {
        let (first, last) = (&block.samples[0], block.samples.last().expect("two at least"));
        assert!(last.at_seconds > first.at_seconds, "{block:?}");
        let (answers, hits) = answers_and_hits(block);
        let [lane] = &block.lanes[..] else { panic!("{block:?}") };
        assert_eq!(lane.outcomes.get("200").copied().unwrap_or_default(), answers, "{lane:?}");
        assert!(hits == 0 || lane.strategy == "cached", "{lane:?}");
    }
    for strategy in ["direct", "pooled", "cached"] {
        let of = |block: &&Block| block.lanes[0].strategy == strategy;
        let counts = record.blocks.iter().filter(of).map(answers_and_hits);
        let (answers, hits) = counts.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        assert!(
            answers > 0 && (hits > 0) == (strategy == "cached"),
            "{strategy}: {answers} {hits}"
        );
    }
    // One sample may be late on a machine that stands still for a moment; it is then a gap.
    let samples: Vec<&Sample> = record.blocks.iter().flat_map(|block| &block.samples).collect();
    let mostly = |what: &str, known: fn(&Sample) -> bool| {
        let known = samples.iter().filter(|sample| known(sample)).count();
        assert!(known * 2 > samples.len(), "{what}: {known} of {}", samples.len());
    };
    let whole = |usage: &Usage| usage.cpu_seconds.is_some() && usage.memory_bytes.is_some();
    assert!(samples.iter().all(|sample| whole(&sample.api) && whole(&sample.driver)));
    mostly("the database", |sample| {
        sample.database.cpu_seconds.is_some() && sample.database.memory_bytes.is_some()
    });
    mostly("its connections", |sample| sample.database.connections.is_some());
    mostly("Redis", |sample| sample.redis.operations.is_some());
    assert!(matches!(record.target.sources.redis, Source::Seen { .. }));
    assert_eq!(record.target.versions.len(), 3, "{:?}", record.target.versions);
    // Equal terms: the same order of keys, and each round has a block of each.
    for round in 1..=3 {
        let blocks = record.blocks.iter().filter(|b| b.round == round && b.role == Role::Measure);
        let mut names: Vec<_> = blocks.map(|block| block.lanes[0].strategy.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["cached", "direct", "pooled"]);
    }

    // The report is a pure function of the run.
    let (folder, again) = (only(&out), results());
    let file = folder.join("run.json");
    let arguments =
        ["report", file.to_str().expect("UTF-8"), "--out", again.to_str().expect("UTF-8")];
    assert_eq!(run(&arguments).0, 0);
    for name in ["report.html", "report.md", "tables.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).expect(name);
        assert!(read(&folder) == read(&again), "{name} differs when it is written anew");
    }
    // A run is not worse than itself.
    let same = folder.to_str().expect("UTF-8");
    let (code, said, _) = run(&["compare", same, same]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_mixed_run_a_search_and_a_critical_target() {
    let plan = written(&format!(
        "{PLAN}\n[[point]]\nname = \"open\"\nmodel = \"open\"\nshare = 0.5\nof = \"slowest\"\n\
         of_point = \"closed\"\n[search]\nfrom = 2\nto = 8\nprobe = \"1s\"\np95_ms = 1000\nerrors = 0.01\n\
         [targets]\nlatency_p50_ms = {{ target = 0.0001, critical = 0.0002 }}\n"
    ));
    let config = sqlite();
    let arguments = ["run", &plan, "--config", &config, "--rounds", "1"];
    let Ran { code, said, error, out } = measured(&arguments, has_answers);
    assert_eq!(code, 3, "{said}\n{error}");
    let record = read(&out);
    let probes = record.blocks.iter().filter(|block| block.role == Role::Probe).count();
    assert!(probes >= 6, "{probes}");

    let arguments = ["run", &written(PLAN), "--config", &config, "--mixed"];
    let Ran { code, said, error, out } = measured(&arguments, has_answers);
    assert_eq!(code, 0, "{said}\n{error}");
    let mixed = read(&out).blocks;
    let mixed: Vec<_> = mixed.iter().filter(|block| block.role == Role::Measure).collect();
    assert!(mixed.iter().all(|block| block.lanes.len() == 3), "every strategy in each block");
}

/// Waits until a run has measured this many blocks.
fn until(child: &mut Child, results: &Path, blocks: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let folder = std::fs::read_dir(results).ok().and_then(|mut entries| entries.next());
        let record =
            folder.and_then(|entry| RunRecord::read(&entry.ok()?.path().join("run.json")).ok());
        if record.is_some_and(|record| record.blocks.len() >= blocks) {
            return;
        }
        assert!(child.try_wait().expect("it is ours").is_none(), "it ended early");
        assert!(Instant::now() < deadline, "it measures nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn signal(name: &str, pid: &str) {
    let sent = Command::new("kill").args([name, pid]).status().expect("there is a kill command");
    assert!(sent.success());
}

/// The process that a process has started whose command line contains this.
pub(super) fn child_of(parent: u32, serves: &str) -> u32 {
    let path = format!("/proc/{parent}/task");
    let tasks = std::fs::read_dir(path).expect("it runs").flatten();
    let children =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect();
    let is_it = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|argument| argument == serves)
    };
    pids.into_iter().find(is_it).expect("the service is a child of the lab")
}

#[rstest]
#[case::interrupted("-INT")]
#[case::terminated("-TERM")]
fn a_run_that_is_ended_keeps_what_was_measured(#[case] name: &str) {
    let (out, plan, config) = (results(), written(PLAN), sqlite());
    let arguments = ["run", &plan, "--config", &config, "--out", out.to_str().expect("UTF-8")];
    let mut child = command(&arguments).spawn().expect("it starts");
    until(&mut child, &out, 4);
    signal(name, &child.id().to_string());
    let (code, said, error) = told(child.wait_with_output().expect("it ends"));
    assert_eq!(code, 1, "{said}\n{error}");
    let record = read(&out);
    assert_eq!(record.ended, Ended::Interrupted);
    assert!(record.blocks.len() >= 4);
    let report = std::fs::read_to_string(only(&out).join("report.md")).expect("there is a report");
    assert!(report.contains("cut short") || report.contains("interrupted"), "{report}");
}

#[test]
fn a_service_that_dies_in_the_middle_is_told_with_its_last_words() {
    let (out, plan, config) = (results(), written(PLAN), sqlite());
    let arguments = ["run", &plan, "--config", &config, "--out", out.to_str().expect("UTF-8")];
    let mut child = command(&arguments).spawn().expect("it starts");
    until(&mut child, &out, 3);
    signal("-KILL", &child_of(child.id(), "serve").to_string());
    let (code, said, error) = told(child.wait_with_output().expect("it ends"));
    assert_eq!(code, 1, "{said}\n{error}");
    assert!(error.contains("the service ended in the middle"), "{error}");
    let record = read(&out);
    assert!(matches!(record.ended, Ended::Failed { .. }), "{:?}", record.ended);
    assert!(record.blocks.len() >= 3 && only(&out).join("report.html").exists());
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_is_started() {
    let (out, config) = (results(), sqlite());
    let place = out.to_str().expect("UTF-8");
    let wrong = written("colour = 1\nrounds = 0\nstrategies = [\"pooled\", \"pooled\"]");
    let (code, _, error) = run(&["run", &wrong, "--config", &config, "--out", place]);
    assert_eq!(code, 2, "{error}");
    for problem in ["colour", "rounds", "pooled"] {
        assert!(error.contains(problem), "{problem} in {error}");
    }
    let (code, _, error) = run(&["run", "nonsense", "--out", place]);
    assert!(code == 2 && error.contains("pool-size"), "it lists the plans: {error}");
    let bad = written("database.pool_size = 0");
    let (code, _, error) = run(&["run", "smoke", "--config", &bad, "--out", place]);
    assert!(code == 2 && error.contains("pool_size"), "{error}");
    let (code, _, error) = run(&["run", "smoke", "--url", "http://127.0.0.1:1", "--out", place]);
    assert!(code == 1 && error.contains("127.0.0.1:1"), "{error}");
    let (code, _, error) = run(&["run", "smoke", "--url", "http://192.0.2.1:80", "--out", place]);
    assert!(code == 1 && error.contains("--allow-remote"), "{error}");
    let left = std::fs::read_dir(&out).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(left, 0, "nothing was measured, so no folder is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_runs_already_is_driven_and_left_running() {
    let service = Setup::few(Backend::Sqlite).start().await;
    let (plan, url) = (written(PLAN), format!("http://{}", service.client.0));
    let ran = tokio::task::spawn_blocking(move || {
        measured(&["run", &plan, "--url", &url, "--rounds", "1", "--quiet"], has_answers)
    });
    let Ran { code, said, error, out } = ran.await.expect("it does not panic");
    assert_eq!(code, 0, "{said}\n{error}");
    assert!(!read(&out).target.started_by_the_lab);
    assert_eq!(service.client.get("/noop").await.status.as_u16(), 204);
}

#[test]
fn a_run_that_wants_to_see_everything_fails_where_it_does_not() {
    let (out, plan, config) = (results(), written(PLAN), sqlite());
    let place = out.to_str().expect("UTF-8");
    let options =
        ["--config", &config, "--out", place, "--rounds", "1", "--quiet", "--all-visible"];
    let (code, _, error) = run(&[&["run", &plan][..], &options].concat());
    assert_eq!(code, 1, "{error}");
    // Beside the lab, and not in a container, it shares the network.
    assert!(error.contains("error: API: not visible from here: network bytes"), "{error}");
    assert!(!error.contains("load driver"), "{error}");
    assert_eq!(read(&out).ended, Ended::Finished);
}

#[test]
fn a_run_file_that_cannot_be_used_says_why() {
    let whole = serde_json::json!({ "schema": 99, "poolwise": "9.9.9" }).to_string();
    let other = written("nothing = 1");
    for (text, reason) in [
        (&*whole, "schema version 99"),
        ("{\"schema\": 1, \"poolwise\": \"0.1", "ends in the middle"),
        ("{\"schema\": 1, \"poolwise\": \"0.1.0\", \"colour\": 1}", "is not a run file"),
        ("[]", "is not a run file"),
    ] {
        let path = written(text);
        for arguments in [&["report", &path][..], &["compare", &path, &other]] {
            let (code, _, error) = run(arguments);
            assert!(code == 1 && error.contains(reason), "{reason} in {error}");
        }
    }
    let (code, _, error) = run(&["report", "/nowhere/run.json"]);
    assert!(code == 1 && error.contains("/nowhere/run.json"), "{error}");
}

#[test]
fn the_doctor_speaks_before_anything_runs() {
    let (code, said, _) = run(&["doctor", "case"]);
    assert!(code == 0 && said.contains("D1") && said.contains("85.8"), "{said}");
    assert_eq!(run(&["doctor", "case", "--strict"]).0, 1);
    let claims = |name: &str| format!("{}/tests/claims/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let (code, said, _) = run(&["doctor", "--claims", &claims("c"), "--strict"]);
    assert!(code == 1 && said.contains("D4"), "{said}");
    let (code, said, _) = run(&["doctor", "--claims", &claims("clean"), "--strict"]);
    assert!(code == 0 && said.contains("nothing"), "{said}");
    let (code, _, error) = run(&["doctor", "--claims", &written("colour = 1")]);
    assert!(code == 2 && error.contains("colour"), "{error}");
    let (out, config) = (results(), sqlite());
    let place = out.to_str().expect("UTF-8");
    let (code, _, error) = run(&["run", "case", "--config", &config, "--out", place, "--strict"]);
    assert!(code == 1 && error.contains("--strict") && error.contains("D1"), "{error}");
}

#[test]
fn every_plan_is_listed() {
    let (code, said, _) = run(&["plans"]);
    assert_eq!(code, 0);
    for name in ["case", "quick", "open", "paged", "pool-size", "break-point", "suite", "targets-e"]
    {
        assert!(said.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} in {said}");
    }
}
