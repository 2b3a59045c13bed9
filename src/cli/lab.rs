//! `poolwise lab`: plans to runs, runs to reports. A few lines for each subcommand over the library.

mod watch;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use super::{Failure, Files, load, runtime};
use crate::config::Environment;
use crate::lab::plan::{self, Loaded, Model, Overrides, Plan};
use crate::lab::record::{Ended, RunRecord};
use crate::lab::run::{self, Progress, Request, RunError, TargetChoice};
use crate::lab::target::{Pins, TargetError};
use crate::lab::verdict::{self, Analysis, Mark, Trust};
use crate::lab::{compare, doctor, report, sample};
use crate::store::plugin::Plugins;

/// Where reports go; the service's `server.reports` is the same unless it is changed.
const RESULTS: &str = "lab-results";

#[derive(Debug, Subcommand)]
pub(super) enum Lab {
    /// Run a plan and write a report: the whole experiment
    Run(Box<Run>),
    /// Watch what the load of another tool costs: JMeter, Locust, k6, Newman, any command
    Watch(Box<watch::Watch>),
    /// Write a run's report anew
    Report(Report),
    /// Compare two runs: better, worse, or no measurable difference
    Compare(Compare),
    /// Check a plan, a configuration or somebody's claims by arithmetic, without running anything
    Doctor(Box<Doctor>),
    /// List the plans that there are
    Plans,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// A plan by name (`poolwise lab plans` lists them) or a TOML file
    #[arg(default_value = "case")]
    plan: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    changes: Changes,
    /// Drive and serve on these cores only: driver=1,service=0
    #[arg(long, value_name = "CORES", value_parser = Pins::parse)]
    cpus: Option<Pins>,
    /// Folder for the dated folder of the report
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    out: PathBuf,
    /// Run nothing when the doctor finds something
    #[arg(long)]
    strict: bool,
    /// Exit with 1 when something of API, database or Redis was not visible from here
    #[arg(long)]
    all_visible: bool,
    /// Print the verdict only
    #[arg(long)]
    quiet: bool,
}

/// What is driven.
#[derive(Debug, Args)]
struct Target {
    #[command(flatten)]
    files: Files,
    /// Drive a service that runs already, instead of starting one; with its --config the lab looks at its
    /// database and Redis as well
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Load a service on another machine: only one that is yours to load
    #[arg(long, requires = "url")]
    allow_remote: bool,
}

/// What is changed in the plan.
#[derive(Debug, Args)]
#[command(next_help_heading = "Changes to the plan")]
struct Changes {
    /// Users at once
    #[arg(long, value_name = "N")]
    users: Option<u32>,
    /// Requests a second
    #[arg(long, value_name = "N", conflicts_with = "users")]
    rate: Option<f64>,
    /// Pause of each user after an answer, such as 233ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pause: Option<Duration>,
    /// Measured time of each strategy in all
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    each: Option<Duration>,
    /// Measured time of all strategies together
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "each")]
    duration: Option<Duration>,
    /// Blocks of each strategy
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Strategies instead of the plan's
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    strategies: Vec<String>,
    /// The strategy that the others are compared with
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Rows of an answer
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Decides the order of blocks, the keys and the bootstrap
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// All strategies at once, instead of one after the other
    #[arg(long)]
    mixed: bool,
    /// The short variant of the plan
    #[arg(long)]
    short: bool,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// A run.json
    run: PathBuf,
    /// Where to write the report; absent: beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The run.json of the run to compare with
    a: PathBuf,
    /// The run.json of the run to judge
    b: PathBuf,
    /// Exit with 1 when a figure is worse by more than this, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    threshold: f64,
    /// Every figure, not only the main ones
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// A plan by name or a TOML file
    #[arg(default_value = "case")]
    plan: String,
    #[command(flatten)]
    files: Files,
    /// Check somebody's claimed figures instead (docs/LAB.md shows the file)
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// Exit with 1 when something is found
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    changes: Changes,
}

impl Target {
    fn choice(&self) -> Result<TargetChoice, Failure> {
        let (files, allow_remote) = (self.files.files.clone(), self.allow_remote);
        Ok(match &self.url {
            Some(url) => TargetChoice::Attach { url: url.clone(), allow_remote, files },
            None => TargetChoice::Start { program: std::env::current_exe()?, files },
        })
    }
}

