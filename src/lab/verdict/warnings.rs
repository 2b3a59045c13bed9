//! What weakens the figures: a fact, its numbers, and what to try.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::context::Context;
use super::preface::names_sharing;
use super::say::{capital, listed};
use super::stamp::{LATE, driver_use};
use super::tables::Measured;
use super::{Figure, Row, Warning, units};

/// An interval that is wider than this share of its figure is called wide.
const WIDE: f64 = 0.3;
/// A round that is further than this share from the middle one is called off.
const OFF: f64 = 0.5;

/// Every warning of a run.
pub(super) fn warnings(context: &Context, points: &[Measured]) -> Vec<Warning> {
    let mut found = Vec::new();
    found.extend(of_plan(context));
    found.extend(cut_blocks(context));
    for point in points {
        for (row, cell) in point.table.rows.iter().zip(&point.cells) {
            let row = Endpoint { context, point, row, cell };
            let checks = [
                row.few_samples(),
                row.wide_interval(),
                row.round_off(),
                row.driver_near_ceiling(),
                row.late_arrivals(),
                row.errors(),
                row.hit_rate(),
            ];
            found.extend(checks.into_iter().flatten());
        }
    }
    found
}

fn warning(fact: String, advice: &str) -> Warning {
    Warning { fact, advice: advice.to_owned() }
}

fn of_plan(context: &Context) -> Vec<Warning> {
    let plan = &context.run.plan;
    let mut found = Vec::new();
    let is_watched = context.run.watched.is_some();
    let has_points = !plan.points.is_empty() && !is_watched;
    if is_watched && (1..3).contains(&plan.rounds) {
        let windows = if plan.rounds == 1 { "There is one window" } else { "There are 2 windows" };
        found.push(warning(
            format!("{windows} in time: too few for an interval, so no difference can be told from chance."),
            "Have the tool run longer, and give it --rounds 5 or more.",
        ));
    }
    if has_points && plan.rounds < 3 {
        let rounds = units::count(u64::from(plan.rounds));
        let rounds =
            format!("the plan has {rounds} {}", if plan.rounds == 1 { "round" } else { "rounds" });
        found.push(warning(
            format!(
                "{}: too few for an interval, so no difference can be told from chance.",
                capital(&rounds)
            ),
            "Set rounds = 5 or more.",
        ));
    }
    if has_points && !plan.again {
        found.push(warning(
            "Nothing was measured twice, so the noise floor is not known.".to_owned(),
            "Set again = true: each round then measures the baseline a second time.",
        ));
    }
    if context.ceiling.is_none() && !is_watched {
        found.push(warning(
            "The ceiling of the load driver was not measured, so only its CPU can show that it was the limit.".to_owned(),
            "Set ceiling = \"2s\".",
        ));
    }
    let sharing = names_sharing(context);
    if !sharing.is_empty() {
        let cores = units::count(u64::from(context.driver_cores()));
        found.push(warning(
            format!(
                "The load driver uses the same {cores} cores as {}: it takes from them what it uses.",
                listed(&sharing)
            ),
            match is_watched {
                true => "Give the tool cores of its own (taskset), or another machine; compare costs per 1,000 requests rather than rates.",
                false => "Pin them apart with --cpus, or drive from another machine; compare costs per 1,000 requests rather than rates.",
            },
        ));
    }
    found
}

fn cut_blocks(context: &Context) -> Option<Warning> {
    let cut: Vec<&str> =
        context.run.blocks.iter().filter_map(|block| block.cut.as_deref()).collect();
    let mut reasons = cut.clone();
    reasons.sort_unstable();
    reasons.dedup();
    let of = format!("{} of {} blocks", cut.len(), context.run.blocks.len());
    (!cut.is_empty()).then(|| {
        warning(
            format!("{of} were cut short and are not compared: {}.", listed(&reasons)),
            "Remove the cause and run it again.",
        )
    })
}

struct Endpoint<'a> {
    context: &'a Context<'a>,
    point: &'a Measured<'a>,
    row: &'a Row,
    cell: &'a Cell<'a>,
}

