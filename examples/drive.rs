//! The lab's load driver alone, against any URL: for holding it against other drivers.
//!
//! `cargo run --release --example drive -- http://127.0.0.1:8080/noop --users 20 --seconds 10`
//!
//! Prints requests a second, percentiles of the latency, late and failed requests. Exits
//! with 1 when a request failed or the block was cut short.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hyper::Uri;
use poolwise::lab::base::Base;
use poolwise::lab::histogram::Times;
use poolwise::lab::load::{self, Driven, Job, Keys, LaneTarget, Live, StageLevel};
use poolwise::lab::plan::{Arrivals, Distribution, Model, Parameters};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Loads a URL and says how fast it answered
#[derive(Parser)]
struct Arguments {
    /// What to ask for: http://HOST:PORT/PATH
    url: Uri,
    /// Users; with --rate, connections
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// How long a user pauses after an answer, such as 233ms
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pause: Duration,
    /// Requests a second at set times, instead of users who pause
    #[arg(long, conflicts_with = "pause")]
    rate: Option<f64>,
    /// How long it is measured, after a second that is not
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let job = match job(Arguments::parse()).await {
        Ok(job) => job,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(2);
        }
    };
    report(&load::drive(job).await)
}

async fn job(arguments: Arguments) -> Result<Job, String> {
    let authority = arguments.url.authority().ok_or("the URL needs a host")?;
    let base = Base::parse(&format!("http://{authority}")).await?;
    let values = vec![arguments.url.query().unwrap_or_default().to_owned()];
    let parameters = Parameters { values, distribution: Distribution::Fixed };
    let (model, level) = match arguments.rate {
        Some(rate) => {
            let connections = arguments.users;
            (Model::Open { arrivals: Arrivals::Constant, connections }, rate)
        }
        None => (Model::Closed { pause: arguments.pause }, f64::from(arguments.users)),
    };
    let duration = Duration::from_secs(arguments.seconds);
    Ok(Job {
        base,
        lanes: vec![LaneTarget { strategy: "url".into(), path: arguments.url.path().into() }],
        model,
        stages: vec![StageLevel { level, ramp: Duration::ZERO, duration }],
        warm_up: Duration::from_secs(1),
        timeout: Duration::from_secs(30),
        keys: Arc::new(Keys::new(&parameters, 1, 1)),
        shop: None,
        pause_spread: Duration::ZERO,
        seed: 1,
        begin: Instant::now() + Duration::from_millis(500),
        live: Arc::new(Live::default()),
        stop: CancellationToken::new(),
    })
}

fn report(driven: &Driven) -> ExitCode {
    if let Some(cut) = &driven.cut {
        eprintln!("error: {cut}");
        return ExitCode::FAILURE;
    }
    let lane = &driven.lanes[0];
    let mut latency = Times::default();
    lane.seconds.iter().for_each(|second| latency.add(&second.latency));
    let answers: u64 = lane.seconds.iter().map(|second| second.answers).sum();
    let seconds = (driven.measured.1 - driven.measured.0).as_secs_f64();
    let percentile = |q| match latency.quantile_ms(q) {
        Some(ms) => format!("{ms:.3} ms"),
        None => "- (too few answers)".into(),
    };
    println!("requests/s {:.1}", answers as f64 / seconds);
    println!("p50 {}", percentile(0.5));
    println!("p95 {}", percentile(0.95));
    println!("p99 {}", percentile(0.99));
    println!("late {}", lane.late);
    let failed = lane.scheduled - answers;
    println!("failed {failed}");
    if failed > 0 {
        eprintln!("error: {failed} of {} requests failed: {:?}", lane.scheduled, lane.outcomes);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
