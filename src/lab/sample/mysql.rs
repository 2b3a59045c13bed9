//! MySQL and MariaDB: their counters over a connection of its own, and their process where it is
//! visible.
//!
//! The lab's own connection is not counted, nor are its statements. One thread of the server's process
//! serves it, so the CPU time of that is in the server's.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::cgroup::Group;
use super::counter::Counter;
use super::place::{self, Memory, Place};
use super::process::{ProcessId, Roots};
use super::{CONNECT_BOUND, restarts};
use crate::config::DatabaseUrl;
use crate::lab::record::{Source, Usage};

/// What the server's process is called.
const NAMES: &[&str] = &["mariadbd", "mysqld"];

/// Who it is and what it allows, once a connection; and whether we see what others do.
const IDENTIFY: &str = "select version(), @@max_connections, @@port, \
    exists (select 1 from information_schema.user_privileges where privilege_type = 'PROCESS')";
const UPTIME: &str = "show global status like 'Uptime'";
/// Statements of all clients since the server started.
const STATEMENTS: &str = "show global status like 'Questions'";
const CONNECTIONS: &str = "select count(*) from information_schema.processlist \
    where db = database() and id <> connection_id()";

#[derive(Debug, Clone)]
struct Server {
    name: &'static str,
    version: String,
    max_connections: u64,
    sees_others: bool,
}

/// What a new connection found out.
struct Identity {
    server: Server,
    began_epoch: f64,
    place: Place,
}

/// Looks at a MySQL or MariaDB server.
pub(super) struct Mysql {
    roots: Roots,
    opts: Opts,
    link: Option<Conn>,
    /// A connection that is being made: a look that cannot wait for it leaves it to the next one.
    connecting: Option<AbortOnDropHandle<Result<(Conn, Identity), String>>>,
    server: Option<Server>,
    /// When the server began, as it says.
    began_epoch: Option<f64>,
    place: Place,
    cpu: Counter,
    memory: Memory,
    statements: Counter,
    statements_of_others: Counter,
    own_statements: f64,
    traffic: [Counter; 2],
    restarts: u32,
}

impl Mysql {
    /// The server behind `url`; what cannot be reached now is tried again at every look.
    ///
    /// # Errors
    /// A sentence, when the URL is not one.
    pub async fn connect(roots: Roots, url: &DatabaseUrl) -> Result<Self, String> {
        let (text, authority) = url.without("ssl_ca");
        let opts = Opts::from_url(&text).map_err(|error| format!("{url}: {error}"))?;
        let authority = authority.map(|path| PathBuf::from(path).into());
        let ssl = opts.ssl_opts().cloned().map(|ssl| match authority {
            Some(path) => ssl.with_root_certs(vec![path]),
            None => ssl,
        });
        let opts = OptsBuilder::from_opts(opts)
            .ssl_opts(ssl)
            .prefer_socket(false)
            .max_allowed_packet(Some(1 << 24))
            .wait_timeout(Some(28_800));
        let mut mysql = Self {
            roots,
            opts: opts.into(),
            link: None,
            connecting: None,
            server: None,
            began_epoch: None,
            place: Place::Unseen(String::new()),
            cpu: Counter::default(),
            memory: Memory::default(),
            statements: Counter::default(),
            statements_of_others: Counter::default(),
            own_statements: 0.0,
            traffic: Default::default(),
            restarts: 0,
        };
        let within = humantime::format_duration(CONNECT_BOUND);
        let outcome = timeout(CONNECT_BOUND, mysql.reconnect()).await;
        if let Err(why) = outcome.unwrap_or_else(|_| Err(format!("no answer within {within}"))) {
            let why = format!("CPU and memory: the server at {url} cannot be asked: {why}");
            mysql.place = Place::Unseen(why);
        }
        Ok(mysql)
    }

    /// Its name and version, once it was reached.
    pub fn version(&self) -> Option<(&'static str, &str)> {
        self.server.as_ref().map(|server| (server.name, server.version.as_str()))
    }

