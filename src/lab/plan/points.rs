//! Loads as written to [`Point`]s and a [`Search`]: which keys go with which model.

use std::time::Duration;

use super::file::{self, Model as Named};
use super::{Arrivals, Level, Model, Point, Reference, Search, Stage};

/// Requests that an open model may have on their way, where the plan does not say.
pub(super) const CONNECTIONS: u32 = 256;

/// The one `[load]`, or each `[[point]]`.
pub(super) fn points(
    load: Option<file::Point>,
    several: Vec<file::Point>,
    block: Duration,
    problems: &mut Vec<String>,
) -> Vec<Point> {
    if load.is_some() && !several.is_empty() {
        problems.push(
            "`load` and `point` are both there; write one [load] or several [[point]]".into(),
        );
    }
    let mut found = Vec::new();
    if let Some(mut load) = load {
        if load.name.is_some() {
            problems.push("`load.name` says nothing: one load needs no name; remove it".into());
        }
        load.name = Some("load".into());
        found.push(point("load", load, block, problems));
    }
    for (place, raw) in several.into_iter().enumerate() {
        found.push(point(&format!("point[{place}]"), raw, block, problems));
    }
    found
}

fn point(at: &str, raw: file::Point, block: Duration, problems: &mut Vec<String>) -> Point {
    let name = raw.name.unwrap_or_else(|| {
        problems.push(format!("`{at}.name` is missing; write name = \"full-load\""));
        String::new()
    });
    let kind = raw.model.unwrap_or(Named::Closed);
    let model = model(at, kind, raw.pause, raw.arrivals, raw.connections, problems);
    let alone = file::Stage {
        name: None,
        users: raw.users,
        rate: raw.rate,
        share: raw.share,
        of: raw.of,
        of_point: raw.of_point,
        ramp: raw.ramp,
        duration: Some(raw.duration.unwrap_or(block)),
    };
    let stages = if raw.stages.is_empty() {
        vec![stage(at, kind, alone, problems)]
    } else {
        let level = [alone.users.is_some(), alone.rate.is_some(), alone.share.is_some()];
        let timing = [raw.duration.is_some(), alone.ramp.is_some()];
        if level.into_iter().chain(timing).any(|given| given) {
            problems.push(format!(
                "`{at}` has `stages` and a level or a time of its own; write them in the stages only"
            ));
        }
        let stages = raw.stages.into_iter().enumerate();
        stages
            .map(|(place, raw)| stage(&format!("{at}.stages[{place}]"), kind, raw, problems))
            .collect()
    };
    Point { name, model, stages }
}

fn model(
    at: &str,
    kind: Named,
    pause: Option<Duration>,
    arrivals: Option<Arrivals>,
    connections: Option<u32>,
    problems: &mut Vec<String>,
) -> Model {
    match kind {
        Named::Closed => {
            for (key, given) in
                [("arrivals", arrivals.is_some()), ("connections", connections.is_some())]
            {
                if given {
                    problems.push(format!(
                        "`{at}.{key}` means something to model = \"open\" only; remove it, or write model = \"open\" and a rate"
                    ));
                }
            }
            Model::Closed { pause: pause.unwrap_or(Duration::ZERO) }
        }
        Named::Open => {
            if pause.is_some() {
                problems.push(format!(
                    "`{at}.pause` means something to model = \"closed\" only: in the open model requests begin by the rate; remove it"
                ));
            }
            Model::Open {
                arrivals: arrivals.unwrap_or(Arrivals::Poisson),
                connections: connections.unwrap_or(CONNECTIONS),
            }
        }
    }
}

fn stage(at: &str, kind: Named, raw: file::Stage, problems: &mut Vec<String>) -> Stage {
    let duration = raw.duration.unwrap_or_else(|| {
        problems.push(format!("`{at}.duration` is missing; write duration = \"10s\""));
        Duration::from_secs(10)
    });
    if raw.share.is_none() && (raw.of.is_some() || raw.of_point.is_some()) {
        problems.push(format!("`{at}.of` and `of_point` go with a share; write share = 0.7"));
    }
    let level = match (kind, raw.users, raw.rate, raw.share) {
        (Named::Closed, Some(users), None, None) => Level::Users { users },
        (Named::Open, None, Some(rate), None) => Level::Rate { rate },
        (Named::Open, None, None, Some(share)) => {
            let point = raw.of_point.unwrap_or_else(|| {
                problems.push(format!(
                    "`{at}.of_point` is missing; write the name of the earlier point whose rate the share is of"
                ));
                String::new()
            });
            Level::Share { share, point, of: raw.of.unwrap_or(Reference::Slowest) }
        }
        (Named::Closed, users, ..) => {
            let extra = [("rate", raw.rate.is_some()), ("share", raw.share.is_some())];
            for (key, _) in extra.iter().filter(|(_, given)| *given) {
                problems.push(format!(
                    "`{at}.{key}` is a level of the open model, and this one is closed; write users = 20, or model = \"open\""
                ));
            }
            if users.is_none() && !extra.iter().any(|(_, given)| *given) {
                problems.push(format!("`{at}.users` is missing; write users = 20"));
            }
            Level::Users { users: users.unwrap_or(1) }
        }
        (Named::Open, users, rate, share) => {
            if users.is_some() {
                problems.push(format!(
                    "`{at}.users` is a level of the closed model, and this one is open; write rate = 50 (requests a second), or model = \"closed\""
                ));
            }
            match (rate, share) {
                (Some(_), Some(_)) => problems.push(format!(
                    "`{at}.rate` and `{at}.share` are both there; keep one of them"
                )),
                (None, None) if users.is_none() => problems.push(format!(
                    "`{at}.rate` is missing; write rate = 50 (requests a second), or share = 0.7 and of_point"
                )),
                _ => {}
            }
            Level::Rate { rate: rate.unwrap_or(1.0) }
        }
    };
    let name = raw.name.unwrap_or_default();
    Stage { name, level, ramp: raw.ramp.unwrap_or(Duration::ZERO), duration }
}

/// `[search]`
pub(super) fn search(raw: file::Search, problems: &mut Vec<String>) -> Search {
    let kind = raw.model.unwrap_or(Named::Closed);
    let model = model("search", kind, raw.pause, raw.arrivals, raw.connections, problems);
    Search {
        model,
        from: raw.from.unwrap_or(10.0),
        factor: raw.factor.unwrap_or(2.0),
        to: raw.to.unwrap_or(2000.0),
        resolution: raw.resolution.unwrap_or(0.1),
        probe: raw.probe.unwrap_or(Duration::from_secs(5)),
        p95_ms: raw.p95_ms.unwrap_or(1000.0),
        errors: raw.errors.unwrap_or(0.01),
    }
}
