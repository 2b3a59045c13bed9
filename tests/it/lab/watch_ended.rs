//! What `poolwise lab watch` leaves behind when it is ended from outside: a report, and no process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use poolwise::lab::record::Ended;
use rstest::rstest;

use super::command::{child_of, command, read, results, signal, sqlite, told};
use super::watch::{LISTS, answers, driver, text, watched};
use crate::harness::{folder, unique};

fn is_gone(pid: &str) -> bool {
    // One that nobody waits for any more is a state of its own.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn until_gone(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !is_gone(pid) {
        assert!(Instant::now() < deadline, "process {pid} was left behind");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a file has so many lines.
fn until_lines(child: &mut Child, file: &Path, lines: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(file).map_or(0, |text| text.lines().count()) < lines {
        assert!(child.try_wait().expect("it is ours").is_none(), "it ended early");
        assert!(Instant::now() < deadline, "{} does not grow", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Interrupts until it has ended, which must not take as long as the command may: two signals that
/// come close together on a busy machine are one.
fn interrupted(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(9);
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status;
        }
        assert!(Instant::now() < deadline, "it waits for the command");
        signal("-INT", &child.id().to_string());
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[rstest]
#[case::interrupted("-INT")]
#[case::terminated("-TERM")]
#[case::hung_up("-HUP")]
fn a_watch_that_is_ended_keeps_what_was_measured_and_leaves_nobody_behind(#[case] name: &str) {
    let ((script, records), out) = (driver(), results());
    let pids = folder().join(unique("pids"));
    let both = format!(
        "sleep 1000 & echo $$ >{0}; echo $! >>{0}; bash {script} \"$0\" {records} 100000 '{1}' '{2}'",
        pids.display(),
        LISTS[0],
        LISTS[1],
    );
    let config = sqlite();
    let mut child = command(&[
        "watch",
        "--config",
        &config,
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
    ])
    .spawn()
    .expect("it starts");
    until_lines(&mut child, &PathBuf::from(&records), 25);
    let service = child_of(child.id(), "serve").to_string();
    signal(name, &child.id().to_string());
    let (code, said, error) = told(child.wait_with_output().expect("it ends"));
    assert_eq!(code, 1, "{said}\n{error}");
    let left = std::fs::read_to_string(&pids).expect("it was written");
    assert_eq!(left.lines().count(), 2);
    for pid in left.lines().chain([service.as_str()]) {
        assert!(is_gone(pid), "process {pid} was left behind");
    }
    let record = read(&out);
    assert_eq!(record.ended, Ended::Interrupted);
    let outside = watched(&record).outside;
    assert!(answers(&record, "direct") + answers(&record, "pooled") + outside >= 20, "{error}");
    assert!(answers(&record, "pooled") > 0, "{error}");
    assert!(said.contains("bash was ended after") && said.contains("it was interrupted"), "{said}");
}

#[test]
fn a_second_signal_ends_at_once_and_still_leaves_nobody_behind() {
    let (out, config, pid) = (results(), sqlite(), folder().join(unique("pid")));
    let script =
        format!("trap 'sleep 5' TERM; echo $$ >{}; while :; do sleep 0.1; done", pid.display());
    let arguments =
        ["watch", "--config", &config, "--out", text(&out), "--", "bash", "-c", &script];
    let mut child = command(&arguments).spawn().expect("it starts");
    until_lines(&mut child, &pid, 1);
    let service = child_of(child.id(), "serve").to_string();
    assert_eq!(interrupted(&mut child).code(), Some(130));
    until_gone(std::fs::read_to_string(&pid).expect("it was written").trim());
    until_gone(&service);
}

/// Starts a watch of a shell whose child does not end at SIGTERM, and waits until both run; the
/// shell itself does as `first` says. The watch, the number of that child, and the file to which
/// the child writes what time it is, a line each time.
fn stubborn(config: &str, out: &Path, first: &str) -> (Child, String, PathBuf) {
    let pid = folder().join(unique("pid"));
    let times = pid.with_extension("times");
    let script = format!(
        "{first} (trap '' TERM; while :; do date +%s.%N >>{1}; sleep 0.1; done) &
         echo $! >{0}; wait",
        pid.display(),
        times.display()
    );
    let mut child =
        command(&["watch", "--config", config, "--out", text(out), "--", "bash", "-c", &script])
            .spawn()
            .expect("it starts");
    until_lines(&mut child, &pid, 1);
    until_lines(&mut child, &times, 1);
    let left = std::fs::read_to_string(&pid).expect("it was written");
    (child, left.trim().to_owned(), times)
}

#[test]
fn a_child_that_ignores_sigterm_does_not_outlive_a_second_signal_either() {
    let (out, config) = (results(), sqlite());
    let (mut child, left, _) = stubborn(&config, &out, "");
    signal("-INT", &child.id().to_string());
    // The shell is gone at once, and its child is not.
    std::thread::sleep(Duration::from_millis(500));
    assert!(!is_gone(&left) && child.try_wait().expect("it is ours").is_none());
    assert_eq!(interrupted(&mut child).code(), Some(130));
    until_gone(&left);
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_and_the_report_is_made() {
    let (out, config) = (results(), sqlite());
    let (child, left, times) = stubborn(&config, &out, "trap 'sleep 8; exit' TERM;");
    let (begun, began) = (Instant::now(), SystemTime::now());
    signal("-TERM", &child.id().to_string());
    let (code, said, error) = told(child.wait_with_output().expect("it ends"));
    assert_eq!(code, 1, "{said}\n{error}");
    assert!(is_gone(&left), "process {left} was left behind");
    // After 10 s, not after the 8 s of the shell and 10 s more for its child.
    let took = begun.elapsed().as_secs_f64();
    assert!(took >= 9.5, "{took} s");
    let times = std::fs::read_to_string(times).expect("it was written");
    let last: f64 = times.lines().last().and_then(|line| line.parse().ok()).expect("a time");
    let lived = last - began.duration_since(UNIX_EPOCH).expect("it is later").as_secs_f64();
    assert!(lived < 17.0, "{lived} s");
    assert_eq!(read(&out).ended, Ended::Interrupted);
}

#[test]
fn a_watch_that_was_started_to_ignore_sighup_goes_on() {
    let (out, config, mark) = (results(), sqlite(), folder().join(unique("mark")));
    let script = format!("echo 'it runs' >{}; sleep 3", mark.display());
    let watch =
        command(&["watch", "--config", &config, "--out", text(&out), "--", "bash", "-c", &script]);
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(watch.get_program());
    nohup.args(watch.get_args()).current_dir(folder());
    for (name, _) in watch.get_envs() {
        nohup.env_remove(name);
    }
    nohup.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = nohup.spawn().expect("sh is there");
    until_lines(&mut child, &mark, 1);
    signal("-HUP", &child.id().to_string());
    let (_, said, error) = told(child.wait_with_output().expect("it ends"));
    assert!(said.contains("report.html"), "{said}\n{error}");
    let record = read(&out);
    assert_eq!(record.ended, Ended::Finished);
    assert_eq!(watched(&record).ended_with.as_deref(), Some("exit code 0"));
}
