//! What requests do besides listing, who does it, and how stale answers are looked at.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// Lists products through the strategy: what the parameters ask for.
    List,
    /// Reads one product through the strategy.
    Detail,
    /// Orders one to three products.
    Order,
    /// Sets the stock of a product.
    Update,
}

impl Task {
    /// Every task, in the order of plans and tables.
    pub const ALL: [Task; 4] = [Task::List, Task::Detail, Task::Order, Task::Update];

    /// Its name in plans and records.
    pub fn name(self) -> &'static str {
        match self {
            Task::List => "list",
            Task::Detail => "detail",
            Task::Order => "order",
            Task::Update => "update",
        }
    }

    /// Whether it changes data, and so needs somebody who is signed in.
    pub fn writes(self) -> bool {
        matches!(self, Task::Order | Task::Update)
    }
}

/// How often each task is done, in proportion to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tasks {
    /// [`Task::List`]
    pub list: u32,
    /// [`Task::Detail`]
    pub detail: u32,
    /// [`Task::Order`]
    pub order: u32,
    /// [`Task::Update`]
    pub update: u32,
}

impl Default for Tasks {
    /// Nothing but lists.
    fn default() -> Self {
        Self { list: 1, detail: 0, order: 0, update: 0 }
    }
}

impl Tasks {
    /// The weight of a task.
    pub fn weight(self, task: Task) -> u32 {
        match task {
            Task::List => self.list,
            Task::Detail => self.detail,
            Task::Order => self.order,
            Task::Update => self.update,
        }
    }

    /// The share of a task among all, 0 to 1.
    pub fn share(self, task: Task) -> f64 {
        let all: f64 = Task::ALL.iter().map(|task| f64::from(self.weight(*task))).sum();
        f64::from(self.weight(task)) / all
    }

    /// Whether there is nothing but lists.
    pub fn only_lists(&self) -> bool {
        Task::ALL.iter().all(|task| *task == Task::List || self.weight(*task) == 0)
    }

    /// Whether some task writes.
    pub fn write(self) -> bool {
        Task::ALL.iter().any(|task| task.writes() && self.weight(*task) > 0)
    }
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// How many sign in before the load; the users of the load take turns at being one of them.
    pub count: u32,
    /// How many of them a second: hashing a password is meant to be slow.
    pub sign_ins_per_second: f64,
}

impl Default for Users {
    fn default() -> Self {
        Self { count: 20, sign_ins_per_second: 10.0 }
    }
}

/// How stale answers are looked at, beside the load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Staleness {
    /// Time between two writes to the product that is looked at.
    #[serde(with = "humantime_serde")]
    pub write_every: Duration,
    /// Time between two looks through the strategy.
    #[serde(with = "humantime_serde")]
    pub read_every: Duration,
}
