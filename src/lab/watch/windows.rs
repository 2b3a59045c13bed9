//! Cuts what was sampled and recorded into equal windows in time: the rounds of a watched run.
//!
//! A window begins and ends with a sample, so that what a component used within it is known, not
//! estimated. So windows are as equal as whole samples, a second apart, allow. A request belongs to the
//! window in which it began, and to the second in which it ended, as in [`crate::lab::load`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::import::{Count, Entry, Imported, Total};
use super::route::{Route, route, short};
use crate::lab::plan::Tasks;
use crate::lab::record::{
    Block, Lane, Load, OTHER_ROUTES, Reported, Role, Sample, Second, TOGETHER,
};

/// So many names of other routes are told apart.
const MOST_NAMES: usize = 30;

/// What is to be cut.
pub(super) struct Material<'a> {
    /// Of the whole time of the command, ascending.
    pub samples: &'a [Sample],
    /// What was recorded; nothing where no file was named.
    pub imported: &'a [Imported],
    /// Seconds since 1970 when the run's clock began.
    pub zero: f64,
    /// The strategies of the service.
    pub strategies: &'a [String],
    /// The name of the load.
    pub point: &'a str,
    /// The time after the first request, or after the begin where none is recorded, that is left out;
    /// `None`: a tenth of the time, 1 s at least and 10 s at most.
    pub skip: Option<Duration>,
    /// How many windows.
    pub windows: u32,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub blocks: Vec<Block>,
    /// The strategies that had requests, in the service's order.
    pub driven: Vec<String>,
    /// The time that was left out, in seconds.
    pub skip_seconds: f64,
    /// Requests in no window.
    pub outside: u64,
    /// Requests to other routes, by name.
    pub other_routes: BTreeMap<String, u64>,
    /// How often each task was done.
    pub tasks: Tasks,
}

/// Cuts.
///
/// # Errors
/// A sentence without a full stop, when nothing is left to be measured.
pub(super) fn cut(material: &Material) -> Result<Windows, String> {
    let (first, last) = match material.samples {
        [first, .., last] if last.at_seconds > first.at_seconds => {
            (first.at_seconds, last.at_seconds)
        }
        _ => return Err("COMMAND ended before two samples were taken: have it run longer".into()),
    };
    let all = material.imported.iter().flat_map(|imported| asked(imported, material));
    let (requests, elsewhere): (Vec<Asked>, Vec<Asked>) =
        all.partition(|one| one.is_within(first, last));
    if requests.is_empty() && !elsewhere.is_empty() {
        return Err(
            "the recorded requests are of another time than that in which COMMAND ran".into()
        );
    }
    if requests.is_empty() && !material.imported.is_empty() {
        return Err("not one request is recorded".to_owned());
    }
    let of_strategies = || requests.iter().filter(|one| one.route != Route::Other);
    if !requests.is_empty() && of_strategies().next().is_none() {
        let names: BTreeSet<String> =
            requests.iter().map(|one| short(one.name)).take(1000).collect();
        let names: Vec<String> = names.into_iter().take(5).collect();
        return Err(format!(
            "none of the {} recorded requests is one to a strategy (/products/direct, \
             /strategies/NAME/products); they are to {}",
            requests.len(),
            names.join(", ")
        ));
    }
    let begin = of_strategies().map(|one| one.began).fold(f64::INFINITY, f64::min);
    let end = of_strategies().map(|one| one.ended).fold(f64::NEG_INFINITY, f64::max);
    let (begin, end) = if begin.is_finite() { (begin, end) } else { (first, last) };
    let by_total = material.imported.iter().any(|one| matches!(one, Imported::Totals(_)));
    let skip = match material.skip {
        _ if by_total => 0.0,
        Some(skip) => skip.as_secs_f64(),
        None => ((end - begin) / 10.0).clamp(1.0, 10.0).min((end - begin) / 2.0),
    };
    let windows = if by_total { 1 } else { material.windows };
    let borders = borders(material.samples, (begin, skip, end), windows).ok_or_else(|| {
        let seconds = humantime::format_duration(Duration::from_millis(((end - begin) * 1000.0) as u64));
        format!(
            "the load took {seconds}, and nothing is left of it after the first {skip:.1} s: have COMMAND \
             run longer, or give a shorter --skip"
        )
    })?;
    // What is left out ends with a sample.
    let skipped = (material.samples[borders[0]].at_seconds - begin).max(0.0);
    let skipped = if skip > 0.0 { skipped } else { 0.0 };
    let mut found = fill(material, &requests, &borders, skipped);
    found.outside += elsewhere.iter().map(Asked::requests).sum::<u64>();
    Ok(found)
}

