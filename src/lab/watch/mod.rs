//! A load that another tool drives, watched: the samplers run beside it, what it recorded is imported,
//! and the result is a [`RunRecord`] like that of a run of our own.
//!
//! ```text
//! command -> the tool, in a process group of its own    beside it: lab/sample, once a second
//!    import -> what it wrote about its requests
//!       windows -> blocks of equal length in time  -> RunRecord -> lab/verdict, lab/report
//! ```
//!
//! It knows files and processes of load tools; it sends no request itself and judges no figure.

mod command;
mod import;
mod plan;
mod route;
mod windows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use self::command::{Driver, Line};
use self::import::Imported;
use self::windows::{Material, Windows};
use super::plan::Plan;
use super::record::{Ended, RunRecord, Sample, Watched};
use super::run::{self, TargetChoice};
use super::sample::{Sampler, Watch};
use super::target::{Running, TargetError};
use crate::config::{Environment, PluginCheck, STANDARD_STRATEGIES};

/// A command is not expected to run for longer.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often it is asked whether the service still lives.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// What to watch.
pub struct Request<'a> {
    /// A name of the run; `None`: `watch-` and the name of the tool.
    pub name: Option<String>,
    /// The service.
    pub target: TargetChoice,
    /// The program that drives, and its arguments.
    pub command: Vec<String>,
    /// Files that it writes about its requests.
    pub records: Vec<PathBuf>,
    /// What is left out after the first request; `None`: a tenth, 1 s at least and 10 s at most.
    pub skip: Option<Duration>,
    /// Windows in time.
    pub windows: u32,
    /// The strategy that the others are compared with; `None`: `direct`, or the first.
    pub baseline: Option<String>,
    /// Says whether strategies of the configuration can be.
    pub plugins: &'a (dyn PluginCheck + Sync),
    /// The environment's layer of configuration.
    pub environment: &'a Environment,
    /// Makes the folder for `run.json` by the name of the run, once there is something to put into it.
    pub folder: &'a (dyn Fn(&str) -> Result<PathBuf, String> + Sync),
    /// Told what happens.
    pub says: &'a (dyn Fn(&str) + Sync),
    /// Ends the command; what was measured is kept.
    pub stop: CancellationToken,
}

/// Why nothing was watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no service.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The command could not be started, or a file could not be written.
    #[error("{0}")]
    Failed(String),
}

/// What was watched.
#[derive(Debug)]
pub struct Outcome {
    /// Everything, as it is in `run.json`.
    pub record: RunRecord,
    /// Where that is.
    pub folder: PathBuf,
    /// Why this is not what was wanted, a sentence each: the command failed, its records cannot be used.
    pub complaints: Vec<String>,
}

/// Runs a command and watches what it costs.
///
/// # Errors
/// When nothing was watched at all: no target, no such command, an unwritable folder.
///
/// # Cancellation safety
/// Dropping the future kills the command with its group, and a service that was started.
pub async fn watch(request: Request<'_>) -> Result<Outcome, WatchError> {
    let line = Line::of(&request.command).map_err(WatchError::Usage)?;
    if let Some(path) = named_twice(&request.records) {
        return Err(WatchError::Usage(format!(
            "--records {} is given twice: its requests would count twice, so name it once",
            path.display()
        )));
    }
    let tool = plan::tool(&line.program);
    let name = request.name.clone().unwrap_or_else(|| format!("watch-{tool}"));
    let mut plan = plan::of(&name, &tool, request.windows);
    let started = Instant::now();
    let clock = SystemTime::now();
    let watched = Watched { tool, windows_wanted: request.windows, ..Watched::default() };
    let target = request.target.clone();
    let open = run::open(target, &plan, request.plugins, request.environment, None, request.says);
    let running = open.await?;
    if let Err(why) = choose_baseline(&mut plan, &request, &running) {
        running.stop().await;
        return Err(WatchError::Usage(why));
    }
    let sampler = Sampler::connect(Watch {
        started,
        base: running.base.clone(),
        service_pid: running.pid,
        config: running.config.clone(),
        strategies: running.strategies.clone(),
    });
    let mut sampler = sampler.await;
    sampler.awaits_driver();
    let target = running.record(&sampler);
    let started_at = humantime::format_rfc3339_seconds(clock).to_string();
    let mut record = run::empty(plan, started_at, Vec::new(), target, None);
    record.watched = Some(watched);
    let folder = match (request.folder)(&name) {
        Ok(folder) => folder,
        Err(why) => {
            running.stop().await;
            return Err(WatchError::Failed(why));
        }
    };
    let watching = Watching { request, folder, started, clock, running, sampler, record };
    watching.perform(line).await
}

