//! What a run file says of a load that another tool drove: which tool, what it recorded, and what of it
//! is in the tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The column of everything that the service did, whichever strategy it was for.
pub const TOGETHER: &str = "all together";
/// The lane of requests that belong to no strategy.
pub const OTHER_ROUTES: &str = "other routes";

/// A load that another tool drove.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The name of its program. Not its arguments, in which there may be passwords.
    pub tool: String,
    /// How it ended: `exit code 0`, `signal 9`; `None` while it runs, and where the lab ended it.
    pub ended_with: Option<String>,
    /// For how long it ran, in seconds.
    pub took_seconds: f64,
    /// The time after its first request that is not measured, in seconds.
    pub skip_seconds: f64,
    /// The windows in time that were asked for; there are fewer where it ran for fewer seconds.
    pub windows_wanted: u32,
    /// What it recorded of its requests; empty where nothing was imported.
    pub records: Vec<RecordsFile>,
    /// Recorded requests that are in no window: those of `skip_seconds`, those before the first and after
    /// the last one, and those of another time.
    pub outside: u64,
    /// Requests within the windows that belong to no strategy, by what they asked for.
    pub other_routes: BTreeMap<String, u64>,
    /// The baseline that was asked for and had no requests.
    pub missing_baseline: Option<String>,
}

/// A file that a load tool wrote about its requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordsFile {
    /// Its name, without folders.
    pub file: String,
    /// Who measured: `JMeter`, `Locust`, `k6`, `Newman`.
    pub measured_by: String,
    /// What it is: `a .jtl file of JMeter`.
    pub format: String,
    /// Requests in it.
    pub requests: u64,
    /// What to know of it, a sentence each: that figures are the tool's own, lines that say nothing.
    pub notes: Vec<String>,
}

/// Times that a load tool computed itself, where it keeps no time of each request; in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// Mean.
    pub mean_ms: Option<f64>,
    /// 50th percentile.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

impl Watched {
    /// Requests within the windows that belong to no strategy.
    pub fn others(&self) -> u64 {
        self.other_routes.values().sum()
    }

    /// Whether nothing is known of single requests.
    pub fn is_unrecorded(&self) -> bool {
        self.records.is_empty()
    }
}
