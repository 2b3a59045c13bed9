//! The page of a run, and the overview of several. It knows templates, not figures.

use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::lab::record::RunRecord;
use crate::lab::verdict::Analysis;

use super::chart;
use super::format;
use super::templates::render;
use super::view::{Badge, Page, verdict_of};

const STYLE: &str = include_str!("templates/style.css");

/// `report.html`: tables, charts and sentences of one run on a page that needs nothing else.
pub fn html(run: &RunRecord, analysis: &Analysis) -> String {
    let page = Value::from(Serde(Page::of(run, analysis)));
    let charts = Value::from(Serde(chart::all(run, analysis)));
    render("report.html", context! { page, charts, style => STYLE })
}

/// A run in an overview.
#[derive(Serialize)]
struct Entry<'a> {
    folder: &'a str,
    title: &'a str,
    question: &'a str,
    stamp: Badge,
    started: String,
    verdict: Option<&'a str>,
}

/// `index.html` for a folder of runs: each with its question, its stamp and the first sentence of its
/// verdict, in the order given. The names are those of the folders beside it.
pub fn index(runs: &[(&str, &RunRecord, &Analysis)]) -> String {
    let runs: Vec<Entry<'_>> = runs
        .iter()
        .map(|(folder, run, analysis)| Entry {
            folder,
            title: &run.plan.title,
            question: &run.plan.question,
            stamp: Badge::of(&analysis.stamp),
            started: format::moment(&run.started_at),
            verdict: verdict_of(analysis),
        })
        .collect();
    render("index.html", context! { runs => Value::from(Serde(runs)), style => STYLE })
}