impl From<&Changes> for Overrides {
    fn from(changes: &Changes) -> Self {
        let Changes {
            users, rate, pause, each, duration, rounds, limit, seed, mixed, short, ..
        } = *changes;
        let (strategies, baseline) = (changes.strategies.clone(), changes.baseline.clone());
        Self {
            users,
            rate,
            pause,
            each,
            duration,
            rounds,
            strategies,
            baseline,
            limit,
            seed,
            mixed,
            short,
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Target(TargetError::Config(problems)) => Failure::Usage(problems.to_string()),
            other => Failure::Runtime(other.to_string()),
        }
    }
}

/// Runs a subcommand; the exit code of one that did what it should.
pub(super) fn main(command: &Lab, plugins: &Plugins) -> Result<u8, Failure> {
    match command {
        Lab::Run(command) => run(command, plugins),
        Lab::Watch(command) => watch::main(command, plugins),
        Lab::Report(command) => rewrite(command),
        Lab::Compare(command) => side_by_side(command),
        Lab::Doctor(command) => examine(command, plugins),
        Lab::Plans => {
            for (name, title) in plan::names() {
                println!("{name:<12} {title}");
            }
            Ok(0)
        }
    }
}

fn loaded(name: &str, changes: &Changes) -> Result<Loaded, Failure> {
    plan::load(name, &changes.into()).map_err(|problems| Failure::Usage(problems.to_string()))
}

/// Exit codes: 0 as planned; 1 cut short, void, at a rate that the driver did not reach, or unseen where all was to
/// be seen; 3 beyond a critical value.
fn run(command: &Run, plugins: &Plugins) -> Result<u8, Failure> {
    let plans = loaded(&command.plan, &command.changes)?;
    if let Some(pins) = &command.cpus {
        pins.pin_driver().map_err(Failure::Usage)?;
    }
    let stop = CancellationToken::new();
    let runtime = runtime()?;
    runtime.block_on(async {
        tokio::spawn(interrupted(stop.clone()));
        match plans {
            Loaded::One(plan) => {
                let folder = dated(&command.out, &plan.name)?;
                let (record, analysis) = one(*plan, command, &folder, plugins, &stop).await?;
                Ok(code(command, &record, &analysis))
            }
            Loaded::Suite { name, plans, .. } => {
                let folder = dated(&command.out, &name)?;
                suite(plans, command, &folder, plugins, &stop).await
            }
        }
    })
}

/// One plan into one folder.
async fn one(
    plan: Plan,
    command: &Run,
    folder: &Path,
    plugins: &Plugins,
    stop: &CancellationToken,
) -> Result<(RunRecord, Analysis), Failure> {
    let target = command.target.choice()?;
    let progress = Progress::new(plan.expected_duration(), command.quiet);
    progress.title(&plan);
    let environment = Environment::of_process();
    let request = Request {
        plan,
        target,
        cores: command.cpus.clone(),
        folder: folder.to_owned(),
        plugins,
        environment: &environment,
        despite_findings: !command.strict,
        stop: stop.clone(),
    };
    let record = match run::run(request, &progress).await {
        Ok(record) => record,
        Err(error) => {
            // Nothing was measured, so there is nothing to keep.
            let _ = std::fs::remove_dir(folder);
            return Err(error.into());
        }
    };
    let analysis = publish(&record, folder)?;
    if let Ended::Failed { why } = &record.ended {
        return Err(Failure::Runtime(format!("the run ended early: {why}")));
    }
    Ok((record, analysis))
}

/// Every plan in order, each into a folder of its own, and a page over all of them.
async fn suite(
    plans: Vec<Plan>,
    command: &Run,
    folder: &Path,
    plugins: &Plugins,
    stop: &CancellationToken,
) -> Result<u8, Failure> {
    let (mut worst, mut done): (_, Vec<(String, _, _)>) = (0, Vec::new());
    for plan in plans {
        if stop.is_cancelled() {
            break;
        }
        let name = plan.name.clone();
        let place = folder.join(&name);
        std::fs::create_dir_all(&place)?;
        let (record, analysis) = one(plan, command, &place, plugins, stop).await?;
        worst = worst.max(code(command, &record, &analysis));
        done.push((name, record, analysis));
        let runs: Vec<_> = done.iter().map(|(name, run, said)| (&**name, run, said)).collect();
        std::fs::write(folder.join("report.html"), report::index(&runs))?;
    }
    println!("\nAll of them: {}", folder.join("report.html").display());
    Ok(worst)
}