    /// Connections that it allows, and of them those for administrators: none of these, as there is
    /// one more for them.
    pub fn limits(&self) -> (Option<u64>, Option<u64>) {
        let server = self.server.as_ref();
        (server.map(|server| server.max_connections), server.map(|_| 0))
    }

    /// Where the figures come from.
    pub fn source(&self) -> Source {
        let (usage, mut not_visible) = match &self.place {
            Place::Unseen(why) => (None, vec![why.clone()]),
            Place::Tree(process) => (
                Some(format!(
                    "process {}, with what the lab's own connection costs it; memory as PSS",
                    process.pid
                )),
                Vec::new(),
            ),
            Place::Group(group, _) => {
                (Some(format!("cgroup {}, memory without unused file pages", group.path)), vec![])
            }
        };
        match self.place.postmaster() {
            Some(process) if !self.roots.has_own_network(process.pid) => {
                not_visible.push("network bytes: it shares its network with other processes".into())
            }
            Some(_) => {}
            None => not_visible.push("network bytes: its process is not visible".into()),
        }
        if self.server.as_ref().is_some_and(|server| !server.sees_others) {
            not_visible
                .push("connections of other users: that needs the privilege PROCESS".to_owned());
        }
        not_visible.extend(restarts(self.restarts));
        if self.link.is_none() {
            not_visible.push("connections and statements: it does not answer".into());
        }
        Source::Seen {
            usage,
            counters: self.server.as_ref().map(|_| {
                "information_schema.processlist (connections to this database) and Questions of \
                 SHOW GLOBAL STATUS (statements of all databases), without the lab's own"
                    .into()
            }),
            not_visible,
            shares_cores: self.place.postmaster().and_then(|id| self.roots.shares_cores(id.pid)),
        }
    }

    /// What it has used so far. Takes at most [`BOUND`](super::BOUND); a part that does not answer is `None`.
    pub async fn look(&mut self) -> Usage {
        let (roots, place, own) = (self.roots.clone(), self.place.clone(), None);
        let (mut memory, restarts) = (std::mem::take(&mut self.memory), self.restarts);
        let (counted, reading, tree_bytes) =
            place::look(&roots, &place, own, &mut memory, self.ask()).await;
        if self.restarts == restarts {
            self.memory = memory;
        }
        let cpu_seconds = reading.cpu_seconds.map(|now| self.cpu.at_least(now));
        reading.usage(cpu_seconds, tree_bytes, &mut self.traffic, counted)
    }

    /// Connections and statements of others.
    async fn ask(&mut self) -> Option<(u64, u64)> {
        if self.link.is_none() {
            self.reconnect().await.ok()?;
        }
        // Back in place when it has answered: a look that is given up closes it.
        let mut link = self.link.take()?;
        // Counted before they are sent: one that is given up may still be carried out.
        self.own_statements += 2.0;
        let own = self.own_statements;
        let connections: Option<u64> = link.query_first(CONNECTIONS).await.ok()?;
        let statements: Option<(String, f64)> = link.query_first(STATEMENTS).await.ok()?;
        self.link = Some(link);
        let all = self.statements.exact(statements?.1);
        let others = self.statements_of_others.at_least(all - own);
        Some((connections?, others.max(0.0) as u64))
    }

    /// Opens the connection and finds out who is at its other end. May be dropped.
    async fn reconnect(&mut self) -> Result<(), String> {
        let connecting = self.connecting.get_or_insert_with(|| {
            // The two questions who it is.
            self.own_statements += 2.0;
            let (opts, roots) = (self.opts.clone(), self.roots.clone());
            AbortOnDropHandle::new(tokio::spawn(identify(opts, roots)))
        });
        let identified = connecting.await;
        self.connecting = None;
        let (link, identity) = identified.map_err(|error| error.to_string())??;
        const CLOCKS_APART_SECONDS: f64 = 2.0;
        let is_another = |before: f64| (before - identity.began_epoch).abs() > CLOCKS_APART_SECONDS;
        if self.began_epoch.is_some_and(is_another) {
            self.restarts += 1;
            self.cpu.restart();
            self.statements.restart();
            self.traffic.iter_mut().for_each(Counter::restart);
        }
        self.began_epoch = Some(identity.began_epoch);
        self.server = Some(identity.server);
        self.place = identity.place;
        self.link = Some(link);
        Ok(())
    }
}

