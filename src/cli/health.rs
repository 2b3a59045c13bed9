//! `poolwise health`: asks a service that runs how it is, for the health checks of containers.

use std::time::Duration;

use clap::Args;

use super::{Failure, runtime};
use crate::lab::base::Base;

#[derive(Debug, Args)]
pub(super) struct Health {
    /// Where the service is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Ask only whether it answers, not whether it is ready for requests
    #[arg(long)]
    live: bool,
    /// Time to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Prints one word and succeeds if the answer is 200.
pub(super) fn main(command: &Health) -> Result<(), Failure> {
    let path = if command.live { "/health/live" } else { "/health/ready" };
    runtime()?.block_on(async {
        let base = Base::parse(&command.url).await.map_err(Failure::Usage)?;
        let answered = base.get(path, command.timeout).await;
        let (status, body) = answered.map_err(|error| Failure::Runtime(error.to_string()))?;
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let word = match command.live {
            true => said["live"].as_bool().filter(|live| *live).map(|_| "live"),
            false => said["status"].as_str(),
        };
        match word.filter(|_| status.is_success()) {
            Some(word) => {
                println!("{word}");
                Ok(())
            }
            None => {
                let why = word.unwrap_or("this is no Poolwise");
                Err(Failure::Runtime(format!("{}{path}: {status}, {why}", base.url())))
            }
        }
    })
}
