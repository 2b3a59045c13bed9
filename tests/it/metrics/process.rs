//! The figures of the process are those that the kernel has of it.

use super::{Scrape, scrape_until};
use crate::harness::{Backend, ServeCommand, Setup};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_is_as_the_kernel_sees_it() {
    let command = ServeCommand::start(&Setup::few(Backend::Sqlite), &[]);
    command.listens().await;
    command.becomes(200).await;
    let folder = format!("/proc/{}", command.child.id());
    let read = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).expect("it runs");
    let status = |key: &str| -> f64 {
        let status = read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it is there");
        let number = line.split_whitespace().next().expect("a number of KiB");
        number.parse().expect("a number")
    };
    // It is looked at once a second, and just after the start it grows.
    let are_near = |scrape: &Scrape| {
        let is_near = |name: &str, key: &str| {
            let expected = status(key) * 1024.0;
            (scrape.one(name, &[]) - expected).abs() <= expected * 0.2
        };
        is_near("process_resident_memory_bytes", "VmRSS:")
            && is_near("process_virtual_memory_bytes", "VmSize:")
    };
    let scrape = scrape_until(command.client, "its memory is as the kernel says", are_near).await;
    let files = std::fs::read_dir(format!("{folder}/fd")).expect("it runs").count() as f64;
    let open = scrape.one("process_open_fds", &[]);
    assert!((open - files).abs() <= 5.0, "{open} files, not {files}");
    let limits = read("limits");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit: f64 = limit.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(scrape.one("process_max_fds", &[]), limit);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - scrape.one("process_start_time_seconds", &[]);
    assert!((-2.0..120.0).contains(&age), "it started {age} s ago");
    let before = scrape.one("process_cpu_seconds_total", &[]);
    assert!(before > 0.0);
    while Scrape::of(command.client).await.one("process_cpu_seconds_total", &[]) <= before {}
}
