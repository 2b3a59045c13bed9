//! The ways to a PostgreSQL, or to what speaks its protocol: over TLS, through a pooler, by several
//! hosts, from a replica; and what is said when there is no way.

mod bad_input;
mod hosts;
mod pgbouncer;
mod replica;
mod retry;
mod tls;

use std::time::{Duration, Instant};

use crate::harness::{Backend, Database, Postgres, Service, connect};

/// A database of the shared server behind another URL.
fn at(url: String) -> Database {
    Database { backend: Backend::Postgres, url }
}

/// The shared server's small data set at another host, as another user, with other options.
fn small(authority: &str, options: &str) -> Database {
    let shared = Database::shared(Backend::Postgres, crate::harness::FEW);
    let sign = if options.is_empty() { "" } else { "?" };
    at(format!("postgres://{authority}/{}{sign}{options}", shared.name()))
}

/// How many connections of this name there are at a server, and whether all are encrypted.
async fn connections(server: &Postgres, application: &str) -> (i64, bool) {
    const COUNT: &str = "select count(*), coalesce(bool_and(ssl), false) \
        from pg_stat_ssl join pg_stat_activity using (pid) where application_name = $1";
    let client = connect(&server.url("postgres")).await;
    let row = client.query_one(COUNT, &[&application]).await.expect("a superuser may look");
    (row.get(0), row.get(1))
}

/// Waits until there are so many connections of this name at a server: one that was closed is
/// there for a moment longer.
async fn until_connections(server: &Postgres, application: &str, expected: i64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let open = connections(server, application).await.0;
        if open == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{open} connections and never {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks for everything, and gets it.
async fn assert_serves(service: &Service) {
    let answer = service.subject("").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == crate::harness::Dataset::of(crate::harness::FEW).body());
}
