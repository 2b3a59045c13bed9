//! Which table a figure stands in, where its cell is, and why a cell may be empty.

use std::collections::{BTreeMap, BTreeSet};

use crate::lab::record::{RunRecord, Source};
use crate::lab::verdict::{Analysis, CellRef, Figure, PointTable};

/// A part of a table: figures of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What the clients saw.
    Answers,
    /// The same of each task, where there are several.
    Tasks,
    /// How old answers were.
    Staleness,
    /// The service.
    Api,
    /// The database server.
    Database,
    /// Redis.
    Redis,
    /// The pool of the strategy.
    Pool,
    /// The load driver.
    Driver,
}

impl Section {
    /// Every section, in the order of the tables.
    pub const ALL: [Section; 8] = [
        Section::Answers,
        Section::Tasks,
        Section::Staleness,
        Section::Api,
        Section::Database,
        Section::Redis,
        Section::Pool,
        Section::Driver,
    ];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Section::Answers => "Answers",
            Section::Tasks => "Tasks",
            Section::Staleness => "Staleness",
            Section::Api => "API",
            Section::Database => "Database",
            Section::Redis => "Redis",
            Section::Pool => "Pool",
            Section::Driver => "Load driver and its machine",
        }
    }

    /// What the labels of its figures repeat of the heading.
    pub fn repeated(self) -> &'static str {
        match self {
            Section::Answers | Section::Tasks | Section::Staleness | Section::Pool => "",
            Section::Api => " of the API",
            Section::Database => " of the database",
            Section::Redis => " of Redis",
            Section::Driver => " of the load driver",
        }
    }

    fn source(self, run: &RunRecord) -> Option<&Source> {
        let sources = &run.target.sources;
        match self {
            Section::Answers | Section::Tasks | Section::Staleness | Section::Pool => None,
            Section::Api => Some(&sources.api),
            Section::Database => Some(&sources.database),
            Section::Redis => Some(&sources.redis),
            Section::Driver => Some(&sources.driver),
        }
    }

    /// Why the whole component has no figures, where there is none.
    pub fn none_because(self, run: &RunRecord) -> Option<&str> {
        match self.source(run) {
            Some(Source::Absent { why }) => Some(why),
            _ => None,
        }
    }
}

/// The section of a figure, and whether it stands in the table of costs per 1,000 requests.
pub fn section_of(figure: Figure) -> (Section, bool) {
    use Figure as F;
    match figure {
        F::Rate
        | F::LatencyMean
        | F::LatencyP50
        | F::LatencyP95
        | F::LatencyP99
        | F::ServiceTimeMean
        | F::FirstByteP50
        | F::Errors
        | F::BodyBytes
        | F::BodyBytesRate
        | F::HitRate => (Section::Answers, false),
        F::Writes | F::ListP95 | F::DetailP95 | F::OrderP95 | F::UpdateP95 => {
            (Section::Tasks, false)
        }
        F::StaleShare | F::StaleAgeMean | F::StaleAgeP95 => (Section::Staleness, false),
        F::ApiCpu | F::ApiMemory | F::ApiMemoryMax | F::ApiMemoryShare | F::ApiConnections => {
            (Section::Api, false)
        }
        F::ApiCpuCost => (Section::Api, true),
        F::DatabaseCpu
        | F::DatabaseMemory
        | F::DatabaseMemoryMax
        | F::DatabaseMemoryShare
        | F::DatabaseConnections
        | F::DatabaseConnectionsMax => (Section::Database, false),
        F::DatabaseCpuCost | F::ConnectionsOpened | F::DatabaseOperations => {
            (Section::Database, true)
        }
        F::RedisCpu
        | F::RedisMemory
        | F::RedisMemoryMax
        | F::RedisMemoryShare
        | F::RedisConnections => (Section::Redis, false),
        F::RedisCpuCost | F::RedisOperations | F::RedisSent | F::RedisReceived => {
            (Section::Redis, true)
        }
        F::PoolUse | F::PoolConnections | F::PoolWaiting | F::PoolWaitP95 => (Section::Pool, false),
        F::DriverCpu | F::DriverThread | F::HostBusy | F::HostSteal => (Section::Driver, false),
    }
}

