//! Redis: what its `INFO` says, over a connection of its own that is not counted.

use std::time::{SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, InfoDict, IntoConnectionInfo, RedisResult};
use tokio::time::timeout;

use super::cgroup;
use super::counter::Counter;
use super::process::{ProcessId, Roots};
use super::{BOUND, CONNECT_BOUND, restarts};
use crate::config::RedisUrl;
use crate::lab::record::{Source, Usage};

/// What the server's process is called.
const NAMES: &[&str] = &["redis-server", "valkey-server"];

/// Bytes of `INFO` as a request.
const QUESTION_BYTES: f64 = 14.0;

/// Looks at a Redis server.
pub(super) struct Redis {
    roots: Roots,
    client: Client,
    connection: Option<MultiplexedConnection>,
    version: Option<String>,
    /// A random word that Redis chooses when it begins.
    life: Option<String>,
    process: Option<ProcessId>,
    counters: Counters,
    asked: Asked,
    why: Option<String>,
    restarts: u32,
}

/// What we have caused ourselves.
#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    commands: f64,
    received_bytes: f64,
    sent_bytes: f64,
}

/// Twice those that our own questions are taken off: what the server says, and the rest.
#[derive(Default)]
struct Counters {
    cpu: Counter,
    commands: [Counter; 2],
    received: [Counter; 2],
    sent: [Counter; 2],
    hits: Counter,
    misses: Counter,
}

impl Redis {
    /// The server behind `url`; what cannot be reached now is tried again at every look.
    ///
    /// # Errors
    /// A sentence, when the URL is not one.
    pub async fn connect(roots: Roots, url: &RedisUrl) -> Result<Self, String> {
        let client = || -> RedisResult<Client> {
            let info = url.expose().into_connection_info()?;
            Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
        };
        let client = client().map_err(|error| format!("{url}: {error}"))?;
        let mut redis = Self {
            roots,
            client,
            connection: None,
            version: None,
            life: None,
            process: None,
            counters: Counters::default(),
            asked: Asked::default(),
            why: None,
            restarts: 0,
        };
        let first = timeout(CONNECT_BOUND, redis.ask()).await;
        let within = humantime::format_duration(CONNECT_BOUND);
        let first = first.unwrap_or_else(|_| Err(format!("no answer within {within}")));
        redis.why = first.err().map(|why| format!("everything: {url} cannot be asked: {why}"));
        Ok(redis)
    }

    /// Its version, once it was reached.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Where the figures come from.
    pub fn source(&self) -> Source {
        let reached = self.version.is_some();
        let mut not_visible: Vec<String> = self.why.clone().into_iter().collect();
        not_visible.extend(restarts(self.restarts));
        Source::Seen {
            usage: reached.then(|| "INFO: used_cpu_*, used_memory_rss".into()),
            counters: reached.then(|| "INFO, without the lab's own".into()),
            not_visible,
            shares_cores: self.process.and_then(|id| self.roots.shares_cores(id.pid)),
        }
    }

    /// What it has used so far. Takes at most [`BOUND`]; without an answer everything is `None`.
    pub async fn look(&mut self) -> Usage {
        match timeout(BOUND, self.ask()).await {
            Ok(Ok(usage)) => {
                self.why = None;
                usage
            }
            // One that came too late answers the next time; the connection is kept.
            Ok(Err(_)) | Err(_) => Usage::default(),
        }
    }

    async fn ask(&mut self) -> Result<Usage, String> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let limits = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None);
                let connected = self.client.get_multiplexed_async_connection_with_config(&limits);
                let connection = connected.await.map_err(|error| error.to_string())?;
                self.connection.insert(connection).clone()
            }
        };
        self.asked.received_bytes += QUESTION_BYTES;
        let asked = self.asked;
        self.asked.commands += 1.0;
        match info(connection).await {
            Ok(text) => {
                let usage = self.usage(&InfoDict::new(&text), asked);
                // Its length as decimal digits, one character before it and two line ends around.
                let head = text.len().to_string().len() + 5;
                self.asked.sent_bytes += (text.len() + head) as f64;
                Ok(usage)
            }
            Err(error) => {
                self.connection = None;
                Err(error.to_string())
            }
        }
    }

    fn usage(&mut self, info: &InfoDict, asked: Asked) -> Usage {
        let life: Option<String> = info.get("run_id");
        if life != self.life {
            self.restarts += u32::from(self.life.is_some());
            self.life = life;
            self.version = info.get("redis_version");
            self.process = self.find(info);
        }
        let float = |key: &str| info.get::<f64>(key);
        let bytes = |key: &str| info.get::<u64>(key);
        let Counters { cpu, commands, received, sent, hits, misses } = &mut self.counters;
        let cpu_seconds: Option<f64> =
            ["used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"]
                .iter()
                .map(|key| float(key))
                .sum();
        let process = self.process.filter(|id| self.roots.alive(*id).is_some());
        let limit_bytes = bytes("maxmemory")
            .filter(|bytes| *bytes > 0)
            .or_else(|| cgroup::memory_limit(&self.roots, process?.pid))
            .or_else(|| bytes("total_system_memory"));
        Usage {
            cpu_seconds: cpu_seconds.map(|now| cpu.exact(now)),
            memory_bytes: bytes("used_memory_rss"),
            memory_limit_bytes: limit_bytes,
            connections: bytes("connected_clients").map(|clients| clients.saturating_sub(1)),
            received_bytes: without(received, float("total_net_input_bytes"), asked.received_bytes),
            sent_bytes: without(sent, float("total_net_output_bytes"), asked.sent_bytes),
            operations: without(commands, float("total_commands_processed"), asked.commands),
            keyspace_hits: float("keyspace_hits").map(|now| hits.exact(now) as u64),
            keyspace_misses: float("keyspace_misses").map(|now| misses.exact(now) as u64),
        }
    }

    /// Its process, where it is visible: for the limit of its memory and the cores that it uses.
    fn find(&self, info: &InfoDict) -> Option<ProcessId> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        let began = now - info.get::<f64>("uptime_in_seconds")?;
        self.roots.find(info.get("process_id")?, NAMES, began)
    }
}

async fn info(mut connection: MultiplexedConnection) -> RedisResult<String> {
    redis::cmd("INFO").query_async(&mut connection).await
}

fn without([all, others]: &mut [Counter; 2], now: Option<f64>, own: f64) -> Option<u64> {
    let all = all.exact(now?);
    Some(others.at_least(all - own).max(0.0) as u64)
}
