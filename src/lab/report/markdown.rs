//! The report in Markdown, for terminals and code hosts.

use minijinja::context;
use minijinja::value::{Serde, Value};

use crate::lab::record::RunRecord;
use crate::lab::verdict::Analysis;

use super::templates::render;
use super::view::Page;

/// `report.md`: what the page says, without its charts.
pub fn markdown(run: &RunRecord, analysis: &Analysis) -> String {
    render("report.md", context! { page => Value::from(Serde(Page::of(run, analysis))) })
}
