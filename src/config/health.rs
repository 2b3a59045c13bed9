//! `[health]`: when `GET /health` calls what it sees slow, saturated or down.

use std::time::Duration;

use serde::Deserialize;

use super::resolve::not_zero;

/// Within this a fault must show in `GET /health`.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// `[health]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Health {
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub database_latency_warning: Duration,
    #[serde(with = "humantime_serde")]
    pub saturated_after: Duration,
    #[serde(with = "humantime_serde")]
    pub wait_warning: Duration,
    #[serde(with = "humantime_serde")]
    pub wait_critical: Duration,
    pub utilization_warning: f64,
    pub utilization_critical: f64,
}

impl Health {
    /// Adds what is wrong with it.
    pub(super) fn check(&self, problems: &mut Vec<String>) {
        not_zero("health.interval", self.interval, problems);
        not_zero("health.timeout", self.timeout, problems);
        not_zero("health.saturated_after", self.saturated_after, problems);
        if self.wait_warning > self.wait_critical {
            problems.push("`health.wait_warning` is above `health.wait_critical`".into());
        }
        let percents = [
            ("utilization_warning", self.utilization_warning),
            ("utilization_critical", self.utilization_critical),
        ];
        for (key, percent) in percents {
            if !(0.0..=100.0).contains(&percent) {
                problems.push(format!("`health.{key}`: {percent} is not between 0 and 100"));
            }
        }
        if self.utilization_warning > self.utilization_critical {
            let text = "`health.utilization_warning` is above `health.utilization_critical`";
            problems.push(text.into());
        }
    }

    /// What is legal but unwise, with the arithmetic.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let shown = |duration| humantime::format_duration(duration).to_string();
        let late = self.interval + self.timeout;
        if late > SEEN_WITHIN {
            found.push(format!(
                "health.interval + health.timeout = {}: a database that falls silent shows in /health after more than {}",
                shown(late),
                shown(SEEN_WITHIN)
            ));
        }
        if self.timeout <= self.database_latency_warning {
            found.push(format!(
                "health.database_latency_warning ({}) is not below health.timeout ({}): a slow database is called down before it is called slow",
                shown(self.database_latency_warning),
                shown(self.timeout)
            ));
        }
        found
    }
}
