//! One run from plan to `run.json`: blocks in random order, samplers beside them, the file written
//! after each. Knows nothing of what the figures mean.

mod block;
mod experiment;
mod levels;
mod people;
mod progress;
mod search;
mod sessions;
mod staleness;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::record::RunRecord;
use super::target::{self, Pins, Running, Start, TargetError};
use crate::config::{self, Environment, PluginCheck};

pub(super) use experiment::empty;
pub use progress::Progress;

/// What to run, and against what.
pub struct Request<'a> {
    /// What is to be done.
    pub plan: Plan,
    /// What to drive.
    pub target: TargetChoice,
    /// Which cores the driver and the service may use; `None`: all.
    pub cores: Option<Pins>,
    /// Where `run.json` goes; the folder exists.
    pub folder: PathBuf,
    /// Says whether strategies that the plan defines can be.
    pub plugins: &'a (dyn PluginCheck + Sync),
    /// The environment's layer of configuration.
    pub environment: &'a Environment,
    /// Whether to go on although the doctor found something: `false` with `--strict`.
    pub despite_findings: bool,
    /// Ends the run early; what was measured is kept.
    pub stop: CancellationToken,
}

/// What to drive.
#[derive(Debug, Clone)]
pub enum TargetChoice {
    /// A service that the lab starts and stops itself.
    Start {
        /// The program: this one.
        program: PathBuf,
        /// The user's configuration files.
        files: Vec<PathBuf>,
    },
    /// One that runs already.
    Attach {
        /// Where it answers.
        url: String,
        /// Whether it may be on another machine.
        allow_remote: bool,
        /// Its configuration files, where they are known; empty otherwise.
        files: Vec<PathBuf>,
    },
}

/// Starts a service, or finds one that runs already, with the strategies of a plan: all, where it names none.
pub(super) async fn open(
    choice: TargetChoice,
    plan: &Plan,
    plugins: &(dyn PluginCheck + Sync),
    environment: &Environment,
    cores: Option<&Pins>,
    says: &(dyn Fn(&str) + Sync),
) -> Result<Running, TargetError> {
    match choice {
        TargetChoice::Start { program, files } => {
            says("starting the service");
            let (files, progress) = (&files, &|_| {});
            target::start(Start { program, files, plan, plugins, environment, cores, progress })
                .await
        }
        TargetChoice::Attach { url, allow_remote, files } => {
            let known = !files.is_empty();
            let load = || config::load(&files, environment, plugins);
            let config = known.then(load).transpose().map_err(TargetError::Config)?;
            target::attach(&url, allow_remote, plan, config).await
        }
    }
}

/// Why a run came to nothing or to less than planned.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not begin.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The doctor found something, and `--strict` was given.
    #[error(
        "the doctor found {0} things that this plan cannot show (see above), and --strict was given: nothing was run"
    )]
    Findings(usize),
    /// The file could not be written.
    #[error("{path} cannot be written: {error}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Runs a plan. The record says how it ended; it is in `run.json` as well, and was after every block.
///
/// # Errors
/// When nothing could be measured at all: no target, an unwritable folder.
///
/// # Cancellation safety
/// Dropping the future kills a service that was started, and leaves the file of the last block.
pub async fn run(request: Request<'_>, progress: &Progress) -> Result<RunRecord, RunError> {
    experiment::Experiment::begin(request, progress).await?.perform().await
}
