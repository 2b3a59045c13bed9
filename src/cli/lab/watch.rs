//! `poolwise lab watch`: another tool drives, the lab looks at what that costs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, RESULTS, Target, dated, publish, runtime};
use crate::config::Environment;
use crate::lab::record::Ended;
use crate::lab::target::TargetError;
use crate::lab::verdict::Trust;
use crate::lab::watch::{self, Request, WatchError};
use crate::store::plugin::Plugins;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --url the lab starts a service of its own. COMMAND finds the address of the service in POOLWISE_URL and
in place of {url}, {host} and {port} in its arguments. Without --records the report has no requests, only what
service, database and Redis used.

  poolwise lab watch --records requests.csv -- locust -f load/locust/case.py --headless --host {url} --records requests.csv
  poolwise lab watch --records out/results.jtl -- load/jmeter/run.sh --url {url} --out out

Exit codes: 0; 1 COMMAND failed, its records cannot be used, the report is VOID or was cut short; 2 wrong options or
configuration. docs/LAB.md has the rest.")]
pub(in crate::cli) struct Watch {
    #[command(flatten)]
    target: Target,
    /// A file that COMMAND writes about its requests: JMeter's .jtl (CSV), Newman's JSON, Locust's CSV, k6's
    /// --out json; may be given more than once
    #[arg(long, value_name = "FILE")]
    records: Vec<PathBuf>,
    /// Name of the run; absent: watch- and that of the tool
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// What is left out after the first request; absent: a tenth of the time, from 1s to 10s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    skip: Option<Duration>,
    /// Windows in time to cut the rest into: the rounds of the report
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The strategy that the others are compared with; absent: direct, or the first
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Folder for the dated folder of the report
    #[arg(long, value_name = "DIR", default_value = RESULTS)]
    out: PathBuf,
    /// Print the verdict only; COMMAND's own output stays
    #[arg(long)]
    quiet: bool,
    /// The program that drives, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn name(text: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match !text.is_empty() && text.len() <= 80 && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => {
            Err("a name has letters, digits, dots, - and _ only, because a folder gets it".into())
        }
    }
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Target(TargetError::Config(problems)) => {
                Failure::Usage(problems.to_string())
            }
            WatchError::Usage(why) => Failure::Usage(why),
            other => Failure::Runtime(other.to_string()),
        }
    }
}

/// Exit codes: 0; 1 the command failed, or what it did is void or cut short.
pub(super) fn main(command: &Watch, plugins: &Plugins) -> Result<u8, Failure> {
    let stop = CancellationToken::new();
    let environment = Environment::of_process();
    let quiet = command.quiet;
    let outcome = runtime()?.block_on(async {
        tokio::spawn(interrupted(stop.clone()));
        let request = Request {
            name: command.name.clone(),
            target: command.target.choice()?,
            command: command.command.clone(),
            records: command.records.clone(),
            skip: command.skip,
            windows: command.rounds,
            baseline: command.baseline.clone(),
            plugins,
            environment: &environment,
            folder: &|name| {
                dated(&command.out, name).map_err(|failure| match failure {
                    Failure::Usage(why) | Failure::Runtime(why) => why,
                })
            },
            says: &move |text| {
                if !quiet {
                    eprintln!("{text}");
                }
            },
            stop,
        };
        watch::watch(request).await.map_err(Failure::from)
    })?;
    let analysis = publish(&outcome.record, &outcome.folder)?;
    for complaint in &outcome.complaints {
        eprintln!("error: {complaint}");
    }
    if let Ended::Failed { why } = &outcome.record.ended {
        return Err(Failure::Runtime(format!("it ended early: {why}")));
    }
    let is_whole = outcome.record.ended == Ended::Finished && outcome.complaints.is_empty();
    Ok(u8::from(!is_whole || analysis.stamp.level == Trust::Void))
}

/// The first Ctrl-C, SIGTERM or SIGHUP ends the command, and a report follows; the second is at once.
async fn interrupted(stop: CancellationToken) {
    // Listening would undo what nohup did.
    let listens = !ignores_hangup();
    let hangup = async || match listens.then(|| signal(SignalKind::hangup())) {
        Some(Ok(mut signal)) => drop(signal.recv().await),
        _ => std::future::pending().await,
    };
    // Once listened to, a signal does not end the process any more.
    let asked = async || {
        tokio::select! {
            () = crate::cli::asked_to_stop() => {}
            () = hangup() => {}
        }
    };
    asked().await;
    eprintln!(
        "stopping COMMAND: the report of what was measured follows; Ctrl-C again to stop at once"
    );
    stop.cancel();
    asked().await;
    std::process::exit(130);
}

/// Whether SIGHUP was ignored when we were started, as by nohup.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}
