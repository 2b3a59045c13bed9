//! What the reader must know of a load that another tool drove.

use super::context::Context;
use super::say::listed;
use super::units;
use crate::lab::record::{Ended, TOGETHER, Watched};

/// A sentence for each fact.
pub(super) fn sentences(context: &Context) -> Vec<String> {
    let Some(watched) = &context.run.watched else { return Vec::new() };
    let found = [
        who(watched),
        windows(context, watched),
        others(watched),
        outside(watched),
        ended(watched),
        baseline(context, watched),
    ];
    let notes = watched.records.iter().flat_map(|file| {
        file.notes.iter().map(|note| format!("{} ({}): {note}.", file.file, file.format))
    });
    found.into_iter().flatten().chain(notes).collect()
}

/// Why it was cut short, where it was.
pub(super) fn cut_short(context: &Context) -> Option<String> {
    let watched = context.run.watched.as_ref()?;
    let why = match &context.run.ended {
        Ended::Finished => return None,
        Ended::Running => "it was still going on when this was written, or it was killed",
        Ended::Interrupted => "it was interrupted",
        Ended::Failed { why } => why.trim_end_matches('.'),
    };
    let after = units::duration(watched.took_seconds);
    Some(format!("{} was ended after {after}: {why}.", watched.tool))
}

fn who(watched: &Watched) -> Option<String> {
    let tool = &watched.tool;
    let mut measured: Vec<&str> =
        watched.records.iter().map(|file| file.measured_by.as_str()).collect();
    measured.sort_unstable();
    measured.dedup();
    Some(match watched.is_unrecorded() {
        true => format!(
            "{tool} drove the service, and the lab watched. No records of its requests are here, so there are \
             neither requests nor response times, only what the components used: have {tool} write a file \
             about its requests, and name it with --records."
        ),
        false => format!(
            "{tool} drove the service, and the lab watched. The response times are those that {} recorded, from \
             when a request was sent (a closed model): requests that a stall held up before they were sent do \
             not count (coordinated omission), and the service time is the same.",
            listed(&measured)
        ),
    })
}

fn windows(context: &Context, watched: &Watched) -> Option<String> {
    let rounds = context.run.plan.rounds;
    if rounds == 0 {
        return None;
    }
    let lengths = context.run.blocks.iter().map(crate::lab::record::Block::seconds);
    let mean = lengths.sum::<f64>() / f64::from(rounds);
    let fewer = match rounds < watched.windows_wanted {
        true => format!(" ({} were asked for)", watched.windows_wanted),
        false => String::new(),
    };
    let skipped = match watched.skip_seconds > 0.0 {
        true => format!(
            " The first {} of the load are not measured.",
            units::duration(watched.skip_seconds)
        ),
        false => String::new(),
    };
    let long = units::duration(mean);
    Some(match rounds {
        1 => format!("The figures are those of one window of {long}{fewer}.{skipped}"),
        _ => format!(
            "The rounds are {rounds} windows in time of about {long} each{fewer}, one after the other, and not \
             blocks of one strategy that take turns: what changed with time is in the intervals.{skipped}"
        ),
    })
}

fn others(watched: &Watched) -> Option<String> {
    let mut routes: Vec<(&String, &u64)> = watched.other_routes.iter().collect();
    routes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let shown: Vec<String> = routes
        .iter()
        .take(4)
        .map(|(name, count)| format!("{name} {}", units::count(**count)))
        .collect();
    let more = match routes.len().saturating_sub(4) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let requests = match watched.others() {
        0 => return None,
        1 => "1 request to another route is".to_owned(),
        count => format!("{} requests to other routes are", units::count(count)),
    };
    Some(format!(
        "{requests} not in the table of the strategies, only in the column {TOGETHER:?}: {}{more}.",
        shown.join(", ")
    ))
}

fn outside(watched: &Watched) -> Option<String> {
    let requests = match watched.outside {
        0 => return None,
        1 => "1 recorded request was".to_owned(),
        count => format!("{} recorded requests were", units::count(count)),
    };
    Some(format!("{requests} sent before or after what is measured: counted nowhere."))
}

fn ended(watched: &Watched) -> Option<String> {
    let how = watched.ended_with.as_ref().filter(|how| *how != "exit code 0")?;
    Some(format!(
        "{} ended with {how}: by its own account something failed. Its output says what.",
        watched.tool
    ))
}

fn baseline(context: &Context, watched: &Watched) -> Option<String> {
    let wanted = watched.missing_baseline.as_ref()?;
    let taken = &context.run.plan.baseline;
    Some(format!("Not one request to {wanted} is recorded, so the baseline is {taken}."))
}
