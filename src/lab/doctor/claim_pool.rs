//! Claims of pools: what the fleet holds, needs, shows and may have.

use super::arithmetic::{OVERSIZED, RESERVED_BY_DEFAULT, in_system};
use super::claim_results::slots;
use super::claims::DatabaseKind;
use super::words::{number, time};
use super::{Claims, Found};

/// Processes with a pool of their own.
fn processes(claims: &Claims) -> f64 {
    claims.server.workers.unwrap_or(1.0) * claims.server.replicas.unwrap_or(1.0)
}

/// Connections of all pools: size and overflow of each process.
fn fleet(claims: &Claims) -> Option<f64> {
    Some((claims.pool.size? + claims.pool.overflow.unwrap_or(0.0)) * processes(claims))
}

/// Connections that the server leaves for the application.
fn available(claims: &Claims) -> Option<f64> {
    let postgres = claims.database.kind != Some(DatabaseKind::Mysql)
        && claims.database.kind != Some(DatabaseKind::Mariadb);
    let reserved = if postgres { RESERVED_BY_DEFAULT } else { 0.0 };
    Some((claims.database.max_connections? - claims.database.reserved.unwrap_or(reserved)).max(0.0))
}

/// What is needed, by the formula that is claimed and by Little's law.
fn needed(claims: &Claims) -> Option<(f64, String)> {
    let rate = claims.measured.requests_per_second.or(claims.expected.requests_per_second);
    let most = super::claim_load::client_ceiling(claims).unwrap_or(f64::INFINITY);
    let little = rate.zip(claims.pool.query_time).map(|(rate, query_time)| {
        let rate = rate.min(most);
        let needed = (in_system(rate, query_time.as_secs_f64()) - 1e-9).ceil();
        let text = format!(
            "{} requests/s of {} each need {} (Little's law)",
            number(rate),
            time(query_time),
            number(needed)
        );
        (needed, text)
    });
    let formula = claims
        .pool
        .formula
        .map(|formula| (formula, format!("the formula given for it says {}", number(formula))));
    match (formula, little) {
        (Some((a, formula)), Some((b, little))) => {
            Some((a.max(b), format!("{formula}, and {little}")))
        }
        (one, other) => one.or(other),
    }
}

/// D9
pub(super) fn beyond_formula(claims: &Claims) -> Option<Found> {
    let fleet = fleet(claims)?;
    let (needed, why) = needed(claims)?;
    let default = claims.database.kind.map(|kind| {
        format!(
            "; {} allows {} unless told otherwise",
            kind.words(),
            number(kind.default_max_connections())
        )
    });
    (fleet > OVERSIZED * needed).then(|| Found {
        fact: format!(
            "{} processes with {} + {} connections each hold {}, but {why}{}",
            number(processes(claims)),
            number(claims.pool.size.unwrap_or_default()),
            number(claims.pool.overflow.unwrap_or_default()),
            number(fleet),
            default.unwrap_or_default(),
        ),
        advice: format!(
            "start with {} connections in all, sweep over sizes, and keep the smallest that is not measurably slower",
            number(needed.max(processes(claims)))
        ),
    })
}

/// D14
pub(super) fn one_of_many(claims: &Claims) -> Option<Found> {
    let (shown, fleet) = (claims.pool.health_shows?, fleet(claims)?);
    (shown < fleet).then(|| Found {
        fact: format!(
            "the health check shows a capacity of {}, that of the one process that answers; all {} hold {}",
            number(shown),
            number(processes(claims)),
            number(fleet),
        ),
        advice: "let each process report its own pool with its name, and add them up where they are collected".into(),
    })
}

/// D15
pub(super) fn cure_beyond_server(claims: &Claims) -> Option<Found> {
    let each = claims.pool.cure_size? + claims.pool.cure_overflow.unwrap_or(0.0);
    let (cure, available) = (each * processes(claims), available(claims)?);
    let maximum = claims.database.max_connections?;
    let formula = claims.pool.formula.filter(|formula| *formula > 0.0).map(|formula| {
        format!(
            " and {} times what its own formula says ({})",
            number(cure / formula),
            number(formula)
        )
    });
    (cure > available).then(|| Found {
        fact: format!(
            "the cure for an exhausted pool is {} connections in each of {} processes: {}, {} times the server's maximum of {}{}",
            number(each),
            number(processes(claims)),
            number(cure),
            number(cure / maximum.max(1.0)),
            number(maximum),
            formula.unwrap_or_default(),
        ),
        advice: "measure the wait for a connection first: where the database is busy, more connections make it slower; shorten the statements".into(),
    })
}

/// D20
pub(super) fn could_not_be_exhausted(claims: &Claims) -> Option<Found> {
    let slots = slots(claims)?;
    let limit = |name: &'static str| move |limit: f64| (limit, name);
    let by_default = || claims.database.kind.map(DatabaseKind::default_max_connections);
    let (limit, whose) = fleet(claims)
        .map(limit("the pool's"))
        .or_else(|| available(claims).map(limit("the server's")))
        .or_else(|| by_default().map(limit("the server's default")))?;
    (claims.pool.exhausted && slots <= limit).then(|| Found {
        fact: format!(
            "workers that block serve {} requests at once, so {} connections at most, and {whose} limit is {}: {} cannot exhaust it; that it no longer happens may be due to the workers, not the pool",
            number(slots),
            number(slots),
            number(limit),
            number(slots),
        ),
        advice: "change one thing at a time: the pool with the old workers, then the new workers without the pool".into(),
    })
}

/// D21
pub(super) fn beyond_server(claims: &Claims) -> Option<Found> {
    let (fleet, available) = (fleet(claims)?, available(claims)?);
    let maximum = claims.database.max_connections?;
    (fleet > available).then(|| Found {
        fact: format!(
            "the pools want {} connections; of the server's maximum of {} there are {} left after the {} reserved",
            number(fleet),
            number(maximum),
            number(available),
            number(maximum - available),
        ),
        advice: "make the pools smaller; leave some for administrators, backups and monitoring".into(),
    })
}
