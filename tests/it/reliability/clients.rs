//! Clients that come in crowds, and clients that leave.

use std::time::{Duration, Instant};

use super::{assert_only_503, figure, first};
use crate::harness::{Backend, Crowd, Fate, ServeCommand, Setup, long_or, subject};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_clients_that_come_back_when_they_are_told_to() {
    let setup = Setup::few(Backend::Postgres).with("database.wait_timeout = \"1s\"");
    let service = setup.subject("{ kind = \"pool\", size = 8 }", "\"none\"").start().await;
    let seconds = long_or(10, 4);
    let (path, expected) = (subject("limit=1000"), first(1000));
    let run = async |clients| {
        let retry_after = Duration::from_secs(1);
        let crowd = Crowd::waiting(clients, service.client, &path, expected.clone(), retry_after);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let ended = Instant::now();
        let mut outcomes = crowd.leaves().await;
        outcomes.0.retain(|outcome| outcome.ended() <= ended);
        outcomes
    };
    for attempt in 1.. {
        // As many as there are connections: nobody waits, however slow the machine.
        let best = run(8).await;
        let crowded = run(400).await;
        let goodput = crowded.right() as f64 / best.right() as f64;
        let refused = crowded.0.iter().filter(|outcome| outcome.fate != Fate::Right);
        let late = refused.map(|outcome| outcome.took).max().unwrap_or_default();
        let said = format!(
            "{goodput:.2} of the best ({} answers); the last 503 after {late:.1?}",
            best.right()
        );
        figure("400 clients, pool of 8", &crowded, &said);
        assert!(best.other_fates().is_empty(), "{:?}", best.counts());
        assert_only_503(&crowded, &["saturated"]);
        assert!(!crowded.other_fates().is_empty(), "the test cannot fail");
        // After the second of wait_timeout; what waited for ever would take the request's 30 s.
        assert!(late < Duration::from_secs(20), "{said}");
        if goodput > 0.8 / 5.0 {
            return;
        }
        // What keeps the machine busy for seconds may hit one of the two: then both once more.
        assert!(attempt < 3, "{said}");
    }
}

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_in_mid_body() {
    const AT_A_TIME: usize = 200;
    let setup = Setup::many(Backend::Postgres).streaming().with("database.wait_timeout = \"60s\"");
    let setup = setup.with("server.request_timeout = \"2m\"\ndatabase.pool_size = 8");
    let service = ServeCommand::start(&setup, &[]);
    service.listens().await;
    service.becomes(200).await;
    let client = service.client;
    let rounds = async |rounds: usize| {
        for _ in 0..rounds {
            let all: Vec<_> = (0..AT_A_TIME)
                .map(|_| {
                    tokio::spawn(async move {
                        let mut answer = client.read_slowly("/products/pooled").await;
                        assert_eq!(answer.response.status(), 200);
                        answer.read(10_000).await;
                    })
                })
                .collect();
            for one in all {
                one.await.expect("an answer begins");
            }
        }
    };
    let gauge = async |name: &str| {
        let stats = client.get("/stats").await.json();
        let strategies = stats["strategies"].as_array().expect("they are listed");
        let pooled = strategies.iter().find(|strategy| strategy["name"] == "pooled");
        pooled.expect("it is there")["pool"][name].as_u64().expect("a number")
    };
    let settle = async || {
        let deadline = Instant::now() + Duration::from_secs(20);
        while gauge("in_use").await > 0 || gauge("idle").await < 8 {
            assert!(Instant::now() < deadline, "connections are in use that nobody wants");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The first 1,000 bring the allocator to what it then keeps: 54, 58, 60, 60.5, 60.7 and 60.7 MiB
    // after 200, 1,000, 2,000, 3,000, 4,000 and 6,000.
    rounds(long_or(5, 1)).await;
    settle().await;
    let before = resident(service.child.id());
    let count = long_or(50, 3);
    rounds(count).await;
    settle().await;
    let after = resident(service.child.id());
    let growth = after as f64 / before as f64 - 1.0;
    println!(
        "figure: {} clients hang up in mid-body: 0 connections in use afterwards; resident memory {:.1} MiB before, {:.1} MiB after ({:+.1} %)",
        count * AT_A_TIME,
        before as f64 / f64::from(1 << 20),
        after as f64 / f64::from(1 << 20),
        100.0 * growth
    );
    let allowed = long_or(0.1, 0.5);
    assert!(growth < allowed, "memory grew by {:.0} %", 100.0 * growth);
}
