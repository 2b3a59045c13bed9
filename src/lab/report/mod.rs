//! The reports of a run: a page with charts, the same in Markdown, and every cell as CSV.
//!
//! Each is a pure function of [`RunRecord`] and [`Analysis`], the same byte for byte on every machine.
//! Nothing is computed here: numbers are cells of the analysis, formatted; only charts look into the
//! record, for what an analysis does not keep (distributions, and what happened when). A page loads
//! nothing from anywhere and needs no script.
//!
//! ```text
//! RunRecord, Analysis -> view (texts) -> templates -> report.html, report.md
//!                     -> chart (SVG)  -----^
//!                     -> csv                       -> tables.csv
//! ```

mod chart;
mod csv;
mod format;
mod html;
mod markdown;
mod summary;
mod templates;
mod view;

use std::io;
use std::path::{Path, PathBuf};

pub use csv::csv;
pub use format::{figure, range};
pub use html::{html, index};
pub use markdown::markdown;
pub use summary::summary;

use super::record::RunRecord;
use super::verdict::Analysis;

/// Writes `report.html`, `report.md` and `tables.csv` into an existing folder: whole or not at all.
/// All three are written beside their places before the first is moved there.
///
/// # Errors
/// When the folder cannot be written to; what was there before is then still there, except where
/// moving itself failed half-way.
pub fn write(run: &RunRecord, analysis: &Analysis, folder: &Path) -> io::Result<()> {
    let texts = [
        ("report.html", html(run, analysis)),
        ("report.md", markdown(run, analysis)),
        ("tables.csv", csv(run, analysis)),
    ];
    let beside = |name: &str| -> PathBuf { folder.join(format!("{name}.part")) };
    let in_place = || -> io::Result<()> {
        for (name, text) in &texts {
            std::fs::write(beside(name), text)?;
        }
        texts.iter().try_for_each(|(name, _)| std::fs::rename(beside(name), folder.join(name)))
    };
    in_place().inspect_err(|_| {
        for (name, _) in &texts {
            // Those that were never written cannot be removed, and need not be.
            let _ = std::fs::remove_file(beside(name));
        }
    })
}
