//! A service that the lab starts: the same program, with the user's configuration and the strategies
//! of the plan, on a free port, for as long as the lab lives.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::guard::Guard;
use super::{Pins, Running, TargetError, definitions, list, pick, shown};
use crate::config::{self, Config, Environment, PluginCheck, SigningKey};
use crate::lab::base::Base;
use crate::lab::plan::Plan;
use crate::lab::sample::listens;

/// The first start on an empty SQLite loads the data set: 2,000,000 rows take a while.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// The service itself lets answers finish for `server.shutdown_timeout`, 10 s by default.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Somebody else may take the free port first.
const ATTEMPTS: usize = 3;
/// How often it is looked at while it starts.
const POLL: Duration = Duration::from_millis(20);
/// Lines of its log that are shown.
const LAST_LINES: usize = 20;

/// What to start.
pub struct Start<'a> {
    /// The program; [`std::env::current_exe`] unless a test has another one.
    pub program: PathBuf,
    /// The user's `--config` files.
    pub files: &'a [PathBuf],
    /// Its strategies are added to the configuration; nothing else is changed.
    pub plan: &'a Plan,
    /// Which plugins there are.
    pub plugins: &'a (dyn PluginCheck + Sync),
    /// The environment of this process, which the service inherits.
    pub environment: &'a Environment,
    /// Which cores it may use.
    pub cores: Option<&'a Pins>,
    /// Called a few times a second while it starts, with the time since then.
    pub progress: &'a (dyn Fn(Duration) + Sync),
}

/// Starts the service and waits until it answers, for as long as its process lives and at most
/// 10 minutes: the first start may have to load the data set.
///
/// # Errors
/// When the configuration has problems or the plan drives a strategy that nobody defines (nothing is
/// started then), or when the service ends instead of answering, with the last lines of its log.
/// Nothing is left behind.
pub async fn start(what: Start<'_>) -> Result<Running, TargetError> {
    let folder = tempfile::Builder::new().prefix("poolwise-lab-").tempdir();
    let folder = folder.map_err(|error| TargetError::Start(error.to_string()))?;
    let mut files = what.files.to_vec();
    if let Some(toml) = definitions(what.plan, None)? {
        let path = folder.path().join("plan.toml");
        let written = std::fs::write(&path, toml);
        written.map_err(|error| TargetError::Start(format!("{}: {error}", path.display())))?;
        files.push(path);
    }
    let mut config = config::load(&files, what.environment, what.plugins)?;
    if config.auth.keys.problem().is_some() {
        files.push(key_of_its_own(folder.path())?);
        config = config::load(&files, what.environment, what.plugins)?;
    }
    refuse_unknown(what.plan, &config, what.files)?;
    let mut child = Child::start(&what, &files, folder).await?;
    let listed = list(&child.base, READY_WITHIN).await;
    let strategies = match listed.ok().and_then(|listed| pick(what.plan, listed).ok()) {
        Some(strategies) => strategies,
        None => {
            let log = child.last_words();
            child.stop().await;
            let why = "it does not list the strategies of the plan at /strategies".to_owned();
            return Err(TargetError::Failed { why, log });
        }
    };
    Ok(Running {
        base: child.base.clone(),
        pid: Some(child.pid),
        config: Some(config),
        strategies,
        child: Some(child),
    })
}

/// A file with a key to sign tokens with, which the service must have and nobody else needs.
fn key_of_its_own(folder: &Path) -> Result<PathBuf, TargetError> {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        let written = std::fs::write(&path, text).map(|()| path.clone());
        written.map_err(|error| TargetError::Start(format!("{}: {error}", path.display())))
    };
    let key = write("signing.key", SigningKey::new(rand::random()).to_base64())?;
    write("key.toml", format!("auth.signing_key_file = {key:?}\n"))
}

