//! Redis: what `INFO` says of the server, or of each node of a cluster, over connections of its own
//! that are not counted.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::InfoDict;

use super::cgroup;
use super::counter::Counter;
use super::process::{ProcessId, Roots};
use super::{BOUND, CONNECT_BOUND, restarts};
use crate::config;
use crate::lab::record::{Source, Usage};
use crate::redis_client::{Client, Nodes, Seen};

/// What the server's process is called.
const NAMES: &[&str] = &["redis-server", "valkey-server"];

/// Bytes of `INFO` as a request.
const QUESTION_BYTES: f64 = 14.0;

/// Looks at Redis.
pub(super) struct Redis {
    roots: Roots,
    shown: String,
    asked: Nodes,
    nodes: BTreeMap<String, Node>,
    /// What could not be seen the last time.
    why: Vec<String>,
}

/// A server, over all its lives.
#[derive(Default)]
struct Node {
    version: Option<String>,
    /// A random word that Redis chooses when it begins.
    life: Option<String>,
    process: Option<ProcessId>,
    counters: Counters,
    /// Bytes that it sent because we asked.
    told_bytes: f64,
    restarts: u32,
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
    /// The servers behind `cache.redis_url`; what cannot be reached now is tried again at every look.
    ///
    /// # Errors
    /// A sentence, when the settings cannot be used.
    pub async fn connect(roots: Roots, settings: &config::Cache) -> Result<Self, String> {
        let shown = settings.redis_url.to_string();
        let client = Client::new(settings).map_err(|error| format!("{shown}: {error}"))?;
        let (asked, nodes) = (Nodes::new(client), BTreeMap::new());
        let mut redis = Self { roots, shown, asked, nodes, why: Vec::new() };
        redis.ask(CONNECT_BOUND).await;
        Ok(redis)
    }

    /// Its version, once it was reached; of a cluster's nodes all that there are.
    pub fn version(&self) -> Option<String> {
        let mut versions: Vec<&str> =
            self.nodes.values().filter_map(|node| node.version.as_deref()).collect();
        versions.sort_unstable();
        versions.dedup();
        (!versions.is_empty()).then(|| versions.join(", "))
    }

    /// Where the figures come from.
    pub fn source(&self) -> Source {
        let reached = self.nodes.values().any(|node| node.version.is_some());
        let mut not_visible = self.why.clone();
        not_visible.extend(restarts(self.nodes.values().map(|node| node.restarts).sum()));
        let nodes = match self.nodes.len() {
            0 | 1 => String::new(),
            count => format!(", summed over {count} nodes"),
        };
        Source::Seen {
            usage: reached.then(|| format!("INFO: used_cpu_*, used_memory_rss{nodes}")),
            counters: reached.then(|| format!("INFO, without the lab's own{nodes}")),
            not_visible,
            shares_cores: {
                let processes = self.nodes.values().filter_map(|node| node.process);
                processes.filter_map(|id| self.roots.shares_cores(id.pid)).reduce(|a, b| a || b)
            },
        }
    }

    /// What it has used so far. Takes at most [`BOUND`]; unless every node answers everything is
    /// `None`, because a sum without one of them would go backwards.
    pub async fn look(&mut self) -> Usage {
        self.ask(BOUND).await.unwrap_or_default()
    }

    async fn ask(&mut self, limit: Duration) -> Option<Usage> {
        let seen = match self.asked.info(limit).await {
            Ok(seen) => seen,
            Err(why) => {
                self.unseen(vec![format!("everything: {} cannot be asked: {why}", self.shown)]);
                return None;
            }
        };
        let (alone, mut silent, mut all) = (seen.len() == 1, Vec::new(), Vec::new());
        for Seen { name, asked, said: info, .. } in seen {
            match info {
                Ok(text) => {
                    let node = self.nodes.entry(name).or_default();
                    let info = InfoDict::new(&text);
                    all.push(node.usage(&self.roots, &info, asked as f64, alone));
                    node.has_told(text.len());
                }
                Err(why) if alone => {
                    silent.push(format!("everything: {} cannot be asked: {why}", self.shown));
                }
                Err(why) => silent.push(format!("the node {name}, and so the sum: {why}")),
            }
        }
        let complete = silent.is_empty();
        self.unseen(silent);
        complete.then(|| all.into_iter().reduce(sum))?
    }