/// Requests of one kind that began and ended at about the same time; nearly always one.
struct Asked<'a> {
    /// In seconds since the run began.
    began: f64,
    ended: f64,
    name: &'a str,
    route: Route<'a>,
    what: What<'a>,
}

enum What<'a> {
    One(&'a Entry),
    Some(&'a Count),
    All(&'a Total),
}

impl Asked<'_> {
    fn requests(&self) -> u64 {
        match self.what {
            What::One(_) => 1,
            What::Some(count) => count.answers + count.errors,
            What::All(total) => total.answers + total.errors,
        }
    }

    /// Whether it can have been sent while samples were taken, from `first` to `last`: a file may have
    /// older lines than those of this run, and a number in it may be anything.
    fn is_within(&self, first: f64, last: f64) -> bool {
        // A clock is set now and then, by less than this.
        const APART: f64 = 1.0;
        let mean_seconds = match self.what {
            What::One(entry) => entry.took,
            What::Some(count) => count.sum_ms / self.requests() as f64 / 1000.0,
            What::All(total) => total.reported.mean_ms.unwrap_or(0.0) / 1000.0,
        };
        let from = first - APART;
        let to = last + APART;
        // No comparison with what is no number is true.
        self.began >= from
            && self.ended <= to
            && self.began <= self.ended
            && mean_seconds <= to - from
    }
}

fn asked<'a>(imported: &'a Imported, material: &'a Material) -> Vec<Asked<'a>> {
    let zero = material.zero;
    let of = |(began, ended): (f64, f64), name: &'a str, what| Asked {
        began: began - zero,
        ended: ended - zero,
        name,
        route: route(name, material.strategies),
        what,
    };
    match imported {
        Imported::Requests(entries) => {
            let one =
                |entry: &'a Entry| of((entry.began, entry.ended()), &entry.asked, What::One(entry));
            entries.iter().map(one).collect()
        }
        Imported::Counts(counts) => {
            let some = |count: &'a Count| of((count.at, count.at), &count.asked, What::Some(count));
            counts.iter().map(some).collect()
        }
        Imported::Totals(totals) => {
            // They end with the command; how long they took follows from their own rate.
            let end = zero + material.samples.last().map_or(0.0, |last| last.at_seconds);
            let (requests, rate) = totals.iter().fold((0.0, 0.0), |sum, one| {
                (sum.0 + (one.answers + one.errors) as f64, sum.1 + one.rate)
            });
            let took = if rate > 0.0 { requests / rate } else { 0.0 };
            let all = |total: &'a Total| of((end - took, end), &total.asked, What::All(total));
            totals.iter().map(all).collect()
        }
    }
}