/// Why a figure has no number: what stands in its cell, and the reason.
pub fn absence(
    run: &RunRecord,
    table: &PointTable,
    figure: Figure,
) -> (&'static str, &'static str) {
    let (section, _) = section_of(figure);
    // Only these count what cannot be seen from outside of a component's own server.
    let counted_by_the_service =
        matches!(figure, Figure::ConnectionsOpened) || section == Section::Pool;
    match section.source(run) {
        Some(Source::Absent { .. }) => (NONE, "none in this set-up"),
        None if let Some(why) = not_recorded(run, figure) => (DASH, why),
        _ if table.mixed && !matches!(section, Section::Answers | Section::Tasks) => {
            (MIXED, "cannot be told apart when mixed")
        }
        Some(Source::Seen { usage, counters, not_visible, .. }) if !counted_by_the_service => {
            let from = if is_usage(figure) { usage } else { counters };
            match from {
                None => (NOT_VISIBLE, "it runs where these figures cannot be read"),
                Some(_) if is_share(figure) => (DASH, "its limit is not known"),
                Some(_) if !not_visible.is_empty() => {
                    (NOT_VISIBLE, "see where the figures come from")
                }
                Some(_) => (DASH, "nothing was counted, or nothing answered"),
            }
        }
        _ => (
            DASH,
            match figure {
                Figure::LatencyP50
                | Figure::LatencyP95
                | Figure::LatencyP99
                | Figure::FirstByteP50
                | Figure::ListP95
                | Figure::DetailP95
                | Figure::OrderP95
                | Figure::UpdateP95
                | Figure::StaleAgeP95 => "too few answers for this percentile",
                Figure::HitRate => "it has no cache",
                Figure::PoolUse
                | Figure::PoolConnections
                | Figure::PoolWaiting
                | Figure::PoolWaitP95 => "the service reports none for it",
                _ => "nothing was counted, or nothing answered",
            },
        ),
    }
}

/// Why the tool that drove says nothing of a figure of requests.
fn not_recorded(run: &RunRecord, figure: Figure) -> Option<&'static str> {
    let watched = run.watched.as_ref()?;
    let by_tool = section_of(figure).0 == Section::Answers && figure != Figure::HitRate;
    let by_itself =
        || run.blocks.iter().flat_map(|block| &block.lanes).any(|l| l.reported.is_some());
    match figure {
        _ if by_tool && watched.is_unrecorded() => Some("no records were imported"),
        Figure::FirstByteP50 | Figure::BodyBytes | Figure::BodyBytesRate => {
            Some("the load tool does not record it")
        }
        Figure::LatencyP50 | Figure::LatencyP95 | Figure::LatencyP99 if by_itself() => {
            Some("the load tool keeps no single requests")
        }
        _ => None,
    }
}

const DASH: &str = super::format::NOTHING;
const NONE: &str = "none";
const MIXED: &str = "mixed";
const NOT_VISIBLE: &str = "not visible from here";

/// Whether a figure is one of CPU or memory, which come from elsewhere than counters do.
fn is_usage(figure: Figure) -> bool {
    let name = figure.name();
    name.contains("_cpu_") || name.contains("_memory_")
}

fn is_share(figure: Figure) -> bool {
    figure.name().ends_with("_memory_share")
}

/// The id of every cell that a report has. Two cells whose names differ only in characters that an id
/// cannot have get different ones.
#[derive(Debug)]
pub struct Anchors(BTreeMap<CellRef, String>);

impl Anchors {
    /// The ids of every cell of the tables.
    pub fn of(analysis: &Analysis) -> Self {
        let (mut ids, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for table in &analysis.tables {
            for row in &table.rows {
                for &figure in row.figures.keys() {
                    let (point, strategy) = (table.point.clone(), row.strategy.clone());
                    let cell = CellRef { point, strategy, figure };
                    let anchor = cell.anchor();
                    let mut id = anchor.clone();
                    let mut next = 2;
                    while !taken.insert(id.clone()) {
                        id = format!("{anchor}-{next}");
                        next += 1;
                    }
                    ids.insert(cell, id);
                }
            }
        }
        Self(ids)
    }

    /// The id of a cell; `None` where the tables have no such cell.
    pub fn get(&self, cell: &CellRef) -> Option<&str> {
        self.0.get(cell).map(String::as_str)
    }
}
