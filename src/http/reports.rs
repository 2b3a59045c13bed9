//! The lab's newest report, where there is one. Knows a folder of folders with names that sort by
//! date, and nothing of what is in a report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use poem::endpoint::make;
use poem::{Endpoint, Response, Result};

use super::error::{Kind, Problem};
use super::landing::{HTML, content};

/// `GET /report`
pub(super) fn newest(folder: Arc<Path>) -> impl Endpoint + 'static {
    poem::get(make(move |_| {
        let folder = folder.clone();
        async move { answer(&folder).await }
    }))
}

async fn answer(folder: &Path) -> Result<Response> {
    let Some((_, file)) = find(folder).await else {
        let detail = "There is no report yet. `poolwise lab run` makes one.";
        return Err(Problem::new(Kind::NotFound, detail).into());
    };
    match tokio::fs::read(&file).await {
        Ok(report) => Ok(content(report.into(), HTML)),
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "a report could not be read");
            Err(Problem::new(Kind::Internal, "The report could not be read.").into())
        }
    }
}

/// The line of the landing page; empty where there is no report.
pub(super) async fn link(folder: &Path) -> String {
    let Some((name, _)) = find(folder).await else { return String::new() };
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().filter(plain).collect();
    format!("<li><a href=\"/report\">The lab's newest report</a> ({name})</li>")
}

/// The folder with a report whose name comes last, and the file.
async fn find(folder: &Path) -> Option<(String, PathBuf)> {
    let mut entries = tokio::fs::read_dir(folder).await.ok()?;
    let mut newest = None;
    while let Ok(Some(entry)) = entries.next_entry().await {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let report = entry.path().join("report.html");
        let is_newer = newest.as_ref().is_none_or(|(known, _)| name > *known);
        if is_newer && tokio::fs::try_exists(&report).await.unwrap_or(false) {
            newest = Some((name, report));
        }
    }
    newest
}
