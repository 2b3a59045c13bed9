//! What kept a strategy from doing more, each with the arithmetic as a sentence.
//!
//! Asked in this order; the first that holds is the limit:
//! 1. the pause: at least 90 % of users / pause;
//! 2. the arrival rate: at least 98 % of what was due was answered;
//! 3. the driver: see [`Evidence::driver`];
//! 4. a processor: at least 90 % of all cores in use, or of those that the service is pinned to, or
//!    of the one core that Redis can use;
//! 5. the pool: on average 95 % of its connections in use and a request waiting, processor time left;
//! 6. bandwidth: 90 to 100 % of a common link's speed, where requests do not stay on this machine;
//! 7. the pause again: at least half of users / pause, and the processor is known to have time left:
//!    users paused for most of their time, and nothing else was full.

use super::context::{Component, Context};
use super::say::{Place, Say};
use super::{Figure, Limit, LimitedBy, Sentence, units};
use crate::lab::record::Load;

/// From which share of it on a processor, a pause or a link counts as used up.
pub(super) const FULL: f64 = 0.9;
/// From which share of the `/noop` ceiling on the driver may have been the limit.
pub(super) const NEAR_CEILING: f64 = 0.8;
/// Threads that send requests.
const DRIVER_THREADS: u32 = 2;
/// Speeds of common links in bits a second.
const LINKS: [(f64, &str); 4] =
    [(1e8, "100 Mbit/s"), (1e9, "1 Gbit/s"), (2.5e9, "2.5 Gbit/s"), (1e10, "10 Gbit/s")];

/// What is known of one strategy under one load.
pub(super) struct Evidence<'a> {
    /// The run.
    pub(super) context: &'a Context<'a>,
    /// Its figures.
    pub(super) place: Place<'a>,
    /// Its load.
    pub(super) load: Load,
    /// Requests due a second, in the open model.
    pub(super) due: f64,
    /// The most that the clients can ask for.
    pub(super) client_ceiling: Option<f64>,
}

