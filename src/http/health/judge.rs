//! From what was seen to a state, and why: a pure function.

use std::time::Duration;

use super::ping::{Down, Seen};
use super::pools::Pool;
use super::report::State;
use crate::config;

/// Everything that the state depends on.
pub(super) struct Facts<'a> {
    pub databases: Vec<Database<'a>>,
    /// Whether Redis can be used; `None` where no strategy does.
    pub redis: Option<bool>,
    pub pools: &'a [Pool],
}

/// A database as it was seen last.
pub(super) struct Database<'a> {
    /// The key of its URL.
    pub key: &'a str,
    /// Whether it is that of `database.url`.
    pub main: bool,
    pub seen: Option<&'a Seen>,
    /// The median of the last looks.
    pub median: Option<Duration>,
}

/// The worst that holds, and every reason, the worst first.
pub(super) fn judge(facts: &Facts<'_>, limits: &config::Health) -> (State, Vec<String>) {
    let mut found: Vec<(State, String)> = Vec::new();
    let is_empty = |pool: &&Pool| pool.fixed && pool.gauges.in_use + pool.gauges.idle == 0;
    let empty = facts.pools.iter().filter(is_empty).map(|pool| &*pool.strategy);
    let empty = empty.collect::<Vec<_>>().join(", ");
    let of_database = |database| of_database(database, &empty, limits);
    found.extend(facts.databases.iter().filter_map(of_database));
    if facts.redis == Some(false) {
        let text =
            "Redis (cache.redis_url) cannot be used; its strategies answer from the database.";
        found.push((State::Degraded, text.into()));
    }
    found.extend(facts.pools.iter().filter_map(|pool| of_pool(pool, limits)));
    found.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    let worst = found.first().map_or(State::Healthy, |(state, _)| *state);
    (worst, found.into_iter().map(|(_, reason)| reason).collect())
}

/// `empty`: the strategies whose pools have no connection at all.
fn of_database(
    database: &Database<'_>,
    empty: &str,
    limits: &config::Health,
) -> Option<(State, String)> {
    let key = database.key;
    // The others serve only the strategies that name them.
    let down = if database.main { State::Critical } else { State::Degraded };
    Some(match database.seen? {
        Seen::Down(how, _) => {
            let what = match how {
                Down::Refused => "refuses or closes connections.".to_owned(),
                Down::Silent => format!("does not answer within {}.", shown(limits.timeout)),
                Down::NotLetIn => "does not let this service in; the log says why.".to_owned(),
            };
            (down, format!("The database ({key}) {what}"))
        }
        Seen::Full(_) => {
            let text = format!("The database ({key}) has no connection left for the health check");
            if database.main && !empty.is_empty() {
                (State::Critical, format!("{text}, nor have the pools of {empty}."))
            } else {
                (State::Warning, format!("{text}; those that are open go on."))
            }
        }
        Seen::Up(_) | Seen::Late => {
            let median =
                database.median.filter(|median| *median > limits.database_latency_warning)?;
            let (ms, limit) = (median.as_millis(), shown(limits.database_latency_warning));
            let text = format!(
                "The database ({key}) takes {ms} ms for the simplest statement, above health.database_latency_warning ({limit})."
            );
            (State::Warning, text)
        }
    })
}

/// Percent in use is not asked: a pool of the right size is in use all the time.
fn of_pool(pool: &Pool, limits: &config::Health) -> Option<(State, String)> {
    let waited = pool.waited_on.filter(|waited| *waited >= limits.saturated_after)?;
    let seconds = waited.as_secs();
    let (waiting, in_use, size) = (pool.gauges.waiting, pool.gauges.in_use, pool.gauges.size);
    let begin = format!(
        "Strategy {}: requests have waited for connections for {seconds} s without a break ({waiting} now, {in_use} of {size} connections in use)",
        pool.strategy
    );
    if pool.none_given_for >= limits.saturated_after {
        return Some((State::Critical, format!("{begin}, and none came free in that time.")));
    }
    let p95 = pool.wait_p95?;
    let (state, limit, key) = if p95 >= limits.wait_critical {
        (State::Critical, limits.wait_critical, "wait_critical")
    } else if p95 >= limits.wait_warning {
        (State::Warning, limits.wait_warning, "wait_warning")
    } else {
        return None;
    };
    let (ms, limit) = (p95.as_millis(), shown(limit));
    Some((state, format!("{begin}, 5 % of them above {ms} ms; health.{key} is {limit}.")))
}

