//! Claims that documents make: middlewares, counters, targets, columns and pages.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::{CounterKind, DatabaseKind, Target};
use super::words::{list, number};
use super::{Claims, Found};

/// The columns of `pg_stat_statements` that PostgreSQL 13 renamed (its release notes): `*_exec_time`.
const RENAMED_IN_13: [&str; 5] = ["total_time", "min_time", "max_time", "mean_time", "stddev_time"];

/// D7: declared and attached to nothing.
pub(super) fn middleware_at_no_router(claims: &Claims) -> Option<Found> {
    let loose = claims.middleware.iter().filter(|middleware| middleware.routers.is_empty());
    let loose: Vec<String> =
        loose.map(|loose| format!("{:?} ({})", loose.name, loose.kind)).collect();
    (!loose.is_empty()).then(|| Found {
        fact: format!(
            "{} of {} middlewares are attached to no router and never ran: {}",
            loose.len(),
            claims.middleware.len(),
            list(&loose)
        ),
        advice: "attach each to a router, then measure what it refuses, retries and costs".into(),
    })
}

/// D7: one name for two.
pub(super) fn middleware_of_two_kinds(claims: &Claims) -> Option<Found> {
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for middleware in &claims.middleware {
        kinds.entry(&middleware.name).or_default().insert(&middleware.kind);
    }
    let (name, kinds) = kinds.into_iter().find(|(_, kinds)| kinds.len() > 1)?;
    let kinds: Vec<&str> = kinds.into_iter().collect();
    Some(Found {
        fact: format!(
            "the name {name:?} stands for {} types of middleware ({}): a proxy rejects that",
            kinds.len(),
            list(&kinds)
        ),
        advice: "give each type a name of its own and list all of them at the router".into(),
    })
}

/// D16
pub(super) fn peaks_since_start(claims: &Claims) -> Option<Found> {
    let endpoints = claims.load.endpoints.filter(|endpoints| *endpoints >= 2.0)?;
    let peak = |counter: &&super::claims::Counter| {
        counter.kind == CounterKind::PeakSinceStart && !counter.restarted
    };
    let peaks: Vec<&str> =
        claims.counter.iter().filter(peak).map(|counter| counter.name.as_str()).collect();
    (!peaks.is_empty()).then(|| Found {
        fact: format!(
            "{} {} the highest since the server started, and {} endpoints were measured one after the other: from the second on {} the maximum of all so far",
            list(&peaks),
            if peaks.len() == 1 { "is" } else { "are" },
            number(endpoints),
            if peaks.len() == 1 { "it shows" } else { "they show" },
        ),
        advice: "sample the present value while each endpoint is driven, or restart the server before each".into(),
    })
}

/// D22
pub(super) fn contradicting_targets(claims: &Claims) -> Option<Found> {
    let mut facts = Vec::new();
    for (place, target) in claims.target.iter().enumerate() {
        if let Some(fact) = beyond_its_critical(target) {
            facts.push(fact);
        }
        for earlier in claims.target[..place].iter().filter(|other| other.figure == target.figure) {
            let pairs = [
                ("the target", earlier.target, target.target),
                ("critical", earlier.critical, target.critical),
            ];
            for (what, one, other) in pairs {
                if let (Some(one), Some(other)) = (one, other)
                    && one != other
                {
                    facts.push(format!(
                        "{what} for {} is {} in {:?} and {} in {:?}",
                        target.figure,
                        number(one),
                        earlier.document,
                        number(other),
                        target.document
                    ));
                }
            }
        }
    }
    (!facts.is_empty()).then(|| Found {
        fact: facts.join("; "),
        advice: "keep one table of targets, each with its critical value on the bad side of it"
            .into(),
    })
}

fn beyond_its_critical(target: &Target) -> Option<String> {
    let (wanted, critical) = (target.target?, target.critical?);
    let (wrong, side) = match target.more_is_better {
        true => (critical > wanted, "above"),
        false => (critical < wanted, "below"),
    };
    wrong.then(|| {
        format!(
            "critical for {} in {:?} is {}, {side} the target of {}: whoever just meets the target is critical",
            target.figure,
            target.document,
            number(critical),
            number(wanted),
        )
    })
}

/// D23
pub(super) fn columns_gone(claims: &Claims) -> Option<Found> {
    let database = &claims.database;
    let postgres = database.kind.unwrap_or(DatabaseKind::Postgres) == DatabaseKind::Postgres;
    let gone = database.columns.iter().filter(|column| RENAMED_IN_13.contains(&column.as_str()));
    let gone: Vec<&str> = gone.map(String::as_str).collect();
    let is_older = database.version.is_some_and(|version| version < 13.0);
    (postgres && !is_older && !gone.is_empty()).then(|| {
        let now = gone.iter().map(|column| column.replace("_time", "_exec_time"));
        let now: Vec<String> = now.collect();
        let used = database
            .version
            .map_or(String::new(), |version| format!(", and version {} is used", number(version)));
        Found {
            fact: format!(
                "pg_stat_statements has no {} since PostgreSQL 13{used}: the statement fails",
                list(&gone)
            ),
            advice: format!("ask for {}", list(&now)),
        }
    })
}

/// D24
pub(super) fn statement_for_each_item(claims: &Claims) -> Option<Found> {
    claims.page.iter().find_map(|page| {
        let (items, relations) = (page.items?, page.relations.unwrap_or(1.0));
        // One for the items, then one for each relation: of each item, or of all of them.
        let statements = 1.0 + if page.lazy { items * relations } else { relations };
        let in_one = 1.0 + relations;
        (statements > in_one).then(|| Found {
            fact: format!(
                "{:?}: {} items with {} relation{} loaded lazily are {} statements (N+1), where {} would do",
                page.name,
                number(items),
                number(relations),
                if relations == 1.0 { "" } else { "s" },
                number(statements),
                number(in_one),
            ),
            advice: "load each relation of all items in one statement (a join, or IN with their ids)".into(),
        })
    })
}
