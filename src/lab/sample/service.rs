//! The service's own figures, from its `GET /stats` over one connection that is kept.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT_ENCODING, HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::Instant;

use super::counter::Counter;
use crate::lab::base::Base;
use crate::lab::record::{CacheSample, PoolSample};

/// Two begins of the service that are further apart are those of two processes.
const SAME_BEGIN_SECONDS: f64 = 2.0;

/// What of `/stats` is used here.
#[derive(Debug, Deserialize)]
struct Stats {
    uptime_seconds: f64,
    process: Process,
    strategies: Vec<Strategy>,
    database: Option<Database>,
    redis: Option<Redis>,
}

#[derive(Debug, Deserialize)]
struct Process {
    cpu_seconds: f64,
    resident_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Strategy {
    name: String,
    pool: Pool,
    cache: Option<Cache>,
}

#[derive(Debug, Deserialize)]
struct Pool {
    size: u64,
    in_use: u64,
    idle: u64,
    waiting: u64,
    wait: Latency,
    opened: u64,
    closed: u64,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p95_ms: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Cache {
    hits: u64,
    misses: u64,
    coalesced: u64,
    bypassed: u64,
}

#[derive(Debug, Deserialize)]
struct Database {
    connections: u64,
    max_connections: u64,
}

#[derive(Debug, Deserialize)]
struct Redis {
    used_memory_bytes: u64,
    connected_clients: u64,
}

/// One look.
#[derive(Debug, Default, Clone)]
pub(super) struct View {
    pub pools: BTreeMap<String, PoolSample>,
    pub caches: BTreeMap<String, CacheSample>,
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub database_connections: Option<u64>,
    pub max_connections: Option<u64>,
    pub redis_memory_bytes: Option<u64>,
    pub redis_connections: Option<u64>,
}

/// Asks the service for its figures.
pub(super) struct Service {
    base: Base,
    strategies: BTreeSet<String>,
    link: Option<SendRequest<Empty<Bytes>>>,
    origin: Instant,
    began_seconds: Option<f64>,
    cpu: Counter,
    counters: BTreeMap<String, [Counter; 6]>,
    /// How often it began anew since the first look.
    pub restarts: u32,
}

impl Service {
    /// Figures of these strategies; those of others are not kept.
    pub fn new(base: Base, strategies: impl IntoIterator<Item = String>) -> Self {
        Self {
            base,
            strategies: strategies.into_iter().collect(),
            link: None,
            origin: Instant::now(),
            began_seconds: None,
            cpu: Counter::default(),
            counters: BTreeMap::new(),
            restarts: 0,
        }
    }

    /// Whether the connection is open: it is one of those that the service has.
    pub fn is_connected(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.is_closed())
    }

    /// Asks once; `None` when there is no answer that can be read. May be dropped: the connection is
    /// given up then, and the next look opens another.
    pub async fn look(&mut self) -> Option<View> {
        let kept = self.link.take();
        let body = match kept {
            // One that the service has closed meanwhile is replaced.
            Some(link) if !link.is_closed() => match self.ask(link).await {
                Some(body) => Some(body),
                None => self.ask_anew().await,
            },
            _ => self.ask_anew().await,
        };
        let stats = serde_json::from_slice(&body?).ok()?;
        let now_seconds = self.origin.elapsed().as_secs_f64();
        Some(self.view(stats, now_seconds))
    }

