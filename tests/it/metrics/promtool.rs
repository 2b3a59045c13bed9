//! Prometheus's own tool for looking at metrics, configurations and rules.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::{Scrape, scrape_until};
use crate::harness::{Backend, Redis, Setup};

/// Runs `promtool` with these arguments.
pub(super) fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn();
    let mut promtool = started.expect("these tests need promtool: apt-get install prometheus");
    let mut stdin = promtool.stdin.take().expect("piped above");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    promtool.wait_with_output().expect("it ends")
}

/// What it says, when it is content.
pub(super) fn is_content(arguments: &[&str], input: &str) -> String {
    let done = promtool(arguments, input);
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_has_nothing_to_say_of_the_metrics() {
    let setup = Setup::few(Backend::Postgres).subject("\"pool\"", "\"tiered\"");
    let service = setup.with_redis(Redis::shared()).start().await;
    service.subject("limit=1").await;
    service.client.get("/nowhere").await;
    let seen = |scrape: &Scrape| {
        let names = scrape.names();
        names.contains("http_requests_total") && names.contains("poolwise_database_connections")
    };
    let scrape = scrape_until(service.client, "everything is seen", seen).await;
    assert_eq!(is_content(&["check", "metrics"], &scrape.text), "");
    // It would say something.
    let wrong = scrape.text.replace("# TYPE http_requests_total counter", "");
    let wrong = wrong.replace("# HELP http_requests_total", "# ");
    assert!(!promtool(&["check", "metrics"], &wrong).status.success());
}
