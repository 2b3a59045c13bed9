//! How far an endpoint, and the run, can be trusted.

use super::cell::{Cell, swapped_pages};
use super::context::{Component, Context, is_whole};
use super::limits::{FULL, NEAR_CEILING, cpu};
use super::say::Place;
use super::{Figure, Knee, Limit, LimitedBy, Row, Stamp, Trust, units};
use crate::lab::record::{Block, Ended, Lane, Load, Role, TOGETHER};

/// The share of late or never begun arrivals that is not ignored.
pub(super) const LATE: f64 = 0.01;

/// The stamp of one strategy under one load.
pub(super) fn of_row(context: &Context, cell: &Cell, place: &Place, limit: &Limit) -> Stamp {
    let void = void(context, cell, place);
    if !void.is_empty() {
        return Stamp { level: Trust::Void, reasons: void };
    }
    let mut reasons = Vec::new();
    if matches!(limit.by, LimitedBy::Pause | LimitedBy::Driver) {
        reasons.push(format!("{} was the limit: {}", limit.by.words(), limit.because.text));
    }
    reasons.extend(others(context, place));
    reasons.extend(late(cell, place));
    let level = if reasons.is_empty() { Trust::Valid } else { Trust::LowerBound };
    Stamp { level, reasons }
}

/// That something else was in the way: the machine was full, and more than a quarter of it went to
/// nobody who was looked at. What the kernel does for a network on its own account stays below that.
fn others(context: &Context, place: &Place) -> Option<String> {
    if !context.is_on_one_machine() || !place.is_at_least(Figure::HostBusy, FULL) {
        return None;
    }
    let whole = f64::from(context.run.host.cores) * 100.0;
    let mut unseen = place.value(Figure::HostBusy)? * whole;
    for component in Component::ALL.into_iter().filter(|component| context.has(*component)) {
        unseen -= place.value(cpu(component))?;
    }
    let share = unseen / whole;
    (share > 0.25).then(|| {
        format!(
            "something that is no part of the run used {} of the machine's processor",
            units::percent(share)
        )
    })
}

/// Whether requests were due and not one of them was begun: those of the warm-up were in the way.
fn overloaded(cell: &Cell) -> bool {
    cell.answers() == 0 && cell.failed() == 0 && cell.sum(|lane| lane.dropped) > 0
}

fn void(context: &Context, cell: &Cell, place: &Place) -> Vec<String> {
    let limits = &context.run.plan.limits;
    if cell.answers() == 0 && !(context.is_unrecorded() && cell.load().is_some()) {
        return vec![match cell.failed() {
            0 if overloaded(cell) => format!(
                "it cannot hold the rate: none of the {} arrivals was begun while they were due",
                units::count(cell.sum(|lane| lane.dropped))
            ),
            0 => "nothing was measured".to_owned(),
            failed => format!("nothing was answered: {} requests failed", units::count(failed)),
        }];
    }
    let mut reasons = Vec::new();
    if let Some(errors) = place.value(Figure::Errors).filter(|errors| *errors > limits.errors) {
        reasons.push(format!(
            "{} of the requests failed, more than the {} that the plan allows",
            units::percent(errors),
            units::percent(limits.errors)
        ));
    }
    if let Some(steal) = place.value(Figure::HostSteal).filter(|steal| *steal > limits.steal) {
        reasons.push(format!(
            "the hypervisor gave {} of the machine's processor to others, more than the {} that the plan allows",
            units::percent(steal),
            units::percent(limits.steal)
        ));
    }
    reasons.extend(swapped(cell.swapped_pages(), limits.swapped_pages));
    reasons
}

fn swapped(pages: Option<u64>, most: u64) -> Option<String> {
    pages.filter(|pages| *pages > most).map(|pages| {
        format!(
            "the machine swapped {} pages, more than the {} that the plan allows",
            units::count(pages),
            units::count(most)
        )
    })
}

