//! A service that runs already: `--url`.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use super::{ListError, Running, TargetError, definitions, list, pick};
use crate::config::Config;
use crate::lab::base::Base;
use crate::lab::plan::{Level, Plan};
use crate::lab::sample;

/// How long it may take to list its strategies.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the service at `url` as the target of a plan. With its configuration the lab looks at its servers
/// itself, and at its process where that is visible.
///
/// # Errors
/// When it is on another machine and `allow_remote` is false, does not answer, is not a Poolwise, or
/// lacks a strategy of the plan.
pub async fn attach(
    url: &str,
    allow_remote: bool,
    plan: &Plan,
    config: Option<Config>,
) -> Result<Running, TargetError> {
    let base = Base::parse(url).await;
    let base = base.map_err(|why| TargetError::Refused(format!("--url {why}")))?;
    let refused = |why: String| TargetError::Refused(format!("{}: {why}", base.url()));
    if !allow_remote && !base.addresses().iter().all(|address| is_this_machine(address.ip())) {
        return Err(refused(format!(
            "this is another machine, and plan {} would load it with {}. Add --allow-remote if it \
             is yours to load; without its --config, CPU and memory of its servers are not read.",
            plan.name,
            highest(plan),
        )));
    }
    let listed = list(&base, TIMEOUT).await.map_err(|error| match error {
        ListError::NoAnswer(error) => refused(format!(
            "{error}. Is the service running there? Without --url the lab starts one itself."
        )),
        ListError::NotPoolwise => refused(
            "what answers there is not a Poolwise service: GET /strategies gives no list of \
             strategies"
                .to_owned(),
        ),
    })?;
    let names: Vec<String> = listed.iter().map(|strategy| strategy.name.clone()).collect();
    let strategies = match pick(plan, listed) {
        Ok(strategies) => strategies,
        Err(missing) => {
            return Err(TargetError::Strategies(lacking(&base, plan, &missing, &names)?));
        }
    };
    let known = config.as_ref().and(base.addresses().first());
    let pid = known.and_then(|address| sample::service_at(*address));
    Ok(Running { base, pid, config, strategies, child: None })
}

/// What to add to the configuration of a service that lacks strategies.
fn lacking(
    base: &Base,
    plan: &Plan,
    missing: &[String],
    names: &[String],
) -> Result<String, TargetError> {
    let mut text = format!(
        "{} has no strategy {}; it has {}.",
        base.url(),
        missing.join(", "),
        names.join(", ")
    );
    match definitions(plan, Some(missing))? {
        Some(toml) => {
            text += "\nAdd this to its configuration and start it again, or leave out --url:\n\n";
            text += &toml;
        }
        None => {
            text += &format!(
                "\nAdd [strategies.{}] to its configuration and start it again.",
                missing[0]
            );
        }
    }
    Ok(text)
}

/// Whether an address is one of this machine's: only those can be bound to.
fn is_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// The highest load of a plan in words.
fn highest(plan: &Plan) -> String {
    let levels = || plan.points.iter().flat_map(|point| &point.stages).map(|stage| &stage.level);
    let users = levels().filter_map(|level| match level {
        Level::Users { users } => Some(*users),
        _ => None,
    });
    let rates = levels().filter_map(|level| match level {
        Level::Rate { rate } => Some(*rate),
        _ => None,
    });
    let mut parts = Vec::new();
    if let Some(users) = users.max() {
        parts.push(format!("up to {users} users at once"));
    }
    if let Some(rate) = rates.max_by(f64::total_cmp) {
        parts.push(format!("up to {rate} requests/s"));
    }
    if levels().any(|level| matches!(level, Level::Share { .. })) {
        parts.push("a share of the most that it can do".to_owned());
    }
    if let Some(search) = &plan.search {
        parts.push(format!("a search for its limit up to {}", search.to));
    }
    if parts.is_empty() { "requests".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_taken_for_it() {
        for (address, expected) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("192.0.2.1", false)]
        {
            let address: IpAddr = address.parse().expect("it is an address");
            assert_eq!(is_this_machine(address), expected, "{address}");
        }
    }
}
