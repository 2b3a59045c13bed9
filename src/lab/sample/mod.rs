//! Samples: what service, database, Redis and driver have used so far, all on one clock.
//!
//! Figures are taken where they are counted: CPU from accumulated time, connections from the servers'
//! own lists. What cannot be seen is absent and said so, never 0. Nothing here drives load or judges
//! what it sees, and every connection to a server is one of its own that is not counted.

mod cgroup;
mod counter;
mod database;
mod driver;
mod host;
#[cfg(feature = "mysql")]
mod mysql;
mod net;
mod place;
mod postgres;
mod process;
mod redis;
mod service;
mod sources;
mod tree;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{OptionFuture, join3};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::counter::Counter;
use self::database::Database;
use self::driver::Driver;
use self::process::{ProcessId, Roots, seconds};
use self::redis::Redis;
use self::service::Service;
use super::base::Base;
use super::record::{Sample, StrategyRecord, Usage};
use crate::config::Config;

pub use host::host;
pub(in crate::lab) use process::parse_list;

/// A component that does not answer within this is not visible in this sample.
const BOUND: Duration = Duration::from_millis(500);
/// The first time it may take longer.
const CONNECT_BOUND: Duration = Duration::from_secs(3);
/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// What to look at.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Zero of [`Sample::at_seconds`].
    pub started: Instant,
    /// Where the service answers.
    pub base: Base,
    /// The service's process, when the lab started it, or found it.
    pub service_pid: Option<u32>,
    /// The service's configuration; `None` where it is not known, and with it where its servers are.
    pub config: Option<Config>,
    /// The strategies that are driven.
    pub strategies: Vec<StrategyRecord>,
}

/// Takes samples.
pub struct Sampler {
    watch: Watch,
    roots: Roots,
    api: Option<ProcessId>,
    api_cpu: Counter,
    driver: Driver,
    service: Service,
    database: Server<Database>,
    redis: Server<Redis>,
    /// What the service said of itself last.
    view: Option<service::View>,
}

/// A server behind the service.
enum Server<S> {
    /// There is none; why.
    Absent(String),
    /// Where it is is not known, so the service's own view of it must do.
    AsTheServiceSees,
    /// There is one that cannot be asked; why.
    Unknown(String),
    /// It is looked at.
    Watched(S),
}

impl<S> Server<S> {
    fn watched(&self) -> Option<&S> {
        match self {
            Server::Watched(server) => Some(server),
            _ => None,
        }
    }

    fn watched_mut(&mut self) -> Option<&mut S> {
        match self {
            Server::Watched(server) => Some(server),
            _ => None,
        }
    }
}

impl Sampler {
    /// Connects to all that there is to look at, for at most 3 s each. Never fails: what cannot be
    /// seen is said in [`Sampler::sources`] and tried again at every sample.
    pub async fn connect(watch: Watch) -> Self {
        let roots = Roots::default();
        let names = watch.strategies.iter().map(|strategy| strategy.name.clone());
        let mut service = Service::new(watch.base.clone(), names);
        let (database, redis, view) = join3(
            database(&roots, &watch),
            redis_server(&roots, &watch),
            timeout(CONNECT_BOUND, service.look()),
        )
        .await;
        Self {
            api: watch.service_pid.and_then(|pid| roots.identify(pid)),
            api_cpu: Counter::default(),
            driver: Driver::default(),
            service,
            database,
            redis,
            view: view.ok().flatten(),
            watch,
            roots,
        }
    }

    /// From now on this process is not the load driver; another one will be.
    pub(in crate::lab) fn awaits_driver(&mut self) {
        self.driver = Driver::awaited();
    }

    /// From now on the load driver is this process, with all under it.
    pub(in crate::lab) fn follows_driver(&mut self, pid: u32) {
        self.driver = self.roots.identify(pid).map_or_else(Driver::awaited, Driver::tree);
    }