async fn identify(opts: Opts, roots: Roots) -> Result<(Conn, Identity), String> {
    let plain = |error: mysql_async::Error| error.to_string();
    let mut link = Conn::new(opts).await.map_err(plain)?;
    let row: Option<(String, u64, u16, bool)> = link.query_first(IDENTIFY).await.map_err(plain)?;
    let uptime: Option<(String, f64)> = link.query_first(UPTIME).await.map_err(plain)?;
    let nothing = || "an answer without a row".to_owned();
    let (version, max_connections, port, sees_others) = row.ok_or_else(nothing)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let began_epoch = now - uptime.ok_or_else(nothing)?.1;
    let place = tokio::task::spawn_blocking(move || locate(&roots, port, began_epoch))
        .await
        .map_err(|error| error.to_string())?;
    let server = Server {
        name: if version.contains("MariaDB") { "MariaDB" } else { "MySQL" },
        version: version.split('-').next().unwrap_or_default().to_owned(),
        max_connections,
        sees_others,
    };
    Ok((link, Identity { server, began_epoch, place }))
}

/// Where the server is that listens on this port and began then, in seconds since 1970.
fn locate(roots: &Roots, port: u16, began_epoch: f64) -> Place {
    match find(roots, port, began_epoch) {
        Some(process) => match Group::of_its_own(roots, process.pid) {
            Some(group) => Place::Group(group, process),
            None => Place::Tree(process),
        },
        None => Place::Unseen(
            "CPU and memory: the server's process is not visible from here (it runs on another \
             machine, or as a user whose processes we may not look at)"
                .into(),
        ),
    }
}

/// It does not say its number. So: the process of one of its names that began when it says, and that
/// listens where it says; that last is what tells it from one on another machine.
fn find(roots: &Roots, port: u16, began_epoch: f64) -> Option<ProcessId> {
    // It takes its time from the begin of the process to that of the server.
    const APART_SECONDS: f64 = 30.0;
    roots.all().into_iter().find_map(|pid| {
        let name = roots.status(pid, "Name")?;
        let id = NAMES.contains(&name.as_str()).then(|| roots.identify(pid))??;
        let is_it = (roots.began_epoch(id)? - began_epoch).abs() <= APART_SECONDS
            && roots.listens(pid, port);
        is_it.then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use rustix::param::clock_ticks_per_second;

    use super::super::process::fixture::Fixture;
    use super::*;

    /// Two servers that began together; the second one listens on port 3306.
    fn servers() -> Fixture {
        let fixture = Fixture::new();
        let hz = clock_ticks_per_second();
        for (pid, port) in [(10, "1F90"), (11, "0CEA")] {
            fixture.process(pid, 1, [10 * u64::from(pid), 0, 50 * hz]);
            fixture.file(&format!("proc/{pid}/status"), "Name:\tmariadbd\n");
            fixture.file(
                &format!("proc/{pid}/net/tcp"),
                &format!("0: 0100007F:{port} 00000000:0000 0A 0:0 0:0 0 0 0 {pid}7 1\n"),
            );
            fixture.link(&format!("proc/{pid}/fd/4"), &format!("socket:[{pid}7]"));
        }
        fixture
    }

    #[test]
    fn the_server_is_the_one_that_listens_and_began_then() {
        let fixture = servers();
        let place = |port, began| locate(&fixture.roots, port, began);
        let found = |place: Place| place.postmaster().map(|process| process.pid);
        assert_eq!(found(place(3306, 1052.0)), Some(11));
        assert_eq!(found(place(8080, 1052.0)), Some(10));
        for elsewhere in [place(3307, 1052.0), place(3306, 9999.0)] {
            assert!(matches!(elsewhere, Place::Unseen(why) if why.contains("not visible")));
        }
    }
}
