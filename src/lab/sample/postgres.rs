//! PostgreSQL: its counters over a connection of its own, and its processes where they are visible.
//!
//! The lab's own connection is not counted: neither as a connection, nor its transactions, nor the
//! CPU time and memory of the process that serves it.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use tokio_util::task::AbortOnDropHandle;

use super::counter::Counter;
use super::place::{self, Memory, Place, locate};
use super::process::{ProcessId, Roots};
use super::tree::MemoryMethod;
use super::{CONNECT_BOUND, restarts};
use crate::config::DatabaseUrl;
use crate::connector::Connector;
use crate::lab::record::{Source, Usage};

/// Who we are, once a connection. A server before version 16 has no `reserved_connections`.
const IDENTIFY: &str = "select pg_backend_pid(), extract(epoch from backend_start), \
    extract(epoch from pg_postmaster_start_time()), current_setting('server_version'), \
    current_setting('max_connections'), \
    current_setting('superuser_reserved_connections')::int \
    + coalesce(current_setting('reserved_connections', true)::int, 0) \
    from pg_stat_activity where pid = pg_backend_pid()";

/// `backend_type` of others is hidden from users without `pg_read_all_stats`; what has no user is a
/// worker of the server.
const LOOK: &str = "select (select count(*) from pg_stat_activity \
    where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null \
    and coalesce(backend_type, 'client backend') = 'client backend'), \
    (select xact_commit + xact_rollback from pg_stat_database where datname = current_database())";

/// A connection, and who serves it.
struct Link {
    client: Client,
    _driver: AbortOnDropHandle<()>,
}

/// What a new connection found out.
struct Identity {
    server: Server,
    /// When the server began, as it says; another one means a restart.
    life: String,
    place: Place,
    own: Option<ProcessId>,
}

#[derive(Debug, Clone)]
struct Server {
    version: String,
    max_connections: Option<u64>,
    reserved: Option<u64>,
}

/// Looks at a PostgreSQL server.
pub(super) struct Postgres {
    roots: Roots,
    connector: Connector,
    link: Option<Link>,
    server: Option<Server>,
    life: Option<String>,
    place: Place,
    /// The process that serves us, and what it had used when it was last seen.
    own: Option<ProcessId>,
    own_seconds: Counter,
    cpu: Counter,
    cpu_without_us: Counter,
    memory: Memory,
    transactions: Counter,
    /// Without ours: it may lag behind by as many as the server has not counted yet.
    transactions_of_others: Counter,
    own_transactions: f64,
    traffic: [Counter; 2],
    restarts: u32,
}

impl Postgres {
    /// The server behind `url`; what cannot be reached now is tried again at every look.
    ///
    /// # Errors
    /// A sentence, when the URL is not one.
    pub async fn connect(roots: Roots, url: &DatabaseUrl) -> Result<Self, String> {
        let mut connector = Connector::new(url, CONNECT_BOUND)?;
        connector.configure(|config| {
            config.application_name("poolwise-lab");
        });
        let mut postgres = Self {
            roots,
            connector,
            link: None,
            server: None,
            life: None,
            place: Place::Unseen(String::new()),
            own: None,
            own_seconds: Counter::default(),
            cpu: Counter::default(),
            cpu_without_us: Counter::default(),
            memory: Memory::default(),
            transactions: Counter::default(),
            transactions_of_others: Counter::default(),
            own_transactions: 0.0,
            traffic: Default::default(),
            restarts: 0,
        };
        let within = humantime::format_duration(CONNECT_BOUND);
        let outcome = timeout(CONNECT_BOUND, postgres.reconnect()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {within}")));
        if let Err(why) = outcome {
            let why = format!("CPU and memory: the server at {url} cannot be asked: {why}");
            postgres.place = Place::Unseen(why);
        }
        Ok(postgres)
    }

    /// Its version, once it was reached.
    pub fn version(&self) -> Option<&str> {
        self.server.as_ref().map(|server| server.version.as_str())
    }

    /// Connections that it allows, and of them those for administrators.
    pub fn limits(&self) -> (Option<u64>, Option<u64>) {
        let server = self.server.as_ref();
        (
            server.and_then(|server| server.max_connections),
            server.and_then(|server| server.reserved),
        )
    }

    /// Where the figures come from.
    pub fn source(&self) -> Source {
        let estimate = match self.memory.last.map(|memory| memory.method) {
            Some(MemoryMethod::Estimate) => {
                "memory estimated from resident and shared pages: no right to read PSS"
            }
            _ => "memory as PSS",
        };
        let (usage, mut not_visible) = match &self.place {
            Place::Unseen(why) => (None, vec![why.clone()]),
            Place::Tree(postmaster) => {
                let usage = format!(
                    "processes under pid {}, those that ended included; {estimate}",
                    postmaster.pid
                );
                (Some(usage), Vec::new())
            }
            Place::Group(group, _) => {
                (Some(format!("cgroup {}, memory without unused file pages", group.path)), vec![])
            }
        };
        match self.place.postmaster() {
            Some(postmaster) if !self.roots.has_own_network(postmaster.pid) => {
                not_visible.push("network bytes: it shares its network with other processes".into())
            }
            Some(_) => {}
            None => not_visible.push("network bytes: its process is not visible".into()),
        }
        not_visible.extend(restarts(self.restarts));
        if self.link.is_none() {
            not_visible.push("connections and transactions: it does not answer".into());
        }
        Source::Seen {
            usage,
            counters: self.server.as_ref().map(|_| {
                "pg_stat_activity (client connections of this database) and pg_stat_database, \
                 without the lab's own"
                    .into()
            }),
            not_visible,
            shares_cores: self.place.postmaster().and_then(|id| self.roots.shares_cores(id.pid)),
        }
    }

    /// What it has used so far. Takes at most [`BOUND`](super::BOUND); a part that does not answer is `None`.
    pub async fn look(&mut self) -> Usage {
        let (roots, place, own) = (self.roots.clone(), self.place.clone(), self.own);
        let (mut memory, restarts) = (std::mem::take(&mut self.memory), self.restarts);
        let (counted, reading, tree_bytes) =
            place::look(&roots, &place, own, &mut memory, self.ask()).await;
        if self.restarts == restarts {
            self.memory = memory;
        }
        let cpu_seconds =
            reading.cpu_seconds.map(|all| self.cpu_of_others(all, reading.own_seconds));
        reading.usage(cpu_seconds, tree_bytes, &mut self.traffic, counted)
    }

    /// The process that serves us is in the tree, and when it has ended in what the postmaster has
    /// reaped: what it used is taken off, as it was last seen.
    fn cpu_of_others(&mut self, all: f64, own: Option<f64>) -> f64 {
        let own = own.map_or(0.0, |own| own);
        let own = self.own_seconds.at_least(own);
        let all = self.cpu.at_least(all);
        // To the microsecond: what is left of two sums that are equal must be nothing.
        self.cpu_without_us.at_least(((all - own) * 1e6).round() / 1e6)
    }

    /// Connections and transactions of others.
    async fn ask(&mut self) -> Option<(u64, u64)> {
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            self.link = None;
            self.reconnect().await.ok()?;
        }
        // Counted before it is sent: one that is given up may still be carried out.
        let own = self.own_transactions;
        self.own_transactions += 1.0;
        let row = match one_row(&self.link.as_ref()?.client, LOOK).await {
            Ok(row) => row,
            Err(_) => {
                self.link = None;
                return None;
            }
        };
        let connections = number(&row, 0)?;
        let all = self.transactions.exact(number(&row, 1)? as f64);
        let others = self.transactions_of_others.at_least(all - own);
        Some((connections, others.max(0.0) as u64))
    }