/// The first path that leads to the same place as one before it. The file need not be there yet.
fn named_twice(paths: &[PathBuf]) -> Option<&PathBuf> {
    let place = |path: &PathBuf| -> PathBuf {
        if let Ok(place) = path.canonicalize() {
            return place;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        match (folder, path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        }
    };
    let mut seen = BTreeSet::new();
    paths.iter().find(|path| !seen.insert(place(path)))
}

fn choose_baseline(plan: &mut Plan, request: &Request, running: &Running) -> Result<(), String> {
    let Some(wanted) = &request.baseline else { return Ok(()) };
    let names: Vec<&str> = running.strategies.iter().map(|one| one.name.as_str()).collect();
    if !names.contains(&wanted.as_str()) {
        return Err(format!(
            "--baseline {wanted}: the service has no such strategy; it has {}",
            names.join(", ")
        ));
    }
    plan.baseline = wanted.clone();
    Ok(())
}

struct Watching<'a> {
    request: Request<'a>,
    folder: PathBuf,
    started: Instant,
    clock: SystemTime,
    running: Running,
    sampler: Sampler,
    record: RunRecord,
}

impl Watching<'_> {
    async fn perform(mut self, line: Line) -> Result<Outcome, WatchError> {
        self.write()?;
        let now = Instant::now();
        (self.request.says)("watching the service without load");
        self.record.idle = self.sampler.during(now, now + plan::IDLE, &self.request.stop).await;
        if self.request.stop.is_cancelled() {
            return Err(self.nothing("interrupted before COMMAND was started".to_owned()).await);
        }
        let program = &line.program;
        (self.request.says)(&format!("starting {program} against {}", self.running.base.url()));
        let (begun, began) = (Instant::now(), SystemTime::now());
        let driver = match line.start(&self.running.base) {
            Ok(driver) => driver,
            Err(why) => return Err(self.nothing(why).await),
        };
        let (samples, how) = self.follow(&driver).await;
        let took = begun.elapsed();
        let status = driver.end().await;
        let mut complaints = Vec::new();
        if let Some(watched) = &mut self.record.watched {
            watched.took_seconds = took.as_secs_f64();
            if how == Ended::Finished {
                let words = status.map_or_else(|error| error.to_string(), command::words);
                if words != "exit code 0" {
                    complaints.push(format!("{} failed: it ended with {words}", watched.tool));
                }
                watched.ended_with = Some(words);
            }
        }
        self.record.ended = how;
        let imported = self.import(began, &mut complaints);
        self.keep(&samples, imported, &mut complaints);
        self.record.target.sources = self.sampler.sources();
        self.write()?;
        self.running.stop().await;
        Ok(Outcome { record: self.record, folder: self.folder, complaints })
    }

    /// Nothing was measured, so there is nothing to keep.
    async fn nothing(self, why: String) -> WatchError {
        let _ = std::fs::remove_file(self.folder.join("run.json"));
        let _ = std::fs::remove_dir(&self.folder);
        self.running.stop().await;
        WatchError::Failed(why)
    }

    /// Samples until the command has ended by itself, was ended, or the service died.
    async fn follow(&mut self, driver: &Driver) -> (Vec<Sample>, Ended) {
        self.sampler.follows_driver(driver.pid);
        let done = CancellationToken::new();
        let (stop, running) = (&self.request.stop, &mut self.running);
        let until_over = async {
            let mut ticks = interval(ALIVE_EVERY);
            let how = loop {
                tokio::select! {
                    biased;
                    () = driver.ended() => break Ended::Finished,
                    () = stop.cancelled() => break Ended::Interrupted,
                    _ = ticks.tick() => if !running.is_alive() {
                        let words = running.last_words().await;
                        let why = format!("the service ended in the middle. Its last words:\n{words}");
                        break Ended::Failed { why };
                    },
                }
            };
            if how != Ended::Finished {
                driver.stop().await;
            }
            // One more sample, while the command can still be looked at.
            done.cancel();
            how
        };
        let now = Instant::now();
        let (samples, how) =
            tokio::join!(self.sampler.during(now, now + LONGEST, &done), until_over);
        (samples, how)
    }

    fn import(&mut self, began: SystemTime, complaints: &mut Vec<String>) -> Vec<Imported> {
        let is_cut = self.record.ended != Ended::Finished;
        let mut imported = Vec::new();
        for path in &self.request.records {
            match import::read(path, began, is_cut) {
                Ok((found, file)) => {
                    imported.push(found);
                    self.record.watched.get_or_insert_default().records.push(file);
                }
                Err(why) => complaints.push(why),
            }
        }
        let is_summed = |one: &Imported| !matches!(one, Imported::Requests(_));
        if imported.len() > 1 && imported.iter().any(is_summed) {
            complaints.push(
                "a file that Locust summed up cannot be added to others, which may hold the same requests: \
                 name one"
                    .to_owned(),
            );
        }
        // Half of the requests would be a lie about all of them.
        if !complaints.is_empty() && imported.len() < self.request.records.len()
            || imported.len() > 1 && imported.iter().any(is_summed)
        {
            imported.clear();
            self.record.watched.get_or_insert_default().records.clear();
        }
        imported
    }

    /// Puts what was sampled and imported into the record.
    fn keep(&mut self, samples: &[Sample], imported: Vec<Imported>, complaints: &mut Vec<String>) {
        let zero = self.clock.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let names = self.running.strategies.iter().map(|one| one.name.clone());
        let mut strategies: Vec<String> = names.collect();
        // The three that always exist first, as everywhere.
        let place =
            |name: &String| STANDARD_STRATEGIES.iter().position(|standard| standard == name);
        strategies.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
        let point = self.record.plan.points[0].name.clone();
        let (skip, windows) = (self.request.skip, self.request.windows);
        let cut = |imported: &[Imported]| {
            let strategies = &strategies;
            let point = &point;
            windows::cut(&Material { samples, imported, zero, strategies, point, skip, windows })
        };
        let mut found = cut(&imported);
        if let Err(why) = &found
            && !imported.is_empty()
        {
            complaints.push(format!("the records cannot be used: {why}"));
            self.record.watched.get_or_insert_default().records.clear();
            found = cut(&[]);
        }
        let found = found.unwrap_or_else(|why| {
            complaints.push(why);
            Windows::default()
        });
        let Windows { blocks, driven, skip_seconds, outside, other_routes, tasks } = found;
        let watched = self.record.watched.get_or_insert_default();
        (watched.skip_seconds, watched.outside) = (skip_seconds, outside);
        watched.other_routes = other_routes;
        let length = blocks.iter().map(|block| block.seconds()).sum::<f64>();
        let windows = (blocks.len() as u32, length / blocks.len().max(1) as f64);
        if !driven.is_empty() && !watched.is_unrecorded() {
            self.record.target.strategies.retain(|one| driven.contains(&one.name));
        }
        plan::complete(&mut self.record.plan, watched, driven, windows, tasks);
        self.record.blocks = blocks;
    }

    fn write(&mut self) -> Result<(), WatchError> {
        self.record.took_seconds = self.started.elapsed().as_secs_f64();
        let path = self.folder.join("run.json");
        self.record.write(&path).map_err(|error| {
            WatchError::Failed(format!("{} cannot be written: {error}", path.display()))
        })
    }
}
