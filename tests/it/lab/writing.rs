//! Plans that write: every task, by users who are signed in, and how stale answers are.

use poolwise::lab::record::{Lane, Role, RunRecord, StalenessRecord};

use super::command::{Ran, has_answers, measured, only, read, results, run, sqlite, written};

const PLAN: &str = r#"
title = "Some write"
question = "Who is told?"
strategies = ["pooled", "timed", "versioned"]
rounds = 1
again = false
block = "3s"
warm_up = "200ms"
idle = "0s"
ceiling = "0s"
pause_spread = "2ms"
[limits]
steal = 1.0
swapped_pages = 1000000000
[parameters]
distribution = "uniform"
values = ["limit=20", "category=books&limit=20"]
[tasks]
list = 2
detail = 2
order = 1
update = 1
[users]
count = 3
sign_ins_per_second = 100.0
[staleness]
write_every = "300ms"
read_every = "20ms"
[strategy.timed]
access = "pool"
cache = { store = "memory", invalidation = "ttl", ttl = "2s", ttl_jitter = 0.0 }
[strategy.versioned]
access = "pool"
cache = { store = "memory", invalidation = "version" }
[load]
model = "closed"
users = 3
pause = "10ms"
"#;

/// Whether each strategy did every task often enough, and was looked at where somebody looked.
fn is_enough(record: &RunRecord) -> bool {
    let lanes = record.blocks.iter().flat_map(|block| &block.lanes);
    let is_watched = |seen: &StalenessRecord| seen.writes >= 2 && seen.looks >= 10;
    let mut whole = lanes.map(|lane| {
        let tasks = ["list", "detail", "order", "update"];
        tasks.iter().all(|task| lane.tasks.get(*task).is_some_and(|task| task.answers > 0))
            && lane.staleness.as_ref().is_none_or(is_watched)
    });
    has_answers(record) && whole.all(|whole| whole)
}

#[test]
fn every_task_is_done_and_only_a_cache_that_is_not_told_is_stale() {
    let Ran { code, said, error, out } =
        measured(&["run", &written(PLAN), "--config", &sqlite()], is_enough);
    assert_eq!(code, 0, "{said}\n{error}");
    assert!(error.contains("signing in 3 users"), "{error}");
    let record = read(&out);
    let lane = |strategy: &str| -> Lane {
        let lanes = record.blocks.iter().filter(|block| block.role == Role::Measure);
        let found = lanes.flat_map(|block| &block.lanes).find(|lane| lane.strategy == strategy);
        found.expect("it was driven").clone()
    };
    let mut stale = Vec::new();
    for strategy in ["pooled", "timed", "versioned"] {
        let lane = lane(strategy);
        let done = |task: &str| {
            let record = lane.tasks.get(task).unwrap_or_else(|| panic!("no {task}: {lane:?}"));
            assert_eq!(record.errors, 0, "{strategy} {task}: {:?}", lane.outcomes);
            assert_eq!(record.latency.count(), record.answers);
            record.answers
        };
        let all: u64 = ["list", "detail", "order", "update"].map(done).iter().sum();
        assert_eq!(all, lane.answers());
        assert_eq!(lane.outcomes["201"], done("order"));
        let StalenessRecord { writes, looks, stale: lacking, errors, .. } =
            lane.staleness.clone().expect("somebody looked");
        assert!(writes >= 2 && looks >= 10 && errors == 0, "{strategy}: {writes}, {looks}");
        stale.push(lacking);
    }
    assert!(stale[0] == 0 && stale[1] > 0 && stale[2] == 0, "{stale:?}");
    let report = std::fs::read_to_string(only(&out).join("report.md")).expect("it was written");
    for part in
        ["**Staleness**", "| stale answers |", "| orders, p95 |", "by 3 users who are signed in"]
    {
        assert!(report.contains(part), "{part} in {report}");
    }
}

