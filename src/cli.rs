//! The command line: each subcommand in a few lines, over the library.

mod auth;
mod db;
mod exported;
mod health;
mod help;
mod lab;
mod shell;
mod users;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::net::TcpListener;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

use crate::config::{self, Config, Environment, LogFormat};
use crate::store::backend::Existing;
use crate::store::plugin::Plugins;
use crate::store::{Backends, ErrorKind, StoreError};
use crate::version::VERSION;
use crate::{seed, server};

/// Direct, pooled or cached? One query, three ways, on your own database.
#[derive(Debug, Parser)]
#[command(name = "poolwise", version = VERSION, max_term_width = 100, after_long_help = help::more())]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API (the default)
    Serve(Serve),
    /// Create the tables and fill them
    Seed(Seed),
    /// Measure which way to the database you need
    #[command(subcommand)]
    Lab(lab::Lab),
    /// Look at the databases
    #[command(subcommand)]
    Db(db::Db),
    /// Ask a service that runs whether it is ready: exit code 0 or 1, for health checks
    Health(health::Health),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make what sign-in needs
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Make users
    #[command(subcommand)]
    Users(users::Users),
    /// Print the OpenAPI document
    Openapi(exported::OpenApi),
    /// Write the Postman collection and its environments
    Postman(exported::Postman),
    /// Print completions for a shell
    Completions(shell::Completions),
    /// Print a manual page
    Man(shell::Manual),
}

#[derive(Debug, Args)]
struct Files {
    /// A TOML file over the defaults; may be given more than once, later ones win
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    files: Files,
    /// Address and port to listen on, instead of server.listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Time to wait for a database and a Redis that are not there yet, instead of server.wait_for
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait_for: Option<Duration>,
}