impl Evidence<'_> {
    /// The limit.
    pub(super) fn limit(&self) -> Limit {
        let rate = self.place.value(Figure::Rate).filter(|rate| *rate > 0.0);
        let Some(rate) = rate.or(self.context.is_unrecorded().then_some(0.0)) else {
            return limit(
                LimitedBy::Unknown,
                Sentence { text: "nothing was answered".into(), cells: vec![] },
            );
        };
        let found = self.pause(rate, FULL).map(|because| limit(LimitedBy::Pause, because));
        found
            .or_else(|| {
                self.arrival_rate(rate).map(|because| limit(LimitedBy::ArrivalRate, because))
            })
            .or_else(|| self.driver(rate).map(|because| limit(LimitedBy::Driver, because)))
            .or_else(|| self.processor())
            .or_else(|| self.pool().map(|because| limit(LimitedBy::Pool, because)))
            .or_else(|| self.bandwidth().map(|because| limit(LimitedBy::Bandwidth, because)))
            .or_else(|| self.idle_pause(rate).map(|because| limit(LimitedBy::Pause, because)))
            .unwrap_or_else(|| limit(LimitedBy::Unknown, self.unknown()))
    }

    fn pause(&self, rate: f64, share: f64) -> Option<Sentence> {
        let ceiling = self.client_ceiling?;
        let Load::Closed { pause_seconds, .. } = self.load else { return None };
        let said = Say::new(format!(
            "users who pause {} ask for {} at most, and it did ",
            units::duration(pause_seconds),
            units::rate(ceiling)
        ));
        (rate >= share * ceiling).then(|| said.figure(&self.place, Figure::Rate).done())
    }

    fn idle_pause(&self, rate: f64) -> Option<Sentence> {
        let busy = self.place.value(Figure::HostBusy)?;
        if busy >= FULL || !self.context.is_on_one_machine() {
            return None;
        }
        let because = self.pause(rate, 0.5)?;
        let said = Say::default().sentence(&because);
        let said = said.text(", with the processor of the machine only ");
        Some(said.figure(&self.place, Figure::HostBusy).text(" in use").done())
    }

    fn arrival_rate(&self, rate: f64) -> Option<Sentence> {
        let Load::Open { .. } = self.load else { return None };
        let said = Say::new(format!("{} were due and it answered ", units::rate(self.due)));
        (rate >= 0.98 * self.due).then(|| said.figure(&self.place, Figure::Rate).done())
    }

    /// The driver was the limit where it used at least 90 % of the cores that it may use (of two at
    /// most: it has two threads), or at least 90 % of one while the whole machine, the service
    /// included, had less than a tenth of its processor left: then it took from the service what it
    /// used itself. Or where a thread of another tool used at least 90 % of a core: many have one only. Or where it did at least 80 % of the requests that it can do at all, which
    /// `/noop` showed. Its CPU alone says nothing: 90 % of one core of many idle ones is no limit.
    fn driver(&self, rate: f64) -> Option<Sentence> {
        let is_ours = self.context.run.watched.is_none();
        let cores = self.context.driver_cores();
        let cores = if is_ours { cores.min(DRIVER_THREADS) } else { cores };
        let is_full = self.place.is_at_least(Figure::HostBusy, FULL);
        if self.place.is_at_least(Figure::DriverCpu, FULL * 100.0 * f64::from(cores)) {
            let said = Say::new("the load driver used ").figure(&self.place, Figure::DriverCpu);
            let said = said.text(match cores {
                1 => " of the one core that it may use".to_owned(),
                cores if !is_ours => format!(" of a core, and there are {cores}"),
                _ => " of a core, and its two threads cannot use more than two".to_owned(),
            });
            return Some(said.done());
        }
        if is_full && self.place.is_at_least(Figure::DriverCpu, FULL * 100.0) {
            let said = Say::new("the processor of the machine was ");
            let said = said
                .figure(&self.place, Figure::HostBusy)
                .text(" in use, and the load driver took ");
            return Some(
                said.figure(&self.place, Figure::DriverCpu).text(" of a core of it").done(),
            );
        }
        if self.place.is_at_least(Figure::DriverThread, FULL * 100.0) {
            let said = Say::new("a thread of the load driver used ");
            let said = said.figure(&self.place, Figure::DriverThread);
            return Some(said.text(" of a core, and a thread cannot use more than one").done());
        }
        let ceiling = self.context.ceiling.filter(|ceiling| rate >= NEAR_CEILING * ceiling)?;
        let said = Say::new("it did ").figure(&self.place, Figure::Rate);
        let said = said.text(format!(
            ", and the load driver did {} where the service had nothing to do",
            units::rate(ceiling)
        ));
        Some(said.done())
    }

    fn processor(&self) -> Option<Limit> {
        if self.place.is_at_least(Figure::RedisCpu, FULL * 100.0) {
            let said = Say::new("Redis used ").figure(&self.place, Figure::RedisCpu);
            let because = said.text(" of the one core that it can use").done();
            return Some(limit(LimitedBy::RedisCpu, because));
        }
        let pinned = self.context.run.host.service_cores.as_ref().map(|cores| cores.len() as f64);
        if pinned.is_some_and(|n| self.place.is_at_least(Figure::ApiCpu, FULL * 100.0 * n)) {
            let said = Say::new("the API used ").figure(&self.place, Figure::ApiCpu);
            let said = said.text(format!(
                " of a core, and it is pinned to {}",
                pinned.map_or(String::new(), units::plain)
            ));
            return Some(limit(LimitedBy::ApiCpu, said.done()));
        }
        if !self.place.is_at_least(Figure::HostBusy, FULL) {
            return None;
        }
        let said = Say::new("the processor of the machine was ");
        let said = said.figure(&self.place, Figure::HostBusy).text(" in use");
        if !self.context.is_on_one_machine() {
            let because = said.text(", and only the load driver runs on it").done();
            return Some(limit(LimitedBy::Driver, because));
        }
        let users = Component::ALL.into_iter();
        let users = users.filter_map(|component| {
            Some((component, cpu(component), self.place.value(cpu(component))?))
        });
        let users: Vec<(Component, Figure, f64)> = users.collect();
        let seen: f64 = users.iter().map(|(_, _, percent)| percent).sum();
        let all = f64::from(self.context.run.host.cores) * 100.0;
        let most = users.iter().copied().reduce(|a, b| if b.2 > a.2 { b } else { a });
        let Some((component, figure, _)) = most.filter(|_| seen >= all / 2.0) else {
            let because = said.text(", most of it by something that is not seen from here").done();
            return Some(limit(LimitedBy::Unknown, because));
        };
        let said = said.text(format!(", most of it by {} with ", component.name()));
        let because = said.figure(&self.place, figure).text(" of a core").done();
        let by = match component {
            Component::Api => LimitedBy::ApiCpu,
            Component::Database => LimitedBy::DatabaseCpu,
            Component::Redis => LimitedBy::RedisCpu,
            Component::Driver => LimitedBy::Driver,
        };
        Some(limit(by, because))
    }

    fn pool(&self) -> Option<Sentence> {
        let is_used = self.place.is_at_least(Figure::PoolUse, 0.95);
        let said = Say::new("").figure(&self.place, Figure::PoolUse);
        let said = said.text(" of its connections were in use and on average ");
        let said = said.figure(&self.place, Figure::PoolWaiting).text(" requests waited for one");
        let said = match self.place.value(Figure::HostBusy) {
            Some(_) => said
                .text(", with the processor of the machine ")
                .figure(&self.place, Figure::HostBusy)
                .text(" in use"),
            None => said,
        };
        (is_used && self.place.is_at_least(Figure::PoolWaiting, 1.0)).then(|| said.done())
    }

    fn bandwidth(&self) -> Option<Sentence> {
        let bits = self.place.value(Figure::BodyBytesRate)? * 8.0;
        let fits = |(speed, _): &&(f64, &str)| bits >= FULL * speed && bits <= *speed;
        let (_, name) = LINKS.iter().find(fits).filter(|_| !self.context.is_loopback())?;
        let said = Say::new("bodies filled ").figure(&self.place, Figure::BodyBytesRate);
        Some(said.text(format!(" of a link of {name}")).done())
    }

    fn unknown(&self) -> Sentence {
        let known = [
            (Figure::HostBusy, "of the machine's processor"),
            (Figure::PoolUse, "of the connections"),
            (Figure::DriverCpu, "of a core by the load driver"),
        ];
        let known = known.into_iter().filter(|(figure, _)| self.place.value(*figure).is_some());
        let mut said = Say::new("nothing that is seen from here was used up");
        for (number, (figure, name)) in known.enumerate() {
            said = said.text(if number == 0 { ": " } else { ", " });
            said = said.figure(&self.place, figure).text(format!(" {name}"));
        }
        said.done()
    }
}

/// The figure of a component's CPU.
pub(super) fn cpu(component: Component) -> Figure {
    match component {
        Component::Api => Figure::ApiCpu,
        Component::Database => Figure::DatabaseCpu,
        Component::Redis => Figure::RedisCpu,
        Component::Driver => Figure::DriverCpu,
    }
}

fn limit(by: LimitedBy, because: Sentence) -> Limit {
    Limit { by, because }
}
