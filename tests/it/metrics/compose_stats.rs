//! scripts/compose-stats.sh: what it makes of the words of `docker stats`. There is no docker here: a script with
//! its name says what docker says, so this shows the reading and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::project;
use crate::harness::{folder, unique};

/// A `PATH` on which docker is this script.
fn path(docker: &str) -> String {
    let bin = folder().join(unique("bin"));
    std::fs::create_dir(&bin).expect("the temp folder can be written to");
    let program = bin.join("docker");
    std::fs::write(&program, format!("#!/bin/sh\n{docker}\n")).expect("it can be written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    format!("{}:{}", bin.display(), std::env::var("PATH").expect("there is one"))
}

fn run(docker: &str, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(project("scripts/compose-stats.sh"));
    outcome(command.args(arguments).env("PATH", path(docker)))
}

fn outcome(command: &mut Command) -> (bool, String, String) {
    let done = command.output().expect("there is a shell");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (done.status.success(), text(done.stdout), text(done.stderr))
}

const DOCKER: &str = r"
while :; do
    printf '\033[2J\033[H'
    echo 'shop-api-1|112.34%|45.5MiB / 512MiB|1.5MB / 648B'
    echo 'shop-redis-1|0.10%|980KiB / 1.5GiB|12kB / 3.25GB'
    echo 'shop-new-1|--|-- / --|-- / --'
    sleep 0.2
done";

const HEAD: &str =
    "time,container,cpu_percent,memory_bytes,memory_limit_bytes,received_bytes,sent_bytes";

#[test]
fn what_docker_says_becomes_one_line_a_container_and_second() {
    let (ended_well, csv, _) = run(DOCKER, &["8"]);
    assert!(ended_well);
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some(HEAD));
    let mut times = Vec::new();
    for line in lines {
        let (time, rest) = line.split_once(',').expect("a time");
        humantime::parse_rfc3339(time).unwrap_or_else(|error| panic!("{time}: {error}"));
        match rest.split(',').next() {
            Some("shop-api-1") => {
                assert_eq!(rest, "shop-api-1,112.34,47710208,536870912,1500000,648");
                times.push(time.to_owned());
            }
            _ => assert_eq!(rest, "shop-redis-1,0.10,1003520,1610612736,12000,3250000000"),
        }
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert!((2..=11).contains(&times.len()), "{times:?}");
}

#[test]
fn containers_can_be_picked_by_a_part_of_their_name() {
    let (_, csv, _) = run(DOCKER, &["1", "redis"]);
    assert!(csv.contains("shop-redis-1") && !csv.contains("shop-api-1"), "{csv}");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let script = project("scripts/compose-stats.sh");
    let line = format!("'{}' 20 | head -2; exit ${{PIPESTATUS[0]}}", script.display());
    let (ended_well, csv, said) =
        outcome(Command::new("bash").args(["-c", &line]).env("PATH", path(DOCKER)));
    assert!(ended_well && said.is_empty(), "{said}");
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

#[test]
fn what_is_wrong_is_said() {
    let (ended_well, _, said) = run("echo 'no permission' >&2; exit 1", &["1"]);
    assert!(!ended_well && said.contains("no permission") && said.contains("error: "), "{said}");
    let (ended_well, _, said) = run(DOCKER, &["0"]);
    assert!(!ended_well && said.contains("at least 1 second"), "{said}");
}
