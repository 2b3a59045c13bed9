//! A strategy that Poolwise does not come with, registered from outside the crate.
//!
//! `rotating` is an access method: one connection, lent to one request at a time and replaced after
//! a number of uses. It shows what a plugin is made of: typed options, a constructor, a lease.
//! `main` starts the service with it over a small SQLite database, asks, and checks the answers.
//!
//! Run it with `cargo run --example custom_strategy`; docs/STRATEGIES.md walks through it. A program
//! of your own that wants the whole command line ends in one line instead:
//! `poolwise::cli::main_with(&Plugins::standard().with_access::<Rotating>())`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use poolwise::config::{self, Config, Database, Environment};
use poolwise::observe::{AccessGauges, AccessMeter};
use poolwise::server;
use poolwise::store::access::{Abandon, Access, AccessPlugin, AccessSetup, Held, Lease, connect};
use poolwise::store::backend::{Backend, Connection};
use poolwise::store::plugin::Plugins;
use poolwise::store::{ErrorKind, RequestContext, StoreError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

/// One connection, used in turns.
struct Rotating {
    backend: Arc<dyn Backend>,
    slot: Arc<Mutex<Slot>>,
    uses: u32,
    wait_timeout: Duration,
    connect_timeout: Duration,
    meter: Arc<AccessMeter>,
}

#[derive(Default)]
struct Slot {
    connection: Option<Box<dyn Connection>>,
    used: u32,
}

/// `{ kind = "rotating", ... }`. Poolwise refuses every key that is not a field, and names it.
#[derive(Deserialize)]
struct Options {
    /// Statements that a connection runs before it is replaced.
    uses: u32,
    /// Time to wait for a turn; absent: `database.wait_timeout`.
    #[serde(default, with = "humantime_serde")]
    wait_timeout: Option<Duration>,
}

impl AccessPlugin for Rotating {
    const NAME: &'static str = "rotating";
    type Options = Options;

    fn problems(options: &Options, _: &Database) -> Vec<String> {
        if options.uses == 0 { vec!["`uses` must be at least 1".into()] } else { Vec::new() }
    }

    /// Start-up subtracts it from what the server allows.
    fn connections(_: &Options, _: &Database) -> Option<usize> {
        Some(1)
    }

    async fn open(options: Options, setup: AccessSetup) -> Result<Arc<dyn Access>, StoreError> {
        Ok(Arc::new(Self {
            backend: setup.backend,
            slot: Arc::default(),
            uses: options.uses,
            wait_timeout: options.wait_timeout.unwrap_or(setup.database.wait_timeout),
            connect_timeout: setup.database.connect_timeout,
            meter: setup.meter,
        }))
    }
}

impl Access for Rotating {
    fn lease<'a>(
        &'a self,
        context: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(async move {
            let started = Instant::now();
            let turn = self.slot.clone().lock_owned();
            let turn = tokio::time::timeout(context.remaining(self.wait_timeout), turn).await;
            let mut slot = turn.map_err(|_| {
                StoreError::new(
                    ErrorKind::Saturated,
                    "the one connection did not come free in time",
                )
            })?;
            let waited = started.elapsed();
            self.meter.wait.record(waited);
            let worn = slot.used >= self.uses;
            if worn || slot.connection.as_ref().is_none_or(|connection| connection.is_closed()) {
                *slot = Slot::default();
                let timeout = context.remaining(self.connect_timeout);
                slot.connection = Some(connect(&*self.backend, timeout, &self.meter).await?);
            }
            slot.used += 1;
            Ok(Lease::new(Box::new(Turn(slot)), Abandon::CancelAndDetach, waited))
        })
    }

    fn gauges(&self) -> AccessGauges {
        match self.slot.try_lock() {
            Ok(slot) => {
                let idle = usize::from(slot.connection.is_some());
                AccessGauges { size: 1, idle, ..AccessGauges::default() }
            }
            Err(_) => AccessGauges { size: 1, in_use: 1, ..AccessGauges::default() },
        }
    }
}

/// The connection while it is lent. Dropping it, which happens when the last row was encoded, ends
/// the turn.
struct Turn(OwnedMutexGuard<Slot>);

impl Held for Turn {
    fn connection(&mut self) -> &mut dyn Connection {
        &mut **self.0.connection.as_mut().expect("a lease has a connection until it is detached")
    }

    /// Called when nobody wants the rest of the rows: the next turn opens a new connection.
    fn detach(mut self: Box<Self>) -> Box<dyn Connection> {
        self.0.connection.take().expect("a lease is detached once")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let plugins = Plugins::standard().with_access::<Rotating>();
    let folder = tempfile::tempdir()?;

    for (options, expected) in [
        ("uses = 2, colour = 'red'", "`colour` is not an option of \"rotating\""),
        ("uses = 0", "`uses` must be at least 1"),
    ] {
        let problems =
            load(folder.path(), options, &plugins).err().map(|p| p.0).unwrap_or_default();
        ensure(problems.iter().any(|problem| problem.ends_with(expected)), || {
            format!("{options:?} gave {problems:?}, not {expected:?}")
        })?;
        println!("refused    {}", problems.join("; "));
    }

    let config = load(folder.path(), "uses = 2", &plugins)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(config.server.listen).await?;
        let address = listener.local_addr()?;
        let ready = server::prepare(config, &plugins, &|_| ()).await?;
        let serving = tokio::spawn(ready.serve(listener, async { drop(stopped.await) }));
        Ok::<_, Box<dyn Error>>((address, serving))
    })?;

    let expected = get(address, "/products/pooled?category=electronics")?;
    for _ in 0..4 {
        let answer = get(address, "/strategies/in-turns/products?category=electronics")?;
        ensure(answer == expected, || "the answers differ from those of `pooled`".into())?;
    }
    let products: Vec<Value> = serde_json::from_str(&expected)?;
    ensure(products.len() == 700, || format!("{} products, not 700", products.len()))?;
    println!("answered   4 requests with {} products each, as `pooled` does", products.len());

    let strategies: Value = serde_json::from_str(&get(address, "/strategies")?)?;
    let strategies = strategies.as_array().into_iter().flatten();
    let own = strategies.into_iter().find(|strategy| strategy["stats"]["name"] == "in-turns");
    let own = own.ok_or("GET /strategies does not list in-turns")?;
    let (kind, opened) = (&own["access"]["name"], &own["stats"]["pool"]["opened"]);
    ensure(*kind == "rotating" && *opened == 2, || format!("not as configured: {own}"))?;
    println!("used       access {kind}: {opened} connections for 4 requests of 2 uses each");

    drop(stop);
    runtime.block_on(serving)?;
    Ok(())
}

/// The default configuration with one more strategy, which picks the plugin by its name.
fn load(folder: &Path, options: &str, plugins: &Plugins) -> Result<Config, config::Problems> {
    let text = format!(
        "[server]\nlisten = '127.0.0.1:0'\n\
         [database]\nurl = 'sqlite:{}'\n\
         [seed]\nauto = true\nrows = 2000\n\
         [strategies.in-turns]\naccess = {{ kind = 'rotating', {options} }}\n",
        folder.join("products.db").display()
    );
    let file = folder.join("poolwise.toml");
    std::fs::write(&file, text).expect("a temporary folder can be written to");
    config::load(&[file], &Environment::default(), plugins)
}

/// The body of the answer to a GET, which must be a 200.
fn get(address: SocketAddr, path: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no head")?;
    ensure(head.starts_with("HTTP/1.1 200 "), || format!("GET {path}: {head}\n{body}"))?;
    Ok(body.to_owned())
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}