/// The places of the samples at which windows begin and end: from the first sample of the load, after what
/// is skipped, to the last one, so that no time without load counts. Where that leaves fewer intervals
/// than windows, the load is short: then the samples around it, and every request. `None` where not one
/// window is left.
fn borders(
    samples: &[Sample],
    (begin, skip, to): (f64, f64, f64),
    windows: u32,
) -> Option<Vec<usize>> {
    let at = |place: usize| samples[place].at_seconds;
    let first = (0..samples.len()).find(|place| at(*place) >= begin + skip);
    let last = (0..samples.len()).rev().find(|place| at(*place) <= to);
    let within = first.zip(last).filter(|(first, last)| *last >= first + windows.max(1) as usize);
    let (first, last) = match within {
        Some(within) => within,
        None => {
            let before = || (0..samples.len()).rev().find(|place| at(*place) <= begin).unwrap_or(0);
            let first = if skip > 0.0 { first? } else { before() };
            let after = (0..samples.len()).find(|place| at(*place) >= to);
            (first, after.unwrap_or(samples.len() - 1))
        }
    };
    let intervals = last.checked_sub(first).filter(|intervals| *intervals > 0)?;
    let windows = (windows.max(1) as usize).min(intervals);
    let length = (at(last) - at(first)) / windows as f64;
    let mut borders = vec![first];
    for window in 1..windows {
        let due = at(first) + length * window as f64;
        // Each window needs an interval of its own.
        let (least, most) = (borders[window - 1] + 1, last - (windows - window));
        let nearest = (least..=most).min_by(|a, b| {
            let [a, b] = [a, b].map(|place| (at(*place) - due).abs());
            a.total_cmp(&b)
        });
        borders.push(nearest?);
    }
    borders.push(last);
    Some(borders)
}

fn fill(material: &Material, requests: &[Asked], borders: &[usize], skip: f64) -> Windows {
    let samples = material.samples;
    let is_driven = |name: &&String| {
        requests
            .iter()
            .any(|one| matches!(one.route, Route::List(n) | Route::Detail(n) if n == **name))
    };
    let driven: Vec<String> = material.strategies.iter().filter(is_driven).cloned().collect();
    let by_task = requests.iter().any(|one| matches!(one.route, Route::Detail(_)));
    let mut names = driven.clone();
    if driven.is_empty() {
        names.push(TOGETHER.to_owned());
    }
    let mut found = Windows { driven: names.clone(), skip_seconds: skip, ..Windows::default() };
    if requests.iter().any(|one| one.route == Route::Other) {
        names.push(OTHER_ROUTES.to_owned());
    }
    let block = |(round, ends): (usize, &[usize])| {
        let (from, to) = (samples[ends[0]].at_seconds, samples[ends[1]].at_seconds);
        let seconds = vec![Second::default(); (to - from).ceil().max(1.0) as usize];
        let lane = |name: &String| Lane {
            strategy: name.clone(),
            seconds: if material.imported.is_empty() { Vec::new() } else { seconds.clone() },
            ..Lane::default()
        };
        Block {
            point: material.point.to_owned(),
            round: round as u32 + 1,
            role: Role::Measure,
            load: Load::Watched,
            from_seconds: from,
            to_seconds: to,
            cut: None,
            lanes: names.iter().map(lane).collect(),
            samples: samples[ends[0]..=ends[1]].to_vec(),
        }
    };
    found.blocks = borders.windows(2).enumerate().map(block).collect();
    let mut tasks = [0u64; 2];
    for one in requests {
        let Some(place) = window_of(one, &found.blocks) else {
            found.outside += one.requests();
            continue;
        };
        let name = match one.route {
            Route::List(name) | Route::Detail(name) => name,
            Route::Other => {
                let name = short(one.name);
                let is_new = !found.other_routes.contains_key(&name);
                let name = if is_new && found.other_routes.len() >= MOST_NAMES {
                    "others".into()
                } else {
                    name
                };
                *found.other_routes.entry(name).or_default() += one.requests();
                OTHER_ROUTES
            }
        };
        let block = &mut found.blocks[place];
        let from = block.from_seconds;
        let Some(lane) = block.lanes.iter_mut().find(|lane| lane.strategy == name) else {
            continue;
        };
        let task = match one.route {
            Route::List(_) => Some("list"),
            Route::Detail(_) => Some("detail"),
            Route::Other => None,
        };
        if let Some(task) = task {
            tasks[usize::from(task == "detail")] += one.requests();
        }
        add(lane, one, one.ended - from, task.filter(|_| by_task));
    }
    if let (true, [Imported::Totals(_)]) = (found.blocks.len() == 1, material.imported) {
        stretch(&mut found.blocks[0], requests);
    }
    let weight = |count: u64| count.min(u64::from(u32::MAX)) as u32;
    if by_task {
        found.tasks =
            Tasks { list: weight(tasks[0]), detail: weight(tasks[1]), ..Tasks::default() };
    }
    found
}