fn refuse_unknown(plan: &Plan, config: &Config, files: &[PathBuf]) -> Result<(), TargetError> {
    let planned = plan.strategies.iter().map(|strategy| strategy.name.as_str());
    let missing: Vec<&str> = planned.filter(|name| config.strategy(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> =
        config.strategies.iter().map(|strategy| strategy.name.as_str()).collect();
    Err(TargetError::Strategies(format!(
        "the plan drives {}, which neither the plan nor {} defines; there are {}.\n\
         Define it as [strategies.{}] in a --config file or in the plan.",
        missing.join(", "),
        shown(files),
        known.join(", "),
        missing[0],
    )))
}

/// A service of ours. Dropping it kills it.
pub(super) struct Child {
    pub base: Base,
    pub pid: u32,
    process: tokio::process::Child,
    guard: Option<Guard>,
    folder: TempDir,
}

/// Why it did not come up.
enum NotReady {
    Ended(ExitStatus),
    TooLong,
    Request(String),
}

impl Child {
    async fn start(
        what: &Start<'_>,
        files: &[PathBuf],
        mut folder: TempDir,
    ) -> Result<Self, TargetError> {
        let mut attempt = 1;
        loop {
            let mut child = Self::spawn(what, files, folder).await?;
            let why = match child.ready(what.progress).await {
                Ok(()) => return Ok(child),
                Err(why) => why,
            };
            let log = child.log();
            folder = child.end().await;
            let port_was_taken = matches!(why, NotReady::Ended(_)) && log.contains("in use");
            if port_was_taken && attempt < ATTEMPTS {
                attempt += 1;
                continue;
            }
            let why = match why {
                NotReady::Ended(status) => format!("it ended with {status}"),
                NotReady::TooLong => {
                    format!("it did not answer within {}", humantime::format_duration(READY_WITHIN))
                }
                NotReady::Request(error) => error,
            };
            return Err(TargetError::Failed { why, log: last_lines(&log) });
        }
    }

    async fn spawn(
        what: &Start<'_>,
        files: &[PathBuf],
        folder: TempDir,
    ) -> Result<Self, TargetError> {
        let failed = |error: std::io::Error| TargetError::Start(error.to_string());
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
            free.local_addr().map_err(failed)?
        };
        let base = Base::parse(&format!("http://{address}")).await.map_err(TargetError::Start)?;
        let log = std::fs::File::create(folder.path().join("log")).map_err(failed)?;
        let mut command = Command::new(&what.program);
        command.arg("serve");
        for file in files {
            command.arg("--config").arg(file);
        }
        command.arg("--listen").arg(address.to_string());
        // Ctrl-C goes to a whole group: it is the lab that ends the service, when it has read its
        // last figures.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let none = Pins::default();
        let started = what.cores.unwrap_or(&none).for_service(|| command.spawn());
        let process = started
            .map_err(TargetError::Start)?
            .map_err(|error| TargetError::Start(format!("{}: {error}", what.program.display())))?;
        let pid = process.id().expect("it was not waited for yet");
        let guard = Guard::watch(pid, folder.path());
        Ok(Self { base, pid, process, guard, folder })
    }

    /// Waits until it listens itself, on a port that might be somebody else's, and answers.
    async fn ready(&mut self, progress: &(dyn Fn(Duration) + Sync)) -> Result<(), NotReady> {
        let began = Instant::now();
        let port = self.base.addresses().first().map_or(0, |address| address.port());
        let (pid, base) = (self.pid, self.base.clone());
        let answers = async {
            while !listens(pid, port) {
                sleep(POLL).await;
            }
            // It takes connections before the data set is loaded, and says that it is starting.
            loop {
                return match base.get("/noop", READY_WITHIN).await {
                    Ok((status, _)) if status.is_success() => Ok(()),
                    Ok((status, _)) if status == 503 => {
                        sleep(POLL).await;
                        continue;
                    }
                    Ok((status, _)) => {
                        Err(NotReady::Request(format!("GET /noop answered {status}")))
                    }
                    Err(error) => Err(NotReady::Request(format!("GET /noop: {error}"))),
                };
            }
        };
        let watching = async {
            loop {
                progress(began.elapsed());
                sleep(Duration::from_millis(250)).await;
            }
        };
        let outcome = tokio::select! {
            biased;
            status = self.process.wait() => return Err(ended(status)),
            answered = answers => answered,
            () = sleep(READY_WITHIN) => Err(NotReady::TooLong),
            () = watching => unreachable!("it never ends"),
        };
        // A request that broke is more often the end of the process, which says more.
        if matches!(outcome, Err(NotReady::Request(_)))
            && let Ok(status) = timeout(Duration::from_secs(1), self.process.wait()).await
        {
            return Err(ended(status));
        }
        outcome
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    pub fn last_words(&mut self) -> String {
        let log = last_lines(&self.log());
        match self.process.try_wait() {
            Ok(Some(status)) => format!("{log}\n(it ended with {status})").trim_start().to_owned(),
            _ => log,
        }
    }

    fn log(&self) -> String {
        tail(&self.folder.path().join("log"))
    }

    /// Asks it to end, waits, kills it if need be, and removes what it left.
    pub async fn stop(mut self) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid as i32)
        {
            // It may end at this moment; until it is waited for, nobody else has its number.
            let _ = kill_process(pid, Signal::TERM);
            let _ = timeout(STOP_WITHIN, self.process.wait()).await;
        }
        drop(self.end().await);
    }

    /// Ends it at once; the folder is still there.
    async fn end(mut self) -> TempDir {
        let _ = self.process.kill().await;
        if let Some(guard) = self.guard {
            guard.dismiss().await;
        }
        self.folder
    }
}

fn ended(status: std::io::Result<ExitStatus>) -> NotReady {
    match status {
        Ok(status) => NotReady::Ended(status),
        Err(error) => NotReady::Request(error.to_string()),
    }
}

/// The end of a file that may be large.
fn tail(path: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    const MOST: u64 = 16 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