    /// A server that was seen before, and is not now, is a gap in the samples and not a thing that
    /// cannot be seen; a node of a cluster is named all the same.
    fn unseen(&mut self, why: Vec<String>) {
        let alone = self.nodes.len() == 1;
        self.why = if alone { Vec::new() } else { why };
    }
}

impl Node {
    fn has_told(&mut self, length: usize) {
        // Its length as decimal digits, one character before it and two line ends around.
        self.told_bytes += (length + length.to_string().len() + 5) as f64;
    }

    fn usage(&mut self, roots: &Roots, info: &InfoDict, asked: f64, alone: bool) -> Usage {
        let life: Option<String> = info.get("run_id");
        if life != self.life {
            self.restarts += u32::from(self.life.is_some());
            self.life = life;
            self.version = info.get("redis_version");
            self.process = find(roots, info);
        }
        let float = |key: &str| info.get::<f64>(key);
        let bytes = |key: &str| info.get::<u64>(key);
        let Counters { cpu, commands, received, sent, hits, misses } = &mut self.counters;
        let cpu_seconds: Option<f64> =
            ["used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"]
                .iter()
                .map(|key| float(key))
                .sum();
        let process = self.process.filter(|id| roots.alive(*id).is_some());
        let configured = bytes("maxmemory").filter(|bytes| *bytes > 0);
        // Nodes may share a machine, so what the machine has cannot be summed.
        let limit_bytes = match alone {
            true => configured
                .or_else(|| cgroup::memory_limit(roots, process?.pid))
                .or_else(|| bytes("total_system_memory")),
            false => configured,
        };
        Usage {
            cpu_seconds: cpu_seconds.map(|now| cpu.exact(now)),
            memory_bytes: bytes("used_memory_rss"),
            memory_limit_bytes: limit_bytes,
            connections: bytes("connected_clients").map(|clients| clients.saturating_sub(1)),
            received_bytes: without(
                received,
                float("total_net_input_bytes"),
                (asked + 1.0) * QUESTION_BYTES,
            ),
            sent_bytes: without(sent, float("total_net_output_bytes"), self.told_bytes),
            operations: without(commands, float("total_commands_processed"), asked),
            keyspace_hits: float("keyspace_hits").map(|now| hits.exact(now) as u64),
            keyspace_misses: float("keyspace_misses").map(|now| misses.exact(now) as u64),
        }
    }
}

/// Its process, where it is visible: for the limit of its memory and the cores that it uses.
fn find(roots: &Roots, info: &InfoDict) -> Option<ProcessId> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let began = now - info.get::<f64>("uptime_in_seconds")?;
    roots.find(info.get("process_id")?, NAMES, began)
}

fn sum(one: Usage, other: Usage) -> Usage {
    let whole = |of: fn(&Usage) -> Option<u64>| Some(of(&one)? + of(&other)?);
    Usage {
        cpu_seconds: one.cpu_seconds.zip(other.cpu_seconds).map(|(one, other)| one + other),
        memory_bytes: whole(|u| u.memory_bytes),
        memory_limit_bytes: whole(|u| u.memory_limit_bytes),
        connections: whole(|u| u.connections),
        received_bytes: whole(|u| u.received_bytes),
        sent_bytes: whole(|u| u.sent_bytes),
        operations: whole(|u| u.operations),
        keyspace_hits: whole(|u| u.keyspace_hits),
        keyspace_misses: whole(|u| u.keyspace_misses),
    }
}

fn without([all, others]: &mut [Counter; 2], now: Option<f64>, own: f64) -> Option<u64> {
    let all = all.exact(now?);
    Some(others.at_least(all - own).max(0.0) as u64)
}
