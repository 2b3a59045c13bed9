//! What a person sees while a run goes on: a bar with the live rate, p95 and errors on a terminal, a
//! line for each block elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::lab::load::Live;
use crate::lab::plan::Plan;
use crate::lab::record::{Block, Role};

/// Shows how a run goes on, on stderr.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Whether stderr is a terminal.
    drawn: bool,
}

/// How often the live figures change.
const PERIOD: Duration = Duration::from_millis(250);

impl Progress {
    /// One for a run that should take `expected`; `quiet` shows nothing at all.
    pub fn new(expected: Duration, quiet: bool) -> Self {
        let drawn = !quiet && std::io::stderr().is_terminal();
        let target =
            if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(expected.as_millis() as u64), target);
        let template = "[{bar:24}] {percent:>3} %, {elapsed} of about {msg}";
        bar.set_style(
            ProgressStyle::with_template(template).expect("a valid template").progress_chars("=> "),
        );
        Self { bar, drawn: drawn || quiet }
    }

    /// Says what is about to be done.
    pub fn title(&self, plan: &Plan) {
        let expected = Duration::from_secs(plan.expected_duration().as_secs());
        let expected = humantime::format_duration(expected).to_string();
        self.bar.set_message(expected.clone());
        self.says(&format!("{} (plan {}, about {expected})", plan.title, plan.name));
    }

    /// Says what happens now.
    pub(super) fn says(&self, text: &str) {
        self.bar.println(text);
        if !self.drawn {
            eprintln!("{text}");
        }
    }

    /// What a block was, in a line of its own.
    pub(super) fn ended(&self, block: &Block, of_rounds: u32) {
        let mut names: Vec<&str> = block.lanes.iter().map(|lane| lane.strategy.as_str()).collect();
        names.dedup();
        let seconds = block.seconds().max(f64::MIN_POSITIVE);
        let all = block.lanes.iter().flat_map(|lane| &lane.seconds);
        let (mut answers, mut errors) = (0, 0);
        let mut latency = crate::lab::histogram::Times::default();
        for second in all {
            (answers, errors) = (answers + second.answers, errors + second.errors);
            latency.add(&second.latency);
        }
        let p95 =
            latency.quantile_ms(0.95).map_or_else(String::new, |p95| format!(", p95 {p95:.1} ms"));
        let role = match block.role {
            Role::Measure => format!("round {} of {of_rounds}", block.round),
            Role::Again => format!("round {} of {of_rounds}, once more (A/A)", block.round),
            Role::Ceiling => "the driver's ceiling".to_owned(),
            Role::Probe => format!("step {}", block.round),
        };
        let cut = block.cut.as_ref().map_or_else(String::new, |why| format!(" - cut short: {why}"));
        self.says(&format!(
            "  {:<12} {:<14} {role}: {:.1}/s{p95}, {errors} errors{cut}",
            block.point,
            names.join("+"),
            answers as f64 / seconds,
        ));
    }

    /// Shows the live figures of a block until it is dropped.
    pub(super) async fn block(&self, live: &Live, begin: Instant, to: Instant) -> ! {
        let position = self.bar.position();
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let gone = Instant::now().min(to).saturating_duration_since(begin);
            self.bar.set_position(position + gone.as_millis() as u64);
            self.bar.set_message(self.live(live, gone));
        }
    }

    fn live(&self, live: &Live, gone: Duration) -> String {
        let expected = Duration::from_millis(self.bar.length().unwrap_or_default());
        let expected = humantime::format_duration(Duration::from_secs(expected.as_secs()));
        let rate = live.answers() as f64 / gone.as_secs_f64().max(0.25);
        let p95 = live.recent_p95_ms().map_or_else(|| "-".to_owned(), |p95| format!("{p95:.0} ms"));
        let (errors, in_flight) = (live.errors(), live.in_flight());
        format!("{expected} | {rate:.0}/s, p95 {p95}, {errors} errors, {in_flight} on their way")
    }

    /// Moves the bar on by time that was not a block.
    pub(super) fn advance(&self, by: Duration) {
        self.bar.inc(by.as_millis() as u64);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