#[derive(Debug, Args)]
struct Seed {
    #[command(flatten)]
    files: Files,
    /// How many products to make, instead of seed.rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    rows: Option<u64>,
    /// Which products to make, instead of seed.seed
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Delete the products that are there first
    #[arg(long)]
    reset: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with it
    Check(Files),
    /// Print what is in force, without passwords
    Dump(Files),
    /// Print the JSON schema of its files, for editors
    Schema(exported::Schema),
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
enum Failure {
    /// The command or the configuration is wrong: 2.
    Usage(String),
    /// What it depends on failed: 1.
    Runtime(String),
}

impl From<config::Problems> for Failure {
    fn from(problems: config::Problems) -> Self {
        Failure::Usage(problems.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match error.kind() {
            ErrorKind::Unreachable => {
                "\nIs it running, and are database.url and the password right? `poolwise config dump` shows what is in force."
            }
            ErrorKind::Saturated => {
                "\nThe server allows too few connections: lower database.pool_size, or raise its limit."
            }
            _ => "",
        };
        Failure::Runtime(format!("{error}{hint}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Runtime(error.to_string())
    }
}

/// Reads the command line and runs it with our own plugins.
pub fn main() -> ExitCode {
    main_with(&Plugins::standard())
}

/// Reads the command line and runs it. For those who bring plugins of their own.
pub fn main_with(plugins: &Plugins) -> ExitCode {
    let cli = Cli::parse();
    let done = |()| 0;
    let outcome = match cli.command {
        None => serve(&cli.serve, plugins).map(done),
        Some(Command::Serve(ref command)) => serve(command, plugins).map(done),
        Some(Command::Lab(ref command)) => lab::main(command, plugins),
        Some(Command::Seed(ref command)) => seed(command, plugins).map(done),
        Some(Command::Db(ref command)) => db::main(command, plugins).map(done),
        Some(Command::Health(ref command)) => health::main(command).map(done),
        Some(Command::Config(ConfigCommand::Check(ref files))) => check(files, plugins).map(done),
        Some(Command::Config(ConfigCommand::Dump(ref files))) => dump(files, plugins).map(done),
        Some(Command::Config(ConfigCommand::Schema(ref command))) => {
            exported::schema(command, plugins).map(done)
        }
        Some(Command::Auth(ref command)) => auth::main(command).map(done),
        Some(Command::Users(ref command)) => users::main(command).map(done),
        Some(Command::Openapi(ref command)) => exported::openapi(command).map(done),
        Some(Command::Postman(ref command)) => exported::postman(command).map(done),
        Some(Command::Completions(ref command)) => shell::completions(command).map(done),
        Some(Command::Man(ref command)) => shell::manual(command).map(done),
    };
    let (message, code) = match outcome {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::Usage(message)) => (message, 2),
        Err(Failure::Runtime(message)) => (message, 1),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

fn load(files: &Files, plugins: &Plugins) -> Result<Config, Failure> {
    Ok(config::load(&files.files, &Environment::of_process(), plugins)?)
}

/// Refuses to serve without a key.
fn needs_key(config: &Config) -> Result<(), Failure> {
    config.auth.keys.problem().map_or(Ok(()), |problem| Err(Failure::Usage(problem)))
}

fn check(files: &Files, plugins: &Plugins) -> Result<(), Failure> {
    let config = load(files, plugins)?;
    needs_key(&config)?;
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    let names: Vec<&str> = config.strategies.iter().map(|s| s.name.as_str()).collect();
    println!(
        "The configuration is fine: {} at {}.",
        config.database.backend.name(),
        config.database.url
    );
    println!("Strategies: {}.", names.join(", "));
    Ok(())
}

fn dump(files: &Files, plugins: &Plugins) -> Result<(), Failure> {
    print!("{}", load(files, plugins)?.dump());
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn serve(command: &Serve, plugins: &Plugins) -> Result<(), Failure> {
    let listen = command.listen.as_deref().map(listen_address).transpose()?;
    let (files, known) = (command.files.files.clone(), plugins.clone());
    let wait_for = command.wait_for;
    let load = move || {
        let mut config = config::load(&files, &Environment::of_process(), &known)?;
        config.server.listen = listen.unwrap_or(config.server.listen);
        config.server.wait_for = wait_for.unwrap_or(config.server.wait_for);
        Ok(config)
    };
    let config = load()?;
    needs_key(&config)?;
    let on_log = Box::new(start_log(&config.log));
    let sources =
        server::Sources { files: command.files.files.clone(), load: Arc::new(load), on_log };
    tracing::info!("poolwise {VERSION}");
    runtime()?.block_on(async {
        let address = config.server.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::Runtime(format!(
                "{address} cannot be listened on: {error}\nChoose another with --listen."
            ))
        })?;
        let address = listener.local_addr()?;
        let listening =
            server::Listening::start(listener, config.server.clone(), shutdown_signal());
        let bar = progress_bar(config.seed.rows);
        let on_progress = |rows| show(&bar, rows);
        let ready = tokio::select! {
            biased;
            () = listening.stopping() => return Ok(()),
            ready = server::prepare(config, plugins, &on_progress) => ready?,
        };
        bar.finish_and_clear();
        let serving = listening.serve(ready.following(sources));
        tracing::info!("serving at http://{address} (Swagger UI: http://{address}/docs)");
        serving.await;
        tracing::info!("stopped");
        Ok(())
    })
}

fn listen_address(listen: &str) -> Result<SocketAddr, Failure> {
    let resolved = std::net::ToSocketAddrs::to_socket_addrs(listen).ok();
    resolved.and_then(|mut found| found.next()).ok_or_else(|| {
        Failure::Usage(format!(
            "--listen {listen:?} is not an address and a port, such as 127.0.0.1:8080"
        ))
    })
}

fn seed(command: &Seed, plugins: &Plugins) -> Result<(), Failure> {
    let config = load(&command.files, plugins)?;
    let rows = command.rows.unwrap_or(config.seed.rows);
    let number = command.seed.unwrap_or(config.seed.seed);
    let existing = if command.reset { Existing::Replace } else { Existing::Keep };
    runtime()?.block_on(async {
        let backends = Backends::new(&config)?;
        let backend = backends.get(&config.database.url);
        let bar = progress_bar(rows);
        let loaded = seed::load(backend, (rows, number), existing, &|rows| show(&bar, rows)).await;
        bar.finish_and_clear();
        let key = format!("`{}`", config.url_key(&config.database.url));
        let loaded = loaded.map_err(|error| error.during(&key))?;
        if loaded.rows == 0 {
            return Err(Failure::Runtime(
                "there are products already; nothing was changed. --reset deletes them first."
                    .into(),
            ));
        }
        let seconds = loaded.took.as_secs_f64();
        let rate = loaded.rows as f64 / seconds;
        let url = &config.database.url;
        println!(
            "{} products in {seconds:.2} s, indexed and analysed: {rate:.0} rows/s into {url}",
            loaded.rows
        );
        Ok(())
    })
}

/// A bar on a terminal; nothing elsewhere.
fn progress_bar(rows: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(rows), target);
    let template = "{msg} [{bar:32}] {human_pos} of {human_len} rows, {per_sec}, {elapsed}";
    bar.set_style(
        ProgressStyle::with_template(template).expect("a valid template").progress_chars("=> "),
    );
    bar
}

fn show(bar: &ProgressBar, rows: u64) {
    bar.set_position(rows);
    bar.set_message(if bar.length() == Some(rows) { "indexing" } else { "loading" });
}

/// Starts the log, and returns what changes its level.
fn start_log(log: &config::Log) -> impl Fn(&config::Log) + Send + Sync + 'static {
    let (filter, level) = reload::Layer::new(filter(log));
    let registry = tracing_subscriber::registry();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let colour = std::io::stderr().is_terminal() && colour_is_wanted();
    // A second start in the same process, as tests do, keeps the first one's log.
    let _ = match log.format {
        LogFormat::Text => registry.with(format.with_ansi(colour).with_filter(filter)).try_init(),
        LogFormat::Json => {
            registry.with(format.json().flatten_event(true).with_filter(filter)).try_init()
        }
    };
    move |log| {
        // It fails only where there is no log any more.
        let _ = level.reload(self::filter(log));
    }
}

/// What the user says of colour (<https://no-color.org>).
fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn filter(log: &config::Log) -> Targets {
    // The drivers print parameters at debug, and that of Redis Cluster warns at every attempt to
    // reach a node; what matters of it the cache tells itself, once in a while.
    let quiet = [
        ("tokio_postgres", LevelFilter::INFO),
        ("moka", LevelFilter::INFO),
        ("redis", LevelFilter::OFF),
    ];
    log.level.parse::<Targets>().expect("config has checked it").with_targets(quiet)
}

/// Resolves at SIGTERM or Ctrl-C. A second one ends the process at once.
async fn shutdown_signal() {
    asked_to_stop().await;
    tracing::info!("stopping: answers in flight may finish; Ctrl-C again to stop at once");
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            std::process::exit(130);
        }
    });
}

/// Resolves at the next SIGTERM or Ctrl-C.
async fn asked_to_stop() {
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
