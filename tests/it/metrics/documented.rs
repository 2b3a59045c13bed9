//! docs/METRICS.md names every metric that there is, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scrape, read, scrape_until};
use crate::harness::{Backend, Redis, Setup};

/// The names of the tables "Of ..." with their types.
pub(super) fn documented() -> BTreeMap<String, String> {
    let text = read("docs/METRICS.md");
    let of_the_service = text.split("## The names of the original").next().expect("it is there");
    let row = |line: &str| {
        let mut columns = line.strip_prefix("| `")?.split(" | ");
        let name = columns.next()?.strip_suffix('`')?;
        Some((name.to_owned(), columns.next()?.to_owned()))
    };
    of_the_service.lines().filter_map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let postgres = Setup::few(Backend::Postgres)
        .subject("\"pool\"", "\"tiered\"")
        .with_redis(Redis::shared())
        .start()
        .await;
    postgres.subject("limit=1").await;
    let seen = |scrape: &Scrape| {
        let names = scrape.names();
        let wanted = [
            "http_requests_total",
            "poolwise_database_connections",
            "poolwise_redis_latency_seconds",
            "poolwise_redis_memory_used_bytes",
        ];
        wanted.iter().all(|name| names.contains(*name))
            && names.contains("poolwise_database_latency_seconds")
    };
    let scrape = scrape_until(postgres.client, "everything is seen", seen).await;
    let served = scrape.types;
    #[cfg(feature = "mysql")]
    let served = {
        let mut served = served;
        let mysql = Setup::few(Backend::MariaDb).start().await;
        let seen = |scrape: &Scrape| scrape.names().contains("poolwise_database_queries_total");
        served.extend(scrape_until(mysql.client, "MariaDB is seen", seen).await.types);
        served
    };
    let mut documented = documented();
    assert!(documented.len() > 60, "{documented:?}");
    if cfg!(not(feature = "mysql")) {
        documented.remove("poolwise_database_queries_total");
        documented.remove("poolwise_database_max_used_connections");
    }
    assert_eq!(served, documented);
}

#[test]
fn the_names_of_the_original_are_all_mapped() {
    let text = read("docs/METRICS.md");
    let table = text.split("## The names of the original").nth(1).expect("it is there");
    let first: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let expected = [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "mysql_global_status_queries",
        "mysql_global_status_max_used_connections",
        "mysql_global_status_threads_connected",
        "redis_memory_used_bytes",
        "redis_memory_used_peak_bytes",
        "redis_cpu_sys_seconds_total",
        "redis_cpu_user_seconds_total",
        "redis_total_connections_received",
        "http_requests_total",
        "http_request_duration_seconds",
        "http_request_size_bytes",
        "http_response_size_bytes",
    ];
    assert_eq!(first, expected.into());
}
