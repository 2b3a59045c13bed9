//! Claims of how a system was driven: users, pauses, weights and rate limits.

use super::arithmetic::{closed_rate, gain_of_twice_as_fast, refused_share};
use super::words::{list, number, percent, seconds};
use super::{Claims, Found};

/// Users and their pause in seconds, of a closed load.
pub(super) fn users_and_pause(claims: &Claims) -> Option<(f64, f64)> {
    let load = &claims.load;
    let pause = load.pause.unwrap_or_default().as_secs_f64();
    (!load.open.unwrap_or(false)).then_some((load.users?, pause))
}

/// The most that the clients can ask for: a closed load with a pause.
pub(super) fn client_ceiling(claims: &Claims) -> Option<f64> {
    let (users, pause) = users_and_pause(claims)?;
    closed_rate(users, 0.0, pause)
}

/// The requests a second that the system gets: measured, or else expected, as far as the users can ask.
fn demanded(claims: &Claims) -> Option<f64> {
    let expected = || {
        let most = client_ceiling(claims).unwrap_or(f64::INFINITY);
        claims.expected.requests_per_second.map(|rate| rate.min(most))
    };
    claims.measured.requests_per_second.or_else(expected)
}

/// Requests a second that the rate limit lets pass, all load machines together; and how many those are.
fn allowed(claims: &Claims) -> Option<(f64, f64)> {
    let limit = claims.rate_limit.as_ref()?;
    let window = limit.window.map_or(1.0, |window| window.as_secs_f64());
    let sources = claims.load.sources.unwrap_or(1.0);
    (window > 0.0).then_some((limit.calls? / window * sources, sources))
}

fn from_machines(sources: f64) -> String {
    let plural = if sources == 1.0 { "" } else { "s" };
    format!("{} load machine{plural}", number(sources))
}

/// D1
pub(super) fn pause_is_the_limit(claims: &Claims) -> Option<Found> {
    let (users, pause) = users_and_pause(claims)?;
    let ceiling = client_ceiling(claims)?;
    let endpoints = claims.load.endpoints.filter(|endpoints| *endpoints >= 2.0)?;
    let by_rate = claims
        .measured
        .requests_per_second
        .and_then(|rate| Some((super::arithmetic::time_in_system(users, rate)? - pause).max(0.0)));
    let mean = claims.measured.mean.map(|mean| mean.as_secs_f64()).or(by_rate);
    let gain = gain_of_twice_as_fast(mean.unwrap_or(0.0), pause);
    let hidden = match mean {
        Some(mean) => format!(
            "an endpoint twice as fast as one of {} shows no more than {} times the requests",
            seconds(mean),
            number(gain)
        ),
        None => "an endpoint twice as fast can look equal".into(),
    };
    (pause > 0.0 && gain < 1.5).then(|| Found {
        fact: format!(
            "{} users that pause {} never ask for more than {} requests/s ({} for each of {} endpoints), whatever the server does: {hidden}",
            number(users),
            seconds(pause),
            number(ceiling),
            number(ceiling / endpoints),
            number(endpoints),
        ),
        advice: "drive without a pause until something is busy, or at set arrival rates, and compare latency and cost at the same rate".into(),
    })
}

/// D6
pub(super) fn limit_against_errors(claims: &Claims) -> Option<Found> {
    let rate = claims.measured.requests_per_second?;
    let (allowed, sources) = allowed(claims)?;
    let refused = refused_share(rate, allowed);
    let errors = claims.measured.errors.unwrap_or(0.0);
    (refused > errors + 0.01).then(|| Found {
        fact: format!(
            "{} requests/s came from {}, and a limit of {}/s refuses at least {} of them, but {} errors are reported",
            number(rate),
            from_machines(sources),
            number(allowed),
            percent(refused),
            percent(errors),
        ),
        advice: "say whether the limit was in force; measure once without it, and once for what it refuses".into(),
    })
}

/// D10
pub(super) fn more_than_users_ask(claims: &Claims) -> Option<Found> {
    let (users, pause) = users_and_pause(claims)?;
    let most = claims.expected.requests_per_second?;
    let mean = claims.expected.mean.or(claims.measured.mean);
    let mean = mean.map_or(0.0, |mean| mean.as_secs_f64());
    let limit = closed_rate(users, mean, pause)?;
    let at_best = closed_rate(users, 0.0, pause)
        .map_or(String::new(), |best| format!("{} at most, and ", number(best)));
    (most > limit).then(|| Found {
        fact: format!(
            "{} requests/s are expected of {} users that wait {} between two requests, but they ask for {at_best}{} when answers take {}",
            number(most),
            number(users),
            seconds(pause),
            number(limit),
            seconds(mean),
        ),
        advice: format!(
            "take {} users, a wait of {}, or an open load with that rate",
            number((most * (pause + mean)).ceil()),
            seconds((users / most - mean).max(0.0)),
        ),
    })
}

/// D11
pub(super) fn weights(claims: &Claims) -> Option<Found> {
    let sum: f64 = claims.task.iter().filter_map(|task| task.weight).sum();
    let wrong = claims.task.iter().any(|task| match (task.weight, task.share) {
        (Some(weight), Some(share)) => (weight / sum - share).abs() > 0.01,
        _ => false,
    });
    let each = |value: &dyn Fn(&super::claims::Task) -> Option<String>| -> Vec<String> {
        claims.task.iter().filter_map(value).collect()
    };
    (sum > 0.0 && wrong).then(|| {
        let weights = each(&|task| Some(format!("{} {}", number(task.weight?), task.name)));
        let said = each(&|task| task.share.map(percent));
        let are =
            each(&|task| task.weight.map(|weight| percent((weight / sum * 100.0).round() / 100.0)));
        Found {
            fact: format!(
                "weights of {} are {} of the requests, not {}",
                list(&weights),
                list(&are),
                list(&said)
            ),
            advice: "correct the shares, or add the tasks that are missing from the list".into(),
        }
    })
}

/// D12
pub(super) fn limit_against_target(claims: &Claims) -> Option<Found> {
    let rate = demanded(claims)?;
    let (allowed, sources) = allowed(claims)?;
    let refused = refused_share(rate, allowed);
    let errors = claims.target.iter().filter(|target| target.figure == "error_share");
    let most = errors.filter_map(|target| target.critical.or(target.target)).reduce(f64::max)?;
    (refused > most).then(|| Found {
        fact: format!(
            "the rate limit lets {} requests/s pass from {}: {} of {} requests/s; the other {} are errors, and at most {} may be",
            number(allowed),
            from_machines(sources),
            percent(allowed / rate),
            number(rate),
            percent(refused),
            percent(most),
        ),
        advice: "lift the limit for the load machines, or drive from as many addresses as users have".into(),
    })
}