    /// Versions of the servers that were reached: `PostgreSQL`, `MariaDB` or `MySQL`, and `Redis`.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let database = self.database.watched().and_then(Database::version);
        let database = database.map(|(name, version)| (name, version.to_owned()));
        let redis = self.redis.watched().and_then(Redis::version).map(|found| ("Redis", found));
        let found = [database, redis].into_iter().flatten();
        found.map(|(name, version)| (name.to_owned(), version)).collect()
    }

    /// Connections that the database server allows, and of them those kept for administrators.
    pub fn limits(&self) -> (Option<u64>, Option<u64>) {
        match &self.database {
            Server::Watched(database) => database.limits(),
            Server::AsTheServiceSees => {
                (self.view.as_ref().and_then(|view| view.max_connections), None)
            }
            _ => (None, None),
        }
    }

    /// Everything at this moment, all components at once. Takes at most about half a second: a
    /// component that does not answer by then is `None`, and the others are not delayed by it.
    pub async fn sample(&mut self) -> Sample {
        let at_seconds = self.watch.started.elapsed().as_secs_f64();
        let host = self.roots.host_usage();
        let (driver, busiest_thread) = self.driver.look(&self.roots);
        let api = self.api();
        let looking = async {
            let database = self.database.watched_mut().map(Database::look);
            let redis = self.redis.watched_mut().map(Redis::look);
            let view = timeout(BOUND, self.service.look());
            join3(OptionFuture::from(database), OptionFuture::from(redis), view).await
        };
        let (api, (database, redis, view)) = futures_util::future::join(api, looking).await;
        let view = view.ok().flatten();
        let seen = view.as_ref();
        let api = self.api_usage(api, seen);
        let database = database.unwrap_or_else(|| match self.database {
            Server::AsTheServiceSees => {
                let connections = seen.and_then(|view| view.database_connections);
                Usage { connections, ..Usage::default() }
            }
            _ => Usage::default(),
        });
        let redis = redis.unwrap_or_else(|| match self.redis {
            Server::AsTheServiceSees => Usage {
                memory_bytes: seen.and_then(|view| view.redis_memory_bytes),
                connections: seen.and_then(|view| view.redis_connections),
                ..Usage::default()
            },
            _ => Usage::default(),
        });
        let pools = seen.map(|view| view.pools.clone()).unwrap_or_default();
        let caches = seen.map(|view| view.caches.clone()).unwrap_or_default();
        self.view = view.or(self.view.take());
        Sample { at_seconds, api, database, redis, driver, host, busiest_thread, pools, caches }
    }

    /// Samples at `from`, every second after it, and at `to`; after `stop` one more, for what was
    /// used so far. No samples when it is stopped before `from`.
    pub async fn during(
        &mut self,
        from: Instant,
        to: Instant,
        stop: &CancellationToken,
    ) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut next = from;
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = sleep_until(next) => false,
            };
            if stopped && samples.is_empty() {
                return samples;
            }
            samples.push(self.sample().await);
            if stopped || next >= to {
                return samples;
            }
            // Whole seconds from the begin; one that would fall just before the end is left out.
            while next <= Instant::now() {
                next += INTERVAL;
            }
            if to.saturating_duration_since(next) < INTERVAL / 2 {
                next = to;
            }
        }
    }
}

/// What the kernel says of the service.
#[derive(Default)]
struct ApiReading {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    connections: Option<u64>,
    traffic: Option<net::Traffic>,
}

