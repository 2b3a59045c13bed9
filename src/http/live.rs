//! Where the configuration came from and what became of the last edit, as `/stats` says it.

use std::path::PathBuf;
use std::time::SystemTime;

use poem_openapi::{Enum, Object};

/// The configuration in force and the last attempt to replace it.
#[derive(Debug, Clone)]
pub struct Following {
    /// When what is in force was read.
    pub loaded_at: SystemTime,
    /// The files that it was read from.
    pub files: Vec<PathBuf>,
    /// The last time that it was read again.
    pub last: Option<Attempt>,
}

/// What became of reading the configuration again.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it was done.
    pub at: SystemTime,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused; one sentence each.
    pub problems: Vec<String>,
    /// The keys that keep their old value until a restart.
    pub needs_restart: Vec<&'static str>,
}

/// What became of reading the configuration again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Outcome {
    /// It is in force.
    Applied,
    /// There was no difference.
    Unchanged,
    /// It has problems, and the old one stays.
    Refused,
}

/// The configuration and the last edit of it.
#[derive(Debug, Clone, Object)]
pub(super) struct ConfigStats {
    /// When what is in force was read, as RFC 3339 in UTC.
    loaded_at: String,
    /// The files that it was read from, over the defaults.
    files: Vec<String>,
    /// The last time that the files were read again; null when they were not.
    last_reload: Option<ReloadStats>,
}

/// What became of reading the configuration again.
#[derive(Debug, Clone, Object)]
pub(super) struct ReloadStats {
    /// When it was done, as RFC 3339 in UTC.
    at: String,
    /// applied: it is in force; unchanged: there was no difference; refused: the old one stays.
    outcome: Outcome,
    /// Why it was refused.
    problems: Vec<String>,
    /// The keys that keep their old value until the service is started anew.
    needs_restart: Vec<String>,
}

impl ConfigStats {
    pub fn of(following: &Following) -> Self {
        let Following { loaded_at, files, last } = following;
        Self {
            loaded_at: text(*loaded_at),
            files: files.iter().map(|file| file.display().to_string()).collect(),
            last_reload: last.as_ref().map(|attempt| ReloadStats {
                at: text(attempt.at),
                outcome: attempt.outcome,
                problems: attempt.problems.clone(),
                needs_restart: attempt.needs_restart.iter().map(|key| (*key).into()).collect(),
            }),
        }
    }
}

fn text(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