fn shown(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::AccessGauges;
    use crate::store::{ErrorKind, StoreError};

    fn limits() -> config::Health {
        config::Health {
            interval: ms(250),
            timeout: ms(600),
            database_latency_warning: ms(100),
            saturated_after: ms(5000),
            wait_warning: ms(100),
            wait_critical: ms(1000),
            utilization_warning: 70.0,
            utilization_critical: 90.0,
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pool of 8, all in use.
    fn pool(waited_on: Option<u64>, wait_p95: Option<u64>, none_given_for: u64) -> Pool {
        Pool {
            strategy: "pooled".into(),
            fixed: true,
            gauges: AccessGauges { size: 8, in_use: 8, idle: 0, waiting: 12 },
            wait_p95: wait_p95.map(ms),
            waited_on: waited_on.map(ms),
            none_given_for: ms(none_given_for),
        }
    }

    fn state(
        main: &Seen,
        median: u64,
        redis: Option<bool>,
        pools: &[Pool],
    ) -> (State, Vec<String>) {
        let median = Some(ms(median));
        let main = Database { key: "database.url", main: true, seen: Some(main), median };
        judge(&Facts { databases: vec![main], redis, pools }, &limits())
    }

    #[test]
    fn a_pool_is_judged_by_waits_that_last_and_not_by_percent_in_use() {
        let up = Seen::Up(ms(1));
        for (waited_on, p95, none_given_for, expected) in [
            (None, Some(4000), 0, State::Healthy),
            (Some(4999), Some(4000), 4999, State::Healthy),
            (Some(60_000), Some(99), 0, State::Healthy),
            (Some(5000), Some(100), 0, State::Warning),
            (Some(5000), Some(999), 4999, State::Warning),
            (Some(5000), Some(1000), 0, State::Critical),
            (Some(5000), Some(1), 5000, State::Critical),
            (Some(5000), None, 0, State::Healthy),
        ] {
            let pools = [pool(waited_on, p95, none_given_for)];
            let (found, reasons) = state(&up, 1, None, &pools);
            assert_eq!(found, expected, "{waited_on:?} {p95:?} {none_given_for}");
            assert_eq!(reasons.is_empty(), expected == State::Healthy);
            assert!(reasons.iter().all(|reason| reason.contains("12 now, 8 of 8")), "{reasons:?}");
        }
    }

    #[test]
    fn the_worst_wins_and_every_reason_is_given() {
        let error = || StoreError::new(ErrorKind::Unreachable, "secret detail");
        let saturated = [pool(Some(9000), Some(2000), 0)];
        let down = Seen::Down(Down::Silent, error());
        let (found, reasons) = state(&down, 1, Some(false), &saturated);
        assert_eq!((found, reasons.len()), (State::Critical, 3));
        assert!(reasons[0].contains("(database.url) does not answer within 600ms"), "{reasons:?}");
        assert!(reasons[2].starts_with("Redis"), "{reasons:?}");
        assert!(!reasons.concat().contains("secret"));
        assert_eq!(state(&Seen::Up(ms(1)), 101, Some(false), &[]).0, State::Degraded);
        assert_eq!(state(&Seen::Up(ms(1)), 101, Some(true), &[]).0, State::Warning);
        assert_eq!(state(&Seen::Up(ms(900)), 100, Some(true), &[]), (State::Healthy, Vec::new()));
        let full = Seen::Full(error());
        assert_eq!(state(&full, 1, None, &[pool(None, None, 0)]).0, State::Warning);
        let mut empty = pool(None, None, 0);
        empty.gauges = AccessGauges { size: 8, in_use: 0, idle: 0, waiting: 0 };
        assert_eq!(state(&full, 1, None, &[empty.clone()]).0, State::Critical);
        assert_eq!(state(&Seen::Up(ms(1)), 1, None, &[empty]).0, State::Healthy);
    }

    #[test]
    fn another_database_than_the_main_one_degrades() {
        let error = StoreError::new(ErrorKind::Refused, "password");
        let (up, down) = (Seen::Up(ms(1)), Seen::Down(Down::NotLetIn, error));
        let of = |key, main, seen| Database { key, main, seen: Some(seen), median: Some(ms(1)) };
        let databases =
            vec![of("database.url", true, &up), of("strategies.far.database_url", false, &down)];
        let (found, reasons) = judge(&Facts { databases, redis: None, pools: &[] }, &limits());
        assert_eq!(found, State::Degraded);
        assert!(reasons[0].contains("strategies.far.database_url"), "{reasons:?}");
    }
}
