//! What the tests stand on: servers, data sets, services and clients. It asserts nothing about
//! the service itself.

mod authority;
mod client;
mod crowd;
mod data;
mod haproxy;
#[cfg(feature = "mysql")]
pub mod mariadb;
mod network;
mod pgbouncer;
mod postgres;
mod process;
mod proxy;
mod redis;
#[cfg(feature = "redis-cluster")]
mod redis_cluster;
mod serve;
mod service;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use authority::Authority;
pub use client::{Answer, Client, SlowClient};
pub use crowd::{Crowd, Fate, Outcomes};
pub use data::{Dataset, FEW, Filter, MANY};
pub use haproxy::{FILE as HAPROXY_FILE, HaProxy};
#[cfg(feature = "mysql")]
pub use mariadb::MariaDb;
pub use network::{Network, Weather};
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, connect};
pub use process::{Process, Running, free_port};
pub use proxy::Proxy;
pub use redis::Redis;
#[cfg(feature = "redis-cluster")]
pub use redis_cluster::RedisCluster;
pub use serve::ServeCommand;
pub use service::{Backend, Database, SIGNING_KEY, Service, Setup, subject};

/// A folder for files of the tests; it goes when the test process does, however it ends.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<(PathBuf, process::Process)> = OnceLock::new();
    let (path, _janitor) = FOLDER.get_or_init(|| {
        let path = process::temp_folder("files");
        let janitor = process::Process::start(&path, &path.join("log"), "sleep", &["infinity"]);
        (path, janitor)
    });
    path
}

/// The long variant with `POOLWISE_LONG=1`.
pub fn long_or<T>(long: T, short: T) -> T {
    if std::env::var_os("POOLWISE_LONG").is_some_and(|value| value == "1") { long } else { short }
}

/// A name that no other test of this process uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a future to its end on a thread and a runtime of its own, from wherever.
pub fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("it does not panic"))
}

/// Waits until `holds`, for at most 15 s.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether something holds now and still after a while.
pub async fn steadily(holds: impl Fn() -> bool) -> bool {
    for _ in 0..15 {
        if !holds() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}
