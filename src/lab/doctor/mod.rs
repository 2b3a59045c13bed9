//! The doctor: arithmetic on plans, configurations and claims, before anything is run. A rule fires
//! only when its inequality holds for the numbers that it was given, and shows them. Nothing here
//! opens a connection or measures.
//!
//! | rule | on claims | on a plan with its configuration |
//! | --- | --- | --- |
//! | D1 | users that pause: `users / pause` is the most they ask for, and an endpoint twice as fast shows less than 1.5 times the requests | a closed load with a pause and at least two strategies |
//! | D2 | answers at that rate need more than the network has; less was sent than the answers asked for weigh | rate x rows x 185 bytes against 1 Gbit/s |
//! | D3 | CPU in percent compared between endpoints that got different loads | every load is closed |
//! | D4 | Little's law: `users / rate` is not the mean and the pause | |
//! | D5 | a circuit breaker below the median, or below the mean where no median is reported | |
//! | D6 | a rate limit refuses more of the measured rate than the errors reported | |
//! | D7 | middlewares at no router, or of two types under one name | |
//! | D8 | `workers x threads / rate` is less than the mean: the rest is queueing | |
//! | D9 | the fleet's pools against the formula and Little's law (`rate x query time`) | a pool against `2 x cores + 1`, with a live server |
//! | D10 | more requests a second expected than `users / (pause + mean)` | a target of requests a second above `users / pause` |
//! | D11 | shares of tasks that are not `weight / sum` | |
//! | D12 | a rate limit refuses more than the target of errors allows | |
//! | D13 | a TTL at least as long as the test: hits by construction | a cached strategy's TTL against the duration of the plan |
//! | D14 | the pool that the health check shows against the fleet's | `server.replicas` above 1 |
//! | D15 | the cure for an exhausted pool against what the server allows | the plan's own pools, on top of the configuration's, against what the server allows |
//! | D16 | peaks since the server's start, reported for each of several endpoints | |
//! | D17 | fewer than 5 samples for each endpoint | fewer than 5 samples for each strategy at a load |
//! | D18 | Redis received more than it sent | |
//! | D19 | fewer cache keys than distinct answers | answers above `max_entry`, or all keys' answers above `memory_size` |
//! | D20 | fewer requests at once than the limit that was exhausted | fewer users than connections in a pool |
//! | D21 | the fleet's connections against the maximum less the reserve | the configuration's pools likewise |
//! | D22 | targets that contradict each other, or are beyond their own critical value | a percentile's target below that of a lower one |
//! | D23 | columns of `pg_stat_statements` that the version does not have | |
//! | D24 | as many statements as items of a page | |
//!
//! Findings on claims never say that somebody lied: they say which numbers cannot stand together.

mod arithmetic;
mod claim_cache;
mod claim_load;
mod claim_pool;
mod claim_results;
mod claim_text;
mod claims;
mod plan_load;
mod plan_pool;
mod render;
mod rules;
mod setup;
mod words;

pub use claims::{Claims, ClaimsProblems, read_claims};
pub use render::render;
pub use rules::RULE_NAMES;
pub use setup::Live;

use super::plan::Plan;
use super::record::Finding;
use crate::config::Config;
use rules::{RULES, Rule};
use setup::Setup;

/// What a rule found: a fact with its numbers, and what to try.
struct Found {
    fact: String,
    advice: String,
}

/// Examines a plan before it is run, with the configuration of the service and what a live server
/// says where they are known. Rules stay silent about what is not known; only the connections of a
/// PostgreSQL that was not asked are taken to be its default.
pub fn examine(plan: &Plan, config: Option<&Config>, live: Option<&Live>) -> Vec<Finding> {
    let setup = Setup::new(plan, config, live);
    findings(|rule| rule.plan.iter().filter_map(|rule| rule(&setup)).collect())
}

/// Examines anyone's reported figures.
pub fn examine_claims(claims: &Claims) -> Vec<Finding> {
    findings(|rule| rule.claims.iter().filter_map(|rule| rule(claims)).collect())
}

fn findings(ask: impl Fn(&Rule) -> Vec<Found>) -> Vec<Finding> {
    let of_rule = |rule: &Rule| {
        let id = rule.id.to_owned();
        ask(rule).into_iter().map(move |Found { fact, advice }| Finding {
            id: id.clone(),
            fact,
            advice,
        })
    };
    RULES.iter().flat_map(of_rule).collect()
}
