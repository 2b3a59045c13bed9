//! Where the processes of a database server are, and what they use. Knows nothing of its counters.

use std::time::Duration;

use futures_util::future::join3;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::BOUND;
use super::cgroup::{self, Group};
use super::counter::Counter;
use super::net::Traffic;
use super::process::{ProcessId, Roots, seconds};
use super::tree::TreeMemory;
use crate::lab::record::Usage;

/// What PostgreSQL's processes are called.
const NAMES: &[&str] = &["postgres", "postmaster", "edb-postgres"];

/// The time between two readings of memory is at least this many times as long as one took, so that
/// the reading never takes more than 2 % of a core, however many processes there are.
const MEMORY_PACE: u32 = 50;

/// Where CPU and memory of the server can be seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// Nowhere; why.
    Unseen(String),
    /// Its first process and all under it.
    Tree(ProcessId),
    /// A control group of its own, with its first process in it.
    Group(Group, ProcessId),
}

impl Place {
    /// The server's first process.
    pub fn postmaster(&self) -> Option<ProcessId> {
        match self {
            Place::Unseen(_) => None,
            Place::Tree(postmaster) | Place::Group(_, postmaster) => Some(*postmaster),
        }
    }
}

/// What the kernel says, read at once on a thread for blocking work.
#[derive(Default)]
pub(super) struct Reading {
    pub cpu_seconds: Option<f64>,
    /// Of the process that serves us.
    pub own_seconds: Option<f64>,
    /// `None` for a tree: see [`Memory`].
    pub group_memory_bytes: Option<u64>,
    pub limit_bytes: Option<u64>,
    pub traffic: Option<Traffic>,
}

/// Where the server is, and the process in it that serves us: it calls itself `inner` and began then,
/// in seconds since 1970.
pub(super) fn locate(roots: &Roots, inner: u32, began_epoch: f64) -> (Place, Option<ProcessId>) {
    let Some(own) = roots.find(inner, NAMES, began_epoch) else {
        let why = "CPU and memory: the server's processes are not visible from here (it runs on \
            another machine, or in a container that hides them)";
        return (Place::Unseen(why.into()), None);
    };
    let parent = roots.alive(own).and_then(|stat| roots.identify(stat.parent));
    let is_server = |id: &ProcessId| {
        roots.status(id.pid, "Name").is_some_and(|name| NAMES.contains(&name.as_str()))
    };
    match parent.filter(is_server) {
        None => (Place::Unseen("CPU and memory: its postmaster is not visible".into()), None),
        Some(postmaster) => match Group::of_its_own(roots, postmaster.pid) {
            Some(group) => (Place::Group(group, postmaster), Some(own)),
            None => (Place::Tree(postmaster), Some(own)),
        },
    }
}

/// Reads what place and process have used.
fn read(roots: &Roots, place: &Place, own: Option<ProcessId>) -> Reading {
    // Ours first: what it uses meanwhile is then at most counted, never taken off twice.
    let own_seconds =
        own.and_then(|id| roots.alive(id)).map(|stat| seconds(stat.cpu_ticks + stat.reaped_ticks));
    let (cpu_seconds, group_memory_bytes, postmaster) = match place {
        Place::Unseen(_) => return Reading::default(),
        Place::Tree(postmaster) => (roots.tree_cpu_seconds(*postmaster), None, postmaster),
        Place::Group(group, postmaster) => (group.cpu_seconds(), group.memory_bytes(), postmaster),
    };
    Reading {
        cpu_seconds,
        own_seconds,
        group_memory_bytes,
        limit_bytes: cgroup::memory_limit(roots, postmaster.pid).or_else(|| roots.memory_bytes()),
        traffic: roots.traffic(postmaster.pid),
    }
}

/// Takes a look: asks the server its counters and reads what its processes have used, at once and
/// within [`BOUND`]. The last part is the memory of a tree.
pub(super) async fn look<T>(
    roots: &Roots,
    place: &Place,
    own: Option<ProcessId>,
    memory: &mut Memory,
    asking: impl Future<Output = Option<T>>,
) -> (Option<T>, Reading, Option<u64>) {
    let of_thread = (roots.clone(), place.clone());
    let reading = tokio::task::spawn_blocking(move || read(&of_thread.0, &of_thread.1, own));
    let weighing = async {
        let Place::Tree(postmaster) = place else { return None };
        memory.look(roots, *postmaster, own).await
    };
    let (counted, reading, tree_bytes) =
        join3(timeout(BOUND, asking), timeout(BOUND, reading), weighing).await;
    let reading = reading.ok().and_then(Result::ok).unwrap_or_default();
    (counted.ok().flatten(), reading, tree_bytes)
}