impl Endpoint<'_> {
    fn name(&self) -> String {
        format!("{} at {}", self.row.strategy, self.point.table.point)
    }

    fn few_samples(&self) -> Option<Warning> {
        let missing: Vec<&str> = [Figure::LatencyP50, Figure::LatencyP95, Figure::LatencyP99]
            .into_iter()
            .filter(|figure| !self.row.figures.contains_key(figure))
            .map(Figure::label)
            .collect();
        // Where a tool keeps no single request, more of them would not help.
        let by_itself = self.cell.blocks().any(|(_, lane)| lane.reported.is_some());
        let is_known = !self.context.is_unrecorded() && !by_itself;
        (!missing.is_empty() && self.row.blocks > 0 && is_known).then(|| {
            warning(
                format!(
                    "{} has {} answers: too few for {}.",
                    self.name(),
                    units::count(self.row.answers),
                    listed(&missing)
                ),
                "Measure longer blocks or more rounds: p50 needs 10 answers, p95 100, p99 500.",
            )
        })
    }

    fn wide_interval(&self) -> Option<Warning> {
        let estimate = self.row.figures.get(&Figure::Rate)?;
        let (low, high) = estimate.interval?;
        let width = (high - low) / estimate.value;
        (width > WIDE).then(|| {
            warning(
                format!(
                    "The interval of the requests a second of {} is wide: {}.",
                    self.name(),
                    units::interval(Figure::Rate, (low, high))
                ),
                "Measure more rounds or longer blocks, and close what else runs on the machine.",
            )
        })
    }

    fn round_off(&self) -> Option<Warning> {
        let rounds = self.cell.rounds.iter().enumerate().map(|(place, round)| {
            let mut weights = vec![0; self.cell.rounds.len()];
            weights[place] = 1;
            Some((round.round, self.cell.terms(Figure::Rate)?.value(&weights)?))
        });
        let rounds: Vec<(u32, f64)> = rounds.flatten().collect();
        let mut rates: Vec<f64> = rounds.iter().map(|(_, rate)| *rate).collect();
        rates.sort_by(f64::total_cmp);
        let middle = *rates.get(rates.len() / 2).filter(|_| rates.len() >= 3)?;
        let off = rounds.iter().find(|(_, rate)| (rate / middle - 1.0).abs() > OFF)?;
        Some(warning(
            format!(
                "Round {} of {} was off: {}, where {} is the median of its rounds.",
                off.0,
                self.name(),
                units::rate(off.1),
                units::rate(middle)
            ),
            "Look at what else ran then; a longer warm-up helps where it is the first round.",
        ))
    }

    fn driver_near_ceiling(&self) -> Option<Warning> {
        let share = driver_use(self.context, &self.point.place(self.row))?;
        Some(warning(
            format!(
                "{} did {} of what the load driver can do at all ({}).",
                self.name(),
                units::percent(share),
                units::rate(self.context.ceiling?)
            ),
            "Give the load driver cores of its own with --cpus, or drive from another machine.",
        ))
    }

    fn late_arrivals(&self) -> Option<Warning> {
        let Row { scheduled, late, dropped, .. } = *self.row;
        let missed = late + dropped;
        (self.point.is_open() && missed as f64 > LATE * scheduled as f64).then(|| {
            warning(
                format!(
                    "Of {} arrivals of {}, {} were begun late and {} never.",
                    units::count(scheduled),
                    self.name(),
                    units::count(late),
                    units::count(dropped)
                ),
                "The rate was not held: their response times count from when they were due. Lower the rate, or allow more connections.",
            )
        })
    }

    fn errors(&self) -> Option<Warning> {
        if self.row.failed == 0 {
            return None;
        }
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, lane) in self.cell.blocks() {
            for (outcome, count) in &lane.outcomes {
                if outcome.parse::<u16>().is_ok_and(|status| status < 400) {
                    continue;
                }
                *kinds.entry(outcome).or_default() += count;
            }
        }
        let kinds = kinds.iter().map(|(kind, count)| format!("{kind} ({})", units::count(*count)));
        let asked = self.row.answers + self.row.failed;
        Some(warning(
            format!(
                "{} of {} requests of {} failed: {}.",
                units::count(self.row.failed),
                units::count(asked),
                self.name(),
                listed(&kinds.collect::<Vec<_>>())
            ),
            "503 is a full pool or connection limit, 504 a statement over its limit, timeout an answer over the plan's; the service's log has the rest.",
        ))
    }

    fn hit_rate(&self) -> Option<Warning> {
        let rate = self.row.figures.get(&Figure::HitRate)?.value;
        if rate > 0.0 && rate < 1.0 {
            return None;
        }
        let fact = format!("The cache of {} had {} hits.", self.name(), units::percent(rate));
        Some(match rate > 0.0 {
            true => warning(
                fact,
                "No answer came from the database: ask for more different parameters, or shorten the time to live.",
            ),
            false => warning(
                fact,
                "It only cost: ask for fewer different parameters, or raise the time to live and the largest entry.",
            ),
        })
    }
}