/// Nothing tells this cache, and its entries outlive the run: in the second block each answer is of before
/// the writes of the first.
#[test]
fn an_answer_that_is_kept_from_block_to_block_is_stale_from_the_first_look() {
    let plan = PLAN.replace("[\"pooled\", \"timed\", \"versioned\"]", "[\"timed\", \"versioned\"]");
    let plan = plan.replace("rounds = 1", "rounds = 2").replace("ttl = \"2s\"", "ttl = \"1h\"");
    let Ran { code, said, error, out } =
        measured(&["run", &written(&plan), "--config", &sqlite()], is_enough);
    assert_eq!(code, 0, "{said}\n{error}");
    let record = read(&out);
    let lanes = record.blocks.iter().filter(|block| block.round == 2).flat_map(|b| &b.lanes);
    let lane = lanes.into_iter().find(|lane| lane.strategy == "timed");
    let seen = lane.and_then(|lane| lane.staleness.as_ref()).expect("somebody looked");
    assert!(seen.looks >= 10 && seen.stale == seen.looks, "{} of {}", seen.stale, seen.looks);
}

/// The access tokens are over several times in a block.
#[test]
fn tokens_are_renewed_while_a_block_is_measured() {
    let plan = PLAN.replace("[\"pooled\", \"timed\", \"versioned\"]", "[\"pooled\"]");
    let plan = plan.replace("block = \"3s\"", "block = \"8s\"");
    let tables = ["[staleness]", "[strategy.timed]", "[strategy.versioned]", "[load]"];
    let places = tables.map(|table| plan.find(table).expect("it is there"));
    let plan = format!("{}{}", &plan[..places[0]], &plan[places[3]..]);
    let arguments = ["run", &written(&plan), "--config", &short_lived("2s")];
    let Ran { code, said, error, out } = measured(&arguments, is_enough);
    assert_eq!(code, 0, "{said}\n{error}");
    let record = read(&out);
    let block = record.blocks.iter().find(|block| block.role == Role::Measure).expect("one");
    let lane = &block.lanes[0];
    assert!(block.to_seconds - block.from_seconds > 7.5 && lane.tasks["order"].answers > 20);
    let statuses: Vec<&str> = lane.outcomes.keys().map(String::as_str).collect();
    assert_eq!(statuses, ["200", "201"], "{:?}", lane.outcomes);
}

#[test]
fn users_whose_tokens_are_over_before_the_last_has_signed_in_are_refused_with_the_numbers() {
    let plan = PLAN.replace("sign_ins_per_second = 100.0", "sign_ins_per_second = 1.0");
    let (out, config) = (results(), short_lived("4s"));
    let arguments =
        ["run", &written(&plan), "--config", &config, "--out", out.to_str().expect("UTF-8")];
    let (code, said, error) = run(&arguments);
    assert_ne!(code, 0, "{said}\n{error}");
    let why = "signing in 3 users, 1 a second, takes 3s, and tokens hold for 4s";
    let text = format!("{said}\n{error}");
    assert!(text.contains(why) && text.contains("auth.access_lifetime"), "{text}");
}

/// A configuration whose access tokens hold for so long.
fn short_lived(lifetime: &str) -> String {
    let path = sqlite();
    let text = std::fs::read_to_string(&path).expect("it was written just now");
    written(&format!("{text}\nauth.access_lifetime = \"{lifetime}\""))
}

#[test]
fn what_cannot_be_told_apart_or_done_is_refused() {
    let plan = written(PLAN);
    let (code, _, error) = run(&["run", &plan, "--mixed"]);
    assert!(code == 2 && error.contains("stale the answers of each strategy"), "{error}");
    let wrong = PLAN.replace("list = 2\ndetail = 2\norder = 1\nupdate = 1", "list = 0");
    let wrong = wrong.replace("count = 3", "count = 0").replace("\"300ms\"", "\"1ms\"");
    let (code, _, error) = run(&["run", &written(&wrong)]);
    assert_eq!(code, 2, "{error}");
    for part in ["every weight is 0", "`users.count` is 0", "`staleness.write_every` must be"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
