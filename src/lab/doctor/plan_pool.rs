//! Plans with their configuration: pools and caches against the server, the users and the answers.

use super::Found;
use super::arithmetic::{OVERSIZED, pool_for_cores};
use super::plan_load::users_and_pause;
use super::setup::{Known, Setup};
use super::words::{bytes, list, number};

/// D9
pub(super) fn beyond_formula(setup: &Setup<'_>) -> Option<Found> {
    let cores = setup.live.cores? as f64;
    let formula = pool_for_cores(cores);
    let size =
        |known: &Known| known.pool.filter(|size| size * setup.replicas() > OVERSIZED * formula);
    // A sweep goes beyond on purpose.
    let swept = |name: &str| {
        setup
            .plan
            .strategies
            .iter()
            .any(|planned| planned.name == name && planned.pool_size.is_some())
    };
    let found = setup.driven.iter().filter(|known| !swept(&known.name));
    let found: Vec<(&str, f64)> =
        found.filter_map(|known| Some((known.name.as_str(), size(known)?))).collect();
    let most = found.iter().map(|(_, size)| *size).reduce(f64::max)?;
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    Some(Found {
        fact: format!(
            "{}: up to {} connections in each of {} copies, where {} cores of the database are busy with {} (2 x cores + 1)",
            list(&names),
            number(most),
            number(setup.replicas()),
            number(cores),
            number(formula),
        ),
        advice:
            "run the plan \"pool-size\" and keep the smallest size that is not measurably slower"
                .into(),
    })
}

/// D14
pub(super) fn one_of_many(setup: &Setup<'_>) -> Option<Found> {
    let replicas = setup.replicas();
    let pools = setup.fixed_of_config + setup.fixed_of_plan;
    (replicas > 1.0 && pools > 0.0).then(|| Found {
        fact: format!(
            "server.replicas is {}, and the lab drives and reads one address: its pools hold {} of {} connections",
            number(replicas),
            number(pools),
            number(pools * replicas),
        ),
        advice: "measure one copy with the others stopped, or read the figures of each and add them up".into(),
    })
}

/// D15
pub(super) fn plan_beyond_server(setup: &Setup<'_>) -> Option<Found> {
    let (maximum, left) = setup.connections()?;
    let own = setup.fixed_of_config * setup.replicas();
    let all = own + setup.fixed_of_plan * setup.replicas();
    // Where the configuration's pools are too many by themselves, that is D21.
    (setup.fixed_of_plan > 0.0 && all > left && own <= left).then(|| Found {
        fact: format!(
            "the plan adds pools of {} connections to the configuration's {}: {}, but of {maximum} there are {} left",
            number(setup.fixed_of_plan * setup.replicas()),
            number(own),
            number(all),
            number(left),
        ),
        advice: "leave out the largest sizes (--strategies), or raise max_connections of the server".into(),
    })
}

/// D20
pub(super) fn cannot_fill(setup: &Setup<'_>) -> Option<Found> {
    let users = setup.plan.points.iter().map(|point| Some(users_and_pause(point)?.0));
    let users = users.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)?;
    let all = setup.plan.search.is_none();
    let found = setup.driven.iter().filter(|known| known.pool.is_some_and(|size| size > users));
    let found: Vec<String> = found
        .map(|known| format!("{} ({})", known.name, number(known.pool.unwrap_or_default())))
        .collect();
    (all && setup.driven.len() >= 2 && !found.is_empty()).then(|| Found {
        fact: format!(
            "{} users have at most {} requests on their way, so the pools of {} can never be full: larger sizes than {} are all alike here",
            number(users),
            number(users),
            list(&found),
            number(users),
        ),
        advice: "give more users than connections (--users), or smaller pools".into(),
    })
}

/// D21
pub(super) fn beyond_server(setup: &Setup<'_>) -> Option<Found> {
    let (maximum, left) = setup.connections()?;
    let wanted = setup.fixed_of_config * setup.replicas();
    (wanted > left).then(|| Found {
        fact: format!(
            "the configuration's pools want {} connections ({} in each of {} copies); of {maximum} there are {} left",
            number(wanted),
            number(setup.fixed_of_config),
            number(setup.replicas()),
            number(left),
        ),
        advice: "lower database.pool_size or the sizes of single strategies, or raise max_connections of the server".into(),
    })
}

/// D19
pub(super) fn entries_do_not_fit(setup: &Setup<'_>) -> Option<Found> {
    let (body, keys) = (setup.body()?, setup.keys());
    setup.driven.iter().find_map(|known| {
        let cache = known.cache.as_ref()?;
        let memory = cache.memory.filter(|memory| keys * body > *memory);
        let (fact, advice) = if body > cache.max_entry {
            let fact = format!(
                "answers of {} are larger than the {} that {} keeps: none of them is ever a hit",
                bytes(body),
                bytes(cache.max_entry),
                known.name
            );
            (
                fact,
                "raise cache.max_entry and server.body_buffer, or ask for pages with --limit 100",
            )
        } else {
            let fact = format!(
                "{} keys of {} are {}, and {} has memory for {}: entries push each other out",
                number(keys),
                bytes(body),
                bytes(keys * body),
                known.name,
                bytes(memory?)
            );
            (fact, "raise cache.memory_size, or ask for pages with --limit 100")
        };
        Some(Found { fact, advice: advice.into() })
    })
}
