//! Looks at the process, the database and Redis once a second, on connections of its own, so that
//! a request for figures never waits for any of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::OptionFuture;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::MissedTickBehavior;

use super::stats::{DatabaseStats, ProcessStats, RedisStats, round};
use crate::store::Strategies;
use crate::store::backend::{Backend, Watch};
use crate::store::cache::{Fault, ServerWatch};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A dependency that does not answer within this is not visible this time.
const TIMEOUT: Duration = Duration::from_millis(800);

/// What was seen last.
pub struct Sampler {
    latest: ArcSwap<Sample>,
    /// What to look at from the next time on, where that has changed.
    next: Mutex<Option<Targets>>,
}

/// What is looked at besides the process.
struct Targets {
    database: Arc<dyn Backend>,
    redis: Option<Box<dyn ServerWatch>>,
}

impl Targets {
    fn new(database: Arc<dyn Backend>, strategies: &Strategies) -> Self {
        Self { database, redis: strategies.cache_server() }
    }
}

/// One look at everything.
pub(super) struct Sample {
    pub taken: Instant,
    pub process: ProcessStats,
    pub database: Option<DatabaseStats>,
    pub redis: Option<RedisStats>,
}

impl Sampler {
    /// Takes a first look at the process and starts looking at `database` and at the server behind
    /// the caches of `strategies`, until the returned guard is dropped.
    pub fn start(
        database: Arc<dyn Backend>,
        strategies: &Strategies,
    ) -> (Arc<Self>, tokio_util::task::AbortOnDropHandle<()>) {
        let mut own = OwnProcess::new();
        let first = Sample {
            taken: Instant::now(),
            process: own.as_mut().map(OwnProcess::look).unwrap_or_default(),
            database: None,
            redis: None,
        };
        let latest = ArcSwap::from_pointee(first);
        let sampler = Arc::new(Self { latest, next: Mutex::default() });
        let targets = Targets::new(database, strategies);
        let task = tokio::spawn(run(sampler.clone(), own, targets));
        (sampler, tokio_util::task::AbortOnDropHandle::new(task))
    }

    /// From the next look on, looks at `database` and at the server behind the caches of `strategies`.
    pub fn look_at(&self, database: Arc<dyn Backend>, strategies: &Strategies) {
        let targets = Targets::new(database, strategies);
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(targets);
    }

    fn take_next(&self) -> Option<Targets> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The last look.
    pub(super) fn latest(&self) -> Arc<Sample> {
        self.latest.load_full()
    }
}

async fn run(sampler: Arc<Sampler>, mut own: Option<OwnProcess>, targets: Targets) {
    let Targets { database: mut backend, redis } = targets;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut watch = None;
    let mut redis = redis.map(|server| CacheServer { server, usable: None });
    loop {
        ticks.tick().await;
        if let Some(next) = sampler.take_next() {
            if !Arc::ptr_eq(&backend, &next.database) {
                watch = None;
            }
            backend = next.database;
            let usable = redis.as_ref().and_then(|redis| redis.usable);
            redis = next.redis.map(|server| CacheServer { server, usable });
        }
        let looking = OptionFuture::from(redis.as_mut().map(CacheServer::look));
        let (database, redis) =
            futures_util::future::join(look_at(&backend, &mut watch), looking).await;
        let redis = redis.flatten();
        let process = own.as_mut().map(OwnProcess::look).unwrap_or_default();
        let sample = Sample { taken: Instant::now(), process, database, redis };
        sampler.latest.store(Arc::new(sample));
    }
}

/// Looks at the database, on a new connection when the old one failed.
async fn look_at(
    backend: &Arc<dyn Backend>,
    watch: &mut Option<Box<dyn Watch>>,
) -> Option<DatabaseStats> {
    let look = async {
        let mut connection = match watch.take() {
            Some(connection) => connection,
            None => backend.watch().await?,
        };
        let seen = connection.look().await?;
        *watch = Some(connection);
        Ok::<_, crate::store::StoreError>(seen)
    };
    match tokio::time::timeout(TIMEOUT, look).await {
        Ok(Ok(seen)) => seen.map(|seen| DatabaseStats {
            connections: seen.connections,
            active: seen.active,
            max_connections: seen.max_connections,
            max_used: seen.max_used,
            queries: seen.queries,
        }),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the database cannot be looked at");
            None
        }
        Err(_) => None,
    }
}

/// Redis, and whether it could be used at the last look.
struct CacheServer {
    server: Box<dyn ServerWatch>,
    usable: Option<bool>,
}

impl CacheServer {
    /// A change is told, the first look included: strategies go on without Redis, so nothing else
    /// says that it is missing before somebody asks.
    async fn look(&mut self) -> Option<RedisStats> {
        let seen = match tokio::time::timeout(TIMEOUT, self.server.look()).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(Fault::Failed(why))) => Err(why),
            Ok(Err(Fault::NoRoom | Fault::Behind)) | Err(_) => Err("it does not answer".into()),
        };
        let before = self.usable.replace(seen.is_ok());
        match &seen {
            Err(reason) if before != Some(false) => tracing::warn!(
                %reason,
                "Redis cannot be used; until it can, its strategies answer from the database"
            ),
            Ok(_) if before == Some(false) => tracing::info!("Redis can be used again"),
            _ => {}
        }
        let seen = seen.ok()?;
        Some(RedisStats {
            used_memory_bytes: seen.used_memory_bytes,
            used_memory_peak_bytes: seen.used_memory_peak_bytes,
            connected_clients: seen.connected_clients,
        })
    }
}

/// This process through sysinfo.
struct OwnProcess {
    system: System,
    pid: Pid,
}

impl OwnProcess {
    fn new() -> Option<Self> {
        Some(Self { system: System::new().ok()?, pid: sysinfo::get_current_pid().ok()? })
    }

    fn look(&mut self) -> ProcessStats {
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), false, what);
        let Some(process) = self.system.process(self.pid) else { return ProcessStats::default() };
        ProcessStats {
            cpu_seconds: process.accumulated_cpu_time() as f64 / 1000.0,
            cpu_percent: round(f64::from(process.cpu_usage())),
            resident_bytes: process.memory(),
            virtual_bytes: process.virtual_memory(),
            // sysinfo would read every task's files to count them.
            threads: std::fs::read_dir("/proc/self/task").ok().map(|tasks| tasks.count() as u64),
        }
    }
}