fn code(command: &Run, record: &RunRecord, analysis: &Analysis) -> u8 {
    let critical = analysis.targets.iter().any(|target| target.mark == Mark::Critical);
    let void = analysis.stamp.level == Trust::Void;
    let short = missed_rates(record, analysis);
    for point in &short {
        eprintln!(
            "error: the load driver could not hold the rate at {point}: ask for less, or give it cores of its own (--cpus)"
        );
    }
    let unseen = if command.all_visible { record.target.sources.not_visible() } else { Vec::new() };
    for (component, what) in &unseen {
        eprintln!("error: {component}: not visible from here: {what}");
    }
    let is_lacking = !short.is_empty() || !unseen.is_empty();
    match (critical, void || is_lacking || record.ended != Ended::Finished) {
        (true, _) => 3,
        (_, true) => 1,
        _ => 0,
    }
}

/// The points with a set rate that the load driver did not reach: there its stamp is a lower bound.
fn missed_rates<'a>(record: &'a RunRecord, analysis: &Analysis) -> Vec<&'a str> {
    let open = record.plan.points.iter().filter(|point| matches!(point.model, Model::Open { .. }));
    let is_missed = |name: &str| {
        let tables = analysis.tables.iter().filter(|table| table.point == name);
        let mut rows = tables.flat_map(|table| &table.rows);
        rows.any(|row| row.stamp.level == Trust::LowerBound)
    };
    open.map(|point| &*point.name).filter(|name| is_missed(name)).collect()
}

/// A new folder whose name begins with the date, so that names sort by it.
fn dated(out: &Path, name: &str) -> Result<PathBuf, Failure> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = now.trim_end_matches('Z').replace('T', "_").replace(':', "-");
    let folder = out.join(format!("{date}_{name}"));
    std::fs::create_dir_all(&folder).map_err(|error| {
        Failure::Runtime(format!(
            "{} cannot be made: {error}\nChoose another place with --out.",
            folder.display()
        ))
    })?;
    Ok(folder)
}

/// The first Ctrl-C or SIGTERM ends the run with a report of what was measured, the second at once.
async fn interrupted(stop: CancellationToken) {
    super::asked_to_stop().await;
    eprintln!("stopping: the report of what was measured follows; Ctrl-C again to stop at once");
    stop.cancel();
    super::asked_to_stop().await;
    std::process::exit(130);
}

/// Writes the reports of a run and says what is in them.
fn publish(record: &RunRecord, folder: &Path) -> Result<Analysis, Failure> {
    let analysis = verdict::analyse(record);
    report::write(record, &analysis, folder)?;
    print!("{}", report::summary(record, &analysis));
    println!("\nThe report: {}", folder.join("report.html").display());
    Ok(analysis)
}

fn rewrite(command: &Report) -> Result<u8, Failure> {
    let record = read(&command.run)?;
    let beside = || command.run.parent().unwrap_or(Path::new(".")).to_owned();
    let folder = command.out.clone().unwrap_or_else(beside);
    std::fs::create_dir_all(&folder)?;
    publish(&record, &folder)?;
    Ok(0)
}

fn read(path: &Path) -> Result<RunRecord, Failure> {
    // A folder of a run stands for the file in it.
    let file = if path.is_dir() { path.join("run.json") } else { path.to_owned() };
    RunRecord::read(&file).map_err(|error| Failure::Runtime(error.to_string()))
}

fn side_by_side(command: &Compare) -> Result<u8, Failure> {
    if !(0.0..=1000.0).contains(&command.threshold) {
        return Err(Failure::Usage("--threshold is a number of percent, such as 5".into()));
    }
    let (a, b) = (read(&command.a)?, read(&command.b)?);
    let compared = compare::compare(&a, &b, command.threshold / 100.0);
    print!("{}", compare::render(&compared, command.all));
    Ok(u8::from(!compared.worse.is_empty()))
}

fn examine(command: &Doctor, plugins: &Plugins) -> Result<u8, Failure> {
    let findings = match &command.claims {
        Some(file) => {
            let claims = doctor::read_claims(file);
            doctor::examine_claims(
                &claims.map_err(|problems| Failure::Usage(problems.to_string()))?,
            )
        }
        None => {
            let config = load(&command.files, plugins)?;
            let plans = match loaded(&command.plan, &command.changes)? {
                Loaded::One(plan) => vec![*plan],
                Loaded::Suite { plans, .. } => plans,
            };
            let limits = runtime()?.block_on(sample::connection_limits(&config));
            let (max_connections, reserved) = limits;
            let live = doctor::Live { max_connections, reserved, ..doctor::Live::default() };
            let examine = |plan| doctor::examine(plan, Some(&config), Some(&live));
            let mut found: Vec<_> = plans.iter().flat_map(examine).collect();
            found.dedup();
            found
        }
    };
    print!("{}", doctor::render(&findings));
    if findings.is_empty() {
        println!("The doctor found nothing.");
    }
    Ok(u8::from(command.strict && !findings.is_empty()))
}
