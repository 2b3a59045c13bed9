//! What is true of a whole run and needed everywhere: which components there are, how many cores, and
//! the ceiling of the driver.

use crate::lab::record::{Block, Lane, Role, RunRecord, Sample, Source, Usage};

/// A component whose cost is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Component {
    /// The service.
    Api,
    /// The database server.
    Database,
    /// Redis.
    Redis,
    /// The load driver.
    Driver,
}

impl Component {
    /// In the order of the report.
    pub(super) const ALL: [Component; 4] =
        [Component::Api, Component::Database, Component::Redis, Component::Driver];

    /// What it has used, in a sample.
    pub(super) fn usage(self, sample: &Sample) -> &Usage {
        match self {
            Component::Api => &sample.api,
            Component::Database => &sample.database,
            Component::Redis => &sample.redis,
            Component::Driver => &sample.driver,
        }
    }

    /// Its name in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Component::Api => "the API",
            Component::Database => "the database",
            Component::Redis => "Redis",
            Component::Driver => "the load driver",
        }
    }
}

/// A run and what follows from it at once.
pub(super) struct Context<'a> {
    /// The run.
    pub(super) run: &'a RunRecord,
    /// `/noop` requests a second, over all blocks that measured the ceiling.
    pub(super) ceiling: Option<f64>,
}

impl<'a> Context<'a> {
    /// Of a run.
    pub(super) fn new(run: &'a RunRecord) -> Self {
        let blocks = || run.blocks.iter().filter(|block| is_whole(block, Role::Ceiling));
        let answers: u64 = blocks().flat_map(|block| &block.lanes).map(Lane::answers).sum();
        let seconds: f64 = blocks().map(Block::seconds).sum();
        let ceiling = (answers > 0 && seconds > 0.0).then(|| answers as f64 / seconds);
        Self { run, ceiling }
    }

    /// Where the figures of a component come from.
    pub(super) fn source(&self, component: Component) -> &'a Source {
        let sources = &self.run.target.sources;
        match component {
            Component::Api => &sources.api,
            Component::Database => &sources.database,
            Component::Redis => &sources.redis,
            Component::Driver => &sources.driver,
        }
    }

    /// Whether there is such a component: what an absent one "used" is not its own.
    pub(super) fn has(&self, component: Component) -> bool {
        !matches!(self.source(component), Source::Absent { .. })
    }

    /// Whether it uses the cores that the driver uses.
    pub(super) fn shares_cores(&self, component: Component) -> bool {
        match self.source(component) {
            Source::Seen { shares_cores, .. } => *shares_cores == Some(true),
            Source::Absent { .. } => false,
        }
    }

    /// Whether the service runs on the driver's machine, so that its busy cores may be the service's.
    pub(super) fn is_on_one_machine(&self) -> bool {
        let Source::Seen { shares_cores, .. } = self.source(Component::Api) else { return false };
        self.run.target.started_by_the_lab || self.is_loopback() || *shares_cores == Some(true)
    }

    /// Whether another tool drove, and nothing is known of its requests.
    pub(super) fn is_unrecorded(&self) -> bool {
        self.run.watched.as_ref().is_some_and(|watched| watched.is_unrecorded())
    }

    /// Whether requests go over the loopback interface.
    pub(super) fn is_loopback(&self) -> bool {
        let url = &self.run.target.url;
        let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        ["127.", "localhost", "[::1]"].iter().any(|start| host.starts_with(start))
    }

    /// Cores that the driver may use.
    pub(super) fn driver_cores(&self) -> u32 {
        let host = &self.run.host;
        host.driver_cores.as_ref().map_or(host.cores, |cores| cores.len() as u32)
    }
}

/// Whether a block was not cut short, and is for this.
pub(super) fn is_whole(block: &Block, role: Role) -> bool {
    block.cut.is_none() && block.role == role
}