    async fn ask_anew(&mut self) -> Option<Bytes> {
        let stream = self.base.connect().await.ok()?;
        let (link, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        // It ends when the sender is dropped.
        tokio::spawn(connection);
        self.ask(link).await
    }

    async fn ask(&mut self, mut link: SendRequest<Empty<Bytes>>) -> Option<Bytes> {
        link.ready().await.ok()?;
        let request = Request::get("/stats")
            .header(HOST, self.base.authority())
            .header(ACCEPT_ENCODING, "identity")
            .body(Empty::new())
            .expect("our own path is right");
        let answer = link.send_request(request).await.ok()?;
        let is_good = answer.status().is_success();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        self.link = Some(link);
        is_good.then_some(body)
    }

    fn view(&mut self, stats: Stats, now_seconds: f64) -> View {
        let began = now_seconds - stats.uptime_seconds;
        let before = self.began_seconds.replace(began);
        if before.is_some_and(|before| began - before > SAME_BEGIN_SECONDS) {
            self.restarts += 1;
            self.cpu.restart();
            self.counters.values_mut().flatten().for_each(Counter::restart);
        }
        let mut view = View {
            cpu_seconds: self.cpu.at_least(stats.process.cpu_seconds),
            resident_bytes: stats.process.resident_bytes,
            database_connections: stats.database.as_ref().map(|database| database.connections),
            max_connections: stats.database.as_ref().map(|database| database.max_connections),
            redis_memory_bytes: stats.redis.as_ref().map(|redis| redis.used_memory_bytes),
            redis_connections: stats.redis.as_ref().map(|redis| redis.connected_clients),
            ..View::default()
        };
        for Strategy { name, pool, cache } in stats.strategies {
            if !self.strategies.contains(&name) {
                continue;
            }
            let [opened, closed, hits, misses, coalesced, bypassed] =
                self.counters.entry(name.clone()).or_default();
            let sum = |counter: &mut Counter, now: u64| counter.at_least(now as f64) as u64;
            let sample = PoolSample {
                size: pool.size,
                in_use: pool.in_use,
                idle: pool.idle,
                waiting: pool.waiting,
                wait_p95_ms: pool.wait.p95_ms,
                opened: sum(opened, pool.opened),
                closed: sum(closed, pool.closed),
            };
            view.pools.insert(name.clone(), sample);
            if let Some(cache) = cache {
                let sample = CacheSample {
                    hits: sum(hits, cache.hits),
                    misses: sum(misses, cache.misses),
                    coalesced: sum(coalesced, cache.coalesced),
                    bypassed: sum(bypassed, cache.bypassed),
                };
                view.caches.insert(name, sample);
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(uptime_seconds: f64, cpu_seconds: f64, hits: u64) -> Stats {
        serde_json::from_value(serde_json::json!({
            "uptime_seconds": uptime_seconds,
            "process": { "cpu_seconds": cpu_seconds, "resident_bytes": 1 },
            "strategies": [
                { "name": "cached",
                  "pool": { "size": 2, "in_use": 1, "idle": 1, "waiting": 0,
                            "wait": { "p95_ms": null }, "opened": 2, "closed": 0 },
                  "cache": { "hits": hits, "misses": 0, "coalesced": 0, "bypassed": 0 } },
                { "name": "other",
                  "pool": { "size": 2, "in_use": 1, "idle": 1, "waiting": 0,
                            "wait": { "p95_ms": null }, "opened": 2, "closed": 0 },
                  "cache": null },
            ],
        }))
        .expect("it is of that shape")
    }

    #[tokio::test]
    async fn counters_go_on_when_the_service_began_anew() {
        let base = Base::parse("http://127.0.0.1:9").await.expect("it is an address");
        let mut service = Service::new(base, ["cached".to_owned()]);
        let first = service.view(stats(100.0, 5.0, 40), 0.0);
        assert_eq!((first.cpu_seconds, first.caches["cached"].hits), (5.0, 40));
        assert!(first.pools.contains_key("cached") && !first.pools.contains_key("other"));
        let same = service.view(stats(110.0, 6.0, 50), 10.0);
        assert_eq!((same.cpu_seconds, service.restarts), (6.0, 0));
        let anew = service.view(stats(150.0, 7.0, 60), 210.0);
        assert_eq!((anew.cpu_seconds, anew.caches["cached"].hits), (13.0, 110));
        assert_eq!(service.restarts, 1);
    }
}