    /// Opens the connection and finds out who is at its other end. May be dropped.
    async fn reconnect(&mut self) -> Result<(), String> {
        let (link, identity) = identify(&self.connector, &self.roots).await?;
        // Connecting is a transaction as well, and so was the question who we are.
        self.own_transactions += 2.0;
        if self.life.as_ref().is_some_and(|life| *life != identity.life) {
            self.restarts += 1;
            self.cpu.restart();
            self.traffic.iter_mut().for_each(Counter::restart);
        }
        // What served us before has ended: what it used stays in the sum of the postmaster.
        self.own_seconds.restart();
        self.life = Some(identity.life);
        self.server = Some(identity.server);
        self.place = identity.place;
        self.own = identity.own;
        self.link = Some(link);
        Ok(())
    }
}

async fn identify(connector: &Connector, roots: &Roots) -> Result<(Link, Identity), String> {
    let asked_epoch = epoch();
    let connected = connector.connect().await;
    let connected = connected
        .map_err(|error| connector.tls_problem(&error).unwrap_or_else(|| plain(&error)))?;
    let (client, driver) = (connected.client, AbortOnDropHandle::new(connected.driver));
    let row = one_row(&client, IDENTIFY).await?;
    let text = |column| row.get(column).unwrap_or_default().to_owned();
    let inner = number(&row, 0).unwrap_or_default() as u32;
    let began_epoch: f64 = text(1).parse().unwrap_or_default();
    let roots = roots.clone();
    let (place, found) = tokio::task::spawn_blocking(move || locate(&roots, inner, began_epoch))
        .await
        .map_err(|error| error.to_string())?;
    // A pooler in between lends us a process that was there before and serves others as well.
    const CLOCKS_APART_SECONDS: f64 = 1.0;
    let is_ours = began_epoch >= asked_epoch - CLOCKS_APART_SECONDS;
    let identity = Identity {
        server: Server {
            version: text(3),
            max_connections: number(&row, 4),
            reserved: number(&row, 5),
        },
        life: text(2),
        place,
        own: found.filter(|_| is_ours),
    };
    Ok((Link { client, _driver: driver }, identity))
}

/// As text, in one round trip and without a prepared statement: that works behind a pooler too.
async fn one_row(client: &Client, sql: &str) -> Result<SimpleQueryRow, String> {
    let messages = client.simple_query(sql).await.map_err(|error| plain(&error))?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.ok_or_else(|| "an answer without a row".to_owned())
}

fn number(row: &SimpleQueryRow, column: usize) -> Option<u64> {
    row.get(column)?.parse().ok()
}

/// The error with its causes, without the URL.
fn plain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
