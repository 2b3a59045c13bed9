//! Looks at every server behind `cache.redis_url`: the one, or each node of a cluster.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, select_ok};
use redis::ConnectionInfo;
use tokio::time::timeout_at;

use super::{Client, Connection, Server, why};

/// A cluster of which something does not answer is asked for its nodes again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A connection on which an answer is owed for longer than this is given up.
const GIVE_UP: Duration = Duration::from_secs(5);

/// The servers, each with a connection of its own that is kept.
pub struct Nodes {
    client: Client,
    nodes: Vec<Node>,
    discovered: Option<Instant>,
}

/// What a server says of itself.
pub struct Seen {
    /// Its host and port.
    pub name: String,
    /// Whether it is one that takes writes; the server that is no node of a cluster does.
    pub primary: bool,
    /// How many times it was asked before.
    pub asked: u64,
    /// Its answer as text, or why there is none.
    pub said: Result<String, String>,
}

struct Node {
    name: String,
    primary: bool,
    server: ConnectionInfo,
    connection: Option<Connection>,
    asked: u64,
    /// Since when an answer is owed.
    owed: Option<Instant>,
}

impl Nodes {
    /// Nothing is asked yet.
    pub fn new(client: Client) -> Self {
        let nodes = match client.cluster {
            true => Vec::new(),
            false => vec![Node::new(client.servers[0].clone(), true)],
        };
        Self { client, nodes, discovered: None }
    }

    /// `INFO` of each, of those that do not answer within `limit` the reason. An answer that comes
    /// too late is not waited for, but its connection is kept for the next time.
    ///
    /// # Errors
    /// Why the nodes of a cluster cannot be told.
    pub async fn info(&mut self, limit: Duration) -> Result<Vec<Seen>, String> {
        self.ask("INFO", limit).await
    }

    /// A sign of life of each, as [`Nodes::info`].
    ///
    /// # Errors
    /// Why the nodes of a cluster cannot be told.
    pub async fn ping(&mut self, limit: Duration) -> Result<Vec<Seen>, String> {
        self.ask("PING", limit).await
    }

    async fn ask(&mut self, command: &str, limit: Duration) -> Result<Vec<Seen>, String> {
        let until = tokio::time::Instant::now() + limit;
        let late = format!("no answer within {}", humantime::format_duration(limit));
        if self.client.cluster && self.is_stale() {
            let told = timeout_at(until, self.client.nodes(&self.nodes)).await;
            match told.unwrap_or_else(|_| Err(late.clone())) {
                Ok(told) => self.adopt(told),
                Err(why) if self.nodes.is_empty() => return Err(why),
                Err(_) => {}
            }
        }
        let Self { client, nodes, .. } = self;
        let asking = nodes.iter_mut().map(|node| async {
            let asked = node.asked;
            let said = timeout_at(until, node.ask(command, client)).await;
            let said = said.unwrap_or_else(|_| Err(late.clone()));
            Seen { name: node.name.clone(), primary: node.primary, asked, said }
        });
        Ok(join_all(asking).await)
    }

    fn is_stale(&self) -> bool {
        let complete =
            self.nodes.iter().all(|node| node.connection.is_some() && node.owed.is_none());
        match self.discovered {
            Some(at) => !complete && at.elapsed() > ASK_AGAIN,
            None => true,
        }
    }

    fn adopt(&mut self, told: Vec<Node>) {
        let mut before = std::mem::take(&mut self.nodes);
        self.discovered = Some(Instant::now());
        self.nodes = told
            .into_iter()
            .map(|node| match before.iter().position(|old| old.name == node.name) {
                Some(place) => Node { primary: node.primary, ..before.swap_remove(place) },
                None => node,
            })
            .collect();
    }
}

impl Client {
    pub(super) async fn told_primaries(&self) -> Result<Vec<(String, Server)>, String> {
        let nodes = match self.cluster {
            true => self.nodes(&[]).await?,
            false => vec![Node::new(self.servers[0].clone(), true)],
        };
        let primaries = nodes.into_iter().filter(|node| node.primary);
        Ok(primaries.map(|node| (node.name, Server(node.server))).collect())
    }

    /// The nodes of the cluster, as the first that answers tells them, on a connection for this
    /// question only.
    async fn nodes(&self, known: &[Node]) -> Result<Vec<Node>, String> {
        let known = known.iter().map(|node| &node.server);
        let asking = self.servers.iter().chain(known).map(|server| Box::pin(self.told_by(server)));
        select_ok(asking).await.map(|(told, _)| told)
    }

    async fn told_by(&self, server: &ConnectionInfo) -> Result<Vec<Node>, String> {
        let mut connection = self.connect_to(server).await?;
        let mut command = redis::cmd("CLUSTER");
        let told: String =
            command.arg("NODES").query_async(&mut connection).await.map_err(|e| why(&e))?;
        let seed = Node::new(server.clone(), true);
        let host = seed.name.rsplit_once(':').map_or("", |(host, _)| host);
        Ok(told.lines().filter_map(|line| self.node(line, host)).collect())
    }

    /// A node from its line of `CLUSTER NODES`: id, ip:port@bus, flags, primary, pings, epoch, link,
    /// slots. One that does not know its own address has none; then it is `asked`.
    fn node(&self, line: &str, asked: &str) -> Option<Node> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, flags) = (*fields.get(1)?, *fields.get(2)?);
        if ["handshake", "noaddr"].iter().any(|gone| flags.split(',').any(|flag| flag == *gone)) {
            return None;
        }
        let (host, port) = address.split('@').next()?.rsplit_once(':')?;
        let host = if host.is_empty() { asked } else { host };
        let primary = flags.split(',').any(|flag| flag == "master") && fields.len() > 8;
        Some(Node::new(self.server_at(host, port.parse().ok()?), primary))
    }
}

impl Node {
    fn new(server: ConnectionInfo, primary: bool) -> Self {
        let name = server.addr().to_string();
        Self { name, primary, server, connection: None, asked: 0, owed: None }
    }

    async fn ask(&mut self, command: &str, client: &Client) -> Result<String, String> {
        if self.owed.is_some_and(|since| since.elapsed() > GIVE_UP) {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                self.owed = None;
                self.connection.insert(client.connect_to(&self.server).await?)
            }
        };
        self.owed.get_or_insert_with(Instant::now);
        self.asked += 1;
        let said = redis::cmd(command).query_async(connection).await;
        self.owed = None;
        said.map_err(|error| {
            self.connection = None;
            why(&error)
        })
    }
}