impl Reading {
    /// As it stands in a sample, with the server's own counts of connections and operations.
    pub fn usage(
        self,
        cpu_seconds: Option<f64>,
        tree_bytes: Option<u64>,
        traffic: &mut [Counter; 2],
        counted: Option<(u64, u64)>,
    ) -> Usage {
        let [received, sent] = traffic;
        let traffic = self.traffic.map(|now| {
            let sum = |counter: &mut Counter, now: u64| counter.exact(now as f64) as u64;
            (sum(received, now.received_bytes), sum(sent, now.sent_bytes))
        });
        // Between two readings the last one stands, but not for a server that has ended.
        let memory_bytes = self.group_memory_bytes.or(tree_bytes.filter(|_| cpu_seconds.is_some()));
        Usage {
            cpu_seconds,
            memory_bytes,
            memory_limit_bytes: memory_bytes.and(self.limit_bytes),
            connections: counted.map(|(connections, _)| connections),
            received_bytes: traffic.map(|(received, _)| received),
            sent_bytes: traffic.map(|(_, sent)| sent),
            operations: counted.map(|(_, operations)| operations),
            ..Usage::default()
        }
    }
}

/// Memory of the tree, read no more often than [`MEMORY_PACE`] allows; between two readings the last
/// one stands.
#[derive(Default)]
pub(super) struct Memory {
    pub last: Option<TreeMemory>,
    running: Option<JoinHandle<(Option<TreeMemory>, Duration)>>,
    next: Option<Instant>,
}

impl Memory {
    /// The memory of the tree in bytes, `own` process left out; takes at most [`BOUND`].
    pub async fn look(
        &mut self,
        roots: &Roots,
        postmaster: ProcessId,
        own: Option<ProcessId>,
    ) -> Option<u64> {
        if self.running.is_none() && self.next.is_none_or(|next| next <= Instant::now()) {
            let roots = roots.clone();
            self.running = Some(tokio::task::spawn_blocking(move || {
                let began = std::time::Instant::now();
                (roots.tree_memory(postmaster, own), began.elapsed())
            }));
        }
        if let Some(running) = &mut self.running
            && let Ok(read) = timeout(BOUND, running).await
        {
            self.running = None;
            if let Ok((memory, took)) = read {
                self.last = memory;
                self.next = Some(Instant::now() + took * MEMORY_PACE);
            }
        }
        self.last.map(|memory| memory.bytes)
    }
}

#[cfg(test)]
mod tests {
    use rustix::param::clock_ticks_per_second;

    use super::super::process::fixture::Fixture;
    use super::*;

    /// A server whose process 11 serves us and calls itself 7, under a postmaster.
    fn server() -> Fixture {
        let fixture = Fixture::new();
        let hz = clock_ticks_per_second();
        for (pid, parent, name) in [(10, 1, "postgres"), (11, 10, "postgres"), (1, 0, "init")] {
            fixture.process(pid, parent, [10 * u64::from(pid), 0, 50 * hz]);
            let inner = if pid == 11 { "11\t7" } else { "1\t1" };
            let status = format!("Name:\t{name}\nNSpid:\t{inner}\n");
            fixture.file(&format!("proc/{pid}/status"), &status);
            fixture.file(&format!("proc/{pid}/cgroup"), "0::/docker/ab12\n");
        }
        fixture.file("proc/self/cgroup", "0::/\n");
        fixture
    }

    #[test]
    fn the_postmaster_is_found_above_the_process_that_serves_us() {
        let fixture = server();
        let (place, own) = locate(&fixture.roots, 7, 1050.0);
        let Place::Tree(postmaster) = place else {
            panic!("it has no group of its own: {place:?}")
        };
        assert_eq!((postmaster.pid, own.map(|id| id.pid)), (10, Some(11)));
        let reading = read(&fixture.roots, &place, own);
        let hz = clock_ticks_per_second() as f64;
        assert_eq!(
            (reading.cpu_seconds, reading.own_seconds),
            (Some(210.0 / hz), Some(110.0 / hz))
        );
    }

    #[test]
    fn a_server_in_a_container_is_read_from_its_group() {
        let fixture = server();
        fixture.file("cgroup/docker/ab12/cgroup.procs", "10\n11\n");
        fixture.file("cgroup/docker/ab12/cpu.stat", "usage_usec 2500000\n");
        fixture.file("cgroup/docker/ab12/memory.current", "5000\n");
        fixture.file("cgroup/docker/ab12/memory.max", "8000\n");
        let (place, own) = locate(&fixture.roots, 7, 1050.0);
        assert!(matches!(&place, Place::Group(group, _) if group.path == "/docker/ab12"));
        let reading = read(&fixture.roots, &place, own);
        assert_eq!((reading.cpu_seconds, reading.group_memory_bytes), (Some(2.5), Some(5000)));
        assert_eq!(reading.limit_bytes, Some(8000));
    }

    #[test]
    fn a_server_on_another_machine_is_not_visible() {
        let fixture = server();
        for (inner, began_epoch) in [(8, 1050.0), (7, 9999.0)] {
            let (place, own) = locate(&fixture.roots, inner, began_epoch);
            assert!(matches!(&place, Place::Unseen(why) if why.contains("not visible from here")));
            assert_eq!(own, None);
            assert_eq!(read(&fixture.roots, &place, own).cpu_seconds, None);
        }
    }
}