impl Sampler {
    /// Reads what the kernel says of the service. A table of many connections takes long, so it is
    /// read on a thread for blocking work, and CPU and memory do not wait for it.
    fn api(&self) -> impl Future<Output = ApiReading> + use<> {
        let (roots, id) = (self.roots.clone(), self.api);
        let started = self.watch.service_pid.is_some();
        let stat = id.and_then(|id| roots.alive(id));
        let whose = match (id, stat) {
            (Some(id), Some(_)) => Some(id.pid.to_string()),
            (None, _) if self.watch.base.is_loopback() && !started => Some("self".to_owned()),
            _ => None,
        };
        let of_process = ApiReading {
            cpu_seconds: stat.map(|stat| seconds(stat.cpu_ticks + stat.reaped_ticks)),
            resident_bytes: stat.map(|stat| stat.resident_bytes),
            limit_bytes: stat.and(id).and_then(|id| limit(&roots, id.pid)),
            traffic: stat.and(id).and_then(|id| roots.traffic(id.pid)),
            connections: None,
        };
        let port = port(&self.watch.base);
        let counting = tokio::task::spawn_blocking(move || roots.connections(whose?, port));
        async move {
            let connections = timeout(BOUND, counting).await.ok().and_then(Result::ok).flatten();
            ApiReading { connections, ..of_process }
        }
    }

    fn api_usage(&mut self, read: ApiReading, view: Option<&service::View>) -> Usage {
        let by_itself = view.filter(|_| self.watch.service_pid.is_none());
        let own = u64::from(self.service.is_connected());
        Usage {
            cpu_seconds: match read.cpu_seconds {
                Some(now) => Some(self.api_cpu.at_least(now)),
                None => by_itself.map(|view| view.cpu_seconds),
            },
            memory_bytes: read.resident_bytes.or(by_itself.map(|view| view.resident_bytes)),
            memory_limit_bytes: read.limit_bytes,
            connections: read.connections.map(|all| all.saturating_sub(own)),
            received_bytes: read.traffic.map(|traffic| traffic.received_bytes),
            sent_bytes: read.traffic.map(|traffic| traffic.sent_bytes),
            ..Usage::default()
        }
    }
}

/// Connections that the database server of a configuration allows, and of them those kept for
/// administrators; `None` where it has no such limit or cannot be asked.
pub async fn connection_limits(config: &Config) -> (Option<u64>, Option<u64>) {
    match Database::connect(Roots::default(), config, &config.database.url).await {
        Server::Watched(database) => database.limits(),
        _ => (None, None),
    }
}

fn port(base: &Base) -> u16 {
    base.addresses().first().map_or(0, |address| address.port())
}

/// The process of the service that answers at an address, where it is visible from here; `None` where another program
/// does, such as a proxy before it.
pub(in crate::lab) fn service_at(address: SocketAddr) -> Option<u32> {
    let roots = Roots::default();
    let pid = roots.listener(address)?;
    (roots.read(pid, "comm")?.trim() == env!("CARGO_PKG_NAME")).then_some(pid)
}

/// Whether it is this process that listens on a TCP port.
pub(in crate::lab) fn listens(pid: u32, port: u16) -> bool {
    Roots::default().listens(pid, port)
}

/// What the memory of a process may grow to.
fn limit(roots: &Roots, pid: impl std::fmt::Display) -> Option<u64> {
    cgroup::memory_limit(roots, pid).or_else(|| roots.memory_bytes())
}

/// A sentence about restarts; `None` without any.
fn restarts(count: u32) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "it began anew {count} times while it was looked at: what it used between the last look \
             and each end is not counted"
        )
    })
}

async fn database(roots: &Roots, watch: &Watch) -> Server<Database> {
    let Some(config) = &watch.config else { return Server::AsTheServiceSees };
    let url = sources::database_urls(watch).into_iter().next();
    Database::connect(roots.clone(), config, url.unwrap_or(&config.database.url)).await
}

async fn redis_server(roots: &Roots, watch: &Watch) -> Server<Redis> {
    const USERS: [&str; 2] = ["redis", "tiered"];
    if !watch.strategies.iter().any(|strategy| USERS.contains(&strategy.cache.as_str())) {
        return Server::Absent("no strategy of this run uses Redis".to_owned());
    }
    let Some(config) = &watch.config else { return Server::AsTheServiceSees };
    match Redis::connect(roots.clone(), &config.cache).await {
        Ok(redis) => Server::Watched(redis),
        Err(why) => Server::Unknown(why),
    }
}