/// Why late arrivals were the driver's doing: more than 1 % were late or never begun although in no
/// second more than half of its connections waited for the service. Where they did, the service kept
/// them busy, and late arrivals are what an overloaded service looks like.
fn late(cell: &Cell, place: &Place) -> Option<String> {
    let Some(Load::Open { connections, .. }) = cell.load() else { return None };
    let scheduled = cell.sum(|lane| lane.scheduled);
    let missed = cell.sum(|lane| lane.late + lane.dropped);
    let busiest = cell.blocks().map(|(_, lane)| busiest_second(lane)).fold(0.0, f64::max);
    let busy = busiest / f64::from(connections.max(1));
    let is_drivers = missed as f64 > LATE * scheduled as f64 && busy <= 0.5;
    is_drivers.then(|| {
        let cpu = place.value(Figure::DriverCpu).map_or(String::new(), |percent| {
            format!("; it used {} of a core", units::figure(Figure::DriverCpu, percent))
        });
        format!(
            "the load driver began {} of {} arrivals late or not at all, although at most {} of its connections were busy in any second{cpu}",
            units::count(missed),
            units::count(scheduled),
            units::percent(busy)
        )
    })
}

/// Connections that were busy on average in the busiest second: by Little's law the time that its
/// answers took together, over one second.
fn busiest_second(lane: &Lane) -> f64 {
    let busy = lane.seconds.iter().map(|second| {
        let mean_seconds = second.service_time.mean_ms().unwrap_or(0.0) / 1000.0;
        mean_seconds * second.service_time.count() as f64
    });
    busy.fold(0.0, f64::max)
}

/// The stamp of a run: the worst of its endpoints that were measured, all of them once it finished,
/// and of its searches. Errors do not make a search void: they are what it looks for.
pub(super) fn of_run<'a>(
    context: &Context,
    rows: impl Iterator<Item = (&'a str, &'a Row)>,
    knees: &[Knee],
) -> Stamp {
    let finished = context.run.ended == Ended::Finished;
    let rows = rows.filter(|(_, row)| finished || row.blocks > 0);
    // That a strategy cannot hold a rate is a result, and no reason to throw away the others.
    let rows = rows.filter(|(_, row)| row.answers > 0 || row.failed > 0 || row.dropped == 0);
    let rows: Vec<(&str, &Row)> = rows.collect();
    // What is said of all together need not be said of each.
    let of_all = |point: &str, reason: &String| {
        let mut all = rows.iter().filter(|(at, row)| *at == point && row.strategy == TOGETHER);
        all.any(|(_, row)| row.stamp.reasons.contains(reason))
    };
    let mut stamps: Vec<(Trust, Vec<String>)> = rows
        .iter()
        .map(|(point, row)| {
            let named = |reason| format!("{} at {point}: {reason}", row.strategy);
            let own = row.stamp.reasons.iter();
            let own = own.filter(|reason| row.strategy == TOGETHER || !of_all(point, reason));
            (row.stamp.level, own.map(named).collect())
        })
        .collect();
    stamps.extend(knees.iter().map(of_search));
    stamps.extend(disturbed(context));
    let Some(worst) = stamps.iter().map(|(level, _)| *level).max() else {
        return Stamp { level: Trust::Void, reasons: vec!["nothing was measured".to_owned()] };
    };
    let reasons = stamps.into_iter().filter(|(level, _)| *level == worst);
    Stamp { level: worst, reasons: reasons.flat_map(|(_, reasons)| reasons).collect() }
}

fn of_search(knee: &Knee) -> (Trust, Vec<String>) {
    let limit = knee.limit.as_ref().filter(|limit| limit.by == LimitedBy::Driver);
    match limit {
        Some(limit) => {
            let reason = format!("the load driver was the limit: {}", limit.because.text);
            (Trust::LowerBound, vec![format!("{} in the search: {reason}", knee.strategy)])
        }
        None => (Trust::Valid, Vec::new()),
    }
}

/// Pages that were swapped in all blocks together.
fn disturbed(context: &Context) -> Option<(Trust, Vec<String>)> {
    let measured = |block: &&Block| {
        is_whole(block, Role::Measure)
            || is_whole(block, Role::Again)
            || is_whole(block, Role::Probe)
    };
    let pages = context.run.blocks.iter().filter(measured).filter_map(swapped_pages).sum();
    let reason = swapped(Some(pages), context.run.plan.limits.swapped_pages)?;
    Some((Trust::Void, vec![format!("in all blocks together {reason}")]))
}

/// Whether a driver was close to being the limit, to be warned of: its share of what it can do.
pub(super) fn driver_use(context: &Context, place: &Place) -> Option<f64> {
    let share = place.value(Figure::Rate)? / context.ceiling?;
    (0.5..NEAR_CEILING).contains(&share).then_some(share)
}
