//! Plans: what their loads can show at all.

use std::time::Duration;

use super::Found;
use super::arithmetic::{
    FEWEST_SAMPLES, NETWORK_BITS_PER_SECOND, closed_rate, hits_by_construction,
};
use super::setup::Setup;
use super::words::{bits_per_second, bytes, list, number, percent, seconds, time};
use crate::lab::plan::{Level, Model, Point};
use crate::lab::verdict::Figure;

/// The most users of a closed load, with the pause of each in seconds.
pub(super) fn users_and_pause(point: &Point) -> Option<(f64, f64)> {
    let Model::Closed { pause } = point.model else { return None };
    let users = point.stages.iter().filter_map(|stage| match stage.level {
        Level::Users { users } => Some(f64::from(users)),
        _ => None,
    });
    Some((users.reduce(f64::max)?, pause.as_secs_f64()))
}

/// The most requests a second that a point asks for; `None` where it asks for as many as it gets, or
/// for a share of what is not measured yet.
fn rate(point: &Point) -> Option<f64> {
    if let Some((users, pause)) = users_and_pause(point) {
        return closed_rate(users, 0.0, pause);
    }
    let rates = point.stages.iter().map(|stage| match stage.level {
        Level::Rate { rate } => Some(rate),
        _ => None,
    });
    rates.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}

/// D1
pub(super) fn pause_is_the_limit(setup: &Setup<'_>) -> Option<Found> {
    let strategies = setup.plan.strategies.len();
    setup.plan.points.iter().find_map(|point| {
        let (users, pause) = users_and_pause(point)?;
        let ceiling = closed_rate(users, 0.0, pause)?;
        (pause > 0.0 && strategies >= 2).then(|| Found {
            fact: format!(
                "point {:?}: {} users that pause {} never ask for more than {} requests/s, whatever the service does: strategies that can do more look equal in requests/s",
                point.name,
                number(users),
                seconds(pause),
                number(ceiling),
            ),
            advice: format!(
                "for what each can do: --pause 0s; for latency and cost under the same load: --rate {}, or the plan \"open\"",
                (ceiling * 0.7).round().max(1.0)
            ),
        })
    })
}

/// D2
pub(super) fn bodies_fill_the_network(setup: &Setup<'_>) -> Option<Found> {
    let (rows, body) = (setup.rows()?, setup.body()?);
    let fills = NETWORK_BITS_PER_SECOND / 8.0 / body;
    let asks = |point: &Point| rate(point).filter(|rate| *rate > fills);
    let most = setup.plan.points.iter().filter_map(asks).reduce(f64::max);
    // Without a rate: below 100 a second the bodies are what is waited for.
    let unlimited = setup.plan.points.iter().any(|point| rate(point).is_none()) && fills < 100.0;
    let asked = match (most, unlimited) {
        (Some(rate), _) => {
            format!("{} of them a second are {}", number(rate), bits_per_second(rate * body * 8.0))
        }
        (None, true) => format!("{} of them a second fill 1 Gbit/s", number(fills)),
        (None, false) => return None,
    };
    Some(Found {
        fact: format!(
            "answers of about {} rows are {} each; {asked}: this measures JSON and bandwidth more than connections",
            number(rows),
            bytes(body),
        ),
        advice: "add --limit 100, which asks for pages, and compare both".into(),
    })
}

/// D3
pub(super) fn cpu_of_unequal_loads(setup: &Setup<'_>) -> Option<Found> {
    let plan = setup.plan;
    let users: Option<Vec<f64>> =
        plan.points.iter().map(|point| Some(users_and_pause(point)?.0)).collect();
    let most = users?.into_iter().reduce(f64::max)?;
    (plan.strategies.len() >= 2 && !plan.mixed).then(|| Found {
        fact: format!(
            "all loads are closed, with up to {} users: the faster of {} strategies gets more requests, so their CPU in percent is of unequal loads",
            number(most),
            plan.strategies.len(),
        ),
        advice: "compare the columns per 1,000 requests, or add an open load (--rate, or the plan \"open\")".into(),
    })
}

/// D10
pub(super) fn target_beyond_users(setup: &Setup<'_>) -> Option<Found> {
    let target = setup.plan.targets.get(Figure::Rate.name())?.target;
    setup.plan.points.iter().find_map(|point| {
        let most = rate(point).filter(|most| *most < target)?;
        Some(Found {
            fact: format!(
                "the target is {} requests/s, but point {:?} asks for {} at most",
                number(target),
                point.name,
                number(most)
            ),
            advice: "give more users, a shorter pause, or a higher rate".into(),
        })
    })
}

/// D13
pub(super) fn nothing_expires(setup: &Setup<'_>) -> Option<Found> {
    let all = setup.plan.expected_duration();
    let lasts = |known: &&super::setup::Known| {
        known
            .cache
            .as_ref()
            .is_some_and(|cache| cache.ttl.mul_f64((1.0 - cache.jitter).clamp(0.0, 1.0)) >= all)
    };
    let found: Vec<_> = setup.driven.iter().filter(lasts).collect();
    let ttl = found.iter().filter_map(|known| Some(known.cache.as_ref()?.ttl)).max()?;
    let names: Vec<&str> = found.iter().map(|known| known.name.as_str()).collect();
    let each: f64 = setup
        .plan
        .points
        .iter()
        .filter_map(|point| Some(rate(point)? * (point.block() * setup.plan.rounds).as_secs_f64()))
        .sum();
    let hits = hits_by_construction(setup.keys(), each);
    let hits = hits.map(|hits| {
        format!(
            ", so {} requests for {} keys are up to {} hits by construction",
            number(each),
            number(setup.keys()),
            percent(hits)
        )
    });
    Some(Found {
        fact: format!(
            "the answers of {} are kept for {} and the plan takes {}: no key expires even once{}",
            list(&names),
            time(ttl),
            time(all),
            hits.unwrap_or_default()
        ),
        advice: "set a shorter cache.ttl (such as a tenth of the run), or more parameter values, if hits in life are rarer".into(),
    })
}

/// D17
pub(super) fn too_few_samples(setup: &Setup<'_>) -> Option<Found> {
    let rounds = setup.plan.rounds;
    let samples = |point: &Point| f64::from(rounds) * point.block().as_secs_f64().floor();
    let point = setup.plan.points.iter().find(|point| samples(point) < FEWEST_SAMPLES)?;
    Some(Found {
        fact: format!(
            "point {:?}: {rounds} block{} of {} give {} samples of CPU and memory for each strategy, one a second",
            point.name,
            if rounds == 1 { "" } else { "s" },
            time(point.block()),
            number(samples(point)),
        ),
        advice: format!("give --each {}s or more", FEWEST_SAMPLES.max(f64::from(rounds)).ceil()),
    })
}

/// D22
pub(super) fn percentiles_out_of_order(setup: &Setup<'_>) -> Option<Found> {
    let figures = [Figure::LatencyP50, Figure::LatencyP95, Figure::LatencyP99];
    let target = |figure: Figure| Some((figure, setup.plan.targets.get(figure.name())?.target));
    let targets: Vec<(Figure, f64)> = figures.into_iter().filter_map(target).collect();
    let pair = targets.windows(2).find(|pair| pair[1].1 < pair[0].1)?;
    let of = |(figure, target): (Figure, f64)| {
        format!("{} ({})", figure.label(), time(Duration::from_secs_f64(target / 1000.0)))
    };
    Some(Found {
        fact: format!(
            "the target for {} is below that for {}, which it can never be below",
            of(pair[1]),
            of(pair[0])
        ),
        advice: "exchange them, or raise the higher percentile's".into(),
    })
}
