//! The one table of rules.

use super::setup::Setup;
use super::{Claims, Found};
use super::{claim_cache, claim_load, claim_pool, claim_results, claim_text, plan_load, plan_pool};

type OnPlan = fn(&Setup<'_>) -> Option<Found>;
type OnClaims = fn(&Claims) -> Option<Found>;

/// A rule: what it is called, and what it asks of a plan and of claims.
pub(super) struct Rule {
    pub id: &'static str,
    pub name: &'static str,
    pub plan: &'static [OnPlan],
    pub claims: &'static [OnClaims],
}

macro_rules! rules {
    ($($id:literal $name:literal: [$($plan:path),*] [$($claims:path),*];)*) => {
        /// Every rule, in order.
        pub(super) const RULES: &[Rule] = &[$(
            Rule { id: $id, name: $name, plan: &[$($plan),*], claims: &[$($claims),*] },
        )*];
    };
}

rules! {
    "D1" "the pause is the limit": [plan_load::pause_is_the_limit] [claim_load::pause_is_the_limit];
    "D2" "bodies fill the network": [plan_load::bodies_fill_the_network]
        [claim_results::bodies_fill_the_network, claim_results::bodies_were_not_sent];
    "D3" "CPU of unequal loads": [plan_load::cpu_of_unequal_loads] [claim_results::cpu_of_unequal_loads];
    "D4" "time that nobody explains": [] [claim_results::time_unexplained];
    "D5" "a breaker that trips": [] [claim_results::breaker_trips];
    "D6" "refused requests that nobody saw": [] [claim_load::limit_against_errors];
    "D7" "middlewares that never run": [] [claim_text::middleware_at_no_router, claim_text::middleware_of_two_kinds];
    "D8" "more waiting than serving": [] [claim_results::queueing];
    "D9" "a pool beyond its formula": [plan_pool::beyond_formula] [claim_pool::beyond_formula];
    "D10" "more than the users ask for": [plan_load::target_beyond_users] [claim_load::more_than_users_ask];
    "D11" "weights that are not their shares": [] [claim_load::weights];
    "D12" "a rate limit against the error target": [] [claim_load::limit_against_target];
    "D13" "nothing expires": [plan_load::nothing_expires] [claim_cache::nothing_expires];
    "D14" "one pool of many is shown": [plan_pool::one_of_many] [claim_pool::one_of_many];
    "D15" "a cure beyond the server": [plan_pool::plan_beyond_server] [claim_pool::cure_beyond_server];
    "D16" "peaks since the start": [] [claim_text::peaks_since_start];
    "D17" "too few samples": [plan_load::too_few_samples] [claim_results::too_few_samples];
    "D18" "more written than read": [] [claim_cache::more_written_than_read];
    "D19" "keys and entries that do not fit": [plan_pool::entries_do_not_fit] [claim_cache::fewer_keys_than_answers];
    "D20" "a pool that cannot fill": [plan_pool::cannot_fill] [claim_pool::could_not_be_exhausted];
    "D21" "more connections than the server has": [plan_pool::beyond_server] [claim_pool::beyond_server];
    "D22" "targets that contradict each other": [plan_load::percentiles_out_of_order] [claim_text::contradicting_targets];
    "D23" "columns that are gone": [] [claim_text::columns_gone];
    "D24" "a statement for each item": [] [claim_text::statement_for_each_item];
}

/// Id and name of every rule, in order.
pub const RULE_NAMES: [(&str, &str); RULES.len()] = {
    let mut names = [("", ""); RULES.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = (RULES[place].id, RULES[place].name);
        place += 1;
    }
    names
};
