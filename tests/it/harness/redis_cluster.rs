//! A private Redis Cluster.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::authority::Authority;
use super::process::free_port;
use super::redis::Redis;

/// Three primaries that share the slots. Each goes on when another is down.
pub struct RedisCluster {
    pub nodes: Vec<Redis>,
    password: Option<String>,
}

impl RedisCluster {
    /// A new one, ready for use.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One whose nodes have options of their own.
    pub fn start_with(options: &[&str]) -> Self {
        let password = options.iter().position(|option| *option == "--requirepass");
        let password = password.map(|place| options[place + 1].to_owned());
        let nodes = three(|port| Redis::start_in(port, &of_a_node(options), |_| Vec::new()));
        Self::of(nodes, password)
    }

    /// One that speaks TLS, between its nodes as well; and its URL.
    pub fn start_with_tls(authority: &Authority) -> (Self, String) {
        let options = of_a_node(&["--tls-cluster", "yes"]);
        let nodes = three(|port| Redis::start_on_tls(port, authority, &options));
        let hosts: Vec<String> =
            nodes.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
        (Self::of(nodes, None), format!("rediss-cluster://{}", hosts.join(",")))
    }

    /// A new and empty one on these ports.
    pub fn start_on(ports: &[u16]) -> Self {
        let node = |port: &u16| {
            let started = Redis::start_in(*port, &of_a_node(&[]), |_| Vec::new());
            (*port, started.expect("the port is still free"))
        };
        Self::of(ports.iter().map(node).collect(), None)
    }

    /// Makes a cluster of nodes, each with the port at which the others meet it.
    fn of(nodes: Vec<(u16, Redis)>, password: Option<String>) -> Self {
        const SLOTS: [[&str; 2]; 3] = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];
        let (ports, nodes): (Vec<u16>, Vec<Redis>) = nodes.into_iter().unzip();
        let cluster = Self { nodes, password };
        for (number, ([from, to], node)) in SLOTS.iter().zip(&cluster.nodes).enumerate() {
            let epoch = (number + 1).to_string();
            cluster.run::<()>(node, &["CLUSTER", "ADDSLOTSRANGE", from, to]);
            cluster.run::<()>(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        let meet = || {
            for port in &ports[1..] {
                let port = port.to_string();
                cluster.run::<()>(&cluster.nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &port]);
            }
            Instant::now()
        };
        let (mut met, deadline) = (meet(), Instant::now() + Duration::from_secs(30));
        while !cluster.nodes.iter().all(|node| cluster.knows_all(node)) {
            assert!(Instant::now() < deadline, "the nodes never agree");
            std::thread::sleep(Duration::from_millis(50));
            // On a busy machine a handshake may take longer than the 3 s after which it is
            // forgotten.
            if met.elapsed() > Duration::from_secs(4) {
                met = meet();
            }
        }
        cluster
    }

    fn run<T: redis::FromRedisValue>(&self, node: &Redis, command: &[&str]) -> T {
        match &self.password {
            Some(password) => node.run_as(&format!(":{}", password.replace('/', "%2F")), command),
            None => node.run(command),
        }
    }

    fn knows_all(&self, node: &Redis) -> bool {
        let info: String = self.run(node, &["CLUSTER", "INFO"]);
        let nodes: String = self.run(node, &["CLUSTER", "NODES"]);
        let says = |what| info.lines().any(|line| line == what);
        says("cluster_state:ok")
            && says("cluster_slots_ok:16384")
            && nodes.lines().filter(|line| line.contains("connected")).count() == 3
            && !nodes.contains("handshake")
    }

    /// Moves the slots of one node that have entries to another, as `redis-cli` would.
    pub fn move_entries(&self, from: usize, to: usize) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let id = |node: &Redis| self.run::<String>(node, &["CLUSTER", "MYID"]);
        let (from_id, to_id, to_port) = (id(from), id(to), to.port.to_string());
        let keys: Vec<String> = self.run(from, &["KEYS", "*"]);
        let slot = |key: &String| self.run::<u16>(from, &["CLUSTER", "KEYSLOT", key]);
        let slots: BTreeSet<u16> = keys.iter().map(slot).collect();
        for slot in slots {
            let slot = slot.to_string();
            self.run::<()>(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
            self.run::<()>(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
            let keys: Vec<String> = self.run(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            for key in keys {
                self.run::<()>(from, &["MIGRATE", "127.0.0.1", &to_port, &key, "0", "5000"]);
            }
            for node in [to, from] {
                self.run::<()>(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
            }
        }
    }

    /// Its URL, which names every node.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// Its URL with what stands before the first host.
    pub fn url_with(&self, user: &str) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{user}{}", hosts.join(","))
    }
}

fn of_a_node<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "3000"];
    let partly = ["--cluster-require-full-coverage", "no"];
    [&cluster[..], &partly, options].concat()
}

/// Three nodes and their ports.
fn three(node: impl Fn(u16) -> Option<Redis>) -> Vec<(u16, Redis)> {
    let started = || {
        let port = port_with_bus();
        Some((port, node(port)?))
    };
    let one = || (0..5).find_map(|_| started()).expect("Redis starts on one of five ports");
    (0..3).map(|_| one()).collect()
}

/// A free port whose bus port, 10,000 above, is free too.
fn port_with_bus() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut ports = std::iter::repeat_with(free_port);
    ports.find(|port| *port < 55_000 && is_free(port + 10_000)).expect("it goes on for ever")
}
