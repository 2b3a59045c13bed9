//! What 1,000 answers cost in CPU time: one bar for each strategy.

use crate::lab::record::RunRecord;
use crate::lab::verdict::{Figure, PointTable, Row};

use super::super::format;
use super::super::view::absence;
use super::canvas::{Align, Canvas, Ink, Stroke, text_width};
use super::frame::{Axis, Frame, Scale, legend};
use super::{Chart, WIDTH, shown_name};

const PARTS: [(Figure, &str, Ink); 3] = [
    (Figure::ApiCpuCost, "API", Ink::Api),
    (Figure::DatabaseCpuCost, "database", Ink::Database),
    (Figure::RedisCpuCost, "Redis", Ink::Redis),
];

const HEIGHT: f64 = 40.0;

/// Between a bar and the words about it, and between those.
const GAP: f64 = 9.0;

/// A bar with the words behind it.
struct Bar {
    name: String,
    parts: Vec<(Ink, f64)>,
    sum: String,
    words: String,
}

impl Bar {
    fn of(row: &Row) -> Self {
        let cost = |figure| row.figures.get(&figure).map(|estimate| estimate.value);
        let known = PARTS.into_iter().filter_map(|(f, name, ink)| Some((name, ink, cost(f)?)));
        let known: Vec<_> = known.collect();
        let words = known.iter().map(|(name, _, cost)| format!("{name} {}", format::number(*cost)));
        let words: Vec<String> = words.collect();
        let mut bar = Self {
            name: shown_name(row),
            parts: known.into_iter().map(|(_, ink, cost)| (ink, cost)).collect(),
            sum: format::NOTHING.to_owned(),
            words: words.join(" + "),
        };
        if !bar.parts.is_empty() {
            bar.sum = format::figure(Figure::ApiCpuCost, bar.length());
        }
        bar
    }

    fn length(&self) -> f64 {
        self.parts.iter().map(|(_, cost)| cost).sum()
    }

    fn room(&self) -> f64 {
        text_width(&self.sum) + text_width(&self.words) + 2.0 * GAP
    }
}

/// CPU seconds per 1,000 answers of API, database and Redis, one behind the other.
pub fn per_1000(run: &RunRecord, table: &PointTable, id: &str, under: &str) -> Chart {
    let title = format!("CPU time of 1,000 answers{under}");
    let any = |figure| table.rows.iter().any(|row| row.figures.contains_key(&figure));
    let (shown, hidden): (Vec<_>, Vec<_>) = PARTS.into_iter().partition(|(f, ..)| any(*f));
    if shown.is_empty() {
        let (_, why) = absence(run, table, Figure::ApiCpuCost);
        return Chart::missing(id, &title, &format!("CPU time by component: {why}."));
    }
    let mut caption =
        "A shorter bar is the cheaper way to give the same answers, whatever the rate \
                       at which they were asked for."
            .to_owned();
    for (figure, name, _) in hidden {
        let (_, why) = absence(run, table, figure);
        caption.push_str(&format!(" Without {name}: {why}."));
    }
    // Where the costs cannot be told apart, there is one of all together.
    let is_shown = |bar: &Bar| !table.mixed || !bar.parts.is_empty();
    let bars: Vec<Bar> = table.rows.iter().map(Bar::of).filter(is_shown).collect();
    let height = 32.0 + bars.len() as f64 * HEIGHT + 48.0;
    Chart::drawn(id, &title, &caption, height, |canvas| {
        let names = bars.iter().map(|bar| text_width(&bar.name)).fold(0.0, f64::max);
        let left = (names + 20.0).max(64.0);
        let keys =
            shown.iter().map(|(_, name, ink)| ((*name).to_owned(), Stroke::solid(*ink, 9.0)));
        legend(canvas, (left, 4.0), WIDTH, &keys.collect::<Vec<_>>());
        draw(canvas, &bars, left);
    })
}

fn draw(canvas: &Canvas<'_>, bars: &[Bar], left: f64) {
    let rows = bars.len() as f64;
    let x = Axis::from_zero(
        "CPU seconds per 1,000 answers",
        bars.iter().map(Bar::length).fold(0.0, f64::max),
    );
    // As wide as leaves room for the words behind each bar.
    let fits = bars.iter().map(|bar| match bar.length() / x.range.1 {
        0.0 => f64::INFINITY,
        part => (WIDTH - left - bar.room()) / part,
    });
    let width = fits.fold(WIDTH - left - 16.0, f64::min).max(120.0);
    let edges = (left, 32.0, left + width, 32.0 + rows * HEIGHT);
    let y =
        Axis { title: String::new(), scale: Scale::Linear, range: (0.0, rows), ticks: Vec::new() };
    let frame = Frame::new(canvas, edges, x, y);
    for (place, bar) in bars.iter().enumerate() {
        let middle = rows - place as f64 - 0.5;
        let (_, at) = frame.place(0.0, middle);
        canvas.text(&bar.name, (left - 10.0, at), Align::End, Ink::Text, true);
        let mut from = 0.0;
        for (ink, cost) in &bar.parts {
            let ends = [frame.place(from, middle + 0.3), frame.place(from + cost, middle - 0.3)];
            canvas.rectangle(ends, *ink, 1.0);
            from += cost;
        }
        let behind = frame.place(from, middle).0 + GAP;
        canvas.text(&bar.sum, (behind, at), Align::Start, Ink::Text, true);
        let behind = behind + text_width(&bar.sum) + GAP;
        canvas.text(&bar.words, (behind, at), Align::Start, Ink::Soft, false);
    }
}