/// The window in which it began; totals have one for all.
fn window_of(one: &Asked, blocks: &[Block]) -> Option<usize> {
    if matches!(one.what, What::All(_)) {
        return Some(0);
    }
    // What began just before the first sample of all belongs to it: clocks are read one after the other.
    const GRAIN: f64 = 0.02;
    let last = blocks.len() - 1;
    blocks.iter().enumerate().position(|(place, block)| {
        let grain = if place == 0 { GRAIN } else { 0.0 };
        let end = if place == last { block.to_seconds + GRAIN } else { block.to_seconds };
        (block.from_seconds - grain..end).contains(&one.began)
    })
}

/// The only window of totals is as long as their own rate says.
fn stretch(block: &mut Block, requests: &[Asked]) {
    if let Some(one) = requests.first().filter(|one| one.ended > one.began) {
        (block.from_seconds, block.to_seconds) = (one.began, one.ended);
    }
}

fn add(lane: &mut Lane, one: &Asked, into: f64, task: Option<&str>) {
    lane.scheduled += one.requests();
    let place = into.max(0.0) as usize;
    if lane.seconds.len() <= place {
        lane.seconds.resize_with(place + 1, Second::default);
    }
    let second = &mut lane.seconds[place];
    let (answers, errors) = match one.what {
        What::One(entry) => {
            second.body_bytes += bytes(entry.bytes as f64);
            *lane.outcomes.entry(entry.outcome.clone()).or_default() += 1;
            let took = Duration::from_secs_f64(entry.took.max(0.0));
            if entry.is_good
                && let Some(first) = entry.first_byte
            {
                lane.first_byte.record(Duration::from_secs_f64(first.max(0.0)));
            }
            // As in the lab's own load: good answers, and those that never came.
            let has_status = entry.outcome.parse::<u16>().is_ok();
            if entry.is_good || !has_status {
                second.latency.record(took);
                second.service_time.record(took);
                if let Some(task) = task {
                    lane.tasks.entry(task.to_owned()).or_default().latency.record(took);
                }
            }
            (u64::from(entry.is_good), u64::from(!entry.is_good))
        }
        What::Some(count) => {
            second.body_bytes += bytes(count.bytes);
            outcomes(lane, count.answers, count.errors);
            let before = lane.answers() + lane.errors();
            let mean = lane.reported.and_then(|reported| reported.mean_ms).unwrap_or(0.0);
            let all = before + count.answers + count.errors;
            let mean = (mean * before as f64 + count.sum_ms) / all as f64;
            lane.reported = Some(Reported { mean_ms: Some(mean), ..Reported::default() });
            (count.answers, count.errors)
        }
        What::All(total) => {
            second.body_bytes += bytes(total.bytes);
            outcomes(lane, total.answers, total.errors);
            // Times of two names of one strategy cannot be merged, but for the mean.
            let before = (lane.answers() + lane.errors()) as f64;
            let now = (total.answers + total.errors) as f64;
            let both = |mine: Option<f64>, new: Option<f64>| match mine {
                None => new,
                Some(mine) => Some((mine * before + new? * now) / (before + now)),
            };
            lane.reported = Some(match lane.reported {
                None => total.reported,
                Some(mine) => Reported {
                    mean_ms: both(mine.mean_ms, total.reported.mean_ms),
                    ..Reported::default()
                },
            });
            (total.answers, total.errors)
        }
    };
    let second = &mut lane.seconds[place];
    second.answers += answers;
    second.errors += errors;
    if let Some(task) = task {
        let task = lane.tasks.entry(task.to_owned()).or_default();
        task.answers += answers;
        task.errors += errors;
    }
}

/// So many that sums of them stay numbers, whatever the file says: 1 TiB at most.
fn bytes(recorded: f64) -> u64 {
    (recorded as u64).min(1 << 40)
}

/// Where only their number is known.
fn outcomes(lane: &mut Lane, answers: u64, errors: u64) {
    for (name, count) in [("200", answers), ("failed", errors)] {
        if count > 0 {
            *lane.outcomes.entry(name.to_owned()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests;
