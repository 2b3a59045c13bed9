//! The load of a point: in words, its stages in time, and the most that its clients can ask for.

use crate::lab::plan::{Arrivals, Level, Model, Point};
use crate::lab::record::Load;

use super::units;

/// A stage of a block in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    /// Its level: users, requests a second, or a share.
    pub(super) level: f64,
    /// Its begin, in seconds from the begin of the measured part.
    pub(super) from: f64,
    /// Its end.
    pub(super) to: f64,
    /// When its ramp ends.
    pub(super) steady_from: f64,
}

/// The stages of a point in time.
pub(super) fn spans(point: &Point) -> Vec<Span> {
    let mut from = 0.0;
    let span = point.stages.iter().map(|stage| {
        let level = level(&stage.level);
        let to = from + stage.duration.as_secs_f64();
        let span = Span { level, from, to, steady_from: from + stage.ramp.as_secs_f64() };
        from = to;
        span
    });
    span.collect()
}

fn level(level: &Level) -> f64 {
    match level {
        Level::Users { users } => f64::from(*users),
        Level::Rate { rate } => *rate,
        Level::Share { share, .. } => *share,
    }
}

/// The mean level over the measured part: its integral divided by its length.
fn mean_level(point: &Point) -> Option<f64> {
    let spans = spans(point);
    let length = spans.last()?.to;
    let mut before = 0.0;
    let area: f64 = spans
        .iter()
        .map(|span| {
            let ramp = span.steady_from - span.from;
            let area =
                (before + span.level) / 2.0 * ramp + span.level * (span.to - span.steady_from);
            before = span.level;
            area
        })
        .sum();
    (length > 0.0).then(|| area / length)
}

/// The most requests a second that the clients of a point can ask for: users / pause, by Little's law
/// with answers that take no time. `None` without a pause, and in the open model.
pub(super) fn client_ceiling(point: &Point, load: Load) -> Option<f64> {
    let Load::Closed { users, pause_seconds } = load else { return None };
    let users = match point.stages.len() {
        0 | 1 => f64::from(users),
        _ => mean_level(point)?,
    };
    (pause_seconds > 0.0).then(|| users / pause_seconds)
}

/// A point's load in words. `loads` are those of its blocks: they know the rates that shares became.
pub(super) fn words(point: &Point, loads: &[Load]) -> String {
    let kind = match point.model {
        Model::Watched => return format!("the load of {}", point.name),
        Model::Closed { pause } if pause.is_zero() => ", no pause".to_owned(),
        Model::Closed { pause } => {
            format!(", {} pause", units::duration(pause.as_secs_f64()))
        }
        Model::Open { arrivals: Arrivals::Constant, .. } => " at even distances".to_owned(),
        Model::Open { arrivals: Arrivals::Poisson, .. } => ", Poisson arrivals".to_owned(),
    };
    let levels: Vec<String> = match point.stages.as_slice() {
        [stage] => vec![single(&stage.level, loads)],
        stages => {
            let length = |stage: &crate::lab::plan::Stage| {
                format!("for {}", units::duration(stage.duration.as_secs_f64()))
            };
            stages
                .iter()
                .map(|stage| format!("{} {}", asked(&stage.level), length(stage)))
                .collect()
        }
    };
    format!("{}{kind}", levels.join(", then "))
}

fn single(level: &Level, loads: &[Load]) -> String {
    match (level, loads.first()) {
        (Level::Share { .. }, Some(first)) if loads.iter().all(|load| load == first) => {
            let rate = if let Load::Open { rate, .. } = first { *rate } else { 0.0 };
            format!("{} ({})", asked(level), units::rate(rate))
        }
        (_, Some(Load::Closed { users, .. })) => user_count(*users),
        _ => asked(level),
    }
}

fn user_count(users: u32) -> String {
    match users {
        1 => "1 user".to_owned(),
        _ => format!("{} users", units::count(u64::from(users))),
    }
}

fn asked(level: &Level) -> String {
    use crate::lab::plan::Reference;
    match level {
        Level::Users { users } => user_count(*users),
        Level::Rate { rate } => units::rate(*rate),
        Level::Share { share, point, of } => {
            let whose = match of {
                Reference::Slowest => "the slowest strategy's rate",
                Reference::Fastest => "the fastest strategy's rate",
                Reference::Own => "each strategy's own rate",
            };
            format!("{} of {whose} at {point}", units::plain(share * 100.0) + " %")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::plan::Stage;

    fn stage(users: u32, ramp: u64, duration: u64) -> Stage {
        let [ramp, duration] = [ramp, duration].map(Duration::from_secs);
        Stage { name: String::new(), level: Level::Users { users }, ramp, duration }
    }

    #[test]
    fn the_ceiling_of_the_original_experiment_is_85_8_requests_a_second() {
        let model = Model::Closed { pause: Duration::from_millis(233) };
        let point = Point { name: "load".into(), model, stages: vec![stage(20, 0, 4)] };
        let load = Load::Closed { users: 20, pause_seconds: 0.233 };
        let ceiling = client_ceiling(&point, load).expect("it has a pause");
        assert_eq!(units::rate(ceiling), "85.8/s");
        assert_eq!(words(&point, &[load]), "20 users, 233 ms pause");
    }

    #[test]
    fn ramps_count_half_in_the_mean_level() {
        let model = Model::Closed { pause: Duration::from_secs(1) };
        let stages = vec![stage(10, 0, 10), stage(110, 10, 20)];
        let point = Point { name: "spike".into(), model, stages };
        // 10 * 10 + 60 * 10 + 110 * 10 over 30 s
        let load = Load::Closed { users: 110, pause_seconds: 1.0 };
        assert_eq!(client_ceiling(&point, load), Some(60.0));
        assert_eq!(words(&point, &[load]), "10 users for 10 s, then 110 users for 20 s, 1 s pause");
    }
}
