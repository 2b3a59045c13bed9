//! The strategies' connections over time: how long requests have waited without a break.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::observe::AccessGauges;
use crate::store::Strategies;

/// The connections of a strategy, as they were at the last look.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub strategy: Arc<str>,
    /// Whether it holds a fixed number of connections.
    pub fixed: bool,
    pub gauges: AccessGauges,
    /// 95 % of the waits of the last 5 to 10 s were shorter; `None` without any.
    pub wait_p95: Option<Duration>,
    /// For how long somebody waited at every look.
    pub waited_on: Option<Duration>,
    /// For how long nobody was given a connection.
    pub none_given_for: Duration,
}

/// Remembers what the looks before saw.
#[derive(Default)]
pub(super) struct Pools(HashMap<Arc<str>, Before>);

struct Before {
    waiting_since: Option<Instant>,
    given: u64,
    given_at: Instant,
}

impl Pools {
    /// Looks at the connections of every strategy.
    pub fn look(&mut self, strategies: &Strategies) -> Vec<Pool> {
        let now = Instant::now();
        self.0.retain(|name, _| strategies.get(name).is_some());
        strategies
            .iter()
            .map(|strategy| {
                let (gauges, wait) = (strategy.access.gauges(), &strategy.meter.access.wait);
                let given = wait.total();
                let fresh = || Before { waiting_since: None, given, given_at: now };
                let before = self.0.entry(strategy.name.clone()).or_insert_with(fresh);
                if given != before.given {
                    (before.given, before.given_at) = (given, now);
                }
                match gauges.waiting {
                    0 => before.waiting_since = None,
                    _ => drop(before.waiting_since.get_or_insert(now)),
                }
                let p95_ms = wait.recent().p95_ms;
                Pool {
                    strategy: strategy.name.clone(),
                    fixed: strategy.access.is_fixed(),
                    gauges,
                    wait_p95: p95_ms.map(|ms| Duration::from_secs_f64(ms / 1000.0)),
                    waited_on: before.waiting_since.map(|since| now - since),
                    none_given_for: now - before.given_at,
                }
            })
            .collect()
    }
}
